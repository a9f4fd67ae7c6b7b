//! What counts against an instance.

use evenkeel_core::{Nanos, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The thresholds in force, which follow the fleet unless `circuit_breaker.adaptive_thresholds` is `false`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Thresholds {
    /// Whether they follow the fleet.
    pub adaptive: bool,
    /// What part of their requests three quarters of the instances fail at least, with a margin.
    pub usual_failure_share: f64,
    /// Failures in a row that are too many; on probation fewer are.
    pub consecutive_errors: u32,
    /// The share of failures in ten seconds that is too much.
    pub error_rate: f64,
    /// Up to this share of failures the sequential test finds nothing.
    pub burst_from: f64,
    /// This share of failures it finds within about a hundred requests.
    pub burst_to: f64,
    /// The whole fleet has just begun to fail more: nobody is ejected for failures before it is known how much.
    pub rising: bool,
    /// The response time from which on an instance is slow, of the one with the lowest and of that with the highest:
    /// `slow_factor` times that of its peers or its own past, and 10 ms. `null` while there is nothing to compare.
    pub slow_from_seconds: Option<[f64; 2]>,
}

impl Thresholds {
    pub(crate) fn of(view: &View) -> Self {
        let now = view.counters().thresholds();
        Self {
            adaptive: view.has_adaptive_thresholds(),
            usual_failure_share: rounded(now.usual_failures),
            consecutive_errors: now.run,
            error_rate: rounded(now.error_rate),
            burst_from: rounded(now.burst[0]),
            burst_to: rounded(now.burst[1]),
            rising: now.rising,
            slow_from_seconds: now.slow.map(|slow| slow.map(Nanos::as_secs_f64)),
        }
    }
}

/// To what a reader would have written.
fn rounded(share: f32) -> f64 {
    (f64::from(share) * 1e6).round() / 1e6
}
