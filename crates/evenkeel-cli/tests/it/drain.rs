//! SIGTERM: not ready first, then nothing new, then what runs may finish, then the end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::load::{Load, until_refused};
use crate::support::process::Server;
use crate::support::{one_service, raw, until};

async fn start(backend: &Backend, drain_timeout: &str) -> (Server, SocketAddr) {
    let config = one_service("", [backend.instance("one")]);
    let config = format!("drain_timeout: {drain_timeout}\n{config}");
    let server = Server::start(&config).await;
    let address = server.address("web").await;
    (server, address)
}

/// A request that is answered only when the backend is told to.
async fn slow_request(backend: &Backend, address: SocketAddr) -> TcpStream {
    let before = backend.requests();
    let stream = raw::send(address, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until("the request is there", || async {
        (backend.requests() > before).then_some(())
    })
    .await;
    stream
}

async fn refuses(address: SocketAddr) {
    until("the listener is closed", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn running_requests_finish_and_everything_else_ends() {
    let backend = Backend::start("one");
    for signal in [Signal::TERM, Signal::INT] {
        let (mut server, address) = start(&backend, "20s").await;
        let admin = server.admin().await;
        let mut idle = raw::send(address, "GET /name HTTP/1.1\r\nHost: a\r\n\r\n").await;
        raw::through(&mut idle, "one").await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = slow_request(&backend, address).await;

        server.signal(signal);
        until("it is not ready", || async {
            let ready = get(admin, "/readyz").await.unwrap();
            (ready.status == 503).then_some(())
        })
        .await;
        refuses(address).await;
        assert_eq!(raw::to_end(&mut idle).await, "");
        assert_eq!(raw::to_end(&mut silent).await, "");
        assert_eq!(get(admin, "/livez").await.unwrap().status, 200);

        backend.state.gate.notify_one();
        let answer = raw::to_end(&mut slow).await;
        assert!(answer.ends_with("waited"), "{answer}");
        assert!(
            answer.to_ascii_lowercase().contains("connection: close"),
            "{answer}"
        );
        assert_eq!(server.ended().await.code(), Some(0));
        let log = server.log();
        assert!(log.contains("draining") && log.contains("drained"), "{log}");
    }
}

/// How soon it turns false is in [`whoever_still_comes_during_the_delay_is_served`], where the delay is as long as it takes.
#[tokio::test]
async fn the_listener_stays_for_the_default_delay_and_readiness_is_false_then() {
    let backend = Backend::start("one");
    let (server, address) = start(&backend, "20s").await;
    let admin = server.admin().await;
    let _slow = slow_request(&backend, address).await;
    let began = Instant::now();
    server.signal(Signal::TERM);
    refuses(address).await;
    let stayed = began.elapsed();
    assert!(stayed >= Duration::from_millis(250), "{stayed:?}");
    assert_eq!(get(admin, "/readyz").await.unwrap().status, 503);
}

#[tokio::test]
async fn whoever_still_comes_during_the_delay_is_served() {
    let backend = Backend::start("one");
    let (server, address) = start(&backend, "20s\ndrain_delay: 1h").await;
    let admin = server.admin().await;
    server.signal(Signal::TERM);
    until("it is not ready", || async {
        let ready = get(admin, "/readyz").await.unwrap();
        (ready.status == 503).then_some(())
    })
    .await;
    // For longer than the default.
    let unready = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while unready.elapsed() < Duration::from_millis(400) {
        assert_eq!(get(address, "/name").await.unwrap().body, "one");
        ticks.tick().await;
    }
}

#[tokio::test]
async fn no_request_is_lost_when_clients_leave_in_time() {
    let backend = Backend::start("one");
    // So long that they are gone within it on any machine.
    let (mut server, address) = start(&backend, "20s\ndrain_delay: 10s").await;
    let load = Load::start(address, 8, "/name");
    load.more(50).await;
    server.signal(Signal::TERM);
    server.line("draining").await;
    let seen = load.stop().await;
    seen.assert_no_failure();
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn clients_that_go_on_lose_nothing_before_they_are_refused() {
    let backend = Backend::start("one");
    for keep in [true, false] {
        let (mut server, address) = start(&backend, "20s").await;
        let before = backend.requests();
        let clients = until_refused(address, 16, keep);
        let end = async {
            until("they are busy", || async {
                (backend.requests() > before + 200).then_some(())
            })
            .await;
            server.signal(Signal::TERM);
        };
        let (seen, ()) = tokio::join!(clients, end);
        seen.assert_handed_over(keep);
        assert_eq!(server.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn what_runs_beyond_the_deadline_is_cut_off_and_told() {
    let backend = Backend::start("one");
    let (mut server, address) = start(&backend, "400ms").await;
    let mut slow = slow_request(&backend, address).await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(0));
    let line = server.line("the deadline passed").await;
    assert!(line.contains("connections=1"), "{line}");
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_now() {
    let backend = Backend::start("one");
    for (second, expected) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (mut server, address) = start(&backend, "60s").await;
        let _slow = slow_request(&backend, address).await;
        server.signal(Signal::TERM);
        server.line("draining").await;
        until("the second signal counts", || async {
            server.signal(second);
            server.log().contains("second signal").then_some(())
        })
        .await;
        assert_eq!(server.ended().await.code(), Some(expected));
    }
}

/// What `timeout` does: one signal to the process, one to its group.
#[tokio::test]
async fn two_signals_at_once_are_one() {
    let backend = Backend::start("one");
    let (mut server, address) = start(&backend, "20s").await;
    let mut slow = slow_request(&backend, address).await;
    // Both wait for it while it is stopped.
    server.signal(Signal::STOP);
    until("it is stopped", || async {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        status.contains("\nState:\tT").then_some(())
    })
    .await;
    for signal in [Signal::TERM, Signal::INT, Signal::CONT] {
        server.signal(signal);
    }
    refuses(address).await;
    backend.state.gate.notify_one();
    assert!(raw::to_end(&mut slow).await.ends_with("waited"));
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_signal_at_the_very_start_is_heard() {
    let backend = Backend::start("one");
    for _ in 0..5 {
        let (mut server, address) = start(&backend, "20s").await;
        server.signal(Signal::HUP);
        server.line("configuration reloaded").await;
        let mut client = Client::connect(address).await.unwrap();
        assert_eq!(client.get("/name").await.unwrap().body, "one");
        server.signal(Signal::TERM);
        assert_eq!(server.ended().await.code(), Some(0));
    }
}
