//! Two distinct candidates drawn by weight; the one with fewer requests in flight per weight. More are drawn while
//! some of the fleet is slow or fails.
//!
//! A tie keeps the first draw, so that an idle service splits by weight.
//!
//! Two choices send a share f² of requests to a slow instance when a part f of the fleet is slow, and counts of
//! requests in flight do not show it before it hurts; one that fails at once has none in flight and wins whenever
//! it is drawn. So once a second the writer looks at all candidates ([`Picker::refresh`]) and marks as **poor**
//!
//! - the slow, whose usual response time is above [`SLOW`] times the median, and
//! - the failing, whose share of successes is [`FAILING`] below the median.
//!
//! Medians, because what all candidates have in common is nobody's fault; at most half can be poor by them. While
//! anybody is poor, `d` distinct candidates are drawn, the least number in 2 to 8 with `f^d <` [`MISSES`]. A poor one
//! wins only when `(in_flight + 1) × factor` per weight is less than `in_flight + 1` of the others: the factor is how
//! many times the median it takes, times what its failures cost (`1 + 4 (1/s − 1)` with `s` its share of successes, as
//! for [`crate::Stats::expected_time`]), up to 253. Not "never": where the others are overloaded, slow ones and those
//! that fail now and then are capacity. A poor one that was not asked for [`TRIAL`] counts as any other, once: its
//! answer shows whether it still is, and after failures in a row it is asked less often. With nobody poor, a pick does what it did before, and reads one number more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::{Picker, Strategy};
use crate::draw::{ByWeight, Draw, Evenly};
use crate::view::{Candidates, Slot};
use crate::{Loads, Nanos, NoPick, PickContext, PickRequest, Stats};

/// How many times the median response time is slow.
const SLOW: f32 = 4.0;
/// How much fewer successes than the median are failing. The share remembers about 16 requests, so of those that fail
/// every fifth request a quarter is marked at any time, and of those that fail every third most are.
const FAILING: f32 = 0.25;
/// The part of requests for which all choices may be poor.
const MISSES: f64 = 0.005;
/// The most choices: enough for half of the fleet (0.5^8 is 0.4 %).
const MOST: usize = 8;
/// A poor instance is tried so often. After such a pause an answer weighs two thirds, so that one 200 times slower than
/// the rest is back after four good ones.
const TRIAL: Nanos = Nanos::from_secs(3);
/// How many times as long a run of failures makes that pause, at most.
const LONGEST: u32 = 4;
/// How often the candidates are looked at.
const LOOK: Nanos = Nanos::from_secs(1);

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PowerOfTwo;

impl Strategy for PowerOfTwo {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let weights: Vec<u32> = candidates.weights().collect();
        let loads = candidates.loads().clone();
        let slots = candidates.slots();
        let fleet = Fleet::new(candidates, &weights);
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            let choices = slots.iter().map(|slot| Even(*slot)).collect();
            let draw = Evenly::new(slots.len());
            return Box::new(Choices {
                choices,
                draw,
                loads,
                fleet,
            });
        }
        let choices = slots.iter().zip(&weights);
        let choices = choices.map(|(slot, weight)| Weighted {
            slot: *slot,
            weight: *weight,
        });
        Box::new(Choices {
            choices: choices.collect(),
            draw: ByWeight::new(&weights),
            loads,
            fleet,
        })
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(LOOK)
    }
}

/// A candidate, with what its load is divided by.
trait Choice: std::fmt::Debug + Copy + Send + Sync + 'static {
    fn slot(self) -> Slot;
    /// Whether it has fewer requests per weight than `other`.
    fn is_freer(self, other: Self, loads: &Loads) -> bool;
    /// Requests per weight with one more.
    fn with_one_more(self, loads: &Loads) -> f64;
}

/// All weights are equal.
#[derive(Debug, Clone, Copy)]
struct Even(Slot);

impl Choice for Even {
    #[inline]
    fn slot(self) -> Slot {
        self.0
    }

    #[inline]
    fn is_freer(self, other: Self, loads: &Loads) -> bool {
        loads.get(self.0.0) < loads.get(other.0.0)
    }

    fn with_one_more(self, loads: &Loads) -> f64 {
        f64::from(loads.get(self.0.0)) + 1.0
    }
}

#[derive(Debug, Clone, Copy)]
struct Weighted {
    slot: Slot,
    weight: u32,
}

impl Choice for Weighted {
    #[inline]
    fn slot(self) -> Slot {
        self.slot
    }

    #[inline]
    fn is_freer(self, other: Self, loads: &Loads) -> bool {
        let load = |choice: Self| u64::from(loads.get(choice.slot.0));
        // a / w < b / v without a division: below 2^56, no overflow.
        load(self) * u64::from(other.weight) < load(other) * u64::from(self.weight)
    }

    fn with_one_more(self, loads: &Loads) -> f64 {
        (f64::from(loads.get(self.slot.0)) + 1.0) / f64::from(self.weight)
    }
}

#[derive(Debug)]
struct Choices<C, D> {
    choices: Box<[C]>,
    draw: D,
    loads: Loads,
    fleet: Fleet,
}

impl<C: Choice, D: Draw> Picker for Choices<C, D> {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let Some([first, second]) = self.draw.pair(&mut cx.rng) else {
            let only = self.choices.first();
            return only.map(|choice| choice.slot()).ok_or(NoPick::NoneEligible);
        };
        // Relaxed: an older width does as well.
        let width = self.fleet.width.load(Relaxed);
        if width > 0 {
            return Ok(self.wide([first, second], width, cx));
        }
        let (first, second) = (self.choices[first], self.choices[second]);
        let better = if second.is_freer(first, &self.loads) {
            second
        } else {
            first
        };
        Ok(better.slot())
    }

    fn refresh(&self, _now: Nanos) {
        self.fleet.look();
    }
}

