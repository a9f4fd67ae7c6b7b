//! The data plane: takes requests from clients, has an instance picked for each, and passes the
//! response back.
//!
//! One thread per core, each with its own event loop, its own `SO_REUSEPORT` sockets and its own
//! connections to instances; only the counters beside the instances are shared. A request's way:
//! `client` reads and routes it, `rewrite` makes the head for the instance, `exchange` picks and
//! connects, `retry` grants another try, `attempt` moves both directions of one try, `reply` speaks when no instance did,
//! and `access` writes down what became of it.
//!
//! Absent on purpose: header maps (heads stay bytes), body collection (bodies stream), HTTP/2, TLS and
//! upgrades (not yet).

mod access;
mod attempt;
mod bind;
mod buffer;
mod client;
mod counters;
mod date;
mod exchange;
mod failure;
mod pool;
mod proxy;
mod reply;
mod request_key;
mod retry;
mod rewrite;
mod routes;
mod settings;
mod sticky;
mod timers;
mod worker;

pub use access::{AccessLog, AccessLogError, AccessLogSettings, Reopen};
pub use bind::BindError;
pub use counters::Counters;
pub use evenkeel_core::{RetryOn, StatusSet};
pub use proxy::{Proxy, Sockets};
pub use settings::{ListenerSettings, ProxySettings, RouteSettings, UpstreamSettings};
pub use sticky::{SameSite, StickyCookie};
