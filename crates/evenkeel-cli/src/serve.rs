//! `evenkeel serve`: starts everything, reloads on SIGHUP, drains on SIGTERM.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use evenkeel_admin::{AdminHandle, AdminSettings, ProcessCounters, Readiness, Shared};
use evenkeel_config::{Config, Limits};
use evenkeel_proxy::{AccessLog, Proxy, Reopen};
use evenkeel_runtime::{Balancer, Clock};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::args::Serve;
use crate::exit::Failed;
use crate::metrics::ProxyMetrics;
use crate::{limits, token, wiring};

/// Signals to end that come this close together are one: `timeout`, terminals and supervisors send to the
/// process and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(20);

/// How long the end waits for the access log.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Runs until a signal ends it.
pub(crate) fn run(arguments: &Serve) -> Result<(), Failed> {
    let config = read(arguments)?;
    limits::raise_open_files();
    if limits::clients() < config.limits.connections
        && config.limits.connections != Limits::default().connections
    {
        tracing::info!(
            connections = limits::clients(),
            configured = config.limits.connections,
            "the limit of open files allows fewer client connections than configured; raise it with `ulimit -n`"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failed::start)?;
    let result = runtime.block_on(async {
        // From here on a signal waits for its turn: whoever reads that we are ready may send one at once.
        let mut signals = Signals::listen().map_err(Failed::start)?;
        let mut server = tokio::select! {
            server = Server::start(config, arguments) => server?,
            signal = signals.end() => return Err(Failed::signal(signal, "ended by a signal before it was ready")),
        };
        server.run(arguments, signals).await
    });
    // A name service that does not answer, or a file that takes long to read, keeps a thread busy that
    // nobody waits for any more.
    runtime.shutdown_background();
    result
}

fn read(arguments: &Serve) -> Result<Config, Failed> {
    let mut config = match &arguments.config {
        Some(path) => Config::from_path(path).map_err(Failed::input)?,
        None => wiring::from_flags(arguments),
    };
    if let Some(admin) = arguments.admin {
        config.admin.listen = admin;
    }
    Ok(config)
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// To read the configuration again; logs may have been moved away, too.
    Reload,
    /// To open the access log anew.
    Rotate,
    End(SignalKind),
}

/// The signals that matter to a running process.
struct Signals {
    hangup: Signal,
    /// Opens the access log anew, and reads no configuration.
    rotate: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            rotate: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves to the signal when the process is to end.
    async fn end(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }

    /// The next one that a running process acts on.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.rotate.recv() => Asked::Rotate,
            _ = self.terminate.recv() => Asked::End(SignalKind::terminate()),
            _ = self.interrupt.recv() => Asked::End(SignalKind::interrupt()),
        }
    }
}

/// The parts of a running balancer.
struct Server {
    config: Config,
    balancer: Balancer,
    proxy: Option<Proxy>,
    readiness: Arc<Readiness>,
    process: Arc<ProcessCounters>,
    _admin: AdminHandle,
}

