//! Many candidates of which each is asked seldom: what is believed of each, and who is known to be good.
//!
//! A balancer with a dozen requests a second for a hundred instances has one answer of each in eight seconds. So the
//! mean of what it has of one says little, and yet all of it together says whether instances differ. Both is
//! weighed as in an analysis of variance. For instances `i` with `m_i` samples of late, of mean `x_i` and variance `v_i`:
//!
//! ```text
//! M = Σ m_i    x = Σ m_i x_i / M    within = Σ m_i v_i / M    between = Σ m_i (x_i − x)² / (n − 1)
//! F = between / within,  1 where they do not differ, off by chance by e = √(2 / (n − 1) + 10 / M) and 1 + m / k where they do
//! ```
//!
//! with `m = (M − Σ m_i² / M) / (n − 1)`, so many samples that one has in the mean. `k` is the variance of one sample over that of
//! the instances' true means: in so many samples an instance shows as much of itself as one knows of it before, and the
//! best linear estimate of its mean is (James and Stein, Efron and Morris)
//!
//! ```text
//! (m_i x_i + k μ) / (m_i + k),    μ = Σ g_i x_i / Σ g_i,  g_i = m_i / (m_i + k)
//! ```
//!
//! `F` is taken for three times `e` greater than it is. So instances count as different until it is shown that they
//! are not: being wrong that way costs evenness while nobody could tell it from chance, and the other way it costs the tail.
//! Where there are samples enough and no difference, `k` grows with them, all estimates are `μ`, and all are equal.
//! The 10 is what exponential times need: their fourth moment is nine times the square of the second, and both
//! sums have it.
//!
//! The [`LISTED`] least estimates are a list, from which picks draw as well as from all. In a fleet with some
//! slow instances `μ` is above what the sound ones take. So one of whom nothing is known costs more than one
//! that is known to be sound, and only trials and the busy go there: that is what keeps a hundred balancers from finding out
//! the slow ones by flooding them. Estimates are of what the instances' [`Stats`](crate::Stats) hold, so a picker that is built anew
//! knows at once what the one before knew.

use super::{Choice, Entry};
use crate::pace::LongRun;
use crate::sync::{AtomicU32, Ordering::Relaxed};
use crate::{Nanos, Rng};

/// How many are listed.
pub(super) const LISTED: usize = 8;
/// How many of them a pick draws.
pub(super) const LIST_DRAWS: usize = 4;
/// How many times its error `F` is taken to be greater than it is.
const DOUBT: f64 = 3.0;
/// Of the fourth moment of the samples, in the error of `F`.
const TAILS: f64 = 10.0;
/// `F` differs from 1 by at least this.
const LEAST: f64 = 0.01;
/// `k` before it can be told.
const UNKNOWN: f64 = 2.0;
/// Who has less than this share is not listed: it must not get more.
const LEAST_SHARE: f64 = 0.5;

/// Candidates that are known to be good, by their places.
#[derive(Debug, Default)]
pub(super) struct List {
    count: AtomicU32,
    places: [AtomicU32; LISTED],
}

impl List {
    /// Some of those listed, one of them maybe twice; nobody where there is no list.
    #[inline]
    pub(super) fn draw(&self, rng: &mut Rng) -> Option<[u32; LIST_DRAWS]> {
        let count = u64::from(self.count.load(Relaxed));
        if count == 0 {
            return None;
        }
        let bits = rng.next_u64();
        // 16 bits choose each.
        Some([0, 16, 32, 48].map(|shift| {
            let place = (((bits >> shift) & 0xFFFF) * count) >> 16;
            self.places[place as usize % LISTED].load(Relaxed)
        }))
    }

    pub(super) fn clear(&self) {
        self.count.store(0, Relaxed);
    }

    fn set(&self, places: impl Iterator<Item = u32>) {
        let mut count = 0;
        for (listed, place) in self.places.iter().zip(places) {
            listed.store(place, Relaxed);
            count += 1;
        }
        self.count.store(count, Relaxed);
    }
}

/// What the samples of a fleet say together.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Together {
    /// As many samples say as much of an instance as one knows of it before.
    worth: f64,
    /// What one of whom nothing is known takes, in ns; 0 where nobody is known.
    mean: f64,
}

