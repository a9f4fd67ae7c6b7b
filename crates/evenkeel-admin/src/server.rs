//! The listener and its connections, on a thread with a runtime of their own.
//!
//! When every connection slot is taken, the oldest connection gives way to a new one: strangers that
//! hold connections open cannot keep a probe from being answered.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;

use crate::access::Peer;

/// Connections at a time. A scraper, a probe and a few people need less than ten.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// How long a request head may take, and how long a connection may idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request head. The longest legitimate path is two names of 255 bytes, each byte
/// percent-encoded in three.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long a shutdown waits for replies under way.
const GRACE: Duration = Duration::from_secs(1);
/// Pause after a failed accept, which usually means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` changes or its sender is gone.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => by_age.retain(|task| !task.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if by_age.len() >= MAX_CONNECTIONS && let Some(oldest) = by_age.pop_front() {
                        oldest.abort();
                    }
                    let task = connections.spawn(connection(stream, Peer(peer), router.clone(), stop.clone()));
                    by_age.push_back(task);
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener could not accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, mut stop: watch::Receiver<()>) {
    // Without it a reply in two writes waits for an acknowledgement; harmless when it cannot be set.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ended concerns only its peer.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = time::timeout(GRACE, connection).await;
        }
    }
}
