//! The read API.

use evenkeel_admin::wire;
use evenkeel_core::{InstanceState, Nanos, Outcome, PickContext, PickRequest};
use serde_json::json;

use crate::client::{Reply, ask, get};
use crate::fleet::{Fleet, instance, service, usual};
use crate::metrics::many;

fn from<T: serde::de::DeserializeOwned>(reply: &Reply) -> T {
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    serde_json::from_str(&reply.body).unwrap()
}

#[test]
fn services_are_summed_up() {
    let fleet = Fleet::new(usual());
    fleet.request("web", |_| 200);
    fleet.request("web", |_| 404);
    let all: wire::Services = from(&get(fleet.address(), "/api/v1/services"));
    let names: Vec<_> = all.services.iter().map(|s| &*s.name).collect();
    assert_eq!(names, ["api", "web"]);

    let web: wire::Service = from(&get(fleet.address(), "/api/v1/services/web"));
    assert_eq!(web, all.services[1]);
    assert_eq!(web.strategy, "round_robin");
    assert!(!web.fallback);
    assert_eq!(
        (
            web.instances.total,
            web.instances.healthy,
            web.instances.candidates
        ),
        (3, 3, 3)
    );
    assert_eq!(
        (web.requests["2xx"], web.requests["4xx"], web.requests["5xx"]),
        (1, 1, 0)
    );
    assert_eq!(web.retries["connect"], 0);
}

#[test]
fn a_service_tells_what_counts_as_too_much_and_how_good_its_predictions_were() {
    let fleet = Fleet::new(usual());
    let web: wire::Service = from(&get(fleet.address(), "/api/v1/services/web"));
    let prediction = web.prediction.unwrap();
    assert_eq!((&*prediction.mode, prediction.horizon_seconds), ("dry_run", 20.0));
    assert_eq!((prediction.predictions, prediction.brier_score), (0, None));
    let rows: Vec<_> = prediction
        .reliability
        .iter()
        .map(|row| (row.from, row.to))
        .collect();
    assert_eq!((rows.len(), rows[0], rows[9]), (10, (0.0, 0.1), (0.9, 1.0)));
    let now = web.thresholds;
    assert_eq!(
        (now.adaptive, now.consecutive_errors, now.rising),
        (true, 2, false)
    );
    assert_eq!((now.error_rate, now.burst_from, now.burst_to), (0.5, 0.01, 0.1));
    assert_eq!((now.usual_failure_share, now.slow_from_seconds), (0.0, None));
    let api: wire::Service = from(&get(fleet.address(), "/api/v1/services/api"));
    assert_eq!(api.prediction, None, "it is off there");
}

