//! Keep-alive clients that send GET requests until they are told to stop, and what they saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Client;
use super::until;

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    served: AtomicU64,
}

/// A running load.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Vec<String>>,
}

/// Clients that go on until the address refuses connections; whatever else fails is a failure. With
/// `keep` they use a connection as long as they may.
pub(crate) async fn until_refused(address: SocketAddr, clients: usize, keep: bool) -> Seen {
    let mut set = JoinSet::new();
    for _ in 0..clients {
        set.spawn(async move {
            let mut seen = Seen {
                served: 0,
                failures: Vec::new(),
            };
            let mut client = None;
            loop {
                match ask(&mut client, address, "/name").await {
                    Ok(()) => seen.served += 1,
                    Err(failure) if failure.starts_with("connect:") => return seen,
                    Err(failure) => seen.failures.push(failure),
                }
                if !keep {
                    client = None;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let mut all = Seen {
        served: 0,
        failures: Vec::new(),
    };
    while let Some(seen) = set.join_next().await {
        let seen = seen.unwrap();
        all.served += seen.served;
        all.failures.extend(seen.failures);
    }
    all
}

/// A load that does not wait for answers: each request has its time, whatever became of the one before.
///
/// Its rate therefore says what clients get, not how fast this machine is just now.
#[derive(Debug)]
pub(crate) struct Paced {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<Timed>>,
}

/// One request of a [`Paced`] load.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    /// When it was due.
    pub(crate) due: Instant,
    /// From then to the end of the response.
    pub(crate) took: Duration,
    pub(crate) failure: Option<String>,
}

impl Paced {
    /// Starts `clients` that together send `per_second`.
    pub(crate) fn start(address: SocketAddr, clients: u32, per_second: u32, path: &'static str) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut set = JoinSet::new();
        let period = Duration::from_secs(clients.into()) / per_second;
        for number in 0..clients {
            let first = Instant::now() + period * number / clients;
            let stop = Arc::clone(&stop);
            set.spawn(async move {
                let mut ticks = tokio::time::interval_at(first, period);
                let mut client = None;
                let mut seen = Vec::new();
                while !stop.load(Relaxed) {
                    let due = ticks.tick().await;
                    let failure = ask(&mut client, address, path).await.err();
                    let took = due.elapsed();
                    seen.push(Timed { due, took, failure });
                }
                seen
            });
        }
        Self { stop, clients: set }
    }

    /// All requests.
    pub(crate) async fn stop(mut self) -> Vec<Timed> {
        self.stop.store(true, Relaxed);
        let mut seen = Vec::new();
        while let Some(of_one) = self.clients.join_next().await {
            seen.extend(of_one.unwrap());
        }
        seen
    }
}

/// What its clients saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) served: u64,
    /// Each failure: an error of the connection, or a status that is not 200.
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Starts `clients` that each keep one request under way.
    pub(crate) fn start(address: SocketAddr, clients: usize, path: &'static str) -> Self {
        let shared = Arc::<Shared>::default();
        let mut set = JoinSet::new();
        for _ in 0..clients {
            set.spawn(run(address, path, Arc::clone(&shared)));
        }
        Self { shared, clients: set }
    }

    pub(crate) fn served(&self) -> u64 {
        self.shared.served.load(Relaxed)
    }

    /// Waits until so many more requests were served.
    pub(crate) async fn more(&self, requests: u64) {
        let goal = self.served() + requests;
        until("more requests are served", || async {
            (self.served() >= goal).then_some(())
        })
        .await;
    }

    /// Lets the requests under way finish.
    pub(crate) async fn stop(mut self) -> Seen {
        self.shared.stop.store(true, Relaxed);
        let mut failures = Vec::new();
        while let Some(seen) = self.clients.join_next().await {
            failures.extend(seen.unwrap());
        }
        Seen {
            served: self.served(),
            failures,
        }
    }
}

impl Seen {
    /// Nothing failed as the listener closed. The system makes connections by itself, so those it makes
    /// between the last accept and the close are lost whatever a process does: a client that makes one per
    /// request may meet that moment, though hardly all 16 of them.
    pub(crate) fn assert_handed_over(&self, keep: bool) {
        if keep || self.failures.len() > 8 {
            self.assert_no_failure();
        }
    }

    pub(crate) fn assert_no_failure(&self) {
        let first = &self.failures[..self.failures.len().min(5)];
        assert!(
            self.failures.is_empty(),
            "{} of {} requests failed: {first:#?}",
            self.failures.len(),
            self.served
        );
    }
}

async fn run(address: SocketAddr, path: &'static str, shared: Arc<Shared>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut client = None;
    while !shared.stop.load(Relaxed) {
        match ask(&mut client, address, path).await {
            Ok(()) => _ = shared.served.fetch_add(1, Relaxed),
            Err(failure) => failures.push(failure),
        }
        tokio::task::yield_now().await;
    }
    failures
}

/// One request on the connection there is, or on a new one; a failure ends it.
async fn ask(client: &mut Option<Client>, address: SocketAddr, path: &str) -> Result<(), String> {
    let mut connected = match client.take() {
        Some(connected) => connected,
        None => Client::connect(address).await?,
    };
    let answer = connected.get(path).await?;
    *client = Some(connected);
    if answer.status == 200 {
        Ok(())
    } else {
        Err(format!("{} {}", answer.status, answer.body))
    }
}
