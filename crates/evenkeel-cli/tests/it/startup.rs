//! Starting: what is logged, what is served, and what is said when it cannot start.

use std::process::Command;

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::process::{BINARY, Server, evenkeel, text};
use crate::support::{Folder, one_service, until};

/// One listener and one service with these instances.
fn config(instances: &str) -> String {
    one_service("    strategy: round_robin\n", [instances.to_owned()])
}

#[tokio::test]
async fn a_file_is_served_and_the_log_names_every_address() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&config(&(one.instance("one") + &two.instance("two")))).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(client.get("/name").await.unwrap().body);
    }
    names.sort();
    assert_eq!(names, ["one", "one", "two", "two"]);
    assert_eq!(get(server.admin().await, "/readyz").await.unwrap().status, 200);
    let ready = server.line("evenkeel is ready").await;
    for word in ["workers=", "services=1", "version=", "evenkeel.yaml"] {
        assert!(ready.contains(word), "no {word} in {ready}");
    }
}

#[tokio::test]
async fn there_are_as_many_workers_as_the_file_says() {
    let backend = Backend::start("one");
    let default = std::thread::available_parallelism().unwrap().get();
    let (more, text) = (default + 1, config(&backend.instance("one")));
    let server = Server::start(&format!("workers: {more}\n{text}")).await;
    assert_eq!(server.threads("worker-"), more);
    let server = Server::start(&text).await;
    assert_eq!(server.threads("worker-"), default);
}

#[tokio::test]
async fn flags_alone_serve_and_check_their_backends() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let (a, b) = (one.address.to_string(), two.address.to_string());
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--strategy",
        "round_robin",
    ];
    let server = Server::with_flags(&[&listen[..], &["--backend", &a, "--backend", &b]].concat()).await;
    let mut client = Client::connect(server.address("default").await).await.unwrap();
    let first = client.get("/name").await.unwrap().body;
    assert_ne!(client.get("/name").await.unwrap().body, first);
    until("checks succeed", || async {
        let page = server.page("/metrics").await;
        let checked = page
            .lines()
            .any(|l| l.starts_with("evenkeel_checks_total") && !l.ends_with(" 0"));
        checked.then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_in_use_is_named_with_a_remedy() {
    let backend = Backend::start("one");
    let first = Server::start(&config(&backend.instance("one"))).await;
    let (web, admin) = (first.address("web").await, first.admin().await);
    let taken = backend.address.to_string();
    let (web, admin) = (web.to_string(), admin.to_string());
    for (listen, admin, named) in [
        // Taken by another Evenkeel, whose workers share the port among themselves.
        (web.as_str(), "127.0.0.1:0", &web),
        (taken.as_str(), "127.0.0.1:0", &taken),
        ("127.0.0.1:0", admin.as_str(), &admin),
    ] {
        let output = evenkeel(&["serve", "--listen", listen, "--admin", admin, "--backend", &taken]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(error.contains(&format!("cannot listen on {named}")), "{error}");
        assert!(error.contains("ss -ltnp"), "{error}");
        assert!(!error.contains("is ready"), "{error}");
    }
    let mut client = Client::connect(web.parse().unwrap()).await.unwrap();
    assert_eq!(client.get("/name").await.unwrap().body, "one");
}

#[tokio::test]
async fn a_log_filter_that_is_wrong_is_told_instead_of_logging_nothing() {
    // It would not start anyway, and says what is wrong first.
    let backend = Backend::start("one");
    let taken = backend.address.to_string();
    let output = Command::new(BINARY)
        .args(["serve", "--listen", &taken, "--backend", &taken])
        .env("EVENKEEL_LOG", "warning")
        .output()
        .unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    let expected = "error: EVENKEEL_LOG: `warning` is not a level: use error, warn, info";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_with_its_service_and_instance() {
    let folder = Folder::new();
    let file = folder.write(
        "names.yaml",
        &config("      - { id: far, address: 'nowhere.invalid:80' }\n"),
    );
    let output = evenkeel(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    for word in ["service web", "instance far", "nowhere.invalid"] {
        assert!(error.contains(word), "no {word} in {error}");
    }
}

#[tokio::test]
async fn ten_thousand_instances_load_serve_and_reload() {
    let backend = Backend::start("here");
    let many = |from: usize| -> String {
        let others = (from..from + 9_999).map(|i| {
            format!(
                "      - {{ id: i{i}, address: '127.1.{}.{}:9', priority: 1 }}\n",
                i / 250,
                i % 250 + 1
            )
        });
        others.chain([backend.instance("here")]).collect()
    };
    let server = Server::start(&config(&many(0))).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    assert_eq!(client.get("/name").await.unwrap().body, "here");
    server.reload(&config(&many(5_000)), "ok").await;
    assert_eq!(client.get("/name").await.unwrap().body, "here");
    let page: serde_json::Value = serde_json::from_str(&server.page("/api/v1/services/web").await).unwrap();
    assert_eq!(page["instances"]["total"], 10_000);
    let line = server.line("configuration reloaded").await;
    assert!(line.contains("instances=10000"), "{line}");
}
