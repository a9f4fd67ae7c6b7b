//! The access log: written by `evenkeel serve`, read by `evenkeel sim`.

use rustix::process::Signal;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::process::{Server, evenkeel, text};
use crate::support::{Folder, one_service, raw, until};

fn config(access_log: &str, instances: impl IntoIterator<Item = String>) -> String {
    format!(
        "access_log: {access_log}\n{}",
        one_service("    strategy: { name: consistent_hash, key: path }\n", instances)
    )
}

async fn ask(server: &Server, paths: &[&str]) {
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    for path in paths {
        assert_eq!(client.get(path).await.unwrap().status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_serve_wrote_the_simulator_runs() {
    let folder = Folder::new();
    let file = folder.path().join("access.log");
    let path = file.to_str().unwrap();
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let instances = [one.instance("one"), two.instance("two")];
    let mut server = Server::start(&config(&format!("{{ file: {path} }}"), instances)).await;
    let asked: Vec<String> = (0..30).map(|n| format!("/item/{}?secret", n % 7)).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    ask(&server, &asked).await;
    ask(&server, &["/after/20"; 5]).await;
    // The last lines are written at the end.
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(0));
    let log = std::fs::read_to_string(&file).unwrap();
    assert_eq!(log.lines().count(), 35, "{log}");
    assert!(!log.contains("secret"), "{log}");
    let keys: std::collections::BTreeSet<_> = log
        .lines()
        .map(|line| line.rsplit_once("\"key\":").unwrap().1)
        .collect();
    assert_eq!(keys.len(), 8);

    let run = |more: &[&str]| {
        let common = [
            "sim",
            "run",
            "--trace",
            path,
            "--strategy",
            "adaptive,least_connections",
        ];
        evenkeel(&[&common[..], more].concat())
    };
    let output = run(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("access.log: 35 requests in"),
        "{}",
        text(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let strategies = report[0]["strategies"].as_array().unwrap();
    assert_eq!(strategies.len(), 2);
    assert_eq!(strategies[1]["strategy"], "least_connections");
    assert_eq!(
        strategies[0]["runs"][0]["all"]["requests"], 35,
        "{}",
        strategies[0]["runs"][0]
    );
    let output = run(&["--service", "wbe"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("it holds those of web (35)"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn signals_open_it_anew_with_and_without_a_reload() {
    let folder = Folder::new();
    let file = folder.path().join("access.log");
    let one = Backend::start("one");
    let mut server = Server::start(&config(file.to_str().unwrap(), [one.instance("one")])).await;
    let lines = |name: &'static str, count| {
        let path = folder.path().join(name);
        until(name, move || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            async move { (text.lines().count() == count).then_some(()) }
        })
    };
    for (number, signal) in [Signal::USR1, Signal::HUP].into_iter().enumerate() {
        ask(&server, &["/name"; 3]).await;
        lines("access.log", 3).await;
        std::fs::rename(&file, folder.path().join(format!("old.{number}"))).unwrap();
        server.signal(signal);
        until("a new file", || async { file.exists().then_some(()) }).await;
    }
    // The former only opened the log.
    server.line("configuration reloaded").await;
    assert_eq!(
        server
            .metric("evenkeel_config_reloads_total{result=\"ok\"}")
            .await,
        1.0
    );
    // A file that cannot be opened leaves all as it is.
    server
        .reload(
            &config("/no/such/directory/access.log", [one.instance("one")]),
            "failed",
        )
        .await;
    server.line("there is no directory /no/such/directory").await;
    ask(&server, &["/name"]).await;
    lines("access.log", 1).await;
    // Counted when they are written.
    until("seven lines are counted", || async {
        (server.metric("evenkeel_access_log_lines_total").await == 7.0).then_some(())
    })
    .await;
    assert_eq!(server.metric("evenkeel_access_log_dropped_total").await, 0.0);
    // Switched off.
    let off = one_service("", [one.instance("one")]);
    server.reload(&off, "ok").await;
    ask(&server, &["/name"]).await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(0));
    lines("access.log", 1).await;
}

#[tokio::test]
async fn a_log_is_rotated_during_a_drain_too() {
    let folder = Folder::new();
    let [file, moved] = ["access.log", "access.log.1"].map(|name| folder.path().join(name));
    let one = Backend::start("one");
    let mut server = Server::start(&config(file.to_str().unwrap(), [one.instance("one")])).await;
    let address = server.address("web").await;
    let mut slow = raw::send(address, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until("the request is there", || async {
        (one.requests() > 0).then_some(())
    })
    .await;
    server.signal(Signal::TERM);
    server.line("draining").await;
    std::fs::rename(&file, &moved).unwrap();
    server.signal(Signal::USR1);
    until("a new file", || async { file.exists().then_some(()) }).await;
    one.state.gate.notify_one();
    raw::to_end(&mut slow).await;
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    let lines = |path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&moved), lines(&file)), (0, 1));
}

#[test]
fn a_directory_that_is_not_there_is_told_by_check() {
    let folder = Folder::new();
    let one = "      - { address: 127.0.0.1:9 }\n".to_owned();
    let file = folder.write(
        "evenkeel.yaml",
        &config("/no/such/directory/access.log", [one.clone()]),
    );
    let output = evenkeel(&["check", "--config", file.to_str().unwrap()]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("mkdir -p /no/such/directory"), "{error}");
    let serve = evenkeel(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(serve.status.code(), Some(3), "{}", text(&serve.stderr));
    let good = folder.path().join("access.log");
    let file = folder.write("evenkeel.yaml", &config(good.to_str().unwrap(), [one]));
    let output = evenkeel(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!good.exists());
}
