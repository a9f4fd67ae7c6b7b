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
//! The detector asks for a part of 0.5 or less for three seconds on end, and then for proof ([`Trial`]). An average is
//! none: where one request in a hundred is meant to take a minute, an instance that is asked little for a while hears of
//! nothing else. So it looks at the requests that *began* since the part fell, once they had the time that they should
//! have needed, f/2 × reference + 10 ms: of twenty at least, less than half were answered in that time, and so few are
//! not chance. With a share p of requests that are that fast elsewhere, chance makes it F of N with a
//! probability of at most e^(−N·D) (Chernoff), where D is the divergence of F/N from p; one in a million is asked for.

use crate::math::{exp2_neg, minus_ln};
use crate::{EjectionSettings, Nanos, Stats};

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
/// …and over how many requests.
const SUSTAINED_REQUESTS: u64 = 20;
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
    /// Since it is slow.
    trial: Option<Trial>,
    /// And that is proven.
    proven: bool,
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

    /// How many times the reference its responses take, as a natural logarithm, 0 at least, and when the last one was.
    pub(crate) fn beside(&self, now: Nanos) -> Option<(f32, Nanos)> {
        let time = self.known(now).filter(|_| self.reference > 0.0)?;
        let times = ((time - MARGIN) / self.reference).max(1.0);
        Some((minus_ln(1.0 / times) as f32, self.at))
    }

    /// From what response time on it is slow; `None` while nothing is known to compare with.
    pub(crate) fn slow_from(&self, settings: &EjectionSettings) -> Option<Nanos> {
        let from = f64::from(settings.slow_factor.max(1.0)) * self.reference + MARGIN;
        (self.reference > 0.0).then_some(Nanos(from as u64))
    }

    /// Compares with the median of the peers, if there are any, and with its own past, if that counts; `elapsed` since the
    /// last comparison.
    pub(crate) fn judge(
        &mut self,
        peers: Option<f64>,
        factor: f32,
        has_past: bool,
        stats: &Stats,
        elapsed: Nanos,
        now: Nanos,
    ) {
        if self.time == 0.0 {
            self.lack = 0.0;
            self.acquit();
            return;
        }
        let age = now.since(self.at).as_secs_f64();
        let past = if has_past && self.watched >= PAST_KNOWN {
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
        if raw > 0.5 || age > 1.5 {
            self.acquit();
        } else if let Some(trial) = &mut self.trial {
            trial.observe(stats, now);
        } else {
            let should_take = Nanos((factor / 2.0 * self.reference + MARGIN) as u64);
            self.trial = Some(Trial::new(should_take, stats, now));
        }
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

    fn acquit(&mut self) {
        self.trial = None;
        self.proven = false;
    }

    /// What its requests should take at most, when it has been slow for long enough, over enough of them.
    pub(crate) fn suspected(&self, now: Nanos) -> Option<Nanos> {
        let trial = self.trial.as_ref()?;
        let enough = now.since(trial.since) >= SUSTAINED && trial.requests() >= SUSTAINED_REQUESTS;
        (enough && 2 * trial.fast < trial.requests()).then_some(trial.should_take)
    }

    /// Says that a share `slow` of requests elsewhere takes longer than what [`Self::suspected`] gave.
    pub(crate) fn convict(&mut self, slow: f64, bar: f32) {
        self.proven = self
            .trial
            .as_ref()
            .is_some_and(|trial| trial.is_proof(1.0 - slow, bar));
    }

    /// Whether it is slow, and that is no chance.
    pub(crate) fn is_slow(&self) -> bool {
        self.proven
    }

    /// The memory of response times was halved.
    pub(crate) fn aged(&mut self, stats: &Stats) {
        if let Some(trial) = &mut self.trial {
            trial.counted = stats.response_times().count_at_most(trial.should_take);
        }
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
        if let Some(trial) = &mut self.trial {
            for at in [&mut trial.since, &mut trial.before.0, &mut trial.latest.0] {
                *at = at.since(back);
            }
        }
    }
}

/// Requests that began since an instance is slow, and how many of them were not.
#[derive(Debug, Clone)]
struct Trial {
    since: Nanos,
    /// Answers within this are fast.
    should_take: Nanos,
    /// Its picks and cancelled requests at the beginning.
    picks: u64,
    cancelled: u64,
    /// Fast answers since then…
    fast: u64,
    /// …and how many were remembered when they were counted last.
    counted: u64,
    /// Its picks some time ago: what began before then has had its time.
    before: (Nanos, u64),
    latest: (Nanos, u64),
    /// Requests of which nobody knows what they would have taken.
    left: u64,
}

impl Trial {
    fn new(should_take: Nanos, stats: &Stats, now: Nanos) -> Self {
        let picks = stats.picks();
        Self {
            since: now,
            should_take,
            picks,
            cancelled: stats.cancelled(),
            fast: 0,
            counted: stats.response_times().count_at_most(should_take),
            before: (now, picks),
            latest: (now, picks),
            left: 0,
        }
    }

    fn observe(&mut self, stats: &Stats, now: Nanos) {
        let counted = stats.response_times().count_at_most(self.should_take);
        self.fast += counted.saturating_sub(self.counted);
        self.counted = counted;
        self.left = stats.cancelled().saturating_sub(self.cancelled);
        if now.since(self.latest.0) >= self.should_take {
            self.before = self.latest;
            self.latest = (now, stats.picks());
        }
    }

    /// Requests that have had their time: at least so many.
    fn requests(&self) -> u64 {
        self.before.1.saturating_sub(self.picks).saturating_sub(self.left)
    }

    /// Whether so few fast ones are no chance where they are `fast` elsewhere.
    fn is_proof(&self, fast: f64, bar: f32) -> bool {
        let n = self.requests() as f64;
        let found = self.fast as f64 / n.max(1.0);
        let fast = fast.clamp(1e-9, 1.0 - 1e-9);
        let term = |a: f64, b: f64| {
            if a > 0.0 {
                a * (minus_ln(b) - minus_ln(a))
            } else {
                0.0
            }
        };
        let divergence = term(found, fast) + term(1.0 - found, 1.0 - fast);
        found < fast && n * divergence >= f64::from(bar)
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
    use crate::Outcome;

    const MS: f64 = 1e6;

    fn ms(n: u64) -> Option<Nanos> {
        Some(Nanos::from_millis(n))
    }

    /// Runs for `seconds` with `rate` samples a second, from second `from` on. True when it was found to be slow.
    fn run(latency: &mut Latency, from: u64, seconds: u64, rate: u64, time: u64, peers: Option<f64>) -> bool {
        let stats = Stats::default();
        for second in from..from + seconds {
            let now = Nanos::from_secs(second);
            latency.fold(ms(time), rate, now);
            latency.judge(peers, 5.0, true, &stats, Nanos::from_secs(1), now);
            if latency.suspected(now).is_some() {
                latency.convict(0.01, 13.8);
            }
            for _ in 0..rate {
                stats.on_start(now);
                stats.on_end(&Outcome::from_status(200, Nanos::from_millis(time)), now);
            }
        }
        latency.is_slow()
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
        let mut brief = latency.clone();
        assert!(!run(&mut brief, 100, 3, 100, 160, Some(8.0 * MS)));
        assert!((brief.part() - 2.5 * 8.0 / 150.0).abs() < 1e-3, "{brief:?}");
        assert!(run(&mut latency, 100, 4, 100, 160, Some(8.0 * MS)));
        assert!(!run(&mut latency, 104, 30, 100, 8, Some(8.0 * MS)));
        assert_eq!(latency.part(), 1.0);
    }

    #[test]
    fn few_samples_never_count_and_small_differences_neither() {
        let mut few = Latency::default();
        run(&mut few, 0, 7, 1, 5000, Some(8.0 * MS));
        assert_eq!(few.part(), 1.0);
        assert!(!run(&mut few, 7, 12, 1, 5000, Some(8.0 * MS)), "{few:?}");
        assert!(few.part() < 0.1);
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
            latency.judge(
                Some(8.0 * MS),
                5.0,
                true,
                &Stats::default(),
                Nanos::from_secs(1),
                now,
            );
            let expected = 1.0 - (1.0 - before) * worth;
            assert!((latency.part() - expected).abs() < 2e-3, "{second}: {latency:?}");
            assert!(!latency.is_slow());
            assert_eq!(latency.known(now), None);
        }
        latency.forget();
        let now = Nanos::from_secs(110);
        latency.judge(
            Some(8.0 * MS),
            5.0,
            true,
            &Stats::default(),
            Nanos::from_secs(1),
            now,
        );
        assert_eq!(latency.part(), 1.0);
    }

    /// Where long requests are ordinary, more of them are asked for.
    #[test]
    fn chance_is_no_proof() {
        let trial = |requests: u64, fast: u64| Trial {
            fast,
            before: (Nanos::ZERO, requests),
            ..Trial::new(Nanos::from_millis(30), &Stats::default(), Nanos::ZERO)
        };
        for (requests, fast, elsewhere, proof) in [
            (20, 9, 0.99, true),
            (20, 8, 0.9, true),
            (20, 9, 0.8, false),
            (60, 27, 0.8, true),
            (20, 0, 0.3, false),
            (60, 27, 0.4, false),
            (20, 9, 0.0, false),
            (20, 9, 1.0, true),
        ] {
            let found = trial(requests, fast).is_proof(elsewhere, 13.8);
            assert_eq!(found, proof, "{fast} of {requests}, elsewhere {elsewhere}");
        }
    }
}
