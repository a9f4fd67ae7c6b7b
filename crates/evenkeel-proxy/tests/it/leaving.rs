//! Clients that go away.

use crate::support::{Backend, GET, OK, Rig, SHORT, Setup, until};

#[tokio::test]
async fn a_client_that_resets_takes_its_request_along() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    for text in [GET, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo"] {
        let client = rig.request(text).await;
        let (mut instance, _) = backend.request().await;
        assert_eq!(rig.tally()[0], 1);
        client.reset();
        let _ = instance.rest().await;
        rig.settled().await;
    }
    assert_eq!(rig.tally(), [0, 0, 0, 2]);
    until(|| rig.proxy.counters().open() == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    // In the middle of its body there is nothing to wait for.
    let client = rig
        .request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
        .await;
    let (mut instance, _) = backend.request().await;
    until(|| rig.sending() == 1).await;
    drop(client);
    instance.expect("bo").await;
    instance.ended().await;
    until(|| rig.sending() == 0).await;
    // Behind a whole request there may still be a reader.
    let client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    drop(client);
    instance.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 0, 2]);
}

#[tokio::test]
async fn a_client_that_only_ends_its_side_is_answered() {
    let backend = Backend::start().await;
    let rig = Setup::new(&[backend.address]).start_standing().await;
    let mut client = rig.request(&GET.repeat(2)).await;
    client.finish().await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    instance.head().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    client.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 2, 0, 0]);
}

#[tokio::test]
async fn a_client_that_leaves_within_a_response_is_noticed() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    for reset in [false, true] {
        let mut client = rig.request(GET).await;
        let (mut instance, _) = backend.request().await;
        instance
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody")
            .await;
        client.bodiless().await.expect(200);
        assert_eq!(
            rig.begun(),
            1 + u32::from(reset),
            "it answers, whatever comes of it"
        );
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        let _ = instance.rest().await;
        rig.settled().await;
    }
    assert_eq!(rig.tally(), [0, 0, 0, 2]);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_let_go() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.listener.body_idle = SHORT;
    let rig = setup.start().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        .await;
    client.bodiless().await.expect(200);
    let block = [b'a'; 65_536];
    crate::support::within(async {
        while tokio::io::AsyncWriteExt::write_all(&mut instance.stream, &block)
            .await
            .is_ok()
        {}
    })
    .await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 0, 1], "the instance is not to blame");
}
