//! The health of one instance: what active checks and request outcomes say, and for how long.
//!
//! Two independent judges can take an instance out. Checks ([`checks`]) ask "does it answer its health
//! path", requests ([`ejection`]) ask "does it do its work"; neither overrules the other, because a
//! server may answer its health path while failing every request, and fail it while doing its work. Decisions
//! that need the other instances (how many may be out at once, whether checks can be believed) are not taken
//! here but by the service.
//!
//! Beside the two there is one score from 0 to 1 ([`score`]), the worst of five parts ([`vitals`]): strategies
//! give a weak instance less, and below a threshold it gets nothing.

use std::sync::Arc;

pub(crate) mod burst;
pub(crate) mod calibration;
pub(crate) mod checks;
pub(crate) mod ejection;
pub(crate) mod foresight;
pub(crate) mod latency;
mod outlook;
pub(crate) mod ramp;
mod requests;
mod score;
mod settings;
pub(crate) mod silence;
pub(crate) mod thresholds;
mod trend;
pub(crate) mod vitals;
pub(crate) mod window;

pub(crate) use burst::Suspicion;
pub use calibration::{Calibration, CalibrationBin};
pub use ejection::BreakerState;
pub use foresight::HORIZON as PREDICTION_HORIZON;
pub use outlook::Outlook;
pub(crate) use outlook::OutlookCell;
pub(crate) use requests::THROTTLED;
pub use score::{HealthPart, HealthParts};
pub use settings::{CheckThresholds, EjectionSettings, Mode, Recovery};
pub(crate) use silence::Unanswered;
pub use thresholds::Thresholds;

use crate::Nanos;

/// What operators see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceState {
    /// Takes traffic.
    Healthy,
    /// Gets no new requests, because somebody said so.
    Draining,
    /// Active checks failed.
    Down,
    /// Its requests failed; out until the given time.
    Ejected {
        /// When it returns.
        until: Nanos,
    },
    /// Its score is below the threshold.
    Weak,
}

impl InstanceState {
    /// A word for tables, the API and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Ejected { .. } => "ejected",
            Self::Weak => "weak",
        }
    }
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As expected.
    Passed,
    /// Not.
    Failed(CheckFailure),
}

/// Why a check failed, in words: "connection refused", "status 503, expected 200-399".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure(pub Arc<str>);

/// Since when something is so, and why.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) since: Nanos,
    pub(crate) reason: Arc<str>,
}

impl Mark {
    pub(crate) fn new(since: Nanos, reason: Arc<str>) -> Self {
        Self { since, reason }
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.since = self.since.since(back);
    }
}
