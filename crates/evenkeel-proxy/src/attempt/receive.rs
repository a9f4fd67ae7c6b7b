//! The response on its way to the client.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use evenkeel_core::{Nanos, Outcome, RetryReason, SessionTag};
use evenkeel_h1::{
    BodyFilter, BodyOut, CHUNK_END, FieldName, Framing, LAST_CHUNK, ResponseHead, Status, Version,
    encode_chunk_header,
};
use tokio::io::AsyncWrite;

use super::{Attempt, Discarded, Head, Waiting, report};
use crate::buffer::{LARGE, SMALL};
use crate::failure::Failure;
use crate::rewrite::{self, Passing};
use crate::sticky::StickyCookie;

/// 1xx responses that may precede a response.
const MAX_INFORMATIONAL: u8 = 100;

/// Up to this size, body bytes are copied behind a head so that both leave in one plain write.
const COPY: usize = 8 * 1024;

impl<'a> Attempt<'a> {
    /// Moves the response on. Ready when all of it is with the client, or it failed or was dropped.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if self.reply_sent < self.reply.len() || self.body_ready > 0 {
                ready!(self.poll_flush(cx))?;
                continue;
            }
            let want = if self.head.is_some() {
                if self.body.is_done() {
                    return Poll::Ready(Ok(()));
                }
                if !self.inbox.is_empty() && self.stage_body()? {
                    continue;
                }
                self.waiting = Some(Waiting::InstanceSends);
                if self.body.remaining().is_none_or(|left| left > SMALL as u64) {
                    LARGE
                } else {
                    SMALL
                }
            } else {
                if !self.inbox.is_empty() && self.take_head()? {
                    if self.discarded.is_some() {
                        return Poll::Ready(Ok(()));
                    }
                    continue;
                }
                self.waiting = Some(Waiting::InstanceAnswers);
                SMALL
            };
            let want = if self.inbox.is_full() {
                want.max(self.inbox.capacity() * 2)
            } else {
                want
            };
            let stream = &mut self.connection.stream;
            match ready!(
                self.client
                    .worker
                    .buffers
                    .poll_read(cx, stream, &mut self.inbox, want)
            ) {
                // A head in pieces is given no more time for each.
                Ok(n) if n > 0 => self.progress |= self.head.is_some(),
                end => self.on_end(end.is_ok())?,
            }
        }
    }

    /// The instance's connection ended, by a plain end or by an error.
    fn on_end(&mut self, plain: bool) -> Result<(), Failure> {
        if self.head.is_none() {
            let begun = self.answering || !self.inbox.is_empty();
            return Err(if begun {
                Failure::HeadBroken
            } else {
                Failure::NoResponse
            });
        }
        if !plain || self.body.on_eof().is_err() {
            return Err(Failure::BodyBroken);
        }
        if self.chunking {
            self.reply.extend_from_slice(LAST_CHUNK);
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.waiting = Some(Waiting::ClientReads);
        let head = &self.reply[self.reply_sent..];
        let body = self.inbox.slice(0..self.body_ready);
        let stream = Pin::new(&mut self.client.stream);
        let written = match (head.is_empty(), body.is_empty()) {
            (false, false) => stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
            (false, true) => stream.poll_write(cx, head),
            _ => stream.poll_write(cx, body),
        };
        let Ok(n @ 1..) = ready!(written) else {
            return Poll::Ready(Err(Failure::ClientGone));
        };
        self.progress = true;
        let of_head = n.min(head.len());
        self.reply_sent += of_head;
        if self.reply_sent == self.reply.len() {
            self.reply.clear();
            self.reply_sent = 0;
        }
        self.body_ready -= n - of_head;
        self.inbox.consume(n - of_head);
        if self.body_ready == 0 {
            self.inbox.consume(self.body_dropped);
            self.body_dropped = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a head out of the inbox; false when it is not all there.
    fn take_head(&mut self) -> Result<bool, Failure> {
        let worker = std::rc::Rc::clone(&self.client.worker);
        let limits = worker.routing.borrow().settings.limits;
        let mut head = worker.response_head.borrow_mut();
        // A head in pieces is rare and small: it is searched anew each time.
        head.reset();
        let len = match head.parse(self.inbox.bytes(), self.request.method, &limits) {
            Ok(Status::Complete { len }) => len,
            Ok(Status::Partial) => {
                head.reset();
                return Ok(false);
            }
            Err(error) => {
                self.answering = true;
                return Err(Failure::BadHead(error));
            }
        };
        self.answering = true;
        self.progress = true;
        if head.upgrade {
            return Err(Failure::Unasked);
        }
        if head.is_informational() {
            // Each gives the instance the time for a response anew, which must end some time.
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err(Failure::ResponseTimeout);
            }
            if self.request.version == Version::Http11 {
                let passing = Passing {
                    strip_load_report: self.upstream.settings.strip_load_reports,
                    ..Passing::default()
                };
                rewrite::response(&mut self.reply, &head, self.inbox.bytes(), &passing);
                self.informed = true;
            }
            self.inbox.consume(len);
            return Ok(true);
        }
        if head.load_report {
            let now = worker.timers.now();
            report::from_head(&head, self.inbox.bytes(), self.lease, self.upstream, now);
        }
        if self.is_tried_again(head.status) {
            self.discard(&head, len);
            return Ok(true);
        }
        self.tries
            .ended(Outcome::from_status(head.status, Nanos::ZERO).verdict);
        self.begin_response(&head);
        self.inbox.consume(len);
        if !self.inbox.is_empty()
            && !self.body.is_done()
            && let Err(failure) = self.stage_body()
        {
            // Wrong from its start: nothing has left yet, so the client can be told.
            self.head = None;
            self.client.end_means_failure(false);
            return Err(failure);
        }
        if !self.body.is_done() {
            self.lease.answer_began();
        }
        Ok(true)
    }

    /// Whether another instance is asked instead of passing a response with `status` on: it is one of those
    /// to try again, the client has nothing yet, and the request may be repeated and gets another try.
    fn is_tried_again(&mut self, status: u16) -> bool {
        self.upstream.settings.retry_on.statuses.contains(status)
            && !self.informed
            && self.request.replayable
            && self.request.method.is_idempotent()
            && self.tries.grant(
                self.upstream,
                self.lease.slot(),
                RetryReason::Status,
                self.client.worker.timers.now(),
            )
    }

    /// Drops a response with what is here of its body. When that is all, the connection can be kept.
    #[cold]
    fn discard(&mut self, head: &ResponseHead, len: usize) {
        let worker = &self.client.worker;
        let limits = worker.routing.borrow().settings.limits;
        self.discarded = Some(Discarded {
            status: head.status,
            at: worker.read_clock(),
        });
        self.inbox.consume(len);
        self.keep_alive = head.keep_alive;
        self.body = BodyFilter::new(head.framing, BodyOut::Plain, &limits);
        if !self.body.is_done() {
            match self.body.filter(self.inbox.bytes_mut()) {
                Ok(progress) => self.inbox.consume(progress.consumed),
                Err(_) => self.keep_alive = false,
            }
        }
    }

    /// Decides how the body reaches the client, and rewrites the head accordingly.
    fn begin_response(&mut self, head: &ResponseHead) {
        let worker = &self.client.worker;
        let limits = worker.routing.borrow().settings.limits;
        let modern = self.request.version == Version::Http11;
        self.chunking = modern && head.framing == Framing::UntilClose;
        let chunked = self.chunking || (modern && head.framing == Framing::Chunked);
        let until_close = !modern && matches!(head.framing, Framing::Chunked | Framing::UntilClose);
        // A request that is not all here when its response begins may never be: its client cannot go on.
        let early = !self.request_done;
        let close = !self.request.keep_alive || until_close || early || self.client.is_closing();
        let out = if modern { BodyOut::Chunked } else { BodyOut::Plain };
        self.body = BodyFilter::new(head.framing, out, &limits);
        self.keep_alive = head.keep_alive;
        if until_close {
            self.client.end_means_failure(true);
        }
        self.head = Some(Head {
            status: head.status,
            at: worker.read_clock(),
            close,
            until_close,
        });
        let passing = Passing {
            chunked,
            close,
            session: self.new_session(head.status),
            strip_load_report: self.upstream.settings.strip_load_reports,
            date: &worker.date.text(),
        };
        rewrite::response(&mut self.reply, head, self.inbox.bytes(), &passing);
    }

    /// The session that begins with a response of `status`: the client has none, or one whose instance is gone.
    fn new_session(&self, status: u16) -> Option<(&'a StickyCookie, SessionTag)> {
        let cookie = self.upstream.settings.sticky.as_ref()?;
        if self.request.keeps_session || status >= 500 {
            return None;
        }
        let mut reader = self.upstream.view.borrow_mut();
        let key = reader.view().session_key()?;
        Some((cookie, key.tag(&self.lease.member().instance().id)))
    }

    /// Filters what is in the inbox; false when more must be read first.
    fn stage_body(&mut self) -> Result<bool, Failure> {
        let (lease, upstream) = (self.lease, self.upstream);
        let now = self.client.worker.timers.now();
        let trailer = |name: FieldName, value: &[u8]| {
            if name.is_load_report() {
                report::observe(name, value, lease, upstream, now);
            }
            !(name.is_load_report() && upstream.settings.strip_load_reports)
        };
        let progress = self
            .body
            .filter_with(self.inbox.bytes_mut(), trailer)
            .map_err(|_| Failure::BodyBroken)?;
        let (produced, consumed) = (progress.produced, progress.consumed);
        if self.chunking && produced > 0 {
            self.reply.extend_from_slice(&encode_chunk_header(produced));
            self.reply.extend_from_slice(self.inbox.slice(0..produced));
            self.reply.extend_from_slice(CHUNK_END);
            self.inbox.consume(consumed);
        } else if produced == 0 || (produced <= COPY && !self.reply.is_empty()) {
            self.reply.extend_from_slice(self.inbox.slice(0..produced));
            self.inbox.consume(consumed);
        } else {
            self.body_ready = produced;
            self.body_dropped = consumed - produced;
        }
        Ok(consumed > 0 || progress.done)
    }
}
