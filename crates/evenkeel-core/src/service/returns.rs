//! How instances come back that were taken out, other than by passing their checks.

use std::sync::Arc;

use super::ServiceState;
use crate::EventKind;
use crate::health::Mark;

impl ServiceState {
    /// Lets instances return whose time is over, and in the last resort those that answered.
    pub(super) fn end_ejections(&mut self) {
        let settings = &self.settings.ejection;
        for (_, entry) in self.slots.iter_mut() {
            let successes = entry.member.stats().successes();
            let down = entry.checks.down().is_some();
            let out = entry.ejection.until().is_some();
            let ended = if entry.ejection.end_when_due(successes, self.now) {
                let length = entry.ejection.length().as_secs_f64();
                format!("{length:.1} s of ejection are over")
            } else if out && self.last_resort && entry.member.stats().consecutive_failures() == 0 {
                // An ejection begins with failures: there was a success since, and it is its proof.
                entry.ejection.end(successes.saturating_sub(1), self.now);
                "it answers again, and nobody else does".to_owned()
            } else {
                if down && !self.view.fallback {
                    entry.ejection.calm_from(self.now);
                } else if entry.ejection.settle(successes, settings, self.now) {
                    entry.arm(settings);
                }
                continue;
            };
            entry.forgive();
            let still = if down { "; its checks still fail" } else { "" };
            let reason: Arc<str> = format!("{ended}{still}").into();
            entry.healthy = Mark::new(self.now, Arc::clone(&reason));
            let id = &entry.member.instance().id;
            self.journal.instance(self.now, id, EventKind::Returned, reason);
            entry.arm(settings);
            self.dirty = true;
        }
    }

    /// Forgets failures of instances that nobody asks any more: those that are no candidates, and those that
    /// had to stay though they failed. Who stands in for others and fails once must still count as one that may
    /// stand in, years after. A candidate that is asked now and then keeps its run, and in the last resort
    /// everybody does, for who answers is looked for there.
    pub(super) fn forget_failures(&mut self) {
        for (slot, entry) in self.slots.iter_mut() {
            if entry.member.stats().consecutive_failures() > 0
                && entry.ejection.until().is_none()
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
        let ejection_off = self.settings.ejection.consecutive_failures == 0;
        for (_, entry) in self.slots.iter_mut() {
            entry.withheld &= !ejection_off;
            if checks_off {
                entry.began.get_or_insert(self.now);
            }
            let returned = ejection_off && entry.ejection.reset();
            let up = checks_off && entry.checks.reset(self.now);
            for (happened, kind, reason) in [
                (returned, EventKind::Returned, "ejection was switched off"),
                (up, EventKind::CheckedUp, "checks were switched off"),
            ] {
                if happened {
                    entry.forgive();
                    entry.healthy = Mark::new(self.now, reason.into());
                    let id = &entry.member.instance().id;
                    self.journal.instance(self.now, id, kind, reason.into());
                    self.dirty = true;
                }
            }
        }
    }
}
