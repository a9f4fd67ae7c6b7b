//! Changes of a running service through its handle.

use evenkeel_core::strategy::{ConsistentHash, RingKind};
use evenkeel_core::{
    Effect, EventKind, InstanceId, LoadReport, NoPick, OperationError, PickContext, PickRequest, Source,
    StrategyName, StrategySettings, Weight,
};
use evenkeel_runtime::OperateError;

use crate::support::*;

fn id(id: &str) -> InstanceId {
    InstanceId::new(id).unwrap()
}

#[tokio::test]
async fn what_an_operation_did_is_in_force_when_it_returns() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("ab"))]).await.unwrap();
    let web = balancer.service("web").unwrap();
    let [c]: [_; 1] = letters("c").try_into().unwrap();
    assert_eq!(web.register(c.clone()).await, Ok(Effect::Registered));
    assert_eq!(web.register(c).await, Ok(Effect::Unchanged));
    assert_eq!(web.view().candidates().len(), 3);
    assert_eq!(status(&web.view(), "c").source, Source::Registration);

    let weight = Weight::new(9).unwrap();
    assert_eq!(web.set_weight(&id("c"), weight).await, Ok(Effect::Changed));
    assert_eq!(web.view().candidates().base_weights().max(), Some(9));
    assert_eq!(web.drain(&id("a"), "moves").await, Ok(Effect::Changed));
    assert_eq!(&*status(&web.view(), "a").reason, "moves");
    assert_eq!(web.view().candidates().len(), 2);
    assert_eq!(web.undrain(&id("a")).await, Ok(Effect::Changed));
    assert_eq!(web.view().candidates().len(), 3);
    let random = StrategyName::random.into();
    assert_eq!(web.set_strategy(random).await, Ok(Effect::Changed));
    assert_eq!(web.view().strategy(), StrategyName::random);

    let now = balancer.clock().now();
    assert_eq!(web.report_health(&id("b"), 0.5, now).await, Ok(Effect::Changed));
    let report = LoadReport::default().with_cpu(0.4).unwrap();
    assert_eq!(web.report_load(&id("b"), report, now).await, Ok(Effect::Changed));
    let view = web.view_full();
    let b = view
        .members()
        .find(|(_, m, _)| m.instance().id == id("b"))
        .unwrap()
        .1;
    assert_eq!(b.stats().reported().observed(), Some(now));

    assert_eq!(web.deregister(&id("b")).await, Ok(Effect::Changed));
    assert_eq!(web.view().candidates().len(), 2);
    let kinds: Vec<_> = balancer.recent_events().iter().map(|e| e.kind).collect();
    assert_eq!(
        kinds[kinds.len() - 6..],
        [
            EventKind::Registered,
            EventKind::Changed,
            EventKind::Drained,
            EventKind::Undrained,
            EventKind::StrategyChanged,
            EventKind::Deregistered
        ]
    );
}

#[tokio::test]
async fn errors_say_which_service_and_field() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("a"))]).await.unwrap();
    let web = balancer.service("web").unwrap();
    let error = web.deregister(&id("x")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "service web: id: the service has no instance x; register it first"
    );
    let now = balancer.clock().now();
    for score in [f64::NAN, -0.1, 1.1] {
        let error = web.report_health(&id("a"), score, now).await.unwrap_err();
        let OperateError::Refused { source, .. } = error else {
            panic!("{error}");
        };
        assert!(matches!(source, OperationError::Score(_)), "{source}");
    }
    balancer.apply(vec![]).await.unwrap();
    let gone = OperateError::Gone("web".into());
    assert_eq!(web.undrain(&id("a")).await, Err(gone.clone()));
    balancer.shutdown().await;
    assert_eq!(web.undrain(&id("a")).await, Err(gone));
}

#[tokio::test]
async fn registrations_survive_a_new_configuration() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("ab"))]).await.unwrap();
    let web = balancer.service("web").unwrap();
    for instance in letters("cd") {
        web.register(instance).await.unwrap();
    }
    web.drain(&id("d"), "moves").await.unwrap();
    balancer.apply(vec![spec("web", letters("b"))]).await.unwrap();
    let view = web.view_full();
    let seen = view.members();
    let seen: Vec<_> = seen
        .map(|(_, m, s)| format!("{} {} {}", m.instance().id, s.state.as_str(), s.source.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            "b healthy configuration",
            "c healthy registration",
            "d draining registration"
        ]
    );
}

