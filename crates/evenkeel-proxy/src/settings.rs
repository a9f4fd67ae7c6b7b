//! What the data plane is told. Plain values, valid by construction; the configuration file has its
//! own types.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::RetryOn;
use evenkeel_h1::Limits;
use evenkeel_runtime::Service;
use ipnet::IpNet;

use crate::access::AccessLog;
use crate::sticky::StickyCookie;

/// Everything the workers need, replaced as a whole on reload.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Where clients connect. Names are unique.
    pub listeners: Vec<ListenerSettings>,
    /// The services that routes refer to by index.
    pub upstreams: Vec<UpstreamSettings>,
    /// Sizes beyond which messages are refused.
    pub limits: Limits,
    /// Longest request body in bytes; `None` is unlimited.
    pub max_body: Option<u64>,
    /// Client connections at once in the whole process; more are answered with 503 and closed.
    pub max_connections: usize,
    /// Peers whose forwarding fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where requests are written down, if they are.
    pub access_log: Option<AccessLog>,
}

/// One listening address.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Its address; with port 0 the system chooses a port.
    pub bind: SocketAddr,
    /// From the first byte of a head (or from accepting) to its end.
    pub client_header: Duration,
    /// Between two requests of a connection.
    pub client_idle: Duration,
    /// Between two pieces of a body, in either direction.
    pub body_idle: Duration,
    /// First match wins.
    pub routes: Vec<RouteSettings>,
}

/// What makes a listener the same one after a reload: its address, or its name where the system chooses
/// the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place(SocketAddr, Option<Arc<str>>);

impl ListenerSettings {
    pub(crate) fn place(&self) -> Place {
        Place(self.bind, (self.bind.port() == 0).then(|| Arc::clone(&self.name)))
    }
}

/// One route.
#[derive(Debug, Clone)]
pub struct RouteSettings {
    /// Host without port: exact, or `*.suffix`; `None` matches all. Lower case.
    pub host: Option<Box<str>>,
    /// Prefix of the path at a segment boundary; `None` matches all.
    pub path_prefix: Option<Box<str>>,
    /// Index into [`ProxySettings::upstreams`].
    pub upstream: usize,
}

/// How requests of one service are sent.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Where the instances come from.
    pub service: Arc<Service>,
    /// To establish a connection.
    pub connect: Duration,
    /// From the end of the request to the end of the response head.
    pub response: Duration,
    /// Between two pieces of a response body.
    pub body_idle: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// What is tried again.
    pub retry_on: RetryOn,
    /// Further tries after the first.
    pub retry_attempts: u32,
    /// Further tries per request on average, e.g. 0.2.
    pub retry_budget: f64,
    /// The cookie of sessions that stick to an instance; `None` when they do not. Needs
    /// [`evenkeel_core::ServiceSettings::sessions`] as well.
    pub sticky: Option<StickyCookie>,
    /// Whether load reports of instances are kept from clients.
    pub strip_load_reports: bool,
    /// Open connections per instance and worker.
    pub max_connections: u32,
    /// Unused connections kept per instance and worker.
    pub max_idle: usize,
}
