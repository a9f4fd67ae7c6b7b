//! Fuzzes the checks of `body_filter`: see them for what must hold.
//!
//! `cargo +nightly fuzz run body_filter`; `cargo test -p evenkeel-h1` replays `corpus/body_filter`.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/evenkeel-h1/tests/it/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::body_filter(data));
