//! Connections to the next region before requests need them.

use std::net::SocketAddr;

use evenkeel_core::strategy::Geographical;
use evenkeel_core::{StrategyName, StrategySettings};
use evenkeel_runtime::RetryReason;

use crate::peer::Peer;
use crate::support::{Backend, GET, OK, Rig, SHORT, Setup, until};

/// Near first, then in the order of names, as nobody goes astray to learn latencies.
fn from_eu(instances: &[SocketAddr], regions: &'static [&'static str], warm_connections: u32) -> Setup {
    Setup {
        regions,
        strategy: StrategySettings::geographical(Geographical {
            from: vec!["eu".into()],
            within: Box::new(StrategyName::round_robin.into()),
            probe: false,
            warm_connections,
            ..Geographical::default()
        }),
        ..Setup::new(instances)
    }
}

/// Connections to a backend that no request came over.
async fn unasked(backend: &Backend, count: usize) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(backend.accept().await);
    }
    peers
}

/// Answers the only request so far, and is gone.
async fn serves_one_and_dies(rig: &Rig, home: &Backend) {
    let mut client = rig.request(GET).await;
    let (mut peer, _) = home.request().await;
    peer.send(OK).await;
    client.response().await.expect(200);
    home.stop();
}

#[tokio::test]
async fn the_first_requests_after_a_failover_find_their_connections_open() {
    let mut backends = Vec::new();
    for _ in 0..4 {
        backends.push(Backend::start().await);
    }
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let rig = from_eu(&addresses, &["eu", "us", "us", "va"], 2).start().await;
    let mut warm = unasked(&backends[1], 2).await;
    warm.extend(unasked(&backends[2], 2).await);
    // To the region after the next, too.
    let _last = unasked(&backends[3], 2).await;
    // Their distances are known by that.
    let view = rig.service().view_full();
    let known = |id: &str| {
        let mut members = view.members();
        let (_, member, _) = members
            .find(|(_, member, _)| member.instance().id.as_str() == id)
            .unwrap();
        member.stats().distance().samples()
    };
    until(|| (known("i-1"), known("i-2"), known("i-3")) == (2, 2, 2)).await;
    assert_eq!(known("i-0"), 0);
    serves_one_and_dies(&rig, &backends[0]).await;
    assert_eq!(known("i-0"), 1);

    let mut clients = Vec::new();
    for _ in &warm {
        clients.push(rig.request(GET).await);
    }
    for peer in &mut warm {
        peer.head().await;
        peer.send(OK).await;
    }
    for client in &mut clients {
        client.response().await.expect(200);
    }
    assert!(backends[1..].iter().all(|backend| !backend.is_called()));
    // Home was tried first.
    assert_eq!(rig.retries(RetryReason::Connect), 4);
}

#[tokio::test]
async fn a_warm_connection_that_closes_as_it_is_first_used_costs_nothing() {
    let (home, next) = (Backend::start().await, Backend::start().await);
    let mut setup = from_eu(&[home.address, next.address], &["eu", "us"], 1);
    setup.retry_attempts = 1;
    let rig = setup.start_standing().await;
    let mut warm = next.accept().await;
    serves_one_and_dies(&rig, &home).await;
    let mut client = rig.request(GET).await;
    warm.head().await;
    drop(warm);
    let (mut peer, _) = next.request().await;
    peer.send(OK).await;
    client.response().await.expect(200);
    assert_eq!(rig.retries(RetryReason::StaleConnection), 1);
}

#[tokio::test]
async fn warm_connections_are_renewed_and_who_does_not_want_them_is_not_blamed() {
    let (home, next) = (Backend::start().await, Backend::start().await);
    let mut setup = from_eu(&[home.address, next.address], &["eu", "us"], 1);
    setup.idle = SHORT;
    let rig = setup.start().await;
    // Its time ran out.
    let mut first = next.accept().await;
    first.ended().await;
    // Refused, so there is a pause.
    next.accept().await.reset();
    let _third = next.accept().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0; 4]);
}

#[tokio::test]
async fn no_more_are_kept_than_an_instance_may_have() {
    let (home, next) = (Backend::start().await, Backend::start().await);
    let mut setup = from_eu(&[home.address, next.address], &["eu", "us"], 5);
    setup.connections_per_instance = 2;
    let rig = setup.start().await;
    let _warm = unasked(&next, 2).await;
    serves_one_and_dies(&rig, &home).await;
    assert!(!next.is_called());
}
