//! Instances that fail, and what the client learns.

use std::time::Duration;

use crate::peer::field;
use crate::support::{Backend, GET, OK, Rig, SHORT, Setup, silent, until, within};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

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
    let rig = setup.start_standing().await;
    for text in [GET, POST] {
        let mut client = rig.request(text).await;
        let (mut instance, _) = backend.request().await;
        rig.passing(client.response())
            .await
            .expect_error(504, "http_response_timeout");
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
    for version in ["1.0", "1.1"] {
        let mut client = rig
            .request(&format!("GET / HTTP/{version}\r\nHost: x\r\n\r\n"))
            .await;
        let (mut instance, _) = backend.request().await;
        instance.send(format!("{CHUNKED}zz\r\n")).await;
        instance.ended().await;
        rig.settled().await;
        client
            .response()
            .await
            .expect_error(502, "http_response_incomplete");
        client.finish().await;
        assert_eq!(client.rest().await.unwrap(), "");
    }
    assert_eq!(rig.tally(), [0, 0, 2, 0]);
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
            let block = vec![b'a'; 65536];
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
