//! A lease that knows its clock and whom to tell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core as core;
use evenkeel_core::{Instance, LoadReport, Nanos, Outcome, Sending, Slot, Verdict};
#[cfg(feature = "tower")]
use evenkeel_runtime::ServiceMetrics;
use evenkeel_runtime::{Clock, Service};

/// The right to send one request to an instance.
///
/// Until it ends, the request counts as in flight. It ends exactly once: with what the request came to, or, when it is
/// dropped, as [cancelled](Self::cancelled); by a panic that passes by before there is a [head](Self::head_arrived), as failed,
/// with all others that the task holds. Times are read from the balancer's
/// clock.
///
/// ```
/// # use evenkeel::{Instance, LoadBalancer};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let balancer = LoadBalancer::new();
/// # balancer.register_instance("web", Instance::new("web-1", "127.0.0.1:9001".parse()?)?).await?;
/// # async fn send(_: std::net::SocketAddr) -> Result<u16, std::io::Error> { Ok(200) }
/// let lease = balancer.get_instance("web")?;
/// match send(lease.address()).await {
///     Ok(status) => lease.answered_with(status), // 5xx speaks against the instance
///     Err(_) => lease.failed(),                  // refused, broken, timed out
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a lease that is dropped ends as cancelled: send the request, then say what it came to"]
pub struct Lease {
    lease: core::Lease,
    home: Home,
    clock: Clock,
    /// While the client sends the rest of the request; and when all of it was sent, where that took a while.
    sending: Option<Sending>,
    sent: Option<Nanos>,
    /// When the head of the response was there.
    head: Option<Nanos>,
    ended: bool,
}

/// Who wants to know when a run of failures is complete.
#[derive(Debug)]
pub(crate) enum Home {
    /// The writer of a service.
    Service(Arc<Service>),
    /// Whoever polls the adapter next.
    #[cfg(feature = "tower")]
    Adapter(Arc<crate::tower::Shared>),
}

impl Lease {
    pub(crate) fn new(lease: core::Lease, home: Home, clock: Clock) -> Self {
        Self {
            lease,
            home,
            clock,
            sending: None,
            sent: None,
            head: None,
            ended: false,
        }
    }

    /// The instance to send to.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        self.lease.member().instance()
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.instance().address
    }

    /// Its place in the service, for [`Selection::avoiding`](crate::Selection::avoiding).
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.lease.slot()
    }

    /// The time since the pick.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.now().since(self.lease.started()).as_duration()
    }

    /// The rest of the request is still to come from whoever sends it, and the instance waits for that: until it
    /// [is sent](Self::request_sent) the instance leaves nothing unanswered. For uploads that take longer than answers usually
    /// do; without this, an instance at which all clients are slow to send looks as if it hung.
    pub fn client_sends(&mut self) {
        if self.sending.is_none() {
            self.sending = Some(self.lease.client_sends());
        }
    }

    /// All of the request is with the instance: what comes now is its own time, and counts as its response time. Without a
    /// [`client_sends`](Self::client_sends) before, this says nothing.
    pub fn request_sent(&mut self) {
        if self.sending.take().is_some() {
            self.sent = Some(self.clock.now());
        }
    }

    /// The head of the response is there, its body is to come: what comes after counts as in flight, and not as
    /// the instance's response time. Without this, the whole time until the end is.
    pub fn head_arrived(&mut self) {
        if self.head.is_none() {
            self.head = Some(self.clock.now());
            self.lease.answer_began();
        }
    }

    /// The response says how loaded the instance is: strategies that go by load use it until it is stale. A report
    /// that says nothing takes back nothing.
    ///
    /// ```
    /// # use evenkeel::{Lease, LoadReport};
    /// # fn with(lease: &Lease, header: &[u8]) {
    /// // The value of an `endpoint-load-metrics` header, such as `TEXT cpu_utilization=0.3,mem_utilization=0.8`.
    /// if let Ok(report) = LoadReport::from_orca(header) {
    ///     lease.reported(report);
    /// }
    /// # }
    /// ```
    pub fn reported(&self, report: LoadReport) {
        if !report.is_empty() {
            let now = self.clock.now();
            self.lease.member().stats().reported().observe(&report, now, now);
        }
    }

    /// Ends with success; a client's own fault (4xx) is one too.
    pub fn succeeded(self) {
        self.end(Verdict::Success);
    }

    /// Ends with a failure of the instance: refused, broken, timed out, 5xx.
    pub fn failed(self) {
        self.end(Verdict::Failure);
    }

    /// Ends with an HTTP status: 5xx is a failure, all else a success.
    pub fn answered_with(self, status: u16) {
        // The core knows which statuses speak against an instance.
        let verdict = Outcome::from_status(status, Nanos::ZERO).verdict;
        self.end(verdict);
    }

    /// Ends without an answer because nobody waits for it any more, like dropping the lease. That says nothing about the
    /// instance, unless others answer in a twentieth of the time for which this one was waited for.
    pub fn cancelled(mut self) {
        self.give_up();
    }

    /// Ends with an outcome of the caller's own making, whose response time need not be this clock's.
    pub fn finish(mut self, outcome: &Outcome) {
        let now = self.clock.now();
        self.conclude(outcome, now);
    }

    /// Of its service.
    #[cfg(feature = "tower")]
    pub(crate) fn metrics(&self) -> &ServiceMetrics {
        match &self.home {
            Home::Service(service) => service.metrics(),
            Home::Adapter(shared) => shared.metrics(),
        }
    }

    pub(crate) fn end(mut self, verdict: Verdict) {
        self.end_with(verdict);
    }

    fn end_with(&mut self, verdict: Verdict) {
        let now = self.clock.now();
        let response_time = match verdict {
            Verdict::Cancelled => None,
            _ => Some(self.head.unwrap_or(now).since(self.asked())),
        };
        let outcome = Outcome {
            verdict,
            response_time,
        };
        self.conclude(&outcome, now);
    }

    /// Since when the instance had all that it needs.
    fn asked(&self) -> Nanos {
        self.sent.unwrap_or(self.lease.started())
    }

    /// Nobody waits for the answer any more, or reads on in it.
    fn give_up(&mut self) {
        let now = self.clock.now();
        let outcome = match (self.head, &self.sending) {
            (None, None) => Outcome::unanswered(now.since(self.asked())),
            _ => Outcome::CANCELLED,
        };
        self.conclude(&outcome, now);
    }

    fn conclude(&mut self, outcome: &Outcome, now: Nanos) {
        self.ended = true;
        match &self.home {
            Home::Service(service) => service.end(&mut self.lease, outcome, now),
            #[cfg(feature = "tower")]
            Home::Adapter(shared) => {
                if self.lease.end(outcome, now).is_some() {
                    shared.alarm();
                }
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            // Whatever panicked while it asked this instance may do so with every request.
            if std::thread::panicking() && self.head.is_none() {
                self.end_with(Verdict::Failure);
            } else {
                self.give_up();
            }
        }
    }
}
