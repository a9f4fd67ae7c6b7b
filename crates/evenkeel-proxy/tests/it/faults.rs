//! Instances that fail, and what the client learns.

use std::time::Duration;

use evenkeel_runtime::RetryReason;

use crate::support::{Backend, GET, OK, Rig, SHORT, Server, Setup, field, refusing, silent, until, within};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
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
async fn nothing_configured_is_503() {
    let rig = Setup::new(&[]).start().await;
    let mut client = rig.request(GET).await;
    let response = client.response().await;
    response.expect_error(503, "destination_unavailable");
    assert_eq!(field(&response.head, "retry-after"), Some("1"));
    client.send(GET).await;
    client.response().await.expect(503);
    assert_eq!(rig.metrics().no_picks, 2);
}

#[tokio::test]
async fn an_instance_that_does_not_take_connections_is_504() {
    let (_sockets, deaf) = silent();
    let mut setup = Setup::new(&[deaf]);
    setup.connect = SHORT;
    let rig = setup.start().await;
    rig.request(GET)
        .await
        .response()
        .await
        .expect_error(504, "connection_timeout");
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 1, 0]);
}

#[tokio::test]
async fn an_instance_that_does_not_answer_is_504() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.response = SHORT;
    let rig = setup.start().await;
    for text in [GET, POST] {
        let mut client = rig.request(text).await;
        let (mut instance, _) = backend.request().await;
        client.response().await.expect_error(504, "http_response_timeout");
        let _ = within(instance.rest()).await;
        // The client's connection goes on.
        client.send(GET).await;
        let (mut instance, _) = backend.request().await;
        instance.send(format!("HTTP/1.1 103 Hint\r\n\r\n{OK}")).await;
        client.bodiless().await.expect(103);
        client.response().await.expect(200);
        drop(instance);
    }
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 2, 2, 0]);
}

#[tokio::test]
async fn after_a_time_out_a_kept_connection_of_another_instance_serves_the_request() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let mut setup = Setup::new(&[a.address, b.address]);
    setup.response = SHORT;
    let rig = setup.start().await;
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
    second.head().await;
    second.send(OK).await;
    client.response().await.expect(200);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_given_no_more_time() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.response = SHORT;
    let rig = setup.start().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send("HTTP/1.1 200 OK\r\nX-A: ").await;
    let trickle = async {
        let mut pause = tokio::time::interval(SHORT / 10);
        loop {
            pause.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut instance.stream, b"a")
                .await
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        }
    };
    let response = async { client.response().await };
    let response = tokio::select! { response = response => response, () = trickle => unreachable!() };
    response.expect_error(504, "http_response_timeout");
}

#[tokio::test]
async fn a_request_is_not_repeated_once_a_byte_of_its_response_came() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let mut setup = Setup::new(&[a.address, b.address]);
    setup.response = SHORT;
    let rig = setup.start().await;
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
        client.response().await.expect_error(status, error);
    }
    assert!(!a.is_called() && !b.is_called());
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 4, 0]);
}

#[tokio::test]
async fn malformed_responses_are_502() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let rows = [
        "220 smtp.example ready\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/2.0 200 OK\r\n\r\n",
    ];
    let mut client = rig.client().await;
    for text in rows {
        client.send(GET).await;
        let (mut instance, _) = backend.request().await;
        instance.send(text).await;
        client.response().await.expect_error(502, "http_protocol_error");
        instance.ended().await;
    }
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, rows.len() as u64, 0]);
}

#[tokio::test]
async fn a_body_that_is_malformed_from_its_first_byte_is_502() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(format!("{CHUNKED}zz\r\n")).await;
    client
        .response()
        .await
        .expect_error(502, "http_response_incomplete");
    instance.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_body_that_breaks_off_never_ends_cleanly() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let plain = "HTTP/1.1 200 OK\r\n\r\n";
    for (version, head, body, seen) in [
        ("1.1", length, "abc", "abc"),
        ("1.1", CHUNKED, "3\r\nabc\r\n", "3\r\nabc\r\n"),
        ("1.1", CHUNKED, "3\r\nabc\r\nzz\r\n", "3\r\nabc\r\n"),
        ("1.1", plain, "abc", "3\r\nabc\r\n"),
        ("1.0", length, "abc", "abc"),
        ("1.0", CHUNKED, "3\r\nabc\r\n", "abc"),
        ("1.0", plain, "abc", "abc"),
    ] {
        for reset in [false, true] {
            if head == plain && !reset {
                continue; // That is how such a body ends.
            }
            let backend = Backend::start().await;
            let rig = Rig::before(&backend).await;
            let mut client = rig
                .request(&format!("GET / HTTP/{version}\r\nHost: x\r\n\r\n"))
                .await;
            let (mut instance, _) = backend.request().await;
            instance.send(head).await;
            let answer = client.bodiless().await;
            answer.expect(200);
            let (good, bad) = body.split_at(body.find("zz").unwrap_or(body.len()));
            instance.send(good).await;
            client.expect(seen).await;
            if !bad.is_empty() {
                instance.send(bad).await;
            }
            if reset {
                instance.reset();
            } else {
                instance.finish().await;
            }
            let rest = client.rest().await;
            let told = version == "1.1" || head == length;
            assert!(
                if told {
                    rest.as_deref().unwrap_or_default().is_empty()
                } else {
                    rest.is_err()
                },
                "{version} {head} {rest:?}"
            );
            rig.settled().await;
            assert_eq!(rig.tally(), [0, 0, 1, 0], "{version} {head}");
        }
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_broken_off() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.body_idle = SHORT;
    let rig = setup.start().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    client.bodiless().await.expect(200);
    client.expect("abc").await;
    client.ended().await;
    instance.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_connection_that_closes_as_it_is_used_again_costs_a_get_nothing() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.retry_attempts = 0;
    let rig = setup.start().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    for reset in [false, true] {
        instance.send(OK).await;
        client.response().await.expect(200);
        client.send(GET).await;
        instance.head().await;
        if reset {
            instance.reset()
        } else {
            drop(instance)
        }
        (instance, _) = backend.request().await;
    }
    instance.send(OK).await;
    client.response().await.expect(200);
    assert_eq!(rig.retries(RetryReason::StaleConnection), 2);
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 3, 0, 2]);
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
async fn a_post_is_not_sent_over_a_connection_that_its_instance_has_ended() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.retry_attempts = 0;
    let rig = setup.start().await;
    for farewell in [
        "",
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = rig.request(GET).await;
        let (mut instance, _) = backend.request().await;
        instance.send(OK).await;
        client.response().await.expect(200);
        instance.send(farewell).await;
        instance.finish().await;
        for text in [POST, GET] {
            client.send(text).await;
            let (mut instance, _) = backend.request().await;
            instance
                .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .await;
            client.response().await.expect(200);
        }
    }
    assert_eq!(rig.retries(RetryReason::StaleConnection), 0);
}

