//! Requests that are not passed on.

use std::time::Duration;

use evenkeel_h1::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{Peer, field};
use crate::support::{Backend, GET, OK, Rig, SHORT, Server, Setup, until, within};

#[tokio::test]
async fn each_fault_has_its_status_and_ends_the_connection() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.listener.routes[0].host = Some("x".into());
    setup.max_body = Some(10);
    setup.limits = Limits {
        max_head_bytes: 512,
        max_target_bytes: 256,
        max_fields: 10,
        ..Limits::default()
    };
    let rig = setup.start().await;
    let long = "a".repeat(400);
    let many = "X-A: b\r\n".repeat(10);
    let rows = [
        (400, "http_request_error", "GET / HTTP/1.1\r\n\r\n"),
        (400, "http_request_error", "GET /\r\n\r\n"),
        (
            400,
            "http_request_error",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        ),
        (400, "http_request_error", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
        (400, "http_request_error", "GET / HTTP/1.1\nHost: x\n\n"),
        (
            400,
            "http_request_error",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
        ),
        (
            400,
            "http_request_error",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            400,
            "http_request_error",
            "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            400,
            "http_request_error",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ),
        (
            400,
            "http_request_error",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\nx",
        ),
        (
            404,
            "destination_not_found",
            "POST / HTTP/1.1\r\nHost: y\r\nContent-Length: 1\r\n\r\n",
        ),
        (
            413,
            "http_request_error",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n",
        ),
        (
            414,
            "http_request_error",
            &format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            417,
            "http_request_error",
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: a-reply\r\nContent-Length: 1\r\n\r\n",
        ),
        (
            431,
            "http_request_error",
            &format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {long}{long}\r\n\r\n"),
        ),
        (
            431,
            "http_request_error",
            &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        ),
        (
            501,
            "http_request_denied",
            "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        (
            501,
            "http_request_error",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ),
        (505, "http_request_error", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        (505, "http_request_error", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];
    for (status, error, text) in &rows {
        let mut client = rig.request(text).await;
        let response = client.response().await;
        response.expect_error(*status, error);
        assert_eq!(field(&response.head, "connection"), Some("close"), "{text}");
        client.ended().await;
    }
    assert_eq!(rig.proxy.counters().bad_requests(), rows.len() as u64);
    assert!(!backend.is_called());
    // Not at the limits.
    let mut client = rig
        .request(&format!(
            "POST /{} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
            &long[..255]
        ))
        .await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
}

#[tokio::test]
async fn refusals_of_head_requests_have_no_body() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.listener.routes[0].host = Some("x".into());
    let rig = setup.start().await;
    for (status, text) in [
        (404, "HEAD / HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n"),
        (400, "HEAD / HTTP/1.1\r\n\r\n"),
    ] {
        let mut client = rig.request(text).await;
        let response = client.bodiless().await;
        assert_ne!(field(&response.expect(status).head, "content-length"), Some("0"));
        client.ended().await;
    }
}

#[tokio::test]
async fn a_well_formed_request_that_is_not_served_costs_no_connection() {
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[server.address]);
    setup.listener.routes[0].host = Some("x".into());
    let rig = setup.start().await;
    let unrouted = "GET / HTTP/1.1\r\nHost: y\r\n\r\n";
    let mut client = rig.request(&format!("{unrouted}{GET}{unrouted}{GET}")).await;
    for status in [404, 200, 404, 200] {
        let response = client.response().await;
        assert_eq!(field(&response.expect(status).head, "connection"), None);
    }
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_times_out() {
    let mut setup = Setup::new(&[]);
    setup.listener.client_header = SHORT;
    let rig = setup.start_standing().await;
    let mut client = rig.request("GET / HTTP/1.1\r\nHost").await;
    rig.passing(client.response())
        .await
        .expect_error(408, "http_request_error");
    rig.passing(client.ended()).await;
    // One that never begins has asked for nothing.
    let mut client = rig.client().await;
    rig.passing(client.ended()).await;
    rig.passing(until(|| rig.proxy.counters().open() == 0)).await;
}

#[tokio::test]
async fn an_idle_client_is_let_go() {
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[server.address]);
    setup.listener.client_idle = SHORT;
    let rig = setup.start().await;
    let mut client = rig.request(GET).await;
    client.response().await.expect(200);
    client.ended().await;
}

#[tokio::test]
async fn a_head_that_breaks_off_is_refused() {
    let rig = Setup::new(&[]).start().await;
    let mut client = rig.request("GET / HTTP/1.1\r\nHost").await;
    client.finish().await;
    client.response().await.expect_error(400, "http_request_error");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_times_out() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.listener.body_idle = SHORT;
    let rig = setup.start().await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
        .await;
    let (mut instance, _) = backend.request().await;
    let response = client.response().await;
    response.expect_error(408, "http_request_error");
    assert_eq!(field(&response.head, "connection"), Some("close"));
    instance.expect("body").await;
    instance.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 0, 1], "the instance is not to blame");
}

