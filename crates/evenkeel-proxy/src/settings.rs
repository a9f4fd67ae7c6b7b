//! What the data plane is told. Plain values, valid by construction; the configuration file has its
//! own types.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_h1::Limits;
use evenkeel_runtime::Service;

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
    pub trusted_proxies: Vec<Network>,
}

/// One listening address.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Its address.
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
    /// Further tries after the first.
    pub retry_attempts: u32,
    /// Further tries per request on average, e.g. 0.2.
    pub retry_budget: f64,
    /// Open connections per instance and worker.
    pub max_connections: u32,
    /// Unused connections kept per instance and worker.
    pub max_idle: usize,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `address/prefix`; `None` when the prefix is longer than the address.
    #[must_use]
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            None
        } else {
            Some(Self { address, prefix })
        }
    }

    /// Whether `ip` is inside. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                u32::from(net).checked_shr(shift) == u32::from(ip).checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix);
                u128::from(net).checked_shr(shift) == u128::from(ip).checked_shr(shift)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_should() {
        let net = |a: &str, p| Network::new(a.parse().unwrap(), p).unwrap();
        let has = |n: Network, ip: &str| n.contains(ip.parse().unwrap());
        assert!(has(net("10.0.0.0", 8), "10.255.1.2"));
        assert!(!has(net("10.0.0.0", 8), "11.0.0.1"));
        assert!(has(net("0.0.0.0", 0), "8.8.8.8"));
        assert!(!has(net("0.0.0.0", 0), "::1"));
        assert!(has(net("127.0.0.1", 32), "::ffff:127.0.0.1"));
        assert!(has(net("2001:db8::", 32), "2001:db8:1::1"));
        assert!(!has(net("2001:db8::", 32), "2001:db9::1"));
        assert!(Network::new("10.0.0.0".parse().unwrap(), 33).is_none());
    }
}
