//! A pool of candidates is drawn; of those that are not hot, the one with the shortest expected time wins.
//!
//! This is the rule of Prequal (Wydrowski et al., NSDI 2024), "hot-cold lexicographic": a candidate is **hot** when
//! its load is strictly above the [`QUANTILE`]-quantile of the pool's, and only among the cold does time decide. Load
//! shows what is coming, time what was: as weighted sums the two were worse in every mixture that its authors tried.
//!
//! - **Load** is `in_flight × mean weight / weight`, live, plus a surplus: what an instance that reports its utilization
//!   has besides. A report never makes an instance look emptier than its requests in flight: who lies, or stands still,
//!   attracts nothing.
//! - **Time** is [`crate::Stats::expected_time`] × (1 + load). The first is the usual response time, or what its
//!   failures cost if that is more; it fades while an instance is not used, so that it is tried again. Prequal's
//!   servers answer with the times of requests that met as many others as there are now. Without that, times lag behind
//!   queues, and everybody goes to the same few until they are hot: ten instances at 70 % load had a 99th percentile of
//!   300 ms instead of 39. The factor stands in for it: where requests share a server, time grows so.
//!
//! A report is up to a second old and the mean of a second. It must not stand for the live count: all that went by it went to the
//! same instance until the next one, and ten instances at 70 % load had a median of 209 ms instead of 8. So it tells
//! only what others sent there. Four times a second, `u / (1 − u)`, the requests in a server that is busy for a part
//! `u` of the time, times what the report is worth at its age ([`crate::ReportedLoad::get`]), is held against our own load
//! there. The difference is smoothed over four seconds, several times the age of a report, or else many balancers go to and
//! fro together. The surplus is what of it is above the fleet's mean by more than one request: what all have decides
//! nothing, and one request is noise. No more is believed than 80 %, four requests: beyond that, `u / (1 − u)` grows by more
//! requests for a hundredth than a mean of a second can tell apart, and full fleets herded.
//!
//! Prequal asks servers by probes, and keeps a pool of answers from query to query. Here loads are known without
//! asking, so the pool is drawn for each pick: all of up to five candidates, else half of them, at
//! most [`POOL`], so that the best of all is not everybody's choice at once. It is drawn in steps of a random length around
//! the list; by weight, if weights differ, and then in a full pool whoever is drawn twice counts twice in the quantile.
//!
//! A pick reads times from notes that the writer takes four times a second, and asks of the winner alone how it is now.
//! Who turns out slower by half is compared anew with that: so nobody attracts by what it was, and one that became
//! faster is found out in a quarter of a second.
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

use super::{Picker, Strategy};
use crate::math::{Alias, AtomicF32};
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
/// How many times as long as noted a candidate may take and still be chosen by its note.
const SLOWER: f32 = 1.5;
/// How often reports and times are read.
const LOOK: Nanos = Nanos::from_millis(250);
/// The greatest utilization that is believed: four requests.
const BUSIEST: f32 = 0.8;
/// What the notes of what others sent move by at a look.
const GAIN: f32 = 1.0 / 16.0;
/// How many requests more than the mean others must have sent to count.
const NOISE: f32 = 1.0;

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
                surplus: AtomicF32::new(0.0),
                time: AtomicF32::new(0.0),
                load: member.load().clone(),
                stats: Arc::clone(member.stats()),
            })
        });
        let entries: Box<[Entry]> = entries.collect();
        let size = pool_size(entries.len());
        let beside = entries.iter().map(|_| AtomicF32::new(f32::NAN)).collect();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            let pool = Steps::new(entries.len(), seed);
            return Box::new(Pooled {
                entries,
                beside,
                size,
                pool,
            });
        }
        let pool = ByWeight::new(&weights, seed);
        Box::new(Pooled {
            entries,
            beside,
            size,
            pool,
        })
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
    /// The load that it has besides ours.
    surplus: AtomicF32,
    /// Its expected time at the last look, in ns; 0 before.
    time: AtomicF32,
    load: LoadSlot,
    stats: Arc<Stats>,
}

impl Entry {
    /// How much more load it reports than we have there, after `before` at the last look.
    fn beside(&self, before: f32, now: Nanos) -> f32 {
        let Some((report, worth)) = self.stats.reported().get(now) else {
            return f32::NAN;
        };
        let Some(used) = report.utilization() else {
            return f32::NAN;
        };
        let busy = used.min(BUSIEST);
        let beside = worth * busy / (1.0 - busy) - self.load.get() as f32 * self.per_weight;
        if before.is_nan() {
            return beside;
        }
        before + (beside - before) * GAIN
    }

