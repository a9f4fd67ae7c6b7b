//! The sequential test for sudden failures: a cumulative sum of log-likelihood ratios (Bernoulli CUSUM, Page 1954).
//!
//! For every outcome the suspicion S moves by how much likelier it is at a failure rate p1 than at p0, never
//! below 0; at [`BAR`] it is an alarm:
//!
//! ```text
//! failure: S += ln(p1 / p0)        success: S = max(0, S − ln((1 − p0) / (1 − p1)))
//! ```
//!
//! At p0 = 1 % and p1 = 10 % that is +2.303 and −0.0953. While an instance fails no more often than p0, at least
//! e^BAR = 10⁶ requests lie between two false alarms on average (Lorden 1971). One that fails 20 % is found after
//! about BAR / 0.384 = 36 requests (Wald), one that fails always after 6. The sum knows no time: an instance with one
//! request a minute is found after as many requests as any other.
//!
//! A fleet that fails a little alike is not worth an alarm: the writer raises p0 to what three quarters of the
//! fleet fail at least, in the steps of [`LEVELS`]. Those keep the ratio of odds between p0 and p1 (11); their logarithms are written
//! out, because the last bit of a computed one differs between platforms.
//!
//! Workers fold the sum as requests end ([`Suspicion`], in [`crate::Stats`]): a relaxed load for a success of an
//! instance without failures, a load and a store otherwise.

use crate::sync::{AtomicU32, Ordering::Relaxed};

/// ln 10⁶, a hair less, so that six failures in a row at the lowest level, six times ln 10, are enough.
pub(crate) const BAR: f32 = 13.8155;
/// The bar on probation, ln 10³: who was out before is believed less. A sound one at p0 is ejected again with a
/// probability of at most one in a thousand before its sum is back at 0.
pub(crate) const BAR_ON_PROBATION: f32 = BAR / 2.0;
/// Failures close together from which on a peer seems to fail as well: two. At the lowest level a sound peer is
/// there at a random moment with a probability of at most e^−3.45 = 3 %.
const SIGN: f32 = 1.5;

/// The sum goes no higher: where nobody looks at it, it must still come down some day.
const CEILING: f32 = 2.0 * BAR;

/// What outcomes do to the sum while the fleet fails up to a certain rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// p0.
    pub(crate) rate: f32,
    /// ln(p1 / p0).
    pub(crate) up: f32,
    /// ln((1 − p0) / (1 − p1)).
    pub(crate) down: f32,
    /// p1.
    pub(crate) high: f32,
    /// Failures in a row that are as unlikely as one in a million at p0.
    pub(crate) run: u32,
}

const fn level(rate: f32, up: f32, down: f32, high: f32, run: u32) -> Level {
    Level {
        rate,
        up,
        down,
        high,
        run,
    }
}

/// By rising p0.
pub(crate) const LEVELS: [Level; 9] = [
    level(0.01, std::f32::consts::LN_10, 0.095_310, 0.1, 3),
    level(0.02, 2.215_574, 0.182_322, 0.183_333, 4),
    level(0.04, 2.061_423, 0.336_472, 0.314_286, 5),
    level(0.08, 1.810_109, 0.587_787, 0.488_889, 6),
    level(0.16, 1.442_384, 0.955_511, 0.676_923, 8),
    level(0.32, 0.962_811, 1.435_085, 0.838_095, 13),
    level(0.64, 0.396_415, 2.001_48, 0.951_351, 31),
    level(0.8, 0.200_671, 2.197_225, 0.977_778, 62),
    level(0.9, 0.095_310, std::f32::consts::LN_10, 0.99, 132),
];

impl Level {
    /// Whether most of the fleet fails so much that nothing tells one instance from another.
    pub(crate) fn is_highest(self) -> bool {
        self.rate >= LEVELS[LEVELS.len() - 1].rate
    }
}

/// The steps for a fleet that commonly fails at `rate`: the lowest level that is no lower, else the highest.
pub(crate) fn level_for(rate: f32) -> Level {
    let found = LEVELS.iter().find(|level| rate <= level.rate);
    *found.unwrap_or(&LEVELS[LEVELS.len() - 1])
}

