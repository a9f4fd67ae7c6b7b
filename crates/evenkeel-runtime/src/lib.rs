//! The tokio driver of `evenkeel-core`, usable without the proxy.
//!
//! The core is a set of pure state machines; this crate gives them a clock, tasks and sockets:
//!
//! - a [`Balancer`] holds the services and swaps whole configurations, all or nothing;
//! - each [`Service`] has exactly one writer task, which takes in evidence in order and alone
//!   publishes [`View`](evenkeel_core::View)s; everybody else reads snapshots;
//! - one checker task per service runs its active checks, concurrently, jittered and capped.
//!
//! A pick costs a snapshot load, the strategy and a few atomics: no lock, no allocation, no `.await`.
//!
//! Absent on purpose: connections to instances, retries and anything that knows a request's bytes.
//! They belong to whoever uses the leases.

mod balancer;
mod checks;
mod clock;
mod events;
mod metrics;
mod service;
mod spec;
mod writer;

pub use balancer::Balancer;
pub use clock::Clock;
pub use metrics::{DurationSnapshot, LOCAL_ERRORS, MetricsSnapshot, RetryReason, ServiceMetrics};
pub use service::{Service, ViewReader};
pub use spec::{ApplyError, CheckKind, CheckSettings, ServiceSpec};
