//! Instances that do not answer, and such as do and take their time.

use std::time::Duration;

use evenkeel::{InstanceState, Lease, LoadBalancer, StrategyName};

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

/// Three hundred requests by turns; the others answer in 40 ms, and `of_a` gets each lease of `a`, with its number.
async fn by_turns(of_a: &mut impl FnMut(usize, Lease)) -> LoadBalancer {
    let balancer = fleet(3).await;
    balancer
        .set_strategy("web", StrategyName::round_robin)
        .await
        .unwrap();
    for round in 0..300 {
        let lease = balancer.get_instance("web").unwrap();
        if lease.instance().id.as_str() == "a" {
            of_a(round / 3, lease);
        } else {
            tokio::time::sleep(Duration::from_millis(40)).await;
            lease.succeeded();
        }
    }
    balancer
}

/// An upload is not the instance's time, neither while it goes on nor when its client gives up.
#[tokio::test(start_paused = true)]
async fn who_waits_for_slow_clients_is_not_silent_and_not_slow() {
    let mut uploads = Vec::new();
    let balancer = by_turns(&mut |n, mut lease| {
        lease.client_sends();
        uploads.push(lease);
        // One client in three gives up; the uploads of the others take about 8 s.
        if n % 3 == 2 {
            drop(uploads.swap_remove(0));
        }
    })
    .await;
    let instance = || balancer.explain("web").unwrap().instance("a").unwrap().clone();
    assert_eq!(instance().state, InstanceState::Healthy);
    let mut last = uploads.swap_remove(0);
    last.request_sent();
    tokio::time::sleep(Duration::from_millis(40)).await;
    last.succeeded();
    let time = instance().response_time.unwrap();
    assert!(time < Duration::from_millis(50), "{time:?}");
}

/// The head of a stream is an answer, however long the rest takes.
#[tokio::test(start_paused = true)]
async fn who_streams_to_all_its_callers_is_not_silent() {
    let mut streams = Vec::new();
    let balancer = by_turns(&mut |_, mut lease| {
        lease.head_arrived();
        streams.push(lease);
    })
    .await;
    assert_eq!(streams.len(), 100);
    let explained = balancer.explain("web").unwrap();
    assert_eq!(explained.instance("a").unwrap().state, InstanceState::Healthy);
}
