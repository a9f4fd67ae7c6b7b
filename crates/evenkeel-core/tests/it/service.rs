//! A service as a whole: random operations against a naive reference, and replays of faults that
//! have a name.

#![allow(clippy::unwrap_used, missing_docs)]

mod adversary;
mod clients;
mod common;
mod detectors;
mod dry_runs;
mod fallback;
mod faults;
mod magnets;
mod model;
mod operations;
mod prediction;
mod quiet;
mod regions;
mod returns;
mod room;
mod silence;
mod switching;
mod tails;
mod thresholds;
mod traffic;
mod weak;
