//! Bodies on their way: both directions at once, and never more in memory than a few buffers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{Peer, field};
use crate::support::{Backend, GET, OK, Rig, SHORT, Setup, until, within};

const MEGABYTE: usize = 1024 * 1024;
/// What the kernel may hold of one direction, on four sockets, and the proxy's own buffers.
const ON_THE_WAY: usize = 24 * MEGABYTE;
const LONG_BODY: usize = 64 * MEGABYTE;

#[tokio::test]
async fn both_directions_flow_at_once() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let response = client.bodiless().await;
    // Nobody knows when the request will be over.
    assert_eq!(field(&response.expect(200).head, "connection"), Some("close"));
    for n in 0..20 {
        let chunk = format!("2\r\n{n:02}\r\n");
        client.send(&chunk).await;
        instance.expect(&chunk).await;
        instance.send(&chunk).await;
        client.expect(&chunk).await;
    }
    until(|| rig.sending() == 1).await;
    client.send("0\r\n\r\n").await;
    instance.expect("0\r\n\r\n").await;
    until(|| rig.sending() == 0).await;
    instance.send("0\r\n\r\n").await;
    client.expect("0\r\n\r\n").await;
    client.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 1, 0, 0]);
}

/// Writes until nothing more is taken for a while; how much that was.
async fn stuff(peer: &mut Peer, most: usize) -> usize {
    let block = vec![b'a'; 64 * 1024];
    let mut written = 0;
    while written < most {
        let part = &block[..block.len().min(most - written)];
        match tokio::time::timeout(Duration::from_millis(300), peer.stream.write(part)).await {
            Ok(n) => written += n.unwrap(),
            Err(_) => break,
        }
    }
    written
}

async fn drain(peer: &mut Peer, len: usize) {
    let mut block = vec![0; 256 * 1024];
    let mut left = len;
    while left > 0 {
        let n = within(peer.stream.read(&mut block)).await.unwrap();
        assert!(n > 0 && block[..n].iter().all(|byte| *byte == b'a'));
        left -= n;
    }
}

#[tokio::test]
async fn a_slow_reader_holds_the_instance_back() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG_BODY}\r\n\r\n"))
        .await;
    client.bodiless().await.expect(200);
    let written = stuff(&mut instance, LONG_BODY).await;
    assert!(written < ON_THE_WAY, "{written}");
    let rest = vec![b'a'; LONG_BODY - written];
    tokio::join!(drain(&mut client, LONG_BODY), instance.send(&rest));
    client.send(GET).await;
    instance.head().await;
    instance.send(OK).await;
    client.response().await.expect(200);
}

#[tokio::test]
async fn a_slow_instance_holds_the_client_back() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request(&format!(
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {LONG_BODY}\r\n\r\n"
        ))
        .await;
    let (mut instance, _) = backend.request().await;
    let written = stuff(&mut client, LONG_BODY).await;
    assert!(written < ON_THE_WAY, "{written}");
    let rest = vec![b'a'; LONG_BODY - written];
    tokio::join!(drain(&mut instance, LONG_BODY), client.send(&rest));
    instance.send(OK).await;
    client.response().await.expect(200);
    client.send(GET).await;
    instance.head().await;
}

#[tokio::test]
async fn chunks_of_all_sizes_arrive_whole() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut body = String::new();
    for size in [
        1,
        15,
        16,
        1000,
        8 * 1024,
        16 * 1024 - 1,
        16 * 1024,
        70_000,
        200_000,
    ] {
        body.push_str(&format!("{size:x}\r\n{}\r\n", "a".repeat(size)));
    }
    body.push_str("0\r\nX-T: u\r\n\r\n");
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let (mut instance, _) = backend.request().await;
    tokio::join!(client.send(&body), instance.expect(&body));
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.bodiless().await.expect(200);
    tokio::join!(instance.send(&body), client.expect(&body));
    // And without the framing, for an old client.
    let mut client = rig.request("GET / HTTP/1.0\r\nHost: x\r\n\r\n").await;
    instance.head().await;
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let (response, ()) = tokio::join!(client.response(), instance.send(&answer));
    assert!(response.body.bytes().all(|byte| byte == b'a'));
    assert_eq!(
        response.body.len(),
        1 + 15 + 16 + 1000 + 8 * 1024 + 2 * 16 * 1024 - 1 + 270_000
    );
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_reaches_a_client_that_only_sends() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LONG_BODY}\r\n\r\n"
        ))
        .await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await;
    // Within what lingering reads; the client looks for the answer only now.
    for _ in 0..8 {
        client.send(vec![b'a'; 64 * 1024]).await;
    }
    let response = client.response().await;
    assert_eq!(response.expect(403).body, "no");
    client.ended().await;
    drop(instance);
    until(|| rig.proxy.counters().open() == 0).await;
    rig.settled().await;
}

#[tokio::test]
async fn the_time_a_client_takes_to_send_is_not_its_instances() {
    let backend = Backend::start().await;
    let setup = Setup::new(&[backend.address]);
    let rig = setup.start_standing().await;
    let mut client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
        .await;
    let (mut slow, _) = backend.request().await;
    slow.expect("bo").await;
    // Meanwhile time passes.
    rig.pass(10 * SHORT);
    client.send("dy").await;
    slow.expect("dy").await;
    rig.pass(SHORT);
    slow.send(OK).await;
    client.response().await.expect(200);
    rig.settled().await;
    let view = rig.service().view_full();
    let (_, member, _) = view.members().next().unwrap();
    let (time, _) = member.stats().response_time().unwrap();
    assert_eq!(time.as_duration(), SHORT);
}
