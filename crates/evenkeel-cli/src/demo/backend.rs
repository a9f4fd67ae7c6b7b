//! One backend: an HTTP/1.1 server on loopback with a few workers, which does what the script says.
//!
//! The workers are permits: who finds none waits, so a slow backend queues as a real one does. Health
//! checks are answered at once, as by a server whose front end is fine while its work is not.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use evenkeel_core::Rng;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::script;
use super::stage::Stage;

/// Where checks ask.
pub(super) const HEALTH_PATH: &str = "/healthz";
/// Requests a backend works on at the same time.
const WORKERS: usize = 8;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Before something is tried again that failed for want of files.
const PAUSE: Duration = Duration::from_millis(20);

/// A backend with its place in the script.
pub(super) struct Backend {
    instance: usize,
    stage: Stage,
    /// Seeds the luck of requests, the same in every fleet.
    seed: u64,
    workers: Semaphore,
    strangers: AtomicU64,
    address: SocketAddr,
    /// Bound but not listening: nobody else gets the port while this backend is dead.
    _reserved: TcpSocket,
}

impl Backend {
    /// Takes a free port. Call it within a runtime.
    pub(super) fn new(instance: usize, stage: Stage, seed: u64) -> io::Result<Self> {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            instance,
            stage,
            seed,
            workers: Semaphore::new(WORKERS),
            strangers: AtomicU64::new(0),
            address: reserved.local_addr()?,
            _reserved: reserved,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        bind(self.address)?.listen(BACKLOG)
    }

    /// Serves until dropped, except while the script has it dead.
    pub(super) async fn run(self: Arc<Self>, mut listener: TcpListener) {
        let (alive, _) = watch::channel(());
        if let Some(outage) = script::outage(self.instance) {
            self.accept(listener, &alive, Some(outage.start)).await;
            // Connections notice and reset themselves.
            alive.send_replace(());
            self.wait(outage.end).await;
            listener = loop {
                match self.listen() {
                    Ok(listener) => break listener,
                    Err(_) => sleep(PAUSE).await,
                }
            };
        }
        self.accept(listener, &alive, None).await;
    }

    /// Accepts until `until` of the demo has passed.
    async fn accept(self: &Arc<Self>, listener: TcpListener, alive: &watch::Sender<()>, until: Option<f64>) {
        let accept = async {
            loop {
                // What fails here (too many files) is over soon or shows in the load's errors.
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(self).serve(stream, alive.subscribe()));
                } else {
                    sleep(PAUSE).await;
                }
            }
        };
        match until {
            None => accept.await,
            Some(part) => {
                tokio::select! {
                    () = accept => {}
                    () = self.wait(part) => {}
                }
            }
        }
    }

    /// Waits for a point of the script. Its time may not have begun yet.
    async fn wait(&self, part: f64) {
        loop {
            let left = self.stage.until(part);
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, mut alive: watch::Receiver<()>) {
        // Small answers, wanted at once; without it they are only later.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.answer(request));
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // How a connection ends is the client's affair.
            _ = &mut connection => {}
            _ = alive.changed() => {
                let stream = connection.into_parts().io.into_inner();
                // A reset instead of a close, as when a process is killed with unread data.
                let _ = stream.set_zero_linger();
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path();
        if path == HEALTH_PATH {
            return Ok(self.response(StatusCode::OK));
        }
        let luck = Rng::new(self.seed ^ self.number(path).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let draw = || script::answer(self.instance, self.stage.part(), &mut luck.clone());
        let mut answer = draw();
        if answer.work.is_some() {
            // The semaphore is never closed.
            let _permit = self.workers.acquire().await;
            // Things may have changed while it waited.
            answer = draw();
            if let Some(work) = answer.work {
                sleep(work).await;
            }
        }
        Ok(self.response(StatusCode::from_u16(answer.status).unwrap_or_default()))
    }

    /// The number at the end of a path: the load numbers its requests, and a request has the same luck
    /// in every fleet. Requests from elsewhere are numbered as they come.
    fn number(&self, path: &str) -> u64 {
        let last = path.rsplit('/').next().unwrap_or_default();
        last.parse()
            .unwrap_or_else(|_| self.strangers.fetch_add(1, Relaxed))
    }

    fn response(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let body = format!("{} {}\n", script::name(self.instance), status);
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Lets the listener share the address with the reservation, which never listens.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
