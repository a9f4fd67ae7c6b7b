//! The admin side of Evenkeel: probes, metrics, and the API that reads and changes services, over HTTP/1.1.
//!
//! It runs on a thread of its own with a runtime of its own. To read, it takes published snapshots and atomics only, so
//! that a scrape or a dashboard never slows traffic, and busy workers never delay a probe by more than the scheduler
//! does; to change, it asks the one writer of a service. Long replies are rendered in chunks while they are read.
//!
//! Who changes something must know the [`Token`], and who reads from another machine, too; each change is a line in the
//! log. By default it is bound to loopback, and there answers only to loopback names, so that a web page cannot read
//! it through a visitor's browser.
//!
//! Absent on purpose: persistence. What is changed here lives as long as the process.

mod access;
mod api;
mod audit;
mod auto;
mod chunks;
mod explain;
mod host;
mod learned;
mod metrics;
mod openapi;
mod picks;
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
mod token;
pub mod wire;
mod write;

pub use process::ProcessCounters;
pub use readiness::Readiness;
pub use start::{AdminHandle, AdminSettings, Shared, StartError, spawn};
pub use text::{MetricKind, MetricValue, MetricsSource, MetricsText};
pub use token::{Token, TokenError, secret_file};

use std::net::SocketAddr;

/// What every handler reads.
struct App {
    shared: Shared,
    local: SocketAddr,
    recent: share::RecentPicks,
    strangers: audit::Strangers,
}
