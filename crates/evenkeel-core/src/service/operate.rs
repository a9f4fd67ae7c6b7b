//! Operations on a running service.

use std::sync::Arc;

use super::ServiceState;
use crate::health::Mark;
use crate::{Effect, EventKind, Input, Instance, InstanceId, Nanos, Operation, OperationError};
use crate::{Score, Source, StrategySettings, Weight};

type Outcome = Result<Effect, OperationError>;

impl ServiceState {
    /// Does what is asked for. O(log n), and O(n) for the view where it changed something; another strategy costs no
    /// more than its picker.
    ///
    /// # Errors
    /// Says why it was refused; nothing changed then.
    pub fn operate(&mut self, operation: Operation, now: Nanos) -> Result<Effect, OperationError> {
        self.follow(now);
        let outcome = self.operate_unpublished(operation);
        if std::mem::take(&mut self.told) {
            self.look();
        }
        self.publish();
        outcome
    }

    /// Takes in evidence and operations in order and builds at most one view from them all. Returns what
    /// the operations came to, in their order.
    pub fn take_in(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Nanos,
    ) -> Vec<Result<Effect, OperationError>> {
        self.follow(now);
        let mut alarm = false;
        let mut outcomes = Vec::new();
        for input in inputs {
            match input {
                Input::Evidence(evidence) => alarm |= self.observe(evidence),
                Input::Operation(operation) => outcomes.push(self.operate_unpublished(operation)),
            }
        }
        if alarm | std::mem::take(&mut self.told) {
            self.look();
        }
        self.publish();
        outcomes
    }

    /// Whether the strategy can choose among the instances that there are. Operations that it could not follow are
    /// refused; [`Self::replace`] has the last word, and the picker then does what it can.
    ///
    /// # Errors
    /// Says why not, and what to do.
    pub fn suits(&self) -> Result<(), OperationError> {
        self.would_suit(&self.settings.strategy, 0, 0)
    }

    fn operate_unpublished(&mut self, operation: Operation) -> Outcome {
        match operation {
            Operation::Register(instance) => self.register(instance),
            Operation::Deregister(id) => self.deregister(&id),
            Operation::SetWeight { id, weight } => self.set_weight(&id, weight),
            Operation::Drain { id, why } => self.drain(&id, why),
            Operation::Undrain(id) => self.undrain(&id),
            Operation::ReportHealth { id, score, observed } => self.report_health(&id, score, observed),
            Operation::ReportLoad { id, report, observed } => {
                let entry = self.slots.known(&id)?;
                let reported = entry.member.stats().reported();
                let taken = observed >= entry.registered && reported.observe(&report, observed, self.now);
                Ok(if taken { Effect::Changed } else { Effect::Stale })
            }
            Operation::SetStrategy(strategy) => self.set_strategy(strategy),
            Operation::SetStrategyByName(name) => {
                let declared = Some(&self.declared).filter(|declared| declared.name() == name);
                self.set_strategy(declared.cloned().unwrap_or_else(|| name.into()))
            }
            Operation::SetShadow(shadow) => self.set_shadow(shadow),
            Operation::SetShadowByName(name) => {
                let declared = [self.declared_shadow.as_ref(), Some(&self.declared)];
                let same = declared.into_iter().flatten().find(|one| one.name() == name);
                let shadow = same.cloned().unwrap_or_else(|| name.into());
                self.set_shadow(Some(shadow))
            }
        }
    }

    fn register(&mut self, instance: Instance) -> Outcome {
        let Some(entry) = self.slots.by_id(&instance.id) else {
            let (id, address) = (instance.id.clone(), instance.address);
            self.would_suit(&self.settings.strategy, 1, instance.weight.get().into())?;
            self.slots.reclaim();
            self.slots.place(instance, Source::Registration, self.now);
            if let Some(entry) = self.slots.by_id(&id) {
                entry.arm(&self.settings.ejection);
            }
            let reason = format!("at {address}").into();
            self.journal
                .instance(self.now, &id, EventKind::Registered, reason);
            self.dirty = true;
            return Ok(Effect::Registered);
        };
        let present = entry.member.instance();
        if present.address != instance.address {
            return Err(OperationError::IdTaken {
                id: instance.id,
                address: present.address,
            });
        }
        self.update(instance)
    }

    fn deregister(&mut self, id: &InstanceId) -> Outcome {
        let address = self.slots.known(id)?.member.instance().address;
        self.slots.remove(id);
        let reason = format!("was at {address}").into();
        self.journal
            .instance(self.now, id, EventKind::Deregistered, reason);
        self.dirty = true;
        Ok(Effect::Changed)
    }

