//! The strategy `auto` of a service: its switcher looks once a second, and its pickers are steered by what it says.
//!
//! A change rebuilds no picker: all candidates have one in the view. The next view is the same with one more line in its log.

use std::sync::Arc;

use super::{ServiceSettings, ServiceState};
use crate::auto::{self, Switch, Switcher};
use crate::view::View;
use crate::{EventKind, Nanos, StrategyName, StrategySettings};

/// Changes that are kept to be shown.
const KEPT: usize = 8;

/// What the writer keeps for it.
#[derive(Debug)]
pub(super) struct Piloting {
    switcher: Option<Switcher>,
    /// Picks at the last look, by slot.
    picks: Vec<u64>,
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
                picks: Vec::new(),
                switches: Arc::default(),
                next: Nanos::MAX,
            };
        };
        let names: Vec<StrategyName> = auto.candidates.iter().map(StrategySettings::name).collect();
        Self {
            switcher: (!names.is_empty())
                .then(|| Switcher::new(names, auto.pinned(), auto.window, auto.dwell, now)),
            picks: Vec::new(),
            switches: Arc::default(),
            next: now + auto::EVERY,
        }
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
            self.next = self.next.since(back);
        }
    }

    /// For the next view.
    pub(super) fn shown(&self) -> Option<Piloted> {
        let (_, since) = self.switcher.as_ref()?.current();
        Some(Piloted {
            since,
            switches: Arc::clone(&self.switches),
        })
    }

    /// Looks, when that is due.
    fn look(&mut self, view: &View, now: Nanos) -> Option<Switch> {
        let switcher = self.switcher.as_mut().filter(|_| now >= self.next)?;
        let change = view.picker.course().and_then(|course| {
            let look = auto::look(view, &mut self.picks, now);
            switcher.look(&look, course)
        });
        self.next = switcher.next(now);
        let change = change?;
        let switch = Switch {
            at: now,
            from: change.from,
            to: change.to,
            reason: change.reason.into(),
        };
        let before = self.switches.iter().take(KEPT - 1).cloned();
        self.switches = std::iter::once(switch.clone()).chain(before).collect();
        Some(switch)
    }
}

impl ServiceState {
    /// Lets `auto` decide, when it is time.
    pub(super) fn pilot(&mut self) {
        if let Some(switch) = self.piloting.look(&self.view, self.now) {
            let reason = format!("{} to {}: {}", switch.from, switch.to, switch.reason);
            self.journal.service(self.now, EventKind::Switched, reason);
            self.relogged = true;
        }
    }
}
