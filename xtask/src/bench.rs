//! `cargo xtask bench proxy`: Evenkeel beside nginx and HAProxy on one machine.
//!
//! Every proxy runs on core 0; the load generator (wrk) and the four backends run on core 1. All serve the
//! same load at the same concurrency; rounds are interleaved in rotating order, so that a noisy minute hits
//! all alike, and medians are reported with their range. CPU per request is the user and system time of
//! the proxy's processes from `/proc`, divided by the requests wrk counted: the work of a proxy, whatever
//! the speed of the load. The peers do the least they can: no logs, no added header fields.
//! Absent on purpose: thresholds. Goals and verdicts stand in `docs/benchmarks.md`.

mod backend;
mod fleet;
mod idle;
mod load;
mod machine;
mod process;
mod proxies;
mod table;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::repo;
use load::Round;
use process::Process;
use proxies::Proxy;
use table::Row;

pub(crate) use backend::serve as serve_backend;
pub(crate) use fleet::{Options as FleetOptions, run as run_fleet};

/// Connections of the load generator.
const CONNECTIONS: u32 = 64;
/// Share of a core below which even the busiest proxy was starved: fewer events per wake-up, colder caches.
const QUIET: f64 = 0.8;

/// What to measure, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds of each proxy in each case
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a round; CPU time is counted in ticks of 10 ms, so 5 s are accurate to 0.2 %
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only this case (may be repeated)
    #[arg(long = "case", value_enum)]
    cases: Vec<Case>,
    /// Only this proxy (may be repeated)
    #[arg(long = "proxy", value_enum)]
    proxies: Vec<Proxy>,
    /// Print tables for docs/benchmarks.md
    #[arg(long)]
    markdown: bool,
}

/// What is asked of the proxies.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// GET of 100 bytes over kept connections
    Get,
    /// GET of 64 KiB over kept connections
    Large,
    /// POST of 10 KiB over kept connections
    Post,
    /// GET of 100 bytes, a new client connection for every request
    Connect,
    /// Memory with 10 000 idle clients, each of which made one request
    Idle,
}

impl Case {
    fn title(self) -> &'static str {
        match self {
            Self::Get => "GET, 100 bytes, keep-alive",
            Self::Large => "GET, 64 KiB, keep-alive",
            Self::Post => "POST, 10 KiB, keep-alive",
            Self::Connect => "GET, 100 bytes, a new connection per request",
            Self::Idle => "10 000 idle keep-alive clients",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Get | Self::Connect | Self::Idle => backend::SMALL,
            Self::Large => backend::LARGE,
            Self::Post => backend::POST,
        }
    }
}

/// Where configurations and logs of a run are.
fn folder() -> PathBuf {
    repo::target_dir().join("bench")
}

/// Runs the cases and prints their tables.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let proxies = if options.proxies.is_empty() {
        Proxy::value_variants()
    } else {
        &options.proxies
    };
    let cases = if options.cases.is_empty() {
        Case::value_variants()
    } else {
        &options.cases
    };
    for program in ["taskset", "setpriv", "setsid", "prlimit", "wrk"] {
        ensure!(
            repo::which(program).is_some(),
            "there is no `{program}` here; `cargo xtask test --with-peers` installs it"
        );
    }
    std::fs::create_dir_all(folder()).context("cannot create the folder for configurations and logs")?;
    build(proxies)?;
    process::raise_file_limit()?;

    let plain = proxies.iter().filter(|proxy| proxy.is_plain());
    let programs = plain.map(|proxy| Ok((proxy.name(), proxy.version()?)));
    let mut programs = programs.collect::<Result<Vec<_>>>()?;
    let mut wrk = Command::new("wrk");
    wrk.arg("-v");
    programs.push(("wrk", wrk));
    machine::describe(programs)?;
    println!(
        "{} rounds of {} s each, interleaved; wrk with 1 thread and {CONNECTIONS} connections; CPU from /proc/PID/stat\n",
        options.rounds, options.seconds
    );
    let backends = backend::start(&release_program("xtask"))?;
    let plain: Vec<Proxy> = proxies.iter().copied().filter(|proxy| proxy.is_plain()).collect();
    for case in cases {
        let rows = if *case == Case::Idle {
            idle::measure(&plain, &backends.addresses)?
        } else {
            compare(*case, options, proxies, &backends.addresses)?
        };
        println!("{}", table::print(case.title(), &rows, options.markdown));
    }
    Ok(true)
}

fn release_program(name: &str) -> PathBuf {
    repo::target_dir().join("release").join(name)
}

/// The programs under test, and the backend, as they would be shipped.
fn build(proxies: &[Proxy]) -> Result<()> {
    let mut command = repo::cargo();
    command.args(["build", "--release", "--package", "xtask"]);
    if proxies.contains(&Proxy::Evenkeel) {
        command.args(["--package", "evenkeel-cli"]);
    }
    eprintln!("building what is measured ...");
    ensure!(command.status()?.success(), "the release build failed");
    Ok(())
}

/// One case under load, all proxies running, rounds in rotating order.
fn compare(case: Case, options: &Options, proxies: &[Proxy], backends: &[String]) -> Result<Vec<Row>> {
    let running = proxies
        .iter()
        .map(|proxy| proxies::start(*proxy, backends))
        .collect::<Result<Vec<(Process, String)>>>()?;
    // The backends keep every connection, so they say nothing about the case of new ones.
    if case != Case::Connect {
        let direct = load::run(case, &backends[0], options.seconds.min(3))?;
        eprintln!(
            "{}: a backend alone answers {:.0} requests/s",
            case.title(),
            direct.rate()
        );
    }
    for (_, address) in &running {
        load::run(case, address, 1)?;
    }
    let mut rounds: Vec<Vec<Round>> = proxies.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds as usize {
        for turn in 0..proxies.len() {
            let index = (round + turn) % proxies.len();
            let (process, address) = &running[index];
            let before = process.cpu()?;
            let mut measured = load::run(case, address, options.seconds)?;
            measured.cpu = process.cpu()? - before;
            eprintln!(
                "  round {}/{} {:<9} {:6.2} µs/request {:8.0} requests/s",
                round + 1,
                options.rounds,
                proxies[index].name(),
                measured.cpu_micros(),
                measured.rate()
            );
            rounds[index].push(measured);
        }
    }
    let busiest = rounds.iter().flatten().map(Round::busy).fold(0.0, f64::max);
    if busiest < QUIET {
        println!(
            "note: no proxy used more than {:.0} % of its core; other work on this machine or the load itself was \
             the bottleneck, and CPU per request is higher than at full load",
            busiest * 100.0
        );
    }
    let rows = proxies.iter().zip(&running).zip(&rounds);
    rows.map(|((proxy, (process, _)), rounds)| Ok(Row::of_rounds(proxy.name(), rounds, process.resident()?)))
        .collect()
}