/// The sum of one instance, and what outcomes do to it. All f32 as bits, all relaxed. Changes are by compare and swap:
/// a success that meets another change at the same time is lost, a failure is not, and nothing overwrites an alarm that
/// the writer has yet to see. An instance without failures of late pays one load for all this.
#[derive(Debug)]
pub(crate) struct Suspicion {
    sum: AtomicU32,
    up: AtomicU32,
    down: AtomicU32,
    bar: AtomicU32,
}

impl Default for Suspicion {
    /// Raises no alarm until it is given a bar.
    fn default() -> Self {
        Self {
            sum: AtomicU32::new(0.0f32.to_bits()),
            up: AtomicU32::new(LEVELS[0].up.to_bits()),
            down: AtomicU32::new(LEVELS[0].down.to_bits()),
            bar: AtomicU32::new(f32::INFINITY.to_bits()),
        }
    }
}

impl Suspicion {
    /// A request failed. True when the sum passed the bar by it; it stays there then until the writer has looked.
    #[inline]
    pub(crate) fn on_failure(&self) -> bool {
        let (up, bar) = (load(&self.up), load(&self.bar));
        let raised = |old: f32| (old < bar).then(|| (old + up).min(CEILING));
        let old = self.change(raised);
        old.and_then(raised).is_some_and(|new| new >= bar)
    }

    /// A request succeeded.
    #[inline]
    pub(crate) fn on_success(&self) {
        let old = self.get();
        if old > 0.0 && old < load(&self.bar) {
            let new = (old - load(&self.down)).max(0.0);
            let _ = self
                .sum
                .compare_exchange(old.to_bits(), new.to_bits(), Relaxed, Relaxed);
        }
    }

    /// Puts what `next` makes of the sum in its place, whatever happens meanwhile. Returns the sum before, `None`
    /// when `next` left it.
    fn change(&self, next: impl Fn(f32) -> Option<f32>) -> Option<f32> {
        let next = |bits| next(f32::from_bits(bits)).map(f32::to_bits);
        self.sum
            .fetch_update(Relaxed, Relaxed, next)
            .ok()
            .map(f32::from_bits)
    }

    /// The sum.
    pub(crate) fn get(&self) -> f32 {
        load(&self.sum)
    }

    /// Sets the sum. For the writer.
    pub(crate) fn set(&self, sum: f32) {
        self.sum.store(sum.to_bits(), Relaxed);
    }

    /// Whether it is over the bar.
    pub(crate) fn is_over(&self) -> bool {
        self.get() >= load(&self.bar)
    }

    /// Whether it is over the bar, and by more than a run of so many failures.
    pub(crate) fn is_over_without(&self, run: u32) -> bool {
        self.is_over() && (run as f32) * load(&self.up) < load(&self.bar)
    }

    /// Whether it had two failures close together of late.
    pub(crate) fn is_sign(&self) -> bool {
        self.get() >= SIGN * load(&self.up)
    }

    /// Half of the bar from now on: what a refused alarm leaves.
    pub(crate) fn halve(&self) {
        let half = load(&self.bar) / 2.0;
        let _ = self.change(|sum| (sum > half).then_some(half));
    }

    /// Sets the bar. For the writer.
    pub(crate) fn set_bar(&self, bar: f32) {
        self.bar.store(bar.to_bits(), Relaxed);
    }

    /// Sets what outcomes do; what there is of suspicion is reckoned anew: two failures stay two failures. For the
    /// writer. All are read one by one: a worker may for a moment use one of before.
    pub(crate) fn set_level(&self, level: Level) {
        let up = load(&self.up);
        if up != level.up {
            let _ = self.change(|sum| Some(sum * (level.up / up)));
            self.up.store(level.up.to_bits(), Relaxed);
            self.down.store(level.down.to_bits(), Relaxed);
        }
    }
}

