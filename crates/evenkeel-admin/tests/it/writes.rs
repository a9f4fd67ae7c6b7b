//! The write API.

use std::net::SocketAddr;

use evenkeel_admin::wire;
use evenkeel_config::{ServicePatch, read_body};
use evenkeel_core::{InstanceState, NoPick, Operation, PickContext, PickRequest};
use serde_json::json;

use crate::client::{Reply, ask, get};
use crate::fleet::{Fleet, TOKEN, instance, service, usual};

const WEB_1: &str = "/api/v1/services/web/instances/web-1";

/// A request with the token.
pub(crate) fn send(address: SocketAddr, method: &str, target: &str, body: &str) -> Reply {
    send_with(
        address,
        method,
        target,
        &format!("Authorization: Bearer {TOKEN}\r\n"),
        body,
    )
}

pub(crate) fn send_with(address: SocketAddr, method: &str, target: &str, fields: &str, body: &str) -> Reply {
    let length = body.len();
    ask(
        address,
        &format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: \
             {length}\r\n\r\n{body}"
        ),
    )
}

/// Writers run only while the test waits for them.
pub(crate) fn served(fleet: &Fleet, method: &str, target: &str, body: &str) -> Reply {
    fleet.serve(|address| send(address, method, target, body))
}

fn written(reply: &Reply) -> wire::InstanceWritten {
    assert!(matches!(reply.status, 200 | 201), "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// The problem, whose status and media type are right.
pub(crate) fn problem(reply: &Reply, status: u16) -> serde_json::Value {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    problem
}

fn kinds(fleet: &Fleet) -> Vec<String> {
    let events = fleet.balancer.recent_events();
    let words = events.iter().map(|event| match &event.instance {
        Some(id) => format!("{id} {}", event.kind.as_str()),
        None => event.kind.as_str().to_owned(),
    });
    words.collect()
}

#[test]
fn an_instance_comes_changes_and_goes() {
    let fleet = Fleet::new(usual());
    let target = "/api/v1/services/web/instances/web-4";
    let body = r#"{"address":"127.0.0.1:9004","weight":3,"region":"eu-west","metadata":{"version":"7"}}"#;
    let reply = served(&fleet, "PUT", target, body);
    assert_eq!(reply.status, 201, "{}", reply.body);
    let first = written(&reply);
    assert_eq!(first.effect, "registered");
    assert_eq!((&*first.instance.id, first.instance.weight), ("web-4", 3));
    assert_eq!(first.instance.region.as_deref(), Some("eu-west"));
    assert!(first.instance.candidate, "it is in force when it is answered");
    assert_eq!(get(fleet.address(), target).status, 200);

    assert_eq!(written(&served(&fleet, "PUT", target, body)).effect, "unchanged");
    let lighter = written(&served(&fleet, "PUT", target, r#"{"address":"127.0.0.1:9004"}"#));
    assert_eq!((&*lighter.effect, lighter.instance.weight), ("changed", 1));

    let elsewhere = served(&fleet, "PUT", target, r#"{"address":"127.0.0.1:9999"}"#);
    let taken = problem(&elsewhere, 409);
    assert!(
        taken["detail"].as_str().unwrap().contains("127.0.0.1:9004"),
        "{taken}"
    );

    let reply = served(&fleet, "DELETE", target, "");
    assert_eq!((reply.status, &*reply.body), (204, ""));
    assert_eq!(get(fleet.address(), target).status, 404);
    let again = problem(&served(&fleet, "DELETE", target, ""), 404);
    assert_eq!(again["did_you_mean"], "web-1");
    assert_eq!(
        kinds(&fleet),
        ["web-4 registered", "web-4 changed", "web-4 deregistered"]
    );
}

#[test]
fn what_is_registered_gets_requests_at_once_and_what_is_drained_none() {
    let fleet = Fleet::new(vec![service("web", vec![instance("web-1", 9001)])]);
    let web = fleet.balancer.service("web").unwrap();
    let mut cx = PickContext::new(1);
    let mut picked = || {
        let lease = web.pick(&PickRequest::default(), &mut cx)?;
        Ok::<_, NoPick>(lease.member().instance().id.to_string())
    };
    let two = "/api/v1/services/web/instances/web-2";
    assert_eq!(
        served(&fleet, "PUT", two, r#"{"address":"127.0.0.1:9002"}"#).status,
        201
    );
    let drain = served(
        &fleet,
        "POST",
        &format!("{WEB_1}/drain"),
        r#"{"reason":"a new release"}"#,
    );
    let drained = written(&drain);
    assert_eq!(
        (&*drained.effect, &*drained.instance.state),
        ("changed", "draining")
    );
    assert!(
        drained.instance.reason.contains("a new release"),
        "{}",
        drained.instance.reason
    );
    assert_eq!(
        (0..8)
            .map(|_| picked().unwrap())
            .filter(|id| id == "web-2")
            .count(),
        8
    );
    assert_eq!(
        written(&served(&fleet, "POST", &format!("{WEB_1}/drain"), "")).effect,
        "unchanged"
    );
    let back = written(&served(&fleet, "POST", &format!("{WEB_1}/undrain"), ""));
    assert_eq!((&*back.effect, back.instance.candidate), ("changed", true));
    assert_eq!(
        kinds(&fleet),
        ["web-2 registered", "web-1 drained", "web-1 undrained"]
    );
}

#[test]
fn health_and_load_are_taken_in_order_of_their_observation() {
    let fleet = Fleet::new(usual());
    let health = format!("{WEB_1}/health");
    assert_eq!(
        written(&served(&fleet, "PUT", &health, r#"{"score":0.25}"#)).effect,
        "changed"
    );
    let old = r#"{"score":1,"observed_at":"1970-01-01T00:00:00Z"}"#;
    assert_eq!(written(&served(&fleet, "PUT", &health, old)).effect, "stale");

    let load = format!("{WEB_1}/load");
    let report = r#"{"cpu_utilization":0.9,"mem_utilization":0.5,"eps":0}"#;
    assert_eq!(written(&served(&fleet, "PUT", &load, report)).effect, "changed");
    let old = r#"{"cpu_utilization":0.1,"observed_at":"1970-01-01T00:00:00+01:00"}"#;
    let before = problem(&served(&fleet, "PUT", &load, old), 400);
    assert_eq!(before["errors"][0]["field"], "observed_at");
    let old = r#"{"cpu_utilization":0.1,"observed_at":"1970-01-01T00:00:00Z"}"#;
    assert_eq!(written(&served(&fleet, "PUT", &load, old)).effect, "stale");
    let web = fleet.balancer.service("web").unwrap().view_full();
    let (_, member, _) = web.members().next().unwrap();
    let (known, worth) = member
        .stats()
        .reported()
        .get(fleet.balancer.clock().now())
        .unwrap();
    assert_eq!((known.cpu(), known.memory(), worth), (Some(0.9), Some(0.5), 1.0));

    for (target, body) in [
        (&health, r#"{"score":0.5,"observed_at":"2999-01-01T00:00:00Z"}"#),
        (
            &load,
            r#"{"cpu_utilization":0.5,"observed_at":"2999-01-01T00:00:00Z"}"#,
        ),
    ] {
        let ahead = problem(&served(&fleet, "PUT", target, body), 400);
        assert_eq!(ahead["errors"][0]["field"], "observed_at");
        assert!(
            ahead["detail"]
                .as_str()
                .unwrap()
                .contains("ahead of this machine's clock"),
            "{ahead}"
        );
    }
}

/// What was said stands where operators look: in the answer, beside the instance, and in the metrics.
#[test]
fn a_reported_load_is_told_wherever_an_instance_is() {
    let fleet = Fleet::new(usual());
    let load = format!("{WEB_1}/load");
    let one = || get(fleet.address(), WEB_1).json();
    let metrics = || crate::exposition::parse(&get(fleet.address(), "/metrics").body);
    let named = |what: &str| format!("evenkeel_instance_reported_{what}");
    assert_eq!(one()["reported"], json!(null));
    for what in ["cpu_utilization", "age_seconds"] {
        assert!(metrics().0[&named(what)].samples.is_empty());
    }

    let report = r#"{"cpu_utilization":0.75,"mem_utilization":0.5,"rps_fractional":120,"eps":0}"#;
    let told = written(&served(&fleet, "PUT", &load, report));
    let reported = told.instance.reported.unwrap();
    assert_eq!(
        (
            reported.cpu_utilization,
            reported.mem_utilization,
            reported.application_utilization,
            reported.rps_fractional,
            reported.eps,
            reported.worth,
        ),
        (Some(0.75), Some(0.5), None, Some(120.0), Some(0.0), 1.0)
    );
    assert!((0.0..10.0).contains(&reported.age_seconds));
    let all = get(fleet.address(), "/api/v1/services/web/instances").json();
    let explained = get(fleet.address(), "/api/v1/services/web/explain").json();
    for reported in [
        &one()["reported"],
        &all["instances"][0]["reported"],
        &explained["instances"][0]["reported"],
    ] {
        assert_eq!(
            (&reported["cpu_utilization"], &reported["rps_fractional"]),
            (&json!(0.75), &json!(120.0)),
            "{reported}"
        );
    }
    assert_eq!(all["instances"][1]["reported"], json!(null));

    let metrics = metrics();
    let labels = [("service", "web"), ("instance", "web-1")];
    for (what, expected) in [
        ("cpu_utilization", 0.75),
        ("mem_utilization", 0.5),
        ("requests_per_second", 120.0),
        ("errors_per_second", 0.0),
    ] {
        assert_eq!(metrics.value(&named(what), &labels), expected, "{what}");
        assert_eq!(metrics.0[&named(what)].samples.len(), 1, "{what}");
    }
    assert!(metrics.0[&named("application_utilization")].samples.is_empty());
    assert!(metrics.value(&named("age_seconds"), &labels) < 10.0);
}

#[test]
fn a_zero_with_a_sign_is_told_without() {
    let fleet = Fleet::new(usual());
    let target = format!("{WEB_1}/health");
    let told = written(&served(&fleet, "PUT", &target, r#"{"score":-0.0}"#));
    assert_eq!(told.instance.score, 0.0);
    assert!(
        told.instance.reason.contains("0.00 was reported") && !told.instance.reason.contains("-0.00"),
        "{}",
        told.instance.reason
    );
}

#[test]
fn a_strategy_is_set_as_in_the_file() {
    let fleet = Fleet::new(usual());
    let target = "/api/v1/services/web";
    let patch = |strategy: serde_json::Value| {
        served(
            &fleet,
            "PATCH",
            target,
            &json!({ "strategy": strategy }).to_string(),
        )
    };
    let reply = patch(json!("least_connections"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let set: wire::ServiceWritten = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (&*set.effect, &*set.service.strategy),
        ("changed", "least_connections")
    );
    assert_eq!(patch(json!("least_connections")).json()["effect"], "unchanged");
    let hashing =
        patch(json!({ "name": "consistent_hash", "key": { "header": "x-user" }, "bounded_load": 1.25 }));
    assert_eq!(hashing.json()["service"]["strategy"], "consistent_hash");
    assert_eq!(get(fleet.address(), target).json()["strategy"], "consistent_hash");
    assert_eq!(kinds(&fleet), ["strategy_changed", "strategy_changed"]);

    for (strategy, field, words) in [
        (json!("rond_robin"), "strategy", "did you mean `round_robin`?"),
        (
            json!({ "name": "maglev", "table_size": 10 }),
            "strategy.table_size",
            "no size of a table",
        ),
        (
            json!({ "name": "round_robin", "key": "path" }),
            "strategy.key",
            "has no setting `key`",
        ),
        (
            json!({ "name": "maglev", "hash_secret_file": "/etc/shadow" }),
            "strategy.hash_secret_file",
            "files are not read",
        ),
    ] {
        let wrong = problem(&patch(strategy), 400);
        assert_eq!(wrong["errors"][0]["field"], field, "{wrong}");
        assert!(wrong["detail"].as_str().unwrap().contains(words), "{wrong}");
    }
}

#[test]
fn wrong_bodies_name_the_field_and_change_nothing() {
    let fleet = Fleet::new(usual());
    let put = |path: &str, body: &str| {
        served(
            &fleet,
            "PUT",
            &format!("/api/v1/services/web/instances/{path}"),
            body,
        )
    };
    for (path, body, field) in [
        (
            "web-9",
            r#"{"address":"127.0.0.1:9009","region":""}"#,
            Some("region"),
        ),
        ("web-9", r#"{"address":"127.0.0.1:0"}"#, Some("address")),
        ("web-9", r#"{"address":"web.example:80"}"#, Some("address")),
        (
            "web-9",
            r#"{"address":"127.0.0.1:80","weight":0}"#,
            Some("weight"),
        ),
        (
            "web-9",
            r#"{"address":"127.0.0.1:80","weight":70000}"#,
            Some("weight"),
        ),
        ("web-9", r#"{"address":"127.0.0.1:80","zzz":1}"#, Some("zzz")),
        ("web-9", "{}", None),
        ("web-9", "", None),
        ("web-9", "{", None),
        ("%20", r#"{"address":"127.0.0.1:80"}"#, Some("id")),
        ("web-1/health", r#"{"score":1.5}"#, Some("score")),
        ("web-1/health", r#"{"score":-0.5}"#, Some("score")),
        ("web-1/health", r#"{"score":NaN}"#, None),
        ("web-1/health", r#"{"score":1e999}"#, None),
        ("web-1/health", r#"{"score":"1"}"#, Some("score")),
        ("web-1/load", r#"{"cpu_utilization":-1}"#, Some("cpu_utilization")),
        (
            "web-1/load",
            r#"{"cpu_utilization":1e300}"#,
            Some("cpu_utilization"),
        ),
        ("web-1/load", r#"{"mem_utilization":2}"#, Some("mem_utilization")),
        ("web-1/load", "{}", None),
        ("web-1/load", r#"{"cpu":0.5}"#, Some("cpu")),
    ] {
        let wrong = problem(&put(path, body), 400);
        let named = wrong["errors"][0]["field"].as_str();
        assert_eq!(named, field, "{path} {body}: {wrong}");
        assert!(!wrong["detail"].as_str().unwrap().is_empty());
    }
    let many = problem(&put("web-9", r#"{"address":"x","weight":0,"zzz":1}"#), 400);
    assert_eq!(many["errors"].as_array().unwrap().len(), 3, "{many}");
    for (method, target, body) in [
        ("POST", "drain", r#"{"why":"x"}"#),
        ("POST", "drain", r#"{"reason":"a\nb"}"#),
        ("POST", "drain", r#"{"reason":" "}"#),
        ("POST", "undrain", r#"{"reason":"x"}"#),
    ] {
        problem(&served(&fleet, method, &format!("{WEB_1}/{target}"), body), 400);
    }
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(300));
    problem(&served(&fleet, "POST", &format!("{WEB_1}/drain"), &long), 400);
    let unknown = problem(
        &served(&fleet, "PUT", "/api/v1/services/wbe/instances/a/health", "{}"),
        404,
    );
    assert_eq!(unknown["did_you_mean"], "web");
    let unknown = problem(&put("web-9/health", r#"{"score":1}"#), 404);
    assert!(unknown["did_you_mean"].is_string(), "{unknown}");
    assert_eq!(kinds(&fleet), Vec::<String>::new());
}

#[test]
fn bodies_are_bounded_and_json() {
    let fleet = Fleet::new(usual());
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000));
    problem(&served(&fleet, "POST", &format!("{WEB_1}/drain"), &huge), 413);
    let form =
        format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    problem(
        &send_with(
            fleet.address(),
            "POST",
            &format!("{WEB_1}/drain"),
            &form,
            "reason=x",
        ),
        415,
    );
    let json = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json; charset=utf-8\r\n");
    let reply = fleet.serve(|address| send_with(address, "POST", &format!("{WEB_1}/drain"), &json, "{}"));
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[test]
fn changing_takes_the_token() {
    let fleet = Fleet::new(usual());
    let writes = [
        ("PUT", "", r#"{"address":"127.0.0.1:9001"}"#),
        ("DELETE", "", ""),
        ("PUT", "/health", r#"{"score":0}"#),
        ("PUT", "/load", r#"{"cpu_utilization":1}"#),
        ("POST", "/drain", ""),
        ("POST", "/undrain", ""),
    ];
    let mut targets: Vec<_> = writes
        .map(|(method, end, body)| (method, format!("{WEB_1}{end}"), body))
        .into();
    targets.push((
        "PATCH",
        "/api/v1/services/web".to_owned(),
        r#"{"strategy":"random"}"#,
    ));
    for (method, target, body) in &targets {
        let without = send_with(fleet.address(), method, target, "", body);
        let missing = problem(&without, 401);
        assert_eq!(
            without.header("www-authenticate"),
            Some("Bearer realm=\"evenkeel\"")
        );
        assert!(
            missing["detail"]
                .as_str()
                .unwrap()
                .contains("Authorization: Bearer"),
            "{missing}"
        );
        for wrong in [
            "Authorization: Bearer a-token-for-tests-alon\r\n",
            "Authorization: Bearer a-token-for-tests-alone2\r\n",
            "Authorization: Bearer A-TOKEN-FOR-TESTS-ALONE\r\n",
        ] {
            let reply = send_with(fleet.address(), method, target, wrong, body);
            problem(&reply, 401);
            let challenge = reply.header("www-authenticate").unwrap();
            assert!(challenge.contains("invalid_token"), "{challenge}");
        }
        let twice = format!("Authorization: Bearer {TOKEN}\r\n").repeat(2);
        problem(&send_with(fleet.address(), method, target, &twice, body), 401);
        let basic = format!("Authorization: Basic {TOKEN}\r\n");
        problem(&send_with(fleet.address(), method, target, &basic, body), 401);
    }
    // A token in the path is none.
    problem(
        &send_with(
            fleet.address(),
            "DELETE",
            &format!("{WEB_1}?token={TOKEN}"),
            "",
            "",
        ),
        401,
    );
    assert_eq!(kinds(&fleet), Vec::<String>::new());
    assert_eq!(
        fleet
            .balancer
            .service("web")
            .unwrap()
            .view_full()
            .members()
            .count(),
        3
    );
    // Reading stays open to this machine.
    assert_eq!(get(fleet.address(), WEB_1).status, 200);
}

#[test]
fn without_a_token_nobody_changes_anything() {
    let fleet = Fleet::closed(usual());
    let refused = problem(&send(fleet.address(), "DELETE", WEB_1, ""), 403);
    assert!(
        refused["detail"].as_str().unwrap().contains("state_dir"),
        "{refused}"
    );
    assert_eq!(get(fleet.address(), WEB_1).status, 200);
    let states = fleet.balancer.service("web").unwrap().view_full();
    assert!(
        states
            .members()
            .all(|(_, _, status)| status.state == InstanceState::Healthy)
    );
}

#[test]
fn a_name_of_somebody_else_is_refused_before_the_token_is_looked_at() {
    let fleet = Fleet::new(usual());
    let request = format!(
        "DELETE {WEB_1} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    problem(&ask(fleet.address(), &request), 403);
}

/// Whoever may register cannot take nearly all requests.
#[test]
fn weights_that_are_registered_have_a_bound() {
    let fleet = Fleet::new(usual());
    let body = |weight: u32| json!({ "address": "10.0.0.7:80", "weight": weight }).to_string();
    let at = "/api/v1/services/web/instances/heavy";
    let problem = problem(&served(&fleet, "PUT", at, &body(1001)), 400);
    assert_eq!(problem["errors"][0]["field"], "weight");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("1001") && detail.contains("admin.max_weight"),
        "{detail}"
    );
    assert_eq!(
        written(&served(&fleet, "PUT", at, &body(1000))).instance.weight,
        1000
    );
    assert_eq!(served(&fleet, "PUT", at, &body(65535)).status, 400);
    let kept = get(fleet.address(), at).json();
    assert_eq!(kept["weight"], 1000);
}

#[test]
fn what_the_strategy_could_not_choose_among_is_a_conflict() {
    let many = |n| (1..=n).map(|i| instance(&format!("web-{i}"), 9000 + i)).collect();
    let mut web = service("web", many(1022));
    let fleet = Fleet::new(vec![web.clone()]);
    let patch = r#"{"strategy":{"name":"maglev","compatibility":"envoy","table_size":1021}}"#;
    let refused = problem(&served(&fleet, "PATCH", "/api/v1/services/web", patch), 409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("strategy: maglev does not suit") && detail.contains("make `table_size`"),
        "{detail}"
    );
    assert!(kinds(&fleet).is_empty());

    let request: ServicePatch = read_body(patch).unwrap();
    let Ok(Operation::SetStrategy(strategy)) = request.operation("web") else {
        panic!("another operation")
    };
    (web.instances, web.settings.strategy) = (many(1021), strategy);
    let fleet = Fleet::new(vec![web]);
    let target = "/api/v1/services/web/instances/web-1022";
    let body = r#"{"address":"127.0.0.1:1022"}"#;
    let refused = problem(&served(&fleet, "PUT", target, body), 409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("1022 instances share a table"), "{detail}");
    assert!(kinds(&fleet).is_empty());
    assert_eq!(get(fleet.address(), target).status, 404);
}
