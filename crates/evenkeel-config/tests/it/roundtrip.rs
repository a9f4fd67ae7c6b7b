//! What is printed loads again as the same configuration.

use std::fmt::Write as _;

use evenkeel_config::Config;
use proptest::prelude::*;

fn duration() -> impl Strategy<Value = String> {
    prop_oneof![
        (1u64..100_000).prop_map(|n| format!("{n}ms")),
        (1u64..10_000).prop_map(|n| format!("{n}s")),
        (1u64..60, 1u64..60).prop_map(|(m, s)| format!("{m}m{s}s")),
        (1u64..1000).prop_map(|n| format!("{n}h")),
    ]
}

fn size() -> impl Strategy<Value = String> {
    (
        1u64..5000,
        prop_oneof![Just(""), Just("KiB"), Just("MiB"), Just("GiB")],
    )
        .prop_map(|(n, unit)| format!("{n}{unit}"))
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<[u8; 4]>(), 1u16..).prop_map(|([a, b, c, d], port)| format!("{a}.{b}.{c}.{d}:{port}")),
        (any::<u128>(), 1u16..).prop_map(|(ip, port)| format!("[{}]:{port}", std::net::Ipv6Addr::from(ip))),
        ("[a-z][a-z0-9]{0,8}(\\.[a-z]{2,5})?", 1u16..).prop_map(|(name, port)| format!("{name}:{port}")),
    ]
}

/// Words YAML could take for something else.
fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}",
        Just("no".to_owned()),
        Just("~".to_owned()),
        Just("1e3".to_owned()),
        Just("null".to_owned()),
        Just("x: # y".to_owned()),
        Just("'\"".to_owned()),
        "\\PC{1,8}",
    ]
}

prop_compose! {
    fn service(index: usize)(
        strategy in proptest::sample::select(evenkeel_core::StrategyName::ALL),
        check in proptest::option::of(prop_oneof![Just("tcp: {}"), Just("http: { path: '/a?b=1', expected_statuses: [200, 300-302] }")]),
        connect in duration(),
        ratio in 0.0f64..=1.0,
        limit in prop_oneof![Just("none".to_owned()), (1u32..5000).prop_map(|n| n.to_string())],
        instances in proptest::collection::vec((address(), 1u16.., any::<u8>(), proptest::option::of(label()), label()), 1..5),
    ) -> String {
        let mut text = format!("  - name: s{index}\n    strategy: {strategy}\n    timeouts: {{ connect: {connect} }}\n");
        if let Some(check) = check {
            let _ = writeln!(text, "    health_check: {{ {check}, jitter: {ratio} }}");
        }
        let _ = writeln!(text, "    retry: {{ budget: {ratio} }}\n    pool: {{ connections_per_instance: {limit} }}");
        text += "    instances:\n";
        for (i, (address, weight, priority, zone, value)) in instances.iter().enumerate() {
            let _ = write!(text, "      - {{ id: i{i}, address: '{address}', weight: {weight}, priority: {priority}, ");
            if let Some(zone) = zone {
                let _ = write!(text, "zone: {}, ", serde_json::to_string(zone).unwrap());
            }
            let _ = writeln!(text, "metadata: {{ k: {} }} }}", serde_json::to_string(value).unwrap());
        }
        text
    }
}

prop_compose! {
    fn file()(
        workers in proptest::option::of(1u32..=1024),
        drain in duration(),
        head in size().prop_filter("a head fits", |size| size.len() > 4 || size.ends_with("iB")),
        body in prop_oneof![Just("none".to_owned()), size()],
        services in proptest::collection::vec(any::<()>(), 1..4).prop_flat_map(|v| (0..v.len()).map(service).collect::<Vec<_>>()),
    ) -> String {
        let mut text = format!("drain_timeout: {drain}\nlimits: {{ head: {head}, body: {body} }}\n");
        if let Some(workers) = workers {
            let _ = writeln!(text, "workers: {workers}");
        }
        text += "trusted_proxies: [10.0.0.0/8, 'fd00::/8', 192.0.2.1]\nlisteners:\n";
        text += "  - { name: web, bind: '[::]:8080', routes: [{ host: '*.a.example', path_prefix: /x, service: s0 }] }\n";
        text += "services:\n";
        text + &services.concat()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn printed_configurations_load_as_themselves(text in file()) {
        let config = Config::from_str("generated.yaml", &text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let printed = config.to_yaml();
        let again = Config::from_str("printed.yaml", &printed).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(config, again, "{}", printed);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,200}|([a-z]{1,8}: ?[\\[{&*]?[a-z0-9]{0,3}\n ?){0,8}") {
        if let Err(error) = Config::from_str("any.yaml", &text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
