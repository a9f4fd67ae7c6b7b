//! The share of an instance that came back: as much as its evidence since then is good for.
//!
//! ```text
//! share = max(1/8, W(s, n) / recovery threshold), at most 1        W: Wilson's lower bound, z = 1.96
//! ```
//!
//! s of n requests succeeded since it came back. W is what the share of successes is at least, with 97.5 %
//! confidence (Wilson 1927): 0.21 after one success of one, 0.57 after five of five, 0.81 after sixteen of sixteen.
//! So an instance without a failure has its full share after sixteen answers, and one that still fails a fifth of
//! its requests never gets it. Where nobody asks, time has to do: after one ejection-length with no failures to
//! speak of it has its full share; and after four, but no less than a minute, in any case, for a strategy that
//! hardly asks it again, or a fleet that fails alike, must not keep it reduced for ever.

use crate::{Nanos, Share};

/// The least share: enough that a service of some requests a second finds out.
const LEAST: f64 = 0.125;
/// Quantile of the normal distribution: one-sided 97.5 %.
const Z: f64 = 1.96;
/// Lengths of the ejection after which the share is full whatever the evidence…
const LENGTHS: u64 = 4;
/// …and how long that takes at least.
const PATIENCE: Nanos = Nanos::from_secs(60);
/// Shares go in steps of this many units, so that evidence does not build a view for each answer.
const STEP: u32 = 16;

/// A way back.
#[derive(Debug, Clone)]
pub(crate) struct Ramp {
    pub(crate) since: Nanos,
    /// How long it was out.
    pub(crate) length: Nanos,
    /// The bound that is worth a full share.
    pub(crate) full_at: f64,
}

/// Wilson's lower bound of the success share behind `successes` of `n`.
pub(crate) fn wilson(successes: u64, n: u64) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let n = n as f64;
    let p = successes as f64 / n;
    let spread = (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((p + Z * Z / (2.0 * n) - Z * spread) / (1.0 + Z * Z / n)).max(0.0)
}

/// Whether so many successes of `n` requests are no failures to speak of.
pub(crate) fn is_sound(good: u64, n: u64, wanted: f64) -> bool {
    n == 0 || good as f64 >= wanted * n as f64
}

impl Ramp {
    /// The part of its share at `now`, exactly.
    fn part(&self, good: u64, n: u64, now: Nanos) -> f64 {
        let elapsed = now.since(self.since).0;
        let over = elapsed >= self.length.0 && is_sound(good, n, self.full_at);
        if over || elapsed >= self.length.0.saturating_mul(LENGTHS).max(PATIENCE.0) {
            return 1.0;
        }
        (wilson(good, n) / self.full_at.max(LEAST)).clamp(LEAST, 1.0)
    }

    /// The share at `now` of one with so many successes of `n` requests, in steps.
    pub(crate) fn share(&self, good: u64, n: u64, now: Nanos) -> Share {
        let units = Share::of(self.part(good, n, now)).units();
        Share::of(f64::from(units / STEP * STEP) / f64::from(Share::UNITS))
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.since = self.since.since(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_wilsons() {
        for (successes, n, bound) in [
            (0, 0, 0.0),
            (1, 1, 0.207),
            (5, 5, 0.566),
            (10, 10, 0.722),
            (20, 20, 0.839),
            (100, 100, 0.963),
            (4, 5, 0.376),
            (9, 10, 0.596),
            (95, 100, 0.888),
        ] {
            let found = wilson(successes, n);
            assert!((found - bound).abs() < 6e-4, "{successes} of {n}: {found}");
        }
        assert!(wilson(u64::MAX, u64::MAX) <= 1.0 && wilson(0, 10) >= 0.0);
    }

    fn ramp() -> Ramp {
        Ramp {
            since: Nanos::from_secs(10),
            length: Nanos::from_secs(5),
            full_at: 0.8,
        }
    }

    #[test]
    fn evidence_raises_the_share_and_failures_lower_it() {
        let share = |good: u64, bad: u64| ramp().share(good, good + bad, Nanos::from_secs(11)).as_f64();
        assert_eq!(share(0, 0), 0.125);
        let shares: Vec<f64> = (0..17).map(|n| share(n, 0)).collect();
        assert!(shares.is_sorted(), "{shares:?}");
        assert_eq!(share(16, 0), 1.0);
        assert!(share(15, 0) < 1.0);
        assert!(share(16, 4) < share(16, 1));
        assert!(share(160, 40) < 1.0, "a fifth fails");
        assert_eq!(share(0, 9), 0.125);
    }

    #[test]
    fn time_does_where_nobody_asks() {
        let at = |seconds: u64, good: u64, bad: u64| {
            let now = Nanos::from_secs(10 + seconds);
            ramp().share(good, good + bad, now).as_f64()
        };
        assert_eq!(at(4, 0, 0), 0.125);
        assert_eq!(at(5, 0, 0), 1.0);
        assert_eq!(at(5, 4, 1), 1.0, "no failures to speak of");
        assert!(at(59, 3, 3) < 0.3);
        assert_eq!(at(60, 3, 3), 1.0, "in any case");
        let mut back = ramp();
        back.shift(Nanos::from_secs(10));
        assert_eq!(back.share(0, 0, Nanos::from_secs(5)), Share::FULL);
    }
}
