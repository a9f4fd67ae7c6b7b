//! All services of a process, changed together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_core::{Event, ServiceState};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::checks::Lanes;
use crate::clock::Clock;
use crate::events::EventLog;
use crate::service::Service;
use crate::spec::{ApplyError, ServiceSpec};
use crate::writer::{INBOX, Message, Shared, Writer};

/// How long [`Balancer::shutdown`] waits for tasks to notice. None of them does anything that takes
/// long between two points where it can end.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The services and the tasks that keep them up to date. Clones are handles of the same balancer;
/// when the last one is dropped its tasks end.
#[derive(Debug, Clone)]
pub struct Balancer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    seed: u64,
    shared: Arc<Shared>,
    /// In name order; what readers see.
    services: ArcSwap<Vec<Arc<Service>>>,
    /// What `apply` changes, one call at a time.
    table: Mutex<Table>,
    /// Where tasks run: the runtime of the first `apply`.
    runtime: OnceLock<Handle>,
}

#[derive(Debug)]
struct Table {
    entries: BTreeMap<Arc<str>, Entry>,
    /// A clone lives in every task; `None` after shutdown.
    alive: Option<mpsc::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

/// A service with its writer, which ends with the entry.
#[derive(Debug)]
struct Entry {
    service: Arc<Service>,
    writer: AbortHandle,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// A service that passed validation.
struct Prepared {
    spec: ServiceSpec,
    state: ServiceState,
    seed: u64,
}

impl Balancer {
    /// A balancer without services. `seed` decides where cursors start and how checks spread.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        let (alive, ended) = mpsc::channel(1);
        let inner = Inner {
            seed,
            shared: Arc::new(Shared {
                clock,
                events: EventLog::new(),
                lanes: Lanes::new(),
            }),
            services: ArcSwap::default(),
            table: Mutex::new(Table {
                entries: BTreeMap::new(),
                alive: Some(alive),
                ended,
            }),
            runtime: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes `specs` the services, all or nothing: everything is validated before anything changes,
    /// then services are created, replaced (what is known of instances that stay, and all counters,
    /// are kept) and removed. When it returns, every new view is published.
    ///
    /// The work is done by a task of its own: dropping the future does not stop it half-way. Tasks run
    /// on the runtime of the first call.
    ///
    /// # Errors
    /// [`ApplyError`] names the service and the remedy; nothing has changed then.
    pub async fn apply(&self, specs: Vec<ServiceSpec>) -> Result<(), ApplyError> {
        let current = Handle::try_current().map_err(|_| ApplyError::NoRuntime)?;
        let runtime = self.inner.runtime.get_or_init(|| current);
        let inner = Arc::clone(&self.inner);
        let task = runtime.spawn(async move { inner.apply(specs).await });
        task.await.unwrap_or(Err(ApplyError::Panicked))
    }

    /// The service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Arc<Service>> {
        let services = self.inner.services.load();
        let index = services.binary_search_by(|service| (**service.name()).cmp(name));
        index.ok().map(|index| Arc::clone(&services[index]))
    }

    /// All services, in name order.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.inner.services.load().to_vec()
    }

    /// The clock all times of this balancer are read from.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.shared.clock
    }

    /// Transitions from now on. A subscriber that is 1024 events behind loses the oldest, and is told.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.shared.events.subscribe()
    }

    /// The last 1024 transitions, oldest first.
    #[must_use]
    pub fn recent_events(&self) -> Vec<Arc<Event>> {
        self.inner.shared.events.recent()
    }

    /// Ends every task and waits for them, for a few seconds at most. Handles of services go on
    /// working with their last view; [`Self::apply`] is refused from now on.
    pub async fn shutdown(&self) {
        let mut table = self.inner.table.lock().await;
        table.entries.clear();
        table.alive = None;
        // Nothing is ever sent: this waits for the last sender, thus the last task, to go.
        if timeout(SHUTDOWN, table.ended.recv()).await.is_err() {
            tracing::warn!("some tasks of the balancer did not end within {SHUTDOWN:?}");
        }
    }
}

impl Inner {
    async fn apply(&self, specs: Vec<ServiceSpec>) -> Result<(), ApplyError> {
        let mut table = self.table.lock().await;
        let alive = table.alive.clone().ok_or(ApplyError::ShutDown)?;
        let prepared = self.prepare(specs)?;

        let names: BTreeSet<_> = prepared
            .iter()
            .map(|p| Arc::clone(&p.spec.settings.name))
            .collect();
        for one in prepared {
            let name = Arc::clone(&one.spec.settings.name);
            match table.entries.get(&name) {
                Some(entry) if !entry.service.inbox().is_closed() => replace(entry, one.spec).await?,
                _ => {
                    let entry = self.create(one, alive.clone());
                    table.entries.insert(name, entry);
                }
            }
        }
        table.entries.retain(|name, _| {
            let stays = names.contains(name);
            if !stays {
                tracing::info!(service = &**name, "service removed");
            }
            stays
        });
        let services = table.entries.values().map(|e| Arc::clone(&e.service));
        self.services.store(Arc::new(services.collect()));
        Ok(())
    }

    /// Validates all of it. The core judges instances by building the state, which for services that
    /// exist already is then thrown away.
    fn prepare(&self, specs: Vec<ServiceSpec>) -> Result<Vec<Prepared>, ApplyError> {
        let now = self.shared.clock.now();
        let mut names = BTreeSet::new();
        specs
            .into_iter()
            .map(|mut spec| {
                let service = Arc::clone(&spec.settings.name);
                if !names.insert(Arc::clone(&service)) {
                    return Err(ApplyError::DuplicateService(service));
                }
                spec.settings.checks = match &spec.check {
                    None => None,
                    Some(check) => {
                        check.validate().map_err(|reason| ApplyError::Check {
                            service: Arc::clone(&service),
                            reason,
                        })?;
                        Some(spec.settings.checks.unwrap_or_default())
                    }
                };
                let seed = self.seed ^ fnv1a(&service);
                let state = ServiceState::new(spec.settings.clone(), spec.instances.clone(), seed, now)
                    .map_err(|source| ApplyError::Instance { service, source })?;
                Ok(Prepared { spec, state, seed })
            })
            .collect()
    }

    fn create(&self, one: Prepared, alive: mpsc::Sender<()>) -> Entry {
        let name = Arc::clone(&one.spec.settings.name);
        let (inbox, receiver) = mpsc::channel(INBOX);
        let service = Arc::new(Service::new(name, Arc::clone(one.state.view()), inbox));
        let writer = Writer::new(
            Arc::clone(&service),
            Arc::clone(&self.shared),
            one.state,
            &one.spec,
            one.seed,
            receiver,
            alive,
        );
        Entry {
            service,
            writer: tokio::spawn(writer.run()).abort_handle(),
        }
    }
}

/// Hands the writer its new specification and waits until it is in force.
async fn replace(entry: &Entry, spec: ServiceSpec) -> Result<(), ApplyError> {
    let (done, replaced) = oneshot::channel();
    let message = Message::Replace {
        spec: Box::new(spec),
        done,
    };
    // Both fail only when the writer has panicked.
    entry
        .service
        .inbox()
        .send(message)
        .await
        .map_err(|_| ApplyError::Panicked)?;
    let replaced = replaced.await.map_err(|_| ApplyError::Panicked)?;
    replaced.map_err(|source| ApplyError::Instance {
        service: Arc::clone(entry.service.name()),
        source,
    })
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): spreads seeds over names, the same on every platform.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
