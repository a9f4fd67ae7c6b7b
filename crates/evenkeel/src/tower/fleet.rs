//! The state machine of the adapter's service. Whoever polls the adapter is its only writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};

use evenkeel_core::{
    Evidence, Instance, InstanceError, InstanceId, Nanos, ServiceSettings, ServiceState, Slot, View,
};
use evenkeel_runtime::Clock;

use crate::context;
use crate::lease::{Home, Lease};

/// Instances and what is known of them.
#[derive(Debug)]
pub(super) struct Fleet {
    state: ServiceState,
    instances: BTreeMap<InstanceId, Instance>,
    clock: Clock,
    /// A lease has completed a run of failures.
    alarm: Arc<AtomicBool>,
}

impl Fleet {
    pub(super) fn new(settings: ServiceSettings) -> Self {
        let clock = Clock::start();
        let Ok(state) = ServiceState::new(settings, Vec::new(), context::seed(), clock.now()) else {
            unreachable!("only instances can be wrong, and there are none");
        };
        Self {
            state,
            instances: BTreeMap::new(),
            clock,
            alarm: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> Box<str> {
        (*self.state.settings().name).into()
    }

    pub(super) fn view(&self) -> &Arc<View> {
        self.state.view()
    }

    pub(super) fn now(&self) -> Nanos {
        self.clock.now()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Takes in who came and who went. O(n log n) for all of them together.
    pub(super) fn change(
        &mut self,
        came: impl IntoIterator<Item = Instance>,
        went: impl IntoIterator<Item = InstanceId>,
    ) -> Result<(), InstanceError> {
        for id in went {
            self.instances.remove(&id);
        }
        for instance in came {
            self.instances.insert(instance.id.clone(), instance);
        }
        let (settings, instances) = (
            self.state.settings().clone(),
            self.instances.values().cloned().collect(),
        );
        self.state.replace(settings, instances, self.clock.now())?;
        self.tell();
        Ok(())
    }

    /// The id of the instance at `slot`.
    pub(super) fn id_at(&self, slot: Slot) -> Option<InstanceId> {
        let member = self.view().candidates().member(slot);
        member.map(|member| member.instance().id.clone())
    }

    /// Does what outcomes and time demand. Cheap when they demand nothing.
    pub(super) fn keep_up(&mut self) {
        let now = self.clock.now();
        // Pairs with the store of who raised it.
        if self.alarm.swap(false, Acquire) {
            self.state.apply(Evidence::Alarm, now);
        }
        if now >= self.state.next_deadline() {
            self.state.tick(now);
        }
        self.tell();
    }

    /// How long until [`Self::keep_up`] has something to do.
    pub(super) fn rest(&self) -> std::time::Duration {
        self.state.next_deadline().since(self.clock.now()).as_duration()
    }

    /// A lease on the instance at `slot`.
    pub(super) fn lease(&self, slot: Slot, now: Nanos) -> Option<Lease> {
        let lease = self.view().lease(slot, now)?;
        Some(Lease::new(lease, Home::Flag(Arc::clone(&self.alarm)), self.clock))
    }

    /// Transitions go to the log; there is nobody else to tell.
    fn tell(&mut self) {
        for event in self.state.take_events() {
            tracing::info!(service = &*event.service, what = event.kind.as_str(), "{event}");
        }
    }
}