    fn set_weight(&mut self, id: &InstanceId, weight: Weight) -> Outcome {
        let instance = self.slots.known(id)?.member.instance().clone();
        self.update(instance.with_weight(weight))
    }

    /// Puts `instance` in the place of the one with its id and address.
    fn update(&mut self, instance: Instance) -> Outcome {
        let id = instance.id.clone();
        let before = self.slots.known(&id)?.member.instance().weight;
        // Who gets less is no trouble, even where all together have too much.
        if instance.weight > before {
            let more = instance.weight.get() - before.get();
            self.would_suit(&self.settings.strategy, 0, more.into())?;
        }
        let Some(difference) = self.slots.update(instance) else {
            return Ok(Effect::Unchanged);
        };
        self.journal
            .instance(self.now, &id, EventKind::Changed, difference.into());
        self.dirty = true;
        Ok(Effect::Changed)
    }

    fn drain(&mut self, id: &InstanceId, why: Arc<str>) -> Outcome {
        let entry = self.slots.known(id)?;
        if entry.drain.is_some() {
            return Ok(Effect::Unchanged);
        }
        entry.drain = Some(Mark::new(self.now, Arc::clone(&why)));
        self.journal.instance(self.now, id, EventKind::Drained, why);
        self.dirty = true;
        Ok(Effect::Changed)
    }

    fn undrain(&mut self, id: &InstanceId) -> Outcome {
        let entry = self.slots.known(id)?;
        let Some(drain) = entry.drain.take() else {
            return Ok(Effect::Unchanged);
        };
        // What it did to the few that still came to it was not looked at.
        entry.forgive();
        // What was said of it still holds.
        self.told |= entry.told.is_some();
        let drained = self.now.since(drain.since).as_secs_f64();
        let reason: Arc<str> = format!("after {drained:.1} s of draining").into();
        entry.healthy = Mark::new(self.now, Arc::clone(&reason));
        entry.arm(&self.settings.ejection);
        self.journal.instance(self.now, id, EventKind::Undrained, reason);
        self.dirty = true;
        Ok(Effect::Changed)
    }

    fn report_health(&mut self, id: &InstanceId, score: Score, observed: Nanos) -> Outcome {
        // From before the clock stepped back, or of a clock that goes ahead: it counts as of now.
        let observed = observed.min(self.now);
        let entry = self.slots.known(id)?;
        // From before the registration it speaks of another that had the name.
        if observed < entry.registered || entry.told.is_some_and(|(_, newest)| observed < newest) {
            return Ok(Effect::Stale);
        }
        let before = entry.told.replace((score, observed));
        // At once: who says that an instance is ill does not mean in half a minute.
        let parts = entry.parts(self.settings.checks, &self.settings.ejection, self.now);
        entry.member.stats().set_health_parts(parts);
        self.told = true;
        Ok(match before {
            Some((same, _)) if same == score => Effect::Unchanged,
            _ => Effect::Changed,
        })
    }

    fn set_strategy(&mut self, strategy: StrategySettings) -> Outcome {
        let strategy = strategy.of_service(&self.settings.name, self.settings.hash_keys);
        if strategy == self.settings.strategy {
            return Ok(Effect::Unchanged);
        }
        self.would_suit(&strategy, 0, 0)?;
        self.switch_to(&strategy);
        self.settings.strategy = strategy;
        let course = self.view.picker.course().map(|course| &**course);
        self.piloting.renew(&self.settings, course, self.now);
        self.next_refresh = super::next_refresh(&self.settings, self.now);
        Ok(Effect::Changed)
    }

    /// Tells that the service picks by `strategy` from the next view on, if that is another one.
    pub(super) fn switch_to(&mut self, strategy: &StrategySettings) {
        if *strategy == self.settings.strategy {
            return;
        }
        let (from, to) = (self.settings.strategy.name(), strategy.name());
        let reason = match from == to {
            true => format!("{to} with other settings"),
            false => format!("{from} to {to}"),
        };
        self.journal.service(self.now, EventKind::StrategyChanged, reason);
        self.switched = true;
    }

    /// Whether `strategy` could choose among so many instances more, with so much weight more in all.
    fn would_suit(&self, strategy: &StrategySettings, more: u64, heavier: u64) -> Result<(), OperationError> {
        let (instances, weight) = (self.slots.len() as u64, self.slots.weight());
        let verdict = strategy.strategy().suits(instances + more, weight + heavier);
        verdict.map_err(|why| OperationError::Unsuitable {
            strategy: strategy.name(),
            why,
        })
    }
}
