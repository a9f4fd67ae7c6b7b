//! `cargo xtask bench fleet`: what a sick fleet costs behind Evenkeel and behind others, over real sockets.
//!
//! Ten simulated instances of two workers each with a queue, exponential service times, open-loop Poisson
//! clients at 70 % of the capacity that the fault leaves, latency counted from the moment a request was due. A turn is a fresh
//! proxy, a healthy warm-up, the fault, and the measurement from its very beginning, so that the time it takes to
//! notice counts. Turns of all proxies are interleaved in rotating order. Each proxy runs on core 0, the
//! fleet and its clients on core 1.
//! Absent on purpose: the cost of a request, which `bench proxy` measures. Here every proxy has time to spare.

mod client;
mod instance;
mod proxies;
mod report;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::{folder, machine, process};
use crate::repo;
use instance::{Fault, Fleet};
use proxies::Proxy;
use report::Turn;

/// Instances of the fleet.
const INSTANCES: usize = 10;
/// Requests an instance works on at once; more wait.
const WORKERS: usize = 2;
/// Mean of the exponential service time.
const SERVICE: Duration = Duration::from_millis(8);
/// Part of the capacity that the fault leaves which clients ask for.
const LOAD: f64 = 0.7;
/// Healthy traffic before a fault.
const WARM_UP: Duration = Duration::from_secs(2);

/// What to measure, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Turns of each proxy in each scenario
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of the measured part of a turn
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only this scenario (may be repeated)
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    /// Only this proxy (may be repeated)
    #[arg(long = "proxy", value_enum)]
    proxies: Vec<Proxy>,
    /// Load by the healthy fleet's capacity in every scenario, also where less is left than that
    #[arg(long)]
    full_load: bool,
    /// The strategy of Evenkeel, instead of its default
    #[arg(long)]
    strategy: Option<String>,
    /// Decides arrivals and service times, the same for all proxies of a round
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print tables for docs/benchmarks.md
    #[arg(long)]
    markdown: bool,
}

/// What is wrong with the fleet.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Nothing
    Healthy,
    /// One instance 20 times slower, its health checks good
    OneSlow,
    /// Three of ten 10 times slower, their health checks good
    ThreeSlow,
    /// Two answer 500 at once, their health checks good
    TwoFail,
    /// Four of ten fail a fifth of their requests
    FourFlaky,
    /// One accepts connections and answers nothing, not even checks
    OneHangs,
    /// Instances of speeds 1, 2 and 4, unknown to the proxies
    Speeds,
}

impl Scenario {
    fn title(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::OneSlow => "one of ten 20 × slow, checks good",
            Self::ThreeSlow => "three of ten 10 × slow, checks good",
            Self::TwoFail => "two of ten answer 500 at once, checks good",
            Self::FourFlaky => "four of ten fail 20 % of requests",
            Self::OneHangs => "one of ten hangs",
            Self::Speeds => "speeds 1 : 2 : 4",
        }
    }

    /// The fault of instance `index`.
    fn fault(self, index: usize) -> Fault {
        match self {
            Self::OneSlow if index < 1 => Fault::Slow(20.0),
            Self::ThreeSlow if index < 3 => Fault::Slow(10.0),
            Self::TwoFail if index < 2 => Fault::FailsAtOnce,
            Self::FourFlaky if index < 4 => Fault::Fails(0.2),
            Self::OneHangs if index < 1 => Fault::Hangs,
            // Speeds of mean 1: the fleet's capacity is that of the healthy one.
            Self::Speeds => Fault::Slow(MEAN_SPEED / [1.0, 2.0, 4.0][index % 3]),
            _ => Fault::None,
        }
    }

    /// Instances' worth of work that can be done with the fault.
    fn capacity(self) -> f64 {
        let each = |index| match self.fault(index) {
            Fault::Slow(times) => 1.0 / times,
            Fault::FailsAtOnce | Fault::Hangs => 0.0,
            Fault::Fails(_) | Fault::None => 1.0,
        };
        (0..INSTANCES).map(each).sum()
    }
}

/// Mean of the speeds 1, 2, 4, 1, 2, 4, 1, 2, 4, 1 of ten instances.
const MEAN_SPEED: f64 = 2.2;