#[inline]
fn load(value: &AtomicU32) -> f32 {
    f32::from_bits(value.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn the_levels_are_what_they_say() {
        assert!((f64::from(BAR) - 1e6f64.ln()).abs() < 2e-5 && 6.0 * LEVELS[0].up >= BAR);
        for Level {
            rate,
            up,
            down,
            high,
            run,
        } in LEVELS
        {
            let p0 = (f64::from(rate) * 100.0).round() / 100.0;
            let odds = 11.0 * p0 / (1.0 - p0);
            let p1 = odds / (1.0 + odds);
            assert!(
                p0.powi(run as i32) <= 1.0001e-6 && p0.powi(run as i32 - 1) > 1.0001e-6,
                "{rate}"
            );
            assert!((f64::from(high) - p1).abs() < 1e-6, "{rate}");
            assert!((f64::from(up) - (p1 / p0).ln()).abs() < 2e-6, "{rate}");
            assert!(
                (f64::from(down) - ((1.0 - p0) / (1.0 - p1)).ln()).abs() < 2e-6,
                "{rate}: {down}"
            );
        }
    }

    #[test]
    fn the_level_follows_the_fleet() {
        for (median, rate) in [(0.0, 0.01), (0.01, 0.01), (0.011, 0.02), (0.3, 0.32), (1.0, 0.9)] {
            assert_eq!(level_for(median).rate, rate, "{median}");
        }
        assert_eq!(level_for(f32::NAN).rate, 0.9);
    }

    #[test]
    fn an_alarm_is_raised_once_and_kept_for_the_writer() {
        let suspicion = Suspicion::default();
        suspicion.set_bar(BAR);
        let alarms: Vec<bool> = (0..8).map(|_| suspicion.on_failure()).collect();
        assert_eq!(alarms, [false, false, false, false, false, true, false, false]);
        for _ in 0..1000 {
            suspicion.on_success();
        }
        assert!(suspicion.is_over());
        suspicion.halve();
        assert!(!suspicion.is_over());
        assert_eq!(suspicion.get(), BAR / 2.0);
        for _ in 0..73 {
            suspicion.on_success();
        }
        assert_eq!(suspicion.get(), 0.0);
    }

    #[test]
    fn a_run_is_told_from_what_was_before_it() {
        for (before, run, more) in [
            (0, 5, false),
            (1, 5, false),
            (2, 5, true),
            (0, 6, false),
            (2, 6, false),
            (4, 3, true),
        ] {
            let suspicion = Suspicion::default();
            suspicion.set_bar(BAR);
            for failures in [before, run] {
                suspicion.on_success();
                for _ in 0..failures {
                    suspicion.on_failure();
                }
            }
            assert_eq!(suspicion.is_over_without(run), more, "{before}, {run}");
        }
    }

    #[test]
    fn without_a_bar_there_is_no_alarm_and_an_end() {
        let suspicion = Suspicion::default();
        for _ in 0..1000 {
            assert!(!suspicion.on_failure());
        }
        assert_eq!(suspicion.get(), 2.0 * BAR);
    }

    /// Requests until the alarm, on average, of an instance that fails with a probability of `rate`.
    fn mean_requests(rate: f64, runs: u64) -> f64 {
        let mut rng = Rng::new(11);
        let mut requests = 0;
        for _ in 0..runs {
            let suspicion = Suspicion::default();
            suspicion.set_bar(BAR);
            while !suspicion.is_over() {
                requests += 1;
                if rng.unit() < rate {
                    suspicion.on_failure();
                } else {
                    suspicion.on_success();
                }
            }
        }
        requests as f64 / runs as f64
    }

    #[test]
    fn sick_instances_are_found_in_the_stated_number_of_requests() {
        for (rate, range) in [
            (1.0, 6.0..=6.0),
            (0.5, 11.0..=14.0),
            (0.2, 33.0..=40.0),
            (0.1, 85.0..=110.0),
        ] {
            let mean = mean_requests(rate, 2000);
            assert!(range.contains(&mean), "{rate}: {mean}");
        }
    }

    /// The bound is a million requests at p0; at half of p0 it is beyond reach.
    #[test]
    fn healthy_requests_raise_at_most_one_alarm_in_a_million() {
        let mut rng = Rng::new(5);
        for (rate, requests, most) in [(0.01, 6_000_000, 6), (0.005, 2_000_000, 0)] {
            let suspicion = Suspicion::default();
            suspicion.set_bar(BAR);
            let mut alarms = 0;
            for _ in 0..requests {
                if rng.unit() >= rate {
                    suspicion.on_success();
                } else if suspicion.on_failure() {
                    alarms += 1;
                    suspicion.set(0.0);
                }
            }
            assert!(alarms <= most, "{alarms} in {requests} at {rate}");
        }
    }
}
