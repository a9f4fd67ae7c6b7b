//! The data plane with its balancer, and the backends behind it.
//!
//! A test holds both ends: it sends what a client sends, accepts the connection the proxy makes and
//! answers as the backend. Everything a test waits for has a deadline. Where a limit decides what happens, the clock
//! stands and the test sets it on: a machine that is busy elsewhere makes nothing late.

use std::future::Future;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel_core::{
    EjectionSettings, Instance, Mode, ServiceSettings, SessionKey, StrategyName, StrategySettings,
};
use evenkeel_h1::Limits;
use evenkeel_proxy::{
    AccessLog, AccessLogSettings, ListenerSettings, Proxy, ProxySettings, RetryOn, RouteSettings, SameSite,
    StickyCookie, UpstreamSettings,
};
use evenkeel_runtime::{Balancer, Clock, MetricsSnapshot, RetryReason, Service, ServiceSpec};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::peer::Peer;

/// Everything a test waits for happens within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// A limit no test reaches: more than a standing clock is set on by within [`PATIENCE`].
const LONG: Duration = Duration::from_secs(3600);
/// A limit that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let at = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{at}: it did not happen in time"),
        }
    }
}

/// Looks again and again until `condition` holds.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    within(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            pause.tick().await;
        }
    })
}

/// What a test may set; the rest is out of its way.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) instances: Vec<SocketAddr>,
    /// Of the instances; those behind the last have none.
    pub(crate) regions: &'static [&'static str],
    pub(crate) strategy: StrategySettings,
    pub(crate) listener: ListenerSettings,
    pub(crate) more_listeners: Vec<ListenerSettings>,
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
    pub(crate) body_idle: Duration,
    pub(crate) idle: Duration,
    pub(crate) retry_on: RetryOn,
    pub(crate) retry_attempts: u32,
    pub(crate) retry_budget: f64,
    pub(crate) strip_load_reports: bool,
    /// The secret of sessions that stick.
    pub(crate) sticky: Option<&'static str>,
    pub(crate) connections_per_instance: u32,
    pub(crate) limits: Limits,
    pub(crate) max_body: Option<u64>,
    pub(crate) max_clients: usize,
    pub(crate) trusted_proxies: &'static [&'static str],
    pub(crate) access_log: Option<AccessLogSettings>,
    pub(crate) workers: usize,
}

impl Setup {
    pub(crate) fn new(instances: &[SocketAddr]) -> Self {
        Self {
            instances: instances.to_vec(),
            regions: &[],
            strategy: StrategyName::round_robin.into(),
            listener: ListenerSettings {
                name: "web".into(),
                bind: SocketAddr::from(([127, 0, 0, 1], 0)),
                client_header: LONG,
                client_idle: LONG,
                body_idle: LONG,
                routes: vec![RouteSettings {
                    host: None,
                    path_prefix: None,
                    upstream: 0,
                }],
            },
            more_listeners: Vec::new(),
            connect: LONG,
            response: LONG,
            body_idle: LONG,
            idle: LONG,
            retry_on: RetryOn::default(),
            retry_attempts: 2,
            retry_budget: 0.2,
            strip_load_reports: true,
            sticky: None,
            connections_per_instance: u32::MAX,
            limits: Limits::default(),
            max_body: None,
            max_clients: 10_000,
            trusted_proxies: &[],
            access_log: None,
            workers: 1,
        }
    }

    fn spec(&self) -> ServiceSpec {
        let instance = |(n, address): (usize, &SocketAddr)| {
            let mut instance = Instance::new(&format!("i-{n}"), *address).unwrap();
            instance.region = self.regions.get(n).map(|region| Arc::from(*region));
            instance
        };
        ServiceSpec {
            settings: ServiceSettings {
                strategy: self.strategy.clone(),
                checks: None,
                // A test decides which instances are asked, not their past.
                ejection: EjectionSettings {
                    consecutive_failures: 0,
                    on_score: Mode::Off,
                    ..EjectionSettings::default()
                },
                sessions: self
                    .sticky
                    .map(|secret| SessionKey::new(secret.as_bytes(), "web")),
                ..ServiceSettings::new("web")
            },
            instances: self.instances.iter().enumerate().map(instance).collect(),
            check: None,
        }
    }

    fn settings(&self, service: &Arc<Service>) -> ProxySettings {
        ProxySettings {
            listeners: [std::slice::from_ref(&self.listener), &self.more_listeners].concat(),
            upstreams: vec![UpstreamSettings {
                service: Arc::clone(service),
                connect: self.connect,
                response: self.response,
                body_idle: self.body_idle,
                idle: self.idle,
                retry_on: self.retry_on.clone(),
                retry_attempts: self.retry_attempts,
                retry_budget: self.retry_budget,
                strip_load_reports: self.strip_load_reports,
                sticky: self.sticky.map(|_| StickyCookie {
                    name: "evenkeel".into(),
                    path: "/".into(),
                    ttl: None,
                    secure: false,
                    same_site: SameSite::Lax,
                }),
                max_connections: self.connections_per_instance,
                max_idle: 1_000,
            }],
            limits: self.limits,
            max_body: self.max_body,
            max_connections: self.max_clients,
            trusted_proxies: self
                .trusted_proxies
                .iter()
                .map(|net| net.parse().unwrap())
                .collect(),
            access_log: None,
        }
    }

    pub(crate) async fn start(self) -> Rig {
        self.start_by(Clock::start()).await
    }

    /// With a clock that stands until the test lets time [pass](Rig::pass).
    pub(crate) async fn start_standing(self) -> Rig {
        self.start_by(Clock::standing()).await
    }

