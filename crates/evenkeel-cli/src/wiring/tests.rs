//! The join of the file and the program: what is written is what the parts are told, key by key. That they
//! obey is tested where they are.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Parser as _;
use evenkeel_config::Config;
use evenkeel_core::{
    CheckThresholds, EjectionSettings, Instance, Mode, Nanos, Panic, Recovery, Regions, ServiceSettings,
    Share, SlowStart, StrategyName, Weight,
};
use evenkeel_proxy::{ListenerSettings, ProxySettings, RouteSettings, StickyCookie, UpstreamSettings};
use evenkeel_runtime::{Balancer, CheckKind, CheckSettings, Clock, ServiceSpec};
use serde_json::Value;

use super::*;
use crate::args::{Arguments, Command};

/// Every key, none with its default, no number twice.
const EVERY_KEY: &str = "
trusted_proxies: [10.0.0.0/8, '2001:db8::/32']
access_log: { file: /var/log/a63, sample: 0.0625, query: true }
limits: { head: 20KiB, fields: 21, body: 22MiB, chunk_line: 2300, trailers: 24KiB, connections: 25 }
listeners:
  - name: front
    bind: 127.0.0.1:26
    timeouts: { client_header: 27s, client_idle: 28s, body_idle: 29s }
    routes:
      - { host: API.Example.com, path_prefix: /v3, service: slow }
      - { service: fast }
  - { name: back, bind: '[::1]:31', routes: [{ host: '*.example.com', service: slow }] }
services:
  - name: slow
    strategy: least_connections
    shadow: peak_ewma
    health_check:
      http: { path: /health, host: slow.internal, expected_statuses: [204, 300-301] }
      port: 32
      interval: 34s
      timeout: 33s
      unhealthy_threshold: 35
      healthy_threshold: 36
      jitter: 0.37
    health:
      preset: haproxy
      threshold: 0.25
      recovery_threshold: 0.75
      on_score: dry_run
      on_prediction: dry_run
      refresh: 60s
      min_healthy_instances: 2
      panic: fail
    locality: { allow_regions: [eu], deny_regions: [us] }
    slow_start: { window: 58s, min_share: 0.5 }
    circuit_breaker:
      consecutive_errors: 39
      base_ejection: 40s
      recovery_window: 41s
      recovery: fixed
      on_consecutive_errors: dry_run
      on_error_rate: off
      on_burst: dry_run
      on_slow: off
      on_silence: dry_run
      max_ejected: 0.375
      error_rate: 0.625
      error_rate_requests: 61
      slow_factor: 62
      adaptive_thresholds: false
    retry: { attempts: 4, budget: 0.43, on: [no_response, 443, 4xx] }
    sticky:
      { cookie: sid, ttl: 59s, path: /app, secure: true, same_site: none, secret_file: tests/it/main.rs }
    orca: { strip: false }
    timeouts: { connect: 44s, response: 45s, idle: 46s, body_idle: 47s }
    pool: { connections_per_instance: 49, idle_per_instance: 48 }
    metrics: false
    record_picks: { share: 0.375 }
    instances:
      - { id: s-1, address: 127.0.0.1:50, weight: 51, priority: 0 }
      - { id: s-2, address: 127.0.0.1:52, weight: 53, priority: 3, region: eu, zone: b, metadata: { rack: r54 } }
  - name: fast
    strategy: random
    health_check: { tcp: {}, interval: 55s, timeout: 54s }
    pool: { connections_per_instance: none }
    instances: [{ address: 127.0.0.1:57 }]
";

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn config() -> Config {
    Config::from_str("every key", EVERY_KEY).unwrap()
}

async fn service_specs() -> Vec<ServiceSpec> {
    let config = config();
    let instances = resolve::instances(&config).await.ok().unwrap();
    let now = secrets::Now {
        here: Nanos::ZERO,
        file: SystemTime::UNIX_EPOCH,
    };
    specs(&config, instances, &secrets::read(&config, now).ok().unwrap())
}

/// Any file will do as a secret.
fn session_key() -> SessionKey {
    SessionKey::new(include_bytes!("../../tests/it/main.rs").trim_ascii_end(), "slow")
}

#[test]
fn what_is_observed_is_as_configured() {
    let mut config = config();
    let observed = |config: &Config, index: usize| observe(config, &config.services[index]);
    assert_eq!(
        observed(&config, 0),
        Observe {
            metrics: false,
            record_picks: 0.375
        }
    );
    assert_eq!(observed(&config, 1), Observe::default());
    config.admin.metrics = false;
    assert!(!observed(&config, 1).metrics, "nobody could read them");
}

// Below, patterns name every field: a new one does not compile until it is compared.