impl Server {
    async fn start(config: Config, arguments: &Serve) -> Result<Self, Failed> {
        let seed = seed();
        let clock = Clock::start();
        let balancer = Balancer::new(clock, seed);
        let workers = config
            .workers
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let mut proxy = Proxy::start(workers, clock, seed.rotate_left(17)).map_err(Failed::start)?;
        let readiness = Arc::new(Readiness::default());
        let process = Arc::new(ProcessCounters::new(env!("CARGO_PKG_VERSION")));
        let admin = evenkeel_admin::spawn(
            AdminSettings {
                listen: config.admin.listen,
            },
            Shared {
                balancer: balancer.clone(),
                readiness: Arc::clone(&readiness),
                process: Arc::clone(&process),
                token: token::of(&config)?,
                max_weight: config.admin.max_weight,
                metrics: config.admin.metrics,
                sources: vec![Box::new(ProxyMetrics(Arc::clone(proxy.counters())))],
            },
        )
        .map_err(Failed::start)?;
        wiring::put_in_force(&config, &balancer, &mut proxy).await?;
        readiness.set_ready(true);
        log_listeners(&[], &proxy.listening());
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            admin = %admin.local_addr(),
            workers,
            services = config.services.len(),
            configuration = %arguments.config.as_deref().map_or("flags".into(), std::path::Path::to_string_lossy),
            "evenkeel is ready"
        );
        Ok(Self {
            config,
            balancer,
            proxy: Some(proxy),
            readiness,
            process,
            _admin: admin,
        })
    }

    async fn run(&mut self, arguments: &Serve, mut signals: Signals) -> Result<(), Failed> {
        // One at a time: however many signals come during a reload, one more follows it.
        loop {
            let asked = signals.next().await;
            if matches!(asked, Asked::End(_)) {
                break;
            }
            if let Some(log) = self.proxy.as_ref().and_then(Proxy::access_log) {
                log.reopen();
            }
            if asked == Asked::Reload {
                tokio::select! {
                    () = self.reload(arguments) => {}
                    // A file may take long to read, and names to resolve.
                    _ = signals.end() => break,
                }
            }
        }
        let first = Instant::now();
        // Requests that take long still leave lines, and logs are rotated by the clock.
        let log = self.proxy.as_ref().and_then(Proxy::access_log);
        let log = log.map(AccessLog::reopener);
        let second = async {
            loop {
                match signals.next().await {
                    Asked::End(signal) if first.elapsed() >= ONE_SIGNAL => return signal,
                    Asked::End(_) => {}
                    Asked::Reload | Asked::Rotate => log.iter().for_each(Reopen::reopen),
                }
            }
        };
        tokio::select! {
            () = self.drain() => Ok(()),
            signal = second => Err(Failed::signal(
                signal,
                "ended at once by a second signal; requests were cut off",
            )),
        }
    }

    async fn reload(&mut self, arguments: &Serve) {
        let Some(proxy) = &mut self.proxy else { return };
        let listened = proxy.listening();
        let arguments = arguments.clone();
        // On a thread of its own: this one runs the checks and hears the signals.
        let read = tokio::task::spawn_blocking(move || read(&arguments));
        let outcome = match read.await.unwrap_or_else(|error| Err(Failed::input(error))) {
            Ok(mut config) => {
                let fixed =
                    |config: &Config| (config.workers, config.admin.clone(), config.state_dir.clone());
                if fixed(&config) != fixed(&self.config) {
                    tracing::warn!("`workers`, `admin` and `state_dir` change with a restart only");
                }
                (config.workers, config.admin, config.state_dir) = fixed(&self.config);
                wiring::put_in_force(&config, &self.balancer, proxy)
                    .await
                    .map(|()| config)
            }
            Err(failed) => Err(failed),
        };
        // Whoever reads of it in the log finds it counted.
        self.process.record_reload(outcome.is_ok());
        log_listeners(&listened, &proxy.listening());
        match &outcome {
            Ok(config) => {
                tracing::info!(
                    services = config.services.len(),
                    instances = config.services.iter().map(|s| s.instances.len()).sum::<usize>(),
                    "configuration reloaded"
                );
            }
            Err(failed) => {
                tracing::error!("the new configuration is not used, the old one stays in force:\n{failed}");
            }
        }
        if let Ok(config) = outcome {
            self.config = config;
        }
    }

    async fn drain(&mut self) {
        let (delay, deadline) = (self.config.drain_delay, self.config.drain_timeout);
        self.readiness.set_draining();
        tracing::info!(
            connections = self.proxy.as_ref().map_or(0, |proxy| proxy.counters().open()),
            ?delay,
            ?deadline,
            "draining: not ready from now on, no new connections after the delay, running requests may finish"
        );
        tokio::time::sleep(delay).await;
        if let Some(proxy) = self.proxy.take() {
            let log = proxy.access_log().cloned();
            match proxy.drain(deadline).await {
                0 => tracing::info!("drained"),
                connections => tracing::warn!(
                    connections,
                    ?deadline,
                    "the deadline passed; what was still open was cut off"
                ),
            }
            if log.is_some_and(|log| !log.finish(LAST_LINES)) {
                tracing::warn!("the last lines of the access log could not be written in {LAST_LINES:?}");
            }
        }
        self.balancer.shutdown().await;
    }
}

/// Says which listeners are new and which are gone.
fn log_listeners(before: &[(Arc<str>, SocketAddr)], now: &[(Arc<str>, SocketAddr)]) {
    for (name, address) in now.iter().filter(|listener| !before.contains(listener)) {
        tracing::info!(listener = %name, %address, "listening");
    }
    for (name, address) in before.iter().filter(|listener| !now.contains(listener)) {
        tracing::info!(listener = %name, %address, "no longer listening; running requests may finish");
    }
}

/// Differs from process to process; nothing secret depends on it.
fn seed() -> u64 {
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as u64);
    nanos ^ u64::from(std::process::id()).rotate_left(32)
}
