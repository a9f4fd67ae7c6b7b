#![doc = "[`sticky`]: crate::ServiceSettings::sessions\n[benchmarks]: crate#threads-and-runtimes\n[health]: crate::health\n"]
#![doc = "[`adaptive`]: mod@adaptive"]
#![doc = "[`adaptive_health_aware`]: mod@adaptive_health_aware"]
#![doc = "[`auto`]: mod@auto"]
#![doc = "[`consistent_hash`]: mod@consistent_hash"]
#![doc = "[`geographical`]: mod@geographical"]
#![doc = "[`health_aware_least_connections`]: mod@health_aware_least_connections"]
#![doc = "[`health_weighted_round_robin`]: mod@health_weighted_round_robin"]
#![doc = "[`hot_cold`]: mod@hot_cold"]
#![doc = "[`least_connections`]: mod@least_connections"]
#![doc = "[`least_response_time`]: mod@least_response_time"]
#![doc = "[`maglev`]: mod@maglev"]
#![doc = "[`orca_weighted`]: mod@orca_weighted"]
#![doc = "[`peak_ewma`]: mod@peak_ewma"]
#![doc = "[`power_of_two`]: mod@power_of_two"]
#![doc = "[`random`]: mod@random"]
#![doc = "[`rendezvous`]: mod@rendezvous"]
#![doc = "[`resource_aware`]: mod@resource_aware"]
#![doc = "[`round_robin`]: mod@round_robin"]
#![doc = "[`weighted_random`]: mod@weighted_random"]
#![doc = "[`weighted_round_robin`]: mod@weighted_round_robin"]
#![doc = "[hashing]: mod@hashing\n"]
#![doc = include_str!("../../../docs/strategies.md")]
//!
//! # In Rust
//!
//! [`LoadBalancer::set_strategy`](crate::LoadBalancer::set_strategy) takes a [`StrategyName`](crate::StrategyName) for a
//! strategy with its defaults, and [`StrategySettings`](crate::StrategySettings) for one with others;
//! [`ServiceSettings::strategy`](crate::ServiceSettings::strategy) likewise. The structs below are those settings, under the
//! names that the pages give for the configuration; each page has an example.

// The links above stand before the text, where they go before those that the text has for readers of the files.

pub use evenkeel_core::math::Factor;
pub use evenkeel_core::strategy::{
    Adaptive, AdaptiveHealthAware, Auto, ConsistentHash, Geographical, HealthAwareLeastConnections,
    HealthWeightedRoundRobin, Level, Maglev, OrcaWeighted, Rendezvous, ResourceAware, RingKind, TableSize,
};
pub use evenkeel_core::{
    HashSecret, HashSettings, HashedKey, HealthFactor, KeyHash, KeyRegions, KeySource, LoadFactor,
    RequestKey, Rotation,
};

/// A page for each strategy: the text of its file, and how a program chooses it.
macro_rules! pages {
    ($($name:ident $uses:literal $settings:literal;)*) => {
        $(
            #[doc = "[`geographical`]: mod@geographical\n[health]: crate::health\n"]
            #[doc = include_str!(concat!("../../../docs/strategies/", stringify!($name), ".md"))]
            #[doc = concat!(
                "\n# In Rust\n\n```\n",
                "use evenkeel::{LoadBalancer, ", $uses, "};\n\n",
                "# #[tokio::main(flavor = \"current_thread\")]\n",
                "# async fn main() -> Result<(), evenkeel::Error> {\n",
                "# let balancer = LoadBalancer::new();\n",
                "# balancer.configure(evenkeel::ServiceSettings::new(\"web\")).await?;\n",
                "let strategy = ", $settings, ";\n",
                "balancer.set_strategy(\"web\", strategy).await?;\n",
                "# let chosen = balancer.explain(\"web\")?.strategy;\n",
                "# assert_eq!(chosen.as_str(), \"", stringify!($name), "\");\n",
                "# Ok(())\n# }\n```\n",
            )]
            pub mod $name {}
        )*
    };
}

