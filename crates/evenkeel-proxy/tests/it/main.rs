//! The data plane over real loopback sockets, between scripted clients and scripted backends.

#![allow(clippy::unwrap_used, missing_docs)]

mod access_log;
mod basics;
mod desync;
mod faults;
mod heads;
mod leaving;
mod load_reports;
mod peer;
mod pool;
mod refusals;
mod reload;
mod retries;
mod smuggling;
mod statuses;
mod sticky;
mod streaming;
mod support;
mod warm;
