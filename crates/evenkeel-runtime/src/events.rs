//! Transitions on their way out: to subscribers and into a short memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_core::Event;
use tokio::sync::broadcast;

/// Events kept for those who come later.
const REMEMBERED: usize = 1024;
/// Events a subscriber may lag behind before it loses the oldest (and is told so).
const BACKLOG: usize = 1024;

/// Shared by all writers. The lock guards a push or a copy of 1024 pointers and is never taken on the
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

    /// Remembers and sends one event.
    pub(crate) fn publish(&self, event: Event) {
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
