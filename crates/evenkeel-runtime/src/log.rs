//! Log lines of one service's transitions, bounded: when ten thousand instances go down at once, the log
//! says so in a few dozen lines, and nobody waits for the other ten thousand to be written.
//!
//! A window of a second begins with a transition. The first [`LINES`] about single instances in it are
//! written as they come, those about the service as a whole up to [`SERVICE_LINES`]; the rest is counted, and told in
//! one line when the window is over. Nothing of this holds for subscribers and for the memory of events.

use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel_core::{Event, EventKind, Nanos};

const WINDOW: Nanos = Nanos::from_secs(1);
/// Lines about instances in a window.
const LINES: u32 = 20;
/// Lines in a window, those about the service included.
const SERVICE_LINES: u32 = 40;

/// What a service said in the present window.
#[derive(Debug)]
pub(crate) struct Log {
    service: Arc<str>,
    /// When the window ends.
    end: Nanos,
    lines: u32,
    /// Transitions that were not written, by kind.
    more: [u64; EventKind::ALL.len()],
    /// The last of them.
    last: String,
}

impl Log {
    pub(crate) fn new(service: Arc<str>) -> Self {
        Self {
            service,
            end: Nanos::ZERO,
            lines: 0,
            more: [0; EventKind::ALL.len()],
            last: String::new(),
        }
    }

    /// Writes `event`, or counts it.
    pub(crate) fn write(&mut self, event: &Event, now: Nanos) {
        self.catch_up(now);
        if now >= self.end {
            self.end = now + WINDOW;
            self.lines = 0;
        }
        let limit = match event.instance {
            Some(_) => LINES,
            None => SERVICE_LINES,
        };
        if self.lines < limit {
            self.lines += 1;
            write(event);
        } else {
            self.more[event.kind as usize] += 1;
            self.last.clear();
            let _ = write!(self.last, "{event}");
        }
    }

    /// Tells what was not written, once the window is over.
    pub(crate) fn catch_up(&mut self, now: Nanos) {
        if now >= self.end {
            self.sum_up();
        }
    }

    /// When [`Self::catch_up`] should be called.
    pub(crate) fn deadline(&self) -> Nanos {
        if self.more.iter().any(|n| *n > 0) {
            self.end
        } else {
            Nanos::MAX
        }
    }

    fn sum_up(&mut self) {
        let more = std::mem::take(&mut self.more);
        let total: u64 = more.iter().sum();
        if total == 0 {
            return;
        }
        let (mut counts, mut loss) = (String::new(), false);
        for (kind, n) in EventKind::ALL.iter().zip(more).filter(|(_, n)| *n > 0) {
            let comma = if counts.is_empty() { "" } else { ", " };
            let _ = write!(counts, "{comma}{n} {}", kind.as_str());
            loss |= is_loss(*kind);
        }
        let (service, last) = (&*self.service, &self.last);
        if loss {
            tracing::warn!(
                service,
                total,
                "{total} more in this second: {counts}; the last: {last}"
            );
        } else {
            tracing::info!(
                service,
                total,
                "{total} more in this second: {counts}; the last: {last}"
            );
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.sum_up();
    }
}

/// One line: a loss of capacity is a warning, all else information.
fn write(event: &Event) {
    let service = &*event.service;
    let what = event.kind.as_str();
    let instance = event.instance.as_ref().map(tracing::field::display);
    if is_loss(event.kind) {
        tracing::warn!(service, instance, what, "{event}");
    } else {
        tracing::info!(service, instance, what, "{event}");
    }
}

fn is_loss(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::CheckedDown
            | EventKind::Ejected
            | EventKind::EjectionWithheld
            | EventKind::WouldEject
            | EventKind::Weakened
            | EventKind::Predicted
            | EventKind::FallbackBegan
            | EventKind::ShadowIdle
            | EventKind::ShutOut
    )
}
