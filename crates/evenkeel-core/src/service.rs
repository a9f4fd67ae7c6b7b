//! The state machine of one service. Its writer owns it, feeds it evidence in order and publishes the
//! views it builds; nobody else changes anything.
//!
//! Evidence comes in by [`ServiceState::apply`], time by [`ServiceState::tick`]; both are pure
//! functions of their arguments and of the counters beside the instances. Outcomes of requests are not
//! sent here: workers fold them into [`crate::Stats`], and the state machine looks at those on every
//! tick and on an alarm. A clock that steps back is followed: everything remembered moves with it, so
//! that what was left of an ejection is still left.
//!
//! Absent on purpose: who of the instances is a candidate, and with which share. That is decided by the stages in
//! `candidates`.

use std::sync::Arc;

use crate::health::checks::CheckChange;
use crate::health::{CheckOutcome, CheckThresholds, EjectionSettings, Mark};
use crate::{
    Event, EventKind, HashKeys, Input, Instance, InstanceError, InstanceId, Nanos, Panic, Regions, Rng,
    SessionKey, SlowStart, StrategySettings, View,
};

mod auto;
mod detect;
mod dry;
mod entry;
mod fallen;
mod headroom;
mod journal;
mod operate;
mod passive;
mod predict;
mod publish;
mod returns;
mod scores;
mod shadow;
mod slots;
mod stages;
#[cfg(test)]
mod tests;

pub(crate) use auto::Piloted;
pub use journal::ServiceCounters;

use auto::Piloting;
use journal::Journal;
use predict::Predictor;
use scores::Scores;
use shadow::Shadowing;
use slots::Slots;

/// How often runs of failures and slots to reuse are looked at when nothing else calls. An alarm tells
/// of a new run at once; the look finds ejections that were withheld, and probations that ended.
const LOOK: Nanos = Nanos::from_secs(1);
/// How often while instances are out whose work the others may not be able to do.
const WATCH: Nanos = Nanos::from_millis(100);
/// How often the memory of response times is halved: quantiles then speak of the last half minute, and
/// of the last few requests where there were fewer.
const AGE: Nanos = Nanos::from_secs(10);

/// Settings of a service that the core needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSettings {
    /// Its name.
    pub name: Arc<str>,
    /// How it picks.
    pub strategy: StrategySettings,
    /// A strategy that is asked beside it, and that nobody is routed by.
    pub shadow: Option<StrategySettings>,
    /// Thresholds of active checks; `None` when there are no active checks.
    pub checks: Option<CheckThresholds>,
    /// Passive ejection.
    pub ejection: EjectionSettings,
    /// Fewer healthy instances than this are too few, and [`Self::panic`] says what happens. 0 counts as 1,
    /// more than there are instances as all of them. No ejection goes below it.
    pub min_healthy: u32,
    /// What happens with fewer.
    pub panic: Panic,
    /// Which regions it may use.
    pub regions: Regions,
    /// How instances begin.
    pub slow_start: SlowStart,
    /// Keys the tags by which clients find back to their instances; `None` when sessions do not stick.
    pub sessions: Option<SessionKey>,
    /// Under what every strategy of the service hashes, whatever its settings say; `None` leaves it to them, and to
    /// the name of the service where they have no secret.
    pub hash_keys: Option<HashKeys>,
}

impl ServiceSettings {
    /// A service of this name with the default of every setting, and without active checks.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            strategy: StrategySettings::default(),
            shadow: None,
            checks: None,
            ejection: EjectionSettings::default(),
            min_healthy: 1,
            panic: Panic::default(),
            regions: Regions::default(),
            slow_start: SlowStart::default(),
            sessions: None,
            hash_keys: None,
        }
    }

    /// With the strategy keyed for this service.
    fn keyed(mut self) -> Self {
        let (name, keys) = (&self.name, self.hash_keys);
        self.strategy = self.strategy.of_service(name, keys);
        self.shadow = self.shadow.map(|shadow| shadow.of_service(name, keys));
        self
    }
}

/// What a writer may learn.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// An active check of `id` ended.
    Check {
        /// Of which instance.
        id: InstanceId,
        /// When the check was sent; older results than the last one are dropped.
        observed: Nanos,
        /// Its result.
        outcome: CheckOutcome,
        /// How long connecting took, if that succeeded.
        connected: Option<Nanos>,
    },
    /// A lease ended with an [`crate::Alarm`]: look at the counters.
    Alarm,
}