impl Together {
    fn of(runs: impl Iterator<Item = LongRun> + Clone) -> Self {
        let sum = |term: &dyn Fn(&LongRun) -> f64| {
            let runs = runs.clone().filter(|run| run.variance > 0.0);
            runs.map(|run| term(&run)).sum::<f64>()
        };
        let (n, all) = (sum(&|_| 1.0), sum(&|run| run.known));
        let mut worth = UNKNOWN;
        if n > 2.0 && all > 0.0 {
            let mean = sum(&|run| run.known * run.mean) / all;
            let within = sum(&|run| run.known * run.variance) / all;
            let between = sum(&|run| run.known * (run.mean - mean) * (run.mean - mean)) / (n - 1.0);
            let each = (all - sum(&|run| run.known * run.known) / all) / (n - 1.0);
            let doubt = DOUBT * (2.0 / (n - 1.0) + TAILS / all).sqrt();
            worth = each / (between / within - 1.0 + doubt).max(LEAST);
            if each < 1.0 {
                // Hardly anything is known of anybody, and doubt is no evidence.
                worth = worth.max(UNKNOWN);
            }
        }
        let weighed = |of: &dyn Fn(&LongRun) -> f64| {
            let runs = runs.clone().filter(|run| run.known > 0.0);
            runs.map(|run| run.known / (run.known + worth) * of(&run))
                .sum::<f64>()
        };
        let weight = weighed(&|_| 1.0);
        let mean = if weight > 0.0 {
            weighed(&|run| run.mean) / weight
        } else {
            0.0
        };
        Self { worth, mean }
    }
}

impl Choice {
    /// Takes in what is known of each in the long run, and lists the best. O(n).
    pub(super) fn weigh(&self, now: Nanos, per_typical: f32) {
        let runs = self.entries.iter().map(|entry| entry.stats.long_run(now));
        let Together { worth, mean } = Together::of(runs.clone());
        let mean = if mean > 0.0 {
            (mean as f32 + self.blur) * per_typical
        } else {
            1.0
        };
        let mut best = [(f32::INFINITY, 0); LISTED];
        for ((place, entry), run) in (0..).zip(&self.entries).zip(runs) {
            let own = run.known / (run.known + worth);
            entry.believe(own as f32, mean, self.seldom_even);
            let estimate = self.estimate(entry, per_typical);
            if estimate < best[LISTED - 1].0 && entry.share.as_f64() >= LEAST_SHARE {
                best[LISTED - 1] = (estimate, place);
                best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            }
        }
        let known = best.iter().filter(|(estimate, _)| estimate.is_finite());
        self.list.set(known.map(|(_, place)| *place));
    }

    /// What is believed of one, over what is believed of one that is not known.
    fn estimate(&self, entry: &Entry, per_typical: f32) -> f32 {
        let time = match entry.stats.steady_time() {
            time if time > 0.0 => (time + self.blur) * per_typical,
            _ => 1.0,
        };
        entry.believed(time) + self.failing(entry.stats.trust().get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Stats};

    /// Instances with so many answers each, exponential with 10 ms in the mean times how slow it is.
    fn fleet(answers: usize, slow: impl Fn(usize) -> f64) -> Vec<LongRun> {
        let (mut rng, now) = (Rng::new(7), Nanos::from_secs(100));
        let runs = (0..100).map(|i| {
            let stats = Stats::default();
            for _ in 0..answers {
                let time = -(1.0 - rng.unit()).ln() * 1e7 * slow(i);
                stats.on_end(&Outcome::from_status(200, Nanos(time as u64)), now);
            }
            stats.long_run(now)
        });
        runs.collect()
    }

    fn believed(runs: &[LongRun]) -> (Together, Vec<f64>) {
        let together = Together::of(runs.iter().copied());
        let believed = runs.iter().map(|run| {
            let own = run.known / (run.known + together.worth);
            1.0 - own + own * run.mean / together.mean
        });
        (together, believed.collect())
    }

    #[test]
    fn those_that_do_not_differ_are_believed_to_be_equal() {
        for answers in [60, 120, 500] {
            let (_, believed) = believed(&fleet(answers, |_| 1.0));
            let off = believed.iter().map(|time| (time - 1.0).abs());
            let most = off.fold(0.0, f64::max);
            assert!(most < 0.15, "{answers}: off by {most:.3}");
        }
    }

    #[test]
    fn of_a_few_answers_each_it_is_seen_that_a_fifth_is_slow() {
        let runs = fleet(4, |i| if i < 20 { 5.0 } else { 1.0 });
        let (together, believed) = believed(&runs);
        assert!(together.worth < 3.0, "{together:?}");
        assert!(
            together.mean > 1.4e7,
            "the unknown are expected to be slower: {together:?}"
        );
        let mean = |range: std::ops::Range<usize>| {
            let n = range.len() as f64;
            believed[range].iter().sum::<f64>() / n
        };
        assert!(mean(20..100) < 0.85 && mean(0..20) > 1.5, "{believed:?}");
        // Without answers there is nobody to compare with.
        let nobody = Together::of(fleet(0, |_| 1.0).into_iter());
        assert_eq!((nobody.worth, nobody.mean), (UNKNOWN, 0.0));
    }
}
