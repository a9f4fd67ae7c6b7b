//! The part of the score that comes from response times, beside those of the peers and the instance's own past.
//!
//! ```text
//! reference = max(median of the peers, own slow average)
//! part      = min(1, f/2 × reference / (time − 10 ms))          f: `slow_factor`, 5 by default
//! ```
//!
//! * `time` is the smoothed response time of successes ([`crate::Stats::response_time`]), smoothed again over
//!   four seconds, so that one slow answer is no trend.
//! * The peers are those of the same region, without the instance itself: with two instances that is the other
//!   one. Of an even number the upper median: where half is slow, nobody is.
//! * The greater of both references, because an instance that always was slower (older, further away) is not
//!   ill, nor is one that became as slow as the others always were. Its own past counts once it has been
//!   watched for a minute in which it was no slower than twice its peers; so who is slow from the start has no
//!   excuse, and who becomes slow cannot make that its past.
//! * Ten milliseconds more are never ill ([`MARGIN`]): 1 ms beside 0.1 ms hurts nobody.
//! * The part is 1 up to half the factor, and 0.5 at the factor. It is never below the threshold of the score:
//!   being slow lowers an instance's share; only the detector takes it out, which asks for time and
//!   evidence and obeys the rules for ejections.
//! * Fewer than eight samples say nothing, and without new ones what was known halves every ten seconds.
//!
//! The detector ([`Latency::is_slow`]) asks for a part of 0.5 or less for three seconds on end, with twenty samples
//! in that time.

use crate::Nanos;
use crate::math::exp2_neg;

/// Time constant of the smoothing.
const SMOOTHING: f64 = 4.0;
/// Time constant of the own past.
const PAST: f64 = 600.0;
/// The own past counts after so many seconds of watching.
const PAST_KNOWN: f64 = 60.0;
/// Slower than the peers by less than this factor, and the present becomes the past.
const ORDINARY: f64 = 2.0;
/// Differences that never count, in ns.
const MARGIN: f64 = 10e6;
/// Samples without which nothing is said.
const LEAST_SAMPLES: u64 = 8;
/// Without samples, what is known halves in this many seconds.
const HALF_LIFE: f64 = 10.0;
/// How long one has to be slow…
const SUSTAINED: Nanos = Nanos::from_secs(3);
/// …and over how many samples.
const SUSTAINED_SAMPLES: u64 = 20;
/// Folding more often than this adds nothing.
const LEAST_PAUSE: Nanos = Nanos::from_millis(500);

/// What is remembered of the response times of an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    /// Smoothed, in ns; 0 when unknown.
    time: f64,
    /// The own past, in ns; 0 when unknown.
    past: f64,
    /// Seconds that went into `past`.
    watched: f64,
    /// Samples since it was last forgotten.
    samples: u64,
    /// When `samples` last rose.
    at: Nanos,
    /// When it was last folded.
    folded: Nanos,
    /// Since when it is slow, and at how many samples.
    slow: Option<(Nanos, u64)>,
    /// What the part lacks of 1.
    lack: f32,
    reference: f64,
}

impl Latency {
    /// Takes in that `samples` more were made and that the smoothed response time is `time` now.
    pub(crate) fn fold(&mut self, time: Option<Nanos>, samples: u64, now: Nanos) {
        let elapsed = now.since(self.folded);
        self.samples = self.samples.saturating_add(samples);
        if samples > 0 {
            self.at = now;
        }
        let Some(time) = time.filter(|_| samples > 0 && self.samples >= LEAST_SAMPLES) else {
            return;
        };
        let time = time.0 as f64;
        if self.time == 0.0 {
            self.time = time;
            self.folded = now;
        } else if elapsed >= LEAST_PAUSE {
            self.time += (time - self.time) * (elapsed.as_secs_f64() / SMOOTHING).min(1.0);
            self.folded = now;
        }
    }

    /// What peers compare with, when it is fresh.
    pub(crate) fn known(&self, now: Nanos) -> Option<f64> {
        let fresh = now.since(self.at).as_secs_f64() < HALF_LIFE;
        (self.time > 0.0 && fresh).then_some(self.time)
    }

