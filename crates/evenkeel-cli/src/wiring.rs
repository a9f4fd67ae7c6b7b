//! From the configuration to what the runtime and the data plane are told, and the telling.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use evenkeel_config::{Config, HealthCheck, Listener, Probe, Route, SameSite, Service, Sticky, StrategyFile};
use evenkeel_core::{Instance, ServiceSettings, SessionKey};
use evenkeel_proxy::{
    AccessLog, AccessLogSettings, ListenerSettings, Proxy, ProxySettings, RouteSettings, StickyCookie,
    UpstreamSettings,
};
use evenkeel_runtime::{Balancer, CheckKind, CheckSettings, Observe, ServiceSpec};

use crate::exit::Failed;
use crate::resolve;
use crate::secrets::{self, Secret, Secrets};
use crate::warnings;

/// Puts a configuration in force, all or nothing.
pub(crate) async fn put_in_force(
    config: &Config,
    balancer: &Balancer,
    proxy: &mut Proxy,
) -> Result<(), Failed> {
    let instances = resolve::instances(config).await?;
    let now = secrets::Now {
        here: balancer.clock().now(),
        file: SystemTime::now(),
    };
    let secrets = secrets::read(config, now)?;
    let access_log = access_log(config, proxy)?;
    let sockets = proxy.bind(&listeners(config)).map_err(Failed::start)?;
    balancer
        .apply(specs(config, instances, &secrets))
        .await
        .map_err(Failed::input)?;
    for service in &config.services {
        if let Some(running) = balancer.service(&service.name) {
            running.observe(observe(config, service));
        }
    }
    let settings = settings(config, balancer, access_log)
        .ok_or_else(|| Failed::start("a service vanished while the configuration was put in force"))?;
    proxy.configure(settings, sockets).await;
    warnings::say(config, &secrets);
    Ok(())
}

/// The access log, opened unless it is open.
fn access_log(config: &Config, proxy: &Proxy) -> Result<Option<AccessLog>, Failed> {
    let open = |log: &evenkeel_config::AccessLog| {
        AccessLog::open(log_settings(log), proxy.access_log(), proxy.counters())
    };
    config
        .access_log
        .as_ref()
        .map(open)
        .transpose()
        .map_err(Failed::start)
}

/// Whether the access log could be opened.
pub(crate) fn check_access_log(config: &Config) -> Result<(), Failed> {
    match config.access_log.as_ref().and_then(|log| log_settings(log).file) {
        Some(file) => AccessLog::check(&file).map_err(Failed::input),
        None => Ok(()),
    }
}

fn log_settings(log: &evenkeel_config::AccessLog) -> AccessLogSettings {
    AccessLogSettings {
        file: (log.file != "-").then(|| PathBuf::from(&log.file)),
        sample: log.sample,
        query: log.query,
    }
}

/// What the balancer is to run; `instances` and `secrets` are those of the services.
fn specs(config: &Config, instances: Vec<Vec<Instance>>, secrets: &[Secrets]) -> Vec<ServiceSpec> {
    let services = config.services.iter().zip(instances).zip(secrets);
    let session_key = |service: &Service, secret: &Secret| SessionKey::new(secret.bytes(), &service.name);
    services
        .map(|((service, instances), secrets)| ServiceSpec {
            settings: ServiceSettings {
                sessions: secrets
                    .session
                    .as_ref()
                    .map(|secret| session_key(service, secret)),
                ..service.settings(secrets.hash)
            },
            instances,
            check: service.health_check.as_ref().map(check),
        })
        .collect()
}

/// Without metrics of the process nobody would read those of a service.
const fn observe(config: &Config, service: &Service) -> Observe {
    Observe {
        metrics: config.admin.metrics && service.metrics,
        record_picks: service.record_picks.share,
    }
}

fn sticky(sticky: &Sticky) -> StickyCookie {
    StickyCookie {
        name: sticky.cookie.as_str().into(),
        path: sticky.path.as_str().into(),
        ttl: sticky.ttl,
        secure: sticky.secure,
        same_site: match sticky.same_site {
            SameSite::Strict => evenkeel_proxy::SameSite::Strict,
            SameSite::Lax => evenkeel_proxy::SameSite::Lax,
            SameSite::None => evenkeel_proxy::SameSite::None,
        },
    }
}

fn check(check: &HealthCheck) -> CheckSettings {
    CheckSettings {
        kind: match &check.probe {
            Probe::Tcp => CheckKind::Tcp,
            Probe::Http {
                path,
                host,
                expected_statuses,
            } => CheckKind::Http {
                path: path.clone(),
                host: host.clone(),
                expected: expected_statuses.clone(),
            },
        },
        interval: check.interval,
        timeout: check.timeout,
        jitter: check.jitter,
        port: check.port,
    }
}

