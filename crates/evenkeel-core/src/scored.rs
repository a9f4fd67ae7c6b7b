//! What the strategies have in common that weigh health at every pick.
//!
//! An instance's *worth* is its score, floored and raised to a power ([`HealthFactor`]); it multiplies the weight.
//! Such a strategy must keep two promises that a plain "least (in flight + 1) / (weight × worth)" breaks: a lightly
//! used service is still split by weight and worth, where the formula sends everything to the heaviest, and the lightest
//! gets its part. So a pick begins with a *proposal*, drawn by weight and worth. It stays unless another would be
//! better off even with one request more:
//!
//! `in_flight / (weight × worth) < least of (in_flight + 1) / (weight × worth)`
//!
//! An idle proposal always stays, which makes most picks of a calm service O(1). Others are all candidates, or a few drawn by
//! weight ([`Field::few`]).

use std::sync::Arc;

mod scan;

pub(crate) use scan::Scan;

use crate::math::{Alias, Factor};
use crate::view::{Candidates, Slot};
use crate::{Loads, Rng, Stats};

/// How a score of health becomes a factor on the weight: `max(score, min_health) ^ exponent`.
///
/// The floor keeps the factor above 0, so that a candidate whose score is 0 divides nothing by zero and is tried now
/// and then: who shall get nothing is no candidate, and stages decide that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthFactor {
    min_health: Factor,
    exponent: u8,
}

impl Default for HealthFactor {
    /// A floor of 0.1 and the score as it is.
    fn default() -> Self {
        Self::new(0.1, 1)
    }
}

impl HealthFactor {
    /// The least floor.
    pub const LEAST: f64 = 0.01;
    /// The greatest exponent.
    pub const MAX_EXPONENT: u8 = 8;

    /// Clamps `min_health` to `0.01..=1.0` and `exponent` to `1..=8`.
    #[must_use]
    pub const fn new(min_health: f64, exponent: u8) -> Self {
        let floor = Factor::clamped(min_health).get();
        let floor = if floor < Self::LEAST { Self::LEAST } else { floor };
        Self {
            min_health: Factor::clamped(if floor > 1.0 { 1.0 } else { floor }),
            exponent: match exponent {
                0 => 1,
                1..=Self::MAX_EXPONENT => exponent,
                _ => Self::MAX_EXPONENT,
            },
        }
    }

    /// The factor for `score`, above 0 and at most 1.
    #[inline]
    #[must_use]
    pub fn of(self, score: f32) -> f64 {
        let score = f64::from(score).clamp(self.min_health.get(), 1.0);
        // Multiplied out: the library's power may differ in its last bit from platform to platform.
        (1..self.exponent).fold(score, |product, _| product * score)
    }
}

/// A candidate with what a pick asks of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) slot: Slot,
    /// Weight times share.
    pub(crate) weight: u32,
    pub(crate) stats: Arc<Stats>,
}

/// The candidates, to draw from.
#[derive(Debug)]
pub(crate) struct Field {
    entries: Box<[Entry]>,
    table: Alias,
    loads: Loads,
}

/// Draws of a proposal before the last is taken as it is. Of a fleet with an average worth of 0.1, one in thirty
/// proposals is by weight alone.
const DRAWS: usize = 32;

/// Candidates looked at per pick, the proposal included: with a tenth of a fleet sick, one pick in ten thousand sees only
/// sick ones; two choices would leave one in a hundred.
const CHOICES: usize = 4;
/// Up to as many, all are.
const ALL: usize = FEW;

impl Field {
    pub(crate) fn new(candidates: &Candidates) -> Self {
        let entries = candidates.slots().iter().zip(candidates.weights());
        let entries: Box<[Entry]> = entries
            .filter_map(|(slot, weight)| {
                Some(Entry {
                    slot: *slot,
                    weight,
                    stats: Arc::clone(candidates.member(*slot)?.stats()),
                })
            })
            .collect();
        Self {
            table: Alias::new((0..).zip(entries.iter().map(|entry| entry.weight))),
            entries,
            loads: candidates.loads().clone(),
        }
    }

    #[inline]
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Requests in flight at the entry.
    #[inline]
    pub(crate) fn load(&self, entry: &Entry) -> u32 {
        self.loads.get(entry.slot.0)
    }

    /// The index of an entry, as likely as its weight.
    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> Option<usize> {
        self.table.draw(rng.next_u64()).map(|index| index as usize)
    }

    /// The index of an entry, as likely as its weight times its worth, which is at most 1: `accepts` says of an index
    /// and a draw from `0.0..1.0` whether the draw is below the worth.
    #[inline]
    pub(crate) fn propose(&self, rng: &mut Rng, accepts: impl Fn(usize, f32) -> bool) -> Option<usize> {
        let mut index = self.draw(rng)?;
        for _ in 1..DRAWS {
            // 24 bits, as many as the number holds.
            if accepts(index, (rng.next_u64() >> 40) as i32 as f32 * (1.0 / 16_777_216.0)) {
                break;
            }
            index = self.draw(rng)?;
        }
        Some(index)
    }

