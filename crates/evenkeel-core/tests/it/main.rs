//! Tests of the core through its public API.

#![allow(clippy::unwrap_used, missing_docs)]

mod service;
