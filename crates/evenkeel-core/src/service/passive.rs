//! Which failing instances are ejected, and which must stay because too few others work.
//!
//! One instance's failures are evidence against it only beside others that succeed. When a shared
//! dependency fails, every instance fails alike, and ejecting some only overloads the rest. So an
//! instance is ejected only while
//!
//! 1. at least `min_healthy` others **work**: healthy, not on probation, last request succeeded (or
//!    none made yet). In a fleet that fails alike hardly any does. A service of one instance never
//!    loses it; of two, one; of three with two dead, both dead ones go.
//! 2. at most **half** (rounded up) of the instances that checks do not call down are ejected then,
//!    or a later priority has an instance that works and can take over. Half, because rule 1 alone
//!    would let a partial shared failure (one call in three fails, say) empty a large fleet one
//!    unlucky run at a time; not less, because two dead of three is an ordinary day. Instances that
//!    are down do not count on either side: for those, checks have spoken.
//!
//! The longest run of failures goes first.

use super::slots::Slots;
use super::stages::wanted;
use crate::service::journal::Journal;
use crate::{EventKind, Nanos, Rng, ServiceSettings, Slot};

/// How much the service can do without.
#[derive(Debug, Default)]
struct Room {
    /// Instances that work.
    working: usize,
    /// The last priority among those.
    last_priority: u8,
    /// Not down.
    up: usize,
    /// Of those, ejected.
    ejected: usize,
}

impl Room {
    fn of(slots: &Slots) -> Self {
        let mut room = Self::default();
        for (_, entry) in slots.iter() {
            if entry.checks.down().is_some() {
                continue;
            }
            room.up += 1;
            if entry.ejection.until().is_some() {
                room.ejected += 1;
            } else if entry.works() {
                room.working += 1;
                room.last_priority = room.last_priority.max(entry.member.instance().priority);
            }
        }
        room
    }

    /// Why an instance of `priority` may not go, if it may not.
    fn refuses(&self, priority: u8, wanted: usize) -> Option<String> {
        if self.working < wanted {
            return Some(format!("{} others work, at least {wanted} must", self.working));
        }
        if self.ejected >= self.up.div_ceil(2) && self.last_priority <= priority {
            return Some(format!(
                "{} of {} are ejected already, at most half may be",
                self.ejected, self.up
            ));
        }
        None
    }
}

/// Looks at every healthy instance's run of failures and ejects what rules 1 and 2 allow. True when a
/// state changed. O(n), and O(f log f) for f failing instances.
pub(super) fn look(
    slots: &mut Slots,
    settings: &ServiceSettings,
    journal: &mut Journal,
    rng: &mut Rng,
    now: Nanos,
) -> bool {
    let failing = failing(slots, settings);
    if failing.is_empty() {
        return false;
    }
    let wanted = wanted(slots.len(), settings.min_healthy);
    let mut room = Room::of(slots);
    let mut changed = false;
    for (run, slot) in failing {
        let Some(entry) = slots.get_mut(slot) else {
            continue;
        };
        let id = &entry.member.instance().id;
        if let Some(why) = room.refuses(entry.member.instance().priority, wanted) {
            if !entry.withheld {
                entry.withheld = true;
                let reason = format!("{run} requests failed in a row, but it stays: {why}");
                journal.instance(now, id, EventKind::EjectionWithheld, reason.into());
            }
            continue;
        }
        entry.withheld = false;
        let reason = entry.ejection.eject(run, &settings.ejection, rng, now);
        journal.instance(now, id, EventKind::Ejected, reason);
        room.ejected += 1;
        changed = true;
    }
    changed
}

/// Healthy instances whose run of failures is at their limit, the longest run first.
fn failing(slots: &mut Slots, settings: &ServiceSettings) -> Vec<(u32, Slot)> {
    let mut failing = Vec::new();
    if settings.ejection.consecutive_failures == 0 {
        return failing;
    }
    for (slot, entry) in slots.iter_mut() {
        let run = entry.member.stats().consecutive_failures();
        if run == 0 || run < entry.ejection.limit(&settings.ejection) {
            entry.withheld = false;
        } else if entry.is_healthy() {
            failing.push((run, slot));
        }
    }
    failing.sort_unstable_by_key(|(run, slot)| (std::cmp::Reverse(*run), *slot));
    failing
}
