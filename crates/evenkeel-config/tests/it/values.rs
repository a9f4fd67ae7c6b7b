//! What values mean: spellings, defaults, and the way into the core.

use std::net::IpAddr;
use std::time::Duration;

use evenkeel_config::{Address, Cidr, Config, DurationText, Probe, SizeText};
use evenkeel_core::{KeySource, Mode, Nanos, Panic, Recovery, StrategySettings};

#[test]
fn durations_and_sizes() {
    for (text, ms) in [
        ("250ms", 250),
        ("5s", 5000),
        ("1m30s", 90_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ] {
        assert_eq!(
            text.parse::<DurationText>().unwrap().0,
            Duration::from_millis(ms),
            "{text}"
        );
    }
    for text in [
        "",
        "s",
        "5",
        "5 s",
        "5S",
        "1.5s",
        "0s",
        "366d",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        assert!(text.parse::<DurationText>().is_err(), "{text}");
    }
    for (text, bytes) in [("512", 512), ("512B", 512), ("64KiB", 65_536), ("1GiB", 1 << 30)] {
        assert_eq!(text.parse::<SizeText>().unwrap().0, bytes, "{text}");
    }
    for text in ["", "KiB", "1K", "1kib", "-1", "1.5MiB", "99999999999GiB"] {
        assert!(text.parse::<SizeText>().is_err(), "{text}");
    }
}

#[test]
fn addresses() {
    for (text, shown) in [
        ("10.0.0.7:9001", "10.0.0.7:9001"),
        ("[fd00::7]:9001", "[fd00::7]:9001"),
        ("Web-1.Internal.:80", "web-1.internal:80"),
        ("localhost:80", "localhost:80"),
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
    }
    for text in [
        "fd00::7",
        "fd00::7:80:x",
        ":80",
        "a b:80",
        "-a:80",
        "a..b:80",
        "1.2.3:80",
        "a:65536",
        "a:-1",
        "a:0",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}

#[test]
fn networks() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for (network, address, inside) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("fd00::/8", "fd12::1", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.6", false),
        ("fd00::1", "fd00::1", true),
    ] {
        assert_eq!(
            network.parse::<Cidr>().unwrap().contains(ip(address)),
            inside,
            "{network} {address}"
        );
    }
}

#[test]
fn defaults_fill_what_a_service_leaves_out() {
    let config = Config::from_str(
        "test.yaml",
        "
listeners: [{ name: web, bind: '127.0.0.1:0', routes: [{ service: a }] }]
defaults:
  strategy: random
  shadow: peak_ewma
  health_check: { http: { path: /up }, interval: 9s }
  timeouts: { connect: 2s, response: 3s }
services:
  - name: a
    shadow: off
    timeouts: { connect: 4s }
    instances: [{ address: 'one.internal:80' }]
  - name: b
    strategy: { name: round_robin }
    shadow: { name: maglev, key: path }
    health_check: { tcp: {} }
    circuit_breaker: { consecutive_errors: 7, base_ejection: 2s }
    health: { min_healthy_instances: 3, panic: next_priority }
    locality: { allow_regions: [eu, 7], deny_regions: [us] }
    slow_start: { window: 20s, min_share: 0.25 }
    instances: [{ id: x, address: '10.0.0.1:80', weight: 5, priority: 1, zone: z }]
  - name: c
    instances: [{ address: '10.0.0.2:80' }]
",
    )
    .unwrap();
    let (a, b) = (config.service("a").unwrap(), config.service("b").unwrap());
    assert_eq!(a.strategy.name.to_string(), "random");
    assert_eq!(
        (a.timeouts.connect, a.timeouts.response),
        (Duration::from_secs(4), Duration::from_secs(3))
    );
    assert_eq!(a.timeouts.idle, Duration::from_secs(60));
    assert_eq!(a.instances[0].id, "one.internal:80");
    assert!(matches!(&a.health_check.as_ref().unwrap().probe, Probe::Http { path, .. } if path == "/up"));
    let check = b.health_check.as_ref().unwrap();
    assert_eq!(
        (check.probe.clone(), check.interval),
        (Probe::Tcp, Duration::from_secs(9))
    );

    let settings = b.settings(None);
    assert_eq!(settings.strategy.name().as_str(), "round_robin");
    let StrategySettings::maglev(shadow) = settings.shadow.unwrap() else {
        panic!("another shadow")
    };
    assert_eq!(shadow.hash.key, KeySource::Path);
    assert_eq!((a.shadow.as_ref(), a.settings(None).shadow), (None, None));
    let c = config.service("c").unwrap().settings(None).shadow;
    assert_eq!(
        c.unwrap().name().as_str(),
        "peak_ewma",
        "of the defaults, which a has switched off"
    );
    assert_eq!(settings.min_healthy, 3);
    assert_eq!(settings.panic, Panic::NextPriority);
    let permitted = ["eu", "7", "us", "ap"].map(|region| settings.regions.permit(Some(region)));
    assert_eq!(permitted, [true, true, false, false]);
    assert_eq!(settings.slow_start.window, Nanos::from_secs(20));
    assert_eq!(settings.slow_start.min_share.units(), 64);
    let defaults = a.settings(None);
    assert_eq!(defaults.panic, Panic::All);
    assert_eq!(defaults.slow_start, evenkeel_core::SlowStart::default());
    assert!(defaults.regions.permit(None));
    assert_eq!(settings.ejection.consecutive_failures, 7);
    assert_eq!(
        (settings.ejection.base, settings.ejection.max),
        (Nanos::from_secs(2), Nanos::from_secs(300))
    );
    assert_eq!(settings.checks.unwrap().unhealthy, 3);
    let instance = b.instances[0]
        .at(b.instances[0].address.socket().unwrap())
        .unwrap();
    assert_eq!(
        (instance.id.as_str(), instance.weight.get(), instance.priority),
        ("x", 5, 1)
    );
    assert!(b.instances[0].at("10.0.0.1:0".parse().unwrap()).is_err());
}

#[test]
fn settings_of_strategies_reach_the_core() {
    use evenkeel_core::strategy::RingKind;
    use evenkeel_core::{HashKeys, HashSecret, KeyRegions, KeySource, LoadFactor, StrategySettings};

    let keys = HashKeys {
        secret: HashSecret::new(Some(b"a secret of some length"), "web"),
        rotation: None,
    };

    let strategy = |text: &str| {
        let text = format!(
            "listeners: [{{ name: web, bind: '127.0.0.1:0' }}]\nservices: [{{ name: web, strategy: {text}, instances: [{{ address: '127.0.0.1:1' }}] }}]\n"
        );
        let config = Config::from_str("a", &text).unwrap_or_else(|error| panic!("{error}"));
        let again = Config::from_str("b", &config.to_yaml()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config, again, "{}", config.to_yaml());
        config.services[0].settings(Some(keys)).strategy
    };
    let ring =
        strategy("{ key: { header: X-User }, bounded_load: 1.25, virtual_nodes: 40, name: consistent_hash }");
    let StrategySettings::consistent_hash(ring) = ring else {
        panic!("{ring:?}")
    };
    assert_eq!(ring.hash.key, KeySource::Header("X-User".into()));
    assert_eq!(ring.hash.secret, keys.secret);
    assert_eq!(ring.hash.bounded_load.map(LoadFactor::percent), Some(125));
    assert_eq!(ring.ring, RingKind::Keyed { virtual_nodes: 40 });
    let StrategySettings::consistent_hash(ketama) =
        strategy("{ name: consistent_hash, compatibility: ketama, key: path }")
    else {
        panic!("another strategy")
    };
    assert_eq!(
        (ketama.ring, ketama.hash.key),
        (RingKind::Ketama, KeySource::Path)
    );
    let StrategySettings::maglev(maglev) =
        strategy("{ name: maglev, table_size: 655373, key: { query: '1' } }")
    else {
        panic!("another strategy")
    };
    assert_eq!((maglev.table_size.get(), maglev.envoy), (655_373, false));
    assert_eq!(maglev.hash.key, KeySource::Query("1".into()));
    for (text, expected) in [
        ("maglev", KeyRegions::Ignore),
        ("{ name: maglev, regions: spread }", KeyRegions::Spread),
        (
            "{ name: rendezvous, from: { region: eu } }",
            KeyRegions::Nearest(Some("eu".into())),
        ),
        (
            "{ name: consistent_hash, from: { region: eu }, regions: nearest }",
            KeyRegions::Nearest(Some("eu".into())),
        ),
    ] {
        let regions = match strategy(text) {
            StrategySettings::consistent_hash(s) => s.hash.regions,
            StrategySettings::maglev(s) => s.hash.regions,
            StrategySettings::rendezvous(s) => s.hash.regions,
            other => panic!("{other:?}"),
        };
        assert_eq!(regions, expected, "{text}");
    }
    // A name alone has the defaults, and so has one with nothing but its name.
    assert_eq!(
        strategy("rendezvous"),
        strategy("{ name: rendezvous, key: source_address }")
    );
    assert_ne!(
        strategy("rendezvous"),
        strategy("{ name: rendezvous, key: { cookie: id } }")
    );
}

#[test]
fn health_and_resources_reach_the_core() {
    use evenkeel_core::math::Factor;
    use evenkeel_core::strategy::{
        AdaptiveHealthAware, Geographical, HealthWeightedRoundRobin, Level, Maglev, OrcaWeighted,
        ResourceAware,
    };
    use evenkeel_core::{HashSecret, HashSettings, HealthFactor, KeySource, StrategyName, StrategySettings};

    let strategy = |text: &str| {
        let text = format!(
            "listeners: [{{ name: web, bind: '127.0.0.1:0' }}]\nservices: [{{ name: web, strategy: {text}, instances: [{{ address: '127.0.0.1:1' }}] }}]\n"
        );
        let config = Config::from_str("a", &text).unwrap_or_else(|error| panic!("{error}"));
        let again = Config::from_str("b", &config.to_yaml()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config, again, "{}", config.to_yaml());
        config.services[0].settings(None).strategy
    };
    // The defaults of the file are those of the core.
    for name in StrategyName::ALL {
        if !matches!(
            StrategySettings::from(*name),
            StrategySettings::consistent_hash(_)
                | StrategySettings::maglev(_)
                | StrategySettings::rendezvous(_)
        ) {
            assert_eq!(strategy(name.as_str()), StrategySettings::from(*name));
        }
    }
    assert_eq!(
        strategy(
            "{ name: orca_weighted, blackout_period: 5s, weight_expiration_period: 60s, weight_update_period: 250ms, error_utilization_penalty: 2.5 }"
        ),
        StrategySettings::orca_weighted(OrcaWeighted {
            blackout: Nanos::from_secs(5),
            expiration: Nanos::from_secs(60),
            update: Nanos::from_millis(250),
            error_penalty: Factor::clamped(2.5),
        })
    );
    assert_eq!(
        strategy("{ name: health_weighted_round_robin, min_health: 0.25, health_exponent: 2 }"),
        StrategySettings::health_weighted_round_robin(HealthWeightedRoundRobin {
            health: HealthFactor::new(0.25, 2),
        })
    );
    assert_eq!(
        strategy(
            "{ name: adaptive_health_aware, min_health: 1, trend_weight: 0, recovery_preference: 0.125 }"
        ),
        StrategySettings::adaptive_health_aware(AdaptiveHealthAware {
            health: HealthFactor::new(1.0, 1),
            trend_weight: Factor::ZERO,
            recovery_preference: Factor::clamped(0.125),
        })
    );
    assert_eq!(
        strategy(
            "{ name: resource_aware, cpu_weight: 1, memory_weight: 0.0, connections_weight: 2.5, connections_scale: 20, learn: false, predict: false }"
        ),
        StrategySettings::resource_aware(ResourceAware {
            cpu_weight: Factor::clamped(1.0),
            memory_weight: Factor::ZERO,
            connections_weight: Factor::clamped(2.5),
            connections_scale: 20,
            learn: false,
            predict: false,
            ..ResourceAware::default()
        })
    );
    let elsewhere = "{ name: geographical, within: { name: maglev, key: path }, levels: [region, rack], from: { region: eu, rack: 7 }, spill_at: 0.5, capacity_per_weight: 20, probe: false, warm_connections: 3 }";
    assert_eq!(
        strategy(elsewhere),
        StrategySettings::geographical(Geographical {
            within: Box::new(StrategySettings::maglev(Maglev {
                hash: HashSettings {
                    key: KeySource::Path,
                    secret: HashSecret::new(None, "web"),
                    ..HashSettings::default()
                },
                ..Maglev::default()
            })),
            levels: vec![Level::Region, Level::Label("rack".into())],
            from: vec!["eu".into(), "7".into()],
            spill_at: Factor::clamped(0.5),
            capacity_per_weight: Some(20),
            probe: false,
            warm_connections: 3,
        })
    );
}

#[test]
fn what_is_tried_again_is_a_set() {
    let on = |text: &str| {
        let text = format!(
            "listeners: [{{ name: web, bind: '127.0.0.1:0' }}]\ndefaults: {{ retry: {{ on: [connect] }} }}\n\
             services: [{{ name: web, retry: {{ {text} }}, instances: [{{ address: '10.0.0.1:80' }}] }}]"
        );
        Config::from_str("test.yaml", &text).unwrap().services[0].retry.on
    };
    let inherited = on("");
    assert!(inherited.connect && !inherited.no_response && inherited.statuses().next().is_none());
    assert_eq!(on("on: [503, 503, connect]"), on("on: [connect, 503]"));
    let all = on("on: [5xx, 429]");
    assert!(!all.connect && !all.no_response);
    assert!(all.statuses().eq([429].into_iter().chain(500..=599)));
    assert!(on("on: []").statuses().next().is_none());
}

/// The bytes of a number in the document are what stands there, whatever stands before.
#[test]
fn numbers_are_taken_as_text_where_text_is_expected() {
    let config = Config::from_str(
        "test.yaml",
        "\u{feff}# caf\u{e9} \u{1f600}\r\nlisteners: [{ name: web, bind: '127.0.0.1:0' }]\r\nlimits: { head: 8192 }\r\nservices:\r\n- name: 0x1F\r\n  retry: { budget: 5e-1 }\r\n  instances:\r\n  - { id: 007, address: '10.0.0.1:80', zone: &z 1_0, region: *z, weight: 2.0, metadata: { a: 1, b: true, c: 1.50 } }\r\n",
    )
    .unwrap();
    let service = &config.services[0];
    assert_eq!((service.name.as_str(), service.retry.budget), ("0x1F", 0.5));
    assert_eq!(config.limits.head, 8192);
    let instance = &service.instances[0];
    assert_eq!((instance.id.as_str(), instance.weight), ("007", 2));
    assert_eq!(
        (instance.zone.as_deref(), instance.region.as_deref()),
        (Some("1_0"), Some("1_0"))
    );
    let labels: Vec<&str> = instance.metadata.values().map(String::as_str).collect();
    assert_eq!(labels, ["1", "true", "1.50"]);
}

#[test]
fn presets_set_what_is_left_out() {
    let settings = |keys: &str| {
        let text = format!(
            "listeners: [{{ name: l, bind: '127.0.0.1:0' }}]
services:
  - name: a
    instances: [{{ address: '10.0.0.1:80' }}]
{keys}"
        );
        let config = Config::from_str("test.yaml", &text).unwrap();
        config.service("a").unwrap().settings(None).ejection
    };
    let ours = evenkeel_core::EjectionSettings::default();
    assert_eq!(settings(""), ours);
    assert_eq!(settings("    health: { preset: evenkeel }"), ours);
    let datapunk = settings("    health: { preset: datapunk }");
    assert_eq!(
        (datapunk.recovery, datapunk.max),
        (Recovery::Fixed, Nanos::from_secs(300))
    );
    assert_eq!((datapunk.threshold, datapunk.recovery_threshold), (0.5, 0.8));
    assert_eq!((datapunk.consecutive_failures, datapunk.on_burst), (5, Mode::Off));
    assert_eq!(datapunk.refresh, Nanos::from_secs(30));
    let envoy = settings(
        "    health: { preset: envoy }\n    circuit_breaker: { base_ejection: 7s, on_slow: dry_run }",
    );
    assert_eq!(
        (envoy.base, envoy.max),
        (Nanos::from_secs(7), Nanos::from_secs(300))
    );
    assert_eq!((envoy.on_slow, envoy.on_burst), (Mode::DryRun, Mode::Off));
    assert_eq!(
        (envoy.on_error_rate, envoy.error_rate_requests),
        (Mode::DryRun, 50)
    );
    assert_eq!((envoy.recovery, envoy.threshold), (Recovery::Backoff, 0.0));
    assert_eq!((envoy.on_silence, envoy.max_ejected), (Mode::Off, 0.1));
    let haproxy = settings("defaults: { health: { preset: haproxy, threshold: 0.3 } }");
    assert_eq!((haproxy.consecutive_failures, haproxy.threshold), (10, 0.3));
    let own = settings(
        "    circuit_breaker: { recovery: backoff, error_rate: 0.25, slow_factor: 9, max_ejected: 0.2 }",
    );
    assert_eq!(
        (own.recovery, own.error_rate, own.slow_factor, own.max_ejected),
        (Recovery::Backoff, 0.25, 9.0, 0.2)
    );
}

#[test]
fn a_cookie_is_called_after_its_service() {
    let long = "x".repeat(255);
    for (service, expected) in [
        ("web", "evenkeel-web"),
        ("a.b-c_d~e%f+g", "evenkeel-a.b-c_d~e%f+g"),
        ("[a:b]=c@d", "evenkeel-_a_b__c_d"),
        (&long, &format!("evenkeel-{}", "x".repeat(55))),
    ] {
        let config = Config::from_str(
            "test.yaml",
            &format!(
                "listeners: [{{ name: web, bind: '127.0.0.1:0' }}]\nservices: [{{ name: '{service}', sticky: {{}}, \
                 instances: [{{ address: '127.0.0.1:1' }}] }}]"
            ),
        )
        .unwrap();
        assert_eq!(config.services[0].sticky.as_ref().unwrap().cookie, expected);
        // What a cookie's name holds, and how long it is: the effective file says it, and is read.
        assert_eq!(Config::from_str("again.yaml", &config.to_yaml()).unwrap(), config);
    }
}
