//! Operations on a running service: each is sent to the service's writer and waited for.

use std::sync::Arc;

use evenkeel_core::{
    Effect, Instance, InstanceError, InstanceId, LoadReport, Nanos, Operation, OperationError, Score,
    StrategySettings, Weight,
};
use tokio::sync::oneshot;

use crate::service::Service;
use crate::settings::{SettingsError, check_strategy};
use crate::writer::Message;

/// Why an operation did not happen. Nothing changed then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// It was refused.
    #[error("service {service}: {source}")]
    Refused {
        /// By which service.
        service: Arc<str>,
        /// Why.
        source: OperationError,
    },
    /// The instance is not acceptable.
    #[error("service {service}: {source}")]
    Instance {
        /// By which service.
        service: Arc<str>,
        /// What is wrong with it.
        source: InstanceError,
    },
    /// A setting of the strategy is not acceptable.
    #[error("service {service}: strategy: {source}")]
    Strategy {
        /// Of which service.
        service: Arc<str>,
        /// Which, and what is wrong with it.
        source: SettingsError,
    },
    /// A setting of the shadow strategy is not acceptable.
    #[error("service {service}: shadow: {source}")]
    Shadow {
        /// Of which service.
        service: Arc<str>,
        /// Which, and what is wrong with it.
        source: SettingsError,
    },
    /// The service was removed, or its balancer was shut down.
    #[error("service {0}: it was removed, or its balancer shut down, and takes no changes any more")]
    Gone(Arc<str>),
    /// The runtime that the balancer's tasks ran on is gone, and they with it.
    #[error(
        "service {0}: the tokio runtime that its balancer was first used on has ended or has no timers, and nobody \
         takes changes any more; use the balancer first on a runtime that lasts as long as it, or make another"
    )]
    RuntimeEnded(Arc<str>),
    /// A bug: the state machine panicked over it, or over what came with it, and started anew.
    #[error("service {0}: the change failed unexpectedly; the log says where")]
    Panicked(Arc<str>),
}

/// Each returns when the view with the change is published, so a pick made after it sees the change. They
/// wait while the writer is behind; dropping the future withdraws an operation only while it waits for its
/// place in the queue. Operations of one caller that awaits each take place in their order.
impl Service {
    /// Adds an instance, or gives the one with its id at the same address its weight, priority and labels
    /// ([`Effect::Registered`], [`Effect::Changed`], [`Effect::Unchanged`]).
    ///
    /// What is registered stays when a new configuration is applied, unless that declares the id.
    ///
    /// # Errors
    /// When the instance is not acceptable, its id is registered at another address, the strategy could not choose among
    /// so many, or the service is gone.
    pub async fn register(&self, instance: Instance) -> Result<Effect, OperateError> {
        self.operate(Operation::Register(instance)).await
    }

    /// Removes an instance. Its requests in flight end as they would have. One that the configuration
    /// declares is back when that is applied again.
    ///
    /// # Errors
    /// When there is no such instance, or the service is gone.
    pub async fn deregister(&self, id: &InstanceId) -> Result<Effect, OperateError> {
        self.operate(Operation::Deregister(id.clone())).await
    }

    /// Changes a weight. For an instance of the configuration it holds until that is applied again.
    ///
    /// # Errors
    /// When there is no such instance, the weights are too much for the strategy, or the service is gone.
    pub async fn set_weight(&self, id: &InstanceId, weight: Weight) -> Result<Effect, OperateError> {
        let id = id.clone();
        self.operate(Operation::SetWeight { id, weight }).await
    }

    /// Gives an instance no new requests, whatever becomes of the others. Sessions that stick to it may still
    /// reach it ([`View::takes_its_own`](evenkeel_core::View::takes_its_own)). It stays so when a new
    /// configuration is applied. To remove it when it is idle, wait for the last of its requests to end
    /// ([`Member::load`](evenkeel_core::Member::load)) and deregister it.
    ///
    /// # Errors
    /// When there is no such instance, or the service is gone.
    pub async fn drain(&self, id: &InstanceId, why: &str) -> Result<Effect, OperateError> {
        let (id, why) = (id.clone(), why.into());
        self.operate(Operation::Drain { id, why }).await
    }

