//! Another try for a request: what may have one, and the tries it had.

use std::ops::RangeInclusive;

use evenkeel_core::{Nanos, Retry, Slot, Verdict};
use evenkeel_runtime::RetryReason;

use crate::worker::Upstream;

/// What is tried again on another instance, where that is safe.
///
/// A request lost on a kept connection that its instance closed just then is always sent again: that is
/// nobody's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// A connection that cannot be made.
    pub connect: bool,
    /// A connection that ends, or a time-out, before a byte of the response.
    pub no_response: bool,
    /// Responses with these statuses.
    pub statuses: StatusSet,
}

impl Default for RetryOn {
    /// Everything that another instance may do better, 500 included: a load balancer's users want the answer.
    fn default() -> Self {
        Self {
            connect: true,
            no_response: true,
            statuses: [500, 502, 503, 504].into_iter().collect(),
        }
    }
}

impl RetryOn {
    pub(crate) fn allows(&self, reason: RetryReason) -> bool {
        match reason {
            RetryReason::Connect => self.connect,
            RetryReason::NoResponse => self.no_response,
            _ => true,
        }
    }
}

/// A set of failure statuses, 400 to 599.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 4]);

impl StatusSet {
    /// What can be in a set.
    pub const RANGE: RangeInclusive<u16> = 400..=599;

    /// Whether `status` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        Self::place(status).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }

    fn place(status: u16) -> Option<(usize, u64)> {
        let index = Self::RANGE.contains(&status).then(|| usize::from(status - 400))?;
        Some((index / 64, 1 << (index % 64)))
    }
}

impl FromIterator<u16> for StatusSet {
    /// Statuses outside [`Self::RANGE`] are left out: they are no failures.
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut set = Self::default();
        for (word, bit) in statuses.into_iter().filter_map(Self::place) {
            set.0[word] |= bit;
        }
        set
    }
}

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
        let may = settings.retry_on.allows(reason)
            && self.retries < settings.retry_attempts
            && self.has_others(upstream);
        if !may {
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

    /// Whether an instance is left that was not tried, and that has a connection left: the same one again
    /// would only get more load, and an answer is not given up for our own refusal.
    fn has_others(&self, upstream: &Upstream) -> bool {
        let max_connections = upstream.settings.max_connections;
        let mut reader = upstream.view.borrow_mut();
        let mut slots = reader.view().candidates().slots().iter();
        slots.any(|slot| !self.slots().contains(slot) && upstream.pool.has_room(*slot, max_connections))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_failures_alone() {
        let set: StatusSet = [200, 399, 400, 463, 464, 500, 599, 600, 999]
            .into_iter()
            .collect();
        let held: Vec<u16> = (0..1200).filter(|status| set.contains(*status)).collect();
        assert_eq!(held, [400, 463, 464, 500, 599]);
        let usual = RetryOn::default().statuses;
        let usual: Vec<u16> = StatusSet::RANGE
            .filter(|status| usual.contains(*status))
            .collect();
        assert_eq!(usual, [500, 502, 503, 504]);
    }
}
