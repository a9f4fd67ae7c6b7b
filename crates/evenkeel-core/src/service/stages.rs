//! From instances to candidates: drains, checks, ejections, priorities, and the fallback to all.

use std::sync::Arc;

use super::slots::Slots;
use crate::{NoPick, PickContext, PickRequest, Picker, Slot};

/// What the stages left.
#[derive(Debug)]
pub(super) struct Staged {
    /// The candidates, ascending.
    pub(super) slots: Arc<[Slot]>,
    /// Instances that neither checks nor requests speak against, in all priorities.
    pub(super) healthy: usize,
    /// How many of those are wanted.
    pub(super) wanted: usize,
    /// Too few are healthy, so checks and priorities have no say.
    pub(super) fallback: bool,
    /// And nobody answers, so that ejections have none either.
    pub(super) last_resort: bool,
}

/// The healthy instances of the first priority that has one. When fewer than `min_healthy` are healthy,
/// all that are not ejected, whatever checks say (fallback); and when none of those answers requests, all
/// instances (last resort). A minimum above the number of instances means all of them, one of 0 means 1:
/// traffic for which there is an instance is never refused. Those that drain are left out of all this,
/// whatever becomes of the others: somebody wants it so. O(n).
pub(super) fn stage(slots: &Slots, min_healthy: u32) -> Staged {
    let healthy = slots.iter().filter(|(_, entry)| entry.is_healthy()).count();
    let wanted = wanted(slots, min_healthy);
    let fallback = healthy < wanted;
    let first = slots
        .iter()
        .filter(|(_, entry)| entry.is_healthy())
        .map(|(_, entry)| entry.member.instance().priority)
        .min();
    let present = || slots.iter().filter(|(_, entry)| entry.drain.is_none());
    let last_resort = fallback && !present().any(|(_, entry)| entry.answers());
    let chosen = present().filter(|(_, entry)| {
        if fallback {
            last_resort || entry.ejection.until().is_none()
        } else {
            entry.is_healthy() && Some(entry.member.instance().priority) == first
        }
    });
    Staged {
        slots: chosen.map(|(slot, _)| slot).collect(),
        healthy,
        wanted,
        fallback,
        last_resort,
    }
}

/// Healthy instances that the service wants at least, of those that do not drain.
pub(super) fn wanted(slots: &Slots, min_healthy: u32) -> usize {
    let present = slots.iter().filter(|(_, entry)| entry.drain.is_none()).count();
    (min_healthy.max(1) as usize).min(present)
}

/// The picker of a service without instances: says so.
#[derive(Debug)]
pub(super) struct NoInstances;

impl Picker for NoInstances {
    fn pick(&self, _request: &PickRequest<'_>, _cx: &mut PickContext) -> Result<Slot, NoPick> {
        Err(NoPick::Empty)
    }
}
