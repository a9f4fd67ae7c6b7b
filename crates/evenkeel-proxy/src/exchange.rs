//! One request and its response: picks, connects, sends, tries again where that is safe, and tells the
//! service how it ended.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::{Lease, Nanos, NoPick, Outcome, PickRequest, RetryReason};
use evenkeel_h1::Method;
use evenkeel_runtime::is_shortage;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::attempt::Attempt;
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::pool::{CheckOut, Connection, Permit, Reuse};
use crate::reply::Reply;
use crate::retry::Tries;
use crate::worker::Upstream;

/// An instance that closes a kept connection does so before it has the request: we hear of it one round
/// trip after sending, or as soon as a busy machine lets us. What is lost later was being worked on.
const CLOSING: Nanos = Nanos::from_millis(100);

/// How a try ended that gave the client no response.
enum Miss {
    /// Without one. The request may be sent again for the reason that is given, if that is granted.
    Failed(Failure, Option<RetryReason>),
    /// With one that was dropped, as another try was granted.
    Discarded,
}

impl Client {
    /// Has the request answered. False when the client's connection must not be used further.
    pub(crate) async fn exchange(&mut self, request: &mut Request) -> bool {
        let upstream = Rc::clone(&request.upstream);
        match self.try_instances(request, &upstream).await {
            Ok(go_on) => go_on,
            Err(reply) => {
                upstream
                    .settings
                    .service
                    .metrics()
                    .record_local_error(reply.status);
                if let Some(entry) = &mut self.entry {
                    entry.bytes_in = request.body.data_bytes();
                }
                // What is left of the request would be taken for the next one.
                let close = !request.keep_alive || !request.body.is_done() || self.is_closing();
                let sent = self
                    .send_reply(&reply, close, request.method != Method::Head)
                    .await;
                self.log_end();
                if sent.is_ok() && close && (!request.body.is_done() || !self.inbox.is_empty()) {
                    self.linger().await;
                }
                sent.is_ok() && !close
            }
        }
    }

    async fn try_instances(&mut self, request: &mut Request, upstream: &Upstream) -> Result<bool, Reply> {
        let service = &upstream.settings.service;
        let mut tries = Tries::NONE;
        let mut stale = false;
        loop {
            let (lease, home) = self.pick(upstream, &tries, request).map_err(|no_pick| {
                service.metrics().record_no_pick();
                Reply::new(503, "destination_unavailable", no_pick.to_string())
            })?;
            let slot = lease.slot();
            request.keeps_session |= home;
            let connection = match self.check_out(upstream, &lease, request, stale) {
                CheckOut::Idle(connection) => Ok(connection),
                CheckOut::Open(permit) => self.connect(upstream, &lease, permit).await,
                CheckOut::Full => {
                    // Our own limit says nothing about the instance; the lease ends as cancelled.
                    if !tries.add(slot) {
                        return Err(Reply::new(
                            503,
                            "connection_limit_reached",
                            "all connections to the instances tried are in use",
                        ));
                    }
                    continue;
                }
            };
            if let Some(entry) = &mut self.entry {
                entry.tries += 1;
                entry.instance = Some(lease.member().instance().id.clone());
                entry.at_instance = None;
            }
            let miss = match connection {
                Ok(connection) => {
                    let attempt = self.attempt(request, upstream, connection, lease, &mut tries);
                    match attempt.await {
                        Ok(go_on) => return Ok(go_on),
                        Err(miss) => miss,
                    }
                }
                Err(error) => self.missed_connection(upstream, lease, &error),
            };
            let Miss::Failed(failure, retry) = miss else {
                continue;
            };
            if retry == Some(RetryReason::StaleConnection) && !stale {
                // The instance closed an idle connection just as we used it: nobody's fault, so it
                // counts neither as tried nor against the budget.
                stale = true;
                service.metrics().record_retry(RetryReason::StaleConnection);
                continue;
            }
            let now = self.worker.timers.now();
            if home {
                // An instance that fails to answer is as good as gone.
                request.keeps_session = false;
            }
            if !retry.is_some_and(|reason| tries.grant(upstream, slot, reason, now)) {
                return match failure.into_reply() {
                    Some(reply) => Err(reply),
                    None => {
                        self.log_broken(request, "client_gone");
                        Ok(false)
                    }
                };
            }
        }
    }

    fn missed_connection(&mut self, upstream: &Upstream, lease: Lease, error: &io::Error) -> Miss {
        let now = self.worker.read_clock();
        if let Some(entry) = &mut self.entry {
            entry.at_instance = Some(now.since(lease.started()));
        }
        let (failure, outcome) = if is_shortage(error) {
            (Failure::Shortage, Outcome::CANCELLED)
        } else {
            let outcome = Outcome::failed(now.since(lease.started()));
            (Failure::Connect(error.kind()), outcome)
        };
        upstream.settings.service.finish(lease, &outcome, now);
        Miss::Failed(failure, Some(RetryReason::Connect))
    }

    /// The instance of the request's session, while it takes requests of its own and was not tried; else the
    /// one that the strategy picks. True with the former.
    fn pick(&self, upstream: &Upstream, tries: &Tries, request: &Request) -> Result<(Lease, bool), NoPick> {
        let mut picks = self.worker.picks.borrow_mut();
        picks.now = self.worker.timers.now();
        let mut reader = upstream.view.borrow_mut();
        if let Some(tag) = request.session {
            let view = reader.view();
            let slot = view.session(tag).filter(|slot| !tries.slots().contains(slot));
            if let Some(lease) = slot.and_then(|slot| view.lease(slot, picks.now)) {
                return Ok((lease, true));
            }
        }
        let wanted = PickRequest {
            tried: tries.slots(),
            key: request.key,
            region: None,
        };
        Ok((reader.pick(&wanted, &mut picks)?, false))
    }

