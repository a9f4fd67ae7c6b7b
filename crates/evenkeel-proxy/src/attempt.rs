//! One request on one connection, both directions at once.
//!
//! A single poll moves the request toward the instance and the response toward the client as far as the
//! sockets allow, so that neither side can block the other: an instance may answer, or send 1xx
//! responses, before the request has ended. Each direction holds at most one buffer; it reads only when
//! what it read before has left, which is the back-pressure.

mod receive;
mod report;
mod send;

use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::{Lease, Nanos, Sending};
use evenkeel_h1::{BodyFilter, BodyOut, Framing};

use crate::buffer::{Buffer, SMALL};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::pool::Connection;
use crate::retry::Tries;
use crate::worker::Upstream;

/// A client that has ended its side may only have finished sending, or may be gone. A response that
/// comes within this time is still tried; then the request is cancelled.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// What is known once the final response head is on its way to the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// When it was complete.
    pub(crate) at: Nanos,
    /// Whether the client's connection ends with this response.
    pub(crate) close: bool,
    /// Whether only that end tells the client where the body ends.
    pub(crate) until_close: bool,
}

/// A response that was dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discarded {
    pub(crate) status: u16,
    /// When its head was complete.
    pub(crate) at: Nanos,
}

/// What an attempt leaves behind.
#[derive(Debug)]
pub(crate) struct End {
    /// `None` when no final response was begun.
    pub(crate) head: Option<Head>,
    /// The response that the client does not get, because the request gets another try.
    pub(crate) discarded: Option<Discarded>,
    /// When the last piece of the request came before the response did; `None` when it came at once.
    pub(crate) asked: Option<Nanos>,
    /// Bytes of data in the response's body, as far as it came.
    pub(crate) body_bytes: u64,
    /// Bytes of the request that left.
    pub(crate) sent: usize,
    /// Whether all of the request left.
    pub(crate) request_done: bool,
    /// Whether a byte of an answer came, be it of a 1xx.
    pub(crate) answering: bool,
    /// Whether the instance's connection can serve another request.
    pub(crate) reusable: bool,
    /// Whether the client has a part of a 1xx response: no other can follow it.
    pub(crate) torn: bool,
}

/// Whom the exchange waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ClientSends,
    InstanceReads,
    InstanceAnswers,
    InstanceSends,
    ClientReads,
}

