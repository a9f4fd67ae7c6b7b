//! Sessions that stick, and failures that clients do not see, over real sockets.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use hyper::Method;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::{Folder, one_service};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn config(sticky: &str, backends: &[Backend]) -> String {
    let instances = backends.iter().zip(NAMES);
    one_service(
        &format!("    strategy: round_robin\n    sticky: {{ {sticky} }}\n"),
        instances.map(|(backend, name)| backend.instance(name)),
    )
}

/// The answer to a request with this cookie: the instance's name, and the cookie that is set.
async fn ask(server: &Server, cookie: &str) -> (String, Option<String>) {
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    let answer = client.get_with("/name", ("Cookie", cookie)).await.unwrap();
    assert_eq!(answer.status, 200);
    let set = answer.headers.get("set-cookie").map(|set| set.to_str().unwrap());
    let pair = set.and_then(|set| set.split_once(';'));
    (answer.body, pair.map(|(pair, _)| pair.to_owned()))
}

#[tokio::test]
async fn sessions_survive_restarts_and_end_with_their_instance() {
    let mut backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let folder = Folder::new();
    let secret = folder.write("secret", "0123456789abcdef\n");
    let config = config(
        &format!("cookie: sid, secret_file: {}", secret.display()),
        &backends,
    );
    let server = Server::start(&config).await;
    let other = Server::start(&config).await;
    let (home, cookie) = ask(&server, "a=1").await;
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("sid="), "{cookie}");
    for _ in 0..20 {
        assert_eq!(ask(&server, &cookie).await, (home.clone(), None));
        assert_eq!(
            ask(&other, &cookie).await,
            (home.clone(), None),
            "another process"
        );
    }
    drop((server, other));
    let server = Server::start(&config).await;
    for _ in 0..5 {
        assert_eq!(ask(&server, &cookie).await, (home.clone(), None), "a restart");
    }
    assert!(!server.log().contains("sessions end"), "{}", server.log());
    let dies = NAMES.iter().position(|name| *name == home).unwrap();
    drop(backends.remove(dies));
    let (next, moved) = ask(&server, &cookie).await;
    let moved = moved.unwrap();
    assert!(next != home && moved != cookie);
    for _ in 0..20 {
        assert_eq!(ask(&server, &moved).await, (next.clone(), None));
    }
}

#[tokio::test]
async fn without_a_secret_sessions_outlast_the_process_by_one_of_the_state_directory() {
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let folder = Folder::new();
    let state = folder.path().join("state");
    let config = format!("state_dir: {}\n{}", state.display(), config("", &backends));
    let server = Server::start(&config).await;
    let secret = std::fs::read_to_string(state.join("session-secret")).unwrap();
    assert_eq!(secret.trim_end().len(), 64);
    let mode = std::fs::metadata(state.join("session-secret"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (home, cookie) = ask(&server, "a=1").await;
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("evenkeel-web="), "{cookie}");
    drop(server);
    let server = Server::start(&config).await;
    for _ in 0..5 {
        assert_eq!(ask(&server, &cookie).await, (home.clone(), None), "a restart");
    }
    let log = server.log();
    assert!(
        !log.contains("sessions end") && !log.contains(secret.trim_end()),
        "{log}"
    );
}

#[tokio::test]
async fn a_client_of_two_services_keeps_a_session_with_each() {
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let instances = || {
        let instances = backends.iter().zip(NAMES);
        instances
            .map(|(backend, name)| backend.instance(name))
            .collect::<String>()
    };
    let folder = Folder::new();
    let config = format!(
        "state_dir: {}
admin: {{ listen: 127.0.0.1:0 }}
listeners: [{{ name: web, bind: 127.0.0.1:0, routes: [{{ path_prefix: /name, service: web }}, {{ service: api }}] }}]
defaults: {{ strategy: round_robin, sticky: {{}} }}
services:
  - name: web
    instances:
{}  - name: api
    instances:
{}",
        folder.path().display(),
        instances(),
        instances()
    );
    // One jar for all cookies, as browsers have it.
    let mut jar: BTreeMap<String, String> = BTreeMap::new();
    let mut homes: BTreeMap<&str, String> = BTreeMap::new();
    let mut set = 0;
    for start in 0..2 {
        let server = Server::start(&config).await;
        let mut client = Client::connect(server.address("web").await).await.unwrap();
        for _ in 0..10 {
            for path in ["/name", "/status/200"] {
                let cookies: Vec<String> = jar
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let answer = client
                    .get_with(path, ("Cookie", &*cookies.join("; ")))
                    .await
                    .unwrap();
                for cookie in answer.headers.get_all("set-cookie") {
                    let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                    let (name, value) = pair.split_once('=').unwrap();
                    jar.insert(name.to_owned(), value.to_owned());
                    set += 1;
                }
                let home = homes.entry(path).or_insert_with(|| answer.body.clone());
                assert_eq!(*home, answer.body, "{path}, start {start}, {jar:?}");
            }
        }
    }
    assert_eq!((set, jar.len()), (2, 2), "each is set once: {jar:?}");
}

#[tokio::test]
async fn where_no_secret_can_be_kept_sessions_end_with_the_process_and_it_says_so() {
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let config = config("", &backends);
    // What is no directory keeps nothing.
    let server = Server::without_state(&config).await;
    let warning = server.line("sessions end when this process does").await;
    assert!(
        warning.contains("WARN") && warning.contains("service=web") && warning.contains("session-secret"),
        "{warning}"
    );
    let (home, cookie) = ask(&server, "a=1").await;
    let cookie = cookie.unwrap();
    assert_eq!(ask(&server, &cookie).await, (home.clone(), None));
    // A reload does not end them.
    server.reload(&config, "ok").await;
    assert_eq!(ask(&server, &cookie).await, (home, None));
    // Nor does it say what was said.
    assert_eq!(server.log().matches("sessions end when").count(), 1);
    drop(server);
    let server = Server::without_state(&config).await;
    assert!(
        ask(&server, &cookie).await.1.is_some(),
        "another process has another secret"
    );
}

#[tokio::test]
async fn a_failure_is_asked_of_others_before_the_client_sees_it() {
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let server = Server::start(&config("", &backends)).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    let asked = || backends.iter().map(Backend::requests).sum::<u64>();
    let answer = client.get("/status/503").await.unwrap();
    assert_eq!((answer.status, asked()), (503, 3), "each instance once");
    assert!(answer.headers.get("set-cookie").is_none());
    let answer = client.send(Method::POST, "/status/503", "").await.unwrap();
    assert_eq!((answer.status, asked()), (503, 4), "a POST is sent once");
    let retries = server
        .metric("evenkeel_retries_total{service=\"web\",reason=\"status\"}")
        .await;
    assert_eq!(retries, 2.0);
}
