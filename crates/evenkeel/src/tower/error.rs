//! What the adapter itself may fail with; errors of inner services pass through as they are.

use evenkeel_core::NoPick;
use evenkeel_runtime::SettingsError;
use tower::BoxError;

/// Why there is no response, for a reason of the balancer. It is what the `BoxError` of
/// [`Balance`](super::Balance) holds, unless an inner service's own error does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream of changes failed.
    #[error("service {service}: discovery failed: {source}")]
    Discover {
        /// The service balanced over.
        service: Box<str>,
        /// What the stream said.
        source: BoxError,
    },
    /// The adapter was made with a setting that is not acceptable.
    #[error("service {service}: {source}")]
    Settings {
        /// The service balanced over.
        service: Box<str>,
        /// Which setting, and what is wrong with it.
        source: SettingsError,
    },
    /// Discovery has ended, and no instance is left.
    #[error("service {service}: discovery has ended and no instance is left; nothing will ever be ready")]
    NobodyLeft {
        /// The service balanced over.
        service: Box<str>,
    },
    /// No instance may be used.
    #[error("service {service}: {reason}")]
    NoPick {
        /// The service balanced over.
        service: Box<str>,
        /// Why.
        reason: NoPick,
    },
    /// Instances may be used, and none of them is ready.
    #[error("service {service}: no instance is ready any more; wait for `poll_ready` and call again")]
    NoneReady {
        /// The service balanced over.
        service: Box<str>,
    },
}