/// The state of both directions.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    client: &'a mut Client,
    request: &'a mut Request,
    upstream: &'a Upstream,
    connection: &'a mut Connection,
    lease: &'a Lease,
    tries: &'a mut Tries,

    asked: Option<Nanos>,
    /// Bytes of `request.out` that left.
    sent: usize,
    /// Filtered bytes at the front of the client's inbox, to leave without a copy, and the bytes behind
    /// them that the filter dropped.
    ready: usize,
    dropped: usize,
    request_done: bool,
    send_broken: bool,
    /// While the client has the rest of the request.
    sending: Option<Sending>,

    inbox: Buffer,
    answering: bool,
    /// 1xx responses so far.
    informational: u8,
    /// Whether the client has any of those.
    informed: bool,
    head: Option<Head>,
    discarded: Option<Discarded>,
    keep_alive: bool,
    /// Whether we add chunk framing to the response.
    chunking: bool,
    body: BodyFilter,
    /// Bytes to the client that are not in `inbox`: heads, chunk framing, small bodies.
    reply: Vec<u8>,
    reply_sent: usize,
    body_ready: usize,
    body_dropped: usize,

    watching: bool,
    half_closed: bool,
    waiting: Option<Waiting>,
    progress: bool,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        client: &'a mut Client,
        request: &'a mut Request,
        upstream: &'a Upstream,
        connection: &'a mut Connection,
        lease: &'a Lease,
        tries: &'a mut Tries,
    ) -> Self {
        // The last try may have ended by its deadline.
        client
            .timer
            .arm(&client.worker.timers, upstream.settings.response);
        let reply = client.worker.take_vec();
        let limits = client.worker.routing.borrow().settings.limits;
        Self {
            client,
            request,
            upstream,
            connection,
            lease,
            tries,
            asked: None,
            sent: 0,
            ready: 0,
            dropped: 0,
            request_done: false,
            send_broken: false,
            sending: None,
            inbox: Buffer::default(),
            answering: false,
            informational: 0,
            informed: false,
            head: None,
            discarded: None,
            keep_alive: false,
            chunking: false,
            body: BodyFilter::new(Framing::None, BodyOut::Chunked, &limits),
            reply,
            reply_sent: 0,
            body_ready: 0,
            body_dropped: 0,
            watching: true,
            half_closed: false,
            waiting: None,
            progress: true,
        }
    }

    pub(crate) fn end(mut self) -> End {
        let reusable = self.keep_alive
            && (self.head.is_some() || self.discarded.is_some())
            && self.request_done
            && !self.send_broken
            && self.body.is_done()
            && self.inbox.is_empty();
        let answering = self.answering || !self.inbox.is_empty();
        self.inbox.consume(self.inbox.len());
        self.client.worker.buffers.release(&mut self.inbox);
        // What the instance did not take of the body is nothing else: not the start of the next request.
        self.client.inbox.consume(self.ready + self.dropped);
        if self.client.inbox.is_empty() {
            self.client.worker.buffers.release(&mut self.client.inbox);
        }
        let worker = &self.client.worker;
        worker.give_vec(self.reply);
        End {
            head: self.head,
            discarded: self.discarded,
            asked: self.asked,
            body_bytes: self.body.data_bytes(),
            sent: self.sent,
            request_done: self.request_done,
            answering,
            reusable,
            torn: self.head.is_none() && self.reply_sent > 0,
        }
    }

    /// Moves both directions on. Ready when the response is with the client, or cannot be, or was
    /// dropped for another try.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.client.timer.poll_expired(cx) {
            return Poll::Ready(Err(self.expired()));
        }
        let mut waiting = None;
        if !self.request_done && !self.send_broken {
            match self.poll_send(cx) {
                Poll::Ready(Ok(())) => self.request_done = true,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending if self.send_broken => {}
                Poll::Pending => waiting = self.waiting,
            }
            let clients = waiting == Some(Waiting::ClientSends);
            if clients != self.sending.is_some() {
                self.sending = clients.then(|| self.lease.client_sends());
            }
        }
        let before = self.waiting;
        if let Poll::Ready(result) = self.poll_receive(cx) {
            return Poll::Ready(result);
        }
        // While the request is on its way, an instance that does not answer (further) owes nothing.
        if matches!(
            self.waiting,
            Some(Waiting::InstanceAnswers | Waiting::InstanceSends)
        ) && waiting.is_some()
        {
            self.waiting = waiting;
        }
        if self.request_done && self.watching && self.poll_gone(cx) {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        if self.progress || self.waiting != before {
            self.progress = false;
            self.arm();
        }
        Poll::Pending
    }

    fn arm(&self) {
        let listener = self.client.listener.settings.borrow();
        let upstream = &self.upstream.settings;
        let limit = match self.waiting {
            Some(Waiting::InstanceAnswers) => upstream.response,
            Some(Waiting::InstanceReads | Waiting::InstanceSends) => upstream.body_idle,
            Some(Waiting::ClientSends | Waiting::ClientReads) | None => listener.body_idle,
        };
        let limit = if self.half_closed {
            limit.min(HALF_CLOSED)
        } else {
            limit
        };
        self.client.timer.arm(&self.client.worker.timers, limit);
    }

    fn expired(&self) -> Failure {
        if self.half_closed {
            return Failure::ClientGone;
        }
        match self.waiting {
            Some(Waiting::InstanceReads) => Failure::SendTimeout,
            Some(Waiting::InstanceAnswers) => Failure::ResponseTimeout,
            Some(Waiting::InstanceSends) => Failure::BodyBroken,
            Some(Waiting::ClientSends | Waiting::ClientReads) | None => Failure::ClientStalled,
        }
    }

    /// Looks whether the client is gone while the instance works. What it sends meanwhile are requests
    /// to come, kept as far as one buffer holds them.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        let client = &mut *self.client;
        while client.inbox.len() < SMALL {
            match client
                .worker
                .buffers
                .poll_read(cx, &mut client.stream, &mut client.inbox, SMALL)
            {
                Poll::Ready(Ok(0)) => {
                    self.watching = false;
                    self.half_closed = true;
                    self.progress = true;
                    return false;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return true,
                Poll::Pending => return false,
            }
        }
        self.watching = false;
        false
    }
}
