//! What is sent again, and what is not.

use evenkeel_runtime::RetryReason;

use crate::support::{Backend, GET, OK, SHORT, Server, Setup, refusing, silent, until};

const PUT: &str = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

#[tokio::test]
async fn refused_connections_are_retried_elsewhere() {
    let (_socket, dead) = refusing();
    let server = Server::start(OK).await;
    let rig = Setup::new(&[dead, server.address]).start().await;
    let mut client = rig.client().await;
    for _ in 0..6 {
        client.send(GET).await;
        client.response().await.expect(200);
    }
    assert!(rig.retries(RetryReason::Connect) >= 2);
    // Nothing was sent, so a request that must not be repeated may go elsewhere, too.
    let backend = Backend::start().await;
    let rig = Setup::new(&[dead, dead, backend.address]).start().await;
    for _ in 0..3 {
        let mut client = rig.request(POST).await;
        let (mut instance, _) = backend.request().await;
        instance.expect("body").await;
        instance
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
        client.response().await.expect(200);
    }
    rig.settled().await;
    assert_eq!(rig.tally()[1], 3);
}

#[tokio::test]
async fn when_all_refuse_the_client_learns_it_and_goes_on() {
    let (_socket, dead) = refusing();
    let rig = Setup::new(&[dead, dead]).start().await;
    let mut client = rig.request(GET).await;
    client.response().await.expect_error(502, "connection_refused");
    client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.bodiless().await.expect(502);
    client.send(GET).await;
    client.response().await.expect_error(502, "connection_refused");
    rig.settled().await;
    // Each request asks each instance once.
    assert_eq!(rig.tally(), [0, 0, 6, 0]);
}

#[tokio::test]
async fn the_only_instance_is_not_asked_again() {
    let (_socket, dead) = refusing();
    let rig = Setup::new(&[dead]).start().await;
    rig.request(GET)
        .await
        .response()
        .await
        .expect_error(502, "connection_refused");
    assert_eq!(rig.tally()[2], 1);
    assert_eq!(rig.retries(RetryReason::Connect), 0);
}

#[tokio::test]
async fn after_a_time_out_a_kept_connection_of_another_instance_serves_the_request() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let mut setup = Setup::new(&[a.address, b.address]);
    setup.response = SHORT;
    let rig = setup.start_standing().await;
    let mut client = rig.client().await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        client.send(GET).await;
        let (mut instance, _) = tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
        instance.send(OK).await;
        client.response().await.expect(200);
        kept.push(instance);
    }
    client.send(GET).await;
    let [first, second] = &mut kept[..] else {
        unreachable!()
    };
    first.head().await;
    // And says nothing more.
    rig.passing(second.head()).await;
    second.send(OK).await;
    client.response().await.expect(200);
}

#[tokio::test]
async fn a_request_is_not_repeated_once_a_byte_of_its_response_came() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let mut setup = Setup::new(&[a.address, b.address]);
    setup.response = SHORT;
    let rig = setup.start_standing().await;
    for (begin, end, status, error) in [
        ("HTTP/1.1 2", false, 504, "http_response_timeout"),
        ("HTTP/1.1 2", true, 502, "http_response_incomplete"),
        (
            "HTTP/1.1 103 Hints\r\n\r\n",
            true,
            502,
            "http_response_incomplete",
        ),
        ("HTTP/1.1 103 Hints\r\n\r\n", false, 504, "http_response_timeout"),
    ] {
        let mut client = rig.request(GET).await;
        let (mut instance, _) = tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
        instance.send(begin).await;
        if end {
            instance.finish().await;
        }
        if begin.contains("103") {
            client.bodiless().await.expect(103);
        }
        // Time passes only where it shall run out: an end that is sent comes in time.
        let response = client.response();
        let response = if end {
            response.await
        } else {
            rig.passing(response).await
        };
        response.expect_error(status, error);
    }
    assert!(!a.is_called() && !b.is_called());
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 4, 0]);
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let backend = Backend::start().await;
    let server = Server::start(OK).await;
    let rig = Setup::new(&[backend.address]).start().await;
    // On a kept connection, and on a new one.
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    client.send(POST).await;
    instance.head().await;
    drop(instance);
    client.response().await.expect_error(502, "connection_terminated");
    client.send(POST).await;
    let (instance, _) = backend.request().await;
    drop(instance);
    client.response().await.expect_error(502, "connection_terminated");
    assert!(!backend.is_called());

    let rig = Setup::new(&[backend.address, server.address]).start().await;
    for _ in 0..2 {
        let mut client = rig.request("POST / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        tokio::select! {
            peer = backend.request() => drop(peer),
            response = client.response() => { response.expect(200); continue; }
        }
        client.response().await.expect(502);
    }
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_put_is_repeated_byte_for_byte() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let rig = Setup::new(&[a.address, b.address]).start().await;
    let chunks = "4\r\nbody\r\n0\r\nX-T: u\r\n\r\n";
    let chunked = format!("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    for (text, body) in [(PUT, "body"), (&chunked, chunks)] {
        // Also when its body comes later than its head.
        for at in [
            text.len(),
            text.find("body").unwrap(),
            text.find("body").unwrap() + 2,
        ] {
            let mut client = rig.request(&text[..at]).await;
            let (mut first, head) = tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
            client.send(&text[at..]).await;
            first.expect(body).await;
            drop(first);
            let (mut second, again) =
                tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
            assert_eq!(head, again);
            second.expect(body).await;
            second
                .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .await;
            client.response().await.expect(200);
        }
    }
    assert_eq!(rig.retries(RetryReason::NoResponse), 6);
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 6, 6, 0]);
}