#[tokio::test]
async fn a_registered_instance_is_checked() {
    let backend = Backend::start(Manner::Status(200)).await;
    let sick = Backend::start(Manner::Status(500)).await;
    let balancer = balancer();
    let mut web = spec("web", vec![]);
    web.check = Some(http_check(20, 1000));
    balancer.apply(vec![web]).await.unwrap();
    let web = balancer.service("web").unwrap();
    let mut cx = PickContext::new(1);
    let none = web.pick(&PickRequest::default(), &mut cx).unwrap_err();
    assert_eq!(none, NoPick::Empty);
    web.register(instance("good", backend.address)).await.unwrap();
    web.register(instance("sick", sick.address)).await.unwrap();
    within(backend.more_connections(2)).await;
    poll_until(|| status(&web.view(), "sick").state.as_str() == "down").await;
    assert_eq!(web.view().candidates().len(), 1);
}

/// Under this strategy weights may add up to 52428.
fn ketama() -> StrategySettings {
    StrategySettings::consistent_hash(ConsistentHash {
        ring: RingKind::Ketama,
        ..ConsistentHash::default()
    })
}

#[tokio::test]
async fn what_the_strategy_could_not_choose_among_is_refused() {
    let balancer = balancer();
    let heavy = |letter| {
        let [instance]: [_; 1] = letters(letter).try_into().unwrap();
        instance.with_weight(Weight::new(52_428).unwrap())
    };
    let with = |strategy, instances| {
        let mut spec = spec("web", instances);
        spec.settings.strategy = strategy;
        spec
    };
    let error = balancer
        .apply(vec![with(ketama(), vec![heavy("a"), heavy("b")])])
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with(
            "service web: strategy: consistent_hash does not suit its instances: weights add up to 104856"
        ),
        "{error}"
    );
    assert!(balancer.services().is_empty());

    balancer.apply(vec![with(ketama(), letters("a"))]).await.unwrap();
    let web = balancer.service("web").unwrap();
    let error = web.register(heavy("b")).await.unwrap_err();
    assert!(
        error.to_string().starts_with("service web: strategy: ") && error.to_string().contains("52429"),
        "{error}"
    );
    balancer
        .apply(vec![with(StrategyName::random.into(), letters("a"))])
        .await
        .unwrap();
    web.register(heavy("b")).await.unwrap();
    let error = web.set_strategy(ketama()).await.unwrap_err();
    let OperateError::Refused { source, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(source, OperationError::Unsuitable { .. }), "{source}");
    assert_eq!(web.view().strategy(), StrategyName::random);
}

/// Nobody is routed by a shadow, so nobody is refused for its sake.
#[tokio::test]
async fn a_shadow_that_does_not_suit_is_idle_and_refuses_no_configuration() {
    let balancer = balancer();
    let shadowed = || {
        let mut web = spec("web", letters("a"));
        web.settings.strategy = StrategyName::random.into();
        web.settings.shadow = Some(ketama());
        vec![web]
    };
    balancer.apply(shadowed()).await.unwrap();
    let web = balancer.service("web").unwrap();
    assert_eq!(web.view().shadow_idle(), None);
    let [one_more]: [_; 1] = letters("b").try_into().unwrap();
    let one_more = one_more.with_weight(Weight::new(52_428).unwrap());
    web.register(one_more).await.unwrap();
    assert!(web.view().shadow_idle().unwrap().contains("add up to 52429"));
    balancer.apply(shadowed()).await.unwrap();
    assert!(web.view().shadow_idle().is_some());
    web.set_strategy(StrategyName::round_robin.into()).await.unwrap();
    // Who asks for it by name is told.
    web.set_shadow(None).await.unwrap();
    let error = web.set_shadow(Some(ketama())).await.unwrap_err();
    assert!(error.to_string().contains("add up to 52429"), "{error}");
}

#[tokio::test]
async fn a_configuration_that_does_not_suit_what_is_registered_changes_nothing() {
    let balancer = balancer();
    let two = |strategy: StrategySettings, of_first: &str| {
        let mut web = spec("web", letters("a"));
        web.settings.strategy = strategy;
        vec![spec("first", letters(of_first)), web]
    };
    balancer
        .apply(two(StrategyName::random.into(), "a"))
        .await
        .unwrap();
    let web = balancer.service("web").unwrap();
    let [b]: [_; 1] = letters("b").try_into().unwrap();
    let heavy = b.clone().with_weight(Weight::new(60_000).unwrap());
    web.register(heavy).await.unwrap();
    let before = [web.view_full(), balancer.service("first").unwrap().view_full()];
    let error = balancer.apply(two(ketama(), "bc")).await.unwrap_err().to_string();
    for part in [
        "service web: strategy: ",
        "60001",
        "1 of them were registered at run time",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let after = [web.view_full(), balancer.service("first").unwrap().view_full()];
    for (before, after) in before.iter().zip(&after) {
        assert!(std::sync::Arc::ptr_eq(before, after));
    }
    // What it declares itself counts once, and as it says.
    let mut declared = two(ketama(), "bc");
    declared[1].instances.push(b);
    balancer.apply(declared).await.unwrap();
    assert_eq!(web.view().strategy(), StrategyName::consistent_hash);
}
