//! How instances come back that were taken out, other than by passing their checks.

use std::sync::Arc;

use super::ServiceState;
use super::entry::Entry;
use super::journal::Journal;
use crate::health::Mark;
use crate::{BreakerState, EventKind, HealthParts, Mode, Nanos};

/// Time between two returns…
const PAUSE: Nanos = Nanos::from_millis(500);
/// …for each so many instances.
const AT_A_TIME: u64 = 10;
/// As late as a writer may be, that rests between its steps, and those it comes late for return at once.
const LATE: Nanos = Nanos::from_millis(250);

impl ServiceState {
    /// Lets instances return whose time is over, and in the last resort those that answered. Of those whose time is over
    /// at the same time, because they went together or because the clock jumped, one returns after the other,
    /// while others are there.
    pub(super) fn end_ejections(&mut self) {
        let settings = &self.settings.ejection;
        let now = self.now;
        let (pause, hurry) = (self.pause(), self.is_short());
        let waited = std::mem::take(&mut self.returns_wait);
        for (_, entry) in self.slots.iter_mut() {
            let successes = entry.member.stats().successes();
            let down = entry.checks.down().is_some();
            let out = entry.ejection.until().is_some();
            if entry.ejection.is_due(now) && now < self.returns_from && !hurry {
                entry.ejection.postpone(self.returns_from);
                self.returns_wait = true;
                self.dirty = true;
                continue;
            }
            let ended = if entry.ejection.is_due(now) {
                self.returns_from = after(self.returns_from, waited, pause, now);
                entry.come_back(successes, settings, now);
                let length = entry.ejection.length().as_secs_f64();
                format!("{length:.1} s of ejection are over")
            } else if out && self.last_resort && entry.member.stats().consecutive_failures() == 0 {
                // An ejection begins with failures: there was a success since, and it is its proof.
                entry.come_back(successes.saturating_sub(1), settings, now);
                "it answers again, and nobody else does".to_owned()
            } else {
                if down && !self.view.fallback {
                    entry.ejection.calm_from(self.now);
                } else if entry.ejection.settle(entry.member.stats(), settings, now) {
                    entry.arm(settings);
                }
                self.dirty |= progress(entry, &mut self.journal, now);
                continue;
            };
            let still = if down { "; its checks still fail" } else { "" };
            let reason: Arc<str> = format!("{ended}{still}").into();
            entry.healthy = Mark::new(self.now, Arc::clone(&reason));
            let id = &entry.member.instance().id;
            self.journal.instance(self.now, id, EventKind::Returned, reason);
            self.dirty = true;
        }
    }

    /// Time between two returns.
    fn pause(&self) -> Nanos {
        Nanos(PAUSE.0 / (self.slots.len() as u64 / AT_A_TIME).max(1))
    }

    /// Whether nobody else is there, so that returns do not wait for each other.
    fn is_short(&self) -> bool {
        self.last_resort || self.view.fallback || self.view.candidates().is_empty()
    }

    /// Gives instances requests again whose score is back: as after an ejection one after the other, and with a share
    /// that grows. Whoever has requests all the same, or is out for another reason too, has nothing to wait for.
    pub(super) fn end_weakness(&mut self) {
        let settings = &self.settings.ejection;
        let (now, wanted) = (self.now, settings.recovery_threshold.max(settings.threshold));
        let (pause, hurry) = (self.pause(), self.is_short());
        let waited = std::mem::replace(&mut self.next_strengthened, Nanos::MAX) != Nanos::MAX;
        for (slot, entry) in self.slots.iter_mut() {
            let score = entry.score_beside_checks();
            if !entry.is_below_threshold() || score < HealthParts::rounded(wanted) {
                continue;
            }
            let mut reason = format!("its score is {score:.2} again, at least {wanted:.2} was wanted");
            if entry.is_only_weak() && !self.view.is_candidate(slot) {
                if now < self.returns_from && !hurry {
                    self.next_strengthened = self.returns_from;
                    continue;
                }
                self.returns_from = after(self.returns_from, waited, pause, now);
                entry.ejection.ease_in(entry.member.stats(), settings, now);
                let percent = 100.0 * entry.recovery_share(now).as_f64();
                if percent < 100.0 {
                    reason = format!("{reason}; its share begins at {percent:.0} %");
                }
            }
            strengthen(entry, reason.into(), &mut self.journal, now);
            self.dirty = true;
        }
    }

