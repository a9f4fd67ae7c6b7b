//! Each candidate in turn.
//!
//! One cursor is shared by all workers, so that few requests over many workers are still spread
//! evenly, and exactly. Its locked addition is most of what a pick costs; a cursor per worker would save
//! it and send the first request of every worker wherever its cursor happens to stand.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::{Picker, Strategy, weighted_round_robin};
use crate::math::Divisor;
use crate::sync::{AtomicU64, Ordering};
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest, Rng};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Strategy for RoundRobin {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        if candidates.has_full_shares() {
            Box::new(Cycle::new(candidates.slots().clone(), seed))
        } else {
            weighted_round_robin::in_turn(candidates.slots(), candidates.shares(), seed)
        }
    }
}

/// Walks a fixed sequence of slots for ever, from a place that the seed decides.
#[derive(Debug)]
pub(super) struct Cycle {
    ticket: Ticket,
    length: Divisor,
    slots: Arc<[Slot]>,
}

impl Cycle {
    pub(super) fn new(slots: Arc<[Slot]>, seed: u64) -> Self {
        let length = slots.len() as u32;
        Self {
            ticket: Ticket::new(Rng::new(seed).below(length).into()),
            length: Divisor::new(length.into()),
            slots,
        }
    }
}

impl Picker for Cycle {
    fn pick(&self, _request: &PickRequest<'_>, _cx: &mut PickContext) -> Result<Slot, NoPick> {
        let (_, place) = self.length.div_rem(self.ticket.take());
        self.slots
            .get(place as usize)
            .copied()
            .ok_or(NoPick::NoneEligible)
    }
}

/// Consecutive numbers, each given out once, shared by all workers. 64 bits last for centuries.
#[derive(Debug)]
pub(super) struct Ticket(CachePadded<AtomicU64>);

impl Ticket {
    pub(super) fn new(first: u64) -> Self {
        Self(CachePadded::new(AtomicU64::new(first)))
    }

    /// The next number. Relaxed: only its uniqueness matters, it guards no other memory.
    #[inline]
    pub(super) fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
