//! Tests of the crate from outside.
#![allow(clippy::unwrap_used, missing_docs)]

mod bad;
mod files;
mod remedies;
mod roundtrip;
mod scale;
mod schema;
mod values;
