//! Each candidate in turn. One cursor is shared by all workers, so that few requests over many
//! workers are still spread evenly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::{Picker, Strategy};
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest, Rng};

/// The strategy.
#[derive(Debug, Default)]
pub struct RoundRobin;

impl Strategy for RoundRobin {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let start = Rng::new(seed).below(candidates.len() as u32);
        Box::new(Cursor {
            next: CachePadded::new(AtomicU64::new(start.into())),
            slots: candidates.slots().clone(),
        })
    }
}

#[derive(Debug)]
struct Cursor {
    next: CachePadded<AtomicU64>,
    slots: Arc<[Slot]>,
}

impl Picker for Cursor {
    fn pick(&self, _request: &PickRequest<'_>, _cx: &mut PickContext) -> Result<Slot, NoPick> {
        if self.slots.is_empty() {
            return Err(NoPick::NoneEligible);
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(self.slots[(turn % self.slots.len() as u64) as usize])
    }
}
