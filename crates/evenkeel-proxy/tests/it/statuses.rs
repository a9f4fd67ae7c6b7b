//! Responses that are failures: which are tried again on another instance, and which reach the client.

use evenkeel_core::NoRetry;
use evenkeel_runtime::RetryReason;

use crate::peer::{Peer, field};
use crate::support::{Backend, GET, OK, Server, Setup};

const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Oh No\r\nContent-Length: 6\r\n\r\nbroken";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy";

/// The next request, at either backend.
async fn either(a: &Backend, b: &Backend) -> Peer {
    tokio::select! { peer = a.request() => peer.0, peer = b.request() => peer.0 }
}

#[tokio::test]
async fn an_instance_that_always_fails_costs_no_get() {
    let (bad, good) = (Server::start(BROKEN).await, Server::start(OK).await);
    let rig = Setup::new(&[bad.address, good.address]).start().await;
    let mut client = rig.client().await;
    for _ in 0..100 {
        client.send(GET).await;
        assert_eq!(client.response().await.expect(200).body, "ok");
    }
    let retries = rig.retries(RetryReason::Status);
    assert!(retries >= 49, "{retries}");
    rig.settled().await;
    // Each answer counts for the instance that gave it, and only the client's for the service.
    assert_eq!(rig.tally(), [0, 100, retries, 0]);
    assert_eq!(rig.metrics().responses, [0, 100, 0, 0, 0]);
    assert_eq!(bad.heads().len() as u64, retries);
}

#[tokio::test]
async fn what_must_not_be_repeated_is_not() {
    let (bad, good) = (Server::start(BROKEN).await, Server::start(OK).await);
    let rig = Setup::new(&[bad.address, good.address]).start().await;
    let mut client = rig.client().await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        client.send(POST).await;
        let response = client.response().await;
        if response.status() == 500 {
            assert!(
                response.head.starts_with("HTTP/1.1 500 Oh No\r\n"),
                "{response:?}"
            );
            assert_eq!(response.body, "broken");
        }
        statuses.push(response.status());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 5);
    assert_eq!(rig.retries(RetryReason::Status), 0);
}

#[tokio::test]
async fn other_statuses_are_answers() {
    for answer in [
        "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (one, other) = (Server::start(answer).await, Server::start(answer).await);
        let rig = Setup::new(&[one.address, other.address]).start().await;
        let response = rig.request(GET).await.response().await;
        assert!(answer.starts_with(&response.head[..15]), "{response:?}");
        assert_eq!(one.heads().len() + other.heads().len(), 1);
    }
}

#[tokio::test]
async fn the_last_answer_goes_through_unchanged() {
    // With and without another instance to ask.
    for count in [1, 3] {
        let mut servers = Vec::new();
        for _ in 0..count {
            servers.push(Server::start(BUSY).await);
        }
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        let rig = Setup::new(&addresses).start().await;
        let mut client = rig.client().await;
        for _ in 0..2 {
            client.send(GET).await;
            let response = client.response().await;
            response.expect(503);
            assert!(response.head.starts_with("HTTP/1.1 503 Busy\r\n"), "{response:?}");
            assert_eq!(field(&response.head, "retry-after"), Some("7"));
            assert_eq!(field(&response.head, "proxy-status"), None);
            assert_eq!(response.body, "busy");
        }
        // Each was asked once by each request, and no connection was lost over it.
        assert!(servers.iter().all(|server| server.heads().len() == 2));
        assert_eq!(rig.retries(RetryReason::Status), 2 * (count - 1));
        rig.settled().await;
        assert_eq!(rig.tally(), [0, 0, 2 * count, 0]);
        assert_eq!(rig.metrics().responses, [0, 0, 0, 0, 2]);
    }
}

