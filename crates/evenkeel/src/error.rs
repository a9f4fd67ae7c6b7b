//! What may go wrong, and what to do about it.

use std::sync::Arc;

use evenkeel_core::{InstanceError, InstanceId, NoPick};
use evenkeel_runtime::{ApplyError, OperateError};

/// Why there is no lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// There is no such service.
    #[error("there is no service {0:?}; register an instance of it, or `configure` it")]
    UnknownService(Box<str>),
    /// The service has no instance for this request.
    #[error("service {service}: {reason}")]
    NoPick {
        /// Which service.
        service: Arc<str>,
        /// Why.
        reason: NoPick,
    },
}

/// Why an operation did not happen. Nothing changed then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such service.
    #[error("there is no service {0:?}; register an instance of it, or `configure` it")]
    UnknownService(Box<str>),
    /// A service cannot have this name.
    #[error("{0:?} is no name of a service: write 1 to 255 ASCII letters, digits and any of {signs}", signs = InstanceId::SIGNS)]
    ServiceName(Box<str>),
    /// What was given for an instance is not acceptable.
    #[error("service {service}: {source}")]
    Instance {
        /// Of which service.
        service: Box<str>,
        /// What is wrong.
        source: InstanceError,
    },
    /// The settings are not acceptable, or there is no tokio runtime to work on.
    #[error(transparent)]
    Settings(#[from] ApplyError),
    /// The service refused it.
    #[error(transparent)]
    Refused(#[from] OperateError),
}
