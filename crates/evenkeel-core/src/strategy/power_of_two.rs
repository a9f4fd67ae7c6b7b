//! Two distinct candidates at random; the one with fewer requests in flight per weight.

use super::{Picker, Strategy};
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Default)]
pub struct PowerOfTwo;

impl Strategy for PowerOfTwo {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        Box::new(TwoChoices {
            candidates: candidates.clone(),
        })
    }
}

#[derive(Debug)]
struct TwoChoices {
    candidates: Candidates,
}

impl Picker for TwoChoices {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let slots = self.candidates.slots();
        let n = slots.len() as u32;
        match n {
            0 => return Err(NoPick::NoneEligible),
            1 => return Ok(slots[0]),
            _ => {}
        }
        let a = cx.rng.below(n);
        let mut b = cx.rng.below(n - 1);
        b += u32::from(b >= a);
        let (a, b) = (slots[a as usize], slots[b as usize]);
        let loads = self.candidates.loads();
        Ok(if loads.get(b.0) < loads.get(a.0) { b } else { a })
    }
}
