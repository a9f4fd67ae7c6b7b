//! Fuzzes the checks of `request_head`: see them for what must hold.
//!
//! `cargo +nightly fuzz run request_head`; `cargo test -p evenkeel-h1` replays `corpus/request_head`.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/evenkeel-h1/tests/it/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::request_head(data));
