//! SIGHUP: everything changes at once, or nothing does, and no request notices.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{OpenOptions, Sender};

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::load::{Load, until_refused};
use crate::support::process::Server;
use crate::support::{raw, until};

const HEAD: &str = "admin: { listen: 127.0.0.1:0 }\n";

fn web(strategy: &str, instances: &str) -> String {
    format!(
        "{HEAD}listeners: [{{ name: web, bind: 127.0.0.1:0 }}]
services:
  - name: web
    strategy: {strategy}
    instances:
{instances}"
    )
}

async fn names(client: &mut Client) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..6 {
        names.insert(client.get("/name").await.unwrap().body);
    }
    names
}

#[tokio::test]
async fn instances_and_strategy_change_and_the_client_keeps_its_connection() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&web("round_robin", &one.instance("one"))).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    assert_eq!(names(&mut client).await, ["one".to_owned()].into());

    let both = one.instance("one") + &two.instance("two");
    server.reload(&web("round_robin", &both), "ok").await;
    assert_eq!(
        names(&mut client).await,
        ["one".to_owned(), "two".to_owned()].into()
    );

    server
        .reload(&web("least_connections", &two.instance("two")), "ok")
        .await;
    assert_eq!(names(&mut client).await, ["two".to_owned()].into());
    let page = server.page("/api/v1/services/web").await;
    assert!(page.contains("\"least_connections\""), "{page}");
    assert_eq!(
        server.metric("evenkeel_client_connections_accepted_total").await,
        1.0
    );
    assert_eq!(server.metric("evenkeel_config_last_reload_successful").await, 1.0);
}

#[tokio::test]
async fn routes_and_listeners_change() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let config = |listeners: &str| {
        format!(
            "{HEAD}listeners:\n{listeners}services:
  - name: one
    instances:\n{}  - name: two
    instances:\n{}",
            one.instance("one"),
            two.instance("two")
        )
    };
    let first = "  - { name: first, bind: 127.0.0.1:0, routes: [{ service: one }] }\n";
    let server = Server::start(&config(first)).await;
    let address = server.address("first").await;
    let mut client = Client::connect(address).await.unwrap();
    assert_eq!(client.get("/name").await.unwrap().body, "one");

    let routed = "  - { name: first, bind: 127.0.0.1:0, routes: [{ path_prefix: /name, service: two }, { service: one }] }\n";
    server.reload(&config(routed), "ok").await;
    assert_eq!(client.get("/name").await.unwrap().body, "two");

    // Another address of this machine, as port 0 of the first one is the listener that is there.
    let moved = "  - { name: second, bind: 127.0.0.2:0, routes: [{ service: one }] }\n";
    server.reload(&config(moved), "ok").await;
    let second = server.address("second").await;
    assert_eq!(get(second, "/name").await.unwrap().body, "one");
    let gone = server.line("no longer listening").await;
    assert!(gone.contains(&format!("address={address}")), "{gone}");
    until("the first address refuses", || async {
        tokio::net::TcpStream::connect(address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_goes_away_under_load_loses_nothing() {
    let one = Backend::start("one");
    let config = web("round_robin", &one.instance("one"));
    let moved = config.replace("127.0.0.1:0 }]", "127.0.0.2:0 }]");
    assert_ne!(config, moved);
    for keep in [true, false] {
        let server = Server::start(&config).await;
        let address = server.address("web").await;
        let before = one.requests();
        let clients = until_refused(address, 16, keep);
        let end = async {
            until("they are busy", || async {
                (one.requests() > before + 200).then_some(())
            })
            .await;
            server.reload(&moved, "ok").await;
        };
        let (seen, ()) = tokio::join!(clients, end);
        seen.assert_handed_over(keep);
    }
}

#[tokio::test]
async fn a_bad_file_changes_nothing_says_so_and_counts() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&web("round_robin", &one.instance("one"))).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    let taken = format!("127.0.0.1:{}", two.address.port());
    let bad = [
        // What is wrong in the text.
        ("services: [".to_owned(), "evenkeel.yaml:"),
        (web("rond_robin", &two.instance("two")), "evenkeel.yaml:5:15"),
        // What only shows when it is put in force.
        (
            web("random", &two.instance("two")).replace("127.0.0.1:0 }]", &format!("{taken} }}]")),
            "in use",
        ),
        (
            web("random", "      - { address: 'nowhere.invalid:1' }\n"),
            "nowhere.invalid",
        ),
    ];
    for (number, (config, reason)) in bad.iter().enumerate() {
        server.reload(config, "failed").await;
        let count = number + 1;
        server
            .lines(
                "the new configuration is not used, the old one stays in force",
                count,
            )
            .await;
        until(reason, || async { server.log().contains(reason).then_some(()) }).await;
        assert_eq!(names(&mut client).await, ["one".to_owned()].into(), "{reason}");
        assert_eq!(server.metric("evenkeel_config_last_reload_successful").await, 0.0);
    }
    let page = server.page("/api/v1/services/web").await;
    assert!(page.contains("\"round_robin\""), "{page}");
    assert_eq!(
        server
            .metric("evenkeel_config_reloads_total{result=\"ok\"}")
            .await,
        0.0
    );

    std::fs::remove_file(server.config()).unwrap();
    server.signal(Signal::HUP);
    server.line("no such file").await;
    assert_eq!(names(&mut client).await, ["one".to_owned()].into());

    server.reload(&web("random", &two.instance("two")), "ok").await;
    assert_eq!(names(&mut client).await, ["two".to_owned()].into());
    assert_eq!(server.metric("evenkeel_config_last_reload_successful").await, 1.0);
}

#[tokio::test]
async fn a_reload_of_flags_changes_nothing() {
    let one = Backend::start("one");
    let backend = one.address.to_string();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--backend",
        &backend,
    ];
    let server = Server::with_flags(&flags).await;
    let address = server.address("default").await;
    server.signal(Signal::HUP);
    server.line("configuration reloaded").await;
    assert_eq!(get(address, "/name").await.unwrap().body, "one");
}