pages! {
    auto "StrategyName" "StrategyName::auto";
    adaptive "StrategyName" "StrategyName::adaptive";
    adaptive_health_aware "StrategySettings, strategies::{AdaptiveHealthAware, Factor}" r#"StrategySettings::adaptive_health_aware(AdaptiveHealthAware {
    trend_weight: Factor::clamped(1.0),
    ..AdaptiveHealthAware::default()
})"#;
    consistent_hash "StrategySettings, strategies::{ConsistentHash, HashSettings, LoadFactor}" r#"StrategySettings::consistent_hash(ConsistentHash {
    hash: HashSettings {
        bounded_load: LoadFactor::from_percent(125),
        ..HashSettings::default()
    },
    ..ConsistentHash::default()
})"#;
    geographical "StrategySettings, strategies::Geographical" r#"StrategySettings::geographical(Geographical {
    from: vec!["eu-west".into(), "a".into()],
    ..Geographical::default()
})"#;
    health_aware_least_connections "StrategySettings, strategies::{HealthAwareLeastConnections, HealthFactor}" r#"StrategySettings::health_aware_least_connections(HealthAwareLeastConnections {
    health: HealthFactor::new(0.1, 2),
})"#;
    health_weighted_round_robin "StrategySettings, strategies::{HealthFactor, HealthWeightedRoundRobin}" r#"StrategySettings::health_weighted_round_robin(HealthWeightedRoundRobin {
    health: HealthFactor::new(0.1, 2),
})"#;
    hot_cold "StrategyName" "StrategyName::hot_cold";
    least_connections "StrategyName" "StrategyName::least_connections";
    least_response_time "StrategyName" "StrategyName::least_response_time";
    maglev "StrategySettings, strategies::{Maglev, TableSize}" r#"StrategySettings::maglev(Maglev {
    table_size: TableSize::new(16_381).unwrap_or_default(),
    ..Maglev::default()
})"#;
    orca_weighted "Nanos, StrategySettings, strategies::OrcaWeighted" r#"StrategySettings::orca_weighted(OrcaWeighted {
    blackout: Nanos::from_secs(20),
    ..OrcaWeighted::default()
})"#;
    peak_ewma "StrategyName" "StrategyName::peak_ewma";
    power_of_two "StrategyName" "StrategyName::power_of_two";
    random "StrategyName" "StrategyName::random";
    rendezvous "StrategySettings, strategies::{HashSecret, HashSettings, Rendezvous}" r#"StrategySettings::rendezvous(Rendezvous {
    hash: HashSettings {
        secret: HashSecret::new(Some(b"16 bytes or more"), "web"),
        ..HashSettings::default()
    },
})"#;
    resource_aware "StrategySettings, strategies::{Factor, ResourceAware}" r#"StrategySettings::resource_aware(ResourceAware {
    cpu_weight: Factor::clamped(0.6),
    memory_weight: Factor::clamped(0.2),
    ..ResourceAware::default()
})"#;
    round_robin "StrategyName" "StrategyName::round_robin";
    weighted_random "StrategyName" "StrategyName::weighted_random";
    weighted_round_robin "StrategyName" "StrategyName::weighted_round_robin";
}

#[doc = "[`geographical`]: mod@geographical\n"]
#[doc = include_str!("../../../docs/strategies/hashing.md")]
///
/// # In Rust
///
/// The key of a request is what [`Selection::key`](crate::Selection::key) says; the setting `key` has no say there. A request
/// without one is spread at random, and [`ServiceCounts::absent_keys`](crate::ServiceCounts::absent_keys) counts it. The
/// settings are [`HashSettings`].
///
/// ```
/// use evenkeel::strategies::{ConsistentHash, HashSecret, HashSettings, LoadFactor};
/// use evenkeel::{Instance, LoadBalancer, Selection, StrategySettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let balancer = LoadBalancer::new();
/// for (id, address) in [("web-1", "10.0.0.11:9001"), ("web-2", "10.0.0.12:9001")] {
///     balancer.register_instance("web", Instance::new(id, address.parse()?)?).await?;
/// }
/// let hash = HashSettings {
///     secret: HashSecret::new(Some(b"16 bytes or more"), "web"),
///     bounded_load: LoadFactor::from_percent(125),
///     ..HashSettings::default()
/// };
/// let strategy = ConsistentHash { hash, ..ConsistentHash::default() };
/// balancer.set_strategy("web", StrategySettings::consistent_hash(strategy)).await?;
///
/// let alice = Selection::new().key("alice");
/// let first = balancer.select_instance("web", &alice)?.slot();
/// assert_eq!(balancer.select_instance("web", &alice)?.slot(), first);
/// # Ok(())
/// # }
/// ```
pub mod hashing {}
