//! Integration tests of the core, one binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod allocations;
mod compatible;
mod conformance;
mod fleet;
mod keyed;
mod least_connections;
mod least_response_time;
mod power_of_two;
mod rows;
mod service;
mod statistics;
mod weighted_round_robin;
