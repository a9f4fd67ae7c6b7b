//! The strategy `auto` of a service: its switcher looks once a second, and its pickers are steered by what it says.
//!
//! A change rebuilds no picker: all candidates have one in the view. The next view is the same with one more line in its log.

use std::sync::Arc;

use super::{ServiceSettings, ServiceState};
use crate::auto::{self, Course, Seen, Switch, Switcher, Verdict};
use crate::strategy::Auto;
use crate::view::View;
use crate::{EventKind, Nanos, StrategyName, StrategySettings};

/// Changes that are kept to be shown.
const KEPT: usize = 8;

/// What the writer keeps for it.
#[derive(Debug)]
pub(super) struct Piloting {
    switcher: Option<Switcher>,
    /// What that was made of.
    settings: Option<Auto>,
    seen: Seen,
    switches: Arc<[Switch]>,
    /// When to look next.
    next: Nanos,
}

/// As a view shows it.
#[derive(Debug, Clone)]
pub(crate) struct Piloted {
    pub(crate) since: Nanos,
    /// Newest first.
    pub(crate) switches: Arc<[Switch]>,
}

impl Piloting {
    pub(super) fn new(settings: &ServiceSettings, now: Nanos) -> Self {
        let StrategySettings::auto(auto) = &settings.strategy else {
            return Self {
                switcher: None,
                settings: None,
                seen: Seen::default(),
                switches: Arc::default(),
                next: Nanos::MAX,
            };
        };
        let names: Vec<StrategyName> = auto.candidates.iter().map(StrategySettings::name).collect();
        Self {
            switcher: (!names.is_empty())
                .then(|| Switcher::new(names, auto.pinned(), auto.window, auto.dwell, now)),
            settings: Some(auto.clone()),
            seen: Seen::default(),
            switches: Arc::default(),
            next: now + auto::EVERY,
        }
    }

    /// Goes by other settings. The trail stays in any case, and with `auto` before and after all else that still means
    /// something. `course` is what the view before goes by.
    pub(super) fn renew(&mut self, settings: &ServiceSettings, course: Option<&Course>, now: Nanos) {
        let before = std::mem::replace(self, Self::new(settings, now));
        self.switches = before.switches;
        let (Some(auto), Some(old)) = (&self.settings, before.settings) else {
            return;
        };
        let (Some(switcher), Some(former)) = (&mut self.switcher, before.switcher) else {
            return;
        };
        let from = former.current();
        switcher.succeed(former, &auto.same_in(&old), course);
        (self.seen, self.next) = (before.seen, switcher.next(now));
        let to = switcher.current();
        let mut reasons = Vec::new();
        if auto.pin != old.pin {
            reasons.push(match auto.pin {
                Some(_) => "pinned".to_owned(),
                None => "the pin is taken away".to_owned(),
            });
        }
        if auto.candidates.iter().all(|candidate| candidate.name() != from) {
            reasons.push(format!("{from} is no candidate any more"));
        }
        if !reasons.is_empty() {
            self.note(from, to, reasons.join("; ").into(), now);
        }
    }

    /// Adds to the trail.
    fn note(&mut self, from: StrategyName, to: StrategyName, reason: Arc<str>, at: Nanos) {
        let switch = Switch { at, from, to, reason };
        let before = self.switches.iter().take(KEPT - 1).cloned();
        self.switches = std::iter::once(switch).chain(before).collect();
    }

    /// When the writer has to come by for it: while it changes over. Else it looks when the writer comes by anyway, once a
    /// second, so that as long as nothing changes all is as if the candidate in force were alone.
    pub(super) fn deadline(&self, now: Nanos) -> Nanos {
        let switcher = self.switcher.as_ref();
        switcher
            .filter(|switcher| switcher.blends(now))
            .map_or(Nanos::MAX, |_| self.next)
    }

    pub(super) fn shift(&mut self, back: Nanos) {
        if let Some(switcher) = &mut self.switcher {
            switcher.shift(back);
            self.seen.shift(back);
            self.next = self.next.since(back);
        }
    }

    /// Makes `view`, which is to be the next, go by what is in force, whatever its picker was made of, and show it.
    pub(super) fn board(&self, view: &mut View, now: Nanos) {
        view.auto = self.switcher.as_ref().map(|switcher| {
            if let Some(course) = view.picker.course() {
                switcher.steer(course, now);
            }
            Piloted {
                since: switcher.since(),
                switches: Arc::clone(&self.switches),
            }
        });
    }

    /// Looks, when that is due.
    fn look(&mut self, view: &View, now: Nanos) -> Option<(EventKind, String)> {
        let switcher = self.switcher.as_mut().filter(|_| now >= self.next)?;
        let verdict = view.picker.course().and_then(|course| {
            let look = auto::look(view, &mut self.seen, now);
            switcher.look(&look, course)
        });
        self.next = switcher.next(now);
        match verdict? {
            Verdict::Vetoed(reason) => Some((EventKind::SwitchVetoed, reason)),
            Verdict::Changed { from, to, reason } => {
                let told = format!("{from} to {to}: {reason}");
                self.note(from, to, reason.into(), now);
                Some((EventKind::Switched, told))
            }
        }
    }
}

impl ServiceState {
    /// Lets `auto` decide, when it is time.
    pub(super) fn pilot(&mut self) {
        if let Some((kind, reason)) = self.piloting.look(&self.view, self.now) {
            self.journal.service(self.now, kind, reason);
            self.relogged |= kind == EventKind::Switched;
        }
    }
}
