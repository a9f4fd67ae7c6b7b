//! The built binary as a process: real configuration files, real sockets, real backends, real signals.
//!
//! Tests in `peers` run beside outside programs, when `EVENKEEL_PEERS=1` says that those are installed.
#![allow(clippy::unwrap_used, missing_docs)]

mod access_log;
mod checks;
mod commands;
mod demo;
mod drain;
mod faults;
mod hashing;
mod memory;
mod peers;
mod reload;
mod sim;
mod startup;
mod sticky;
mod support;
mod token;