    async fn start_by(self, clock: Clock) -> Rig {
        let balancer = Balancer::new(clock, 7);
        let proxy = Proxy::start(self.workers, clock, 7).unwrap();
        let mut rig = Rig {
            proxy,
            balancer,
            address: self.listener.bind,
        };
        rig.configure(&self).await;
        rig.address = rig.proxy.listening()[0].1;
        rig
    }
}

/// A running data plane, with one worker unless a test wants more.
pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
    balancer: Balancer,
    pub(crate) address: SocketAddr,
}

impl Rig {
    /// In front of one backend.
    pub(crate) async fn before(backend: &Backend) -> Self {
        Setup::new(&[backend.address]).start().await
    }

    /// Sets on a standing clock.
    pub(crate) fn pass(&self, time: Duration) {
        self.balancer.clock().set_on(time.into());
    }

    /// Sets on a standing clock, by [`SHORT`] at a time, until this has happened: a limit may be set only then.
    pub(crate) async fn passing<T>(&self, happens: impl Future<Output = T>) -> T {
        let passing = async {
            let mut pause = tokio::time::interval(SHORT / 10);
            pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first is over at once.
            pause.tick().await;
            loop {
                pause.tick().await;
                self.pass(SHORT);
            }
        };
        tokio::select! { value = happens => value, () = passing => unreachable!() }
    }

    pub(crate) async fn configure(&mut self, setup: &Setup) {
        self.balancer.apply(vec![setup.spec()]).await.unwrap();
        let mut settings = setup.settings(&self.service());
        let log = setup
            .access_log
            .clone()
            .map(|log| AccessLog::open(log, self.proxy.access_log(), self.proxy.counters()).unwrap());
        settings.access_log = log;
        let sockets = self.proxy.bind(&settings.listeners).unwrap();
        self.proxy.configure(settings, sockets).await;
    }

    pub(crate) async fn client(&self) -> Peer {
        Peer::new(within(TcpStream::connect(self.address)).await.unwrap())
    }

    /// A client that has sent this.
    pub(crate) async fn request(&self, text: &str) -> Peer {
        let mut client = self.client().await;
        client.send(text).await;
        client
    }

    pub(crate) fn service(&self) -> Arc<Service> {
        self.balancer.service("web").unwrap()
    }

    pub(crate) fn metrics(&self) -> MetricsSnapshot {
        self.service().metrics().snapshot()
    }

    pub(crate) fn retries(&self, reason: RetryReason) -> u64 {
        self.metrics()
            .retries
            .iter()
            .find(|row| row.0 == reason)
            .unwrap()
            .1
    }

    /// Responses of all instances that began and had more to come.
    pub(crate) fn begun(&self) -> u32 {
        let view = self.service().view_full();
        let members = view.members();
        members.map(|(_, member, _)| member.stats().answers_begun()).sum()
    }

    /// Requests of which the client still sends the rest.
    pub(crate) fn sending(&self) -> u32 {
        let view = self.service().view_full();
        let members = view.members();
        members.map(|(_, member, _)| member.stats().sending()).sum()
    }

    /// Sums over all instances: in flight, successes, failures, cancelled.
    pub(crate) fn tally(&self) -> [u64; 4] {
        let mut tally = [0; 4];
        for (_, member, _) in self.service().view_full().members() {
            let stats = member.stats();
            let one = [
                u64::from(member.load().get()),
                stats.successes(),
                stats.failures(),
                stats.cancelled(),
            ];
            tally.iter_mut().zip(one).for_each(|(sum, n)| *sum += n);
        }
        tally
    }

    /// Waits until no request is in flight.
    #[track_caller]
    pub(crate) fn settled(&self) -> impl Future<Output = ()> {
        until(|| self.tally()[0] == 0)
    }
}

/// Where the proxy finds a backend that a test plays by hand.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            listener,
        }
    }

    /// The next connection of the proxy.
    #[track_caller]
    pub(crate) fn accept(&self) -> impl Future<Output = Peer> {
        let accepted = within(self.listener.accept());
        async { Peer::new(accepted.await.unwrap().0) }
    }

    /// The next connection of the proxy, and the request head that came over it.
    #[track_caller]
    pub(crate) fn request(&self) -> impl Future<Output = (Peer, String)> {
        let accepted = self.accept();
        async {
            let mut peer = accepted.await;
            let head = peer.head().await;
            (peer, head)
        }
    }

    /// Refuses connections from now on.
    pub(crate) fn stop(&self) {
        SockRef::from(&self.listener).shutdown(Shutdown::Both).unwrap();
    }

    /// Whether the proxy has connected again.
    pub(crate) fn is_called(&self) -> bool {
        use std::task::{Context, Poll, Waker};
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.listener.poll_accept(&mut cx), Poll::Ready(_))
    }
}

/// A backend that gives every request (without a body) the same answer.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answer: &'static str) -> Self {
        let backend = Backend::start().await;
        let address = backend.address;
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = backend.listener.accept().await {
                let seen = Arc::clone(&seen);
                connections.spawn(async move {
                    let mut peer = Peer::new(stream);
                    while let Some(head) = peer.try_head().await {
                        seen.lock().unwrap().push(head);
                        if peer.stream.write_all(answer.as_bytes()).await.is_err() || answer.is_empty() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            heads,
            _tasks: tasks,
        }
    }

    /// The request heads so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// An address that refuses connections for as long as the socket lives: bound, but not listening.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An address that answers no attempt to connect: its queue of waiting connections is full.
pub(crate) fn silent() -> (Vec<Socket>, SocketAddr) {
    let (listener, address) = refusing();
    listener.listen(0).unwrap();
    let mut sockets = vec![listener];
    for _ in 0..3 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        sockets.push(socket);
    }
    (sockets, address)
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
