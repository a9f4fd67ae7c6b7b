//! Bytes of a body must never be taken for a request, however the request before them ended.

use crate::peer::field;
use crate::support::{Backend, GET, OK, Rig, Setup};

/// Reads what the client still gets, and checks that its body did not become a request.
async fn nothing_else_was_asked(rig: &Rig, backend: &Backend, mut client: crate::peer::Peer) {
    client.finish().await;
    let rest = client.rest().await.unwrap_or_default();
    assert_eq!(rest, "");
    assert!(!backend.is_called());
    assert_eq!(rig.proxy.counters().bad_requests(), 0);
}

#[tokio::test]
async fn a_body_that_its_instance_did_not_take_is_not_the_next_request() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    // The instance resets as the body comes; which of both the worker sees first differs.
    for _ in 0..50 {
        let mut client = rig
            .request(&format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                GET.len()
            ))
            .await;
        let (instance, _) = backend.request().await;
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, GET.as_bytes())
            .await
            .unwrap();
        instance.reset();
        client.response().await.expect_error(502, "connection_terminated");
        nothing_else_was_asked(&rig, &backend, client).await;
    }
}

#[tokio::test]
async fn a_body_that_grows_too_long_is_not_the_next_request() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.max_body = Some(20);
    let rig = setup.start().await;
    let mut client = rig
        .request(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            GET.len()
        ))
        .await;
    let (_instance, _) = backend.request().await;
    client.send(format!("{GET}\r\n0\r\n\r\n")).await;
    client.response().await.expect(413);
    nothing_else_was_asked(&rig, &backend, client).await;
}

#[tokio::test]
async fn a_body_without_an_instance_is_not_the_next_request() {
    let (_socket, dead) = crate::support::refusing();
    let rig = Setup::new(&[dead]).start().await;
    let post = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        GET.len()
    );
    // All of it here: the connection goes on behind it.
    let mut client = rig.request(&format!("{post}{GET}{GET}")).await;
    client.response().await.expect(502);
    client.response().await.expect(502);
    // Not all of it here: nobody will know where it ends.
    let mut client = rig.request(&format!("{post}GET ")).await;
    let response = client.response().await;
    assert_eq!(field(&response.expect(502).head, "connection"), Some("close"));
    client.send("/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.ended().await;
    assert_eq!(rig.tally()[2], 3);
}

#[tokio::test]
async fn heads_and_bodies_of_every_length_stay_in_step() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    // Around the sizes of the buffers, and up to the longest head.
    for size in [1, 16_000, 16_300, 16_384, 20_000, 32_500] {
        let long = "a".repeat(size);
        let requests = [
            format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {long}\r\n\r\n"),
            format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n{long}"),
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{long}\r\n0\r\n\r\n"
            ),
        ];
        client.send(requests.concat()).await;
        for (n, text) in requests.iter().enumerate() {
            let head = instance.head().await;
            assert_eq!(head.split(' ').next(), text.split(' ').next());
            match n {
                0 => assert_eq!(field(&head, "x-a"), Some(&*long)),
                1 => instance.expect(&long).await,
                _ => instance.expect(&format!("{size:x}\r\n{long}\r\n0\r\n\r\n")).await,
            }
            instance
                .send(format!(
                    "HTTP/1.1 200 OK\r\nX-A: {long}\r\nContent-Length: {size}\r\n\r\n{long}"
                ))
                .await;
            let response = client.response().await;
            assert_eq!(field(&response.expect(200).head, "x-a"), Some(&*long));
            assert_eq!(response.body, long);
        }
    }
    assert!(!backend.is_called());
}
