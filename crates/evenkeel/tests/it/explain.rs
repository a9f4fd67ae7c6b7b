//! What an explanation says.

use std::time::Duration;

use evenkeel::{
    BreakerState, EventKind, Exclusion, InstanceState, LoadReport, NoPick, RequestCounts, Source,
    StrategyName,
};

use crate::support::{fleet, instance};

#[tokio::test]
async fn every_instance_says_where_it_stands_and_why() {
    let balancer = fleet(2).await;
    balancer
        .set_strategy("web", StrategyName::least_connections)
        .await
        .unwrap();
    balancer
        .register_instance("web", instance("later", 9009).with_priority(1))
        .await
        .unwrap();
    let spare = balancer.explain("web").unwrap();
    let spare = spare.instance("later").unwrap();
    assert_eq!(
        (spare.state, spare.excluded),
        (InstanceState::Healthy, Some(Exclusion::Priority))
    );
    assert_eq!(spare.share, 0.0);
    balancer.deregister_instance("web", "later").await.unwrap();
    balancer.drain("web", "b", "a new release").await.unwrap();
    let report = LoadReport::default().with_cpu(0.5).unwrap();
    balancer.report_load("web", "a", report).await.unwrap();
    let held = balancer.get_instance("web").unwrap();

    let explained = balancer.explain("web").unwrap();
    assert_eq!(explained.strategy, StrategyName::least_connections);
    assert!(!explained.fallback);
    let [a, b] = ["a", "b"].map(|id| explained.instance(id).unwrap());
    assert_eq!((a.state, a.excluded), (InstanceState::Healthy, None));
    assert_eq!((a.in_flight, a.share, a.response_time), (1, 1.0, None));
    assert_eq!(a.reported, Some((report, 1.0)));
    assert_eq!(
        (b.state, b.excluded),
        (InstanceState::Draining, Some(Exclusion::Draining))
    );
    assert!(b.reason.contains("a new release"), "{}", b.reason);
    assert_eq!((b.share, b.in_flight), (0.0, 0));
    assert_eq!(
        explained.choice.as_ref().map(evenkeel::InstanceId::as_str),
        Ok("a")
    );

    let table = explained.to_string();
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.ends_with("a pick would choose a"), "{table}");
    held.succeeded();
}

#[tokio::test]
async fn asking_counts_nothing() {
    let balancer = fleet(3).await;
    for _ in 0..50 {
        balancer.explain("web").unwrap();
    }
    let explained = balancer.explain("web").unwrap();
    for one in &explained.instances {
        assert_eq!((one.in_flight, one.counts), (0, RequestCounts::default()));
    }
    for id in ["a", "b", "c"] {
        balancer.deregister_instance("web", id).await.unwrap();
    }
    let nobody = balancer.explain("web").unwrap();
    assert_eq!(nobody.choice, Err(NoPick::Empty));
    assert!(nobody.to_string().contains("would find nobody"), "{nobody}");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_an_instance_without_asking_the_strategy() {
    let balancer = fleet(2).await;
    let of = |id: &str| {
        let known = balancer.instances("web").unwrap();
        known
            .into_iter()
            .find(|one| one.instance.id.as_str() == id)
            .unwrap()
    };
    let fresh = of("a");
    assert_eq!(
        (fresh.last_used, fresh.quantiles, fresh.ejected_for),
        (None, None, None)
    );
    assert_eq!(
        (fresh.breaker, fresh.source),
        (BreakerState::Closed, Source::Registration)
    );

    balancer.drain("web", "b", "").await.unwrap();
    let get = || balancer.get_instance("web").unwrap();
    let slow = get();
    tokio::time::advance(Duration::from_millis(20)).await;
    slow.succeeded();
    get().answered_with(429);
    get().cancelled();
    get().failed();
    get().failed();
    let _held = get();
    tokio::time::advance(Duration::from_secs(3)).await;
    let used = of("a");
    let expected = RequestCounts {
        picks: 6,
        successes: 1,
        failures: 2,
        throttled: 1,
        cancelled: 1,
        consecutive_failures: 2,
    };
    assert_eq!((used.counts, used.in_flight), (expected, 1));
    assert_eq!(used.last_used, Some(Duration::from_secs(3)));
    let quantiles = used.quantiles.unwrap();
    assert!(
        quantiles.p50 <= quantiles.p90 && quantiles.p90 <= quantiles.p99,
        "{quantiles:?}"
    );
    assert!(used.success_share < 1.0);
    let drained = of("b");
    assert_eq!(
        (drained.excluded, drained.counts.picks),
        (Some(Exclusion::Draining), 0)
    );
    assert!(balancer.instances("wbe").is_err());
}

#[tokio::test(start_paused = true)]
async fn an_ejection_says_how_long_it_lasts() {
    let balancer = fleet(3).await;
    let mut events = balancer.subscribe();
    while !matches!(events.try_recv(), Ok(event) if event.kind == EventKind::Ejected) {
        let lease = balancer.get_instance("web").unwrap();
        match lease.instance().id.as_str() {
            "a" => lease.failed(),
            _ => lease.succeeded(),
        }
        tokio::task::yield_now().await;
    }
    let known = balancer.instances("web").unwrap();
    assert_eq!(known[0].breaker, BreakerState::Open);
    let left = known[0].ejected_for.unwrap();
    assert!(
        left > Duration::from_secs(4) && left < Duration::from_secs(6),
        "{left:?}"
    );
    assert_eq!(known[1].ejected_for, None);
}
