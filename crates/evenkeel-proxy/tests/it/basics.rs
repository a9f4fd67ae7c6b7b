//! Whole messages of every shape, in both directions.

use crate::peer::field;
use crate::support::{Backend, GET, OK, Rig, Server};

#[tokio::test]
async fn a_connection_serves_many_requests_on_one_connection_to_the_instance() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    for _ in 0..5 {
        instance.send(OK).await;
        assert_eq!(client.response().await.expect(200).body, "ok");
        client.send(GET).await;
        instance.head().await;
    }
    instance.send(OK).await;
    client.response().await.expect(200);
    assert!(!backend.is_called());
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 6, 0, 0]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let post = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n";
    let mut client = rig.request(&format!("\r\n{GET}{post}{chunked}{GET}")).await;
    let (mut instance, head) = backend.request().await;
    assert!(head.starts_with("GET / HTTP/1.1\r\n"));
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        .await;
    assert!(instance.head().await.starts_with("POST /b "));
    instance.expect("abc").await;
    instance
        .send("HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n2")
        .await;
    assert!(instance.head().await.starts_with("PUT /c "));
    instance.expect("1\r\nz\r\n0\r\n\r\n").await;
    instance.send("HTTP/1.1 204 Gone quiet\r\n\r\n").await;
    assert!(instance.head().await.starts_with("GET / "));
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4")
        .await;
    assert_eq!(client.response().await.expect(200).body, "1");
    assert_eq!(client.response().await.expect(404).body, "2");
    assert!(
        client
            .bodiless()
            .await
            .expect(204)
            .head
            .starts_with("HTTP/1.1 204 Gone quiet\r\n")
    );
    assert_eq!(client.response().await.expect(200).body, "4");
}

#[tokio::test]
async fn bytes_that_come_one_by_one_make_the_same_request_and_response() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.client().await;
    let text = "POST /p?q HTTP/1.1\r\nHost: x\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n\
                5;e=f\r\nhello\r\n000a\r\n0123456789\r\n0\r\nX-T: u\r\n\r\n";
    for byte in text.as_bytes() {
        client.send([*byte]).await;
    }
    let (mut instance, head) = backend.request().await;
    assert!(
        head.starts_with("POST /p?q HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"),
        "{head}"
    );
    instance
        .expect("5\r\nhello\r\na\r\n0123456789\r\n0\r\nX-T: u\r\n\r\n")
        .await;
    for byte in "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nok\r\n0\r\nX-T: u\r\n\r\n"
        .bytes()
    {
        instance.send([byte]).await;
    }
    client.bodiless().await.expect(100);
    client.bodiless().await.expect(200);
    client.expect("2\r\nok\r\n0\r\nX-T: u\r\n\r\n").await;
    client.send(GET).await;
    assert!(instance.head().await.starts_with("GET / "));
}

#[tokio::test]
async fn chunk_extensions_and_forbidden_trailers_are_dropped_both_ways() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let body = "3;a=\"b;c\"\r\nabc\r\n0;x\r\nContent-Length: 5\r\nX-Sum: 1\r\nHost: y\r\n\r\n";
    let clean = "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    let mut client = rig
        .request(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{body}"
        ))
        .await;
    let (mut instance, head) = backend.request().await;
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(field(&head, "trailer"), Some("X-Sum"));
    instance.expect(clean).await;
    instance
        .send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ))
        .await;
    client.bodiless().await.expect(200);
    client.expect(clean).await;
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connection_in_step() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (mut instance, head) = backend.request().await;
    assert!(head.starts_with("HEAD / "));
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        .await;
    let response = client.bodiless().await;
    assert_eq!(field(&response.expect(200).head, "content-length"), Some("1000"));

    client.send(GET).await;
    instance.head().await;
    instance
        .send("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"e\"\r\n\r\n")
        .await;
    let response = client.bodiless().await;
    assert_eq!(field(&response.expect(304).head, "etag"), Some("\"e\""));

    client.send("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    instance.head().await;
    instance
        .send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        .await;
    let response = client.bodiless().await;
    assert_eq!(field(&response.expect(204).head, "content-length"), None);

    client.send(GET).await;
    instance.head().await;
    instance.send("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").await;
    client.response().await.expect(200);
    assert!(!backend.is_called());
}

