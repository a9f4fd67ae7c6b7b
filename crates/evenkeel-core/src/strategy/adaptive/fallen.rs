//! Who fell ([`crate::trust`]), and when one of them is asked again.
//!
//! Without health checks, asking is the only way to learn that an instance is well again, and each time may cost a request. So
//! those that fell take turns: one request to one of them, the one that was not asked for longest, after a pause of 5 s at first
//! and of 11 s later (5 s where 2000 requests take no longer), and from a minute on of a sixth of the time that the last one
//! has been down, 30 s at most. Who fell together often rises together, a rack or a deployment, so when one answers, all others are asked
//! at once, one request each.
//!
//! Two of twenty that fail for a minute so cost a balancer ten requests: two each until they fell, and six turns.
//! With 64 that fell each has a turn in two minutes nonetheless, unless that were more than one request in fifty.

use super::{Choice, Entry};
use crate::Nanos;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::view::Slot;

/// The longest pause between two turns in the first minute.
const PAUSE: Nanos = Nanos::from_secs(11);
/// The part of the time that the last one has been down: one in so many.
const PART: u64 = 6;
/// Everybody's turn comes after this.
const ROUND: Nanos = Nanos::from_secs(120);

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// By its slot…
    next: AtomicU32,
    /// …from when on, in ns; 0 when nobody fell.
    from: AtomicU64,
    /// One of them answered: whoever was not asked since, in ns, is due.
    risen: AtomicU64,
}

impl Turns {
    /// Whether `entry`, which fell and is idle, is to be asked.
    pub(super) fn is_due(&self, entry: &Entry, now: Nanos) -> bool {
        let used = entry.stats.last_used().0;
        let from = self.from.load(Relaxed);
        used < self.risen.load(Relaxed)
            || (entry.slot.0 == self.next.load(Relaxed) && used < from && from <= now.0)
            || now.since(Nanos(used)) > ROUND
    }
}

impl Choice {
    pub(super) fn entry(&self, slot: Slot) -> Option<&Entry> {
        let place = self.entries.binary_search_by_key(&slot, |entry| entry.slot);
        self.entries.get(place.ok()?)
    }

    /// Goes on where the picker before was.
    pub(super) fn inherit_turns(&self, before: &Self) {
        let (turns, known) = (&self.turns, &before.turns);
        turns.next.store(known.next.load(Relaxed), Relaxed);
        turns.from.store(known.from.load(Relaxed), Relaxed);
        turns.risen.store(known.risen.load(Relaxed), Relaxed);
        for entry in &before.entries {
            let fell = entry.fell.load(Relaxed);
            if fell != 0
                && let Some(entry) = self.entry(entry.slot)
            {
                entry.fell.store(fell, Relaxed);
            }
        }
    }

    /// Finds out who fell and who rose, and whose turn is when; the pauses are the shortest and the longest between two trials
    /// of one, after so many requests for one trial, and after so many where there are many. O(n).
    pub(super) fn take_turns(&self, now: Nanos, [least, most]: [Nanos; 2], [few, many]: [Nanos; 2]) {
        let (mut count, mut rose) = (0, false);
        let mut next = (Nanos::MAX, 0);
        let (mut asked, mut fell) = (Nanos::ZERO, Nanos::ZERO);
        for entry in &self.entries {
            let since = entry.fell.load(Relaxed);
            if !entry.stats.trust().has_fallen() {
                if since != 0 {
                    entry.fell.store(0, Relaxed);
                    rose = true;
                }
                continue;
            }
            if since == 0 {
                entry.fell.store(now.0, Relaxed);
            }
            let used = entry.stats.last_used();
            count += 1;
            next = next.min((used, entry.slot.0));
            asked = asked.max(used);
            fell = fell.max(if since == 0 { now } else { Nanos(since) });
        }
        if rose {
            self.turns.risen.store(now.0, Relaxed);
        }
        let age = now.since(fell);
        let longest = few.clamp(least, PAUSE).max(Nanos(age.0 / PART)).min(most);
        let pause = age.clamp(least, longest.max(least));
        let pause = pause.min(Nanos(ROUND.0 / count.max(1))).max(many);
        let from = if count > 0 { (asked + pause).0 } else { 0 };
        self.turns.next.store(next.1, Relaxed);
        self.turns.from.store(from, Relaxed);
    }
}
