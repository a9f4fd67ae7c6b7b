//! Fuzzes the checks of `response_head`: see them for what must hold.
//!
//! `cargo +nightly fuzz run response_head`; `cargo test -p evenkeel-h1` replays `corpus/response_head`.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/evenkeel-h1/tests/it/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::response_head(data));
