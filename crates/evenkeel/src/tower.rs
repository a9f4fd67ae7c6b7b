//! A [`tower::Service`] that balances over the services of any [`Discover`], with the strategies and the health of
//! this crate. Feature `tower`.
//!
//! ```
//! use evenkeel::tower::Balance;
//! use evenkeel::{ServiceSettings, StrategyName};
//! use tower::Service;
//! use tower::discover::Change;
//!
//! # #[derive(Clone)] struct Client(std::net::SocketAddr);
//! # impl Service<http::Request<String>> for Client {
//! #     type Response = http::Response<String>;
//! #     type Error = std::io::Error;
//! #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
//! #         std::task::Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, _: http::Request<String>) -> Self::Future {
//! #         std::future::ready(Ok(http::Response::new(self.0.to_string())))
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! // Who is there: any stream of changes. The key of an instance is its address, or an `Instance` with weight,
//! // priority and labels.
//! let found: Vec<std::net::SocketAddr> = vec!["127.0.0.1:9001".parse()?, "127.0.0.1:9002".parse()?];
//! let discover = tokio_stream::iter(
//!     found.into_iter().map(|address| Ok::<_, std::io::Error>(Change::Insert(address, Client(address)))),
//! );
//!
//! let settings = ServiceSettings {
//!     strategy: StrategyName::least_response_time.into(),
//!     ..ServiceSettings::new("web")
//! };
//! let mut balance = Balance::http(discover, settings);
//!
//! std::future::poll_fn(|cx| balance.poll_ready(cx)).await?;
//! let response = balance.call(http::Request::new(String::new())).await?;
//! assert!(response.status().is_success());
//! # Ok(())
//! # }
//! ```
//!
//! # What is different from `tower::balance`
//!
//! | | `tower::balance::p2c` | here |
//! |---|---|---|
//! | strategy | two random choices over a `Load` | any of [`strategies`](crate::strategies), per service |
//! | who may be chosen | every service that is ready | ready services that pass priorities, health and ejection |
//! | a service that fails fast | looks idle, and attracts traffic | is ejected after a run of failures, and returns on probation |
//! | load of an answer | until the response, or by `TrackCompletion` | until the response's body ends |
//! | the request decides | no | its key does, with strategies that hash (`consistent_hash`, …) |
//! | chosen | in `poll_ready` | in `call`, as the request is known only there |
//! | keys | `Hash + Clone` | [`Endpoint`]: an address, an [`Instance`], or your own |
//!
//! # Readiness
//!
//! `poll_ready` takes in what was discovered, drives all inner services to readiness, and is ready when one of the
//! *candidates* still is (who is a candidate: see the [crate](crate#concepts)). `call` asks the strategy, and asks
//! the chosen service once more whether it is ready; if it is not any more, the strategy chooses another, which for a
//! strategy that hashes is the next in the key's own order. So a service without room is passed over, never waited
//! for while another has some.
//!
//! - **None is ready**: `poll_ready` waits. It wakes when one gets ready, when another is discovered, and when an
//!   ejection ends.
//! - **Nobody is there**: it waits for discovery; when discovery has ended, it fails with [`Error::NobodyLeft`].
//! - **Discovery fails**: `poll_ready` fails with [`Error::Discover`], after all that was discovered before is in force.
//! - **A key that can be no instance** is logged at `warn` and passed over.
//! - **An inner `poll_ready` fails**: as with tower, that service is dropped until it is discovered anew; its error is
//!   logged at `warn`.
//! - **All got unready between `poll_ready` and `call`**: the response is [`Error::NoneReady`]. Call again.
//! - **Called without `poll_ready`**: no panic; what is ready is used.
//!
//! # Outcomes
//!
//! [`Http`] ends the lease when the response's body has ended. 5xx is a failure, and so are an error of the service
//! and a broken body; a shortage of this machine (no ports, no descriptors) is not held against anybody. A body that
//! the caller drops early counts by its status. gRPC is judged by its own status, in the trailers or the head: 2, 4,
//! 13, 14, 15 and none at all are failures, 8 says that the instance is too busy, 1 and a body dropped before its status
//! say nothing, and all others are about the request. A future that is dropped counts as cancelled. [`Plain`] is for
//! protocols other than HTTP: every response is a success, every error a failure. Implement [`Exchange`] for others.
//!
//! # Load and health
//!
//! What instances say of their load with their responses, in `endpoint-load-metrics` of the head or the trailers (ORCA), is
//! taken in by [`Http`] for the strategies that go by it; with other protocols, [`Lease::reported`](crate::Lease::reported)
//! does. All else that the library's operations do is done through a [`Control`]: words on health and load, drains, another
//! strategy, events, explanations and counts.
//!
//! The request goes to its service as it is, body and all, so nobody here sees when it has been sent: wrapping the body would
//! change the type that services take. Where clients upload for longer than answers usually take, instances at which all do so
//! look as if they hung; set `ejection.on_silence` to [`Mode::Off`](crate::Mode::Off) there.
//!
//! The adapter starts no task and needs no [`LoadBalancer`](crate::LoadBalancer): it does its work in `poll_ready`, with
//! timers of the tokio runtime that polls it. It is not `Clone`; wrap it in `tower::buffer::Buffer` to share it. Absent
//! on purpose: active checks, which belong to whoever can connect.

mod balance;
mod body;
mod control;
mod endpoint;
mod error;
mod exchange;
mod fleet;
mod future;
mod grpc;
mod report;

pub use balance::Balance;
pub use body::TrackedBody;
pub use control::Control;
pub use endpoint::Endpoint;
pub use error::Error;
pub use exchange::{Exchange, Http, Plain, RoutingKey};
pub(crate) use fleet::Shared;
pub use future::ResponseFuture;

#[cfg(doc)]
use crate::Instance;
#[cfg(doc)]
use ::tower::discover::Discover;
