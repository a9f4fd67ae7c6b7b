//! Backends over real sockets, on a thread of their own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::sync::{Notify, oneshot};

/// Connections that may wait to be accepted: as many as all clients of a test make at once, as one more would be tried
/// again by the system after a second.
const WAITING: u32 = 4096;

type Body = BoxBody<Bytes, Infallible>;

/// What all its connections share.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Requests that came, checks aside.
    pub(crate) requests: AtomicU64,
    /// Bytes of request bodies.
    pub(crate) received: AtomicU64,
    /// Answers `/wait` wait for it.
    pub(crate) gate: Notify,
    /// The status of `/healthz`.
    pub(crate) health: AtomicU64,
}

/// A backend that answers by path: `/name`, `/wait`, `/download/BYTES`, `/upload`, `/healthz`, `/gzip`,
/// `/status/CODE`,
/// `/after/MILLISECONDS`, and anything else with `ok`.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    /// Both until it is dropped.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// When it is gone, so are its connections, and new ones are refused.
impl Drop for Backend {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Backend {
    pub(crate) fn start(name: &'static str) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), name)
    }

    pub(crate) fn at(address: SocketAddr, name: &'static str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(State {
            health: AtomicU64::new(200),
            ..State::default()
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, listens) = mpsc::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let socket = socket.listen(WAITING).unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = serve(socket, shared, name) => {}
                    _ = stopped => {}
                }
            });
        });
        listens.recv().unwrap();
        Self {
            address,
            state,
            running: Some((stop, thread)),
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Relaxed)
    }

    /// A line of the configuration for it.
    pub(crate) fn instance(&self, id: &str) -> String {
        format!("      - {{ id: {id}, address: {} }}\n", self.address)
    }
}

async fn serve(socket: tokio::net::TcpListener, state: Arc<State>, name: &'static str) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(request, &state, name).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: &State, name: &'static str) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        let status = StatusCode::from_u16(state.health.load(Relaxed) as u16).unwrap();
        return reply(status, "");
    }
    state.requests.fetch_add(1, Relaxed);
    if let Some(size) = path.strip_prefix("/download/") {
        return download(size.parse().unwrap());
    }
    if let Some(status) = path.strip_prefix("/status/") {
        return reply(status.parse().unwrap(), name);
    }
    if let Some(millis) = path.strip_prefix("/after/") {
        tokio::time::sleep(std::time::Duration::from_millis(millis.parse().unwrap())).await;
        return reply(StatusCode::OK, name);
    }
    match path.as_str() {
        "/name" => reply(StatusCode::OK, name),
        "/wait" => {
            state.gate.notified().await;
            reply(StatusCode::OK, "waited")
        }
        "/upload" => {
            let mut body = request.into_body();
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                bytes += length;
                state.received.fetch_add(length, Relaxed);
            }
            reply(StatusCode::OK, bytes.to_string())
        }
        "/gzip" => {
            let mut response = reply(StatusCode::OK, &GZIP[..]);
            let value = hyper::header::HeaderValue::from_static("gzip");
            response.headers_mut().insert("content-encoding", value);
            response
        }
        _ => reply(StatusCode::OK, "ok"),
    }
}

/// `hello` in gzip, stored without compression.
pub(crate) const GZIP: [u8; 28] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 5, 0, 0xfa, 0xff, b'h', b'e', b'l', b'l', b'o', 0x86, 0xa6,
    0x10, 0x36, 5, 0, 0, 0,
];

fn reply(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed());
    *response.status_mut() = status;
    response
}

/// So many zeros, made as they are read.
fn download(size: u64) -> Response<Body> {
    let mut response = Response::new(Pieces { left: size }.boxed());
    response.headers_mut().insert("content-length", size.into());
    response
}

struct Pieces {
    left: u64,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const PIECE: Bytes = Bytes::from_static(&[0; 64 * 1024]);
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = PIECE.slice(..self.left.min(PIECE.len() as u64) as usize);
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}
