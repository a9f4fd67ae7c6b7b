//! What an explanation says.

use evenkeel::{Exclusion, InstanceState, LoadReport, NoPick, StrategyName};

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
        assert_eq!((one.in_flight, one.counts), (0, (0, 0)));
    }
    for id in ["a", "b", "c"] {
        balancer.deregister_instance("web", id).await.unwrap();
    }
    let nobody = balancer.explain("web").unwrap();
    assert_eq!(nobody.choice, Err(NoPick::Empty));
    assert!(nobody.to_string().contains("would find nobody"), "{nobody}");
}