    fn check_out(&self, upstream: &Upstream, lease: &Lease, request: &Request, stale: bool) -> CheckOut {
        let reuse = match request.method.is_idempotent() && request.replayable {
            _ if stale => Reuse::Never,
            true => Reuse::Heard,
            false => Reuse::Asked,
        };
        upstream.pool.check_out(
            lease.slot(),
            lease.member().instance().address,
            self.worker.timers.now(),
            upstream.settings.idle,
            upstream.settings.max_connections,
            reuse,
        )
    }

    async fn connect(
        &mut self,
        upstream: &Upstream,
        lease: &Lease,
        permit: Permit,
    ) -> io::Result<Connection> {
        self.timer.arm(&self.worker.timers, upstream.settings.connect);
        let begun = self.worker.read_clock();
        let mut connecting = pin!(TcpStream::connect(lease.member().instance().address));
        let stream = poll_fn(|cx| {
            if self.timer.poll_expired(cx) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            connecting.as_mut().poll(cx)
        })
        .await?;
        stream.set_nodelay(true)?;
        let took = self.worker.read_clock().since(begun);
        lease.member().stats().distance().observe(took);
        Ok(permit.fill(stream, took))
    }

    /// Sends the request over `connection` and passes the response on. `Ok` when a response went to the
    /// client, whole or broken; says whether its connection can go on.
    async fn attempt(
        &mut self,
        request: &mut Request,
        upstream: &Upstream,
        mut connection: Connection,
        lease: Lease,
        tries: &mut Tries,
    ) -> Result<bool, Miss> {
        let worker = Rc::clone(&self.worker);
        let service = &upstream.settings.service;
        let (slot, started) = (lease.slot(), lease.started());
        let mut attempt = Attempt::new(self, request, upstream, &mut connection, &lease, tries);
        let result = poll_fn(|cx| attempt.poll(cx)).await;
        let end = attempt.end();
        // The time a client takes to send is not its instance's.
        let started = end.asked.unwrap_or(started);
        let now = worker.read_clock();
        if let Some(entry) = &mut self.entry {
            let answered = end.head.map(|head| head.at).or(end.discarded.map(|head| head.at));
            entry.at_instance = Some(answered.unwrap_or(now).since(started));
        }
        if let Some(head) = end.discarded {
            service.finish(
                lease,
                &Outcome::from_status(head.status, head.at.since(started)),
                now,
            );
            if end.reusable {
                let max_idle = upstream.settings.max_idle;
                upstream.pool.check_in(slot, connection, now, max_idle);
            }
            return Err(Miss::Discarded);
        }
        let Some(head) = end.head else {
            let failure = match result {
                Err(_) if end.torn => Failure::ClientGone,
                Err(failure) => failure,
                Ok(()) => Failure::NoResponse,
            };
            let in_closing = CLOSING + connection.round_trip + connection.round_trip;
            let stale = connection.reused
                && matches!(failure, Failure::NoResponse)
                && now.since(started) < in_closing;
            let outcome = if !stale && !failure.is_clients() {
                Outcome::failed(now.since(started))
            } else if !stale && end.request_done && !end.answering {
                Outcome::unanswered(now.since(started))
            } else {
                Outcome::CANCELLED
            };
            // Once more on a new connection, it is the same retry.
            if !stale {
                tries.ended(outcome.verdict);
            }
            service.finish(lease, &outcome, now);
            let unsent = end.sent == 0 && request.replayable;
            let repeatable = unsent || (request.method.is_idempotent() && request.replayable);
            let retry = match failure {
                Failure::NoResponse if stale && repeatable => Some(RetryReason::StaleConnection),
                Failure::NoResponse | Failure::ResponseTimeout if repeatable && !end.answering => {
                    Some(RetryReason::NoResponse)
                }
                _ => None,
            };
            return Err(Miss::Failed(failure, retry));
        };
        let response_time = head.at.since(started);
        let outcome = match &result {
            Ok(()) => Outcome::from_status(head.status, response_time),
            Err(failure) if failure.is_clients() => Outcome::CANCELLED,
            Err(_) => Outcome::failed(response_time),
        };
        service.finish(lease, &outcome, now);
        service
            .metrics()
            .record_response(head.status, now.since(request.received));
        if let Some(entry) = &mut self.entry {
            entry.status = head.status;
            entry.error = result.as_ref().err().map(Failure::after_head);
            entry.bytes_in = request.body.data_bytes();
            entry.bytes_out = end.body_bytes;
        }
        self.log_end();
        match result {
            Ok(()) => {
                if head.until_close {
                    self.end_means_failure(false);
                }
                if end.reusable {
                    upstream
                        .pool
                        .check_in(slot, connection, now, upstream.settings.max_idle);
                } else {
                    // Before lingering, which takes its time.
                    drop(connection);
                }
                if head.close || !end.request_done {
                    if !end.request_done || !self.inbox.is_empty() {
                        self.linger().await;
                    }
                    return Ok(false);
                }
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    /// Whether dropping the connection resets it. While only its end tells the client where a body ends,
    /// it must: a plain end would make what is there of the body look whole.
    pub(crate) fn end_means_failure(&self, yes: bool) {
        let _ = SockRef::from(&self.stream).set_linger(yes.then_some(Duration::ZERO));
    }
}
