//! From addresses as written to addresses one can connect to, at start and on every reload.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use evenkeel_config::{Address, Config};
use evenkeel_core::Instance;

use crate::exit::Failed;

/// How long one name may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Failures shown; a name service that is down fails all names.
const SHOWN: usize = 10;

/// The instances of each service, in the order of the configuration. All names are asked for at once.
pub(crate) async fn instances(config: &Config) -> Result<Vec<Vec<Instance>>, Failed> {
    let found = lookup(config).await;
    let mut failures = Vec::new();
    let mut services = Vec::with_capacity(config.services.len());
    for service in &config.services {
        let mut instances = Vec::with_capacity(service.instances.len());
        for instance in &service.instances {
            let address = match &instance.address {
                Address::Socket(address) => Ok(*address),
                Address::Name { host, port } => {
                    found[host.as_str()].clone().map(|ip| SocketAddr::new(ip, *port))
                }
            };
            let resolved =
                address.and_then(|address| instance.at(address).map_err(|error| error.to_string()));
            match resolved {
                Ok(instance) => instances.push(instance),
                Err(error) => failures.push(format!(
                    "service {}: instance {}: {error}",
                    service.name, instance.id
                )),
            }
        }
        services.push(instances);
    }
    if failures.is_empty() {
        return Ok(services);
    }
    let more = failures.len().saturating_sub(SHOWN);
    failures.truncate(SHOWN);
    if more > 0 {
        failures.push(format!("and {more} more"));
    }
    Err(Failed::input(failures.join("\n")))
}

/// What each host name of the configuration resolves to.
async fn lookup(config: &Config) -> HashMap<&str, Result<IpAddr, String>> {
    let instances = config.services.iter().flat_map(|service| &service.instances);
    let hosts: BTreeSet<&str> = instances
        .filter_map(|instance| match &instance.address {
            Address::Socket(_) => None,
            Address::Name { host, .. } => Some(host.as_str()),
        })
        .collect();
    let lookups: Vec<_> = hosts
        .into_iter()
        .map(|host| (host, tokio::spawn(resolve(host.to_owned()))))
        .collect();
    let mut found = HashMap::new();
    for (host, lookup) in lookups {
        let result = lookup.await.unwrap_or_else(|error| Err(error.to_string()));
        found.insert(host, result);
    }
    found
}

async fn resolve(host: String) -> Result<IpAddr, String> {
    let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host.as_str(), 0)))
        .await
        .map_err(|_| format!("{host}: the name service did not answer within {TIMEOUT:?}"))?
        .map_err(|error| format!("{host}: cannot resolve the name: {error}"))?;
    // IPv4 first, then in numeric order: the same answer gives the same address every time.
    found
        .map(|address| address.ip())
        .min_by_key(|ip| (ip.is_ipv6(), *ip))
        .ok_or_else(|| format!("{host}: the name has no address"))
}