    /// Forgets failures of instances that nobody asks any more: those that are no candidates, and those that
    /// had to stay though they failed. Who stands in for others and fails once must still count as one that may
    /// stand in, years after. A candidate that is asked now and then keeps its run, and in the last resort
    /// everybody does, for who answers is looked for there. Who is weak and down is weak for as long as it is down.
    pub(super) fn forget_failures(&mut self) {
        for (slot, entry) in self.slots.iter_mut() {
            if entry.member.stats().consecutive_failures() > 0
                && entry.ejection.until().is_none()
                && (!entry.is_below_threshold() || entry.checks.down().is_some())
                && entry.is_idle(&self.settings.ejection, self.now)
                && ((entry.withheld && !self.last_resort) || !self.view.is_candidate(slot))
            {
                entry.forgive();
                entry.arm(&self.settings.ejection);
            }
        }
    }

    /// Lets instances return that were taken out by a judge who is no longer asked.
    pub(super) fn release_unjudged(&mut self) {
        let checks_off = self.settings.checks.is_none();
        let ejection_off = self.settings.ejection.is_off();
        let unscored = self.settings.ejection.on_score != Mode::Enforce;
        for (_, entry) in self.slots.iter_mut() {
            entry.withheld &= !ejection_off;
            entry.spared &= !ejection_off;
            entry.dry.release(&self.settings.ejection);
            if checks_off {
                entry.began.get_or_insert(self.now);
            }
            if unscored && entry.is_below_threshold() {
                let reason = "scores take nobody out any more".into();
                strengthen(entry, reason, &mut self.journal, self.now);
                self.dirty = true;
            }
            let returned = ejection_off && entry.ejection.reset();
            let up = checks_off && entry.checks.reset(self.now);
            if up {
                let parts = entry.parts(None, &self.settings.ejection, self.now);
                entry.member.stats().set_health_parts(parts);
            }
            for (happened, kind, reason) in [
                (returned, EventKind::Returned, "ejection was switched off"),
                (up, EventKind::CheckedUp, "checks were switched off"),
            ] {
                if happened {
                    entry.forgive();
                    self.told |= entry.told.is_some();
                    entry.healthy = Mark::new(self.now, reason.into());
                    let id = &entry.member.instance().id;
                    self.journal.instance(self.now, id, kind, reason.into());
                    self.dirty = true;
                }
            }
        }
    }
}

/// When the next one may return, as one does. Where others `waited` their turns go on from when this one's was, so that a
/// writer that comes late, as it rests the longer the more instances there are, lets as many return as one in time.
fn after(turn: Nanos, waited: bool, pause: Nanos, now: Nanos) -> Nanos {
    let began = if waited {
        turn.max(now.since(LATE)).min(now)
    } else {
        now
    };
    began + pause
}

/// The score of `entry` does not speak against it any more.
fn strengthen(entry: &mut Entry, reason: Arc<str>, journal: &mut Journal, now: Nanos) {
    entry.vitals.set_below(None);
    entry.healthy = Mark::new(now, Arc::clone(&reason));
    journal.instance(now, &entry.member.instance().id, EventKind::Strengthened, reason);
}

/// Tells how far a way back went since the last look. True when readers would see a difference.
fn progress(entry: &mut Entry, journal: &mut Journal, now: Nanos) -> bool {
    let stats = entry.member.stats();
    let Some(state) = entry.ejection.progress(stats.successes()) else {
        return false;
    };
    let (good, all) = entry.ejection.answers(stats);
    let (kind, reason) = match state {
        BreakerState::Recovering => {
            let percent = 100.0 * entry.recovery_share(now).as_f64();
            let reason = format!("{good} of its last {all} requests succeeded; its share is {percent:.0} %");
            (EventKind::Recovering, reason)
        }
        BreakerState::Closed => {
            let reason = match all {
                0 => "nobody asked it since its return".to_owned(),
                _ => format!("{good} of its last {all} requests succeeded since its return"),
            };
            (EventKind::Recovered, reason)
        }
        BreakerState::Open | BreakerState::HalfOpen => return false,
    };
    journal.instance(now, &entry.member.instance().id, kind, reason.into());
    true
}
