//! From addresses as written to addresses one can connect to, at start and on every reload.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_config::{Address, Config};
use evenkeel_core::Instance;

use crate::exit::Failed;

/// How long one name may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The instances of each service, in the order of the configuration.
pub(crate) async fn instances(config: &Config) -> Result<Vec<Vec<Instance>>, Failed> {
    let mut services = Vec::with_capacity(config.services.len());
    for service in &config.services {
        let mut instances = Vec::with_capacity(service.instances.len());
        for instance in &service.instances {
            let at = |error: &dyn std::fmt::Display| {
                Failed::input(format!(
                    "service {}: instance {}: {error}",
                    service.name, instance.id
                ))
            };
            let address = resolve(&instance.address).await.map_err(|error| at(&error))?;
            instances.push(instance.at(address).map_err(|error| at(&error))?);
        }
        services.push(instances);
    }
    Ok(services)
}

async fn resolve(address: &Address) -> Result<SocketAddr, String> {
    let (host, port) = match address {
        Address::Socket(address) => return Ok(*address),
        Address::Name { host, port } => (host.as_str(), *port),
    };
    let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| format!("{host}: the name service did not answer within {TIMEOUT:?}"))?
        .map_err(|error| format!("{host}: cannot resolve the name: {error}"))?;
    let mut found: Vec<_> = found.collect();
    // IPv4 first, then in numeric order: the same answer gives the same address every time.
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found
        .first()
        .copied()
        .ok_or_else(|| format!("{host}: the name has no address"))
}
