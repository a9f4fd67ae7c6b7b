//! Whether the fleet has room for the load of instances that fail some of their requests.
//!
//! One that fails a fifth of its requests still does four fifths of its work. Repeats hide its failures; nothing
//! hides that the work is missing: four such of ten, all ejected from a fleet that is busy to 70 %, leave 117 % to
//! the other six. How busy an instance is at most, nobody told the balancer. What shows is that responses take
//! longer, so those go one after the other while the times allow it, and come back when they do not:
//!
//! * a **pause** of [`PAUSE`] between two of them (of every twenty instances one may go at a time), in which the rest
//!   shows what it makes of the load;
//! * none goes while the median response time of the rest is [`TIGHT`] times the usual one;
//! * at [`CROWDED`] times, who failed least comes back at once (of ten instances one at a time, every [`super::WATCH`] until it is
//!   better), and for [`HOLD`] nobody goes, twice as long each time.
//!
//! Response times are steady ones ([`crate::pace`]), which chance hardly moves. The larger a fleet, the later they
//! show that it is full, and the steeper: of a hundred instances of two workers they are 5 % longer at 90 % load than at 70, and
//! 20 % at 95. Hence the small steps, and the narrow bounds.
//! The usual time is a slow average from when none of them was out. Differences below [`MARGIN`] never count.
//! Instances that fail more than half of their last requests are not meant, nor those that suddenly fail all:
//! they are a loss to nobody.

use super::ServiceState;
use super::detect::Finding;
use super::entry::Entry;
use super::slots::Slots;
use crate::health::Mark;
use crate::{EventKind, Nanos, Slot};

/// Long enough for a queue to show in response times.
const PAUSE: Nanos = Nanos::from_millis(1500);
/// Slower than usual by this factor, and nobody else may go. The median of ten steady exponential times strays by a
/// thirtieth.
const TIGHT: f64 = 1.08;
/// Slower than usual by this factor, and one has to come back.
const CROWDED: f64 = 1.2;
/// How long nobody goes after one had to come back.
const HOLD: Nanos = Nanos::from_secs(60);
/// And how long at most.
const LONGEST_HOLD: Nanos = Nanos::from_secs(960);
/// A run of failures is one of many when before it more than one request in so many failed.
const OFTEN: u64 = 20;
/// Differences that never count, in ns.
const MARGIN: f64 = 5e5;
/// Time constant of the usual time.
const USUAL: f64 = 30.0;
/// A response time without an answer for so long says nothing of the present.
const FRESH: Nanos = Nanos::from_secs(5);

/// What the fleet can spare.
#[derive(Debug, Default)]
pub(super) struct Headroom {
    /// The usual median response time in ns; 0 when unknown.
    usual: f64,
    /// The present one; 0 when unknown.
    present: f64,
    at: Nanos,
    /// Who went though it does most of its work, with the part of its requests that failed.
    spared: Vec<(Slot, f64)>,
    /// How many went since the pause began that ends at `next`.
    gone: usize,
    next: Nanos,
    /// Instances in all.
    members: usize,
    /// Nobody goes until then after somebody had to come back, and how long that was.
    held: Nanos,
    hold: Nanos,
}

/// Why one that fails some requests has to stay for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cramped {
    /// Others went just now.
    Pause,
    /// Response times speak against it: usual and present ones.
    Tight(Nanos, Nanos),
}

impl Headroom {
    /// Takes in the response times of the fleet. O(n).
    pub(super) fn observe(&mut self, slots: &Slots, now: Nanos) {
        let elapsed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.spared.retain(|(slot, _)| {
            let entry = slots.iter().find(|(other, _)| other == slot);
            entry.is_some_and(|(_, entry)| entry.ejection.until().is_some())
        });
        self.members = slots.iter().count();
        let times = slots.iter().filter(|(_, entry)| entry.serves());
        let mut times: Vec<u64> = times
            .map(|(_, entry)| entry.member.stats())
            .filter(|stats| {
                let answered = stats.response_time();
                answered.is_some_and(|(_, at)| now.since(at) < FRESH)
            })
            .map(|stats| stats.steady_time() as u64)
            .filter(|time| *time > 0)
            .collect();
        if times.is_empty() {
            self.present = 0.0;
            return;
        }
        let middle = times.len() / 2;
        self.present = *times.select_nth_unstable(middle).1 as f64;
        if self.usual == 0.0 {
            self.usual = self.present;
        } else if self.spared.is_empty() {
            self.usual += (self.present - self.usual) * (elapsed / USUAL).min(1.0);
        }
    }

