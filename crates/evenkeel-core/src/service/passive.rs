//! Which failing instances are ejected, and which must stay because too few others work.
//!
//! One instance's failures are evidence against it only beside others that succeed. When a shared
//! dependency fails, every instance fails alike, and ejecting some only overloads the rest. So an
//! instance is ejected only while
//!
//! 1. at least `min_healthy` others **work**: not ejected, last request succeeded (or none made, or none
//!    of late), and if they were ejected before, they have answered since. In a fleet that fails alike hardly any
//!    does. A service of one instance never loses it; of two, one; of three with two dead, both dead
//!    ones go.
//! 2. at most **half** (rounded up) of the instances that checks do not call down are ejected then.
//!    Half, because rule 1 alone would let a partial shared failure (one call in three fails, say) empty
//!    a large fleet one unlucky run at a time; not less, because two dead of three is an ordinary day.
//!    More than half may go when a later priority has an instance that works and can take over, or when
//!    bad luck is out of the question: the run is [`HOPELESS`] times what ejects, while those that work
//!    succeed in most of their last requests. Otherwise the fourth dead one of six would stay for ever,
//!    and by failing fast take most of the traffic.
//!
//! Instances that are down do not count on either side: for those, checks have spoken. Except in
//! **fallback**: then checks call so many down that they are not believed, all instances take traffic, and
//! the same rules hold over all of them, down or not and whatever their priority. Rule 1 wants one other
//! that works there, since the minimum is missed anyway.
//!
//! The longest run of failures goes first.

use super::entry::Entry;
use super::slots::Slots;
use super::stages::minimum;
use crate::service::journal::Journal;
use crate::{EventKind, Nanos, Rng, ServiceSettings, Slot};

/// Runs this many times as long as what ejects are no bad luck. Ten: at the default limit of 5, an
/// instance that fails nine requests in ten gets that far in one of 200 runs, one that fails two in
/// three in one of 10^9.
const HOPELESS: u32 = 10;

/// How much the service can do without.
#[derive(Debug)]
struct Room {
    /// Too few are healthy: down ones count too.
    fallback: bool,
    /// How many must work.
    wanted: usize,
    /// Instances that work.
    working: usize,
    /// Their smoothed shares of successes, added up.
    success: f32,
    /// The last priority among those, where priorities count.
    last_priority: u8,
    /// Instances that take part in this.
    present: usize,
    /// Of those, ejected.
    ejected: usize,
}

impl Room {
    fn of(slots: &Slots, settings: &ServiceSettings, now: Nanos) -> Self {
        let minimum = minimum(slots, settings, now);
        let (wanted, fallback) = (minimum.wanted, minimum.fallback);
        let mut room = Self {
            fallback,
            wanted: if fallback { 1 } else { wanted },
            working: 0,
            success: 0.0,
            last_priority: 0,
            present: 0,
            ejected: 0,
        };
        for (_, entry) in slots.iter() {
            if !room.judges(entry) {
                continue;
            }
            room.present += 1;
            if entry.ejection.until().is_some() {
                room.ejected += 1;
            } else if entry.works(&settings.ejection, now) {
                room.working += 1;
                room.success += entry.member.stats().success_share();
                if !fallback {
                    room.last_priority = room.last_priority.max(entry.member.instance().priority);
                }
            }
        }
        room
    }

    /// Whether its requests count: it may get new ones.
    fn judges(&self, entry: &Entry) -> bool {
        entry.drain.is_none() && (self.fallback || entry.checks.down().is_none())
    }

    /// Whether an instance of `priority` with this `run` may not go, and why.
    fn refuses(&self, priority: u8, run: u32, limit: u32) -> Option<Refusal> {
        if self.working < self.wanted {
            return Some(Refusal::TooFewWork);
        }
        let hopeless = run >= limit.saturating_mul(HOPELESS) && self.success >= 0.5 * self.working as f32;
        let full = self.ejected >= self.present.div_ceil(2);
        (full && self.last_priority <= priority && !hopeless).then_some(Refusal::HalfAreOut)
    }

    fn tell(&self, refusal: Refusal) -> String {
        match refusal {
            Refusal::TooFewWork => format!("{} others work, at least {} must", self.working, self.wanted),
            Refusal::HalfAreOut => format!(
                "{} of {} are ejected already, at most half may be",
                self.ejected, self.present
            ),
        }
    }
}

/// Why one that fails has to stay.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    TooFewWork,
    HalfAreOut,
}

/// Looks at the run of failures of every instance that takes traffic and ejects what rules 1 and 2
/// allow. True when a state changed. O(n), and O(f log f) for f failing instances.
pub(super) fn look(
    slots: &mut Slots,
    settings: &ServiceSettings,
    journal: &mut Journal,
    rng: &mut Rng,
    now: Nanos,
) -> bool {
    if settings.ejection.consecutive_failures == 0 {
        return false;
    }
    let mut room = Room::of(slots, settings, now);
    let mut changed = false;
    for (run, slot) in failing(slots, settings, &room) {
        let Some(entry) = slots.get_mut(slot) else {
            continue;
        };
        let instance = entry.member.instance();
        let limit = entry.ejection.limit(&settings.ejection);
        if let Some(why) = room.refuses(instance.priority, run, limit) {
            // The next length at which the answer may be another one.
            entry.member.stats().set_alarm_at(limit.saturating_mul(HOPELESS));
            if !entry.withheld {
                entry.withheld = true;
                let reason = format!("{run} requests failed in a row, but it stays: {}", room.tell(why));
                journal.instance(now, &instance.id, EventKind::EjectionWithheld, reason.into());
            }
            continue;
        }
        entry.withheld = false;
        entry.arm(&settings.ejection);
        let down = entry.checks.down().is_some();
        let reason = entry.ejection.eject(run, down, &settings.ejection, rng, now);
        journal.instance(now, &instance.id, EventKind::Ejected, reason);
        room.ejected += 1;
        changed = true;
    }
    changed
}

/// Instances whose run of failures is at their limit and that are not ejected, the longest run first.
fn failing(slots: &mut Slots, settings: &ServiceSettings, room: &Room) -> Vec<(u32, Slot)> {
    let mut failing = Vec::new();
    for (slot, entry) in slots.iter_mut() {
        let run = entry.member.stats().consecutive_failures();
        if run == 0 || run < entry.ejection.limit(&settings.ejection) {
            if std::mem::take(&mut entry.withheld) {
                entry.arm(&settings.ejection);
            }
        } else if room.judges(entry) && entry.ejection.until().is_none() {
            failing.push((run, slot));
        }
    }
    failing.sort_unstable_by_key(|(run, slot)| (std::cmp::Reverse(*run), *slot));
    failing
}