impl<C: Choice, D: Draw> Choices<C, D> {
    /// The best of `width` candidates.
    #[cold]
    fn wide(&self, [first, second]: [usize; 2], width: usize, cx: &mut PickContext) -> Slot {
        let loads = &self.loads;
        let mut best = (self.choices[first], self.fleet.factor(first, cx.now));
        let mut offer = |index: usize| {
            let (choice, factor) = (self.choices[index], self.fleet.factor(index, cx.now));
            let better = if factor == GOOD && best.1 == GOOD {
                choice.is_freer(best.0, loads)
            } else {
                choice.with_one_more(loads) * f64::from(factor)
                    < best.0.with_one_more(loads) * f64::from(best.1)
            };
            if better {
                best = (choice, factor);
            }
        };
        if width >= self.choices.len() {
            // From the second on, whose place is random: ties go to no one in particular.
            (second..self.choices.len()).chain(0..second).for_each(offer);
            return best.0.slot();
        }
        offer(second);
        let mut seen = [usize::MAX; MOST];
        [seen[0], seen[1]] = [first, second];
        let mut count = 2;
        // Repeated draws are drawn again, but not for ever where a few hold most of the weight.
        for _ in 0..2 * MOST {
            if count >= width.min(MOST) {
                break;
            }
            let Some(index) = self.draw.one(&mut cx.rng) else {
                break;
            };
            if !seen[..count].contains(&index) {
                seen[count] = index;
                count += 1;
                offer(index);
            }
        }
        best.0.slot()
    }
}

/// The factor of one that is not poor.
const GOOD: f32 = 1.0;
/// The greatest factor: that of one that only fails.
const WORST: f32 = 253.0;

/// Who is poor.
#[derive(Debug)]
struct Fleet {
    instances: Box<[Watched]>,
    weight: u64,
    /// How many are drawn; 0 while nobody is poor.
    width: AtomicUsize,
}

#[derive(Debug)]
struct Watched {
    stats: Arc<Stats>,
    weight: u32,
    /// What its load counts for, as f32 bits.
    factor: AtomicU32,
}

impl Fleet {
    fn new(candidates: &Candidates, weights: &[u32]) -> Self {
        let instances = candidates.slots().iter().zip(weights);
        let instances = instances.filter_map(|(slot, weight)| {
            Some(Watched {
                stats: Arc::clone(candidates.member(*slot)?.stats()),
                weight: *weight,
                factor: AtomicU32::new(GOOD.to_bits()),
            })
        });
        Self {
            instances: instances.collect(),
            weight: weights.iter().map(|weight| u64::from(*weight)).sum(),
            width: AtomicUsize::new(0),
        }
    }

    /// What its load counts for.
    fn factor(&self, index: usize, now: Nanos) -> f32 {
        let instance = &self.instances[index];
        let factor = f32::from_bits(instance.factor.load(Relaxed));
        if factor == GOOD {
            return GOOD;
        }
        let failures = instance.stats.consecutive_failures().min(LONGEST - 1);
        let pause = now.since(instance.stats.last_used()).0 / u64::from(failures + 1);
        if pause < TRIAL.0 { factor } else { GOOD }
    }

    /// Marks the poor. O(n).
    fn look(&self) {
        let times = self.instances.iter().filter_map(|w| w.stats.usual_time());
        let time = median(times).map_or(1.0, |time| time.0 as f32);
        // Nothing below 0 is compared, so the bits have the order of the numbers.
        let shares = self.instances.iter();
        let shares = shares.map(|w| w.stats.recent_success_share().to_bits());
        let share = median(shares).map_or(1.0, f32::from_bits);
        let mut poor = 0;
        for instance in &self.instances {
            let times = instance.stats.usual_time().map_or(1.0, |own| own.0 as f32 / time);
            let success = instance.stats.recent_success_share();
            let (slow, failing) = (times > SLOW, success < share - FAILING);
            let mut factor = if slow { times } else { GOOD };
            if failing {
                factor *= 1.0 + 4.0 * (1.0 / success - 1.0);
            }
            // Relaxed: each mark stands alone.
            instance.factor.store(factor.min(WORST).to_bits(), Relaxed);
            poor += u64::from(slow || failing) * u64::from(instance.weight);
        }
        let width = width(poor as f64 / self.weight.max(1) as f64);
        self.width.store(width, Relaxed);
    }
}

/// The lower median.
fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

/// The least number of draws among which one is not poor but for a share of [`MISSES`], when `poor` is the part that
/// is; 0 when nobody is.
fn width(poor: f64) -> usize {
    if poor == 0.0 {
        return 0;
    }
    let (mut width, mut all) = (2, poor * poor);
    while all >= MISSES && width < MOST {
        all *= poor;
        width += 1;
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_widens_with_the_poor() {
        let widths = [0.0, 0.01, 0.07, 0.08, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0].map(width);
        assert_eq!(widths, [0, 2, 2, 3, 4, 5, 6, 8, 8, 8]);
    }

    #[test]
    fn the_lower_median() {
        assert_eq!(median([].into_iter()), None::<u32>);
        assert_eq!(median([3].into_iter()), Some(3));
        assert_eq!(median([9, 1].into_iter()), Some(1));
        assert_eq!(median([9, 1, 5, 7].into_iter()), Some(5));
    }
}
