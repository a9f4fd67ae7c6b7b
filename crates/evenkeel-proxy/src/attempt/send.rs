//! The request on its way to the instance.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::{Attempt, Waiting};
use crate::buffer::{LARGE, SMALL};
use crate::failure::Failure;

/// Bytes of a request kept for another try.
const REPLAY: usize = 64 * 1024;

impl Attempt<'_> {
    /// Moves the request on. `Pending` with `send_broken` when the instance no longer reads: its
    /// response may be here all the same.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let direct = self.sent == self.request.out.len();
            let bytes = if direct {
                self.client.inbox.slice(0..self.ready)
            } else {
                &self.request.out[self.sent..]
            };
            if !bytes.is_empty() {
                self.waiting = Some(Waiting::InstanceReads);
                match ready!(Pin::new(&mut self.connection.stream).poll_write(cx, bytes)) {
                    Ok(n) if n > 0 => self.on_sent(direct, n),
                    _ => {
                        self.send_broken = true;
                        return Poll::Pending;
                    }
                }
                continue;
            }
            if self.request.body.is_done() {
                return Poll::Ready(Ok(()));
            }
            if !self.client.inbox.is_empty() && self.filter_request()? {
                continue;
            }
            self.waiting = Some(Waiting::ClientSends);
            let large = self
                .request
                .body
                .remaining()
                .is_none_or(|left| left > SMALL as u64);
            let want = self.client.room_wanted().max(if large { LARGE } else { SMALL });
            let client = &mut *self.client;
            match ready!(
                client
                    .worker
                    .buffers
                    .poll_read(cx, &mut client.stream, &mut client.inbox, want)
            ) {
                Ok(n) if n > 0 => {
                    self.progress = true;
                    if self.head.is_none() {
                        self.asked = Some(self.client.worker.read_clock());
                    }
                }
                _ => return Poll::Ready(Err(Failure::ClientGone)),
            }
        }
    }

    fn on_sent(&mut self, direct: bool, n: usize) {
        self.progress = true;
        if !direct {
            self.sent += n;
            return;
        }
        self.ready -= n;
        self.client.inbox.consume(n);
        if self.ready == 0 {
            self.client.inbox.consume(self.dropped);
            self.dropped = 0;
        }
    }

    /// Filters what is in the inbox; false when more must be read first.
    fn filter_request(&mut self) -> Result<bool, Failure> {
        let client = &mut *self.client;
        let request = &mut *self.request;
        let progress = request
            .body
            .filter(client.inbox.bytes_mut())
            .map_err(Failure::ClientBody)?;
        let max = client.worker.routing.borrow().settings.max_body;
        if max.is_some_and(|max| request.body.data_bytes() > max) {
            client.inbox.consume(progress.consumed);
            return Err(Failure::TooLarge);
        }
        let keeps = request.replayable
            && request.method.is_idempotent()
            && request.out.len() + progress.produced <= REPLAY;
        if keeps {
            request
                .out
                .extend_from_slice(client.inbox.slice(0..progress.produced));
            client.inbox.consume(progress.consumed);
        } else if progress.produced > 0 {
            request.replayable = false;
            self.ready = progress.produced;
            self.dropped = progress.consumed - progress.produced;
        } else {
            client.inbox.consume(progress.consumed);
        }
        Ok(progress.consumed > 0 || progress.done)
    }
}