/// The state machine.
#[derive(Debug)]
pub struct ServiceState {
    settings: ServiceSettings,
    /// The strategy that the configuration declares.
    declared: StrategySettings,
    /// And the shadow.
    declared_shadow: Option<StrategySettings>,
    slots: Slots,
    journal: Journal,
    rng: Rng,
    scores: Scores,
    predictor: Predictor,
    view: Arc<View>,
    /// Views before, which somebody may still hold.
    replaced: Vec<Arc<View>>,
    now: Nanos,
    next_look: Nanos,
    next_age: Nanos,
    /// When the picker wants to look next.
    next_refresh: Nanos,
    shadowing: Shadowing,
    piloting: Piloting,
    /// `auto` has something to show.
    relogged: bool,
    /// When the next ejection ends.
    next_return: Nanos,
    /// Whoever would return before this returns then: one after the other.
    returns_from: Nanos,
    /// Somebody waits for that.
    returns_wait: bool,
    /// When the next one returns whose score is back.
    next_strengthened: Nanos,
    /// Somebody said how healthy an instance is, which was not looked at.
    told: bool,
    /// All instances are candidates because nobody answers.
    last_resort: bool,
    /// When shares that grow with time are looked at next.
    next_step: Nanos,
    /// Readers would see a difference.
    dirty: bool,
    /// The strategy is another one, or has other settings.
    switched: bool,
    /// The stages may leave other candidates or shares than before.
    restage: bool,
}

impl ServiceState {
    /// A service with its first instances. `seed` decides everything random: where cursors start, how
    /// ejection lengths vary. The first instances are no events: nothing was before them. O(n log n).
    ///
    /// # Errors
    /// When two instances share an id.
    pub fn new(
        settings: ServiceSettings,
        instances: Vec<Instance>,
        seed: u64,
        now: Nanos,
    ) -> Result<Self, InstanceError> {
        let settings = settings.keyed();
        let mut slots = Slots::default();
        slots.replace(instances, now)?;
        for (_, entry) in slots.iter_mut() {
            // It was there before us.
            entry.registered = Nanos::ZERO;
        }
        slots.refresh();
        let journal = Journal::new(Arc::clone(&settings.name));
        let mut rng = Rng::new(seed);
        let staged = stages::stage(&slots, &settings, now);
        let mut shadowing = Shadowing::new(seed, &settings, now);
        let piloting = Piloting::new(&settings, now);
        let mut view = publish::build(
            &settings,
            &slots,
            staged,
            &journal,
            &mut rng,
            &mut shadowing,
            shadow::idle(&settings, &slots),
            None,
            now,
        );
        piloting.board(&mut view, now);
        let mut state = Self {
            next_refresh: next_refresh(&settings, now),
            declared: settings.strategy.clone(),
            declared_shadow: settings.shadow.clone(),
            settings,
            slots,
            journal,
            rng,
            scores: Scores::new(),
            shadowing,
            predictor: Predictor::default(),
            piloting,
            relogged: false,
            view: Arc::new(view),
            replaced: Vec::new(),
            now,
            next_look: now + LOOK,
            next_age: now + AGE,
            next_return: Nanos::MAX,
            returns_from: Nanos::ZERO,
            returns_wait: false,
            next_strengthened: Nanos::MAX,
            told: false,
            last_resort: false,
            next_step: Nanos::MAX,
            dirty: false,
            switched: false,
            restage: true,
        };
        state.slots.checked = state.settings.checks.is_some();
        state.arm();
        let idle = shadow::idle(&state.settings, &state.slots);
        state.tell_shadow(idle.as_deref(), true);
        state.publish();
        Ok(state)
    }

