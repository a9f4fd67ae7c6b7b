//! The resolved configuration: every key has its value, `defaults` are merged, plain types.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::access_log::AccessLog;
use crate::address::{Address, Cidr, Statuses};
use crate::file::{ConfigFile, InstanceFile, ListenerFile, Protocol, Route, ServiceFile};
use crate::health_check::{HealthCheckFile, HttpCheckFile, TcpCheckFile};
use crate::preset::with_preset;
use crate::settings::{
    Admin, CircuitBreaker, Health, Limits, ListenerTimeouts, Locality, Orca, Pool, RecordPicks, Retry,
    SlowStart, Timeouts,
};
use crate::shadow::ShadowText;
use crate::sticky::Sticky;
use crate::strategy::{StrategyFile, StrategyText};

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Threads that carry traffic; `None`: one per processor core.
    pub workers: Option<usize>,
    /// Where what must outlast the process is; `None`: where the system has such things.
    pub state_dir: Option<String>,
    /// The admin endpoint.
    pub admin: Admin,
    /// Where requests are written down, if they are.
    pub access_log: Option<AccessLog>,
    /// After SIGTERM, how long readiness is false before the listeners close.
    pub drain_delay: Duration,
    /// After SIGTERM and `drain_delay`, how long running requests may take to finish.
    pub drain_timeout: Duration,
    /// Proxies whose `X-Forwarded-*` is kept and appended to.
    pub trusted_proxies: Vec<Cidr>,
    /// What a client may send.
    pub limits: Limits,
    /// Where clients connect; names and addresses are unique.
    pub listeners: Vec<Listener>,
    /// What requests are balanced over; names are unique.
    pub services: Vec<Service>,
}

/// An address that accepts clients.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Name of the listener.
    pub name: String,
    /// Address to listen on; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// What clients speak.
    pub protocol: Protocol,
    /// How long a client may take.
    pub timeouts: ListenerTimeouts,
    /// Never empty; each names a service of the configuration.
    pub routes: Vec<Route>,
}

/// A service with its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Name of the service.
    pub name: String,
    /// How an instance is chosen.
    pub strategy: StrategyFile,
    /// What is asked beside it, if anything.
    pub shadow: Option<StrategyFile>,
    /// Active checks, if any.
    pub health_check: Option<HealthCheck>,
    /// How health decides who gets requests.
    pub health: Health,
    /// Which instances may be used at all.
    pub locality: Locality,
    /// How an instance begins that is new, or whose checks pass again.
    pub slow_start: SlowStart,
    /// Passive ejection.
    pub circuit_breaker: CircuitBreaker,
    /// Further tries on other instances.
    pub retry: Retry,
    /// Sessions that stick to an instance, if they do.
    pub sticky: Option<Sticky>,
    /// What instances say of their load.
    pub orca: Orca,
    /// How long an instance may take.
    pub timeouts: Timeouts,
    /// Connections to the instances.
    pub pool: Pool,
    /// Whether requests, retries and checks are counted.
    pub metrics: bool,
    /// Picks that are recorded.
    pub record_picks: RecordPicks,
    /// Never empty; ids are unique.
    pub instances: Vec<InstanceConfig>,
}

/// Active checks of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    /// How an instance is asked.
    pub probe: Probe,
    /// Port to ask on, when it is not the instance's own.
    pub port: Option<u16>,
    /// Time between two checks of an instance.
    pub interval: Duration,
    /// How long a check may take; never above `interval`.
    pub timeout: Duration,
    /// Failed checks in a row that make an instance unhealthy.
    pub unhealthy_threshold: u32,
    /// Passed checks in a row that make it healthy again.
    pub healthy_threshold: u32,
    /// Random share of the interval by which each pause is shortened at most, 0..=1.
    pub jitter: f64,
}

/// How a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// With a GET request.
    Http {
        /// Path to ask for; starts with `/`.
        path: String,
        /// `Host` of the request, when it is not the instance's address.
        host: Option<String>,
        /// Status codes of a healthy instance; never empty.
        expected_statuses: Vec<RangeInclusive<u16>>,
    },
    /// By connecting.
    Tcp,
}