#[tokio::test]
async fn a_put_with_a_long_body_is_not_repeated() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let rig = Setup::new(&[a.address, b.address]).start().await;
    let body = "a".repeat(100_000);
    let mut client = rig
        .request(&format!(
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{body}"
        ))
        .await;
    let (mut first, _) = tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
    first.expect(&body).await;
    drop(first);
    client.response().await.expect_error(502, "connection_terminated");
    assert!(!a.is_called() && !b.is_called());
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let (_socket, dead) = refusing();
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[dead, server.address]);
    setup.retry_budget = 1e-9;
    let rig = setup.start_standing().await;
    let mut client = rig.client().await;
    let mut failed = 0;
    // A retry takes the next turn of the good instance, too: until the reserve of 200 is used up, every
    // request begins at the bad one; then every second.
    for _ in 0..440 {
        client.send(GET).await;
        failed += u32::from(client.response().await.status() == 502);
    }
    assert_eq!(rig.retries(RetryReason::Connect), 200);
    assert!((119..=120).contains(&failed), "{failed}");
}

#[tokio::test]
async fn without_a_budget_nothing_is_repeated() {
    let (_socket, dead) = refusing();
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[dead, server.address]);
    setup.retry_budget = 0.0;
    let rig = setup.start().await;
    let mut client = rig.client().await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        client.send(GET).await;
        statuses.push(client.response().await.status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    assert_eq!(rig.retries(RetryReason::Connect), 0);
}

#[tokio::test]
async fn requests_under_way_count_for_the_budget() {
    let (dying, good) = (Backend::start().await, Server::start(OK).await);
    let rig = Setup::new(&[dying.address, good.address]).start_standing().await;
    let mut clients = Vec::new();
    let mut held = Vec::new();
    // None has been answered by the instance that dies: more than the reserve allows.
    for _ in 0..600 {
        let mut client = rig.request(GET).await;
        tokio::select! {
            (peer, _) = dying.request() => {
                held.push(peer);
                clients.push(client);
            }
            response = client.response() => drop(response.expect(200)),
        }
    }
    assert_eq!(held.len(), 300);
    drop((held, dying));
    for mut client in clients {
        client.response().await.expect(200);
    }
}

#[tokio::test]
async fn an_instance_that_does_not_take_connections_is_passed_over() {
    let (_sockets, deaf) = silent();
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[deaf, server.address]);
    setup.connect = SHORT;
    let rig = setup.start().await;
    for _ in 0..2 {
        rig.request(POST).await.response().await.expect(200);
    }
    assert!(rig.retries(RetryReason::Connect) >= 1);
    rig.settled().await;
}

#[tokio::test]
async fn an_instance_that_dies_under_load_costs_no_get() {
    let (a, b, c) = (
        Server::start(OK).await,
        Server::start(OK).await,
        Server::start(OK).await,
    );
    let mut setup = Setup::new(&[a.address, b.address, c.address]);
    setup.workers = 2;
    let rig = setup.start().await;
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = rig.client().await;
        load.spawn(async move {
            for _ in 0..50 {
                client.send(GET).await;
                client.response().await.expect(200);
            }
        });
    }
    until(|| a.heads().len() > 100).await;
    drop(a);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    rig.settled().await;
    assert_eq!(rig.tally()[1], 1_000);
}