    /// Ends a drain.
    ///
    /// # Errors
    /// When there is no such instance, or the service is gone.
    pub async fn undrain(&self, id: &InstanceId) -> Result<Effect, OperateError> {
        self.operate(Operation::Undrain(id.clone())).await
    }

    /// Says how well an instance is, 0 to 1, as of `observed` on the balancer's clock. An older word than the
    /// newest is dropped ([`Effect::Stale`]); one from the future counts as of now.
    ///
    /// # Errors
    /// When `score` is not such a number, there is no such instance, or the service is gone.
    pub async fn report_health(
        &self,
        id: &InstanceId,
        score: f64,
        observed: Nanos,
    ) -> Result<Effect, OperateError> {
        let score = Score::new(score).map_err(|source| self.refused(source))?;
        let id = id.clone();
        self.operate(Operation::ReportHealth { id, score, observed })
            .await
    }

    /// Passes on what an instance says of its load, as of `observed`. An older report than the newest is
    /// dropped ([`Effect::Stale`]); one from the future counts as of now.
    ///
    /// # Errors
    /// When there is no such instance, or the service is gone.
    pub async fn report_load(
        &self,
        id: &InstanceId,
        report: LoadReport,
        observed: Nanos,
    ) -> Result<Effect, OperateError> {
        let id = id.clone();
        self.operate(Operation::ReportLoad { id, report, observed }).await
    }

    /// Picks by another strategy from now on; picks under way are not disturbed. It holds until the
    /// configuration is applied again.
    ///
    /// # Errors
    /// When a setting is not acceptable, the strategy could not choose among the instances that there are, or the service
    /// is gone.
    pub async fn set_strategy(&self, strategy: StrategySettings) -> Result<Effect, OperateError> {
        self.operate(Operation::SetStrategy(strategy)).await
    }

    /// Asks another strategy beside the one that picks from now on, or none; no pick changes for it. What came of the one
    /// before is forgotten. It holds until the configuration is applied again.
    ///
    /// # Errors
    /// When a setting is not acceptable, the strategy could not choose among the instances that there are or hashes
    /// something else of a request than the strategy in force, or the service is gone.
    pub async fn set_shadow(&self, shadow: Option<StrategySettings>) -> Result<Effect, OperateError> {
        self.operate(Operation::SetShadow(shadow)).await
    }

    /// Sends an operation to the writer and waits until its view is published. What the named operations do.
    ///
    /// # Errors
    /// When it is refused, or the service is gone.
    pub async fn operate(&self, operation: Operation) -> Result<Effect, OperateError> {
        self.check(&operation)?;
        let gone = || match self.is_retired() {
            true => OperateError::Gone(Arc::clone(self.name())),
            false => OperateError::RuntimeEnded(Arc::clone(self.name())),
        };
        let (done, answer) = oneshot::channel();
        let message = Message::Operate {
            operation: Box::new(operation),
            done,
        };
        self.inbox().send(message).await.map_err(|_| gone())?;
        let answer = answer.await.map_err(|_| {
            if self.inbox().is_closed() {
                gone()
            } else {
                OperateError::Panicked(Arc::clone(self.name()))
            }
        })?;
        answer.map_err(|source| self.refused(source))
    }

    /// What a caller can get wrong by itself; all else depends on the state.
    fn check(&self, operation: &Operation) -> Result<(), OperateError> {
        let service = || Arc::clone(self.name());
        match operation {
            Operation::Register(instance) => instance.validate().map_err(|source| OperateError::Instance {
                service: service(),
                source,
            }),
            Operation::SetStrategy(strategy) => {
                check_strategy(strategy).map_err(|source| OperateError::Strategy {
                    service: service(),
                    source,
                })
            }
            Operation::SetShadow(Some(shadow)) => {
                check_strategy(shadow).map_err(|source| OperateError::Shadow {
                    service: service(),
                    source,
                })
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, source: OperationError) -> OperateError {
        OperateError::Refused {
            service: Arc::clone(self.name()),
            source,
        }
    }
}
