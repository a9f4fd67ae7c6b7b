//! Backends that misbehave while clients are served.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::backend::Backend;
use crate::support::load::Load;
use crate::support::process::Server;
use crate::support::{Folder, Port, one_service, raw, until};

/// Where the backend of this process listens, when it is one.
const LISTEN: &str = "EVENKEEL_TEST_BACKEND";

/// No test: the process that [`Process`] starts, which a real signal can kill.
#[test]
fn backend_process() {
    if let Ok(address) = std::env::var(LISTEN) {
        let _backend = Backend::at(address.parse().unwrap(), "process");
        loop {
            std::thread::park();
        }
    }
}

/// A backend that is a process of its own.
struct Process {
    child: Child,
}

impl Process {
    async fn start(port: &Port) -> Self {
        let address = port.address();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::backend_process", "--nocapture"])
            .env(LISTEN, address.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the backend listens", || async {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        Self { child }
    }

    fn kill(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(settings: &str, addresses: &[SocketAddr]) -> String {
    let instances = addresses.iter().enumerate();
    one_service(
        settings,
        instances.map(|(i, address)| format!("      - {{ id: web-{i}, address: {address} }}\n")),
    )
}

async fn one_of_three_is_killed(clients: usize, strategy: &str, path: &'static str) {
    let ports = [Port::reserve(), Port::reserve(), Port::reserve()];
    let mut processes = Vec::new();
    for port in &ports {
        processes.push(Process::start(port).await);
    }
    // On a busy machine it takes long to be connected to.
    let settings = format!(
        "    strategy: {strategy}\n    timeouts: {{ connect: 30s }}\n    circuit_breaker: {{ base_ejection: 500ms }}\n"
    );
    let server = Server::start(&config(&settings, &ports.each_ref().map(Port::address))).await;
    let load = Load::start(server.address("web").await, clients, path);
    load.more(clients as u64 * 5).await;

    processes[1].kill();
    let ejected = server.in_state(1, "ejected").await;
    let reason = ejected["reason"].as_str().unwrap();
    assert!(reason.contains("requests failed in a row"), "{reason}");
    load.more(clients as u64 * 5).await;
    // Before that it may have been withheld, while nobody else had answered.
    server.line("web-1 ejected").await;

    processes[1] = Process::start(&ports[1]).await;
    server.in_state(1, "healthy").await;
    let before = server.instance(1).await["counts"]["successes"].as_u64().unwrap();
    until("it serves again", || async {
        let now = server.instance(1).await["counts"]["successes"].as_u64().unwrap();
        (now > before + 5).then_some(())
    })
    .await;
    let seen = load.stop().await;
    println!("{} requests of {clients} clients under {strategy}", seen.served);
    seen.assert_no_failure();
    let events = server.page("/api/v1/events").await;
    assert!(events.contains("ejected") && events.contains("web-1"), "{events}");
}

#[tokio::test]
async fn kill_9_of_one_of_three_backends_fails_no_get() {
    one_of_three_is_killed(24, "power_of_two", "/name").await;
}

/// More requests under way to each than the reserve of the retry budget.
#[tokio::test]
async fn kill_9_with_many_clients_fails_no_get() {
    one_of_three_is_killed(600, "round_robin", "/name").await;
}

/// Slow requests, so that all of those to the killed one break at once.
#[tokio::test]
async fn kill_9_amid_slow_requests_fails_no_get() {
    one_of_three_is_killed(300, "least_connections", "/after/200").await;
}

/// Answers `limit` requests per connection without saying that it will close, and then closes: at once, or
/// when the next request has come, as one does whose idle timeout ran out just then.
async fn closes_after(listener: TcpListener, limit: u32, at_once: bool) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut buffer = vec![0; 4096];
            for served in 0..=limit {
                if served == limit && at_once {
                    return;
                }
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(n) if n > 0 => head.extend_from_slice(&buffer[..n]),
                        _ => return,
                    }
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if served == limit || stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn a_connection_closed_at_the_moment_of_reuse_fails_no_get() {
    let mut addresses = Vec::new();
    for (limit, at_once) in [(1, true), (1, false), (3, true), (3, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(closes_after(listener, limit, at_once));
    }
    let server = Server::start(&config("", &addresses)).await;
    let load = Load::start(server.address("web").await, 16, "/");
    load.more(3_000).await;
    let seen = load.stop().await;
    let stale = server
        .metric("evenkeel_retries_total{service=\"web\",reason=\"stale_connection\"}")
        .await;
    println!("{} requests, {stale} sent again on a new connection", seen.served);
    seen.assert_no_failure();
    assert!(stale > 100.0, "{stale}");
    for index in 0..4 {
        let instance = server.instance(index).await;
        assert_eq!(instance["state"], "healthy", "{instance}");
        assert_eq!(instance["counts"]["failures"], 0, "{instance}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_complete() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                raw::through(&mut stream, "\r\n\r\n").await;
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.set_zero_linger().unwrap();
            }
        });
        let server = Server::start(&config("", &[address])).await;
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut stream = raw::send(server.address("web").await, request).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let all = String::from_utf8(all).unwrap();
        assert!(!all.ends_with("0\r\n\r\n"), "{all}");
        assert!(all.len() < 1000, "{all}");
    }
}

#[tokio::test]
async fn without_any_backend_the_answer_says_why() {
    let ports = [Port::reserve(), Port::reserve()];
    let server = Server::start(&config("", &ports.each_ref().map(Port::address))).await;
    let mut client = crate::support::client::Client::connect(server.address("web").await)
        .await
        .unwrap();
    for _ in 0..20 {
        let answer = client.get("/").await.unwrap();
        assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
        let status = answer.headers["proxy-status"].to_str().unwrap();
        assert!(status.contains("connection_refused"), "{status}");
        assert!(!answer.body.is_empty());
    }
    // Taking both out would leave nobody to try.
    let line = server.line("ejection_withheld").await;
    assert!(line.contains("requests failed in a row"), "{line}");
}

const FEWER_CLIENTS: &str = "the limit of open files allows fewer client connections than configured";

#[tokio::test]
async fn clients_beyond_the_limit_of_open_files_leave_some_for_the_others() {
    let backend = Backend::start("one");
    let folder = Folder::new();
    let file = folder.write(
        "many.yaml",
        &("limits: { connections: 1000 }\n".to_owned() + &one_service("", [backend.instance("one")])),
    );
    let server = Server::with_open_files(64, &["--config", file.to_str().unwrap()]).await;
    let line = server.line(FEWER_CLIENTS).await;
    assert!(line.contains("connections=16 configured=1000"), "{line}");
    let load = Load::start(server.address("web").await, 100, "/name");
    load.more(500).await;
    let seen = load.stop().await;
    // Too many are told so, or find the connection closed; none is told that the instance is at fault.
    let blamed: Vec<_> = seen
        .failures
        .iter()
        .filter(|failure| failure.starts_with("502"))
        .collect();
    assert!(
        blamed.is_empty(),
        "{} of {}: {:?}",
        blamed.len(),
        seen.served,
        blamed[0]
    );
    until("all is well again", || async {
        let answer = crate::support::client::get(server.address("web").await, "/name").await;
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    })
    .await;
}

/// The connection that could not be accepted is still there to be accepted, so nothing but a pause keeps a worker from
/// asking for it again and again.
#[tokio::test]
async fn who_cannot_accept_waits_before_asking_again() {
    let backend = Backend::start("one");
    let server = Server::start(&one_service("", [backend.instance("one")])).await;
    let web = server.address("web").await;
    let pid = Pid::from_raw(server.pid().cast_signed());
    let allowed = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        ..allowed
    };
    prlimit(pid, Resource::Nofile, none).unwrap();
    let began = Instant::now();
    let waiting = tokio::spawn(crate::support::client::get(web, "/name"));
    let lines = server.lines("cannot accept", 4).await;
    assert!(lines[0].contains("raise the limit of open files"), "{}", lines[0]);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(300),
        "three pauses of 100 ms lie between: {took:?}"
    );
    prlimit(pid, Resource::Nofile, allowed).unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(answer.status, 200, "who waited is served");
}

/// Nobody asked for the default; a line about it at every start would be noise.
#[tokio::test]
async fn fewer_client_connections_than_the_default_are_not_worth_a_line() {
    let backend = Backend::start("one");
    let address = backend.address.to_string();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--backend",
        &address,
    ];
    let server = Server::with_open_files(64, &flags).await;
    assert!(!server.log().contains(FEWER_CLIENTS), "{}", server.log());
}
