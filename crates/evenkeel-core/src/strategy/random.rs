//! A candidate at random, every one as likely as any other.
//!
//! Nothing is shared between workers, so this is the cheapest pick; its price is the variance of
//! chance: after k picks each, instances differ by about √k.

use std::sync::Arc;

use super::{Picker, Strategy, weighted_random};
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Random;

impl Strategy for Random {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        if candidates.has_full_shares() {
            Box::new(Even {
                slots: candidates.slots().clone(),
            })
        } else {
            weighted_random::drawn(candidates.slots(), candidates.shares())
        }
    }
}

#[derive(Debug)]
struct Even {
    slots: Arc<[Slot]>,
}

impl Picker for Even {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let index = cx.rng.below(self.slots.len() as u32);
        self.slots
            .get(index as usize)
            .copied()
            .ok_or(NoPick::NoneEligible)
    }
}
