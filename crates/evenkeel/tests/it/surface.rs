//! Every public setting can be written, and everything that is returned can be named, through `evenkeel` alone. What is
//! listed here is listed in full: a new field of a settings struct does not compile here until it can be set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evenkeel::strategies::{
    Adaptive, AdaptiveHealthAware, Auto, ConsistentHash, Factor, Geographical, HashSecret, HashSettings,
    HashedKey, HealthAwareLeastConnections, HealthFactor, HealthWeightedRoundRobin, KeyHash, KeyRegions,
    KeySource, Level, LoadFactor, Maglev, OrcaWeighted, Rendezvous, RequestKey, ResourceAware, RingKind,
    Rotation, TableSize,
};
use evenkeel::tower::{Balance, Control, Exchange};
use evenkeel::{
    BreakerState, Candidates, CheckKind, CheckSettings, CheckThresholds, Checks, Clock, EjectionSettings,
    Event, EventKind, HashKeys, Instance, InstanceId, Lease, LoadBalancer, LoadReport, Member, Mode, Nanos,
    OrcaError, Outcome, Panic, Recovery, Regions, ReportError, ReportedLoad, ServiceCounts, ServiceSettings,
    SessionKey, SessionTag, Share, SlowStart, Source, Stats, Status, StrategyName, StrategySettings, Verdict,
    View, Weight,
};

use crate::support::{address, fleet};

fn hash() -> HashSettings {
    let secret = HashSecret::new(Some(b"0123456789abcdef"), "web");
    HashSettings {
        key: KeySource::Header("x-user".into()),
        secret,
        bounded_load: LoadFactor::from_percent(125),
        regions: KeyRegions::Nearest(Some("eu-west".into())),
        rotation: Some(Rotation {
            from: HashSecret::default(),
            ends: Nanos::from_secs(60),
            lasts: Nanos::from_secs(60),
        }),
    }
}

/// One for each strategy there is.
fn strategies() -> Vec<StrategySettings> {
    use StrategySettings as S;
    let health = HealthFactor::new(0.2, 2);
    vec![
        S::adaptive(Adaptive::default()),
        S::adaptive_health_aware(AdaptiveHealthAware {
            health,
            trend_weight: Factor::clamped(0.5),
            recovery_preference: Factor::clamped(0.5),
        }),
        S::auto(Auto {
            candidates: vec![StrategyName::random.into(), StrategyName::adaptive.into()],
            pin: Some(StrategyName::random),
            window: Nanos::from_secs(10),
            dwell: Nanos::from_secs(30),
        }),
        S::consistent_hash(ConsistentHash {
            hash: hash(),
            ring: RingKind::Keyed { virtual_nodes: 100 },
        }),
        S::geographical(Geographical {
            within: Box::new(StrategyName::least_connections.into()),
            levels: vec![Level::Region, Level::Zone, Level::Label("rack".into())],
            from: vec!["eu-west".into()],
            spill_at: Factor::clamped(0.7),
            capacity_per_weight: Some(100),
            probe: false,
            warm_connections: 1,
        }),
        S::health_aware_least_connections(HealthAwareLeastConnections { health }),
        S::health_weighted_round_robin(HealthWeightedRoundRobin { health }),
        StrategyName::hot_cold.into(),
        StrategyName::least_connections.into(),
        StrategyName::least_response_time.into(),
        S::maglev(Maglev {
            hash: hash(),
            table_size: TableSize::new(1021).unwrap(),
            envoy: false,
        }),
        S::orca_weighted(OrcaWeighted {
            blackout: Nanos::from_secs(10),
            expiration: Nanos::from_secs(180),
            update: Nanos::from_secs(1),
            error_penalty: Factor::clamped(1.0),
        }),
        StrategyName::peak_ewma.into(),
        StrategyName::power_of_two.into(),
        StrategyName::random.into(),
        S::rendezvous(Rendezvous { hash: hash() }),
        S::resource_aware(ResourceAware {
            health,
            cpu_weight: Factor::clamped(0.5),
            memory_weight: Factor::clamped(0.3),
            connections_weight: Factor::clamped(0.2),
            connections_scale: 100,
            learn: true,
            predict: false,
        }),
        StrategyName::round_robin.into(),
        StrategyName::weighted_random.into(),
        StrategyName::weighted_round_robin.into(),
    ]
}

fn settings(strategy: StrategySettings) -> ServiceSettings {
    let HashSettings { secret, rotation, .. } = hash();
    ServiceSettings {
        name: "web".into(),
        strategy,
        shadow: Some(StrategyName::least_connections.into()),
        checks: Some(CheckThresholds {
            unhealthy: 2,
            healthy: 2,
        }),
        ejection: EjectionSettings {
            consecutive_failures: 7,
            base: Nanos::from_secs(3),
            max: Nanos::from_secs(60),
            recovery: Recovery::Backoff,
            on_consecutive: Mode::Enforce,
            on_error_rate: Mode::DryRun,
            on_burst: Mode::Off,
            on_slow: Mode::DryRun,
            on_silence: Mode::Enforce,
            on_score: Mode::DryRun,
            on_prediction: Mode::Off,
            adaptive: false,
            error_rate: 0.4,
            error_rate_requests: 30,
            slow_factor: 4.0,
            max_ejected: 0.5,
            threshold: 0.4,
            recovery_threshold: 0.7,
            refresh: Nanos::from_secs(2),
        },
        min_healthy: 1,
        panic: Panic::NextPriority,
        regions: Regions {
            allow: BTreeSet::from(["eu-west".into()]),
            deny: BTreeSet::from(["us-east".into()]),
        },
        slow_start: SlowStart {
            window: Nanos::from_secs(5),
            min_share: Share::of(0.2),
        },
        sessions: Some(SessionKey::new(b"0123456789abcdef", "web")),
        hash_keys: Some(HashKeys { secret, rotation }),
    }
}

