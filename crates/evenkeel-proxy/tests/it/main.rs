//! The data plane over real loopback sockets, between scripted clients and scripted backends.

#![allow(clippy::unwrap_used, missing_docs)]

mod basics;
mod faults;
mod heads;
mod refusals;
mod support;
