//! Starting and ending the admin thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use evenkeel_runtime::Balancer;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::readiness::Readiness;
use crate::share::{self, RecentPicks};
use crate::text::MetricsSource;
use crate::token::Token;
use crate::{App, ProcessCounters, routes, server};

/// How long [`AdminHandle::shutdown`] waits for the thread.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// How the admin side is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where it listens. Port 0 takes any free one, see [`AdminHandle::local_addr`].
    pub listen: SocketAddr,
}

/// What it reports on.
pub struct Shared {
    /// The services.
    pub balancer: Balancer,
    /// Whether the process should get traffic.
    pub readiness: Arc<Readiness>,
    /// The process's own counters.
    pub process: Arc<ProcessCounters>,
    /// What must be known to change something, or to read from another machine; `None`: nobody does either.
    pub token: Option<Token>,
    /// The greatest weight that an instance may be registered with.
    pub max_weight: u32,
    /// Whether there are metrics.
    pub metrics: bool,
    /// Further metrics, such as those of the listeners.
    pub sources: Vec<Box<dyn MetricsSource>>,
}

/// Why the admin side did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The listener could not be bound.
    #[error("admin: cannot listen on {address}: {source}; {}", remedy(source, *address))]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread or its runtime could not be made.
    #[error("admin: cannot start its thread: {0}; the process may be at a limit of threads or open files")]
    Thread(#[source] io::Error),
}

fn remedy(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process has this port (`ss -ltnp 'sport = :{}'` names it): stop it, or set another \
             address with `admin: {{ listen: ... }}` or --admin",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "no interface of this machine has the address {}: use one that `ip address` lists, \
             or 127.0.0.1",
            address.ip()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {} may be reserved for privileged processes: use one above 1023",
            address.port()
        ),
        _ => "set another address with `admin: { listen: ... }` or --admin".to_owned(),
    }
}

/// Binds the listener at once and serves it on a new thread until the handle is shut down or dropped.
///
/// # Errors
/// [`StartError`] names the address and the remedy.
pub fn spawn(settings: AdminSettings, shared: Shared) -> Result<AdminHandle, StartError> {
    let bind = |source| StartError::Bind {
        address: settings.listen,
        source,
    };
    let listener = std::net::TcpListener::bind(settings.listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let local = listener.local_addr().map_err(bind)?;
    if !local.ip().to_canonical().is_loopback() {
        tracing::warn!(
            address = %local,
            "the admin listener is open to other machines: they need the token, which travels unencrypted"
        );
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener).map_err(bind)?
    };
    let app = App {
        recent: RecentPicks::new(&shared.balancer),
        strangers: Default::default(),
        shared,
        local,
    };
    let (stop, stopped) = watch::channel(());
    let (ended, end) = mpsc::channel();
    let thread = Builder::new()
        .name("evenkeel-admin".to_owned())
        .spawn(move || {
            run(&runtime, listener, Arc::new(app), stopped);
            let _ = ended.send(());
        })
        .map_err(StartError::Thread)?;
    Ok(AdminHandle {
        local,
        stop,
        end,
        thread,
    })
}

fn run(runtime: &Runtime, listener: TcpListener, app: Arc<App>, stop: watch::Receiver<()>) {
    runtime.block_on(async {
        tokio::select! {
            () = server::serve(listener, routes::router(Arc::clone(&app)), stop) => {}
            () = note_picks(&app) => {}
        }
    });
}

async fn note_picks(app: &App) {
    let mut ticks = tokio::time::interval(share::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is now, and the first note was taken at the start.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        app.recent.advance(&app.shared.balancer);
    }
}

/// The running admin side. It ends when the handle is dropped.
#[derive(Debug)]
pub struct AdminHandle {
    local: SocketAddr,
    stop: watch::Sender<()>,
    end: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

impl AdminHandle {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Closes the listener, lets replies under way finish for a second, and waits for the thread to
    /// end, for a few seconds at most. True when it ended. Blocks: from asynchronous code, call it
    /// where nothing else has to go on.
    pub fn shutdown(self) -> bool {
        drop(self.stop);
        match self.end.recv_timeout(SHUTDOWN) {
            Ok(()) => self.thread.join().is_ok(),
            // It hangs, or it panicked and said so on standard error.
            Err(_) => false,
        }
    }
}
