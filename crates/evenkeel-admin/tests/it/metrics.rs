//! `/metrics`.

use evenkeel_admin::{MetricKind, MetricsSource, MetricsText};
use evenkeel_core::{
    Instance, InstanceState, Nanos, NoRetry, Outcome, PickContext, PickRequest, StrategyName,
};
use evenkeel_runtime::{Observe, RetryReason, ServiceSpec};
use serde_json::json;

use crate::client::get;
use crate::exposition::{Exposition, parse};
use crate::fleet::{Fleet, instance, service, usual};

/// A service of `n` instances.
pub(crate) fn many(n: u32) -> Vec<ServiceSpec> {
    let instances = (0..n).map(|i| {
        let [_, b, c, d] = i.to_be_bytes();
        Instance::new(&format!("instance-{i}"), ([127, b, c, d], 80).into()).unwrap()
    });
    vec![service("big", instances.collect())]
}

fn scrape(fleet: &Fleet) -> Exposition {
    let reply = get(fleet.address(), "/metrics");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    parse(&reply.body)
}

#[test]
fn requests_picks_and_states_are_told() {
    let fleet = Fleet::new(usual());
    for _ in 0..12 {
        fleet.request("web", |id| if id == "web-2" { 503 } else { 200 });
    }
    fleet.until("web", |view| {
        view.members()
            .any(|(_, _, status)| status.state != InstanceState::Healthy)
    });
    let web = fleet.balancer.service("web").unwrap();
    web.metrics().record_retry(RetryReason::Connect);
    web.metrics().record_refused_retry(NoRetry::InVain);
    web.metrics().record_local_error(502);
    web.metrics().record_local_error(404);
    fleet.process.record_reload(false);

    let metrics = scrape(&fleet);
    let value = |family: &str, labels: &[(&str, &str)]| metrics.value(family, labels);
    let class = |class: &str| {
        value(
            "evenkeel_requests_total",
            &[("service", "web"), ("code_class", class)],
        )
    };
    let relayed = metrics.value("evenkeel_instance_failures_total", &[("instance", "web-2")]);
    assert!(relayed >= 2.0);
    assert_eq!(class("5xx"), relayed + 1.0, "relayed and made here");
    assert_eq!(class("2xx"), 12.0 - relayed);
    assert_eq!(class("other"), 1.0);
    let picks: f64 = ["web-1", "web-2", "web-3"]
        .iter()
        .map(|id| {
            value(
                "evenkeel_picks_total",
                &[("instance", id), ("strategy", "round_robin")],
            )
        })
        .sum();
    assert_eq!(picks, 12.0);
    let row = [("service", "web"), ("from", "0.9")];
    assert_eq!(value("evenkeel_predictions_total", &row), 0.0);
    let predicted = &metrics.0["evenkeel_predicted_instances"].samples;
    assert_eq!(predicted.len(), 1, "`api` makes none");
    assert!((0.0..=1.0).contains(&value("evenkeel_usual_failure_share", &[("service", "web")])));
    assert_eq!(value("evenkeel_instance_up", &[("instance", "web-2")]), 0.0);
    assert_eq!(value("evenkeel_instance_ejected", &[("instance", "web-2")]), 1.0);
    assert_eq!(
        value("evenkeel_instance_candidate", &[("instance", "web-2")]),
        0.0
    );
    assert_eq!(value("evenkeel_instance_up", &[("instance", "web-1")]), 1.0);
    assert!(value("evenkeel_instance_health_score", &[("instance", "web-2")]) < 1.0);
    assert_eq!(
        value("evenkeel_instance_active_requests", &[("instance", "web-1")]),
        0.0
    );
    let smoothed = value(
        "evenkeel_instance_response_time_seconds",
        &[("instance", "web-1")],
    );
    assert!((smoothed - 0.02).abs() < 1e-6, "{smoothed}");
    assert_eq!(value("evenkeel_ejections_total", &[("service", "web")]), 1.0);
    assert_eq!(
        value(
            "evenkeel_events_total",
            &[("service", "web"), ("kind", "ejected")]
        ),
        1.0
    );
    assert_eq!(
        value(
            "evenkeel_retries_total",
            &[("service", "web"), ("reason", "connect")]
        ),
        1.0
    );
    for (reason, count) in [("in_vain", 1.0), ("budget", 0.0)] {
        let labels = [("service", "web"), ("reason", reason)];
        assert_eq!(value("evenkeel_retries_refused_total", &labels), count);
    }
    assert_eq!(
        value(
            "evenkeel_local_errors_total",
            &[("service", "web"), ("code", "502")]
        ),
        1.0
    );
    assert_eq!(value("evenkeel_fallback_active", &[("service", "web")]), 0.0);
    assert_eq!(value("evenkeel_instances", &[("service", "web")]), 3.0);
    assert_eq!(value("evenkeel_candidates", &[("service", "web")]), 2.0);
    assert_eq!(
        value("evenkeel_config_reloads_total", &[("result", "failed")]),
        1.0
    );
    assert_eq!(value("evenkeel_build_info", &[("version", "1.2.3")]), 1.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6);
    assert!(value("process_open_fds", &[]) >= 3.0);

    let durations = &metrics.0["evenkeel_request_duration_seconds"].samples;
    let web_count = durations
        .iter()
        .find(|(name, labels, _)| name.ends_with("_count") && labels["service"] == "web");
    assert_eq!(web_count.unwrap().2, 12.0);
}

