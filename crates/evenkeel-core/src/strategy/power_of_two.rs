//! Two distinct candidates drawn by weight; the one with fewer requests in flight per weight.
//!
//! A tie keeps the first draw, so that an idle service splits by weight. The second draw repeats the
//! first's distribution among the others: a repetition is rejected a few times and then excluded by
//! inversion, so that one huge weight costs a binary search instead of a loop.
//!
//! Two choices send a share f² of requests to a slow instance when a fraction f of the fleet is slow
//! and in-flight counts do not show it; strategies that widen the choice are better then.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::math::Alias;
use crate::view::{Candidates, Slot};
use crate::{Loads, NoPick, PickContext, PickRequest, Rng};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PowerOfTwo;

impl Strategy for PowerOfTwo {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let weights: Vec<u32> = candidates.weights().collect();
        let loads = candidates.loads().clone();
        let slots = candidates.slots();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Box::new(Even {
                slots: slots.clone(),
                loads,
            });
        }
        let mut end = 0;
        let choices = slots.iter().zip(&weights).map(|(slot, &weight)| {
            end += u64::from(weight);
            Choice {
                slot: *slot,
                weight,
                end,
            }
        });
        Box::new(Weighted {
            choices: choices.collect(),
            table: Alias::new((0..).zip(weights.iter().copied())),
            loads,
        })
    }
}

/// All weights are equal.
#[derive(Debug)]
struct Even {
    slots: Arc<[Slot]>,
    loads: Loads,
}

impl Picker for Even {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let n = self.slots.len() as u64;
        if n < 2 {
            return self.slots.first().copied().ok_or(NoPick::NoneEligible);
        }
        // One draw serves both: 32 bits choose among n, 32 among the other n − 1.
        let bits = cx.rng.next_u64();
        let first = ((bits >> 32) * n) >> 32;
        let mut second = ((bits & 0xFFFF_FFFF) * (n - 1)) >> 32;
        second += u64::from(second >= first);
        let (first, second) = (self.slots[first as usize], self.slots[second as usize]);
        let second_is_better = self.loads.get(second.0) < self.loads.get(first.0);
        Ok(if second_is_better { second } else { first })
    }
}

#[derive(Debug, Clone, Copy)]
struct Choice {
    slot: Slot,
    weight: u32,
    /// Sum of the weights up to and including this one.
    end: u64,
}

/// Draws of the second choice before it is found by inversion. A repeated draw is likely only when
/// one instance holds most of the weight.
const REDRAWS: usize = 2;

#[derive(Debug)]
struct Weighted {
    /// At least two.
    choices: Box<[Choice]>,
    table: Alias,
    loads: Loads,
}

impl Weighted {
    #[inline]
    fn other_than(&self, first: usize, rng: &mut Rng) -> usize {
        for _ in 0..REDRAWS {
            let again = self.table.draw(rng.next_u64()).unwrap_or(0) as usize;
            if again != first {
                return again;
            }
        }
        self.invert_without(first, rng)
    }

    /// A draw by weight among all but `first`, by binary search in the sums of weights. O(log n).
    #[cold]
    fn invert_without(&self, first: usize, rng: &mut Rng) -> usize {
        let Choice { weight, end, .. } = self.choices[first];
        let total = self.choices.last().map_or(0, |last| last.end);
        let mut place = rng.below_u64(total - u64::from(weight));
        if place >= end - u64::from(weight) {
            place += u64::from(weight);
        }
        self.choices.partition_point(|choice| choice.end <= place)
    }
}

impl Picker for Weighted {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let first = self.table.draw(cx.rng.next_u64()).ok_or(NoPick::NoneEligible)? as usize;
        let second = self.other_than(first, &mut cx.rng);
        let (first, second) = (self.choices[first], self.choices[second]);
        let load = |choice: Choice| u64::from(self.loads.get(choice.slot.0));
        // a / w < b / v without a division: below 2^56, no overflow.
        let second_is_better =
            load(second) * u64::from(first.weight) < load(first) * u64::from(second.weight);
        Ok(if second_is_better { second.slot } else { first.slot })
    }
}
