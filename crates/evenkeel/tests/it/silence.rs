//! Instances that do not answer, and such as do and take their time.

use std::time::Duration;

use evenkeel::{InstanceState, StrategyName};

use crate::support::fleet;

/// Drops are all that tells of it: no answer, no error, no time-out of the balancer's own.
#[tokio::test(start_paused = true)]
async fn who_hangs_is_found_though_callers_give_up_in_a_third_of_a_second() {
    let balancer = fleet(3).await;
    balancer
        .set_strategy("web", StrategyName::round_robin)
        .await
        .unwrap();
    let state = |id: &str| {
        let explained = balancer.explain("web").unwrap();
        explained.instance(id).unwrap().state
    };
    for _ in 0..100 {
        let lease = balancer.get_instance("web").unwrap();
        if lease.instance().id.as_str() == "a" {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(lease);
        } else {
            tokio::time::sleep(Duration::from_millis(8)).await;
            lease.succeeded();
        }
    }
    assert!(
        matches!(state("a"), InstanceState::Ejected { .. }),
        "{:?}",
        state("a")
    );
    assert_eq!(state("b"), InstanceState::Healthy);
}

/// The head of a stream is an answer, however long the rest takes.
#[tokio::test(start_paused = true)]
async fn who_streams_to_all_its_callers_is_not_silent() {
    let balancer = fleet(3).await;
    balancer
        .set_strategy("web", StrategyName::round_robin)
        .await
        .unwrap();
    let mut streams = Vec::new();
    for _ in 0..300 {
        let mut lease = balancer.get_instance("web").unwrap();
        if lease.instance().id.as_str() == "a" {
            lease.head_arrived();
            streams.push(lease);
        } else {
            tokio::time::sleep(Duration::from_millis(40)).await;
            lease.succeeded();
        }
    }
    assert_eq!(streams.len(), 100);
    let explained = balancer.explain("web").unwrap();
    assert_eq!(explained.instance("a").unwrap().state, InstanceState::Healthy);
}
