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
//! ```
//! use evenkeel_core::{Instance, Outcome, PickContext, PickRequest, ServiceSettings};
//! use evenkeel_runtime::{Balancer, Clock, ServiceSpec};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let balancer = Balancer::new(Clock::start(), 1);
//! let web = ServiceSpec {
//!     settings: ServiceSettings::new("web"),
//!     instances: vec![
//!         Instance::new("web-1", "127.0.0.1:9001".parse()?)?,
//!         Instance::new("web-2", "127.0.0.1:9002".parse()?)?,
//!     ],
//!     check: None,
//! };
//! balancer.apply(vec![web]).await?;
//!
//! let service = balancer.service("web").ok_or("there is no such service")?;
//! let mut cx = PickContext::new(1);
//! cx.now = balancer.clock().now();
//! let lease = service.pick(&PickRequest::default(), &mut cx)?;
//! let address = lease.member().instance().address; // send the request there
//! # assert!(address.port() > 9000);
//! let now = balancer.clock().now();
//! let outcome = Outcome::from_status(200, now.since(lease.started()));
//! service.finish(lease, &outcome, now);
//! # Ok(())
//! # }
//! ```
//!
//! Absent on purpose: connections to instances, retries and anything that knows a request's bytes.
//! They belong to whoever uses the leases.

mod balancer;
mod checks;
mod clock;
mod events;
mod log;
mod metrics;
mod observe;
mod operate;
mod record;
mod service;
mod settings;
mod shard;
mod shortage;
mod spec;
mod writer;

pub use balancer::Balancer;
pub use clock::Clock;
pub use evenkeel_core::RetryReason;
pub use metrics::{DurationSnapshot, LOCAL_ERRORS, MetricsSnapshot, ServiceMetrics};
pub use observe::Observe;
pub use operate::OperateError;
pub use record::{PickRecords, RecordedPick};
pub use service::{Service, ViewReader};
pub use settings::{SettingsError, check_settings, check_strategy};
pub use shortage::is_shortage;
pub use spec::{ApplyError, CheckKind, CheckSettings, ServiceSpec};