    /// Compares with the median of the peers, if there are any; `elapsed` since the last comparison.
    pub(crate) fn judge(&mut self, peers: Option<f64>, factor: f32, elapsed: Nanos, now: Nanos) {
        if self.time == 0.0 {
            self.lack = 0.0;
            self.slow = None;
            return;
        }
        let age = now.since(self.at).as_secs_f64();
        let past = if self.watched >= PAST_KNOWN {
            self.past
        } else {
            0.0
        };
        self.reference = peers.unwrap_or(0.0).max(past);
        let factor = f64::from(factor.max(1.0));
        let raw = if self.reference == 0.0 {
            1.0
        } else {
            (factor / 2.0 * self.reference / (self.time - MARGIN).max(1.0)).min(1.0)
        };
        let worth = exp2_neg(age / HALF_LIFE);
        self.lack = ((1.0 - raw) * worth) as f32;
        self.slow = match self.slow {
            _ if raw > 0.5 || age > 1.5 => None,
            None => Some((now, self.samples)),
            since => since,
        };
        let ordinary = peers.is_none_or(|peers| self.time - MARGIN <= ORDINARY * peers);
        if ordinary && raw >= 1.0 && age < 1.5 {
            let seconds = elapsed.as_secs_f64().min(2.0);
            self.watched += seconds;
            self.past += (self.time - self.past) * (seconds / self.watched.min(PAST)).min(1.0);
        }
    }

    /// The part of the score.
    pub(crate) fn part(&self) -> f32 {
        1.0 - self.lack
    }

    /// Whether it was slow for long enough, over enough samples.
    pub(crate) fn is_slow(&self, now: Nanos) -> bool {
        self.slow.is_some_and(|(since, samples)| {
            now.since(since) >= SUSTAINED && self.samples - samples >= SUSTAINED_SAMPLES
        })
    }

    /// The smoothed time, what it was compared with, and how many samples there are.
    pub(crate) fn figures(&self) -> (Nanos, Nanos, u64) {
        (
            Nanos(self.time as u64),
            Nanos(self.reference as u64),
            self.samples,
        )
    }

    /// Forgets the present, but not the past.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            past: self.past,
            watched: self.watched,
            ..Self::default()
        };
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.at = self.at.since(back);
        self.folded = self.folded.since(back);
        if let Some((since, _)) = &mut self.slow {
            *since = since.since(back);
        }
    }
}

/// Response times of peers, from which each one's median of the others is found.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The times around the middle, ascending: with n of them, those at the places n/2 − 1 and n/2. (Of n − 1
    /// others the upper median is at (n − 1)/2 among these; without a smaller one it is the next.)
    middle: Option<(f64, f64)>,
}

impl Peers {
    /// Of these times; O(n).
    pub(crate) fn of(mut times: Vec<f64>) -> Self {
        let n = times.len();
        if n < 2 {
            return Self::default();
        }
        // Place of the upper median among n − 1: m/2 with m = n − 1.
        let place = (n - 1) / 2;
        let (_, low, above) = times.select_nth_unstable_by(place, f64::total_cmp);
        let low = *low;
        let high = above.iter().copied().fold(f64::INFINITY, f64::min);
        Self {
            middle: Some((low, high)),
        }
    }