    /// Replaces settings and instances. What is known of an instance that stays (same id and address)
    /// is kept: slot, counters, health, and that it drains. A changed address is another instance. Where
    /// checks or ejection are switched off, what they took out returns. O(n log n).
    ///
    /// The configuration has the last word on what it declares: weights, labels and addresses of
    /// `instances`, the strategy. Instances that were registered at runtime stay as they are; where
    /// `instances` has the id of one, it belongs to the configuration from now on.
    ///
    /// # Errors
    /// When two instances share an id; nothing changed then.
    pub fn replace(
        &mut self,
        settings: ServiceSettings,
        instances: Vec<Instance>,
        now: Nanos,
    ) -> Result<(), InstanceError> {
        let settings = settings.keyed();
        self.follow(now);
        let checked = settings.checks.is_some();
        let before = std::mem::replace(&mut self.slots.checked, checked);
        let replaced = self
            .slots
            .replace(instances, now)
            .inspect_err(|_| self.slots.checked = before)?;
        // Readers go by the settings of the view.
        self.dirty |= !replaced.is_empty() || settings != self.settings;
        self.journal.rename(&settings.name);
        self.switch_to(&settings.strategy);
        self.shadow_by(settings.shadow.as_ref());
        for (kind, which) in [
            (EventKind::Deregistered, replaced.deregistered),
            (EventKind::Registered, replaced.registered),
            (EventKind::Changed, replaced.changed),
        ] {
            self.journal.several(now, kind, which);
        }
        self.restage = true;
        if settings.strategy != self.settings.strategy {
            self.piloting
                .renew(&settings, self.view.picker.course().map(|course| &**course), now);
        }
        self.declared = settings.strategy.clone();
        self.declared_shadow = settings.shadow.clone();
        self.settings = settings;
        self.shadowing.plan(&self.settings, now);
        self.next_refresh = next_refresh(&self.settings, now);
        self.release_unjudged();
        self.arm();
        if std::mem::take(&mut self.told) {
            self.look();
        }
        self.publish();
        Ok(())
    }

    /// Takes in one piece of evidence. O(log n) without a transition, O(n) with one or on an alarm.
    pub fn apply(&mut self, evidence: Evidence, now: Nanos) {
        self.apply_all([evidence], now);
    }

    /// Takes in several pieces of evidence in order and builds at most one view from them: what a
    /// writer with a backlog calls, so that a hundred transitions do not cost a hundred rebuilds.
    pub fn apply_all(&mut self, evidence: impl IntoIterator<Item = Evidence>, now: Nanos) {
        self.take_in(evidence.into_iter().map(Input::Evidence), now);
    }

    /// Takes in one piece of evidence. True when the counters must be looked at.
    fn observe(&mut self, evidence: Evidence) -> bool {
        match evidence {
            Evidence::Alarm => true,
            Evidence::Check {
                id,
                observed,
                outcome,
                connected,
            } => {
                if let (Some(took), Some(entry)) = (connected, self.slots.by_id(&id)) {
                    entry.member.stats().distance().observe(took);
                }
                self.on_check(&id, observed, &outcome)
            }
        }
    }

    /// Does what time demands: ends ejections, ages response times, reuses slots, looks at runs of
    /// failures, lets the picker look. O(n).
    pub fn tick(&mut self, now: Nanos) {
        self.follow(now);
        self.scores.tick(&mut self.slots, &self.settings, now);
        self.end_ejections();
        self.relieve();
        self.forget_failures();
        self.look();
        self.tell_thresholds();
        let level = self.scores.level();
        self.predictor.look(
            &mut self.slots,
            &self.settings.ejection,
            level,
            &mut self.journal,
            now,
        );
        let all = now >= self.next_age;
        if all {
            self.next_age = now + AGE;
        }
        for (_, entry) in self.slots.iter_mut() {
            let stats = entry.member.stats();
            if all || stats.is_crowded() {
                stats.age();
                entry.vitals.latency.aged(stats);
            }
        }
        self.bury();
        self.slots.reclaim();
        self.next_look = now
            + if self.scores.headroom.is_watched() {
                WATCH
            } else {
                LOOK
            };
        if now >= self.next_refresh {
            self.next_refresh = next_refresh(&self.settings, now);
            self.view.picker.refresh(now);
        }
        self.shadowing.tick(&self.view, &self.settings, now);
        self.pilot();
        self.publish();
    }

    /// When [`Self::tick`] should be called at the latest. Calling it earlier does no harm.
    #[must_use]
    pub fn next_deadline(&self) -> Nanos {
        if self.slots.len() == 0 && !self.slots.has_retired() {
            return Nanos::MAX;
        }
        self.next_look
            .min(self.next_return)
            .min(self.next_strengthened)
            .min(self.next_refresh)
            .min(self.shadowing.next_refresh)
            .min(self.piloting.deadline(self.now))
            .min(self.next_step)
    }

