//! Transitions on their way out: to the log, to subscribers and into a short memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_core::{Event, EventKind};
use tokio::sync::broadcast;

/// Events kept for those who come later.
const REMEMBERED: usize = 256;
/// Events a subscriber may lag behind before it loses the oldest (and is told so).
const BACKLOG: usize = 1024;

/// Shared by all writers. The lock guards a push or a copy of 256 pointers and is never taken on the
/// way of a request.
#[derive(Debug)]
pub(crate) struct EventLog {
    recent: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl EventLog {
    pub(crate) fn new() -> Self {
        Self {
            recent: Mutex::new(VecDeque::with_capacity(REMEMBERED)),
            sender: broadcast::Sender::new(BACKLOG),
        }
    }

    /// Logs, remembers and sends one event.
    pub(crate) fn publish(&self, event: Event) {
        log(&event);
        let event = Arc::new(event);
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() == REMEMBERED {
                recent.pop_front();
            }
            recent.push_back(Arc::clone(&event));
        }
        // An error means that nobody listens.
        let _ = self.sender.send(event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }

    pub(crate) fn recent(&self) -> Vec<Arc<Event>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().cloned().collect()
    }
}

/// One line per transition: a loss of capacity is a warning, all else information.
fn log(event: &Event) {
    let service = &*event.service;
    let what = event.kind.as_str();
    let instance = event.instance.as_ref().map(tracing::field::display);
    match event.kind {
        EventKind::CheckedDown
        | EventKind::Ejected
        | EventKind::EjectionWithheld
        | EventKind::FallbackBegan => {
            tracing::warn!(service, instance, what, "{event}");
        }
        _ => tracing::info!(service, instance, what, "{event}"),
    }
}
