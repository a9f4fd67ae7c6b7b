#![doc = include_str!("../../../docs/strategies.md")]

pub use evenkeel_core::strategy::{ConsistentHash, Maglev, Rendezvous, RingKind, TableSize};
