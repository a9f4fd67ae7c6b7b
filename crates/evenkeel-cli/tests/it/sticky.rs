//! Sessions that stick, and failures that clients do not see, over real sockets.

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
async fn without_a_secret_sessions_end_with_the_process_and_it_says_so() {
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let config = config("", &backends);
    let server = Server::start(&config).await;
    let warning = server.line("sessions end when this process does").await;
    assert!(
        warning.contains("WARN") && warning.contains("service=web"),
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
    let server = Server::start(&config).await;
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
