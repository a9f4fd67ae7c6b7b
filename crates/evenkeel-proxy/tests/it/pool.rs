//! Which connections to instances are used again.

use evenkeel_runtime::RetryReason;

use crate::support::{Backend, GET, OK, Rig, SHORT, Setup};

const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

#[tokio::test]
async fn a_connection_that_closes_as_it_is_used_again_costs_a_get_nothing() {
    let backend = Backend::start().await;
    let mut setup = Setup::new(&[backend.address]);
    setup.retry_attempts = 0;
    let rig = setup.start_standing().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    for reset in [false, true] {
        instance.send(OK).await;
        client.response().await.expect(200);
        client.send(GET).await;
        instance.head().await;
        if reset {
            instance.reset();
        } else {
            drop(instance);
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
async fn a_request_lost_while_it_was_worked_on_is_its_instances_fault_on_a_kept_connection_too() {
    let backend = Backend::start().await;
    let rig = Setup::new(&[backend.address]).start_standing().await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    client.response().await.expect(200);
    client.send(GET).await;
    instance.head().await;
    rig.pass(SHORT);
    drop(instance);
    client.response().await.expect_error(502, "connection_terminated");
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 1, 1, 0]);
    assert_eq!(rig.retries(RetryReason::StaleConnection), 0);
}

#[tokio::test]
async fn the_one_of_many_with_a_free_connection_is_found() {
    let mut backends = Vec::new();
    for _ in 0..12 {
        backends.push(Backend::start().await);
    }
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut setup = Setup::new(&addresses);
    setup.connections_per_instance = 1;
    let rig = setup.start().await;
    let get = |client: usize| format!("GET /{client} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut clients = Vec::new();
    for client in 0..12 {
        clients.push(rig.request(&get(client)).await);
    }
    let mut busy = Vec::new();
    for backend in &backends {
        busy.push(backend.request().await);
    }
    // Wherever the rotation stands, all but one are passed over.
    for (instance, head) in busy.iter_mut().rev() {
        let client: usize = head[5..].split(' ').next().unwrap().parse().unwrap();
        instance.send(OK).await;
        clients[client].response().await.expect(200);
        clients[client].send(get(client)).await;
        *head = instance.head().await;
    }
    for (instance, _) in &mut busy {
        instance.send(OK).await;
    }
    for mut client in clients {
        client.response().await.expect(200);
    }
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
async fn a_request_lost_on_a_kept_connection_is_repeated_on_a_new_one() {
    let backend = Backend::start().await;
    let rig = Setup::new(&[backend.address]).start_standing().await;
    let mut clients = [rig.request(GET).await, rig.request(GET).await];
    let mut kept = [backend.request().await.0, backend.request().await.0];
    for instance in &mut kept {
        instance.send(OK).await;
    }
    for client in &mut clients {
        client.response().await.expect(200);
    }
    clients[0].send(GET).await;
    // Whichever is used is lost; the other one may be as old.
    let [first, second] = &mut kept;
    let used = tokio::select! { _ = first.head() => 0, _ = second.head() => 1 };
    kept[used].finish().await;
    let (mut instance, _) = backend.request().await;
    instance.send(OK).await;
    clients[0].response().await.expect(200);
}
