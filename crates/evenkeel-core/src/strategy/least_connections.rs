//! The candidate with the fewest requests in flight per weight; ties are shared by weight.

use super::{Picker, Strategy};
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct LeastConnections;

impl Strategy for LeastConnections {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        Box::new(Scan {
            weights: candidates.weights().collect(),
            candidates: candidates.clone(),
        })
    }
}

#[derive(Debug)]
struct Scan {
    candidates: Candidates,
    weights: Box<[u32]>,
}

impl Picker for Scan {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let mut best: Option<(Slot, u64, u64)> = None;
        let mut tied = 0u64;
        for (slot, weight) in self.candidates.slots().iter().zip(&self.weights) {
            let (load, weight) = (u64::from(self.candidates.loads().get(slot.0)), u64::from(*weight));
            let order = best.map_or(std::cmp::Ordering::Less, |(_, l, w)| {
                (load * w).cmp(&(l * weight))
            });
            match order {
                std::cmp::Ordering::Less => {
                    tied = weight;
                    best = Some((*slot, load, weight));
                }
                std::cmp::Ordering::Equal => {
                    tied += weight;
                    if cx.rng.below_u64(tied) < weight {
                        best = Some((*slot, load, weight));
                    }
                }
                std::cmp::Ordering::Greater => {}
            }
        }
        best.map(|(slot, ..)| slot).ok_or(NoPick::NoneEligible)
    }
}
