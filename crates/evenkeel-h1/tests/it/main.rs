//! Integration tests of the HTTP/1.1 framing.
#![allow(clippy::unwrap_used, missing_docs)]

mod checks;
mod connection;
mod corpus;
mod desync;
mod generate;
mod hyper_differential;
mod splits;