#[tokio::test]
async fn the_go_ahead_of_an_instance_reaches_a_client_that_waits_for_it() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await;
    let (mut instance, head) = backend.request().await;
    assert_eq!(field(&head, "expect"), Some("100-continue"));
    instance
        .send("HTTP/1.1 100 Continue\r\nX-A: b\r\nConnection: X-B\r\nX-B: c\r\n\r\n")
        .await;
    let go_ahead = client.bodiless().await;
    assert_eq!(
        go_ahead.expect(100).head,
        "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n"
    );
    client.send("body").await;
    instance.expect("body").await;
    instance.send(OK).await;
    client.response().await.expect(200);
    client.send(GET).await;
    instance.head().await;
}

#[tokio::test]
async fn a_refusal_in_place_of_the_go_ahead_ends_the_connection() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
        .await;
    let response = client.response().await;
    assert_eq!(response.expect(401).body, "no");
    // Nobody can tell whether the body still comes.
    assert_eq!(field(&response.head, "connection"), Some("close"));
    client.ended().await;
    instance.ended().await;
    rig.settled().await;
}

#[tokio::test]
async fn early_hints_pass_and_an_http_1_0_client_is_spared_them() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(hints).await;
    assert_eq!(client.bodiless().await.head, hints);
    instance.send(format!("{hints}{hints}{OK}")).await;
    for _ in 0..2 {
        assert_eq!(client.bodiless().await.head, hints);
    }
    client.response().await.expect(200);

    let mut client = rig.request("GET / HTTP/1.0\r\n\r\n").await;
    instance.head().await;
    instance.send(format!("{hints}{OK}")).await;
    client.response().await.expect(200);
    client.ended().await;
}

#[tokio::test]
async fn white_space_before_a_colon_is_taken_out_of_a_response() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 200 OK\r\nDate: now\r\nA \t:b\r\nContent-Length : 2\r\nC: d :\r\n\r\nok")
        .await;
    let response = client.response().await;
    assert_eq!(response.body, "ok");
    assert_eq!(
        response.head,
        "HTTP/1.1 200 OK\r\nDate: now\r\nA: b\r\nContent-Length: 2\r\nC: d :\r\n\r\n"
    );
}

#[tokio::test]
async fn an_instance_that_only_ever_says_wait_is_given_up() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    for _ in 0..100 {
        instance.send("HTTP/1.1 102 Processing\r\n\r\n").await;
        client.bodiless().await.expect(102);
    }
    instance.send("HTTP/1.1 102 Processing\r\n\r\n").await;
    client.response().await.expect_error(504, "http_response_timeout");
    instance.ended().await;
}

#[tokio::test]
async fn an_http_1_0_client_gets_plain_bodies_and_the_end_of_the_connection() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    let (mut instance, head) = backend.request().await;
    // It names no host, and so means where it connected.
    let start = format!("GET /old HTTP/1.1\r\nHost: {}\r\n", rig.address);
    assert!(head.starts_with(&start), "{head}");
    assert!(head.contains("Via: 1.0 evenkeel-"));
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nX-T: u\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!(response.expect(200).body, "abcde");
    assert_eq!(field(&response.head, "transfer-encoding"), None);
    assert_eq!(field(&response.head, "connection"), Some("close"));

    let mut client = rig
        .request("POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    instance.head().await;
    instance.expect("hi").await;
    instance.send(OK).await;
    assert_eq!(client.response().await.expect(200).body, "ok");
    client.ended().await;
}

#[tokio::test]
async fn bodies_that_end_with_the_connection_are_chunked_for_modern_clients() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send("HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nfirst").await;
    let response = client.bodiless().await;
    assert_eq!(
        field(&response.expect(200).head, "transfer-encoding"),
        Some("chunked")
    );
    client.expect("5\r\nfirst\r\n").await;
    instance.send("second").await;
    client.expect("6\r\nsecond\r\n").await;
    drop(instance);
    client.expect("0\r\n\r\n").await;

    // The client's connection goes on; the instance's does not.
    client.send(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
        .await;
    assert_eq!(client.response().await.expect(200).body, "ok");
    client.send(GET).await;
    instance.head().await;
    instance
        .send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.response().await.expect(200).body, "ok");
    instance.ended().await;
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_gets_it() {
    let backend = Server::start(OK).await;
    let rig = crate::support::Setup::new(&[backend.address]).start().await;
    let mut client = rig
        .request("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!(field(&response.expect(200).head, "connection"), Some("close"));
    client.ended().await;
    crate::support::until(|| rig.proxy.counters().open() == 0).await;
}
