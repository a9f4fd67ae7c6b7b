//! Fleets in a line.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel::{Instance, LoadBalancer};

/// Nothing here waits longer; a hang is a failure and not a stuck test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn instance(id: &str, port: u16) -> Instance {
    Instance::new(id, address(port)).unwrap()
}

/// `web` with the instances a, b, c, … at ports 9001, 9002, …
pub(crate) async fn fleet(n: u16) -> LoadBalancer {
    let balancer = LoadBalancer::new();
    for i in 0..n {
        let id = char::from(b'a' + i as u8).to_string();
        let registered = balancer.register_instance("web", instance(&id, 9001 + i)).await;
        registered.unwrap();
    }
    balancer
}

/// The ids of `n` picks of `web`.
pub(crate) fn picks(balancer: &LoadBalancer, n: usize) -> Vec<String> {
    let leases = (0..n).map(|_| balancer.get_instance("web").unwrap());
    leases.map(|lease| lease.instance().id.to_string()).collect()
}
