//! A response body that ends a lease.

use std::pin::Pin;
use std::task::{Context, Poll};

use evenkeel_core::{Nanos, Outcome, Verdict};
use http::HeaderMap;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};

use super::{grpc, report};
use crate::Lease;

pin_project_lite::pin_project! {
    /// A body whose request counts as in flight until it has ended, broken or been dropped.
    #[derive(Debug)]
    pub struct TrackedBody<B> {
        #[pin]
        body: B,
        pending: Pending,
    }
}

/// The lease, until the body has ended.
#[derive(Debug)]
struct Pending {
    lease: Option<Lease>,
    /// What it means when the body ends now, and nothing else was said.
    ended: Verdict,
    /// What it means when the caller drops the body: the head was seen, and that counts.
    dropped: Verdict,
}

impl Pending {
    /// By what the head says.
    fn new(lease: Lease, head: &Parts) -> Self {
        let by_status = Outcome::from_status(head.status.as_u16(), Nanos::ZERO).verdict;
        let (ended, dropped) = match grpc::verdict(&head.headers) {
            Some(verdict) => (verdict, verdict),
            // The status is to come, and whoever goes before that knows nothing.
            None if head.status.is_success() && grpc::is_spoken(&head.headers) => {
                (Verdict::Failure, Verdict::Cancelled)
            }
            None => (by_status, by_status),
        };
        Self {
            lease: Some(lease),
            ended,
            dropped,
        }
    }

    /// Ends with trailers.
    fn take(&mut self, trailers: &HeaderMap) {
        if let Some(lease) = &self.lease {
            report::take(lease, trailers);
        }
        self.end(grpc::verdict(trailers).unwrap_or(self.ended));
    }

    fn end(&mut self, verdict: Verdict) {
        if let Some(lease) = self.lease.take() {
            lease.end(verdict);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.end(self.dropped);
    }
}

impl<B: Body> TrackedBody<B> {
    /// A body that comes with `head`.
    pub(super) fn new(body: B, lease: Lease, head: &Parts) -> Self {
        let mut pending = Pending::new(lease, head);
        if body.is_end_stream() {
            pending.end(pending.ended);
        }
        Self { body, pending }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        let pending = this.pending;
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => pending.end(Verdict::Failure),
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                // Nothing comes after them.
                Some(trailers) => pending.take(trailers),
                // Most readers stop here and do not ask for the end.
                None if this.body.is_end_stream() => pending.end(pending.ended),
                None => {}
            },
            Poll::Ready(None) => pending.end(pending.ended),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