    fn is_beyond(&self, factor: f64) -> bool {
        self.usual > 0.0 && self.present > factor * self.usual + MARGIN
    }

    /// Whether `entry`, which fails some of its requests, has to stay for now.
    pub(super) fn refuses(&self, entry: &Entry, finding: Finding, now: Nanos) -> Option<Cramped> {
        if !does_most(entry, finding) {
            return None;
        }
        if self.is_beyond(TIGHT) {
            return Some(Cramped::Tight(
                Nanos(self.usual as u64),
                Nanos(self.present as u64),
            ));
        }
        let enough = self.gone >= (self.members / 20).max(1);
        (now < self.next && enough).then_some(Cramped::Pause)
    }

    /// `entry` at `slot` goes for `finding`.
    pub(super) fn lose(&mut self, slot: Slot, entry: &Entry, finding: Finding, now: Nanos) {
        if does_most(entry, finding) {
            let (bad, all) = entry.vitals.window.latest();
            self.spared.push((slot, bad as f64 / all.max(1) as f64));
            if now >= self.next {
                self.gone = 0;
                self.next = now + PAUSE;
            }
            self.gone = self.gone.saturating_add(1);
        }
    }

    /// Who have to come back because the others cannot do without.
    fn next_returns(&mut self, now: Nanos) -> Vec<Slot> {
        if self.spared.is_empty() || !self.is_beyond(CROWDED) {
            return Vec::new();
        }
        self.gone = usize::MAX;
        if now >= self.held {
            self.hold = Nanos(self.hold.0 * 2).clamp(HOLD, LONGEST_HOLD);
            self.held = now + self.hold;
        }
        self.next = self.held;
        self.spared.sort_by(|a, b| a.1.total_cmp(&b.1));
        let count = (self.members / 10).clamp(1, self.spared.len());
        self.spared.drain(..count).map(|(slot, _)| slot).collect()
    }

    /// Whether somebody may have to come back, which must not wait.
    pub(super) fn is_watched(&self) -> bool {
        !self.spared.is_empty()
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        self.at = self.at.since(back);
        self.next = self.next.since(back);
        self.held = self.held.since(back);
    }
}

/// Whether what was found leaves most of its work done.
fn does_most(entry: &Entry, finding: Finding) -> bool {
    let (bad, all) = entry.vitals.window.latest();
    let before = match finding {
        Finding::Run(run) => bad.saturating_sub(run.into()) * OFTEN >= all,
        Finding::Burst | Finding::Rate(..) => true,
        Finding::Slow | Finding::Silence(_) => false,
    };
    before && 2 * bad < all
}

impl ServiceState {
    /// Lets some come back that fail some of their requests, when the others have no room for their work.
    pub(super) fn relieve(&mut self) {
        self.scores.headroom.observe(&self.slots, self.now);
        for slot in self.scores.headroom.next_returns(self.now) {
            self.bring_back(slot);
        }
    }

    fn bring_back(&mut self, slot: Slot) {
        let (usual, present) = (self.scores.headroom.usual, self.scores.headroom.present);
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        entry.ejection.reset();
        entry.forgive();
        entry.arm(&self.settings.ejection);
        let reason: std::sync::Arc<str> = format!(
            "the others have no room for its work: they take {:.1} ms, usually {:.1} ms",
            present / 1e6,
            usual / 1e6
        )
        .into();
        entry.healthy = Mark::new(self.now, std::sync::Arc::clone(&reason));
        let id = &entry.member.instance().id;
        self.journal.instance(self.now, id, EventKind::Returned, reason);
        self.dirty = true;
    }
}
