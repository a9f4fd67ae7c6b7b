//! One line in the log for everything that was changed or was to be: who, what, and what came of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::request::Parts;
use evenkeel_core::Nanos;

use crate::access::{Peer, Refusal};

/// A request to change something.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    peer: SocketAddr,
    /// Method and path as they were sent.
    request: String,
}

impl Audit {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            peer: Peer::of(&parts.extensions).0,
            request: format!("{} {}", parts.method, parts.uri.path()),
        }
    }

    /// It was done.
    pub(crate) fn done(&self, result: impl fmt::Display) {
        tracing::info!(peer = %self.peer, request = self.request, "admin: {result}");
    }

    /// It was not.
    pub(crate) fn refused(&self, why: impl fmt::Display) {
        tracing::warn!(peer = %self.peer, request = self.request, "admin: refused: {why}");
    }

    /// Somebody without the token asked; told once a second at most, because anybody can ask.
    pub(crate) fn turned_away(&self, why: Refusal, strangers: &Strangers, now: Nanos) {
        if let Some(more) = strangers.count(now) {
            let why = why.as_str();
            tracing::warn!(peer = %self.peer, request = self.request, more, "admin: refused: {why}");
        }
    }
}

/// Requests without the token that were not told.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    /// When the next line may be written.
    next: AtomicU64,
    untold: AtomicU64,
}

impl Strangers {
    /// Counts one. `Some` when it is to be told, with how many before it were not.
    fn count(&self, now: Nanos) -> Option<u64> {
        // The thread that tells is the only one that moves the time on.
        let next = self.next.load(Relaxed);
        let later = (now + Nanos::from_secs(1)).0;
        if now.0 < next || self.next.compare_exchange(next, later, Relaxed, Relaxed).is_err() {
            self.untold.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.untold.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_told_once_a_second() {
        let strangers = Strangers::default();
        let at = Nanos::from_millis;
        let told: Vec<_> = [0, 1, 999, 1000, 1001, 5000]
            .map(|ms| strangers.count(at(ms)))
            .into();
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
