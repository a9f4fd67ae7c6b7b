//! What happened to the service: events until the driver takes them, and counters that stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::slots::Reason;
use crate::health::{calibration, thresholds};
use crate::{Calibration, Event, EventKind, InstanceId, Nanos, Thresholds};

/// How often each kind of event happened, how good predictions were, and what counts as too much. Written by the service's writer, read by anyone.
#[derive(Debug, Default)]
pub struct ServiceCounters {
    events: [AtomicU64; EventKind::ALL.len()],
    pub(super) predictions: calibration::Record,
    pub(super) thresholds: thresholds::Record,
}

impl ServiceCounters {
    /// Events of `kind` so far. An instance counts once even where one event speaks of many.
    #[must_use]
    pub fn of(&self, kind: EventKind) -> u64 {
        // Relaxed: every counter stands alone.
        self.events[kind as usize].load(Relaxed)
    }

    /// All kinds with their counts, in the order of [`EventKind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (EventKind, u64)> + '_ {
        EventKind::ALL.iter().map(|kind| (*kind, self.of(*kind)))
    }

    /// How good predictions of health were.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        self.predictions.get()
    }

    /// What counts as too much now.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds.get()
    }

    fn add(&self, kind: EventKind, n: u64) {
        self.events[kind as usize].fetch_add(n, Relaxed);
    }
}

/// More instances than this in one change are told in one event instead of one each.
const EACH: usize = 32;

#[derive(Debug)]
pub(super) struct Journal {
    service: Arc<str>,
    events: Vec<Event>,
    counters: Arc<ServiceCounters>,
}

impl Journal {
    pub(super) fn new(service: Arc<str>) -> Self {
        Self {
            service,
            events: Vec::new(),
            counters: Arc::default(),
        }
    }

    pub(super) fn rename(&mut self, service: &Arc<str>) {
        self.service = Arc::clone(service);
    }

    pub(super) fn counters(&self) -> &Arc<ServiceCounters> {
        &self.counters
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Something happened to one instance.
    pub(super) fn instance(&mut self, at: Nanos, id: &InstanceId, kind: EventKind, reason: Arc<str>) {
        self.counters.add(kind, 1);
        self.push(at, Some(id.clone()), kind, reason);
    }

    /// Something happened to the service as a whole.
    pub(super) fn service(&mut self, at: Nanos, kind: EventKind, reason: String) {
        self.counters.add(kind, 1);
        self.push(at, None, kind, reason.into());
    }

    /// The same happened to several instances at once.
    pub(super) fn several(&mut self, at: Nanos, kind: EventKind, all: Vec<(InstanceId, Reason)>) {
        if all.len() <= EACH {
            for (id, reason) in all {
                self.instance(at, &id, kind, reason.to_string().into());
            }
            return;
        }
        self.counters.add(kind, all.len() as u64);
        let reason = format!(
            "{} instances: {}, {} … {}",
            all.len(),
            all[0].0,
            all[1].0,
            all[all.len() - 1].0
        );
        self.push(at, None, kind, reason.into());
    }

    fn push(&mut self, at: Nanos, instance: Option<InstanceId>, kind: EventKind, reason: Arc<str>) {
        self.events.push(Event {
            at,
            service: Arc::clone(&self.service),
            instance,
            kind,
            reason,
        });
    }
}
