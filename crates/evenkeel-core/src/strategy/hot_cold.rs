//! A pool of candidates is drawn; of those that are not hot, the one with the shortest expected time wins.
//!
//! This is the rule of Prequal (Wydrowski et al., NSDI 2024), "hot-cold lexicographic": a candidate is **hot** when
//! its load is strictly above the [`QUANTILE`]-quantile of the pool's, and only among the cold does time decide. Load
//! shows what is coming, time what was: as weighted sums the two were worse in every mixture that its authors tried.
//!
//! - **Load** is `in_flight × mean weight / weight`, live; or, where an instance reports its utilization `u` and
//!   that is more, `u / (1 − u)`, the requests in a server that is busy for a part `u` of the time, times what the
//!   report is worth at its age ([`crate::ReportedLoad::get`]). A report never makes an instance look emptier than its
//!   requests in flight: who lies, or stands still, attracts nothing. Reports are read once a second.
//! - **Time** is [`crate::Stats::expected_time`] × (1 + load). The first is the usual response time, or what its
//!   failures cost if that is more; it fades while an instance is not used, so that it is tried again. Prequal's
//!   servers answer with the times of requests that met as many others as there are now. Without that, times lag behind
//!   queues, and everybody goes to the same few until they are hot: ten instances at 70 % load had a 99th percentile of
//!   300 ms instead of 39. The factor stands in for it: where requests share a server, time grows so.
//!
//! Prequal asks servers by probes, and keeps a pool of answers from query to query. Here loads and times are
//! known without asking, so the pool is drawn for each pick: all of up to five candidates, else half of them, at
//! most [`POOL`], so that the best of all is not everybody's choice at once. With equal weights it is drawn without
//! replacement, in steps of a random length around the list; otherwise by weight, and whoever is drawn twice counts
//! twice in the quantile.
//!
//! The quantile is that of the pool, not of the fleet: it is never stale, and never calls all of a pool hot. It is
//! the value at place `⌊0.75 (m − 1)⌋` of `m`, below the greatest for every `m` above 1. The paper found 0.6 to 0.9 to
//! serve alike; a higher one sends more to the fastest before it is hot, a lower one wastes the times. With 0.6,
//! 0.75 and 0.84 the 99th percentiles of forty instances were within 12 % in each of the scenarios of `tests/it/fleet`.
//!
//! With a pool of eight, fleets whose instances differ in speed had 99th percentiles that were 12 % longer.
//!
//! O([`POOL`]), whatever the number of candidates; a pick writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{Picker, Strategy};
use crate::math::Alias;
use crate::view::{Candidates, Slot};
use crate::{LoadSlot, Nanos, NoPick, PickContext, PickRequest, Rng, Stats};

/// The most candidates of a pool.
const POOL: usize = 16;
/// Fleets of which all are in the pool.
const SMALL: usize = 5;
/// What is hot.
const QUANTILE: f64 = 0.75;
/// Lengths of steps to choose from.
const STEPS: usize = 16;
/// How often reports are read.
const LOOK: Nanos = Nanos::from_secs(1);
/// The greatest utilization that is believed: 99 requests.
const BUSIEST: f32 = 0.99;

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HotCold;

impl Strategy for HotCold {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let weights: Vec<u32> = candidates.weights().collect();
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let mean = total / weights.len().max(1) as f64;
        let entries = candidates.slots().iter().zip(&weights);
        let entries = entries.filter_map(|(slot, weight)| {
            let member = candidates.member(*slot)?;
            Some(Entry {
                slot: *slot,
                per_weight: (mean / f64::from(*weight)) as f32,
                reported: AtomicU32::new(0),
                load: member.load().clone(),
                stats: Arc::clone(member.stats()),
            })
        });
        let entries: Box<[Entry]> = entries.collect();
        let size = pool_size(entries.len());
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            let pool = Steps::new(entries.len(), seed);
            return Box::new(Pooled { entries, size, pool });
        }
        let pool = Alias::new((0..).zip(weights.iter().copied()));
        Box::new(Pooled { entries, size, pool })
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(LOOK)
    }
}

fn pool_size(n: usize) -> usize {
    if n <= SMALL { n } else { (n / 2).min(POOL) }
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    per_weight: f32,
    /// The load that it reports, as f32 bits.
    reported: AtomicU32,
    load: LoadSlot,
    stats: Arc<Stats>,
}

impl Entry {
    /// Not negative.
    #[inline]
    fn load(&self) -> f32 {
        let own = self.load.get() as f32 * self.per_weight;
        own.max(f32::from_bits(self.reported.load(Relaxed)))
    }
}

/// Distinct indexes for a pool.
trait Pool: std::fmt::Debug + Send + Sync + 'static {
    /// Fills `pool` from the front; how many there are.
    fn fill(&self, pool: &mut [u32], rng: &mut Rng) -> usize;
}

/// From a random place on in steps of a length that shares no factor with the number of all.
#[derive(Debug)]
struct Steps {
    n: u32,
    lengths: [u32; STEPS],
}

