#![doc = include_str!("../../../docs/strategies.md")]

pub use evenkeel_core::math::Factor;
pub use evenkeel_core::strategy::{
    Adaptive, AdaptiveHealthAware, ConsistentHash, Geographical, HealthAwareLeastConnections,
    HealthWeightedRoundRobin, Level, Maglev, OrcaWeighted, Rendezvous, ResourceAware, RingKind, TableSize,
};
pub use evenkeel_core::{
    HashSecret, HashSettings, HashedKey, HealthFactor, KeyHash, KeyRegions, KeySource, LoadFactor,
    RequestKey, Rotation,
};