#[tokio::test]
async fn every_setting_can_be_set() {
    let balancer = LoadBalancer::new();
    let all = strategies();
    assert_eq!(all.len(), StrategyName::ALL.len());
    for strategy in all {
        let name = strategy.name();
        balancer.configure(settings(strategy)).await.unwrap();
        assert_eq!(balancer.explain("web").unwrap().strategy, name);
    }
    let instance = Instance {
        id: InstanceId::new("a").unwrap(),
        address: address(9001),
        weight: Weight::new(2).unwrap(),
        priority: 0,
        region: Some("eu-west".into()),
        zone: Some("a".into()),
        metadata: BTreeMap::from([("rack".into(), "7".into())]),
    };
    balancer.register_instance("web", instance).await.unwrap();
    let checks = Checks {
        settings: CheckSettings {
            kind: CheckKind::Http {
                path: "/healthz".into(),
                host: Some("web".into()),
                expected: vec![CheckKind::EXPECTED],
            },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            jitter: 0.1,
            port: Some(9001),
        },
        thresholds: CheckThresholds::default(),
    };
    let running = balancer.start_checks("web", checks).await.unwrap();
    running.stop().await.unwrap();
}

/// A protocol of one's own, with all of the trait.
#[derive(Clone)]
struct Own;

impl Exchange<String, String> for Own {
    type Response = String;

    fn key(&self, request: &String, wanted: &RequestKey) -> Option<HashedKey> {
        let RequestKey { source, hash } = wanted;
        let _: &KeyHash = hash;
        matches!(source, KeySource::Header(_)).then(|| hash.hash(request.as_bytes()))
    }

    fn respond(&self, lease: Lease, response: String) -> String {
        let report: Result<LoadReport, OrcaError> = LoadReport::from_orca(response.as_bytes());
        if let Ok(report) = report {
            lease.reported(report);
        }
        lease.finish(&Outcome {
            verdict: Verdict::Success,
            response_time: Some(Nanos::from_millis(1)),
        });
        response
    }
}

/// Always ready; says how loaded it is.
#[derive(Clone)]
struct Echo;

impl tower::Service<String> for Echo {
    type Response = String;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<String, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: String) -> Self::Future {
        std::future::ready(Ok("TEXT cpu_utilization=0.5".into()))
    }
}

#[tokio::test]
async fn a_protocol_of_ones_own_can_be_written_and_what_it_shows_be_named() {
    let strategy = StrategySettings::rendezvous(Rendezvous {
        hash: HashSettings {
            key: KeySource::Header("x-user".into()),
            ..HashSettings::default()
        },
    });
    let settings = ServiceSettings {
        strategy,
        ..ServiceSettings::new("web")
    };
    let found = tower::discover::Change::Insert(address(9001), Echo);
    let found = tokio_stream::iter([Ok::<_, std::convert::Infallible>(found)]);
    let mut balance = Balance::new(found, settings, Own);
    let control: Control = balance.control();
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut balance, cx))
        .await
        .unwrap();
    tower::Service::call(&mut balance, "alice".into()).await.unwrap();

    let view: &Arc<View> = balance.view();
    let candidates: &Candidates = view.candidates();
    assert_eq!(candidates.len(), 1);
    let found: Option<(_, &Arc<Member>, &Status)> = view.members().next();
    let (_, member, status) = found.unwrap();
    assert_eq!(
        (status.source, status.breaker),
        (Source::Configuration, BreakerState::Closed)
    );
    let stats: &Arc<Stats> = member.stats();
    assert_eq!(stats.successes(), 1);
    let reported: &ReportedLoad = stats.reported();
    assert!(reported.observed().is_some());
    let counts: ServiceCounts = control.counts();
    assert_eq!(counts.absent_keys, 0);
}

#[tokio::test]
async fn what_is_returned_can_be_named() {
    let balancer = fleet(1).await;
    balancer.drain("web", "a", "").await.unwrap();
    let clock: Clock = balancer.clock();
    let events: Vec<Arc<Event>> = balancer.recent_events();
    let Event { at, kind, .. } = &**events.last().unwrap();
    assert_eq!(*kind, EventKind::Drained);
    assert!(clock.wall(*at) <= std::time::SystemTime::now());
    let error: ReportError = LoadReport::default().with_cpu(-1.0).unwrap_err();
    assert_eq!(error.field, "cpu_utilization");
    let tag: SessionTag = SessionKey::new(b"secret", "web").tag(&InstanceId::new("a").unwrap());
    assert_eq!(SessionTag::from_text(&tag.to_text()), Some(tag));
}