    /// Its expected time when that is much longer than noted.
    #[inline]
    fn time_if_longer(&self, now: Nanos) -> Option<f32> {
        let most = self.time.get() * SLOWER;
        // As if it were used just now, which is the longest and costs less to reckon.
        if self.stats.expected_time(Nanos::ZERO) as f32 <= most {
            return None;
        }
        let time = self.stats.expected_time(now) as f32;
        (time > most).then_some(time)
    }
}

/// Indexes for a pool.
trait Pool: std::fmt::Debug + Send + Sync + 'static {
    /// Fills `pool` from the front; how many there are. Distinct, but for full pools by weight.
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

impl Steps {
    /// Where to begin, and the length of a step.
    #[inline]
    fn start(&self, rng: &mut Rng) -> [u32; 2] {
        let bits = rng.next_u64();
        let length = self.lengths[bits as usize % STEPS];
        [(((bits >> 32) * u64::from(self.n)) >> 32) as u32, length]
    }

    #[inline]
    fn next(&self, at: u32, length: u32) -> u32 {
        let next = at + length;
        next - if next >= self.n { self.n } else { 0 }
    }
}

impl Pool for Steps {
    #[inline]
    fn fill(&self, pool: &mut [u32], rng: &mut Rng) -> usize {
        let count = pool.len();
        let [mut at, length] = self.start(rng);
        for place in pool {
            *place = at;
            at = self.next(at, length);
        }
        count
    }
}

/// The same around the columns of a table by weight.
#[derive(Debug)]
struct ByWeight {
    steps: Steps,
    table: Alias,
}

/// Multiples of the golden ratio are spread evenly, and as good as random to the columns.
const GOLDEN: u32 = 0x9E37_79B9;

impl ByWeight {
    fn new(weights: &[u32], seed: u64) -> Self {
        Self {
            steps: Steps::new(weights.len(), seed),
            table: Alias::new((0..).zip(weights.iter().copied())),
        }
    }
}

impl Pool for ByWeight {
    #[inline]
    fn fill(&self, pool: &mut [u32], rng: &mut Rng) -> usize {
        let [mut column, length] = self.steps.start(rng);
        let mut place = rng.next_u64() as u32;
        let mut draw = || {
            let index = self.table.at(column as usize, place).unwrap_or(0);
            column = self.steps.next(column, length);
            place = place.wrapping_add(GOLDEN);
            index
        };
        if pool.len() == POOL {
            // Of so many, one drawn twice is hardly missed, and looking for it costs as much as all draws.
            pool.iter_mut().for_each(|index| *index = draw());
            return POOL;
        }
        let mut count = 0;
        for _ in 0..2 * pool.len() {
            let index = draw();
            if count < pool.len() && !pool[..count].contains(&index) {
                pool[count] = index;
                count += 1;
            }
        }
        count
    }
}

#[derive(Debug)]
struct Pooled<P> {
    entries: Box<[Entry]>,
    /// For each, how much more load it reported than we had there, smoothed; `NaN` without a report. Apart, because
    /// only the writer reads them.
    beside: Box<[AtomicF32]>,
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
        let mut seen = Seen::NOBODY;
        if let Ok(pool) = pool.try_into() {
            let pool: &[u32; POOL] = pool;
            // The same, in straight code.
            seen.fill(pool, &self.entries);
        } else {
            seen.fill(pool, &self.entries);
        }
        let (loads, mut keys) = seen.loads_and_keys();
        // Times decide; the fastest is mostly neither hot nor slower than noted. Each place is asked once at most, and
        // passed over once.
        let mut asked = 0u32;
        for _ in 0..2 * count {
            let place = least(&keys);
            let entry = &self.entries[pool[place] as usize];
            if lesser(&loads, loads[place]) > hottest {
                keys[place] = i32::MAX;
            } else if asked & 1 << place == 0
                && let Some(time) = entry.time_if_longer(cx.now)
            {
                keys[place] = key(time * (1.0 + loads[place]), place as u32);
                asked |= 1 << place;
            } else {
                return Ok(entry.slot);
            }
        }
        Err(NoPick::NoneEligible)
    }

    fn refresh(&self, now: Nanos) {
        let mut sum = 0.0;
        for (entry, beside) in self.entries.iter().zip(&self.beside) {
            entry.time.set(entry.stats.expected_time(now) as f32);
            beside.set(entry.beside(beside.get(), now));
            sum += beside.get().max(0.0);
        }
        let usual = sum / self.entries.len().max(1) as f32 + NOISE;
        for (entry, beside) in self.entries.iter().zip(&self.beside) {
            entry.surplus.set((beside.get() - usual).max(0.0));
        }
    }
}

