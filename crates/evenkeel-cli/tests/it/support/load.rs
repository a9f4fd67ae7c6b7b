//! Keep-alive clients that send GET requests until they are told to stop, and what they saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::task::JoinSet;

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
        let mut connected = match client.take() {
            Some(connected) => connected,
            None => match Client::connect(address).await {
                Ok(connected) => connected,
                Err(error) => {
                    failures.push(error);
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        match connected.get(path).await {
            Ok(answer) if answer.status == 200 => {
                shared.served.fetch_add(1, Relaxed);
                client = Some(connected);
            }
            Ok(answer) => {
                failures.push(format!("{} {}", answer.status, answer.body));
                client = Some(connected);
            }
            Err(error) => failures.push(error),
        }
    }
    failures
}
