//! `/livez` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_admin::{AdminSettings, ProcessCounters, Readiness, Shared, spawn};
use evenkeel_core::InstanceState;
use evenkeel_runtime::{Balancer, CheckKind, CheckSettings, Clock};

use crate::client::get;
use crate::fleet::{Fleet, instance, service, usual};

#[test]
fn alive_from_the_first_moment() {
    let fleet = Fleet::new(Vec::new());
    let reply = get(fleet.address(), "/livez");
    assert_eq!((reply.status, &*reply.body), (200, "ok\n"));
}

#[test]
fn readiness_follows_the_life_of_the_process() {
    let fleet = Fleet::new(usual());
    let ask = || {
        let reply = get(fleet.address(), "/readyz");
        (reply.status, reply.body)
    };
    let (status, body) = ask();
    assert_eq!(status, 503);
    assert!(body.starts_with("not ready\nfailed: starting: "), "{body}");

    fleet.readiness.set_ready(true);
    assert_eq!(ask(), (200, "ready\n".to_owned()));
    let verbose = get(fleet.address(), "/readyz?verbose").body;
    assert!(
        verbose.contains("ok: configuration loaded, listeners bound"),
        "{verbose}"
    );
    assert!(
        verbose.contains("ok: service web: 3 of 3 instances healthy"),
        "{verbose}"
    );

    fleet.readiness.set_draining();
    let (status, body) = ask();
    assert_eq!(status, 503);
    assert!(body.contains("failed: draining since 20"), "{body}");
    assert_eq!(get(fleet.address(), "/livez").status, 200, "draining is alive");
}

#[test]
fn one_empty_service_among_others_is_told_and_does_not_count() {
    let mut specs = usual();
    specs.push(service("empty", Vec::new()));
    let fleet = Fleet::new(specs);
    fleet.readiness.set_ready(true);
    let reply = get(fleet.address(), "/readyz");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.body,
        "ready\ndegraded: service empty: it has no instances\n"
    );
}

#[test]
fn without_any_service_that_is_well_the_process_is_not_ready() {
    let fleet = Fleet::new(vec![service("web", Vec::new())]);
    fleet.readiness.set_ready(true);
    let reply = get(fleet.address(), "/readyz");
    assert_eq!(reply.status, 503);
    assert_eq!(
        reply.body,
        "not ready\nfailed: service web: it has no instances\n"
    );
    assert_eq!(get(fleet.address(), "/readyz?exclude=services").status, 200);
    fleet.apply(usual());
    assert_eq!(get(fleet.address(), "/readyz").status, 200);
}

#[test]
fn a_service_below_its_minimum_says_so() {
    let mut sick = service("web", vec![instance("a", 9001), instance("b", 9002)]);
    sick.check = Some(CheckSettings {
        kind: CheckKind::Tcp,
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        jitter: 0.0,
        // Nobody serves tcpmux.
        port: Some(1),
    });
    let fleet = Fleet::new(vec![sick.clone()]);
    fleet.readiness.set_ready(true);
    fleet.until("web", |view| {
        view.members()
            .all(|(_, _, status)| status.state == InstanceState::Down)
    });
    let ill =
        "service web: 0 of 2 instances healthy, fewer than its minimum; 2 are used, whatever checks say\n";
    let reply = get(fleet.address(), "/readyz");
    assert_eq!(
        (reply.status, reply.body),
        (503, format!("not ready\nfailed: {ill}"))
    );

    fleet.apply(vec![sick, service("api", vec![instance("c", 9003)])]);
    let reply = get(fleet.address(), "/readyz");
    assert_eq!(
        (reply.status, reply.body),
        (200, format!("ready\ndegraded: {ill}"))
    );
}

#[test]
fn instances_that_may_not_be_used_do_not_count_as_healthy() {
    let mut web = service("web", vec![instance("a", 9001), instance("b", 9002)]);
    web.instances[1].region = Some("us".into());
    web.settings.regions.deny.insert("us".into());
    let fleet = Fleet::new(vec![web]);
    fleet.readiness.set_ready(true);
    assert_eq!(
        get(fleet.address(), "/readyz?verbose").body.lines().last(),
        Some("ok: service web: 1 of 1 instances healthy (1 more not permitted by `locality`)")
    );
}

#[test]
fn an_address_in_use_is_an_error_that_helps() {
    let fleet = Fleet::new(Vec::new());
    let taken: SocketAddr = fleet.address();
    let shared = Shared {
        balancer: Balancer::new(Clock::start(), 1),
        readiness: Arc::new(Readiness::default()),
        process: Arc::new(ProcessCounters::new("1")),
        token: None,
        max_weight: 1000,
        metrics: true,
        sources: Vec::new(),
    };
    let error = spawn(AdminSettings { listen: taken }, shared)
        .unwrap_err()
        .to_string();
    for part in [
        format!("admin: cannot listen on {taken}: "),
        "in use".to_owned(),
        format!("sport = :{}", taken.port()),
        "--admin".to_owned(),
    ] {
        assert!(error.contains(&part), "{part} in {error}");
    }
}

#[test]
fn an_address_of_another_machine_is_an_error_that_helps() {
    let shared = Shared {
        balancer: Balancer::new(Clock::start(), 1),
        readiness: Arc::new(Readiness::default()),
        process: Arc::new(ProcessCounters::new("1")),
        token: None,
        max_weight: 1000,
        metrics: true,
        sources: Vec::new(),
    };
    // A documentation address (RFC 5737) belongs to no interface.
    let listen = SocketAddr::from(([192, 0, 2, 1], 9901));
    let error = spawn(AdminSettings { listen }, shared).unwrap_err().to_string();
    assert!(
        error.contains("no interface of this machine has the address 192.0.2.1"),
        "{error}"
    );
}