#[tokio::test]
async fn a_client_that_stalls_within_its_body_is_not_the_instances_fault() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.body_idle = SHORT;
    setup.listener.body_idle = SHORT;
    let rig = setup.start_standing().await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
        .await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
        .await;
    client.bodiless().await.expect(200);
    client.expect("4\r\nbody\r\n").await;
    rig.passing(client.ended()).await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 0, 1]);
}

#[tokio::test]
async fn chunks_beyond_the_limit_are_refused_as_they_come() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.max_body = Some(100);
    let rig = setup.start().await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("3c\r\n{}\r\n", "a".repeat(60));
    let mut client = rig.request(&format!("{head}{chunk}")).await;
    let (mut instance, _) = backend.request().await;
    instance.expect(&chunk).await;
    client.send(&chunk).await;
    client.response().await.expect_error(413, "http_request_error");
    instance.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 0, 1]);

    // All of it at once, with the head.
    let mut client = rig.request(&format!("{head}{chunk}{chunk}0\r\n\r\n")).await;
    client.response().await.expect_error(413, "http_request_error");
    assert!(!backend.is_called());
}

#[tokio::test]
async fn the_framing_of_chunks_does_not_count_against_the_limit() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.max_body = Some(100);
    let rig = setup.start().await;
    let body = format!("{}0\r\n\r\n", "1\r\na\r\n".repeat(100));
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.send(&body).await;
    let (mut instance, _) = backend.request().await;
    instance.expect(&body).await;
    instance.send(OK).await;
    client.response().await.expect(200);
}

#[tokio::test]
async fn no_refusal_follows_a_part_of_an_early_hint() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.limits.max_head_bytes = 256 * 1024;
    let rig = setup.start().await;
    // On a busy machine what is slow may look full, and then the refusal stands alone, as it should.
    for patience in [500, 2_000, 8_000, 32_000].map(Duration::from_millis) {
        let read = hinted_and_refused(&backend, &rig, patience).await;
        let mut rest = &read[..];
        while let Some((_, more)) = rest
            .strip_prefix("HTTP/1.1 103 Hint\r\n")
            .and_then(|hint| hint.split_once("\r\n\r\n"))
        {
            rest = more;
        }
        if !(rest.is_empty() || rest.starts_with("HTTP/1.1 400 ")) {
            assert!(rest.starts_with("HTTP/1.1 103 "), "no part of a hint");
            assert!(!rest.contains(" 400 "), "a refusal within another head");
            return;
        }
    }
    panic!("the client never held all it could");
}

/// What a client gets that sends something wrong in return for more early hints than it takes: so many that for
/// `patience` no more leave.
async fn hinted_and_refused(backend: &Backend, rig: &Rig, patience: Duration) -> String {
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        .await;
    let (mut instance, _) = backend.request().await;
    // Hints until the client, which does not read, holds all it can.
    let hint = format!("HTTP/1.1 103 Hint\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    loop {
        let sent = instance.stream.write_all(hint.as_bytes());
        match tokio::time::timeout(patience, sent).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => break,
        }
    }
    client.send("bad\n").await;
    let mut read = Vec::new();
    within(async { while matches!(client.stream.read_buf(&mut read).await, Ok(1..)) {} }).await;
    rig.settled().await;
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_client_that_goes_on_sending_still_reads_the_refusal() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.max_body = Some(1000);
    let rig = setup.start().await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n")
        .await;
    for _ in 0..2000 {
        client.send(vec![b'a'; 4000]).await;
    }
    client.response().await.expect_error(413, "http_request_error");
    client.ended().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_counted() {
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[server.address]);
    setup.max_clients = 1;
    let rig = setup.start().await;
    let mut first = rig.request(GET).await;
    first.response().await.expect(200);
    for _ in 0..3 {
        let mut second = rig.client().await;
        let response = second.response().await;
        response.expect_error(503, "connection_limit_reached");
        assert_eq!(field(&response.head, "connection"), Some("close"));
        second.ended().await;
    }
    // Who was refused is counted until its task has ended, which is a little later.
    until(|| rig.proxy.counters().open() == 1).await;
    assert_eq!(rig.proxy.counters().refused(), 3);
    drop(first);
    until(|| rig.proxy.counters().open() == 0).await;
    rig.request(GET).await.response().await.expect(200);
}

#[tokio::test]
async fn an_empty_line_after_a_request_is_not_the_next_one() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.listener.client_header = SHORT;
    setup.listener.client_idle = Duration::from_secs(60);
    let rig = setup.start_standing().await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi\r\n")
        .await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    client.finish().await;
    client.ended().await;
    assert_eq!(rig.proxy.counters().bad_requests(), 0);
    drop(Rig::before(&backend).await);
}

#[tokio::test]
async fn one_connection_too_many_that_has_already_asked_reads_the_refusal() {
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[server.address]);
    setup.max_clients = 0;
    let rig = setup.start().await;
    for _ in 0..20 {
        let stream = std::net::TcpStream::connect(rig.address).unwrap();
        std::io::Write::write_all(&mut &stream, GET.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut client = Peer::new(tokio::net::TcpStream::from_std(stream).unwrap());
        client
            .response()
            .await
            .expect_error(503, "connection_limit_reached");
    }
    assert!(server.heads().is_empty());
}