#[tokio::test]
async fn every_key_of_a_service_reaches_the_balancer() {
    let [slow, fast] = <[_; 2]>::try_from(service_specs().await).unwrap();
    let ServiceSpec {
        settings,
        instances,
        check,
    } = slow;
    assert_eq!(
        settings,
        ServiceSettings {
            name: "slow".into(),
            strategy: StrategyName::least_connections.into(),
            shadow: Some(StrategyName::peak_ewma.into()),
            checks: Some(CheckThresholds {
                unhealthy: 35,
                healthy: 36
            }),
            ejection: EjectionSettings {
                consecutive_failures: 39,
                base: Nanos::from_secs(40),
                max: Nanos::from_secs(41),
                recovery: Recovery::Fixed,
                on_consecutive: Mode::DryRun,
                on_error_rate: Mode::Off,
                on_burst: Mode::DryRun,
                on_slow: Mode::Off,
                on_silence: Mode::DryRun,
                on_score: Mode::DryRun,
                on_prediction: Mode::DryRun,
                adaptive: false,
                error_rate: 0.625,
                error_rate_requests: 61,
                slow_factor: 62.0,
                max_ejected: 0.375,
                threshold: 0.25,
                recovery_threshold: 0.75,
                refresh: Nanos::from_secs(60),
            },
            min_healthy: 2,
            panic: Panic::Fail,
            regions: Regions {
                allow: ["eu".into()].into(),
                deny: ["us".into()].into(),
            },
            slow_start: SlowStart {
                window: Nanos::from_secs(58),
                min_share: Share::of(0.5),
            },
            hash_keys: None,
            sessions: Some(session_key()),
        }
    );
    let instance = |id, address: &str, weight, priority| Instance {
        weight: Weight::new(weight).unwrap(),
        priority,
        ..Instance::new(id, address.parse().unwrap()).unwrap()
    };
    let labelled = Instance {
        region: Some("eu".into()),
        zone: Some("b".into()),
        metadata: [("rack".to_owned(), "r54".to_owned())].into(),
        ..instance("s-2", "127.0.0.1:52", 53, 3)
    };
    assert_eq!(instances, [instance("s-1", "127.0.0.1:50", 51, 0), labelled]);
    let kind = CheckKind::Http {
        path: "/health".to_owned(),
        host: Some("slow.internal".to_owned()),
        expected: vec![204..=204, 300..=301],
    };
    assert_eq!(
        check,
        Some(CheckSettings {
            kind,
            interval: secs(34),
            timeout: secs(33),
            jitter: 0.37,
            port: Some(32),
        })
    );

    assert_eq!(fast.settings.strategy, StrategyName::random.into());
    assert_eq!(fast.settings.sessions, None);
    assert_eq!(fast.instances, [instance("127.0.0.1:57", "127.0.0.1:57", 1, 0)]);
    let check = fast.check.unwrap();
    assert_eq!((check.kind, check.port), (CheckKind::Tcp, None));
    assert_eq!((check.interval, check.timeout), (secs(55), secs(54)));
}

#[tokio::test]
async fn every_key_for_traffic_reaches_the_data_plane() {
    let balancer = Balancer::new(Clock::start(), 1);
    balancer.apply(service_specs().await).await.unwrap();
    let ProxySettings {
        listeners,
        upstreams,
        limits,
        max_body,
        max_connections,
        trusted_proxies,
        access_log,
    } = settings(&config(), &balancer, None).unwrap();
    assert!(access_log.is_none(), "{access_log:?}");
    let log = log_settings(config().access_log.as_ref().unwrap());
    let file = Some("/var/log/a63".into());
    assert_eq!((log.file, log.sample, log.query), (file, 0.0625, true));
    let [front, back] = <[_; 2]>::try_from(listeners).unwrap();
    assert_front(front);
    assert_eq!((&*back.name, back.bind), ("back", "[::1]:31".parse().unwrap()));
    assert_eq!(back.routes[0].host.as_deref(), Some("*.example.com"));
    let [slow, fast] = <[_; 2]>::try_from(upstreams).unwrap();
    assert_slow(slow);
    assert_eq!(&**fast.service.name(), "fast");
    assert_eq!(fast.max_connections, u32::MAX);
    assert_eq!(fast.sticky, None);
    let evenkeel_h1::Limits {
        max_head_bytes,
        max_fields,
        max_target_bytes,
        max_chunk_line_bytes,
        max_trailer_bytes,
    } = limits;
    assert_eq!((max_head_bytes, max_target_bytes), (20 << 10, 10 << 10));
    assert_eq!(max_fields, 21);
    assert_eq!((max_chunk_line_bytes, max_trailer_bytes), (2300, 24 << 10));
    assert_eq!((max_body, max_connections), (Some(22 << 20), 25));
    let trusted: Vec<_> = trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "2001:db8::/32"]);
}

