//! The one place that reads clocks.

use std::time::SystemTime;

use evenkeel_core::Nanos;
use tokio::time::Instant;

/// Monotonic time as [`Nanos`] since the clock was started.
///
/// It reads tokio's clock, so that a test that pauses tokio's time also pauses this one.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that shows zero now. Start one per process; copies agree.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The time now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos::from(self.origin.elapsed())
    }

    /// `at` on the wall clock. Counted back from the present rather than forward from the start, so
    /// that it stays right when the wall clock was set or the machine slept in between.
    #[must_use]
    pub fn wall(&self, at: Nanos) -> SystemTime {
        let now = self.now();
        let wall = SystemTime::now();
        let shifted = if at <= now {
            wall.checked_sub(now.since(at).as_duration())
        } else {
            wall.checked_add(at.since(now).as_duration())
        };
        shifted.unwrap_or(wall)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_follows_paused_time() {
        let clock = Clock::start();
        assert_eq!(clock.now(), Nanos::ZERO);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Nanos::from_secs(3));
    }

    #[test]
    fn wall_time_is_counted_from_the_present() {
        let clock = Clock::start();
        let before = SystemTime::now();
        let wall = clock.wall(clock.now() + Nanos::from_secs(60));
        let ahead = wall.duration_since(before).unwrap_or_default();
        assert!((59..=61).contains(&ahead.as_secs()), "{ahead:?}");
        assert!(clock.wall(Nanos::MAX) > before);
    }
}
