//! The driver over real sockets and, where no socket is involved, in paused time.
#![allow(clippy::unwrap_used, missing_docs)]

mod balancer;
mod checks;
mod operations;
mod recording;
mod requests;
mod support;