fn assert_front(listener: ListenerSettings) {
    let ListenerSettings {
        name,
        bind,
        client_header,
        client_idle,
        body_idle,
        routes,
    } = listener;
    assert_eq!((&*name, bind), ("front", "127.0.0.1:26".parse().unwrap()));
    assert_eq!(
        [client_header, client_idle, body_idle],
        [secs(27), secs(28), secs(29)]
    );
    let routes: Vec<_> = routes
        .iter()
        .map(
            |RouteSettings {
                 host,
                 path_prefix,
                 upstream,
             }| (host.as_deref(), path_prefix.as_deref(), *upstream),
        )
        .collect();
    assert_eq!(
        routes,
        [(Some("api.example.com"), Some("/v3"), 0), (None, None, 1)]
    );
}

fn assert_slow(upstream: UpstreamSettings) {
    let UpstreamSettings {
        service,
        connect,
        response,
        body_idle,
        idle,
        retry_on,
        retry_attempts,
        retry_budget,
        sticky,
        strip_load_reports,
        max_connections,
        max_idle,
    } = upstream;
    assert_eq!(&**service.name(), "slow");
    assert_eq!([connect, response], [secs(44), secs(45)]);
    assert_eq!([idle, body_idle], [secs(46), secs(47)]);
    assert_eq!((retry_attempts, retry_budget), (4, 0.43));
    let cookie = StickyCookie {
        name: "sid".into(),
        path: "/app".into(),
        ttl: Some(secs(59)),
        secure: true,
        same_site: evenkeel_proxy::SameSite::None,
    };
    assert_eq!(sticky, Some(cookie));
    assert!(!strip_load_reports);
    assert!(!retry_on.connect && retry_on.no_response);
    assert_eq!(retry_on.statuses, (400..=499).collect());
    assert_eq!((max_connections, max_idle), (49, 48));
}

/// What is not wired here: `serve` uses the first seven itself, and the last can only be `http`.
const ELSEWHERE: [&str; 9] = [
    "workers",
    "admin.listen",
    "admin.max_weight",
    "admin.metrics",
    "admin.token_file",
    "state_dir",
    "drain_delay",
    "drain_timeout",
    "listeners.protocol",
];

/// Keys with their dots, and the values they have anywhere in the file.
fn values(config: &Config) -> BTreeMap<String, BTreeSet<String>> {
    fn collect(key: &str, value: &Value, into: &mut BTreeMap<String, BTreeSet<String>>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let key = if key.is_empty() {
                        name.clone()
                    } else {
                        format!("{key}.{name}")
                    };
                    collect(&key, value, into);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for item in items {
                    collect(key, item, into);
                }
            }
            value => {
                into.entry(key.to_owned()).or_default().insert(value.to_string());
            }
        }
    }
    let mut all = BTreeMap::new();
    collect("", &serde_json::to_value(config.effective()).unwrap(), &mut all);
    all
}

#[test]
fn no_key_of_the_full_example_is_left_out_above() {
    let full = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/full.yaml");
    let full = values(&Config::from_path(full.as_ref()).unwrap());
    assert!(full.len() > 40, "{full:?}");
    let here = values(&config());
    for (key, defaults) in full.iter().filter(|(key, _)| !ELSEWHERE.contains(&key.as_str())) {
        let same = |other: &str| {
            let rest = other.strip_prefix(key.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let set = here
            .iter()
            .any(|(other, values)| same(other) && !values.is_subset(defaults));
        assert!(set, "{key} is not there with another value than {defaults:?}");
    }
}

#[test]
fn the_limits_of_the_file_end_where_those_of_the_codec_do() {
    let with = |fields: usize| {
        let line = format!("\nlimits: {{ fields: {fields} }}");
        let rest = EVERY_KEY.lines().filter(|line| !line.starts_with("limits"));
        Config::from_str("a", &rest.fold(line, |text, line| text + "\n" + line))
    };
    assert!(with(evenkeel_h1::MAX_FIELDS).is_ok());
    assert!(with(evenkeel_h1::MAX_FIELDS + 1).is_err());
}

#[test]
fn flags_are_the_file_that_leaves_everything_else_out() {
    let flags = "evenkeel serve --listen 127.0.0.1:1 --strategy random --backend 127.0.0.1:2 --backend web:3";
    let Command::Serve(serve) = Arguments::parse_from(flags.split(' ')).command else {
        panic!("{flags}");
    };
    let file = "
listeners: [{ name: default, bind: 127.0.0.1:1 }]
services:
  - name: default
    strategy: random
    health_check: { tcp: {} }
    instances: [{ address: 127.0.0.1:2 }, { address: 'web:3' }]
";
    assert_eq!(from_flags(&serve), Config::from_str("flags", file).unwrap());
}
