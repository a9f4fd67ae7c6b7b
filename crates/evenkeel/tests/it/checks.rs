//! Checks that somebody holds.

use std::time::Duration;

use evenkeel::{Checks, Error, EventKind, Exclusion, Instance, LoadBalancer};
use tokio::net::{TcpListener, TcpSocket};

use crate::support::PATIENCE;

/// One instance that takes connections, and one that refuses them.
async fn half_sick() -> (LoadBalancer, (TcpListener, TcpSocket)) {
    let balancer = LoadBalancer::new();
    let well = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Bound and never listening: nobody else gets the port, and it refuses.
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    for (id, address) in [
        ("well", well.local_addr().unwrap()),
        ("gone", gone.local_addr().unwrap()),
    ] {
        let instance = Instance::new(id, address).unwrap();
        balancer.register_instance("web", instance).await.unwrap();
    }
    (balancer, (well, gone))
}

async fn until(balancer: &LoadBalancer, kind: EventKind, act: impl AsyncFnOnce()) {
    let mut events = balancer.subscribe();
    act().await;
    let seen = async { while events.recv().await.unwrap().kind != kind {} };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
}

fn excluded(balancer: &LoadBalancer, id: &str) -> Option<Exclusion> {
    let explained = balancer.explain("web").unwrap();
    explained.instance(id).unwrap().excluded
}

#[tokio::test]
async fn they_run_while_they_are_held() {
    let (balancer, _sockets) = half_sick().await;
    let checks = || Checks::tcp().every(Duration::from_millis(50));
    let mut running = None;
    until(&balancer, EventKind::CheckedDown, async || {
        running = Some(balancer.start_checks("web", checks()).await.unwrap());
    })
    .await;
    assert_eq!(excluded(&balancer, "gone"), Some(Exclusion::Down));
    assert_eq!(excluded(&balancer, "well"), None);

    // Others take their place, and the end of the first does not end them.
    let second = balancer.start_checks("web", checks()).await.unwrap();
    running.take().unwrap().stop().await.unwrap();
    assert_eq!(excluded(&balancer, "gone"), Some(Exclusion::Down));

    until(&balancer, EventKind::CheckedUp, async || drop(second)).await;
    assert_eq!(
        excluded(&balancer, "gone"),
        None,
        "nobody says anything against it any more"
    );
}

#[tokio::test]
async fn bad_settings_are_named() {
    let (balancer, _sockets) = half_sick().await;
    let error = balancer
        .start_checks("web", Checks::http("healthz"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("path"), "{error}");
    let error = balancer.start_checks("wbe", Checks::tcp()).await.unwrap_err();
    assert_eq!(error, Error::UnknownService("wbe".into()));
    assert_eq!(excluded(&balancer, "gone"), None);
}