/// An instance before its name is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceConfig {
    /// Unique in the service.
    pub id: String,
    /// Where it is.
    pub address: Address,
    /// Relative share of requests, at least 1.
    pub weight: u16,
    /// Priority group, 0 first.
    pub priority: u8,
    /// Region label.
    pub region: Option<String>,
    /// Zone label.
    pub zone: Option<String>,
    /// Free labels.
    pub metadata: BTreeMap<String, String>,
}

impl Config {
    /// The service called `name`.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// This configuration as a file in which every key is written; loading it gives this configuration again.
    #[must_use]
    pub fn effective(&self) -> ConfigFile {
        ConfigFile {
            workers: self.workers.map(Into::into),
            state_dir: self.state_dir.clone(),
            admin: Some((&self.admin).into()),
            access_log: self.access_log.as_ref().map(Into::into),
            drain_delay: Some(self.drain_delay.into()),
            drain_timeout: Some(self.drain_timeout.into()),
            trusted_proxies: Some(self.trusted_proxies.clone()),
            limits: Some((&self.limits).into()),
            listeners: self.listeners.iter().map(Into::into).collect(),
            services: self.services.iter().map(Into::into).collect(),
            defaults: None,
        }
    }

    /// [`Self::effective`] as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        // Every value in the model has a textual form, and writing to a string does not fail.
        serde_saphyr::to_string(&self.effective())
            .unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}

/// Resolves a file that has passed all checks.
impl From<ConfigFile> for Config {
    fn from(file: ConfigFile) -> Self {
        let defaults = file.defaults.unwrap_or_default();
        let services: Vec<Service> = file
            .services
            .into_iter()
            .map(|service| service.with(defaults.clone()).into())
            .collect();
        let only = services
            .first()
            .map(|service| service.name.clone())
            .unwrap_or_default();
        Self {
            workers: file.workers.map(Into::into),
            state_dir: file.state_dir,
            admin: file.admin.unwrap_or_default().into(),
            access_log: file.access_log.map(Into::into),
            drain_delay: file.drain_delay.unwrap_or(ConfigFile::DRAIN_DELAY).into(),
            drain_timeout: file.drain_timeout.unwrap_or(ConfigFile::DRAIN_TIMEOUT).into(),
            trusted_proxies: file.trusted_proxies.unwrap_or_default(),
            limits: file.limits.unwrap_or_default().into(),
            listeners: file
                .listeners
                .into_iter()
                .map(|listener| resolve_listener(listener, &only))
                .collect(),
            services,
        }
    }
}

/// `only` is the service of a listener without routes.
fn resolve_listener(file: ListenerFile, only: &str) -> Listener {
    let mut routes = file.routes.unwrap_or_default();
    if routes.is_empty() {
        routes.push(Route {
            host: None,
            path_prefix: None,
            service: only.to_owned(),
        });
    }
    for route in &mut routes {
        route.host = route.plain_host();
    }
    Listener {
        name: file.name,
        bind: file.bind.into(),
        protocol: file.protocol.unwrap_or_default(),
        timeouts: file.timeouts.unwrap_or_default().into(),
        routes,
    }
}

impl From<&Listener> for ListenerFile {
    fn from(listener: &Listener) -> Self {
        Self {
            name: listener.name.clone(),
            bind: listener.bind.into(),
            protocol: Some(listener.protocol),
            timeouts: Some((&listener.timeouts).into()),
            routes: Some(listener.routes.clone()),
        }
    }
}

