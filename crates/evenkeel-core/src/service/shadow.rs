//! The shadow strategy of a service: when it is another one, and what it is built from.
//!
//! It has seeds and deadlines of its own, so that the picker beside it is built and looks as if it were not there. Nothing
//! is refused for its sake but itself: where it does not suit any more, it is idle.

use std::sync::Arc;

use super::publish::picker_of;
use super::{ServiceSettings, ServiceState, Slots};
use crate::shadow::{Asked, Record, Shadow};
use crate::view::View;
use crate::{Candidates, Effect, EventKind, Nanos, OperationError, Rng, StrategySettings};

/// What the writer keeps for it.
#[derive(Debug)]
pub(super) struct Shadowing {
    rng: Rng,
    record: Arc<Record>,
    /// It is another one, or has other settings.
    changed: bool,
    /// When its picker wants to look next.
    pub(super) next_refresh: Nanos,
}

impl Shadowing {
    pub(super) fn new(seed: u64, settings: &ServiceSettings, now: Nanos) -> Self {
        Self {
            rng: Rng::new(crate::hash::mix(!seed)),
            record: Arc::default(),
            changed: false,
            next_refresh: refresh_after(settings.shadow.as_ref(), now),
        }
    }

    /// Plans the next look of its picker.
    pub(super) fn plan(&mut self, settings: &ServiceSettings, now: Nanos) {
        self.next_refresh = refresh_after(settings.shadow.as_ref(), now);
    }

    /// Lets its picker look.
    pub(super) fn tick(&mut self, view: &View, settings: &ServiceSettings, now: Nanos) {
        if let Some(shadow) = &view.shadow
            && now >= self.next_refresh
        {
            if let Some(picker) = shadow.picker() {
                picker.refresh(now);
            }
            self.plan(settings, now);
        }
    }

    /// Whether it is another one than in the view.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Whether it is another one than in the view before.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The shadow among `candidates`, after that of `before`, if it was the same; idle for the reason `idle`.
    pub(super) fn shadow(
        &mut self,
        settings: &ServiceSettings,
        candidates: &Candidates,
        idle: Option<String>,
        before: Option<&View>,
        now: Nanos,
    ) -> Option<Shadow> {
        let strategy = settings.shadow.as_ref()?;
        let before = before.and_then(|before| before.shadow.as_ref());
        let before = before.and_then(Shadow::picker);
        let asked = match idle {
            Some(why) => Asked::Idle(why.into()),
            None => Asked::By(picker_of(strategy, candidates, self.rng.next_u64(), before, now)),
        };
        Some(Shadow::new(strategy.name(), asked, Arc::clone(&self.record)))
    }
}

/// Why the shadow cannot be asked beside the strategy, about the instances that there are.
pub(super) fn idle(settings: &ServiceSettings, slots: &Slots) -> Option<String> {
    unsuitable(settings.shadow.as_ref()?, &settings.strategy, slots).err()
}

/// Whether `shadow` can be asked beside `strategy`.
fn unsuitable(shadow: &StrategySettings, strategy: &StrategySettings, slots: &Slots) -> Result<(), String> {
    shadow.shadows(strategy)?;
    shadow.strategy().suits(slots.len() as u64, slots.weight())
}

impl ServiceState {
    pub(super) fn set_shadow(&mut self, shadow: Option<StrategySettings>) -> Result<Effect, OperationError> {
        let keyed =
            |strategy: StrategySettings| strategy.of_service(&self.settings.name, self.settings.hash_keys);
        let shadow = shadow.map(keyed);
        if shadow == self.settings.shadow {
            return Ok(Effect::Unchanged);
        }
        if let Some(shadow) = &shadow {
            let verdict = unsuitable(shadow, &self.settings.strategy, &self.slots);
            verdict.map_err(|why| OperationError::UnsuitableShadow {
                shadow: shadow.name(),
                why,
            })?;
        }
        self.shadow_by(shadow.as_ref());
        self.settings.shadow = shadow;
        self.shadowing.plan(&self.settings, self.now);
        Ok(Effect::Changed)
    }

    /// Tells that `shadow` is asked from the next view on, if that is another one. What came of the one before is
    /// forgotten.
    pub(super) fn shadow_by(&mut self, shadow: Option<&StrategySettings>) {
        if shadow == self.settings.shadow.as_ref() {
            return;
        }
        let name = |settings: Option<&StrategySettings>| {
            settings.map_or("none", |settings| settings.name().as_str())
        };
        let (from, to) = (name(self.settings.shadow.as_ref()), name(shadow));
        let reason = match from == to {
            true => format!("{to} with other settings"),
            false => format!("{from} to {to}"),
        };
        self.journal.service(self.now, EventKind::ShadowChanged, reason);
        self.shadowing.record = Arc::default();
        self.shadowing.changed = true;
    }

    /// Tells when the shadow becomes idle, and when it is asked again. `anew`: it is another one than in the view.
    pub(super) fn tell_shadow(&mut self, idle: Option<&str>, anew: bool) {
        let Some(shadow) = &self.settings.shadow else {
            return;
        };
        let name = shadow.name();
        let before = self.view.shadow_idle().filter(|_| !anew);
        let (kind, reason) = match (before, idle) {
            (None, Some(why)) => (EventKind::ShadowIdle, format!("{name} does not suit: {why}")),
            (Some(_), None) => (EventKind::ShadowChanged, format!("{name} suits again")),
            _ => return,
        };
        self.journal.service(self.now, kind, reason);
    }
}

/// When the pickers of `strategy` want to look after `now`.
pub(super) fn refresh_after(strategy: Option<&StrategySettings>, now: Nanos) -> Nanos {
    let every = strategy.and_then(|strategy| strategy.strategy().refresh_every());
    every.map_or(Nanos::MAX, |every| now + every)
}
