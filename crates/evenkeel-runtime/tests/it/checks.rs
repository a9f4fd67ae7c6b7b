//! Active checks against servers that answer, refuse, hang, fail and close.

use evenkeel_core::{CheckThresholds, EventKind, InstanceState};

use crate::support::*;

#[tokio::test]
async fn transitions_say_why() {
    let healthy = Backend::start(Manner::Status(204)).await;
    let unavailable = Backend::start(Manner::Status(503)).await;
    let hanging = Backend::start(Manner::Hang).await;
    let closing = Backend::start(Manner::Close).await;
    let babbling = Backend::start(Manner::Babble).await;
    let (_refusing, refused) = refusing();
    let rows = [
        ("unavailable", unavailable.address, "status 503, expected 200-399"),
        ("hanging", hanging.address, "no answer within 1s"),
        ("closing", closing.address, "before the response"),
        (
            "babbling",
            babbling.address,
            "unusable answer: invalid HTTP version parsed",
        ),
        ("refusing", refused, "connection refused"),
    ];
    let checked = |name, instances, timeout| {
        let mut spec = spec(name, instances);
        spec.check = Some(http_check(100, timeout));
        spec
    };
    // Only where nothing else can take so long is a time-out waited for.
    let alone = |(id, address, _): &(&str, _, _)| instance(id, *address);
    let (hangs, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.0 == "hanging");
    let mut instances = vec![instance("healthy", healthy.address)];
    instances.extend(others.into_iter().map(alone));
    let balancer = balancer();
    let mut events = balancer.subscribe();
    let specs = vec![
        checked("web", instances, 60_000),
        checked("slow", hangs.into_iter().map(alone).collect(), 1000),
    ];
    balancer.apply(specs).await.unwrap();
    let service = balancer.service("web").unwrap();
    let slow = balancer.service("slow").unwrap();
    poll_until(|| service.view().candidates().len() == 1 && slow.view().is_fallback()).await;
    let mut downs = 0;
    while let Ok(event) = events.try_recv() {
        if event.kind == EventKind::FallbackBegan {
            assert_eq!(&*event.service, "slow");
            continue;
        }
        assert_eq!(event.kind, EventKind::CheckedDown, "{event}");
        let id = event.instance.as_ref().unwrap().as_str();
        let (_, _, reason) = rows.iter().find(|row| row.0 == id).unwrap();
        assert!(event.reason.contains(reason), "{event}");
        let told = balancer.service(&event.service).unwrap();
        assert_eq!(status(&told.view_full(), id).reason, event.reason);
        downs += 1;
    }
    assert_eq!(downs, rows.len());
    healthy.more_connections(3).await;
    assert_eq!(status(&service.view(), "healthy").state, InstanceState::Healthy);

    let head = healthy.head();
    assert!(head.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"), "{head}");
    let host = format!("host: {}\r\n", healthy.address);
    for line in [
        host.as_str(),
        "user-agent: evenkeel-check\r\n",
        "connection: close\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let counts = service.metrics().snapshot();
    assert!(
        counts.checks_passed >= 3 && counts.checks_failed >= 4,
        "{counts:?}"
    );
}

#[tokio::test]
async fn thresholds_are_kept_both_ways() {
    let backend = Backend::start(Manner::Status(200)).await;
    let other = Backend::start(Manner::Status(200)).await;
    let mut spec = spec(
        "web",
        vec![instance("a", backend.address), instance("b", other.address)],
    );
    spec.check = Some(http_check(40, 10_000));
    spec.settings.checks = Some(CheckThresholds {
        unhealthy: 4,
        healthy: 2,
    });
    let balancer = balancer();
    let mut events = balancer.subscribe();
    balancer.apply(vec![spec]).await.unwrap();
    backend.more_connections(2).await;
    backend.set(Manner::Status(500));
    let down = event(&mut events, EventKind::CheckedDown, "a").await;
    assert!(
        down.reason
            .starts_with("4 checks failed in a row, last: status 500"),
        "{down}"
    );
    backend.set(Manner::Status(200));
    let up = event(&mut events, EventKind::CheckedUp, "a").await;
    assert_eq!(&*up.reason, "2 checks passed in a row");
    assert_eq!(balancer.service("web").unwrap().view().candidates().len(), 2);
}

/// Twenty hang for longer than the whole test may take; a checker that went one by one, or in rounds,
/// would come to nobody else a second time.
#[tokio::test]
async fn hanging_instances_delay_nobody() {
    let mut hanging = Vec::new();
    let mut healthy = Vec::new();
    let mut instances = Vec::new();
    for n in 0..20 {
        let backend = Backend::start(Manner::Hang).await;
        instances.push(instance(&format!("hanging-{n}"), backend.address));
        hanging.push(backend);
    }
    for n in 0..5 {
        let backend = Backend::start(Manner::Status(200)).await;
        instances.push(instance(&format!("healthy-{n}"), backend.address));
        healthy.push(backend);
    }
    let mut spec = spec("web", instances);
    spec.check = Some(http_check(100, 120_000));
    let balancer = balancer();
    balancer.apply(vec![spec]).await.unwrap();
    poll_until(|| healthy.iter().all(|b| b.connections() >= 10)).await;
    for backend in &hanging {
        assert_eq!(
            backend.connections(),
            1,
            "never two checks of an instance at once"
        );
    }
    for backend in &healthy {
        assert_eq!(backend.most_open(), 1);
    }
    within(balancer.shutdown()).await;
}

/// A check of the old address is under way when the instance moves: its failure must not count
/// against the new address.
#[tokio::test]
async fn a_result_of_a_former_address_is_dropped() {
    let old = Backend::start(Manner::Hang).await;
    let new = Backend::start(Manner::Status(200)).await;
    let balancer = balancer();
    let mut spec = spec("web", vec![instance("a", old.address)]);
    spec.check = Some(http_check(200, 60_000));
    balancer.apply(vec![spec.clone()]).await.unwrap();
    poll_until(|| old.connections() == 1).await;
    spec.instances = vec![instance("a", new.address)];
    balancer.apply(vec![spec]).await.unwrap();
    assert_eq!(old.connections(), 1);
    // It closes, so the check of it fails now.
    drop(old);
    new.more_connections(3).await;
    let events = balancer.recent_events();
    let downs = events.iter().filter(|e| e.kind == EventKind::CheckedDown);
    assert_eq!(downs.count(), 0, "{events:?}");
}

#[tokio::test]
async fn replacing_keeps_what_checks_know_and_adds_at_once() {
    let (_refusing, refused) = refusing();
    let healthy = Backend::start(Manner::Status(200)).await;
    let late = Backend::start(Manner::Status(200)).await;
    let balancer = balancer();
    let mut events = balancer.subscribe();
    let instances = vec![instance("bad", refused), instance("good", healthy.address)];
    let mut spec = spec("web", instances);
    // Long enough that only first checks happen here.
    spec.check = Some(http_check(3_600_000, 10_000));
    balancer.apply(vec![spec.clone()]).await.unwrap();
    let down = event(&mut events, EventKind::CheckedDown, "bad").await;
    poll_until(|| healthy.connections() == 1).await;

    spec.instances.push(instance("late", late.address));
    balancer.apply(vec![spec.clone()]).await.unwrap();
    let service = balancer.service("web").unwrap();
    assert_eq!(status(&service.view(), "bad").since, down.at, "health is kept");
    poll_until(|| late.connections() == 1).await;
    assert_eq!(healthy.connections(), 1, "schedules are kept");

    spec.check = None;
    balancer.apply(vec![spec]).await.unwrap();
    assert_eq!(
        service.view().candidates().len(),
        3,
        "without checks nobody is down"
    );
}

#[tokio::test]
async fn a_tcp_check_of_another_port_connects_and_closes() {
    let backend = Backend::start(Manner::Hang).await;
    let (_refusing, refused) = refusing();
    let balancer = balancer();
    let mut spec = spec("web", vec![instance("a", refused)]);
    let mut check = tcp_check(50, 10_000);
    check.port = Some(backend.address.port());
    spec.check = Some(check);
    balancer.apply(vec![spec]).await.unwrap();
    backend.more_connections(5).await;
    let service = balancer.service("web").unwrap();
    assert_eq!(status(&service.view(), "a").state, InstanceState::Healthy);
    assert_eq!(backend.most_open(), 1);
    // What it took to connect is known before any request.
    let view = service.view_full();
    let (_, member, _) = view.members().next().unwrap();
    poll_until(|| member.stats().distance().samples() >= 3).await;
    assert_eq!(member.stats().picks(), 0);
}

/// Two thousand instances behind one address, all checked in the first second or so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_instances_are_all_checked() {
    let backend = Backend::start(Manner::Status(200)).await;
    let instances = (0..2000)
        .map(|n| instance(&format!("i{n}"), backend.address))
        .collect();
    let mut spec = spec("web", instances);
    spec.check = Some(tcp_check(5000, 20_000));
    let balancer = balancer();
    balancer.apply(vec![spec]).await.unwrap();
    let service = balancer.service("web").unwrap();
    poll_until(|| service.metrics().snapshot().checks_passed >= 2000).await;
    assert_eq!(service.metrics().snapshot().checks_failed, 0);
}
