//! New settings while requests run, and the end of the process.

use std::time::Duration;

use crate::peer::{Peer, field};
use crate::support::{Backend, GET, OK, Rig, Server, Setup, until, within};

#[tokio::test]
async fn a_running_request_ends_as_it_began_and_the_next_follows_the_new_settings() {
    let old = Backend::start().await;
    let new = Server::start(OK).await;
    let mut rig = Rig::before(&old).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = old.request().await;
    let mut setup = Setup::new(&[new.address]);
    setup.max_body = Some(1);
    rig.configure(&setup).await;
    instance.send(OK).await;
    client.response().await.expect(200);
    // The connection of an instance that is gone is not kept.
    instance.ended().await;
    client.send(GET).await;
    client.response().await.expect(200);
    assert_eq!(new.heads().len(), 1);
    client
        .send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        .await;
    client.response().await.expect(413);
    assert!(!old.is_called());
}

#[tokio::test]
async fn reloads_under_load_cost_nothing() {
    let (a, b) = (Server::start(OK).await, Server::start(OK).await);
    let mut rig = Setup::new(&[a.address, b.address]).start().await;
    let mut client = rig.client().await;
    let address = rig.address;
    for n in 0..50 {
        client.send(GET).await;
        let addresses = if n % 2 == 0 {
            &[a.address][..]
        } else {
            &[b.address, a.address]
        };
        rig.configure(&Setup::new(addresses)).await;
        client.response().await.expect(200);
        rig.request(GET).await.response().await.expect(200);
    }
    assert_eq!(rig.proxy.listening()[0].1, address);
    rig.settled().await;
}

#[tokio::test]
async fn listeners_whose_port_the_system_chooses_are_told_apart_by_name() {
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[server.address]);
    setup.more_listeners = vec![setup.listener.clone()];
    setup.more_listeners[0].name = "second".into();
    let again = setup.clone();
    let mut rig = setup.start().await;
    let before = rig.proxy.listening();
    assert_eq!(before.len(), 2);
    assert_ne!(before[0].1, before[1].1);
    rig.configure(&again).await;
    assert_eq!(rig.proxy.listening(), before);
    for (_, address) in before {
        rig.address = address;
        rig.request(GET).await.response().await.expect(200);
    }
}

#[tokio::test]
async fn a_listener_that_is_removed_lets_its_requests_end() {
    let backend = Backend::start().await;
    let mut rig = Rig::before(&backend).await;
    let mut idle = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    idle.response().await.expect(200);
    let mut busy = rig.request(GET).await;
    instance.head().await;
    let fresh = rig.client().await;
    until(|| rig.proxy.counters().open() == 3).await;

    let mut setup = Setup::new(&[backend.address]);
    setup.listener.bind = ([127, 0, 0, 2], 0).into();
    let gone = rig.address;
    rig.configure(&setup).await;
    idle.ended().await;
    drop(fresh);
    until(|| rig.proxy.counters().open() == 1).await;
    until(|| std::net::TcpStream::connect(gone).is_err()).await;
    instance.send(OK).await;
    let response = busy.response().await;
    assert_eq!(field(&response.expect(200).head, "connection"), Some("close"));
    busy.ended().await;

    rig.address = rig.proxy.listening()[0].1;
    assert_ne!(rig.address, gone);
    let mut client = rig.request(GET).await;
    instance.head().await;
    instance.send(OK).await;
    client.response().await.expect(200);
}

#[tokio::test]
async fn a_drain_waits_for_requests_and_ends_idle_connections() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let service = rig.service();
    let mut idle = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    idle.response().await.expect(200);
    let mut busy = rig.request(&GET.repeat(2)).await;
    instance.head().await;
    let address = rig.address;
    let drained = tokio::spawn(rig.proxy.drain(Duration::from_secs(60)));
    idle.ended().await;
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    instance.send(OK).await;
    let response = busy.response().await;
    assert_eq!(field(&response.expect(200).head, "connection"), Some("close"));
    busy.ended().await;
    assert_eq!(within(drained).await.unwrap(), 0);
    assert!(
        service
            .view_full()
            .members()
            .all(|(_, member, _)| member.load().get() == 0)
    );
    instance.ended().await;
}

#[tokio::test]
async fn the_deadline_of_a_drain_cuts_requests_off_and_never_ends_a_body_cleanly() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let service = rig.service();
    let mut clients = Vec::new();
    for version in ["1.0", "1.1"] {
        let mut client = rig
            .request(&format!("GET / HTTP/{version}\r\nHost: x\r\n\r\n"))
            .await;
        let (mut instance, _) = backend.request().await;
        instance.send("HTTP/1.1 200 OK\r\n\r\nbody").await;
        client.bodiless().await.expect(200);
        client
            .expect(if version == "1.0" { "body" } else { "4\r\nbody\r\n" })
            .await;
        clients.push((client, instance));
    }
    assert_eq!(within(rig.proxy.drain(Duration::from_millis(50))).await, 2);
    for (n, (mut client, mut instance)) in clients.into_iter().enumerate() {
        let rest = client.rest().await;
        assert!(if n == 0 {
            rest.is_err()
        } else {
            rest.unwrap_or_default().is_empty()
        });
        instance.ended().await;
    }
    assert!(
        service
            .view_full()
            .members()
            .all(|(_, member, _)| member.load().get() == 0)
    );
}

#[tokio::test]
async fn a_drain_cuts_no_response_of_a_client_that_has_asked_for_more() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    // More than is kept of requests to come: some stays unread in the socket.
    let more = GET.repeat(4_000);
    client.send(&more).await;
    let drained = tokio::spawn(rig.proxy.drain(Duration::from_secs(60)));
    let body = "a".repeat(4_000_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let sent = tokio::spawn(async move { instance.send(answer).await });
    let response = client.response().await;
    assert_eq!(response.body.len(), body.len());
    assert_eq!(field(&response.head, "connection"), Some("close"));
    within(sent).await.unwrap();
    drop(client);
    assert_eq!(within(drained).await.unwrap(), 0);
}

#[tokio::test]
async fn requests_that_are_here_when_a_drain_begins_are_answered() {
    let server = Server::start(OK).await;
    for _ in 0..20 {
        let rig = Setup::new(&[server.address]).start().await;
        let streams: Vec<_> = (0..10)
            .map(|_| {
                let stream = std::net::TcpStream::connect(rig.address).unwrap();
                std::io::Write::write_all(&mut &stream, GET.as_bytes()).unwrap();
                stream
            })
            .collect();
        let drained = tokio::spawn(rig.proxy.drain(Duration::from_secs(60)));
        for stream in streams {
            stream.set_nonblocking(true).unwrap();
            let mut client = Peer::new(tokio::net::TcpStream::from_std(stream).unwrap());
            client.response().await.expect(200);
        }
        assert_eq!(within(drained).await.unwrap(), 0);
    }
}
