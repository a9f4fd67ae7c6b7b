//! One data-plane thread: its own event loop, listening sockets, connection pools and buffers. Nothing
//! here is shared with other workers except the counters beside the instances.

use std::cell::{Cell, RefCell};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{Nanos, PickContext, RetryBudget};
use evenkeel_h1::{RequestHead, ResponseHead};
use evenkeel_runtime::{Clock, ViewReader};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::access::Lines;
use crate::buffer::Buffers;
use crate::client;
use crate::counters::Counters;
use crate::date::Date;
use crate::pool::{Pool, keep_warm};
use crate::rewrite::{Origin, Via};
use crate::settings::{ListenerSettings, ProxySettings, UpstreamSettings};
use crate::timers::{TICK, Timers};

/// What a worker is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Use these settings from the next request on, and these listening sockets from now on.
    Configure(Box<Configure>, oneshot::Sender<()>),
    /// Stop accepting; end connections as they become idle; report when none is left.
    Drain(oneshot::Sender<()>),
}

/// A new configuration.
#[derive(Debug)]
pub(crate) struct Configure {
    pub(crate) settings: Arc<ProxySettings>,
    /// One per upstream, shared by all workers.
    pub(crate) budgets: Vec<Arc<RetryBudget>>,
    /// Sockets of listeners that are new; the others keep theirs. In the order of the settings.
    pub(crate) sockets: Vec<Option<std::net::TcpListener>>,
}

/// Everything the connections of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) clock: Clock,
    pub(crate) timers: Rc<Timers>,
    pub(crate) buffers: Buffers,
    /// Emptied byte vectors of heads, for reuse.
    vecs: RefCell<Vec<Vec<u8>>>,
    pub(crate) request_head: RefCell<RequestHead>,
    pub(crate) response_head: RefCell<ResponseHead>,
    pub(crate) picks: RefCell<PickContext>,
    pub(crate) date: Date,
    pub(crate) via: Via,
    pub(crate) counters: Arc<Counters>,
    /// Of the access log.
    pub(crate) lines: Lines,
    pub(crate) routing: RefCell<Rc<Routing>>,
    pub(crate) draining: Cell<bool>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    open: Cell<usize>,
    drained: RefCell<Option<oneshot::Sender<()>>>,
}

/// Vectors kept for reuse, and the largest capacity worth keeping.
const KEEP_VECS: usize = 256;
const KEEP_CAPACITY: usize = 16 * 1024;
/// Pause after an error of `accept` that will not go away by itself (descriptors used up).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The settings with this worker's connections.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) upstreams: Vec<Rc<Upstream>>,
}

/// One service as this worker sees it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) settings: UpstreamSettings,
    pub(crate) view: RefCell<ViewReader>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) budget: Arc<RetryBudget>,
}

/// One listener as this worker sees it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) settings: RefCell<Rc<ListenerSettings>>,
    pub(crate) closed: Cell<bool>,
    socket: TcpListener,
    accepting: RefCell<Option<JoinHandle<()>>>,
}

impl Worker {
    pub(crate) fn new(clock: Clock, counters: Arc<Counters>, seed: u64, via: Via) -> Rc<Self> {
        let settings = Arc::new(ProxySettings {
            listeners: Vec::new(),
            upstreams: Vec::new(),
            limits: evenkeel_h1::Limits::default(),
            max_body: None,
            max_connections: 0,
            trusted_proxies: Vec::new(),
            access_log: None,
        });
        let worker = Rc::new(Self {
            clock,
            timers: Rc::default(),
            buffers: Buffers::default(),
            vecs: RefCell::default(),
            request_head: RefCell::new(RequestHead::new()),
            response_head: RefCell::new(ResponseHead::new()),
            picks: RefCell::new(PickContext::new(seed)),
            date: Date::default(),
            via,
            counters,
            lines: Lines::new(!seed),
            routing: RefCell::new(Rc::new(Routing {
                settings,
                upstreams: Vec::new(),
            })),
            draining: Cell::new(false),
            listeners: RefCell::default(),
            open: Cell::new(0),
            drained: RefCell::new(None),
        });
        let now = worker.read_clock();
        worker.date.set(clock.wall(now));
        worker.lines.set_wall(clock.wall(now), now);
        worker
    }

