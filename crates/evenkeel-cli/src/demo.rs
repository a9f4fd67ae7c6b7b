//! `evenkeel demo`: a fleet that misbehaves, a balancer before it, clients, and somebody who watches.
//!
//! Three sites run side by side, alike in everything but the strategy: the one with the default is shown, the
//! others are only measured. Each has backends on a thread of their own, its own balancer with
//! its own workers, and its own load on another thread; this thread runs writers and checks, as in
//! `serve`, and one more paints.

mod backend;
mod board;
mod fleet;
mod live;
mod load;
mod plain;
mod screen;
mod script;
mod site;
mod stage;
mod summary;
mod table;
mod tally;
mod text;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use evenkeel_admin::{AdminHandle, AdminSettings, ProcessCounters, Readiness, Shared};
use evenkeel_core::StrategyName;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Demo;
use crate::exit::Failed;
use crate::limits;
use crate::metrics::ProxyMetrics;

use board::Board;
use load::{Load, Plan};
use screen::Screen;
use site::{Setup, Site};
use stage::Stage;
use summary::Results;

/// The strategies, each with a site of its own: the one that is shown, and those it is compared with.
const STRATEGIES: [StrategyName; SITES] = [
    StrategyName::DEFAULT,
    StrategyName::least_connections,
    StrategyName::round_robin,
];
/// How many there are.
const SITES: usize = 3;
/// Makes arrivals and service times the same for both sites, and in every demo.
const SEED: u64 = 0x05ee_d0f0_de30;
/// Between two looks at the board.
const TICK: Duration = Duration::from_millis(200);

/// Runs until its time is over or a signal ends it.
pub(crate) fn run(arguments: &Demo) -> Result<(), Failed> {
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failed::start)?;
    runtime.block_on(show(arguments))
}

async fn show(arguments: &Demo) -> Result<(), Failed> {
    let stage = Stage::new(arguments.duration);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let setup = Setup {
        strategy: StrategyName::DEFAULT,
        listen: arguments.listen,
        admin: arguments.admin,
        seed: SEED,
    };
    let mut sites = vec![Site::start(setup, &stage).await?];
    for strategy in STRATEGIES.into_iter().skip(1) {
        let compared = Setup {
            strategy,
            listen: any,
            admin: any,
            ..setup
        };
        sites.push(Site::start(compared, &stage).await?);
    }
    let shown = &sites[0];
    let readiness = Arc::new(Readiness::default());
    let admin = admin(shown, &readiness)?;
    print(&header(arguments, shown, admin.local_addr()))?;

    let begin = stage.begin();
    readiness.set_ready(true);
    let load = |site: &Site| {
        let plan = Plan {
            target: site.address,
            per_second: arguments.requests_per_second,
            seed: SEED,
            begin,
            duration: arguments.duration,
        };
        Load::start(plan).map_err(Failed::start)
    };
    let mut loads = sites.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    let clienteles = STRATEGIES.into_iter().zip(&loads);
    let clienteles = clienteles.map(|(strategy, load)| (strategy, load.tally()));
    let board = Board::new(&stage, shown, clienteles.collect());

    let ended_at = watch(board, &mut loads, begin).await?;
    readiness.set_draining();
    let results = sites.iter().zip(&loads).map(|(site, load)| {
        let tally = load
            .tally()
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Results::new(site.service.view().strategy(), tally, &site.service)
    });
    let results: Vec<Results> = results.collect();
    print(&summary::summary(&results, ended_at, arguments.duration))?;
    drop(loads);
    for site in sites {
        site.shutdown().await;
    }
    Ok(())
}

fn admin(site: &Site, readiness: &Arc<Readiness>) -> Result<AdminHandle, Failed> {
    let settings = AdminSettings {
        listen: site.config.admin.listen,
    };
    let shared = Shared {
        balancer: site.balancer.clone(),
        readiness: Arc::clone(readiness),
        process: Arc::new(ProcessCounters::new(env!("CARGO_PKG_VERSION"))),
        token: None,
        max_weight: site.config.admin.max_weight,
        metrics: true,
        sources: vec![Box::new(ProxyMetrics(Arc::clone(site.proxy.counters())))],
    };
    evenkeel_admin::spawn(settings, shared).map_err(Failed::start)
}

fn header(arguments: &Demo, site: &Site, admin: SocketAddr) -> String {
    format!(
        "evenkeel {version}: {n} backends misbehave on a script, {rate} requests/s for {duration}\n\
         \x20 balancer  curl http://{address}/\n\
         \x20 admin     curl http://{admin}/api/v1/services/demo/instances\n\
         For the summary, {compared} are measured meanwhile, each with a fleet of its own.\n\
         Times of day are UTC.\n\n",
        version = env!("CARGO_PKG_VERSION"),
        compared = STRATEGIES[1..]
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(" and "),
        n = script::INSTANCES,
        rate = arguments.requests_per_second,
        duration = text::seconds(arguments.duration),
        address = site.address,
    )
}

/// Shows the board until the loads have ended, which a signal or a key hastens. Returns how long they
/// sent.
async fn watch(board: Board, loads: &mut [Load], begin: Instant) -> Result<Duration, Failed> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failed::start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failed::start)?;
    let (stop, stopped) = mpsc::channel();
    let mut painter = tokio::task::spawn_blocking(move || paint(board, &stopped));
    let mut painted = None;
    let finished = tokio::select! {
        () = all_finished(loads) => true,
        _ = interrupt.recv() => false,
        _ = terminate.recv() => false,
        // Whoever watches has had enough, or has gone.
        result = &mut painter => {
            painted = Some(result);
            false
        }
    };
    let sent_for = begin.elapsed();
    if !finished {
        loads.iter().for_each(Load::stop);
        all_finished(loads).await;
    }
    drop(stop);
    let painted = match painted {
        Some(painted) => painted,
        None => painter.await,
    };
    painted.map_err(Failed::start)?.or_else(unless_gone)?;
    Ok(sent_for)
}

async fn all_finished(loads: &mut [Load]) {
    for load in loads {
        load.finished().await;
    }
}

/// Paints until `stopped` is closed or whoever watches wants the end. On a thread of its own: a terminal
/// can block for as long as it likes, and then only the picture stands still.
fn paint(mut board: Board, stopped: &mpsc::Receiver<()>) -> io::Result<()> {
    let mut screen = Screen::open();
    let mut go_on = true;
    while go_on {
        go_on = stopped.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout);
        for news in board.news() {
            screen.news(&news)?;
        }
        screen.frame(&board.frame())?;
        go_on &= !screen.wants_end();
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .or_else(unless_gone)
}

/// A reader that has gone (`| head`) is no error.
fn unless_gone(error: io::Error) -> Result<(), Failed> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Failed::start(format!("cannot write to standard output: {error}")))
}