impl Steps {
    fn new(n: usize, seed: u64) -> Self {
        let n = n as u32;
        let mut rng = Rng::new(seed);
        let mut lengths = [1; STEPS];
        for length in &mut lengths {
            // More than a quarter of all numbers below n share no factor with it, for any n that fits.
            *length = (0..64)
                .map(|_| 1 + rng.below(n.saturating_sub(1)))
                .find(|length| gcd(*length, n) == 1)
                .unwrap_or(1);
        }
        Self { n, lengths }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Pool for Steps {
    #[inline]
    fn fill(&self, pool: &mut [u32], rng: &mut Rng) -> usize {
        let count = pool.len();
        let bits = rng.next_u64();
        let length = self.lengths[bits as usize % STEPS];
        let mut at = (((bits >> 32) * u64::from(self.n)) >> 32) as u32;
        for place in pool {
            *place = at;
            at += length;
            at -= if at >= self.n { self.n } else { 0 };
        }
        count
    }
}

/// By weight.
impl Pool for Alias {
    #[inline]
    fn fill(&self, pool: &mut [u32], rng: &mut Rng) -> usize {
        let (mut count, mut seen) = (0, 0u64);
        for _ in 0..2 * pool.len() {
            let Some(index) = self.draw(rng.next_u64()) else {
                break;
            };
            // A bit for several indexes: only where it is set, all must be looked at.
            let bit = 1 << (index % 64);
            if seen & bit == 0 || !pool[..count].contains(&index) {
                seen |= bit;
                pool[count] = index;
                count += 1;
                if count == pool.len() {
                    break;
                }
            }
        }
        count
    }
}

#[derive(Debug)]
struct Pooled<P> {
    entries: Box<[Entry]>,
    /// Candidates in a pool.
    size: usize,
    pool: P,
}

impl<P: Pool> Picker for Pooled<P> {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let mut pool = [0; POOL];
        let count = self.pool.fill(&mut pool[..self.size], &mut cx.rng);
        let pool = &pool[..count];
        // More than so many that are less loaded make one hot.
        let hottest = (QUANTILE * count.saturating_sub(1) as f64) as u32;
        let mut loads = [f32::INFINITY; POOL];
        for (load, index) in loads.iter_mut().zip(pool) {
            *load = self.entries[*index as usize].load();
        }
        let lesser = lesser(&loads);
        // Without a branch on what is hot or better: nothing could predict it.
        let (mut least, mut best) = (f64::INFINITY, 0);
        for ((index, load), lesser) in pool.iter().zip(&loads).zip(lesser) {
            let time = self.entries[*index as usize].stats.expected_time(cx.now) * f64::from(1.0 + load);
            let time = if lesser > hottest { f64::INFINITY } else { time };
            best = if time < least { *index } else { best };
            least = least.min(time);
        }
        let best = self.entries.get(best as usize).filter(|_| count > 0);
        best.map(|entry| entry.slot).ok_or(NoPick::NoneEligible)
    }

    fn refresh(&self, now: Nanos) {
        for entry in &self.entries {
            let reported = entry.stats.reported().get(now).map_or(0.0, |(report, worth)| {
                let busy = report.utilization().unwrap_or(0.0).min(BUSIEST);
                worth * busy / (1.0 - busy)
            });
            // Relaxed: each load stands alone.
            entry.reported.store(reported.to_bits(), Relaxed);
        }
    }
}

/// For each, how many are less. Fixed lengths and no branches compile to vector code, which is faster than sorting.
#[inline]
fn lesser(loads: &[f32; POOL]) -> [u32; POOL] {
    let mut counts = [0; POOL];
    for other in loads {
        for (count, load) in counts.iter_mut().zip(loads) {
            *count += u32::from(other < load);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_grow_with_the_fleet_and_are_drawn_without_replacement() {
        let sizes = [0, 1, 2, 5, 6, 7, 10, 31, 32, 1000].map(pool_size);
        assert_eq!(sizes, [0, 1, 2, 5, 3, 3, 5, 15, 16, 16]);
        let mut rng = Rng::new(1);
        for n in [1, 2, 3, 5, 6, 12, 30, 64, 210, 1009] {
            let steps = Steps::new(n, 7);
            let mut counts = vec![0u32; n];
            for _ in 0..1000 {
                let mut pool = [0; POOL];
                let pool = &mut pool[..pool_size(n)];
                steps.fill(pool, &mut rng);
                pool.iter().for_each(|index| counts[*index as usize] += 1);
                let mut sorted = pool.to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), pool_size(n), "{n}: {pool:?}");
            }
            // 1000 draws of m of n; six deviations.
            let expected = 1000.0 * pool_size(n) as f64 / n as f64;
            let slack = 6.0 * expected.sqrt();
            assert!(
                counts
                    .iter()
                    .all(|count| (f64::from(*count) - expected).abs() <= slack)
            );
        }
    }

    #[test]
    fn pools_by_weight_are_distinct_too() {
        let table = Alias::new((0..40).map(|index| (index, if index < 20 { 1 } else { 3 })));
        let mut rng = Rng::new(1);
        let (mut heavy, mut all) = (0, 0);
        for _ in 0..1000 {
            let mut pool = [0; 4];
            assert_eq!(table.fill(&mut pool, &mut rng), 4);
            assert!((1..4).all(|index| !pool[..index].contains(&pool[index])));
            heavy += pool.iter().filter(|index| **index >= 20).count();
            all += 4;
        }
        // Three quarters, a little less as none is drawn twice.
        let share = f64::from(heavy as u32) / f64::from(all);
        assert!((0.7..0.76).contains(&share), "{share}");
        let one = Alias::new([(0, 65_535), (1, 1)].into_iter());
        assert!((1..=2).contains(&one.fill(&mut [0; 2], &mut rng)));
    }

    #[test]
    fn counts_of_lesser() {
        let mut loads = [f32::INFINITY; POOL];
        loads[..4].copy_from_slice(&[2.0, 0.5, 2.0, 7.0]);
        assert_eq!(lesser(&loads)[..5], [1, 0, 1, 3, 4]);
    }
}