#[tokio::test]
async fn retries_do_not_multiply_the_load_when_everything_fails() {
    let servers = [
        Server::start(BROKEN).await,
        Server::start(BROKEN).await,
        Server::start(BROKEN).await,
    ];
    let rig = Setup::new(&servers.each_ref().map(|server| server.address))
        .start()
        .await;
    let requests = 4_000;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = rig.client().await;
        clients.spawn(async move {
            for _ in 0..requests / 8 {
                client.send(GET).await;
                client.response().await.expect(500);
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let asked: usize = servers.iter().map(|server| server.heads().len()).sum();
    let retries = rig.retries(RetryReason::Status) as usize;
    assert_eq!(asked, requests + retries);
    // None succeeds: so many until that is known, with those that leak and probe meanwhile, in a minute at most.
    assert!((10..500).contains(&retries), "{retries}");
}

#[tokio::test]
async fn a_response_to_head_is_tried_again_too() {
    // It announces a body that does not come.
    let (bad, good) = (
        Server::start("HTTP/1.1 500 Oh No\r\nContent-Length: 6\r\n\r\n").await,
        Server::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await,
    );
    let rig = Setup::new(&[bad.address, good.address]).start().await;
    let mut client = rig.client().await;
    for _ in 0..4 {
        client.send(HEAD).await;
        client.bodiless().await.expect(200);
    }
    assert!(rig.retries(RetryReason::Status) >= 1);
}

#[tokio::test]
async fn after_an_interim_response_the_answer_goes_through() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let rig = Setup::new(&[a.address, b.address]).start().await;
    let mut client = rig.request(GET).await;
    let mut instance = either(&a, &b).await;
    instance.send("HTTP/1.1 103 Hints\r\n\r\n").await;
    client.bodiless().await.expect(103);
    instance.send(BROKEN).await;
    client.response().await.expect(500);
    // In one piece, too.
    let mut client = rig.request("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let hinted = format!("HTTP/1.1 103 Hints\r\n\r\n{BROKEN}");
    tokio::select! {
        _ = instance.head() => instance.send(&hinted).await,
        mut other = either(&a, &b) => other.send(&hinted).await,
    }
    client.bodiless().await.expect(103);
    client.response().await.expect(500);
    assert_eq!(rig.retries(RetryReason::Status), 0);
    // A client of HTTP/1.0 gets no interim responses, so it has nothing yet.
    let (bad, good) = (
        Server::start("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await,
        Server::start(OK).await,
    );
    let rig = Setup::new(&[bad.address, good.address]).start().await;
    for _ in 0..2 {
        let mut client = rig.request("GET / HTTP/1.0\r\n\r\n").await;
        client.response().await.expect(200);
    }
    assert!(rig.retries(RetryReason::Status) >= 1);
}

#[tokio::test]
async fn the_connection_is_kept_when_the_whole_answer_is_here() {
    for (answer, kept) in [
        (BROKEN, true),
        (
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", true),
        (
            "HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nthe rest comes later",
            false,
        ),
        (
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n",
            false,
        ),
        (
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nmalformed\r\n",
            false,
        ),
        (
            "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 More\r\n\r\n",
            false,
        ),
        ("HTTP/1.0 500 No\r\n\r\nuntil the end", false),
    ] {
        let (bad, good) = (Backend::start().await, Server::start(OK).await);
        let rig = Setup::new(&[bad.address, good.address]).start().await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut instance = tokio::select! {
            (peer, _) = bad.request() => peer,
            response = client.response() => {
                response.expect(200);
                client.send(GET).await;
                bad.request().await.0
            }
        };
        instance.send(answer).await;
        client.response().await.expect(200);
        if !kept {
            instance.ended().await;
            continue;
        }
        // Its turn comes again within two requests.
        client.send(GET).await;
        tokio::select! {
            _ = instance.head() => {}
            response = client.response() => {
                response.expect(200);
                client.send(GET).await;
                instance.head().await;
            }
        }
        instance.send(OK).await;
        client.response().await.expect(200);
        assert!(!bad.is_called(), "{answer}");
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions_after_a_retry() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let rig = Setup::new(&[a.address, b.address]).start().await;
    let mut client = rig
        .request("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 70004\r\n\r\nbody")
        .await;
    let mut first = either(&a, &b).await;
    first.expect("body").await;
    // Before the request has ended.
    first.send(BROKEN).await;
    let mut second = either(&a, &b).await;
    first.ended().await;
    second.expect("body").await;
    let rest = "r".repeat(70_000);
    tokio::join!(client.send(&rest), async {
        second.expect(&rest).await;
    });
    second
        .send("HTTP/1.1 200 OK\r\nContent-Length: 100002\r\n\r\nok")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    client.expect("ok").await;
    let more = "m".repeat(100_000);
    tokio::join!(second.send(&more), async {
        client.expect(&more).await;
    });
    // The connection of the client goes on.
    client.send(PUT).await;
    let mut next = tokio::select! { peer = either(&a, &b) => peer, _ = second.head() => second };
    next.expect("body").await;
    next.send(OK).await;
    client.response().await.expect(200);
    assert_eq!(rig.retries(RetryReason::Status), 1);
}

#[tokio::test]
async fn a_body_too_long_to_keep_is_sent_once() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let rig = Setup::new(&[a.address, b.address]).start().await;
    let body = "a".repeat(100_000);
    let mut client = rig
        .request(&format!(
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{body}"
        ))
        .await;
    let mut instance = either(&a, &b).await;
    instance.expect(&body).await;
    instance.send(BROKEN).await;
    client.response().await.expect(500);
    assert_eq!(rig.retries(RetryReason::Status), 0);
}

#[tokio::test]
async fn what_is_tried_again_is_a_choice() {
    let (_socket, dead) = crate::support::refusing();
    let (bad, good) = (Server::start(BUSY).await, Server::start(OK).await);
    let mut setup = Setup::new(&[bad.address, dead, good.address]);
    setup.retry_on.statuses = [429, 500].into_iter().collect();
    setup.retry_on.connect = false;
    let rig = setup.start().await;
    let mut client = rig.client().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        client.send(GET).await;
        statuses.push(client.response().await.status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502, 503]);

    let limited = Server::start("HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n").await;
    let mut setup = Setup::new(&[limited.address, good.address]);
    setup.retry_on.statuses = [429].into_iter().collect();
    let rig = setup.start().await;
    let mut client = rig.client().await;
    for _ in 0..4 {
        client.send(GET).await;
        client.response().await.expect(200);
    }
}

#[tokio::test]
async fn an_answer_is_not_given_up_for_an_instance_without_a_connection_left() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let mut setup = Setup::new(&[a.address, b.address]);
    setup.connections_per_instance = 1;
    let rig = setup.start().await;
    // Both work on a request; the one that fails has nobody to hand it to.
    let mut one = rig.request(GET).await;
    let mut first = either(&a, &b).await;
    let mut other = rig.request(GET).await;
    let mut second = either(&a, &b).await;
    first.send(BROKEN).await;
    one.response().await.expect(500);
    // Now there is one.
    second.send(BROKEN).await;
    first.head().await;
    first.send(OK).await;
    other.response().await.expect(200);
    assert_eq!(rig.retries(RetryReason::Status), 1);
}

#[tokio::test]
async fn retries_in_vain_stop_and_those_that_succeed_go_on() {
    let (bad, worse) = (Server::start(BROKEN).await, Server::start(BUSY).await);
    let rig = Setup::new(&[bad.address, worse.address]).start_standing().await;
    let mut client = rig.client().await;
    for _ in 0..60 {
        client.send(GET).await;
        assert!(client.response().await.status() >= 500);
    }
    let refused = |rig: &crate::support::Rig| rig.metrics().refused_retries;
    // At 20 a second allowed the bucket holds ten, of which five leak in a second.
    let retries = rig.retries(RetryReason::Status);
    assert!((10..40).contains(&retries), "{retries}");
    assert_eq!(
        refused(&rig),
        [(NoRetry::Budget, 0), (NoRetry::InVain, 60 - retries)]
    );

    let good = Server::start(OK).await;
    let rig = Setup::new(&[bad.address, good.address]).start().await;
    let mut client = rig.client().await;
    for _ in 0..60 {
        client.send(GET).await;
        client.response().await.expect(200);
    }
    assert_eq!(refused(&rig), [(NoRetry::Budget, 0), (NoRetry::InVain, 0)]);
}
