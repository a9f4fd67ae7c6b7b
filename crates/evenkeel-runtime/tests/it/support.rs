//! Backends that misbehave, specifications in a line, and waiting with a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel_core::{
    Event, EventKind, Instance, Nanos, PickContext, PickRequest, ServiceSettings, Status, StrategyName, View,
};
use evenkeel_runtime::{Balancer, CheckKind, CheckSettings, Clock, Service, ServiceSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// Everything a test waits for happens within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it did not happen in time")
}

/// What a backend does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads a request head and answers with this status.
    Status(u16),
    /// Accepts, reads and never answers.
    Hang,
    /// Accepts and closes.
    Close,
    /// Answers with something that is not HTTP.
    Babble,
}

/// A server on a loopback port of its own. Ends when dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    manner: watch::Sender<Manner>,
    seen: Arc<Seen>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU32,
    open: AtomicU32,
    most_open: AtomicU32,
    head: Mutex<String>,
}

impl Backend {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (manner, changes) = watch::channel(manner);
        let seen = Arc::new(Seen::default());
        let mut server = JoinSet::new();
        server.spawn(serve(listener, changes, Arc::clone(&seen)));
        Self {
            address,
            manner,
            seen,
            _server: server,
        }
    }

    pub(crate) fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u32 {
        self.seen.connections.load(SeqCst)
    }

    /// The most connections that were open at once.
    pub(crate) fn most_open(&self) -> u32 {
        self.seen.most_open.load(SeqCst)
    }

    /// The last request head.
    pub(crate) fn head(&self) -> String {
        self.seen.head.lock().unwrap().clone()
    }

    /// Resolves when there have been `n` more connections than now.
    pub(crate) async fn more_connections(&self, n: u32) {
        let target = self.connections() + n;
        poll_until(|| self.connections() >= target).await;
    }
}

async fn serve(listener: TcpListener, manner: watch::Receiver<Manner>, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, SeqCst);
        let open = seen.open.fetch_add(1, SeqCst) + 1;
        seen.most_open.fetch_max(open, SeqCst);
        let (manner, seen) = (manner.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            let _ = answer(stream, manner, &seen).await;
            seen.open.fetch_sub(1, SeqCst);
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    mut manner: watch::Receiver<Manner>,
    seen: &Seen,
) -> std::io::Result<()> {
    let how = *manner.borrow_and_update();
    if how == Manner::Close {
        return Ok(());
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    *seen.head.lock().unwrap() = String::from_utf8_lossy(&head).into_owned();
    match how {
        Manner::Status(status) => {
            let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\n\r\nok");
            stream.write_all(head.as_bytes()).await
        }
        Manner::Babble => stream.write_all(b"220 smtp.example ready\r\n").await,
        Manner::Hang | Manner::Close => {
            // Until the other side gives up.
            let mut rest = [0; 16];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        }
    }
}

/// A port that refuses connections for as long as the socket lives: bound, but not listening.
pub(crate) fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

pub(crate) fn balancer() -> Balancer {
    Balancer::new(Clock::start(), 7)
}

pub(crate) fn instance(id: &str, address: SocketAddr) -> Instance {
    Instance::new(id, address).unwrap()
}

/// Instances `a`, `b`, … that nobody connects to.
pub(crate) fn letters(letters: &str) -> Vec<Instance> {
    let address = |letter: char| SocketAddr::from(([127, 0, 0, 1], letter as u16));
    letters
        .chars()
        .map(|letter| instance(&letter.to_string(), address(letter)))
        .collect()
}

pub(crate) fn spec(name: &str, instances: Vec<Instance>) -> ServiceSpec {
    ServiceSpec {
        settings: ServiceSettings {
            strategy: StrategyName::round_robin.into(),
            ..ServiceSettings::new(name)
        },
        instances,
        check: None,
    }
}

pub(crate) fn http_check(interval: u64, timeout: u64) -> CheckSettings {
    CheckSettings {
        kind: CheckKind::Http {
            path: "/healthz?deep=1".into(),
            host: None,
            expected: vec![CheckKind::EXPECTED],
        },
        ..tcp_check(interval, timeout)
    }
}

/// Times are in milliseconds.
pub(crate) fn tcp_check(interval: u64, timeout: u64) -> CheckSettings {
    CheckSettings {
        kind: CheckKind::Tcp,
        interval: Duration::from_millis(interval),
        timeout: Duration::from_millis(timeout),
        jitter: 0.1,
        port: None,
    }
}

pub(crate) fn status(view: &View, id: &str) -> Status {
    let found = view
        .members()
        .find(|(_, member, _)| member.instance().id.as_str() == id);
    found.unwrap().2.clone()
}

/// The next event of this kind about this instance.
pub(crate) async fn event(
    events: &mut broadcast::Receiver<Arc<Event>>,
    kind: EventKind,
    id: &str,
) -> Arc<Event> {
    within(async {
        loop {
            let event = events.recv().await.unwrap();
            if event.kind == kind && event.instance.as_ref().is_some_and(|i| i.as_str() == id) {
                return event;
            }
        }
    })
    .await
}

/// Looks again whenever other tasks have run, until `condition` holds.
pub(crate) async fn poll_until(condition: impl Fn() -> bool) {
    within(async {
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            pause.tick().await;
        }
    })
    .await;
}

/// Picks until the instance comes up, and fails there.
pub(crate) fn fail_at(service: &Service, id: &str, times: u32, now: Nanos) {
    let mut cx = PickContext::new(1);
    cx.now = now;
    let mut failed = 0;
    while failed < times {
        let lease = service.pick(&PickRequest::default(), &mut cx).unwrap();
        let outcome = if lease.member().instance().id.as_str() == id {
            failed += 1;
            evenkeel_core::Outcome::from_status(503, Nanos::from_millis(1))
        } else {
            evenkeel_core::Outcome::from_status(200, Nanos::from_millis(1))
        };
        service.finish(lease, &outcome, now);
    }
}
