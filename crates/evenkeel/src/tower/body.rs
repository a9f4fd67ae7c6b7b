//! A response body that ends a lease.

use std::pin::Pin;
use std::task::{Context, Poll};

use evenkeel_core::{Nanos, Outcome, Verdict};
use http_body::{Body, Frame, SizeHint};

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
    /// What the head said.
    verdict: Verdict,
}

impl Pending {
    fn end(&mut self, verdict: Verdict) {
        if let Some(lease) = self.lease.take() {
            lease.end(verdict);
        }
    }
}

/// Who drops a body has seen the head, and that counts.
impl Drop for Pending {
    fn drop(&mut self) {
        self.end(self.verdict);
    }
}

impl<B: Body> TrackedBody<B> {
    /// A body that comes with `status`.
    pub(super) fn new(body: B, lease: Lease, status: u16) -> Self {
        let mut pending = Pending {
            lease: Some(lease),
            verdict: Outcome::from_status(status, Nanos::ZERO).verdict,
        };
        if body.is_end_stream() {
            pending.end(pending.verdict);
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
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => this.pending.end(Verdict::Failure),
            // Most readers stop here and do not ask for the end.
            Poll::Ready(Some(Ok(_))) if !this.body.is_end_stream() => {}
            Poll::Ready(_) => {
                let verdict = this.pending.verdict;
                this.pending.end(verdict);
            }
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