    /// Runs until the last command sender is gone or everything has drained.
    pub(crate) async fn run(self: Rc<Self>, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Configure(new, done)) => {
                        self.configure(*new);
                        let _ = done.send(());
                    }
                    Some(Command::Drain(done)) => self.drain(done),
                    None => return,
                },
                _ = tick.tick() => self.sweep(),
            }
        }
    }

    /// Reads the clock, once per phase of a request.
    pub(crate) fn read_clock(&self) -> Nanos {
        let now = self.clock.now();
        self.timers.set_now(now);
        now
    }

    /// An empty vector, perhaps with capacity.
    pub(crate) fn take_vec(&self) -> Vec<u8> {
        self.vecs.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_vec(&self, mut vec: Vec<u8>) {
        let mut vecs = self.vecs.borrow_mut();
        if vecs.len() < KEEP_VECS && vec.capacity() <= KEEP_CAPACITY {
            vec.clear();
            vecs.push(vec);
        }
    }

    fn sweep(self: &Rc<Self>) {
        let now = self.read_clock();
        let wall = self.clock.wall(now);
        self.date.set(wall);
        self.lines.set_wall(wall, now);
        self.lines.flush();
        self.timers.sweep(now);
        for upstream in &self.routing.borrow().upstreams {
            let mut reader = upstream.view.borrow_mut();
            let candidates = reader.view().candidates();
            upstream.pool.sweep(now, upstream.settings.idle, |slot, address| {
                candidates
                    .member(slot)
                    .is_some_and(|m| m.instance().address == address)
            });
            drop(reader);
            if !self.draining.get() {
                keep_warm(self, upstream, now);
            }
        }
    }

    fn configure(self: &Rc<Self>, new: Configure) {
        self.lines.configure(new.settings.access_log.clone());
        let old = Rc::clone(&self.routing.borrow());
        let upstreams = new
            .settings
            .upstreams
            .iter()
            .zip(new.budgets)
            .map(|(settings, budget)| {
                let known = old
                    .upstreams
                    .iter()
                    .find(|u| Arc::ptr_eq(&u.settings.service, &settings.service));
                Rc::new(Upstream {
                    settings: settings.clone(),
                    view: RefCell::new(settings.service.reader()),
                    pool: known.map(|u| Rc::clone(&u.pool)).unwrap_or_default(),
                    budget,
                })
            });
        let upstreams = upstreams.collect();
        *self.routing.borrow_mut() = Rc::new(Routing {
            settings: Arc::clone(&new.settings),
            upstreams,
        });

        let mut previous = self.listeners.take();
        let mut listeners = Vec::new();
        for (settings, socket) in new.settings.listeners.iter().zip(new.sockets) {
            match socket {
                Some(socket) => listeners.extend(self.listen(settings, socket)),
                None => {
                    let at = previous
                        .iter()
                        .position(|l| l.settings.borrow().place() == settings.place());
                    if let Some(at) = at {
                        let listener = previous.swap_remove(at);
                        *listener.settings.borrow_mut() = Rc::new(settings.clone());
                        listeners.push(listener);
                    }
                }
            }
        }
        for gone in previous {
            gone.close(self);
        }
        *self.listeners.borrow_mut() = listeners;
        // Idle connections of closed listeners end.
        self.timers.wake_all();
    }

    fn listen(
        self: &Rc<Self>,
        settings: &ListenerSettings,
        socket: std::net::TcpListener,
    ) -> Option<Rc<Listener>> {
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(listener = %settings.name, %error, "cannot watch the listening socket");
                return None;
            }
        };
        let listener = Rc::new(Listener {
            settings: RefCell::new(Rc::new(settings.clone())),
            closed: Cell::new(false),
            socket,
            accepting: RefCell::new(None),
        });
        let task = tokio::task::spawn_local(accept(Rc::clone(self), Rc::clone(&listener)));
        *listener.accepting.borrow_mut() = Some(task);
        Some(listener)
    }

    fn drain(self: &Rc<Self>, done: oneshot::Sender<()>) {
        self.draining.set(true);
        for listener in self.listeners.take() {
            listener.close(self);
        }
        *self.drained.borrow_mut() = Some(done);
        self.timers.wake_all();
        self.report_drained();
    }

    fn report_drained(&self) {
        if self.draining.get()
            && self.open.get() == 0
            && let Some(done) = self.drained.take()
        {
            let _ = done.send(());
        }
    }

    fn opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    fn ended(&self) {
        self.open.set(self.open.get() - 1);
        self.counters.on_close();
        self.report_drained();
    }
}

impl Listener {
    /// Takes the connections that the kernel made already, and then no more: closing the socket would
    /// reset them.
    fn close(self: &Rc<Self>, worker: &Rc<Worker>) {
        self.closed.set(true);
        if let Some(task) = self.accepting.take() {
            task.abort();
        }
        // The event loop may not have heard of the latest ones; the system has.
        while let Ok((socket, peer)) = SockRef::from(&self.socket).accept() {
            let _ = socket.set_nonblocking(true);
            if let (Ok(stream), Some(peer)) = (TcpStream::from_std(socket.into()), peer.as_socket()) {
                admit(worker, self, stream, peer);
            }
        }
        // The socket itself goes with the last connection, which is too late.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Both);
    }
}

/// Counts a connection as long as its task lives, however the task ends.
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) Rc<Worker>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.ended();
    }
}

async fn accept(worker: Rc<Worker>, listener: Rc<Listener>) {
    loop {
        match listener.socket.accept().await {
            Ok((stream, peer)) => admit(&worker, &listener, stream, peer),
            Err(error) => {
                worker.counters.on_accept_error();
                let name = Arc::clone(&listener.settings.borrow().name);
                if is_about_one_connection(&error) {
                    tracing::debug!(listener = %name, %error, "a connection ended before it was accepted");
                    continue;
                }
                tracing::warn!(listener = %name, %error, "cannot accept; raise the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection, unless it is one too many.
fn admit(worker: &Rc<Worker>, listener: &Rc<Listener>, stream: TcpStream, peer: SocketAddr) {
    let routing = Rc::clone(&worker.routing.borrow());
    let admitted = worker.counters.on_accept(routing.settings.max_connections);
    worker.opened();
    let opened = Opened(Rc::clone(worker));
    if !admitted {
        client::refuse(stream, worker);
        return;
    }
    let address = peer.ip().to_canonical();
    let trusted = routing
        .settings
        .trusted_proxies
        .iter()
        .any(|net| net.contains(&address));
    let origin = Origin::new(address, trusted);
    let mut client = client::Client::new(opened, Rc::clone(listener), stream, origin);
    tokio::task::spawn_local(async move { client.serve().await });
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionAborted | E::ConnectionReset | E::Interrupted | E::WouldBlock
    )
}
