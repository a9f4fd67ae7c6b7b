//! A candidate at random, as likely as its weight: one draw from an alias table.

use super::{Picker, Strategy};
use crate::math::Alias;
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightedRandom;

impl Strategy for WeightedRandom {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        drawn(candidates.slots(), candidates.weights())
    }
}

/// One of `slots` at random, as likely as its weight.
pub(super) fn drawn(slots: &[Slot], weights: impl Iterator<Item = u32>) -> Box<dyn Picker> {
    let slots = slots.iter().map(|slot| slot.0);
    Box::new(ByWeight {
        table: Alias::new(slots.zip(weights)),
    })
}

#[derive(Debug)]
struct ByWeight {
    table: Alias,
}

impl Picker for ByWeight {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let bits = cx.rng.next_u64();
        self.table.draw(bits).map(Slot).ok_or(NoPick::NoneEligible)
    }
}
