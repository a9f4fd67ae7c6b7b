//! The state machine of the adapter's service, and what its handles and leases share with it.
//!
//! Whoever polls the adapter does what time and outcomes demand; handles change things at once. Both write, so the
//! state stands behind a lock. A pick and the end of a lease never take it: picks use the view that the last poll saw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use evenkeel_core::{
    Effect, Event, Evidence, Instance, InstanceId, Nanos, Operation, OperationError, ServiceSettings,
    ServiceState, Slot, View,
};
use evenkeel_runtime::{Clock, ServiceMetrics};
use tokio::sync::broadcast;

use crate::context;
use crate::lease::{Home, Lease};

/// Events a subscriber may lag behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// Instances and what is known of them, as the adapter sees them.
#[derive(Debug)]
pub(super) struct Fleet {
    shared: Arc<Shared>,
    /// As of the last look.
    view: Arc<View>,
    /// When to look again at the latest.
    deadline: Nanos,
}

/// What the adapter shares with its handles and leases.
#[derive(Debug)]
pub(crate) struct Shared {
    name: Arc<str>,
    state: Mutex<State>,
    /// A lease has completed a run of failures.
    alarm: AtomicBool,
    /// A handle has changed something.
    changed: AtomicBool,
    metrics: ServiceMetrics,
    events: broadcast::Sender<Arc<Event>>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    service: ServiceState,
    /// What discovery said last.
    instances: BTreeMap<InstanceId, Instance>,
    /// Of who waits for an instance to get ready.
    waiting: Option<Waker>,
}

impl Fleet {
    pub(super) fn new(settings: ServiceSettings) -> Self {
        let clock = Clock::start();
        let Ok(service) = ServiceState::new(settings, Vec::new(), context::seed(), clock.now()) else {
            unreachable!("only instances can be wrong, and there are none");
        };
        Self {
            view: Arc::clone(service.view()),
            deadline: service.next_deadline(),
            shared: Arc::new(Shared {
                name: Arc::clone(&service.settings().name),
                state: Mutex::new(State {
                    service,
                    instances: BTreeMap::new(),
                    waiting: None,
                }),
                alarm: AtomicBool::new(false),
                changed: AtomicBool::new(false),
                metrics: ServiceMetrics::default(),
                events: broadcast::Sender::new(BACKLOG),
                clock,
            }),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn metrics(&self) -> &ServiceMetrics {
        &self.shared.metrics
    }

    pub(super) fn name(&self) -> Box<str> {
        (**self.shared.name()).into()
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub(super) fn now(&self) -> Nanos {
        self.shared.now()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.view.members().next().is_none()
    }

    /// Takes in who came and who went. O(n log n) for all of them together.
    pub(super) fn change(
        &mut self,
        came: impl IntoIterator<Item = Instance>,
        went: impl IntoIterator<Item = InstanceId>,
    ) {
        let now = self.now();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        for id in went {
            state.instances.remove(&id);
        }
        for instance in came {
            state.instances.insert(instance.id.clone(), instance);
        }
        let instances = state.instances.values().cloned().collect();
        let settings = state.service.settings().clone();
        let suited = state.service.suits().is_ok();
        let Ok(()) = state.service.replace(settings, instances, now) else {
            unreachable!("only ids that stand there twice can be wrong, and a map has none");
        };
        // Discovery cannot be refused what it found.
        if let (true, Err(error)) = (suited, state.service.suits()) {
            tracing::warn!(service = &**shared.name(), %error, "discovery found too much; it does what it can");
        }
        self.take(&state);
        shared.tell(&mut state);
    }

    /// The id of the instance at `slot`.
    pub(super) fn id_at(&self, slot: Slot) -> Option<InstanceId> {
        let member = self.view().candidates().member(slot);
        member.map(|member| member.instance().id.clone())
    }

    /// Does what outcomes and time demand, and sees what handles changed. Cheap when there is nothing.
    pub(super) fn keep_up(&mut self) {
        let now = self.now();
        // Each pairs with the store of who raised it.
        let alarm = self.shared.alarm.swap(false, Acquire);
        let changed = self.shared.changed.swap(false, Acquire);
        if !alarm && !changed && now < self.deadline {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if alarm {
            state.service.apply(Evidence::Alarm, now);
        }
        if now >= state.service.next_deadline() {
            state.service.tick(now);
        }
        self.take(&state);
        shared.tell(&mut state);
    }

    fn take(&mut self, state: &State) {
        self.view = Arc::clone(state.service.view());
        self.deadline = state.service.next_deadline();
    }

    /// How long until [`Self::keep_up`] has something to do.
    pub(super) fn rest(&self) -> std::time::Duration {
        self.deadline.since(self.now()).as_duration()
    }

    /// Has `waker` woken by the next change of a handle. False when there was one since the last look.
    pub(super) fn wait(&self, waker: &Waker) -> bool {
        self.shared.lock().waiting = Some(waker.clone());
        !self.shared.changed.load(Acquire)
    }

    /// A lease on the instance at `slot`.
    pub(super) fn lease(&self, slot: Slot, now: Nanos) -> Option<Lease> {
        let lease = self.view().lease(slot, now)?;
        let home = Home::Adapter(Arc::clone(&self.shared));
        Some(Lease::new(lease, home, self.shared.clock))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the state machine leaves it as good as the last view.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    fn now(&self) -> Nanos {
        self.clock.now()
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(self.lock().service.view())
    }

    pub(crate) fn metrics(&self) -> &ServiceMetrics {
        &self.metrics
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// A lease has completed a run of failures: whoever polls next looks at it.
    pub(crate) fn alarm(&self) {
        // It then sees the counters that raised the alarm.
        self.alarm.store(true, Release);
    }

    /// Does what a handle asks for. It is in force from the next poll on, for which who waits is woken.
    pub(super) fn operate(&self, operation: Operation) -> Result<Effect, OperationError> {
        let mut state = self.lock();
        let effect = state.service.operate(operation, self.now())?;
        self.changed.store(true, Release);
        self.tell(&mut state);
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        Ok(effect)
    }

    /// Transitions go to the log and to subscribers, in their order.
    fn tell(&self, state: &mut State) {
        for event in state.service.take_events() {
            tracing::info!(service = &*event.service, what = event.kind.as_str(), "{event}");
            // An error means that nobody listens.
            let _ = self.events.send(Arc::new(event));
        }
    }
}
