//! The load: an open loop, as many independent clients make.
//!
//! Requests are due at times drawn beforehand (a Poisson process), whether or not earlier ones have
//! been answered, and each is timed from when it was due. A stall therefore shows in the time of every
//! request that had to wait behind it; a loop that waits for answers would hide it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evenkeel_core::Rng;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::tally::{Ending, Tally};

/// After this a client gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long requests under way may take when the load is stopped early.
const GRACE: Duration = Duration::from_millis(500);

/// What is sent where.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) target: SocketAddr,
    pub(super) per_second: u32,
    /// Determines when each request is due.
    pub(super) seed: u64,
    pub(super) begin: Instant,
    pub(super) duration: Duration,
}

/// The running load.
pub(super) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    finished: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts sending, on a thread of its own.
    pub(super) fn start(plan: Plan) -> std::io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (stop, stopped) = watch::channel(false);
        let (done, finished) = oneshot::channel();
        let client = Arc::new(Client {
            target: plan.target,
            connections: Semaphore::new(connections()),
            idle: Mutex::default(),
            tally: Arc::clone(&tally),
        });
        let thread = std::thread::Builder::new()
            .name("demo-load".to_owned())
            .spawn(move || {
                runtime.block_on(run(&plan, client, stopped));
                let _ = done.send(());
            })?;
        Ok(Self {
            tally,
            stop,
            finished: Some(finished),
            thread: Some(thread),
        })
    }

    /// What was measured so far.
    pub(super) fn tally(&self) -> Arc<Mutex<Tally>> {
        Arc::clone(&self.tally)
    }

    /// Sends no more; requests under way are given a moment.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Resolves when its time is over, or it was stopped, and the last request has ended.
    pub(super) async fn finished(&mut self) {
        if let Some(finished) = self.finished.take() {
            // Closed without a message only by a panic, which has been shown.
            let _ = finished.await;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(plan: &Plan, client: Arc<Client>, mut stopped: watch::Receiver<bool>) {
    let mut arrivals = Arrivals::new(plan.seed, plan.per_second);
    let mut requests = JoinSet::new();
    let mut number = 0;
    loop {
        let offset = arrivals.next();
        // Whatever is due last, it is over when its time is.
        let due = plan.begin + offset.min(plan.duration);
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            () = sleep_until(due.into()) => {}
        }
        if offset >= plan.duration {
            break;
        }
        client.count(|tally| tally.start(due.elapsed()));
        requests.spawn(Arc::clone(&client).send(number, due));
        number += 1;
        while requests.try_join_next().is_some() {}
    }
    let rest = async { while requests.join_next().await.is_some() {} };
    tokio::pin!(rest);
    tokio::select! {
        () = &mut rest => {}
        _ = stopped.wait_for(|stop| *stop) => {
            // Who is late now stays uncounted.
            let _ = timeout(GRACE, rest).await;
        }
    }
}

/// When requests are due: a Poisson process.
#[derive(Debug)]
pub(super) struct Arrivals {
    rng: Rng,
    mean: Duration,
    at: Duration,
}

impl Arrivals {
    pub(super) fn new(seed: u64, per_second: u32) -> Self {
        Self {
            rng: Rng::new(seed),
            mean: Duration::from_secs(1) / per_second.max(1),
            at: Duration::ZERO,
        }
    }

    /// The next time, from the begin. Gaps are exponential.
    pub(super) fn next(&mut self) -> Duration {
        let gap = -(1.0 - self.rng.unit()).ln();
        self.at += self.mean.mul_f64(gap);
        self.at
    }
}

/// Connections of one load, so that files do not run out however bad it gets: a request that is passed
/// on takes four (two ends of two connections), there are two loads, and a few hundred are for the rest.
fn connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(256) / 8).map_or(4096, |n| n.clamp(16, 4096))
}

type Connection = SendRequest<Empty<Bytes>>;

/// Clients with keep-alive connections: a request takes an idle one or opens another.
struct Client {
    target: SocketAddr,
    /// Connections that may be in use; who finds none waits, and is timed.
    connections: Semaphore,
    idle: Mutex<Vec<Connection>>,
    tally: Arc<Mutex<Tally>>,
}

impl Client {
    async fn send(self: Arc<Self>, number: u64, due: Instant) {
        let ending = match timeout_at((due + PATIENCE).into(), self.exchange(number)).await {
            Ok(Ok(status)) if status < 500 => Ending::Answered,
            Ok(Ok(_)) => Ending::ServerError,
            Ok(Err(_)) => Ending::Broken,
            Err(_) => Ending::TimedOut,
        };
        self.count(|tally| tally.end(ending, due.elapsed()));
    }

    /// One request and the whole of its response.
    async fn exchange(&self, number: u64) -> Result<u16, Broken> {
        let _permit = self.connections.acquire().await?;
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = Request::get(format!("/demo/{number}"))
            .header(HOST, self.target.to_string())
            .body(Empty::new())?;
        let response = connection.send_request(request).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        self.lock_idle().push(connection);
        Ok(status)
    }

    /// The connection used last that is still good.
    fn idle(&self) -> Option<Connection> {
        let mut idle = self.lock_idle();
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    async fn connect(&self) -> Result<Connection, Broken> {
        let stream = TcpStream::connect(self.target).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors reach the request as well.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Why there is no whole response; the client cannot do anything about it.
type Broken = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_repeat_by_seed_and_keep_the_rate() {
        let times = |seed| -> Vec<Duration> {
            let mut arrivals = Arrivals::new(seed, 100);
            (0..100_000).map(|_| arrivals.next()).collect()
        };
        let first = times(1);
        assert_eq!(first, times(1));
        assert_ne!(first, times(2));
        assert!(first.is_sorted());
        let rate = 100_000.0 / first[99_999].as_secs_f64();
        assert!((99.0..101.0).contains(&rate), "{rate}");
        // Of an exponential law, 1 - 1/e are shorter than the mean.
        let gaps = first.windows(2).map(|pair| pair[1] - pair[0]);
        let short = gaps.filter(|gap| *gap < Duration::from_millis(10)).count();
        assert!((62_600..63_800).contains(&short), "{short}");
    }
}
