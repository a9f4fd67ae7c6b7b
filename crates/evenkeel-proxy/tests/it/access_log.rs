//! What is written down of requests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evenkeel_proxy::{AccessLog, AccessLogSettings};
use serde_json::Value;

use crate::support::{Backend, GET, OK, Rig, Server, Setup, refusing, until, within};

/// A file of its own for a test.
struct Log(PathBuf);

impl Log {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("evenkeel-access-{}-{name}", std::process::id())))
    }

    fn settings(&self) -> AccessLogSettings {
        settings(&self.0)
    }

    /// The lines, once there are `count`.
    async fn lines(&self, count: usize) -> Vec<Value> {
        let text = || std::fs::read_to_string(&self.0).unwrap_or_default();
        until(|| text().lines().count() >= count).await;
        let text = text();
        assert_eq!(text.lines().count(), count, "{text}");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn settings(file: &Path) -> AccessLogSettings {
    AccessLogSettings {
        file: Some(file.to_owned()),
        sample: 1.0,
        query: false,
    }
}

async fn logging(log: &Log, setup: Setup) -> Rig {
    Setup {
        access_log: Some(log.settings()),
        ..setup
    }
    .start()
    .await
}

#[tokio::test]
async fn every_request_has_one_line_whatever_became_of_it() {
    let log = Log::new("each");
    let server = Server::start(OK).await;
    let (_socket, dead) = refusing();
    let mut setup = Setup::new(&[dead, server.address]);
    setup.listener.routes[0].path_prefix = Some("/a".into());
    let rig = logging(&log, setup).await;
    let mut client = rig.client().await;
    for (request, status) in [
        (
            "POST /a/b?token=secret HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-Request-Id: r-1\r\n\r\nabc",
            200,
        ),
        ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /other HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", 200),
        ("GET /\x01 HTTP/1.1\r\n\r\n", 400),
    ] {
        client.send(request).await;
        client.response().await.expect(status);
    }
    let lines = log.lines(5).await;
    let statuses: Vec<_> = lines
        .iter()
        .map(|line| line["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 200, 404, 200, 400]);
    let first = &lines[0];
    for (key, value) in [
        ("listener", "web"),
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("host", "x"),
        ("path", "/a/b"),
        ("service", "web"),
        ("instance", "i-1"),
        ("request_id", "r-1"),
    ] {
        assert_eq!(first[key], value, "{first}");
    }
    assert_eq!((&first["bytes_in"], &first["bytes_out"]), (&3.into(), &2.into()));
    // The dead one was the first for one of the two at least.
    assert!(lines.iter().any(|line| line["tries"] == 2), "{lines:?}");
    let (whole, there) = (
        first["duration_ms"].as_f64().unwrap(),
        first["instance_ms"].as_f64().unwrap(),
    );
    assert!(0.0 < there && there <= whole, "{first}");
    // The id that was made is the one that the instance got.
    let made = lines[1]["request_id"].as_str().unwrap();
    assert!(server.heads()[1].contains(made), "{made}");
    assert_eq!(lines[2]["error"], "destination_not_found");
    assert_eq!(
        (&lines[2]["path"], &lines[2]["service"]),
        (&"/other".into(), &Value::Null)
    );
    assert_eq!(lines[3]["method"], "OPTIONS");
    assert_eq!(lines[4]["error"], "http_request_error");
    assert!(!std::fs::read_to_string(&log.0).unwrap().contains("secret"));
    // Counted when they are written.
    until(|| rig.proxy.counters().access_lines() == 5).await;
}

#[tokio::test]
async fn who_has_no_answer_or_half_of_one_has_a_line_too() {
    let log = Log::new("broken");
    let backend = Backend::start().await;
    let rig = logging(&log, Setup::new(&[backend.address])).await;
    let client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    client.reset();
    instance.ended().await;
    assert_eq!(log.lines(1).await[0]["error"], "client_gone");
    assert_eq!(log.lines(1).await[0]["status"], 0);

    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    client.expect("HTTP/1.1 200 OK").await;
    drop(instance);
    let line = log.lines(2).await.remove(1);
    assert_eq!(line["error"], "http_response_incomplete");
    assert_eq!((&line["status"], &line["bytes_out"]), (&200.into(), &4.into()));

    // Cut off by the end of the process.
    let _client = rig.request(GET).await;
    let (_instance, _) = backend.request().await;
    let access = rig.proxy.access_log().cloned().unwrap();
    within(rig.proxy.drain(Duration::from_millis(1))).await;
    assert!(access.finish(Duration::from_secs(15)));
    let line = log.lines(3).await.remove(2);
    assert_eq!((&line["status"], &line["error"]), (&0.into(), &"cut_off".into()));
    assert_eq!(line["instance"], "i-0");
}

#[tokio::test]
async fn the_time_at_the_instance_is_that_of_the_last_try() {
    const SLOW: Duration = Duration::from_millis(50);
    let log = Log::new("tries");
    let backend = Backend::start().await;
    let (_socket, dead) = refusing();
    let setup = Setup {
        access_log: Some(log.settings()),
        ..Setup::new(&[backend.address, dead])
    };
    let rig = setup.start_standing().await;
    // It is the turn of either first; of both, one after the other.
    for _ in 0..2 {
        let mut client = rig.request(GET).await;
        let (mut instance, _) = backend.request().await;
        rig.pass(SLOW);
        instance
            .send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            .await;
        client.response().await;
    }
    let lines = log.lines(2).await;
    for line in &lines {
        let there = line["instance_ms"].as_f64().unwrap();
        assert_eq!(line["tries"], 2, "{line}");
        assert_eq!(
            there,
            if line["instance"] == "i-0" { 50.0 } else { 0.0 },
            "{line}"
        );
    }
    assert!(lines.iter().any(|line| line["instance"] == "i-1"), "{lines:?}");
}

#[tokio::test]
async fn a_log_that_was_moved_goes_on_in_a_new_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let (log, moved) = (Log::new("rotate"), Log::new("rotate.1"));
    let server = Server::start(OK).await;
    let rig = logging(&log, Setup::new(&[server.address])).await;
    let mode = std::fs::metadata(&log.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o7137, 0, "{mode:o}");
    let mut client = rig.client().await;
    for file in [&log, &moved, &log] {
        client.send(GET).await;
        client.response().await.expect(200);
        if file.0 == log.0 && !moved.0.exists() {
            log.lines(1).await;
            std::fs::rename(&log.0, &moved.0).unwrap();
        } else if file.0 == moved.0 {
            moved.lines(2).await;
            rig.proxy.access_log().unwrap().reopen();
            until(|| log.0.exists()).await;
        }
    }
    log.lines(1).await;
    moved.lines(2).await;
}

#[tokio::test]
async fn a_disk_that_is_full_stops_no_request() {
    let server = Server::start(OK).await;
    let full = Log(PathBuf::from("/dev/full"));
    let rig = logging(&full, Setup::new(&[server.address])).await;
    std::mem::forget(full);
    let mut client = rig.client().await;
    for _ in 0..20 {
        client.send(GET).await;
        client.response().await.expect(200);
    }
    let counters = rig.proxy.counters();
    until(|| counters.access_lines_dropped() == 20).await;
    assert_eq!(counters.access_lines(), 0);
}

#[test]
fn what_cannot_be_opened_is_told_with_a_remedy() {
    for (file, part) in [
        (
            "/no/such/directory/access.log",
            "there is no directory /no/such/directory",
        ),
        ("/tmp", "name a file in it"),
        ("/etc/passwd/access.log", "/etc/passwd is not a directory"),
    ] {
        let open = AccessLog::open(settings(Path::new(file)), None, &Default::default()).unwrap_err();
        let check = AccessLog::check(Path::new(file)).unwrap_err();
        assert_eq!(open.to_string(), check.to_string());
        assert!(open.to_string().contains(part), "{open}");
    }
    let log = Log::new("check");
    AccessLog::check(&log.0).unwrap();
    assert!(!log.0.exists());
}
