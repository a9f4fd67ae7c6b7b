//! What the data plane counts besides the services' own metrics. Shared by all workers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Process-wide counters; all cumulative except [`Counters::open`].
#[derive(Debug, Default)]
pub struct Counters {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    bad_requests: AtomicU64,
    unrouted: AtomicU64,
    access_lines: AtomicU64,
    access_lines_dropped: AtomicU64,
}

impl Counters {
    /// Counts a connection; false when there are `max` already.
    pub(crate) fn on_accept(&self, max: usize) -> bool {
        self.accepted.fetch_add(1, Relaxed);
        let admitted = self.open.fetch_add(1, Relaxed) < max;
        if !admitted {
            self.refused.fetch_add(1, Relaxed);
        }
        admitted
    }

    pub(crate) fn on_close(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    pub(crate) fn on_accept_error(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn on_bad_request(&self) {
        self.bad_requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn on_unrouted(&self) {
        self.unrouted.fetch_add(1, Relaxed);
    }

    pub(crate) fn on_access_lines(&self, lines: u64) {
        self.access_lines.fetch_add(lines, Relaxed);
    }

    pub(crate) fn on_access_line_dropped(&self, lines: u64) {
        self.access_lines_dropped.fetch_add(lines, Relaxed);
    }

    /// Lines of the access log that were written.
    #[must_use]
    pub fn access_lines(&self) -> u64 {
        self.access_lines.load(Relaxed)
    }

    /// Lines of the access log that were dropped, because they could not be written, or not soon enough.
    #[must_use]
    pub fn access_lines_dropped(&self) -> u64 {
        self.access_lines_dropped.load(Relaxed)
    }

    /// Client connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Connections accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Connections refused because too many were open.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Failures to accept.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Relaxed)
    }

    /// Requests refused because of what the client sent.
    #[must_use]
    pub fn bad_requests(&self) -> u64 {
        self.bad_requests.load(Relaxed)
    }

    /// Requests that no route matched.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.unrouted.load(Relaxed)
    }
}
