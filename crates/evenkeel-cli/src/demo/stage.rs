//! The demo's own time: how far the script has come.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Shared by all who act on the script. Before it has begun, its time stands at zero.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    duration: Duration,
    begun: Arc<OnceLock<Instant>>,
}

impl Stage {
    pub(super) fn new(duration: Duration) -> Self {
        Self {
            duration,
            begun: Arc::default(),
        }
    }

    /// Starts the time and says when that was. Only the first call counts.
    pub(super) fn begin(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    pub(super) fn duration(&self) -> Duration {
        self.duration
    }

    /// Time since the begin; grows beyond the duration.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// The elapsed part of the duration; grows beyond 1.
    pub(super) fn part(&self) -> f64 {
        self.elapsed().as_secs_f64() / self.duration.as_secs_f64()
    }

    /// How long it takes until `part` is reached, if the time began now or has begun.
    pub(super) fn until(&self, part: f64) -> Duration {
        self.duration.mul_f64(part).saturating_sub(self.elapsed())
    }
}
