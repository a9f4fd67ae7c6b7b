//! A handle beside the adapter: what operators, checks and instances have to say, and what goes on.

use std::sync::Arc;

use evenkeel_core::{
    AutoSnapshot, Effect, Event, Explanation, InstanceId, InstanceSnapshot, LoadReport, Nanos, Operation,
    Score, ShadowCounts, StrategyName, StrategySettings, View,
};
use evenkeel_runtime::{Clock, OperateError, check_strategy};
use tokio::sync::broadcast;

use super::fleet::Shared;
use crate::counts::ServiceCounts;
use crate::selection::Selection;
use crate::{Error, context};

/// The operations of [`LoadBalancer`](crate::LoadBalancer) on the instances of a [`Balance`](super::Balance)
/// ([`Balance::control`](super::Balance::control)). Clones are handles of the same service; they outlive it harmlessly.
///
/// Nothing waits: each change is made at once, and requests follow it from the next `poll_ready` on, for which a caller
/// that waits there is woken. Who is there at all is discovery's affair, so that nothing here registers, and weights
/// are those of its keys.
///
/// ```
/// use evenkeel::tower::Control;
///
/// fn before_a_release(control: &Control) -> Result<(), evenkeel::Error> {
///     control.drain("127.0.0.1:9001", "a new release")?;
///     println!("{}", control.explain());
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        Self { shared }
    }

    /// Says how well an instance is, from 0 (out of order) to 1 (well), as of now. See
    /// [`LoadBalancer::update_instance_health`](crate::LoadBalancer::update_instance_health).
    ///
    /// # Errors
    /// When the score is not a number from 0 to 1, or there is no such instance.
    pub fn update_instance_health(&self, id: &str, score: f64) -> Result<Effect, Error> {
        self.update_instance_health_at(id, score, self.now())
    }

    /// The same for a score that speaks of another time than now (by [`now`](Self::now)).
    ///
    /// # Errors
    /// As there.
    pub fn update_instance_health_at(&self, id: &str, score: f64, observed: Nanos) -> Result<Effect, Error> {
        let id = self.id(id)?;
        let score = Score::new(score).map_err(|source| self.refused(source))?;
        self.operate(Operation::ReportHealth { id, score, observed })
    }

    /// Passes on what an instance says of its load, as of now, where its responses do not say it.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn report_load(&self, id: &str, report: LoadReport) -> Result<Effect, Error> {
        let (id, observed) = (self.id(id)?, self.now());
        self.operate(Operation::ReportLoad { id, report, observed })
    }

    /// Gives an instance no new requests. `why` is shown by [`explain`](Self::explain) and in the event.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn drain(&self, id: &str, why: &str) -> Result<Effect, Error> {
        let (id, why) = (self.id(id)?, why.into());
        self.operate(Operation::Drain { id, why })
    }

    /// Ends a drain.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn undrain(&self, id: &str) -> Result<Effect, Error> {
        self.operate(Operation::Undrain(self.id(id)?))
    }

    /// Picks by another strategy from now on. What is known of the instances is kept.
    ///
    /// # Errors
    /// When the settings of the strategy are not acceptable, or it could not choose among the instances that there are.
    pub fn set_strategy(&self, strategy: impl Into<StrategySettings>) -> Result<Effect, Error> {
        let strategy = strategy.into();
        check_strategy(&strategy).map_err(|source| {
            let service = Arc::clone(self.shared.name());
            OperateError::Strategy { service, source }
        })?;
        self.operate(Operation::SetStrategy(strategy))
    }

    /// Asks another strategy beside the one that picks from now on, or none: for one pick in 64, whom it would have chosen
    /// and what that would have cost. No pick changes for it.
    ///
    /// # Errors
    /// When the settings of the strategy are not acceptable, it could not choose among the instances that there are, or
    /// hashes something else of a request than the one that picks.
    pub fn set_shadow(&self, shadow: Option<StrategySettings>) -> Result<Effect, Error> {
        if let Some(shadow) = &shadow {
            check_strategy(shadow).map_err(|source| {
                let service = Arc::clone(self.shared.name());
                OperateError::Shadow { service, source }
            })?;
        }
        self.operate(Operation::SetShadow(shadow))
    }

    /// The shadow strategy with what came of asking it since it was set; `None` without one.
    #[must_use]
    pub fn shadow(&self) -> Option<(StrategyName, ShadowCounts)> {
        self.view().shadow()
    }

    /// What the strategy `auto` does, and has done; `None` with another strategy.
    #[must_use]
    pub fn auto(&self) -> Option<AutoSnapshot> {
        self.view().auto()
    }

    /// Everything that happens from now on. A subscriber that is 1024 events behind loses the oldest, and is told.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.subscribe()
    }

    /// What is going on: each instance with its state, what each stage made of it and why, whom the strategy would
    /// choose and why not the others. Whether the inner services are ready is not asked. Asking changes nothing.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        self.explain_for(&Selection::new())
    }

    /// As [`explain`](Self::explain), for a request of which something is known.
    #[must_use]
    pub fn explain_for(&self, selection: &Selection<'_>) -> Explanation {
        Explanation::new(&self.view(), &selection.question(), self.now(), context::seed())
    }

    /// What is known of the instances, in the order of their slots: for metrics and tables.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceSnapshot> {
        InstanceSnapshot::all(&self.view(), self.now()).collect()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> ServiceCounts {
        ServiceCounts::new(self.shared.metrics(), &self.view())
    }

    /// The instances with their health, and who is a candidate.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// The clock that events and observations are dated with; it knows the time of day of each.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock()
    }

    /// The time now, by the clock that events and observations are dated with.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.clock().now()
    }

    fn id(&self, id: &str) -> Result<InstanceId, Error> {
        InstanceId::new(id).map_err(|source| Error::Instance {
            service: (**self.shared.name()).into(),
            source,
        })
    }

    fn operate(&self, operation: Operation) -> Result<Effect, Error> {
        let effect = self.shared.operate(operation);
        effect.map_err(|source| self.refused(source))
    }

    fn refused(&self, source: evenkeel_core::OperationError) -> Error {
        let service = Arc::clone(self.shared.name());
        OperateError::Refused { service, source }.into()
    }
}
