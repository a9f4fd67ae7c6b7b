#![doc = include_str!("../../../docs/strategies.md")]

pub use evenkeel_core::strategy::{
    Adaptive, AdaptiveHealthAware, ConsistentHash, Geographical, HealthAwareLeastConnections,
    HealthWeightedRoundRobin, Level, Maglev, OrcaWeighted, Rendezvous, ResourceAware, RingKind, TableSize,
    Tuning,
};
pub use evenkeel_core::{
    HashSecret, HashSettings, HealthFactor, KeyRegions, KeySource, LoadFactor, Rotation,
};
