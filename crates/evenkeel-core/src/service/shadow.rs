//! The shadow strategy of a service: when it is another one, and what it is built from.
//!
//! It has seeds and deadlines of its own, so that the picker beside it is built and looks as if it were not there. An
//! instance that registers is never refused for its sake: it then does what it can.

use std::sync::Arc;

use super::publish::picker_of;
use super::{ServiceSettings, ServiceState};
use crate::shadow::{Record, Shadow};
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
            shadow.picker().refresh(now);
            self.plan(settings, now);
        }
    }

    /// Whether it is another one than in the view before.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The shadow among `candidates`, after that of `before`, if it was the same.
    pub(super) fn shadow(
        &mut self,
        settings: &ServiceSettings,
        candidates: &Candidates,
        before: Option<&View>,
        now: Nanos,
    ) -> Option<Shadow> {
        let strategy = settings.shadow.as_ref()?;
        let before = before.and_then(|before| before.shadow.as_ref());
        let before = before.map(Shadow::picker);
        let picker = picker_of(strategy, candidates, self.rng.next_u64(), before, now);
        Some(Shadow::new(strategy.name(), picker, Arc::clone(&self.record)))
    }
}

impl ServiceState {
    pub(super) fn set_shadow(&mut self, shadow: Option<StrategySettings>) -> Result<Effect, OperationError> {
        let keyed =
            |strategy: StrategySettings| strategy.of_service(&self.settings.name, self.settings.hash_keys);
        let shadow = shadow.map(keyed);
        if shadow == self.settings.shadow {
            return Ok(Effect::Unchanged);
        }
        self.shadow_suits(&self.settings.strategy, shadow.as_ref())?;
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

    /// Whether `shadow` can be asked beside `strategy`.
    pub(super) fn shadow_suits(
        &self,
        strategy: &StrategySettings,
        shadow: Option<&StrategySettings>,
    ) -> Result<(), OperationError> {
        let Some(shadow) = shadow else { return Ok(()) };
        let unsuitable = |why| OperationError::UnsuitableShadow {
            shadow: shadow.name(),
            why,
        };
        shadow.shadows(strategy).map_err(unsuitable)?;
        let (instances, weight) = (self.slots.len() as u64, self.slots.weight());
        let verdict = shadow.strategy().suits(instances, weight);
        verdict.map_err(unsuitable)
    }
}

/// When the pickers of `strategy` want to look after `now`.
pub(super) fn refresh_after(strategy: Option<&StrategySettings>, now: Nanos) -> Nanos {
    let every = strategy.and_then(|strategy| strategy.strategy().refresh_every());
    every.map_or(Nanos::MAX, |every| now + every)
}