#[tokio::test]
async fn a_running_request_finishes_on_the_instance_that_was_removed() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&web("round_robin", &one.instance("one"))).await;
    let address = server.address("web").await;
    let mut stream = raw::send(
        address,
        "GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    until("the request is there", || async {
        (one.requests() == 1).then_some(())
    })
    .await;
    server
        .reload(&web("round_robin", &two.instance("two")), "ok")
        .await;
    assert_eq!(get(address, "/name").await.unwrap().body, "two");
    one.state.gate.notify_one();
    let answer = raw::to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("waited"), "{answer}");
}

/// Replaces the configuration by a pipe, asks for a reload, and resolves once it reads: it goes on when
/// the sender is dropped.
async fn reload_from_pipe(server: &Server) -> Sender {
    let path = server.config();
    std::fs::remove_file(path).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    server.signal(Signal::HUP);
    // Nobody can write to a pipe before somebody reads from it.
    until("the file is read", || async {
        OpenOptions::new().open_sender(path).ok()
    })
    .await
}

#[tokio::test]
async fn a_file_that_takes_long_to_read_holds_up_nothing() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let checked = |backend: &Backend| {
        let checks =
            "health_check: { http: { path: /healthz }, interval: 50ms, timeout: 50ms }\n    instances:";
        web("round_robin", &backend.instance("web-0")).replace("instances:", checks)
    };
    let server = Server::start(&checked(&one)).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    server.in_state(0, "healthy").await;

    let mut slow = reload_from_pipe(&server).await;
    // However many come meanwhile: one more reload follows, and reads what is there then.
    for _ in 0..3 {
        server.signal(Signal::HUP);
    }
    one.state.health.store(503, Relaxed);
    server.in_state(0, "down").await;
    assert_eq!(client.get("/name").await.unwrap().body, "one");
    std::fs::remove_file(server.config()).unwrap();
    std::fs::write(server.config(), checked(&two)).unwrap();
    slow.write_all(b"services: [").await.unwrap();
    drop(slow);
    server.line("configuration reloaded").await;
    assert_eq!(client.get("/name").await.unwrap().body, "two");

    server.reload(&checked(&one), "ok").await;
    for (result, count) in [("failed", 1.0), ("ok", 2.0)] {
        let sample = format!("evenkeel_config_reloads_total{{result=\"{result}\"}}");
        assert_eq!(server.metric(&sample).await, count, "{result}");
    }
}

#[tokio::test]
async fn a_signal_to_end_does_not_wait_for_the_file() {
    let one = Backend::start("one");
    let mut server = Server::start(&web("round_robin", &one.instance("one"))).await;
    let _slow = reload_from_pipe(&server).await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(0));
    let log = server.log();
    assert!(log.contains("drained"), "{log}");
}

/// Growth of resident memory that two hundred reloads may leave: what the allocator keeps for itself, far
/// below what two hundred configurations of four instances and their writers would take if they stayed.
const MEMORY: u64 = 4 << 20;

#[tokio::test]
async fn two_hundred_reloads_under_load_lose_nothing_and_leave_nothing() {
    let backends = ["a", "b", "c", "d"].map(Backend::start);
    let half = |range: std::ops::Range<usize>| -> String {
        range.map(|i| backends[i].instance(&format!("web-{i}"))).collect()
    };
    let checked = |config: String| {
        config.replace(
            "    instances:",
            "    health_check: { tcp: {}, interval: 1s }\n    instances:",
        )
    };
    let configs = [
        checked(web("round_robin", &half(0..2))),
        web("least_connections", &half(1..4)),
        checked(web("power_of_two", &half(2..4))),
        web("round_robin", &half(0..4)),
    ];
    let server = Server::start(&configs[0]).await;
    let load = Load::start(server.address("web").await, 8, "/name");
    load.more(100).await;
    let mut after_some = None;
    for round in 0..200 {
        server.reload(&configs[(round + 1) % configs.len()], "ok").await;
        load.more(5).await;
        if round == 19 {
            after_some = Some((server.memory("VmRSS"), server.descriptors()));
        }
    }
    let (memory, descriptors) = after_some.unwrap();
    let (memory_now, descriptors_now) = (server.memory("VmRSS"), server.descriptors());
    let seen = load.stop().await;
    println!(
        "{} requests; memory {memory} -> {memory_now}, descriptors {descriptors} -> {descriptors_now}",
        seen.served
    );
    seen.assert_no_failure();
    assert!(
        memory_now < memory + MEMORY,
        "memory grew from {memory} to {memory_now}"
    );
    // Connections to instances come and go with the configuration: 8 requests at once on 2 workers.
    assert!(
        descriptors_now <= descriptors + 24,
        "descriptors grew from {descriptors} to {descriptors_now}"
    );
    assert_eq!(
        server
            .metric("evenkeel_config_reloads_total{result=\"ok\"}")
            .await,
        200.0
    );
}
