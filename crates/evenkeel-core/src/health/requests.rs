//! The part of the score that comes from requests: the share of good ones, of few or of many.
//!
//! A Beta estimate with forgetting. G and B are the good and the bad requests that are remembered:
//!
//! ```text
//! part = (4 + G) / (4 + G + B)
//! ```
//!
//! * Four imagined good ones ([`PRIOR`]) speak for an instance nothing is known of: its part is 1; after three
//!   failures it is 4/7, after five 4/9, the first below 0.5. So the default threshold of the score and the
//!   default run of failures agree.
//! * G and B halve every ten seconds ([`HALF_LIFE`]), so that an instance without traffic fades back to 1: five
//!   failures are 0.8 again, the default recovery threshold, after 23 s. Nobody waits for ever for
//!   requests to prove what only requests could.
//! * And no more than the last hundred requests ([`MEMORY`]) are remembered, so that a thousand good ones a second
//!   cannot hide a hundred bad ones: errors count at once, at any rate.
//! * The part rises by no more than a tenth a second ([`RISE`]), whatever the rate: success raises it gradually.
//!
//! A 408 or 429 is three quarters good ([`THROTTLED`]): the instance says that it is too busy for more, which
//! is worth a smaller share; but it answers, and sending its requests to others that are as busy
//! helps nobody. Only such answers leave 0.75, or the threshold where that is higher: they take nobody out.

use crate::Nanos;
use crate::math::exp2_neg;

/// Good requests that are imagined.
const PRIOR: f32 = 4.0;
/// After this, what is remembered weighs half as much.
const HALF_LIFE: Nanos = Nanos::from_secs(10);
/// Requests that are remembered at most. A hundred: at 1 % errors the part varies by 1 %.
const MEMORY: f32 = 100.0;
/// The part rises by this in a second at most.
const RISE: f32 = 0.1;
/// How good a request is that the instance refused because it is too busy.
pub(crate) const THROTTLED: f32 = 0.75;

/// 2^-x for x ≥ 0, to within 0.1 % also over many small steps, which [`exp2_neg`] is not.
fn half_each(x: f64) -> f64 {
    let part = x.fract();
    exp2_neg(x.trunc()) * (1.0 - part * (std::f64::consts::LN_2 - part * (0.240_227 - part * 0.047_080)))
}

/// What is remembered of the requests of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    good: f32,
    bad: f32,
    /// Of the bad, what was no failure.
    busy: f32,
    part: f32,
    at: Nanos,
}