/// What is read of a pool, for vector code.
struct Seen {
    requests: [i32; POOL],
    per_weight: [f32; POOL],
    surplus: [f32; POOL],
    times: [f32; POOL],
}

impl Seen {
    /// Infinitely loaded.
    const NOBODY: Self = Self {
        requests: [0; POOL],
        per_weight: [0.0; POOL],
        surplus: [f32::INFINITY; POOL],
        times: [f32::INFINITY; POOL],
    };

    #[inline(always)]
    fn fill<'p>(&mut self, pool: impl IntoIterator<Item = &'p u32>, entries: &[Entry]) {
        for (place, index) in pool.into_iter().enumerate() {
            let entry = &entries[*index as usize];
            // Below 2^31; the conversion of signed numbers is the cheaper one.
            self.requests[place] = entry.load.get() as i32;
            self.per_weight[place] = entry.per_weight;
            self.surplus[place] = entry.surplus.get();
            self.times[place] = entry.time.get();
        }
    }

    /// Loads, not negative, and the keys of the times.
    #[inline(always)]
    fn loads_and_keys(&self) -> ([f32; POOL], [i32; POOL]) {
        let (mut loads, mut keys) = ([0.0; POOL], [0; POOL]);
        for place in 0..POOL {
            let own = self.requests[place] as f32 * self.per_weight[place];
            loads[place] = own + self.surplus[place];
            keys[place] = key(self.times[place] * (1.0 + loads[place]), place as u32);
        }
        (loads, keys)
    }
}

/// A time, with its place in the pool for its last bits: the least key tells the place. Floats that are not negative have
/// the order of their bits.
#[inline]
fn key(time: f32, place: u32) -> i32 {
    (time.to_bits() & !(POOL as u32 - 1) | place) as i32
}

/// The place of the least key.
#[inline]
fn least(keys: &[i32; POOL]) -> usize {
    // Four at a time, as vectors compare.
    let mut least = [i32::MAX; 4];
    for four in keys.as_chunks::<4>().0 {
        for (least, key) in least.iter_mut().zip(four) {
            *least = (*key).min(*least);
        }
    }
    let [a, b, c, d] = least;
    a.min(b).min(c.min(d)) as usize % POOL
}

/// How many are less than `load`.
#[inline]
fn lesser(loads: &[f32; POOL], load: f32) -> u32 {
    loads.iter().map(|other| u32::from(*other < load)).sum()
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
        let weights: Vec<u32> = (0..40).map(|index| if index < 20 { 1 } else { 3 }).collect();
        let table = ByWeight::new(&weights, 7);
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
        let one = ByWeight::new(&[65_535, 1], 7);
        assert!((1..=2).contains(&one.fill(&mut [0; 2], &mut rng)));
        let mut heavy = 0;
        for _ in 0..1000 {
            let mut pool = [0; POOL];
            assert_eq!(table.fill(&mut pool, &mut rng), POOL);
            heavy += pool.iter().filter(|index| **index >= 20).count();
        }
        let share = heavy as f64 / 16_000.0;
        assert!((0.74..0.76).contains(&share), "{share}");
    }

    #[test]
    fn keys_have_the_order_of_times_and_tell_their_places() {
        let times = [3e6, 2e6, f32::INFINITY, 0.5, 2e6, 0.5];
        let mut keys = [i32::MAX; POOL];
        for (place, time) in (0..).zip(times) {
            keys[place as usize] = key(time, place);
        }
        let mut order = Vec::new();
        for _ in 0..times.len() {
            order.push(least(&keys));
            keys[order[order.len() - 1]] = i32::MAX;
        }
        assert_eq!(order, [3, 5, 1, 4, 0, 2]);
        let mut loads = [f32::INFINITY; POOL];
        loads[..4].copy_from_slice(&[2.0, 0.5, 2.0, 7.0]);
        assert_eq!(
            loads[..5]
                .iter()
                .map(|load| lesser(&loads, *load))
                .collect::<Vec<_>>(),
            [1, 0, 1, 3, 4]
        );
    }
}