/// Runs the scenarios and prints their tables.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let all = |given: &[Proxy]| match given {
        [] => Proxy::value_variants().to_vec(),
        given => given.to_vec(),
    };
    let proxies = all(&options.proxies);
    let mut scenarios = options.scenarios.clone();
    if scenarios.is_empty() {
        scenarios = Scenario::value_variants().to_vec();
    } else if !scenarios.contains(&Scenario::Healthy) {
        // What the others are compared with.
        scenarios.insert(0, Scenario::Healthy);
    }
    for program in ["taskset", "setpriv", "setsid"] {
        ensure!(
            repo::which(program).is_some(),
            "there is no `{program}` here; `cargo xtask test --with-peers` installs it"
        );
    }
    std::fs::create_dir_all(folder()).context("cannot create the folder for configurations and logs")?;
    if proxies.contains(&Proxy::Evenkeel) {
        eprintln!("building what is measured ...");
        let mut command = repo::cargo();
        command.args(["build", "--release", "--package", "evenkeel-cli"]);
        ensure!(command.status()?.success(), "the release build failed");
    }
    let programs = proxies.iter().map(|proxy| Ok((proxy.name(), proxy.version()?)));
    machine::describe(programs.collect::<Result<_>>()?)?;
    println!(
        "{INSTANCES} instances of {WORKERS} workers, exponential service time of {} ms, Poisson requests at {:.0} % of \
         {}, {} turns of {} s from the beginning of the fault, seed {}\n",
        SERVICE.as_millis(),
        LOAD * 100.0,
        if options.full_load {
            "the healthy capacity"
        } else {
            "the capacity left"
        },
        options.rounds,
        options.seconds,
        options.seed
    );
    // This process is the fleet and its clients.
    let this = std::process::id().to_string();
    repo::output(Command::new("taskset").args(["--cpu-list", "--pid", process::LOAD_CORE, &this]))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut healthy = Vec::new();
        for scenario in scenarios {
            let capacity = if options.full_load {
                INSTANCES as f64
            } else {
                scenario.capacity()
            };
            let rate = capacity * WORKERS as f64 / SERVICE.as_secs_f64() * LOAD;
            let turns = measure(scenario, options, &proxies, rate).await?;
            let title = format!("{}, {rate:.0} requests/s", scenario.title());
            if scenario == Scenario::Healthy {
                healthy = turns.iter().map(|turns| report::p99(turns)).collect();
            }
            println!(
                "{}",
                report::table(&title, &proxies, &turns, &healthy, options.markdown)
            );
        }
        anyhow::Ok(true)
    })
}

/// One scenario: the turns of each proxy.
async fn measure(
    scenario: Scenario,
    options: &Options,
    proxies: &[Proxy],
    rate: f64,
) -> Result<Vec<Vec<Turn>>> {
    let mut turns: Vec<Vec<Turn>> = proxies.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds as usize {
        for turn in 0..proxies.len() {
            let index = (round + turn) % proxies.len();
            let seed = options.seed.wrapping_add(round as u64);
            let measured = self::turn(scenario, options, proxies[index], rate, seed).await?;
            eprintln!(
                "  {} {}/{} {:<9} {}",
                scenario.title(),
                round + 1,
                options.rounds,
                proxies[index].name(),
                measured
            );
            turns[index].push(measured);
        }
    }
    Ok(turns)
}

/// One turn of one proxy, with a fleet of its own.
async fn turn(scenario: Scenario, options: &Options, proxy: Proxy, rate: f64, seed: u64) -> Result<Turn> {
    let fleet = Fleet::start(INSTANCES, WORKERS, SERVICE, seed).await?;
    // The proxy is waited for in a thread of its own: the fleet must answer meanwhile.
    let (addresses, strategy) = (fleet.addresses(), options.strategy.clone());
    let started = tokio::task::spawn_blocking(move || proxies::start(proxy, &addresses, strategy.as_deref()));
    let (running, address) = started.await??;
    let seconds = Duration::from_secs(options.seconds.into());
    client::load(address, rate, WARM_UP, seed ^ 1).await?;
    fleet.set(|index| scenario.fault(index));
    let turn = client::load(address, rate, seconds, seed).await?;
    drop(running);
    Ok(turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_left_is_that_of_what_still_works() {
        for (scenario, left) in [
            (Scenario::Healthy, 10.0),
            (Scenario::OneSlow, 9.05),
            (Scenario::ThreeSlow, 7.3),
            (Scenario::TwoFail, 8.0),
            (Scenario::FourFlaky, 10.0),
            (Scenario::OneHangs, 9.0),
            (Scenario::Speeds, 10.0),
        ] {
            assert!((scenario.capacity() - left).abs() < 1e-9, "{}", scenario.title());
        }
    }
}
