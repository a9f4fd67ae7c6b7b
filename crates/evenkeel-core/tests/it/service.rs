//! A service as a whole: random operations against a naive reference, and replays of faults that
//! have a name.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod detectors;
mod fallback;
mod faults;
mod model;
mod operations;
mod regions;
mod switching;
mod traffic;
