//! The handle by which the rest of the process runs the data plane.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_core::{RetryBudget, Rng};
use evenkeel_runtime::Clock;
use tokio::sync::{mpsc, oneshot};

use crate::access::AccessLog;
use crate::bind::{self, BindError};
use crate::counters::Counters;
use crate::rewrite::Via;
use crate::settings::{ListenerSettings, Place, ProxySettings};
use crate::worker::{Command, Configure, Worker};

/// Commands that may wait for a worker; more make the sender wait.
const COMMANDS: usize = 4;

/// The workers. Dropping it ends them at once, with whatever they are doing.
#[derive(Debug)]
pub struct Proxy {
    workers: Vec<Handle>,
    counters: Arc<Counters>,
    settings: Option<Arc<ProxySettings>>,
    /// Where the listeners listen.
    bound: HashMap<Place, SocketAddr>,
    budgets: HashMap<Arc<str>, Arc<RetryBudget>>,
}

/// Sockets for the listeners of a configuration, in the order of its listeners.
#[derive(Debug)]
pub struct Sockets {
    bound: HashMap<Place, SocketAddr>,
    /// For each worker; `None` where a listener keeps its socket.
    of_workers: Vec<Vec<Option<std::net::TcpListener>>>,
}

#[derive(Debug)]
struct Handle {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts `workers` threads that listen nowhere yet. `seed` determines their draws.
    ///
    /// # Errors
    /// When a thread or its event loop cannot be made.
    pub fn start(workers: usize, clock: Clock, seed: u64) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let mut rng = Rng::new(seed);
        let via = Via::new(rng.next_u64() as u32);
        let workers = (0..workers.max(1))
            .map(|index| Handle::spawn(index, clock, Arc::clone(&counters), rng.next_u64(), via.clone()))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            workers,
            counters,
            settings: None,
            bound: HashMap::new(),
            budgets: HashMap::new(),
        })
    }

    /// Opens the sockets of those `listeners` that do not listen yet. Nothing changes until they are
    /// given to [`Self::configure`]; dropping them closes them.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn bind(&self, listeners: &[ListenerSettings]) -> Result<Sockets, BindError> {
        let mut sockets = Sockets {
            bound: HashMap::new(),
            of_workers: self.workers.iter().map(|_| Vec::new()).collect(),
        };
        for listener in listeners {
            let place = listener.place();
            if let Some(actual) = self.bound.get(&place) {
                sockets.bound.insert(place, *actual);
                sockets
                    .of_workers
                    .iter_mut()
                    .for_each(|of_worker| of_worker.push(None));
                continue;
            }
            let opened = bind::bind(&listener.name, listener.bind, self.workers.len())?;
            if let Some(Ok(actual)) = opened.first().map(std::net::TcpListener::local_addr) {
                sockets.bound.insert(place, actual);
            }
            for (of_worker, socket) in sockets.of_workers.iter_mut().zip(opened) {
                of_worker.push(Some(socket));
            }
        }
        Ok(sockets)
    }

    /// Puts `settings` in force, with the sockets opened for its listeners. Requests that are running
    /// keep the settings they began with; connections of listeners that are gone end as they become
    /// idle.
    pub async fn configure(&mut self, settings: ProxySettings, sockets: Sockets) {
        let settings = Arc::new(settings);
        let budgets: Vec<_> = settings
            .upstreams
            .iter()
            .map(|u| Arc::clone(self.budgets.entry(Arc::clone(u.service.name())).or_default()))
            .collect();
        self.budgets
            .retain(|name, _| settings.upstreams.iter().any(|u| u.service.name() == name));
        let mut answers = Vec::new();
        for (worker, sockets) in self.workers.iter().zip(sockets.of_workers) {
            let new = Configure {
                settings: Arc::clone(&settings),
                budgets: budgets.clone(),
                sockets,
            };
            answers.push(worker.ask(|done| Command::Configure(Box::new(new), done)).await);
        }
        all(answers).await;
        self.bound = sockets.bound;
        self.settings = Some(settings);
    }

    /// Listener names with the addresses they listen on.
    #[must_use]
    pub fn listening(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let listeners = self.settings.iter().flat_map(|s| &s.listeners);
        listeners
            .filter_map(|l| Some((Arc::clone(&l.name), *self.bound.get(&l.place())?)))
            .collect()
    }

    /// The access log, if there is one.
    #[must_use]
    pub fn access_log(&self) -> Option<&AccessLog> {
        self.settings.as_ref()?.access_log.as_ref()
    }

    /// Counters of all workers.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Stops listening, ends idle connections, lets running requests finish for at most `deadline`.
    /// The workers end in any case; returns how many connections that cut off.
    pub async fn drain(mut self, deadline: Duration) -> usize {
        let drained = async {
            let mut answers = Vec::new();
            for worker in &self.workers {
                answers.push(worker.ask(Command::Drain).await);
            }
            all(answers).await;
        };
        let cut_off = match tokio::time::timeout(deadline, drained).await {
            Ok(()) => 0,
            // Counted before the workers end, as that closes them.
            Err(_) => self.counters.open(),
        };
        for worker in &mut self.workers {
            worker.commands = None;
        }
        cut_off
    }
}

impl Handle {
    fn spawn(index: usize, clock: Clock, counters: Arc<Counters>, seed: u64, via: Via) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let runtime = match runtime.build_local(tokio::runtime::LocalOptions::default()) {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        return;
                    }
                };
                let _ = ready.send(Ok(()));
                runtime.block_on(Worker::new(clock, counters, seed, via).run(inbox));
            })?;
        started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the worker thread ended at its start")))?;
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Sends a command; the receiver resolves when it is done, or will never be.
    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        if let Some(commands) = &self.commands {
            // A worker that is gone drops the command, and with it the sender.
            let _ = commands.send(command(done)).await;
        }
        finished
    }
}

async fn all(answers: Vec<oneshot::Receiver<()>>) {
    for answer in answers {
        let _ = answer.await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker thread panicked");
        }
    }
}
