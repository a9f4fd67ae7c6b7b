//! When instances are taken out and how they come back, as an operator sets it.

use crate::Nanos;

/// How many check results in a row change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckThresholds {
    /// Failures until down. The very first check needs one.
    pub unhealthy: u32,
    /// Successes until healthy again.
    pub healthy: u32,
}

impl Default for CheckThresholds {
    fn default() -> Self {
        Self {
            unhealthy: 3,
            healthy: 2,
        }
    }
}

/// What a detector does when it finds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Ejects.
    #[default]
    Enforce,
    /// Says that it would eject, counts, and does nothing.
    DryRun,
    /// Nothing, and does not look.
    Off,
}

/// How an instance comes back from an ejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recovery {
    /// Every ejection lasts as long as the longest; then it has its full share.
    Fixed,
    /// Each ejection in a row lasts twice as long; then it has its full share.
    Backoff,
    /// As [`Self::Backoff`]; then its share grows with the evidence for it.
    #[default]
    Ramp,
}

/// When instances are taken out, and how they come back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EjectionSettings {
    /// Failures in a row that eject; 0 switches all ejection by requests off.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts, give or take a tenth; each further one twice as long.
    pub base: Nanos,
    /// No ejection is longer.
    pub max: Nanos,
    /// How they come back.
    pub recovery: Recovery,
    /// What a run of [`Self::consecutive_failures`] does.
    pub on_consecutive: Mode,
    /// What too many failures in ten seconds do.
    pub on_error_rate: Mode,
    /// What a sudden rise of failures, found by the sequential test, does.
    pub on_burst: Mode,
    /// What responses do that take much longer than those of the peers.
    pub on_slow: Mode,
    /// What requests do that wait without any answer, while others answer.
    pub on_silence: Mode,
    /// What a score below [`Self::threshold`] does. Unless it is enforced, no score costs any part of a share either.
    pub on_score: Mode,
    /// What a prediction does that an instance is about to be bad: enforced, it lowers its share.
    pub on_prediction: Mode,
    /// Whether what counts as too much follows what the fleet commonly fails, and an instance's own past excuses that it is
    /// slow. Else the settings alone say what is too much, with a sequential test from 1 % to 10 %.
    pub adaptive: bool,
    /// The share of failures in ten seconds that is too much, `0.0..=1.0`.
    pub error_rate: f32,
    /// With fewer requests in ten seconds the share says nothing.
    pub error_rate_requests: u32,
    /// So many times slower than its peers and than itself before is slow; at least 1.
    pub slow_factor: f32,
    /// The part of the instances that may be out at most, rounded up, `0.0..=1.0`; what is out by its checks does not count.
    pub max_ejected: f32,
    /// With a score below this an instance gets no requests, `0.0..=1.0`; 0 for never.
    pub threshold: f32,
    /// And it gets some again from this on; below [`Self::threshold`] it counts as that.
    pub recovery_threshold: f32,
    /// How often scores are judged anew when nothing happens. An alarm judges at once.
    pub refresh: Nanos,
}

impl Default for EjectionSettings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base: Nanos::from_secs(5),
            max: Nanos::from_secs(300),
            recovery: Recovery::default(),
            on_consecutive: Mode::Enforce,
            on_error_rate: Mode::Enforce,
            on_burst: Mode::Enforce,
            on_slow: Mode::Enforce,
            on_silence: Mode::Enforce,
            on_score: Mode::Enforce,
            on_prediction: Mode::Off,
            adaptive: true,
            error_rate: 0.5,
            error_rate_requests: 20,
            slow_factor: 5.0,
            max_ejected: 0.5,
            threshold: 0.5,
            recovery_threshold: 0.8,
            refresh: Nanos::from_secs(1),
        }
    }
}

impl EjectionSettings {
    /// Whether requests take nobody out.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.consecutive_failures == 0
    }

    /// Whether something only says what it would do.
    pub(crate) fn has_dry_run(&self) -> bool {
        [
            self.on_consecutive,
            self.on_error_rate,
            self.on_burst,
            self.on_slow,
            self.on_silence,
            self.on_score,
        ]
        .contains(&Mode::DryRun)
    }

    /// How many of so many instances may be out at most.
    pub(crate) fn most_out(&self, instances: usize) -> usize {
        let share = match self.max_ejected.is_nan() {
            true => 0.5,
            false => self.max_ejected.clamp(0.0, 1.0),
        };
        // A hair less, because a tenth is none exactly: of ten it is one.
        (f64::from(share) * instances as f64 - 1e-6).ceil() as usize
    }
}