/// The listeners, whose routes refer to services by their place in the configuration.
fn listeners(config: &Config) -> Vec<ListenerSettings> {
    config
        .listeners
        .iter()
        .map(|listener| listener_settings(listener, &config.services))
        .collect()
}

fn listener_settings(listener: &Listener, services: &[Service]) -> ListenerSettings {
    let route = |route: &Route| {
        // Routes to unknown services were refused when the file was read.
        let upstream = services
            .iter()
            .position(|service| service.name == route.service)?;
        Some(RouteSettings {
            host: route.host.as_deref().map(|host| host.to_ascii_lowercase().into()),
            path_prefix: route.path_prefix.as_deref().map(Into::into),
            upstream,
        })
    };
    ListenerSettings {
        name: listener.name.as_str().into(),
        bind: listener.bind,
        client_header: listener.timeouts.client_header,
        client_idle: listener.timeouts.client_idle,
        body_idle: listener.timeouts.body_idle,
        routes: listener.routes.iter().filter_map(route).collect(),
    }
}

/// What the data plane is told once the balancer runs the services; `None` when one is missing.
fn settings(config: &Config, balancer: &Balancer, access_log: Option<AccessLog>) -> Option<ProxySettings> {
    let upstream = |service: &Service| {
        Some(UpstreamSettings {
            service: balancer.service(&service.name)?,
            connect: service.timeouts.connect,
            response: service.timeouts.response,
            body_idle: service.timeouts.body_idle,
            idle: service.timeouts.idle,
            retry_on: (&service.retry.on).into(),
            retry_attempts: service.retry.attempts,
            retry_budget: service.retry.budget,
            sticky: service.sticky.as_ref().map(sticky),
            strip_load_reports: service.orca.strip,
            max_connections: service.pool.connections_per_instance.unwrap_or(u32::MAX),
            max_idle: service.pool.idle_per_instance as usize,
        })
    };
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let head = bytes(config.limits.head);
    Some(ProxySettings {
        listeners: listeners(config),
        upstreams: config.services.iter().map(upstream).collect::<Option<_>>()?,
        limits: evenkeel_h1::Limits {
            max_head_bytes: head,
            max_fields: config.limits.fields,
            // Half of the head, so that a target alone never uses it up (16 KiB by default).
            max_target_bytes: head / 2,
            max_chunk_line_bytes: bytes(config.limits.chunk_line),
            max_trailer_bytes: bytes(config.limits.trailers),
        },
        max_body: config.limits.body,
        max_connections: config.limits.connections.min(crate::limits::clients()),
        trusted_proxies: config
            .trusted_proxies
            .iter()
            .filter_map(|net| net.to_string().parse().ok())
            .collect(),
        access_log,
    })
}

/// A configuration made of flags alone: one listener, one service with a TCP check.
pub(crate) fn from_flags(arguments: &crate::args::Serve) -> Config {
    let instance = |address: &evenkeel_config::Address| evenkeel_config::InstanceConfig {
        id: address.to_string(),
        address: address.clone(),
        weight: 1,
        priority: 0,
        region: None,
        zone: None,
        metadata: Default::default(),
    };
    let name = Arc::<str>::from("default");
    let check = evenkeel_config::HealthCheckFile {
        tcp: Some(evenkeel_config::TcpCheckFile {}),
        ..Default::default()
    };
    Config {
        workers: None,
        state_dir: None,
        access_log: None,
        admin: Default::default(),
        drain_delay: std::time::Duration::from_millis(250),
        drain_timeout: std::time::Duration::from_secs(30),
        trusted_proxies: Vec::new(),
        limits: Default::default(),
        listeners: arguments
            .listen
            .map(|bind| Listener {
                name: name.to_string(),
                bind,
                protocol: Default::default(),
                timeouts: Default::default(),
                routes: vec![Route {
                    host: None,
                    path_prefix: None,
                    service: name.to_string(),
                }],
            })
            .into_iter()
            .collect(),
        services: vec![Service {
            name: name.to_string(),
            strategy: StrategyFile::named(arguments.strategy.unwrap_or_default()),
            shadow: None,
            health_check: Some(check.into()),
            health: Default::default(),
            locality: Default::default(),
            slow_start: Default::default(),
            circuit_breaker: Default::default(),
            retry: Default::default(),
            sticky: None,
            orca: Default::default(),
            timeouts: Default::default(),
            pool: Default::default(),
            metrics: true,
            record_picks: Default::default(),
            instances: arguments.backends.iter().map(instance).collect(),
        }],
    }
}

#[cfg(test)]
mod tests;
