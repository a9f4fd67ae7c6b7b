//! Integration tests of the core, one binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod adaptive;
mod adaptive_health_aware;
mod allocations;
mod auto;
mod compatible;
mod conformance;
mod fleet;
mod geographical;
mod health_aware_least_connections;
mod health_weighted_round_robin;
mod hot_cold;
mod key_regions;
mod key_rotation;
mod keyed;
mod least_connections;
mod least_response_time;
mod orca_weighted;
mod peak_ewma;
mod power_of_two;
mod resource_aware;
mod rows;
mod service;
mod shadow;
mod statistics;
mod weighted_round_robin;