#[tokio::test]
async fn what_an_instance_says_unasked_goes_to_nobody() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    for unasked in ["HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "x"] {
        // Right behind a response, and later.
        let mut client = rig.request(GET).await;
        let (mut instance, _) = backend.request().await;
        instance.send(format!("{OK}{unasked}")).await;
        client.response().await.expect(200);
        instance.ended().await;
        client.send(GET).await;
        let (mut instance, _) = backend.request().await;
        instance.send(OK).await;
        client.response().await.expect(200);
        instance.send(unasked).await;
        instance.ended().await;
    }
}

#[tokio::test]
async fn a_kept_connection_that_ends_among_many_is_noticed() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut clients = Vec::new();
    let mut instances = Vec::new();
    for _ in 0..200 {
        clients.push(rig.request(GET).await);
        instances.push(backend.request().await.0);
    }
    for (client, instance) in clients.iter_mut().zip(&mut instances) {
        instance.send(OK).await;
        client.response().await.expect(200);
    }
    let last = instances.last_mut().unwrap();
    last.finish().await;
    last.ended().await;
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_a_while() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.idle = SHORT;
    let rig = setup.start().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    instance.ended().await;
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
async fn an_instance_with_all_its_connections_in_use_is_passed_over() {
    let (a, b) = (Backend::start().await, Backend::start().await);
    let mut setup = Setup::new(&[a.address, b.address]);
    setup.connections_per_instance = 1;
    let rig = setup.start().await;
    let mut one = rig.request(GET).await;
    let (mut busy, _) = tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
    for _ in 0..3 {
        let mut two = rig.request(GET).await;
        let (mut other, _) = tokio::select! { peer = a.request() => peer, peer = b.request() => peer };
        let mut three = rig.request(GET).await;
        three
            .response()
            .await
            .expect_error(503, "connection_limit_reached");
        other
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
        two.response().await.expect(200);
    }
    busy.send(OK).await;
    one.response().await.expect(200);
    rig.settled().await;
    assert_eq!(rig.tally()[1..3], [4, 0]);
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let (_socket, dead) = refusing();
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[dead, server.address]);
    setup.retry_budget = 0.0;
    let rig = setup.start().await;
    let mut client = rig.client().await;
    let mut failed = 0;
    // A retry takes the next turn of the good instance, too: until the reserve of 100 is used up, every
    // request begins at the bad one; then every second.
    for _ in 0..240 {
        client.send(GET).await;
        failed += u32::from(client.response().await.status() == 502);
    }
    assert_eq!(rig.retries(RetryReason::Connect), 100);
    assert!((69..=70).contains(&failed), "{failed}");
}

#[tokio::test]
async fn an_instance_that_stops_reading_is_504_and_an_early_answer_is_passed_on() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.body_idle = Duration::from_millis(300);
    let rig = setup.start().await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
    for answer in ["", "HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno"] {
        let mut client = rig.request(head).await;
        let (mut instance, _) = backend.request().await;
        instance.send(answer).await;
        let (mut reads, mut writes) = client.stream.split();
        let write = async {
            let block = [b'a'; 65536];
            while tokio::io::AsyncWriteExt::write_all(&mut writes, &block)
                .await
                .is_ok()
            {}
            std::future::pending::<()>().await;
        };
        let read = async {
            let mut text = Vec::new();
            while !text.ends_with(b"no") && !text.ends_with(b"in time\n") {
                assert!(
                    tokio::io::AsyncReadExt::read_buf(&mut reads, &mut text)
                        .await
                        .unwrap()
                        > 0
                );
            }
            String::from_utf8(text).unwrap()
        };
        let text = within(async {
            tokio::select! { text = read => text, () = write => unreachable!() }
        })
        .await;
        let expected = if answer.is_empty() {
            "HTTP/1.1 504 "
        } else {
            "HTTP/1.1 413 Too Much\r\n"
        };
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("Connection: close\r\n"), "{text}");
    }
    rig.settled().await;
    until(|| rig.proxy.counters().open() == 0).await;
}