    /// The upper median of the others of one whose time is `own`; of all when it has none.
    pub(crate) fn median_beside(&self, own: Option<f64>) -> Option<f64> {
        let (low, high) = self.middle?;
        Some(match own {
            Some(own) if own <= low => high,
            _ => low,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;

    fn ms(n: u64) -> Option<Nanos> {
        Some(Nanos::from_millis(n))
    }

    /// Runs for `seconds` with `rate` samples a second, from second `from` on.
    fn run(latency: &mut Latency, from: u64, seconds: u64, rate: u64, time: u64, peers: Option<f64>) {
        for second in from..from + seconds {
            let now = Nanos::from_secs(second);
            latency.fold(ms(time), rate, now);
            latency.judge(peers, 5.0, Nanos::from_secs(1), now);
        }
    }

    #[test]
    fn the_median_of_the_others_leaves_one_out() {
        let peers = Peers::of(vec![8.0, 160.0]);
        assert_eq!(peers.median_beside(Some(160.0)), Some(8.0));
        assert_eq!(peers.median_beside(Some(8.0)), Some(160.0));
        assert_eq!(Peers::of(vec![5.0]).median_beside(Some(5.0)), None);
        assert_eq!(Peers::of(Vec::new()).median_beside(None), None);
        for n in 2..9usize {
            let all: Vec<f64> = (0..n).map(|i| (i * i) as f64).collect();
            let peers = Peers::of(all.clone());
            for own in &all {
                let others: Vec<f64> = all.iter().copied().filter(|t| t != own).collect();
                assert_eq!(
                    peers.median_beside(Some(*own)),
                    Some(others[others.len() / 2]),
                    "{own} of {n}"
                );
            }
        }
    }

    #[test]
    fn slower_than_peers_lowers_it_and_for_long_is_slow() {
        let mut latency = Latency::default();
        run(&mut latency, 100, 1, 100, 160, Some(8.0 * MS));
        assert!((latency.part() - 2.5 * 8.0 / 150.0).abs() < 1e-3, "{latency:?}");
        assert!(!latency.is_slow(Nanos::from_secs(100)));
        run(&mut latency, 101, 3, 100, 160, Some(8.0 * MS));
        assert!(latency.is_slow(Nanos::from_secs(103)));
        run(&mut latency, 104, 30, 100, 8, Some(8.0 * MS));
        assert_eq!(latency.part(), 1.0);
        assert!(!latency.is_slow(Nanos::from_secs(133)));
    }

    #[test]
    fn few_samples_never_count_and_small_differences_neither() {
        let mut few = Latency::default();
        run(&mut few, 0, 7, 1, 5000, Some(8.0 * MS));
        assert_eq!(few.part(), 1.0);
        run(&mut few, 7, 12, 1, 5000, Some(8.0 * MS));
        assert!(few.part() < 0.1);
        assert!(!few.is_slow(Nanos::from_secs(18)), "{few:?}");
        let mut close = Latency::default();
        run(&mut close, 0, 60, 100, 10, Some(0.05 * MS));
        assert_eq!(close.part(), 1.0);
    }

    #[test]
    fn who_always_was_slower_is_not_ill() {
        let mut far = Latency::default();
        // Alone for two minutes: its past.
        run(&mut far, 0, 120, 50, 100, None);
        run(&mut far, 120, 60, 50, 100, Some(8.0 * MS));
        assert_eq!(far.part(), 1.0);
        run(&mut far, 180, 60, 50, 900, Some(8.0 * MS));
        assert!(far.part() < 0.3, "slower than itself, too: {far:?}");
        let mut fresh = Latency::default();
        run(&mut fresh, 0, 600, 50, 100, Some(8.0 * MS));
        assert!(fresh.part() < 0.3, "slow from the start has no excuse: {fresh:?}");
    }

    #[test]
    fn all_slow_alike_is_nobodys_illness() {
        let mut latency = Latency::default();
        run(&mut latency, 0, 100, 50, 10, Some(10.0 * MS));
        run(&mut latency, 100, 100, 50, 1000, Some(1000.0 * MS));
        assert_eq!(latency.part(), 1.0);
    }

    #[test]
    fn without_samples_it_fades() {
        let mut latency = Latency::default();
        run(&mut latency, 0, 10, 50, 400, Some(8.0 * MS));
        let before = latency.part();
        for (second, worth) in [(19, 0.5), (29, 0.25), (109, 0.001)] {
            let now = Nanos::from_secs(second);
            latency.fold(ms(400), 0, now);
            latency.judge(Some(8.0 * MS), 5.0, Nanos::from_secs(1), now);
            let expected = 1.0 - (1.0 - before) * worth;
            assert!((latency.part() - expected).abs() < 2e-3, "{second}: {latency:?}");
            assert!(!latency.is_slow(now));
            assert_eq!(latency.known(now), None);
        }
        latency.forget();
        latency.judge(Some(8.0 * MS), 5.0, Nanos::from_secs(1), Nanos::from_secs(110));
        assert_eq!(latency.part(), 1.0);
    }
}
