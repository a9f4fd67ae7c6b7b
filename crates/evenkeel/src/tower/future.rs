//! The response to come.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tower::BoxError;

use super::error::Error;
use super::exchange::Exchange;
use crate::Lease;

pin_project_lite::pin_project! {
    /// What [`Balance`](super::Balance) returns. When it is dropped before the response, the request counts as
    /// cancelled.
    #[derive(Debug)]
    pub struct ResponseFuture<F, X, Request> {
        #[pin]
        state: State<F, X>,
        request: PhantomData<fn(Request)>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<F, X> {
        /// The lease is there until the response is.
        Running { #[pin] inner: F, lease: Option<Lease>, exchange: X },
        Refused { error: Option<Error> },
    }
}

impl<F, X, Request> ResponseFuture<F, X, Request> {
    pub(super) fn running(inner: F, lease: Lease, exchange: X) -> Self {
        Self::new(State::Running {
            inner,
            lease: Some(lease),
            exchange,
        })
    }

    pub(super) fn refused(error: Error) -> Self {
        Self::new(State::Refused { error: Some(error) })
    }

    fn new(state: State<F, X>) -> Self {
        Self {
            state,
            request: PhantomData,
        }
    }
}

impl<F, X, Request, Response, E> Future for ResponseFuture<F, X, Request>
where
    F: Future<Output = Result<Response, E>>,
    E: Into<BoxError>,
    X: Exchange<Request, Response>,
{
    type Output = Result<X::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Running {
                inner,
                lease,
                exchange,
            } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                let Some(lease) = lease.take() else {
                    unreachable!("a future that is done is not polled again");
                };
                Poll::Ready(match result {
                    Ok(response) => Ok(exchange.respond(lease, response)),
                    Err(error) => {
                        lease.end(exchange.judge(&error));
                        Err(error)
                    }
                })
            }
            StateProjection::Refused { error } => {
                let Some(error) = error.take() else {
                    unreachable!("a future that is done is not polled again");
                };
                Poll::Ready(Err(error.into()))
            }
        }
    }
}