#[test]
fn an_instance_tells_everything_about_itself() {
    let mut first = instance("web-1", 9001);
    first.region = Some("eu-west".into());
    first.zone = Some("a".into());
    first.metadata.insert("version".into(), "7".into());
    let fleet = Fleet::new(vec![service("web", vec![first, instance("web-2", 9002)])]);

    let before = get(fleet.address(), "/api/v1/services/web/instances/web-1").json();
    assert_eq!(
        before["response_time_seconds"],
        json!({ "average": null, "p50": null, "p90": null, "p99": null })
    );
    assert_eq!(before["last_used"], json!(null));
    assert_eq!(before["share"]["total"], json!(null));
    assert_eq!(before["address"], "127.0.0.1:9001");
    assert_eq!(
        (&before["region"], &before["zone"], &before["metadata"]),
        (&json!("eu-west"), &json!("a"), &json!({ "version": "7" }))
    );
    assert_eq!((&before["weight"], &before["priority"]), (&json!(1), &json!(0)));

    for _ in 0..6 {
        fleet.request("web", |id| if id == "web-1" { 500 } else { 200 });
    }
    fleet.until("web", |view| {
        view.members()
            .any(|(_, _, status)| status.state != InstanceState::Healthy)
    });
    let one: wire::Instance = from(&get(fleet.address(), "/api/v1/services/web/instances/web-1"));
    assert_eq!(one.state, "ejected");
    assert!(!one.candidate);
    assert!(one.reason.contains('2'), "{}", one.reason);
    assert!(one.since.ends_with('Z') && one.since.len() == 24, "{}", one.since);
    assert!((0.0..60.0).contains(&one.since_seconds));
    assert!(
        one.ejected_until.unwrap() > one.since,
        "RFC 3339 in UTC sorts as text"
    );
    assert!(one.score < 1.0);
    assert_eq!(one.breaker, "open");
    assert_eq!(one.limited_by.as_deref(), Some("requests"));
    assert_eq!(one.score_parts["requests"], one.score);
    assert_eq!((one.score_parts.len(), one.score_parts["checks"]), (5, 1.0));
    assert_eq!(one.counts.picks, one.counts.failures);
    assert_eq!(one.in_flight, 0);
    assert!(one.last_used.is_some());
    let p99 = one.response_time_seconds.p99.unwrap();
    assert!((0.018..0.022).contains(&p99), "{p99}");

    let all: wire::Instances = from(&get(fleet.address(), "/api/v1/services/web/instances"));
    assert_eq!(all.service, "web");
    let ids: Vec<_> = all.instances.iter().map(|i| &*i.id).collect();
    assert_eq!(ids, ["web-1", "web-2"]);
    for share in [
        |i: &wire::Instance| i.share.total,
        |i: &wire::Instance| i.share.recent,
    ] {
        let sum: f64 = all.instances.iter().filter_map(share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}

/// The two speak of different responses, and say so.
#[test]
fn quick_failures_lower_the_quantiles_and_not_the_average() {
    let fleet = Fleet::new(usual());
    let web = fleet.balancer.service("web").unwrap().view_full();
    let (_, member, _) = web.members().next().unwrap();
    let now = fleet.balancer.clock().now();
    let ended = |status, ms| {
        let outcome = Outcome::from_status(status, Nanos::from_millis(ms));
        let _ = member.stats().on_end(&outcome, now);
    };
    (0..10).for_each(|_| ended(200, 50));
    (0..30).for_each(|_| ended(500, 1));
    let one: wire::Instance = from(&get(fleet.address(), "/api/v1/services/web/instances/web-1"));
    let (average, p50) = (
        one.response_time_seconds.average,
        one.response_time_seconds.p50.unwrap(),
    );
    assert_eq!(average, Some(0.05));
    assert!((0.0005..0.002).contains(&p50), "{p50}");
    let document = get(fleet.address(), "/openapi.json").json();
    let fields = &document["components"]["schemas"]["ResponseTime"]["properties"];
    for (field, words) in [
        ("average", "of successes,"),
        ("p50", "of successes and failures"),
        ("p90", "of successes and failures"),
        ("p99", "of successes and failures"),
    ] {
        let description = fields[field]["description"].as_str().unwrap();
        assert!(description.contains(words), "{field}: {description}");
    }
}

#[test]
fn a_request_in_flight_is_seen() {
    let fleet = Fleet::new(vec![service("web", vec![instance("web-1", 9001)])]);
    let web = fleet.balancer.service("web").unwrap();
    let lease = web
        .pick(&PickRequest::default(), &mut PickContext::new(1))
        .unwrap();
    let count = || get(fleet.address(), "/api/v1/services/web/instances/web-1").json()["in_flight"].clone();
    assert_eq!(count(), json!(1));
    drop(lease);
    assert_eq!(count(), json!(0));
}

#[test]
fn a_listing_follows_the_configuration() {
    let fleet = Fleet::new(usual());
    fleet.apply(vec![service("web", vec![instance("new", 9009)])]);
    let all: wire::Instances = from(&get(fleet.address(), "/api/v1/services/web/instances"));
    assert_eq!(all.instances.len(), 1);
    assert_eq!(all.instances[0].id, "new");
    assert_eq!(get(fleet.address(), "/api/v1/services/api").status, 404);
}

#[test]
fn ten_thousand_instances_are_listed() {
    let fleet = Fleet::new(many(10_000));
    let all: wire::Instances = from(&get(fleet.address(), "/api/v1/services/big/instances"));
    assert_eq!(all.instances.len(), 10_000);
    let unknown = get(fleet.address(), "/api/v1/services/big/instances/nobody").json();
    assert_eq!(unknown["available_total"], 10_000);
    assert_eq!(unknown["available"].as_array().unwrap().len(), 20);
}

#[test]
fn events_are_listed_oldest_first() {
    let fleet = Fleet::new(usual());
    let mut specs = usual();
    specs[0].instances.push(instance("web-4", 9004));
    fleet.apply(specs);
    let all: wire::Events = from(&get(fleet.address(), "/api/v1/events"));
    let last = all.events.last().unwrap();
    assert_eq!(
        (&*last.service, last.instance.as_deref(), &*last.kind),
        ("web", Some("web-4"), "registered")
    );
    assert!(last.time.ends_with('Z'));
    assert!(all.events.is_sorted_by_key(|event| event.time.clone()));
}

#[test]
fn ids_are_read_percent_decoded() {
    let ids = ["[::1]:80", "50%", "a+b=c@d"];
    let instances = ids.iter().zip(9001..).map(|(id, port)| instance(id, port));
    let fleet = Fleet::new(vec![service("web", instances.collect())]);
    for (path, id) in [
        ("[::1]:80", "[::1]:80"),
        ("%5B%3A%3A1%5D%3A80", "[::1]:80"),
        ("50%25", "50%"),
        ("a%2Bb=c%40d", "a+b=c@d"),
        ("a+b=c@d", "a+b=c@d"),
    ] {
        let reply = get(
            fleet.address(),
            &format!("/api/v1/services/w%65b/instances/{path}"),
        );
        assert_eq!(reply.json()["id"], id, "{path}: {}", reply.body);
    }
    let bad = get(fleet.address(), "/api/v1/services/%FF");
    assert_eq!(bad.status, 400);
    assert_eq!(bad.header("content-type"), Some("application/problem+json"));
}

#[test]
fn what_is_not_there_is_a_problem_with_a_suggestion() {
    let fleet = Fleet::new(usual());
    let problem = |target: &str| {
        let reply = get(fleet.address(), target);
        assert_eq!(reply.status, 404);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        reply.json()
    };
    assert_eq!(
        problem("/api/v1/services/wbe"),
        json!({
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "there is no service \"wbe\"",
            "did_you_mean": "web",
            "available": ["api", "web"],
            "available_total": 2,
        })
    );
    let unknown = problem("/api/v1/services/web/instances/web_1");
    assert_eq!(unknown["did_you_mean"], "web-1");
    let unknown = problem("/api/v1/services/web/instances/zzz");
    assert_eq!(unknown["did_you_mean"], json!(null));
    let unknown = problem("/metric");
    assert_eq!(unknown["did_you_mean"], "/metrics");
    problem("/");
    problem("/api/v1/services/");
}

#[test]
fn every_path_has_its_methods() {
    let fleet = Fleet::new(usual());
    let read = "GET, HEAD";
    let paths = [
        ("/livez", read),
        ("/readyz", read),
        ("/metrics", read),
        ("/api/v1/services", read),
        ("/api/v1/services/web", "GET, HEAD, PATCH"),
        ("/api/v1/services/web/instances", read),
        ("/api/v1/services/web/instances/web-1", "GET, HEAD, PUT, DELETE"),
        ("/api/v1/services/web/instances/web-1/health", "PUT"),
        ("/api/v1/services/web/instances/web-1/load", "PUT"),
        ("/api/v1/services/web/instances/web-1/drain", "POST"),
        ("/api/v1/services/web/instances/web-1/undrain", "POST"),
        ("/api/v1/events", read),
    ];
    for (path, allowed) in paths {
        let send = |method: &str| {
            ask(
                fleet.address(),
                &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
            )
        };
        let methods: Vec<&str> = allowed.split(", ").collect();
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if methods.contains(&method) {
                continue;
            }
            let reply = send(method);
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allowed), "{}", reply.head);
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
            assert_eq!(reply.json()["status"], 405);
        }
        let (head, get) = (send("HEAD"), send("GET"));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(get.status == 405, !methods.contains(&"GET"), "{path}");
        assert_eq!(head.body, "", "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert!(!get.body.is_empty());
    }
}
