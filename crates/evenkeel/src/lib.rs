//! Health-aware load balancing inside a program: no proxy, no sidecar.
//!
//! A program that calls a service which runs in several places holds a [`LoadBalancer`]. It tells it where the service
//! runs, asks it where to send each request, and says how the request went. The balancer does the rest: it spreads
//! requests by the strategy of the service, takes out instances that fail, brings them back with care, and says why.
//!
//! ```
//! use evenkeel::{Instance, LoadBalancer};
//!
//! # async fn send(_: std::net::SocketAddr) -> Result<u16, std::io::Error> { Ok(200) }
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let balancer = LoadBalancer::new();
//!     for (id, address) in [("web-1", "127.0.0.1:9001"), ("web-2", "127.0.0.1:9002")] {
//!         balancer.register_instance("web", Instance::new(id, address.parse()?)?).await?;
//!     }
//!
//!     for _ in 0..10 {
//!         let lease = balancer.get_instance("web")?;
//!         match send(lease.address()).await {
//!             Ok(status) => lease.answered_with(status),
//!             Err(_) => lease.failed(),
//!         }
//!     }
//!     println!("{}", balancer.explain("web")?);
//!     Ok(())
//! }
//! ```
//!
//! # Concepts
//!
//! A **service** is a name under which **instances** do the same work. An [`Instance`] has an id that is unique in its
//! service, an address, a [`Weight`], a priority and labels. A **strategy** chooses among the **candidates**: the instances
//! that pass all stages before it ([`Exclusion`] lists them). The strategy never decides who may be chosen,
//! and health never decides who of them is: see [`strategies`] for one page about each, and [`health`] for who is
//! eligible.
//!
//! A pick returns a [`Lease`], the right to send one request. It counts as in flight until it ends, exactly once, with
//! what the request came to; dropping it ends it too, as cancelled. What leases say is all that most strategies and the
//! detectors of failing instances need: who fails in a row, in a burst or too large a share of its requests gets none for
//! some seconds, and each further time for twice as long ([`EjectionSettings`]). It comes back with a share that grows. Only
//! so many are taken out that enough others do the work; when nobody answers, nobody is.
//!
//! More is known when you say more: [`Checks`] ask the instances themselves ([`LoadBalancer::start_checks`]), and
//! [`update_instance_health`](LoadBalancer::update_instance_health) and [`report_load`](LoadBalancer::report_load) pass on
//! what they say of themselves.
//!
//! Everything that happens is an [`Event`] with a reason in words and numbers ([`LoadBalancer::subscribe`]), and
//! [`LoadBalancer::explain`] shows a service as it is now.
//!
//! # Retries
//!
//! A request that may be repeated goes to another instance when the first fails:
//!
//! ```
//! use evenkeel::{Instance, LoadBalancer, Selection};
//!
//! # async fn send(address: std::net::SocketAddr) -> Result<u16, std::io::Error> {
//! #     if address.port() == 9001 { Err(std::io::ErrorKind::ConnectionRefused.into()) } else { Ok(200) }
//! # }
//! async fn call(balancer: &LoadBalancer, user: &str) -> Result<u16, Box<dyn std::error::Error>> {
//!     let mut tried = Vec::new();
//!     loop {
//!         let lease = balancer.select_instance("web", &Selection::new().key(user).avoiding(&tried))?;
//!         let slot = lease.slot();
//!         match send(lease.address()).await {
//!             Ok(status) => {
//!                 lease.answered_with(status);
//!                 return Ok(status);
//!             }
//!             Err(error) => {
//!                 lease.failed();
//!                 if tried.len() == 2 {
//!                     return Err(error.into());
//!                 }
//!                 tried.push(slot);
//!             }
//!         }
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #     let balancer = LoadBalancer::new();
//! #     for (id, address) in [("web-1", "127.0.0.1:9001"), ("web-2", "127.0.0.1:9002")] {
//! #         balancer.register_instance("web", Instance::new(id, address.parse()?)?).await?;
//! #     }
//! #     for _ in 0..10 { assert_eq!(call(&balancer, "alice").await?, 200); }
//! #     Ok(())
//! # }
//! ```
//!
//! # Threads and runtimes
//!
//! Operations that change something are `async` and need a tokio runtime of any kind, with timers; outside one they say
//! so ([`Error::Settings`]). Each is done whole or not at all, also when the future is dropped before it ends. Each service
//! has one writer task, on the runtime that the balancer was first used on. When that runtime ends, picks go on with what
//! was last known, and changes are refused with an error that says why: so a balancer is first used on a runtime that
//! lasts as long as it, and tests with runtimes of their own each make their own balancer. Picks and leases need no
//! runtime, take no lock and allocate nothing on their way; a pick costs a look into the table of services, the strategy
//! (see its page) and a few atomics.
//!
//! # Features
//!
//! - `tower`: the module `tower`, a `tower::Service` that balances over any `tower::discover::Discover`.
//!
//! Absent on purpose: connections, retries and anything else that knows a request's bytes. The proxy `evenkeel serve` is
//! where those are.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod balancer;
mod checks;
mod context;
mod counts;
mod error;
pub mod health;
mod lease;
mod selection;
mod specs;
pub mod strategies;
#[cfg(feature = "tower")]
pub mod tower;

pub use balancer::LoadBalancer;
pub use checks::{Checks, RunningChecks};
pub use counts::ServiceCounts;
pub use error::{Error, GetError};
pub use lease::Lease;
pub use selection::Selection;

pub use evenkeel_core::{
    AutoSnapshot, BreakerState, Candidates, CheckThresholds, Effect, EjectionSettings, Event, EventKind,
    Exclusion, ExplainedInstance, Explanation, Finding, HashKeys, HealthPart, HealthParts, Instance,
    InstanceError, InstanceId, InstanceSnapshot, InstanceState, LoadReport, Member, Mode, Nanos, NoPick,
    OperationError, OrcaError, Outcome, Panic, Quantiles, Recovery, Regions, ReportError, ReportedLoad,
    RequestCounts, RivalSnapshot, ServiceSettings, SessionKey, SessionTag, ShadowCounts, Share, Slot,
    SlowStart, Source, Stats, Status, StrategyName, StrategySettings, Switch, Verdict, Veto, View, Weight,
};
pub use evenkeel_runtime::{ApplyError, CheckKind, CheckSettings, Clock, OperateError, SettingsError};
