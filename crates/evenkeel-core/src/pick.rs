//! A pick, the lease it returns and the outcome that ends the lease.

use std::sync::Arc;

use crate::shadow::Beside;
use crate::view::{Member, Slot};
use crate::{HashedKey, Nanos, Rng};

/// What a strategy may know of the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct PickRequest<'a> {
    /// Slots that were tried for this request already; avoided while another candidate exists.
    pub tried: &'a [Slot],
    /// The hash of what the strategy asks of the request ([`crate::View::request_key`]). Requests without
    /// one are spread at random by a strategy that hashes; others ignore it.
    pub key: Option<HashedKey>,
    /// Where the client is, when that is known better than where the balancer is.
    pub region: Option<&'a str>,
}

/// The picking worker's own state.
#[derive(Debug)]
pub struct PickContext {
    /// Draws for strategies that choose at random.
    pub rng: Rng,
    /// The time of this phase, read once by the driver.
    pub now: Nanos,
    /// For strategies that are asked beside the one that picks.
    pub(crate) beside: Beside,
}

impl PickContext {
    /// A context whose draws `seed` determines.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            now: Nanos::ZERO,
            beside: Beside::new(seed),
        }
    }
}

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPick {
    /// The service has no instances.
    #[error("the service has no instances")]
    Empty,
    /// There are instances, but none may be used.
    #[error("no instance of the service is eligible")]
    NoneEligible,
}

/// What an ended request says about the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did its work.
    Success,
    /// It did its work, which was to tell the client its fault (4xx but 408 and 429). Such an answer may be cheap, so the
    /// time it took makes an instance no faster than it is known to be.
    Declined,
    /// It was too busy (408, 429): worth a smaller share, but no failure.
    Throttled,
    /// It failed: 5xx, connection refused or broken, time-out.
    Failure,
    /// Nothing: the client went away, or we gave up for reasons of our own.
    Cancelled,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What it says about the instance.
    pub verdict: Verdict,
    /// From the pick to the response head, or to the failure; of a cancelled request, how long it waited for an answer
    /// in vain. `None` when it says nothing (it was not waiting, or never reached the instance).
    pub response_time: Option<Nanos>,
}

impl Outcome {
    /// The request says nothing about the instance.
    pub const CANCELLED: Self = Self {
        verdict: Verdict::Cancelled,
        response_time: None,
    };

    /// The client went away after it had waited so long for an answer, and there was none. That is evidence of a kind:
    /// when it was longer than anybody has to wait elsewhere ([`EjectionSettings::on_silence`](crate::EjectionSettings)).
    #[must_use]
    pub const fn unanswered(waited: Nanos) -> Self {
        Self {
            verdict: Verdict::Cancelled,
            response_time: Some(waited),
        }
    }

    /// A response with `status` after `response_time`. 5xx is a failure, 408 and 429 say that it is too busy,
    /// other 4xx are the client's fault, all else is a success.
    #[must_use]
    pub const fn from_status(status: u16, response_time: Nanos) -> Self {
        let verdict = match status {
            500.. => Verdict::Failure,
            408 | 429 => Verdict::Throttled,
            400.. => Verdict::Declined,
            _ => Verdict::Success,
        };
        Self {
            verdict,
            response_time: Some(response_time),
        }
    }

    /// No (whole) response: refused, reset, malformed or timed out after `elapsed`.
    #[must_use]
    pub const fn failed(elapsed: Nanos) -> Self {
        Self {
            verdict: Verdict::Failure,
            response_time: Some(elapsed),
        }
    }
}

/// A crossing that only the writer of the service may judge: tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the writer of the service must be told"]
pub struct Alarm;

/// The right to send one request to an instance. Counts as in flight until it ends, which it does
/// exactly once: by [`Lease::finish`], or as cancelled when dropped.
#[derive(Debug)]
pub struct Lease {
    member: Arc<Member>,
    slot: Slot,
    started: Nanos,
    finished: bool,
}

impl Lease {
    #[inline]
    pub(crate) fn start(member: &Arc<Member>, slot: Slot, now: Nanos) -> Self {
        member.load().start();
        member.stats().on_start(now);
        Self {
            member: Arc::clone(member),
            slot,
            started: now,
            finished: false,
        }
    }

    /// The instance to send to.
    #[inline]
    #[must_use]
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Its slot, for [`PickRequest::tried`].
    #[inline]
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// When it was picked.
    #[inline]
    #[must_use]
    pub fn started(&self) -> Nanos {
        self.started
    }

    /// The head of the response is here, and the rest is to come: whatever becomes of it, the instance answers. For
    /// responses that take a while; of others the end says as much.
    #[inline]
    pub fn answer_began(&self) {
        self.member.stats().silence().on_begun();
    }

    /// The client is still sending the request, and that is what the instance waits for: until what is returned is
    /// dropped, this request is none that the instance leaves unanswered.
    #[must_use = "it is over when this is dropped"]
    pub fn client_sends(&self) -> Sending {
        self.member.stats().silence().on_sending();
        Sending(Arc::clone(&self.member))
    }

    /// Ends the lease. `Some` when the outcome raised an alarm.
    #[inline]
    pub fn finish(mut self, outcome: &Outcome, now: Nanos) -> Option<Alarm> {
        self.end(outcome, now)
    }

    /// As [`Self::finish`], for who cannot give it away; ends it once.
    #[inline]
    pub fn end(&mut self, outcome: &Outcome, now: Nanos) -> Option<Alarm> {
        if std::mem::replace(&mut self.finished, true) {
            return None;
        }
        self.member.load().end();
        if outcome.verdict == Verdict::Cancelled {
            let waited = outcome.response_time;
            self.member.stats().on_cancelled(self.started, waited);
            return None;
        }
        self.member.stats().on_end(outcome, now).then_some(Alarm)
    }
}

/// The rest of a request is with its client, until this is dropped.
#[derive(Debug)]
pub struct Sending(Arc<Member>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.stats().silence().on_sent();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.finished {
            self.member.load().end();
            self.member.stats().on_cancelled(self.started, None);
        }
    }
}