impl Requests {
    /// Nothing is known.
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            good: 0.0,
            bad: 0.0,
            busy: 0.0,
            part: 1.0,
            at: now,
        }
    }

    /// Adds requests that ended since the last call.
    pub(crate) fn add(&mut self, successes: u64, failures: u64, throttled: u64, now: Nanos) {
        let elapsed = now.since(self.at);
        self.at = now;
        let new = (successes + failures + throttled) as f32;
        let kept = half_each(elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64()) as f32;
        let old = (self.good + self.bad) * kept;
        // New ones push out old ones, and of too many new ones the share is kept.
        let kept = if old + new > MEMORY {
            kept * ((MEMORY - new).max(0.0) / old.max(f32::MIN_POSITIVE))
        } else {
            kept
        };
        let weight = if new > MEMORY { MEMORY / new } else { 1.0 };
        let busy = throttled as f32 * (1.0 - THROTTLED);
        let bad = failures as f32 + busy;
        self.good = self.good * kept + (new - bad) * weight;
        self.bad = self.bad * kept + bad * weight;
        self.busy = self.busy * kept + busy * weight;
        let raw = (PRIOR + self.good) / (PRIOR + self.good + self.bad);
        self.part = raw.min(self.part + RISE * elapsed.as_secs_f64() as f32);
    }

    /// The part of the score, where one below `threshold` takes an instance out: being too busy does not.
    pub(crate) fn part(&self, threshold: f32) -> f32 {
        let failures = (self.bad - self.busy).max(0.0);
        let fails = (PRIOR + self.good + self.busy) / (PRIOR + self.good + self.busy + failures);
        match self.busy > 0.0 && fails >= threshold {
            true => self.part.max(threshold.min(1.0)),
            false => self.part,
        }
    }

    /// Bad requests and all requests that are remembered.
    pub(crate) fn bad_of(&self) -> (f32, f32) {
        (self.bad, self.good + self.bad)
    }

    /// Forgets, but for as much as leaves the part at `part`: where one stands that has to prove itself.
    pub(crate) fn restart_at(&mut self, part: f32) {
        let part = if part.is_nan() { 1.0 } else { part.clamp(0.1, 1.0) };
        self.good = 0.0;
        self.bad = PRIOR / part - PRIOR;
        self.busy = 0.0;
        self.part = part;
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.at = self.at.since(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn failures_of_a_fresh_instance_count_at_once() {
        let mut requests = Requests::new(Nanos::ZERO);
        let mut parts = Vec::new();
        for _ in 0..6 {
            parts.push(requests.part(0.0));
            requests.add(0, 1, 0, Nanos::ZERO);
        }
        for (part, expected) in parts.iter().zip([1.0, 0.8, 4.0 / 6.0, 4.0 / 7.0, 0.5, 4.0 / 9.0]) {
            assert!((part - expected).abs() < 1e-6, "{parts:?}");
        }
    }

    #[test]
    fn without_traffic_it_fades_back_to_one() {
        let mut requests = Requests::new(Nanos::ZERO);
        requests.add(0, 5, 0, Nanos::ZERO);
        let mut reached = None;
        for second in 1..200 {
            let before = requests.part(0.0);
            requests.add(0, 0, 0, Nanos(second * SECOND));
            assert!(requests.part(0.0) >= before);
            if requests.part(0.0) >= 0.8 {
                reached = reached.or(Some(second));
            }
        }
        assert!((22..=26).contains(&reached.unwrap()), "{reached:?}");
        assert!(requests.part(0.0) > 0.999);
    }

    #[test]
    fn a_high_rate_hides_nothing_and_success_raises_gradually() {
        let mut requests = Requests::new(Nanos::ZERO);
        for second in 1..100 {
            requests.add(1000, 0, 0, Nanos(second * SECOND));
        }
        assert_eq!(requests.part(0.0), 1.0);
        requests.add(0, 100, 0, Nanos(99 * SECOND));
        assert!(
            requests.part(0.0) < 0.04,
            "a tenth of a second of failures: {requests:?}"
        );
        let mut seconds = 0;
        while requests.part(0.0) < 0.999 {
            let before = requests.part(0.0);
            requests.add(1000, 0, 0, Nanos((100 + seconds) * SECOND));
            assert!(requests.part(0.0) <= before + 0.1001);
            seconds += 1;
        }
        assert!((9..=11).contains(&seconds), "{seconds}");
    }

    #[test]
    fn the_share_is_that_of_the_last_hundred() {
        let mut requests = Requests::new(Nanos::ZERO);
        requests.add(8000, 2000, 0, Nanos::ZERO);
        assert!((requests.part(0.0) - 84.0 / 104.0).abs() < 1e-4, "{requests:?}");
        assert!((requests.bad_of().1 - 100.0).abs() < 1e-3);
        requests.add(0, 30, 0, Nanos::ZERO);
        assert!((requests.bad_of().0 - 44.0).abs() < 1e-3, "{requests:?}");
        assert!((requests.bad_of().1 - 100.0).abs() < 1e-3);
        requests.add(u64::MAX / 4, 0, 0, Nanos::MAX);
        assert!((0.99..=1.0).contains(&requests.part(0.0)), "{requests:?}");
    }

    #[test]
    fn being_too_busy_costs_a_quarter_at_most() {
        let mut requests = Requests::new(Nanos::ZERO);
        for second in 1..100 {
            requests.add(0, 0, 500, Nanos(second * SECOND));
            assert!(requests.part(0.0) >= 0.75, "{requests:?}");
        }
        assert!(requests.part(0.0) < 0.77, "{requests:?}");
        assert_eq!(requests.part(0.9), 0.9, "whatever the threshold");
        requests.add(0, 60, 0, Nanos(100 * SECOND));
        assert!(requests.part(0.9) < 0.6, "failures do: {requests:?}");
    }

    #[test]
    fn who_comes_back_stands_where_it_has_to_prove_itself() {
        let mut requests = Requests::new(Nanos::ZERO);
        requests.add(0, 90, 0, Nanos::ZERO);
        requests.add(0, 0, 0, Nanos(SECOND));
        requests.restart_at(0.8);
        assert_eq!(requests.part(0.0), 0.8);
        requests.add(0, 0, 0, Nanos(SECOND));
        assert!((requests.part(0.0) - 0.8).abs() < 1e-6);
        requests.add(0, 4, 0, Nanos(SECOND));
        assert!(requests.part(0.0) < 0.5);
        for odd in [0.0, -1.0, f32::NAN, 2.0] {
            requests.restart_at(odd);
            requests.add(1, 0, 0, Nanos::ZERO);
            assert!((0.1..=1.0).contains(&requests.part(0.0)), "{odd}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_not_fade() {
        let mut requests = Requests::new(Nanos(50 * SECOND));
        requests.add(0, 5, 0, Nanos(50 * SECOND));
        requests.shift(Nanos(40 * SECOND));
        requests.add(0, 0, 0, Nanos(20 * SECOND));
        assert!(
            (0.6..0.65).contains(&requests.part(0.0)),
            "10 s later: {requests:?}"
        );
    }
}