    /// The proposal, or the better of a few others. O(1).
    #[inline]
    pub(crate) fn few(&self, rng: &mut Rng, prices: &impl Prices) -> Option<Slot> {
        let best = prices.best();
        let accepts = |index: usize, draw: f32| {
            let entry = &self.entries[index];
            draw * prices.per_request(index, self.load(entry)) * (entry.weight as f32) < best
        };
        let proposed = self.propose(rng, accepts)?;
        let requests = self.load(&self.entries[proposed]);
        if requests == 0 {
            return Some(self.entries[proposed].slot);
        }
        // With one request more.
        let cost = |index: usize| {
            let requests = self.load(&self.entries[index]);
            (requests as i32 as f32 + 1.0) * prices.per_request(index, requests)
        };
        let (index, least) = if self.entries.len() <= ALL {
            let mut costs = [f32::INFINITY; ALL];
            for (index, place) in costs[..self.entries.len()].iter_mut().enumerate() {
                *place = cost(index);
            }
            let weight = |index: usize| self.entries.get(index).map_or(0, |entry| entry.weight);
            let index = least_of_few(&costs, weight, rng);
            (index, costs[index])
        } else {
            let mut drawn = [proposed; CHOICES];
            for place in &mut drawn[1..] {
                *place = self.draw(rng)?;
            }
            let costs = drawn.map(cost);
            let place = least_of_few(&costs, |place| self.entries[drawn[place]].weight, rng);
            (drawn[place], costs[place])
        };
        let stays = requests as f32 * prices.per_request(proposed, requests) < least;
        Some(self.entries[if stays { proposed } else { index }].slot)
    }
}

/// What requests cost, for [`Field::few`].
pub(crate) trait Prices {
    /// What each costs at an entry with so many in flight: above 0, and in inverse proportion to its weight and worth.
    fn per_request(&self, index: usize, requests: u32) -> f32;

    /// The least cost of a request times the weight: that of the entry that is worth most. Proposals are in proportion
    /// to it, so that most are taken where most are worth as much.
    fn best(&self) -> f32;
}

/// The most that are all compared.
pub(crate) const FEW: usize = 16;

/// The place of the least of `costs`, a multiple of four; equals share by weight.
#[inline(always)]
pub(crate) fn least_of_few<const N: usize>(
    costs: &[f32; N],
    weight: impl Fn(usize) -> u32,
    rng: &mut Rng,
) -> usize {
    // Fixed lengths and no branches compile to vector code; four at a time, since the order in which floats are
    // compared is otherwise kept.
    let mut least = [f32::INFINITY; 4];
    for four in costs.as_chunks::<4>().0 {
        for (least, cost) in least.iter_mut().zip(four) {
            *least = if cost < least { *cost } else { *least };
        }
    }
    let lesser = |a: f32, b: f32| if a < b { a } else { b };
    let least = lesser(lesser(least[0], least[1]), lesser(least[2], least[3]));
    // The number of equals, and the sum of their places: of one, its place.
    let mut found = 0;
    for (place, cost) in (0..).zip(costs) {
        found += if *cost == least { (1 << 16) + place } else { 0 };
    }
    if found >> 16 == 1 {
        return (found & 0xFFFF) as usize;
    }
    // The first whose weight, with those of the equals before it, is above a draw; counted, because nothing could
    // predict a branch on a draw.
    let mut tied = [0; N];
    for place in 0..N {
        tied[place] = if costs[place] == least { weight(place) } else { 0 };
    }
    let draw = rng.below(tied.iter().sum());
    let (mut sum, mut drawn) = (0, 0);
    for weight in tied {
        sum += weight;
        drawn += usize::from(sum <= draw);
    }
    drawn.min(N - 1)
}

/// The least cost so far and who has it; equals share by weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least {
    pub(crate) cost: f32,
    pub(crate) index: usize,
    tied: u64,
}

impl Least {
    pub(crate) const NONE: Self = Self {
        cost: f32::INFINITY,
        index: 0,
        tied: 0,
    };

    #[inline]
    pub(crate) fn offer(&mut self, cost: f32, index: usize, weight: u32, rng: &mut Rng) {
        if cost < self.cost {
            *self = Self {
                cost,
                index,
                tied: weight.into(),
            };
        } else if cost == self.cost {
            // The k-th of equals replaces the choice with its share of the weight seen so far, which leaves each
            // with its share of the whole.
            self.tied += u64::from(weight);
            if rng.below_u64(self.tied) < u64::from(weight) {
                self.index = index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_never_nothing_whatever_the_score() {
        let plain = HealthFactor::default();
        assert_eq!([plain.of(1.0), plain.of(0.5), plain.of(0.0)], [1.0, 0.5, 0.1]);
        let cubed = HealthFactor::new(0.5, 3);
        assert_eq!([cubed.of(1.0), cubed.of(0.0)], [1.0, 0.125]);
        for bad in [f32::NEG_INFINITY, -3.0, f32::INFINITY] {
            assert!((0.1..=1.0).contains(&plain.of(bad)), "{bad}");
        }
    }

    #[test]
    fn settings_are_brought_into_range() {
        assert_eq!(HealthFactor::new(f64::NAN, 0), HealthFactor::new(0.01, 1));
        assert_eq!(HealthFactor::new(7.0, 200), HealthFactor::new(1.0, 8));
        assert!(HealthFactor::new(0.0, 8).of(0.0) > 0.0);
    }
}
