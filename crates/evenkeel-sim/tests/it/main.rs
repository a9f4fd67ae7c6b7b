//! Integration tests of the simulator.
#![allow(clippy::unwrap_used, missing_docs)]

mod account;
mod fidelity;
mod goals;
mod hot_cold;
mod prediction;
mod regimes;
mod regions;
mod resources;
mod retries;
mod runs;
mod scenarios;
#[path = "../../examples/evidence/segments.rs"]
mod segments;
mod shares;