    /// The current view. A new `Arc` after a change that readers can see, the same otherwise.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &ServiceSettings {
        &self.settings
    }

    /// Transitions since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.journal.take()
    }

    /// How often each kind of event happened; every view has them too.
    #[must_use]
    pub fn counters(&self) -> &Arc<ServiceCounters> {
        self.journal.counters()
    }

    /// Takes over the driver's time. When the clock stepped back, remembered times move with it.
    fn follow(&mut self, now: Nanos) {
        let back = self.now.since(now);
        self.now = now;
        if back == Nanos::ZERO {
            return;
        }
        for (_, entry) in self.slots.iter_mut() {
            entry.shift(back);
            self.dirty = true;
        }
        self.scores.shift(back);
        self.predictor.shift(back);
        self.piloting.shift(back);
        self.next_look = self.next_look.since(back);
        self.next_age = self.next_age.since(back);
        for deadline in [
            &mut self.next_refresh,
            &mut self.shadowing.next_refresh,
            &mut self.next_step,
            &mut self.next_strengthened,
        ] {
            if *deadline < Nanos::MAX {
                *deadline = deadline.since(back);
            }
        }
        self.next_return = self.next_return.since(back);
        self.returns_from = self.returns_from.since(back);
    }

    /// True when what else is known of it must be looked at before it gets requests.
    fn on_check(&mut self, id: &InstanceId, observed: Nanos, outcome: &CheckOutcome) -> bool {
        let (Some(thresholds), Some(entry)) = (self.settings.checks, self.slots.by_id(id)) else {
            return false;
        };
        let change = entry.checks.observe(outcome, observed, thresholds, self.now);
        if *outcome == CheckOutcome::Passed && entry.began.is_none() {
            entry.began = Some(self.now);
            self.restage = true;
        }
        let (kind, mut reason) = match change {
            None => return false,
            Some(CheckChange::Down(reason)) => (EventKind::CheckedDown, reason),
            Some(CheckChange::Up(reason)) => (EventKind::CheckedUp, reason),
        };
        if kind == EventKind::CheckedUp {
            // It was restarted as likely as not.
            entry.began = Some(self.now);
            entry.healthy = Mark::new(self.now, Arc::clone(&reason));
            if entry.ejection.is_behind_checks() {
                // What requests met was what checks met, and that is over.
                let successes = entry.member.stats().successes();
                entry.come_back(successes, &self.settings.ejection, self.now);
            }
            if let Some(until) = entry.ejection.until() {
                let left = until.since(self.now).as_secs_f64();
                reason = format!("{reason}; still ejected for {left:.1} s").into();
            } else {
                // Failures from the time it was down are no evidence against it now.
                entry.forgive();
                entry.arm(&self.settings.ejection);
            }
        }
        // At once: a score that lags behind would speak of the one before.
        let parts = entry.parts(self.settings.checks, &self.settings.ejection, self.now);
        entry.member.stats().set_health_parts(parts);
        // Checks do not take back what somebody said.
        let told = kind == EventKind::CheckedUp && entry.told.is_some();
        self.journal.instance(self.now, id, kind, reason);
        self.dirty = true;
        told
    }

    fn look(&mut self) {
        self.scores.alarm(&mut self.slots, &self.settings, self.now);
        passive::forgive(&mut self.slots, &self.settings, &mut self.scores, self.now);
        self.end_weakness();
        let peers = self.view.candidates().len();
        for (slot, entry) in self.slots.iter_mut() {
            let stats = entry.member.stats();
            stats.trust().set_peers(peers);
            let fails = stats.consecutive_failures() > 0;
            entry.spared_by_strategy = fails && self.view.picker.leaves_alone(slot);
        }
        self.dirty |= passive::look(
            &mut self.slots,
            &self.settings,
            &mut self.scores,
            &mut self.journal,
            &mut self.rng,
            self.now,
        );
        if self.scores.headroom.is_watched() {
            self.next_look = self.next_look.min(self.now + WATCH);
        }
        // Scores and shares, and whether anybody answers, may be other ones.
        self.restage = true;
    }

    fn arm(&mut self) {
        for (_, entry) in self.slots.iter_mut() {
            entry.arm(&self.settings.ejection);
        }
        self.tell_thresholds();
    }

    /// Says what counts as too much now.
    fn tell_thresholds(&self) {
        let thresholds = self
            .scores
            .thresholds(&self.slots, &self.settings.ejection, self.now);
        self.journal.counters().thresholds.set(&thresholds);
    }
}

/// When the picker of a service wants to look after `now`.
fn next_refresh(settings: &ServiceSettings, now: Nanos) -> Nanos {
    shadow::refresh_after(Some(&settings.strategy), now)
}
