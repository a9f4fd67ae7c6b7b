//! Outcomes of requests reach the writer at once; time brings instances back.

use evenkeel_core::{EventKind, InstanceState, Nanos, PickContext, PickRequest, StrategyName};

use crate::support::*;

/// In paused time nothing passes while tasks can run: an event with the time of the last failure
/// cannot have waited for a tick.
#[tokio::test(start_paused = true)]
async fn an_alarm_ejects_before_the_next_tick() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("abc"))]).await.unwrap();
    let mut events = balancer.subscribe();
    // Paused time moves on only when every task waits: the tick of the first second is over after it.
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    let service = balancer.service("web").unwrap();
    let mut reader = service.reader();
    let now = balancer.clock().now();
    assert_eq!(reader.view().candidates().len(), 3);

    fail_at(&service, "b", 5, now);
    let ejected = event(&mut events, EventKind::Ejected, "b").await;
    assert_eq!(ejected.at, now, "{ejected}");
    assert_eq!(balancer.clock().now(), now);
    assert_eq!(service.view().candidates().len(), 2);
    assert_eq!(reader.view().candidates().len(), 2, "readers see the new view");
    assert!(matches!(
        status(&service.view(), "b").state,
        InstanceState::Ejected { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn an_ejected_instance_returns_in_time() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("abc"))]).await.unwrap();
    let mut events = balancer.subscribe();
    let service = balancer.service("web").unwrap();
    let began = balancer.clock().now();
    fail_at(&service, "b", 5, began);
    event(&mut events, EventKind::Ejected, "b").await;
    let InstanceState::Ejected { until } = status(&service.view(), "b").state else {
        panic!("it is ejected");
    };
    let returned = event(&mut events, EventKind::Returned, "b").await;
    // Timers have a resolution of a millisecond.
    let late = returned.at.since(until);
    assert!(
        returned.at >= until && late <= Nanos::from_millis(2),
        "{late} late"
    );
    assert!((4..=6).contains(&(until.since(began).0 / 1_000_000_000)));
    assert_eq!(service.view().candidates().len(), 3);
}

/// Checks call all three down, requests one of them: that one is left out.
#[tokio::test]
async fn in_fallback_requests_decide() {
    let (_refusing, address) = refusing();
    let ids = ["a", "b", "c"];
    let balancer = balancer();
    let mut spec = spec("web", ids.map(|id| instance(id, address)).into());
    spec.check = Some(tcp_check(1000, 1000));
    let mut events = balancer.subscribe();
    balancer.apply(vec![spec]).await.unwrap();
    let service = balancer.service("web").unwrap();
    poll_until(|| service.view().is_fallback()).await;
    assert_eq!(service.view().candidates().len(), 3);
    fail_at(&service, "b", 5, balancer.clock().now());
    event(&mut events, EventKind::Ejected, "b").await;
    let view = service.view_full();
    assert!(view.is_fallback());
    assert_eq!(view.candidates().len(), 2);
    let status = status(&view, "b");
    assert_eq!(status.state, InstanceState::Down);
    assert!(status.ejected_until.is_some(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn picks_in_fallback_are_counted() {
    let (_refusing, address) = refusing();
    let balancer = balancer();
    let mut spec = spec("web", vec![instance("a", address)]);
    spec.check = Some(tcp_check(1000, 1000));
    let mut events = balancer.subscribe();
    balancer.apply(vec![spec]).await.unwrap();
    let service = balancer.service("web").unwrap();
    event(&mut events, EventKind::CheckedDown, "a").await;
    assert!(service.view().is_fallback());
    let mut cx = PickContext::new(1);
    for _ in 0..3 {
        assert!(service.pick(&PickRequest::default(), &mut cx).is_ok());
        assert!(service.reader().pick(&PickRequest::default(), &mut cx).is_ok());
    }
    assert_eq!(service.metrics().snapshot().fallback_picks, 6);
}

#[tokio::test(start_paused = true)]
async fn requests_from_regions_where_nobody_is_are_counted() {
    let balancer = balancer();
    let mut spec = spec("web", letters("ab"));
    spec.instances[0].region = Some("eu".into());
    for (strategy, expected) in [
        (StrategyName::geographical, 2),
        // Does not ask.
        (StrategyName::round_robin, 2),
    ] {
        spec.settings.strategy = strategy.into();
        balancer.apply(vec![spec.clone()]).await.unwrap();
        let service = balancer.service("web").unwrap();
        let mut cx = PickContext::new(1);
        for region in [None, Some(""), Some("eu"), Some("mars"), Some("EU")] {
            let request = PickRequest {
                region,
                ..PickRequest::default()
            };
            assert!(service.pick(&request, &mut cx).is_ok());
        }
        assert_eq!(
            service.metrics().snapshot().unknown_regions,
            expected,
            "{strategy}"
        );
    }
}
