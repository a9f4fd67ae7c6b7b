//! The library as its users see it.
#![allow(clippy::unwrap_used, missing_docs)]

mod allocations;
mod balancer;
mod checks;
mod dropped;
mod example;
mod explain;
mod pages;
mod silence;
mod strategies;
mod support;
mod surface;
mod tower;
