//! The admin side of Evenkeel: probes, metrics and the read API, over HTTP/1.1.
//!
//! It runs on a thread of its own with a runtime of its own and reads published snapshots and atomics
//! only, so that a scrape or a dashboard never slows traffic, and busy workers never delay a probe by
//! more than the scheduler does. Long replies are rendered in chunks while they are read.
//!
//! Absent on purpose: anything that writes, and with it authentication. Whoever reaches the listener
//! reads topology and metrics; by default it is bound to loopback, and there answers only to loopback
//! names, so that a web page cannot read it through a visitor's browser.

mod api;
mod chunks;
mod host;
mod metrics;
mod probes;
mod problem;
mod process;
mod readiness;
mod routes;
mod server;
mod share;
mod start;
mod text;
mod time;
pub mod wire;

pub use process::ProcessCounters;
pub use readiness::Readiness;
pub use start::{AdminHandle, AdminSettings, Shared, StartError, spawn};
pub use text::{MetricKind, MetricValue, MetricsSource, MetricsText};

use std::net::SocketAddr;

/// What every handler reads.
struct App {
    shared: Shared,
    local: SocketAddr,
    recent: share::RecentPicks,
}
