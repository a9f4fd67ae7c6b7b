//! The state machine of one service. Its writer owns it, feeds it evidence in order and publishes the
//! views it builds; nobody else changes anything.

use std::sync::Arc;

use crate::health::{CheckOutcome, CheckThresholds, EjectionSettings};
use crate::{Event, Instance, InstanceError, InstanceId, Nanos, StrategyName, View};

/// Settings of a service that the core needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Its name.
    pub name: Arc<str>,
    /// How it picks.
    pub strategy: StrategyName,
    /// Thresholds of active checks; `None` when there are no active checks.
    pub checks: Option<CheckThresholds>,
    /// Passive ejection.
    pub ejection: EjectionSettings,
    /// Fewer healthy instances than this, and all are used.
    pub min_healthy: u32,
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
    },
    /// A lease ended with an [`crate::Alarm`]: look at the counters.
    Alarm,
}

/// The state machine.
#[derive(Debug)]
pub struct ServiceState {
    settings: ServiceSettings,
    view: Arc<View>,
}

impl ServiceState {
    /// A service with its first instances.
    ///
    /// # Errors
    /// When two instances share an id.
    pub fn new(
        settings: ServiceSettings,
        instances: Vec<Instance>,
        seed: u64,
        now: Nanos,
    ) -> Result<Self, InstanceError> {
        let _ = (&instances, seed, now);
        let _ = settings;
        Err(InstanceError::EmptyId)
    }

    /// Replaces settings and instances; what is known of an instance that stays (same id and address)
    /// is kept.
    ///
    /// # Errors
    /// When two instances share an id; nothing changed then.
    pub fn replace(
        &mut self,
        settings: ServiceSettings,
        instances: Vec<Instance>,
        now: Nanos,
    ) -> Result<(), InstanceError> {
        let _ = (settings, instances, now);
        Ok(())
    }

    /// Takes in one piece of evidence.
    pub fn apply(&mut self, evidence: Evidence, now: Nanos) {
        let _ = (evidence, now);
    }

    /// Does what time demands: ends ejections, ages response times, reuses slots.
    pub fn tick(&mut self, now: Nanos) {
        let _ = now;
    }

    /// When [`Self::tick`] should be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Nanos {
        Nanos::MAX
    }

    /// The current view. A new `Arc` after a change, the same otherwise.
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
        Vec::new()
    }
}
