//! Integration tests of the simulator.
#![allow(clippy::unwrap_used, missing_docs)]

mod fidelity;
mod runs;
mod scenarios;
