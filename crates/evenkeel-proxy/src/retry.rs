//! Another try for a request: what may have one, and the tries it had.

use evenkeel_core::{Nanos, Retry, RetryReason, Slot, Verdict};

use crate::worker::Upstream;

/// Instances one request may be offered to, those that had no connection left among them.
const MAX_TRIED: usize = 24;

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    slots: [Slot; MAX_TRIED],
    len: usize,
    /// How many of them were retries.
    retries: u32,
    /// The last of these, until it has ended.
    retry: Option<Retry>,
}

impl Tries {
    pub(crate) const NONE: Self = Self {
        slots: [Slot(0); MAX_TRIED],
        len: 0,
        retries: 0,
        retry: None,
    };

    /// The slots it was offered to.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots[..self.len]
    }

    /// Notes an offer to `slot`; false when it had that one before, or too many.
    pub(crate) fn add(&mut self, slot: Slot) -> bool {
        if self.len == MAX_TRIED || self.slots().contains(&slot) {
            return false;
        }
        self.slots[self.len] = slot;
        self.len += 1;
        true
    }

    /// Whether the request may have another try after that at `slot`; counts it for `reason` then.
    pub(crate) fn grant(&mut self, upstream: &Upstream, slot: Slot, reason: RetryReason, now: Nanos) -> bool {
        let settings = &upstream.settings;
        self.add(slot);
        self.ended(Verdict::Failure);
        let others = || self.has_others(upstream);
        if !settings
            .retry_on
            .allows(reason, self.retries, settings.retry_attempts, others)
        {
            return false;
        }
        let granted = upstream
            .budget
            .withdraw(now, settings.retry_budget, || requests(upstream));
        match granted {
            Ok(retry) => {
                self.retry = Some(retry);
                self.retries += 1;
                settings.service.metrics().record_retry(reason);
                true
            }
            Err(why) => {
                settings.service.metrics().record_refused_retry(why);
                false
            }
        }
    }

    /// Tells the budget what came of the last try, if that was a retry.
    pub(crate) fn ended(&mut self, verdict: Verdict) {
        let Some(retry) = self.retry.take() else { return };
        match verdict {
            Verdict::Success | Verdict::Declined => retry.end(true),
            Verdict::Failure | Verdict::Throttled => retry.end(false),
            Verdict::Cancelled => {}
        }
    }

    /// Whether an instance is left that was not tried, and that has a connection left: an answer is not given up for our
    /// own refusal.
    fn has_others(&self, upstream: &Upstream) -> bool {
        let max_connections = upstream.settings.max_connections;
        let mut reader = upstream.view.borrow_mut();
        reader
            .view()
            .has_others(self.slots(), |slot| upstream.pool.has_room(slot, max_connections))
    }
}

/// Requests of the service so far, those under way among them: after a start, or with slow instances, most are.
fn requests(upstream: &Upstream) -> u64 {
    let mut reader = upstream.view.borrow_mut();
    let under_way: u64 = reader
        .view()
        .members()
        .map(|(_, member, _)| u64::from(member.load().get()))
        .sum();
    upstream.settings.service.metrics().responses() + under_way
}
