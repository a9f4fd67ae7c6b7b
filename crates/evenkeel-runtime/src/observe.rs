//! What is observed of a service for people, and how much of it. Nothing is decided by it.

use evenkeel_core::Nanos;

use crate::record::PickRecords;
use crate::service::Service;

/// What a service observes of itself beside what its health and its strategy go by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observe {
    /// Whether requests, retries and checks are counted ([`Service::metrics`]).
    pub metrics: bool,
    /// The part of the picks that is recorded, 0 (none) to 1 (all).
    pub record_picks: f64,
}

impl Default for Observe {
    /// Counts, and records nothing.
    fn default() -> Self {
        Self {
            metrics: true,
            record_picks: 0.0,
        }
    }
}

impl Service {
    /// Observes this from now on. What was counted and recorded before stays. A recording that is switched on for a time
    /// goes on.
    pub fn observe(&self, observe: Observe) {
        self.metrics().switch(observe.metrics);
        self.recorder().configure(observe.record_picks);
    }

    /// Records a part of the picks, 0 to 1, until a time on the balancer's clock, whatever is configured.
    pub fn record_picks(&self, share: f64, until: Nanos) {
        self.recorder().switch(share, until);
    }

    /// Ends that before its time.
    pub fn stop_recording(&self) {
        self.recorder().end();
    }

    /// The picks that were recorded last, with the names of the instances there are now. O(records).
    #[must_use]
    pub fn recorded_picks(&self, now: Nanos) -> PickRecords {
        self.recorder().read(&self.view(), now)
    }
}