impl From<ServiceFile> for Service {
    fn from(file: ServiceFile) -> Self {
        let (health, circuit_breaker) = with_preset(file.health, file.circuit_breaker);
        let sticky = file.sticky.map(|sticky| sticky.resolved(&file.name));
        Self {
            name: file.name,
            strategy: file.strategy.unwrap_or_default().0.resolved(),
            shadow: file
                .shadow
                .and_then(ShadowText::into_strategy)
                .map(|shadow| shadow.0.resolved()),
            health_check: file.health_check.map(Into::into),
            health: health.into(),
            locality: file.locality.unwrap_or_default().into(),
            slow_start: file.slow_start.unwrap_or_default().into(),
            circuit_breaker: circuit_breaker.into(),
            retry: file.retry.unwrap_or_default().into(),
            sticky,
            orca: file.orca.unwrap_or_default().into(),
            timeouts: file.timeouts.unwrap_or_default().into(),
            pool: file.pool.unwrap_or_default().into(),
            metrics: file.metrics.unwrap_or(true),
            record_picks: file.record_picks.unwrap_or_default().into(),
            instances: file.instances.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&Service> for ServiceFile {
    fn from(service: &Service) -> Self {
        Self {
            name: service.name.clone(),
            strategy: Some(StrategyText(service.strategy.clone())),
            shadow: service.shadow.clone().map(|shadow| StrategyText(shadow).into()),
            health_check: service.health_check.as_ref().map(Into::into),
            health: Some((&service.health).into()),
            locality: Some((&service.locality).into()),
            slow_start: Some((&service.slow_start).into()),
            circuit_breaker: Some((&service.circuit_breaker).into()),
            retry: Some((&service.retry).into()),
            sticky: service.sticky.as_ref().map(Into::into),
            orca: Some((&service.orca).into()),
            timeouts: Some((&service.timeouts).into()),
            pool: Some((&service.pool).into()),
            metrics: Some(service.metrics),
            record_picks: Some((&service.record_picks).into()),
            instances: service.instances.iter().map(Into::into).collect(),
        }
    }
}

impl From<HealthCheckFile> for HealthCheck {
    fn from(file: HealthCheckFile) -> Self {
        Self {
            probe: match file.http {
                None => Probe::Tcp,
                Some(http) => Probe::Http {
                    path: http.path.unwrap_or_else(|| HttpCheckFile::PATH.to_owned()),
                    host: http.host,
                    expected_statuses: http
                        .expected_statuses
                        .unwrap_or_else(HttpCheckFile::statuses)
                        .into_iter()
                        .map(|statuses| statuses.0)
                        .collect(),
                },
            },
            port: file.port.map(Into::into),
            interval: file.interval.unwrap_or(HealthCheckFile::INTERVAL).into(),
            timeout: file.timeout.unwrap_or(HealthCheckFile::TIMEOUT).into(),
            unhealthy_threshold: file
                .unhealthy_threshold
                .unwrap_or(HealthCheckFile::UNHEALTHY)
                .into(),
            healthy_threshold: file.healthy_threshold.unwrap_or(HealthCheckFile::HEALTHY).into(),
            jitter: file.jitter.unwrap_or(HealthCheckFile::JITTER).into(),
        }
    }
}

impl From<&HealthCheck> for HealthCheckFile {
    fn from(check: &HealthCheck) -> Self {
        let (http, tcp) = match &check.probe {
            Probe::Tcp => (None, Some(TcpCheckFile {})),
            Probe::Http {
                path,
                host,
                expected_statuses,
            } => {
                let statuses = expected_statuses.iter().cloned().map(Statuses).collect();
                let http = HttpCheckFile {
                    path: Some(path.clone()),
                    host: host.clone(),
                    expected_statuses: Some(statuses),
                };
                (Some(http), None)
            }
        };
        Self {
            http,
            tcp,
            port: check.port.map(Into::into),
            interval: Some(check.interval.into()),
            timeout: Some(check.timeout.into()),
            unhealthy_threshold: Some(check.unhealthy_threshold.into()),
            healthy_threshold: Some(check.healthy_threshold.into()),
            jitter: Some(check.jitter.into()),
        }
    }
}

impl From<InstanceFile> for InstanceConfig {
    fn from(file: InstanceFile) -> Self {
        Self {
            id: file.id.unwrap_or_else(|| file.address.to_string()),
            address: file.address,
            weight: file.weight.map_or(1, Into::into),
            priority: file.priority.map_or(0, Into::into),
            region: file.region,
            zone: file.zone,
            metadata: file.metadata.unwrap_or_default(),
        }
    }
}

impl From<&InstanceConfig> for InstanceFile {
    fn from(instance: &InstanceConfig) -> Self {
        Self {
            id: Some(instance.id.clone()),
            address: instance.address.clone(),
            weight: Some(instance.weight.into()),
            priority: Some(instance.priority.into()),
            region: instance.region.clone(),
            zone: instance.zone.clone(),
            metadata: Some(instance.metadata.clone()),
        }
    }
}
