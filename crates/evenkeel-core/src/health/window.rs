//! Exact counts of the last ten seconds, in buckets of one.
//!
//! The writer makes them from differences of the exact counters beside the instance, so they cost a request
//! nothing. A count belongs to the second in which the writer saw it, at most a second after it happened.

use crate::Nanos;

/// Seconds that are remembered, the present one included.
pub(crate) const SECONDS: usize = 10;

/// Counts by second.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// Successes and failures; the bucket of second s is s % 10.
    buckets: [(u32, u32); SECONDS],
    /// The newest second.
    head: u64,
}

fn second(now: Nanos) -> u64 {
    now.0 / 1_000_000_000
}

fn add(counter: &mut u32, n: u64) {
    *counter = counter.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
}

impl Window {
    /// Adds what happened since the last call.
    pub(crate) fn add(&mut self, successes: u64, failures: u64, now: Nanos) {
        self.advance(now);
        let bucket = &mut self.buckets[(self.head % SECONDS as u64) as usize];
        add(&mut bucket.0, successes);
        add(&mut bucket.1, failures);
    }

    /// Forgets what is ten seconds old.
    fn advance(&mut self, now: Nanos) {
        let second = second(now);
        let steps = second.saturating_sub(self.head).min(SECONDS as u64);
        for step in 0..steps {
            self.buckets[((second - step) % SECONDS as u64) as usize] = (0, 0);
        }
        self.head = self.head.max(second);
    }

    /// Failures and all requests in it, as of the last addition.
    pub(crate) fn failures_of(&self) -> (u64, u64) {
        let sum = self.buckets.iter().fold((0, 0), |(good, bad), bucket| {
            (good + u64::from(bucket.0), bad + u64::from(bucket.1))
        });
        (sum.1, sum.0 + sum.1)
    }

    /// The same of the present second and the one before.
    pub(crate) fn latest(&self) -> (u64, u64) {
        let seconds = SECONDS as u64;
        let places = [self.head % seconds, (self.head + seconds - 1) % seconds];
        let [now, before] = places.map(|place| self.buckets[place as usize]);
        let bad = u64::from(now.1) + u64::from(before.1);
        (bad, bad + u64::from(now.0) + u64::from(before.0))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.buckets = Default::default();
    }

    /// Follows a clock that stepped `back`, to the second.
    pub(crate) fn shift(&mut self, back: Nanos) {
        let steps = second(back).min(self.head);
        self.head -= steps;
        self.buckets.rotate_left((steps % SECONDS as u64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_are_counted_exactly() {
        let mut window = Window::default();
        let at = |ms: u64| Nanos::from_millis(100_000 + ms);
        for step in 0..100 {
            window.add(3, 1, at(step * 100));
        }
        assert_eq!(window.failures_of(), (100, 400));
        assert_eq!(window.latest(), (20, 80));
        window.add(0, 0, at(10_000));
        assert_eq!(window.failures_of(), (90, 360), "the first second is over");
        window.add(0, 0, at(18_999));
        assert_eq!(window.failures_of(), (10, 40));
        window.add(0, 7, at(3_600_000));
        assert_eq!(window.failures_of(), (7, 7));
        window.clear();
        assert_eq!(window.failures_of(), (0, 0));
    }

    #[test]
    fn a_clock_that_steps_back_takes_the_counts_along() {
        let mut window = Window::default();
        window.add(1, 0, Nanos::from_secs(95));
        window.add(2, 0, Nanos::from_secs(97));
        window.shift(Nanos::from_secs(84));
        assert_eq!(window.failures_of(), (0, 3));
        window.add(4, 0, Nanos::from_secs(20));
        assert_eq!(window.failures_of(), (0, 7), "11 to 20 are ten seconds");
        window.add(0, 0, Nanos::from_secs(21));
        assert_eq!(window.failures_of(), (0, 6));
        window.shift(Nanos::MAX);
        window.add(0, u64::MAX, Nanos::ZERO);
        assert_eq!(
            window.failures_of(),
            (u64::from(u32::MAX), u64::from(u32::MAX) + 6)
        );
    }
}
