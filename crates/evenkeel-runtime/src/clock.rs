//! The one place that reads clocks.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::SystemTime;

use evenkeel_core::Nanos;
use tokio::time::Instant;

/// Monotonic time as [`Nanos`] since the clock was started.
///
/// It reads tokio's clock, so that a test that pauses tokio's time also pauses this one.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// The time since then.
    Runs(Instant),
    /// What was set.
    Stands(&'static AtomicU64),
}

impl Clock {
    /// A clock that shows zero now. Start one per process; copies agree.
    #[must_use]
    pub fn start() -> Self {
        Self {
            source: Source::Runs(Instant::now()),
        }
    }

    /// A clock for tests of what has threads of its own: it shows zero until it is [set on](Self::set_on), so that nothing
    /// is late however long it takes.
    #[doc(hidden)]
    #[must_use]
    pub fn standing() -> Self {
        Self {
            source: Source::Stands(Box::leak(Box::default())),
        }
    }

    /// Lets a standing clock, and its copies, show so much more.
    ///
    /// # Panics
    ///
    /// If it runs by itself.
    #[doc(hidden)]
    pub fn set_on(&self, by: Nanos) {
        match self.source {
            Source::Stands(shown) => _ = shown.fetch_add(by.0, SeqCst),
            Source::Runs(_) => panic!("this clock runs by itself"),
        }
    }

    /// The time now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        match self.source {
            Source::Runs(origin) => Nanos::from(origin.elapsed()),
            Source::Stands(shown) => Nanos(shown.load(SeqCst)),
        }
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
    fn one_that_stands_shows_what_it_was_set_on_by() {
        let clock = Clock::standing();
        let copy = clock;
        clock.set_on(Nanos::from_millis(3));
        clock.set_on(Nanos::from_millis(4));
        assert_eq!(copy.now(), Nanos::from_millis(7));
        assert_eq!(Clock::standing().now(), Nanos::ZERO);
    }

    #[test]
    fn wall_time_is_counted_from_the_present() {
        let clock = Clock::start();
        let before = SystemTime::now();
        let wall = clock.wall(clock.now() + Nanos::from_secs(60));
        let after = SystemTime::now();
        // The two clocks need not go at quite the same pace.
        let (ahead, slack) = (Duration::from_secs(60), Duration::from_secs(1));
        assert!(
            wall + slack >= before + ahead && wall <= after + ahead + slack,
            "{wall:?}"
        );
        assert!(clock.wall(Nanos::MAX) > before);
    }
}
