//! What was counted of a service.

use evenkeel_core::{EventKind, View};
use evenkeel_runtime::ServiceMetrics;

/// What was counted of a service since it was made. Numbers only ever grow, so rates are differences of two. What its
/// instances' requests came to is counted beside each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceCounts {
    /// Requests that found no instance.
    pub no_picks: u64,
    /// Requests without what the strategy hashes, spread at random instead.
    pub absent_keys: u64,
    /// Requests from regions in which the strategy knows no instance.
    pub unknown_regions: u64,
    /// Picks made while too few instances were healthy: checks and priorities had no say.
    pub fallback_picks: u64,
    /// Load reports with responses that were not acceptable, and therefore said nothing.
    pub bad_load_reports: u64,
    /// Active checks that were passed.
    pub checks_passed: u64,
    /// Active checks that were not.
    pub checks_failed: u64,
    /// How often each kind of event happened, in the order of [`EventKind::ALL`].
    pub events: Vec<(EventKind, u64)>,
}

impl ServiceCounts {
    pub(crate) fn new(metrics: &ServiceMetrics, view: &View) -> Self {
        let counted = metrics.snapshot();
        Self {
            no_picks: counted.no_picks,
            absent_keys: counted.absent_keys,
            unknown_regions: counted.unknown_regions,
            fallback_picks: counted.fallback_picks,
            bad_load_reports: counted.bad_load_reports,
            checks_passed: counted.checks_passed,
            checks_failed: counted.checks_failed,
            events: view.counters().iter().collect(),
        }
    }

    /// How often `kind` happened.
    #[must_use]
    pub fn of(&self, kind: EventKind) -> u64 {
        let found = self.events.iter().find(|(other, _)| *other == kind);
        found.map_or(0, |(_, count)| *count)
    }
}