#[test]
fn a_value_that_is_not_known_yet_is_absent() {
    let fleet = Fleet::new(usual());
    let metrics = scrape(&fleet);
    let smoothed = &metrics.0["evenkeel_instance_response_time_seconds"].samples;
    assert!(smoothed.is_empty(), "{smoothed:?}");
    assert_eq!(
        metrics.value("evenkeel_ejections_total", &[("service", "web")]),
        0.0
    );
}

#[test]
fn odd_ids_survive_as_labels() {
    let ids = ["[::1]:80", "[fe80::1%2]:80", "a=b", "50%"];
    let instances = ids.iter().zip(9001..).map(|(id, port)| instance(id, port));
    let fleet = Fleet::new(vec![service("s=1", instances.collect())]);
    let metrics = scrape(&fleet);
    for id in ids {
        let up = metrics.value("evenkeel_instance_up", &[("service", "s=1"), ("instance", id)]);
        assert_eq!(up, 1.0);
    }
}

pub(crate) fn listeners() -> Vec<Box<dyn MetricsSource>> {
    vec![Box::new(|out: &mut MetricsText| {
        out.family(
            "evenkeel_connections_active",
            MetricKind::Gauge,
            "Client connections that are open.",
        );
        out.sample(&[("listener", "web")], 17u64);
    })]
}

#[test]
fn further_sources_write_their_own_families() {
    let fleet = Fleet::with_sources(usual(), listeners());
    let active = scrape(&fleet).value("evenkeel_connections_active", &[("listener", "web")]);
    assert_eq!(active, 17.0);
}

#[test]
fn ten_thousand_instances_fit_a_scrape() {
    let fleet = Fleet::new(many(10_000));
    let reply = get(fleet.address(), "/metrics");
    assert_eq!(reply.status, 200);
    let lines = reply.body.lines().count();
    // Ten families of one series each (the response time is not known yet), and some hundred lines
    // besides.
    assert!((100_000..101_000).contains(&lines), "{lines}");
    assert!(reply.body.len() < 100 * lines, "{} bytes", reply.body.len());
    let metrics = parse(&reply.body);
    assert_eq!(metrics.0["evenkeel_instance_up"].samples.len(), 10_000);
}

#[test]
fn a_service_whose_metrics_are_off_is_absent_and_says_so() {
    let fleet = Fleet::new(usual());
    let off = Observe {
        metrics: false,
        ..Observe::default()
    };
    fleet.balancer.service("web").unwrap().observe(off);
    fleet.request("web", |_| 200);
    let text = get(fleet.address(), "/metrics").body;
    assert!(
        text.contains("service=\"api\"") && !text.contains("service=\"web\""),
        "{text}"
    );

    let web = get(fleet.address(), "/api/v1/services/web").json();
    assert_eq!(
        (&web["metrics"], &web["requests"], &web["no_picks"]),
        (&json!(false), &json!({}), &json!(null))
    );
    let api = get(fleet.address(), "/api/v1/services/api").json();
    assert_eq!(
        (&api["metrics"], &api["requests"]["2xx"], &api["no_picks"]),
        (&json!(true), &json!(0), &json!(0))
    );
    // Health goes by what instances answered, whatever is counted for export.
    let picks = (1..=3).map(|i| {
        let path = format!("/api/v1/services/web/instances/web-{i}");
        get(fleet.address(), &path).json()["counts"]["successes"]
            .as_u64()
            .unwrap()
    });
    assert_eq!(picks.sum::<u64>(), 1);
}

#[test]
fn without_metrics_the_path_names_the_setting() {
    let fleet = Fleet::without_metrics(usual());
    let reply = get(fleet.address(), "/metrics");
    let problem = crate::writes::problem(&reply, 404);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("admin: { metrics: false }"), "{detail}");
}

#[test]
fn a_shadow_strategy_is_told() {
    let mut web = service("web", vec![instance("web-1", 9001), instance("web-2", 9002)]);
    web.settings.strategy = StrategyName::round_robin.into();
    web.settings.shadow = Some(StrategyName::random.into());
    let fleet = Fleet::new(vec![web]);
    let service = fleet.balancer.service("web").unwrap();
    let mut cx = PickContext::new(1);
    for n in 0..2000 {
        cx.now = Nanos::from_millis(n);
        let lease = service.pick(&PickRequest::default(), &mut cx).unwrap();
        let outcome = Outcome::from_status(200, Nanos::from_millis(20));
        service.finish(lease, &outcome, cx.now);
    }
    let metrics = scrape(&fleet);
    let labels = [("service", "web"), ("strategy", "random")];
    let value = |family: &str| metrics.value(family, &labels);
    let asked = value("evenkeel_shadow_picks_total");
    // 31 in the mean, ± 3.2.
    assert!((15.0..=48.0).contains(&asked), "{asked}");
    let other = value("evenkeel_shadow_other_choices_total");
    assert!(other > 0.0 && other < asked, "{other} of {asked}");
    assert!(value("evenkeel_shadow_compared_picks_total") <= asked);
    assert!(value("evenkeel_shadow_expected_seconds_total") >= 0.0);
    let shown = get(fleet.address(), "/api/v1/services/web").json();
    let shadow = &shown["shadow"];
    assert_eq!(shadow["strategy"], "random");
    assert_eq!(shadow["picks"], asked);
    assert_eq!(shadow["other_choices"], other);
    assert_eq!(shadow["other_choices_share"], other / asked);
    assert_eq!(shadow["compared"], value("evenkeel_shadow_compared_picks_total"));
    let mean = value("evenkeel_shadow_actual_expected_seconds_total") / shadow["compared"].as_f64().unwrap();
    let told = shadow["actual_expected_seconds"].as_f64().unwrap();
    assert!((told - mean).abs() <= 1e-9, "{told} instead of {mean}");
}
