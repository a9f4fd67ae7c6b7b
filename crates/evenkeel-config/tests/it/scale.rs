//! Files with ten thousand errors: all are counted, and finding them takes about as long as reading the file.
//!
//! The bounds are loose, for slow machines and builds without optimisation; they catch what grows with the square.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use evenkeel_config::Config;

const MANY: usize = 10_000;

/// A file of one service with an instance per line.
fn instances(line: impl Fn(usize) -> String) -> String {
    let mut text =
        "listeners: [{ name: web, bind: 127.0.0.1:8080 }]\nservices:\n- name: web\n  instances:\n".to_owned();
    for i in 0..MANY {
        let _ = writeln!(text, "  - {{ {} }}", line(i));
    }
    text
}

fn address(i: usize) -> String {
    format!("address: 10.0.{}.{}:9001", i / 250, i % 250 + 1)
}

/// A file with a service per line.
fn services(line: &str) -> String {
    let mut text =
        "listeners: [{ name: web, bind: 127.0.0.1:8080, routes: [{ service: s0 }] }]\nservices:\n".to_owned();
    for i in 0..MANY {
        let _ = writeln!(
            text,
            "- {{ name: s{i}, {line}, instances: [{{ address: 127.0.0.1:9001 }}] }}"
        );
    }
    text
}

#[test]
fn ten_thousand_errors_of_each_kind_are_counted_in_the_time_of_a_few_readings() {
    let mut routes = "listeners:\n- name: web\n  bind: 127.0.0.1:8080\n  routes:\n".to_owned();
    for i in 0..MANY {
        let _ = writeln!(routes, "  - {{ path_prefix: /{i}, service: wbe }}");
    }
    routes += "services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]\n";
    let mut labels = String::new();
    for i in 0..MANY {
        let _ = write!(labels, "k{i}: [], ");
    }
    let labels = format!(
        "listeners: [{{ name: web, bind: 127.0.0.1:8080 }}]\nservices: [{{ name: web, instances: [{{ address: 127.0.0.1:9001, metadata: {{ {labels} }} }}] }}]\n"
    );
    let mut many_services = "listeners:\n- name: web\n  bind: 127.0.0.1:8080\n  routes:\n".to_owned();
    for i in 0..MANY {
        let _ = writeln!(
            many_services,
            "  - {{ path_prefix: /{i}, host: '{i}.example', service: x{i} }}"
        );
    }
    many_services += services("pool: {}").split_once('\n').unwrap().1;
    for (kind, text, count) in [
        (
            "one id on every instance",
            instances(|i| format!("id: a, {}", address(i))),
            MANY - 1,
        ),
        (
            "weight 0",
            instances(|i| format!("id: i{i}, {}, weight: 0", address(i))),
            MANY,
        ),
        (
            "two bad values each",
            instances(|i| format!("id: [{i}], address: x, weight: x")),
            3 * MANY,
        ),
        (
            "unknown key",
            instances(|i| format!("wieght: 1, {}", address(i))),
            MANY,
        ),
        (
            "bad id",
            instances(|i| format!("id: 'a {i}', {}", address(i))),
            MANY,
        ),
        (
            "timeout above interval",
            services("health_check: { tcp: {}, interval: 1s, timeout: 2s }"),
            MANY,
        ),
        (
            "bad duration",
            services("timeouts: { connect: 5, idle: .nan }"),
            2 * MANY,
        ),
        ("unknown service", routes, MANY),
        ("bad label", labels, MANY),
        ("unknown service among many", many_services, MANY),
    ] {
        let start = Instant::now();
        let error = Config::from_str("bad.yaml", &text).unwrap_err();
        let took = start.elapsed();
        assert_eq!(error.problems().len(), count, "{kind}");
        assert!(
            error.problems().iter().all(|problem| problem.place.is_some()),
            "{kind}"
        );
        let shown = error.to_string();
        assert_eq!(shown.matches("error: ").count(), 50, "{kind}");
        assert!(
            shown.ends_with(&format!("{count} errors in bad.yaml, the first 50 shown")),
            "{kind}: {}",
            &shown[shown.len() - 80..]
        );
        assert!(took < Duration::from_secs(60), "{kind}: {took:?}");
    }
}
