//! Whoever asks for a change may go before it is in force: it happens whole, or not at all.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use evenkeel::{Effect, Error, LoadBalancer, LoadReport, ServiceSettings, StrategyName, Weight};

use crate::support::{PATIENCE, fleet, instance};

/// Polls once, as `select!` with something that is ready does, and lets go.
fn poll_once<T>(future: impl Future<Output = T>) {
    let _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap();
}

fn names(balancer: &LoadBalancer) -> Vec<String> {
    balancer.services().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_service_that_was_configured_stays() {
    let balancer = fleet(1).await;
    poll_once(balancer.configure(ServiceSettings {
        strategy: StrategyName::random.into(),
        ..ServiceSettings::new("api")
    }));
    until(|| balancer.services().len() == 2).await;
    balancer.configure(ServiceSettings::new("db")).await.unwrap();
    assert_eq!(names(&balancer), ["api", "db", "web"]);

    // Settings of one that is there.
    poll_once(balancer.configure(ServiceSettings {
        strategy: StrategyName::round_robin.into(),
        ..ServiceSettings::new("web")
    }));
    let strategy = || balancer.explain("web").unwrap().strategy;
    until(|| strategy() == StrategyName::round_robin).await;
    let checks = balancer.start_checks("web", evenkeel::Checks::tcp()).await;
    checks.unwrap().stop().await.unwrap();
    assert_eq!(strategy(), StrategyName::round_robin);
    assert_eq!(balancer.explain("api").unwrap().strategy, StrategyName::random);

    poll_once(balancer.remove_service("api"));
    until(|| names(&balancer) == ["db", "web"]).await;
    let again = balancer.remove_service("api").await;
    assert_eq!(again, Err(Error::UnknownService("api".into())));
}

#[tokio::test]
async fn the_first_instance_comes_with_its_service() {
    let balancer = LoadBalancer::new();
    poll_once(balancer.register_instance("web", instance("a", 9001)));
    until(|| balancer.get_instance("web").is_ok()).await;
    let again = balancer.register_instance("web", instance("a", 9001)).await;
    assert_eq!(again, Ok(Effect::Unchanged));
    poll_once(balancer.register_instance("web", instance("b", 9002)));
    until(|| balancer.explain("web").unwrap().instances.len() == 2).await;
}

#[tokio::test]
async fn a_strategy_outlasts_the_next_settings() {
    let balancer = fleet(1).await;
    poll_once(balancer.set_strategy("web", StrategyName::random));
    let strategy = || balancer.explain("web").unwrap().strategy;
    until(|| strategy() == StrategyName::random).await;
    let checks = balancer.start_checks("web", evenkeel::Checks::tcp()).await;
    checks.unwrap().stop().await.unwrap();
    assert_eq!(strategy(), StrategyName::random);
}

#[tokio::test]
async fn changes_of_an_instance_are_whole() {
    let balancer = fleet(3).await;
    let report = LoadReport::default().with_cpu(0.5).unwrap();
    poll_once(balancer.drain("web", "a", "moves"));
    poll_once(balancer.set_weight("web", "a", Weight::new(7).unwrap()));
    poll_once(balancer.report_load("web", "a", report));
    poll_once(balancer.update_instance_health("web", "b", 0.3));
    poll_once(balancer.deregister_instance("web", "c"));
    // One writer takes them in their order.
    until(|| balancer.explain("web").unwrap().instances.len() == 2).await;
    let explained = balancer.explain("web").unwrap();
    let a = explained.instance("a").unwrap();
    assert_eq!((a.state.as_str(), a.instance.weight.get()), ("draining", 7));
    assert_eq!(a.reported.map(|(report, _)| report), Some(report));
    let told = balancer.update_instance_health("web", "b", 0.3).await;
    assert_eq!(told, Ok(Effect::Unchanged));
    poll_once(balancer.undrain("web", "a"));
    until(|| {
        balancer
            .explain("web")
            .unwrap()
            .instance("a")
            .unwrap()
            .excluded
            .is_none()
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_that_nobody_waits_for_can_be_asked_for_again() {
    let balancer = fleet(1).await;
    poll_once(balancer.shutdown());
    tokio::time::timeout(PATIENCE, balancer.shutdown()).await.unwrap();
    let refused = balancer.configure(ServiceSettings::new("web")).await.unwrap_err();
    assert!(refused.to_string().contains("shut down"), "{refused}");
}
