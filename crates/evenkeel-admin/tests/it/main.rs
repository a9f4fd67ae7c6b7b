//! The admin side over real sockets, on top of a real balancer.
#![allow(clippy::unwrap_used, missing_docs)]

mod api;
mod client;
mod connections;
mod explain;
mod exposition;
mod fleet;
mod learned;
mod metrics;
mod openapi;
mod peers;
mod probes;
mod strategies;
mod writes;
