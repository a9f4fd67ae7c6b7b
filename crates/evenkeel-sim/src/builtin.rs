//! The scenarios that come with the simulator.

use evenkeel_config::ConfigError;

use crate::Scenario;

macro_rules! scenarios {
    ($($name:literal),+ $(,)?) => {
        /// The names of the scenarios that come with the simulator.
        pub const BUILT_IN: &[&str] = &[$($name),+];

        /// The file of a scenario that comes with the simulator.
        #[must_use]
        pub fn built_in_text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../scenarios/", $name, ".yaml"))),)+
                _ => None,
            }
        }
    };
}

scenarios![
    "healthy",
    "antagonists",
    "antagonists_steady",
    "slow_node",
    "gray_node",
    "slow_quarter",
    "slow_half",
    "tower_demo",
    "unlike_speeds",
    "declared_speeds",
    "fail_fast",
    "gray_errors",
    "bursts",
    "shared_dependency",
    "flapping",
    "region_loss",
    "region_brown_out",
    "scale_out",
    "rolling_restart",
    "hot_key",
    "retry_storm",
    "retry_storm_without_budget",
    "telemetry_faults",
    "regimes",
    "heavy_tail",
    "long_polls",
    "two_servers",
    "priorities",
    "leak",
    "memory_leak",
];

/// A scenario that comes with the simulator; `None` when there is none of this name.
///
/// # Errors
/// Never: a test reads them all.
pub fn built_in(name: &str) -> Option<Result<Scenario, ConfigError>> {
    built_in_text(name).map(|text| Scenario::from_str(name, text))
}
