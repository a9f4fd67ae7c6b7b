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
use crate::settings::{check_settings, check_suits};
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
    /// Where tasks run: the runtime of the first `run`.
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
        self.service.retire();
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
    /// The work is done as by [`Self::run`]: dropping the future does not stop it half-way.
    ///
    /// # Errors
    /// [`ApplyError`] names the service and the remedy; nothing has changed then.
    pub async fn apply(&self, specs: Vec<ServiceSpec>) -> Result<(), ApplyError> {
        let inner = Arc::clone(&self.inner);
        self.run(async move { inner.apply(specs).await }).await?
    }

    /// Creates one service, or replaces it, as [`Self::apply`] would. The others are left alone, whatever was changed
    /// in them since they were applied.
    ///
    /// # Errors
    /// As there.
    pub async fn put(&self, spec: ServiceSpec) -> Result<(), ApplyError> {
        let inner = Arc::clone(&self.inner);
        self.run(async move { inner.put(spec).await }).await?
    }

    /// Removes one service. False when there is none of this name.
    ///
    /// # Errors
    /// When the balancer was shut down, or there is no runtime.
    pub async fn remove(&self, name: &str) -> Result<bool, ApplyError> {
        let (inner, name) = (Arc::clone(&self.inner), Arc::<str>::from(name));
        self.run(async move { inner.remove(&name).await }).await?
    }

    /// Does `work` in a task of its own, beside the balancer's other tasks, and waits for it: dropping the future
    /// does not stop it half-way. Tasks run on the runtime of the first call.
    ///
    /// # Errors
    /// When there is no runtime, or none any more.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ApplyError> {
        let runtime = match self.inner.runtime.get() {
            Some(runtime) => runtime,
            None => {
                let current = Handle::try_current().map_err(|_| ApplyError::NoRuntime)?;
                self.inner.runtime.get_or_init(|| current)
            }
        };
        // Nobody else holds the task, so that only the end of its runtime cancels it.
        runtime.spawn(work).await.map_err(|error| match error.is_panic() {
            true => ApplyError::Panicked,
            false => ApplyError::RuntimeEnded,
        })
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
        let mut names = BTreeSet::new();
        for spec in &specs {
            let name = &spec.settings.name;
            if !names.insert(Arc::clone(name)) {
                return Err(ApplyError::DuplicateService(Arc::clone(name)));
            }
        }
        let prepared: Vec<_> = specs
            .into_iter()
            .map(|spec| self.prepare(spec, &table))
            .collect::<Result<_, _>>()?;
        for one in prepared {
            self.put_prepared(&mut table, one, &alive).await?;
        }
        table.entries.retain(|name, _| {
            let stays = names.contains(name);
            if !stays {
                tell_removed(name);
            }
            stays
        });
        self.publish(&table);
        Ok(())
    }

    async fn put(&self, spec: ServiceSpec) -> Result<(), ApplyError> {
        let mut table = self.table.lock().await;
        let alive = table.alive.clone().ok_or(ApplyError::ShutDown)?;
        let prepared = self.prepare(spec, &table)?;
        self.put_prepared(&mut table, prepared, &alive).await?;
        self.publish(&table);
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<bool, ApplyError> {
        let mut table = self.table.lock().await;
        if table.alive.is_none() {
            return Err(ApplyError::ShutDown);
        }
        let removed = table.entries.remove(name).is_some();
        if removed {
            tell_removed(name);
            self.publish(&table);
        }
        Ok(removed)
    }

    async fn put_prepared(
        &self,
        table: &mut Table,
        one: Prepared,
        alive: &mpsc::Sender<()>,
    ) -> Result<(), ApplyError> {
        let name = Arc::clone(&one.spec.settings.name);
        match table.entries.get(&name) {
            Some(entry) if !entry.service.inbox().is_closed() => replace(entry, one.spec).await,
            _ => {
                let entry = self.create(one, alive.clone());
                table.entries.insert(name, entry);
                Ok(())
            }
        }
    }

    /// Shows readers which services there are.
    fn publish(&self, table: &Table) {
        let services = table.entries.values().map(|e| Arc::clone(&e.service));
        self.services.store(Arc::new(services.collect()));
    }

    /// Validates all of it. That ids are unique the core finds by building the state, which for services that exist
    /// already is then thrown away.
    fn prepare(&self, mut spec: ServiceSpec, table: &Table) -> Result<Prepared, ApplyError> {
        let service = Arc::clone(&spec.settings.name);
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
        check_settings(&spec.settings).map_err(|source| ApplyError::Settings {
            service: Arc::clone(&service),
            source,
        })?;
        for instance in &spec.instances {
            instance.validate().map_err(|source| ApplyError::Instance {
                service: Arc::clone(&service),
                source,
            })?;
        }
        let present = table.entries.get(&service).map(|entry| entry.service.view_full());
        check_suits(&spec, present.as_deref())?;
        let (now, seed) = (self.shared.clock.now(), self.seed ^ fnv1a(&service));
        let state = ServiceState::new(spec.settings.clone(), spec.instances.clone(), seed, now)
            .map_err(|source| ApplyError::Instance { service, source })?;
        Ok(Prepared { spec, state, seed })
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

fn tell_removed(service: &str) {
    tracing::info!(service, "service removed");
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
