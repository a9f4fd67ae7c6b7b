//! What clients see of a fleet in virtual time, sick in one way or another, strategy by strategy; and who is left out where
//! all is well. `cargo bench -p evenkeel-core --bench fleet [-- [quiet] [KEY=VALUE ...]]`.
//!
//! | key | | |
//! |---|---|---|
//! | `strategy`, `scenario` | names, with commas between them | all |
//! | `n`, `workers` | instances, and workers of each | 10, 2 |
//! | `load` | part of the capacity | 0.7 |
//! | `left` | 1: of the capacity that the fault leaves | 0 |
//! | `deviation` | of the service time, as a part of its mean; exponential without | |
//! | `balancers`, `seeds` | balancers apart, and runs | 1, 10 |
//! | `detectors`, `ejects` | 0: what speaks against an instance does not eject it; failures in a row that do | 1, 5 |
//! | `adaptive.all` and others | constants of `adaptive` | as they are |
//!
//! `quiet` is the table of identical instances that a client or ten ask: 20 seeds, `adaptive`. Time is virtual, so that
//! figures depend on nothing but the code and these keys.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(
    dead_code,
    unused_imports,
    reason = "the tests beside it ask for more than the tables"
)]
#[path = "../tests/it/fleet.rs"]
mod fleet;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use evenkeel_core::strategy::{Adaptive, Tuning};
use evenkeel_core::{Nanos, StrategyName, StrategySettings};

use fleet::quiet::{Quiet, RATES, services};
use fleet::scenarios::{FURTHER, NAMES, fleet, left};
use fleet::{Oracle, Report, Service};

const KEYS: [&str; 24] = [
    "strategy",
    "scenario",
    "n",
    "workers",
    "load",
    "left",
    "deviation",
    "balancers",
    "seeds",
    "detectors",
    "ejects",
    "adaptive.all",
    "adaptive.draws",
    "adaptive.even",
    "adaptive.chance",
    "adaptive.blur",
    "adaptive.workers",
    "adaptive.failure",
    "adaptive.trials",
    "adaptive.seldom",
    "adaptive.trial",
    "adaptive.halvings",
    "adaptive.waiting",
    "adaptive.returning",
];

/// What the command line chooses.
struct Choices(BTreeMap<String, String>);

impl Choices {
    fn new(arguments: impl Iterator<Item = String>) -> Self {
        let pairs = arguments.map(|argument| {
            let pair = argument.split_once('=');
            let pair = pair.filter(|(key, _)| KEYS.contains(key));
            let (key, value) = pair.unwrap_or_else(|| panic!("{argument}: the keys are {}", KEYS.join(", ")));
            (key.to_owned(), value.to_owned())
        });
        Self(pairs.collect())
    }

    fn get<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        let text = self.0.get(key)?;
        Some(
            text.parse()
                .unwrap_or_else(|error| panic!("{key}={text}: {error}")),
        )
    }

    fn leaves_out(&self, key: &str, name: &str) -> bool {
        let names = self.0.get(key);
        names.is_some_and(|names| !names.split(',').any(|one| one == name))
    }

    /// The strategy, with other constants where some are chosen.
    fn tuned(&self, name: StrategyName) -> StrategySettings {
        if name != StrategyName::adaptive {
            return name.into();
        }
        let default = Tuning::default();
        let or = |key: &str, default: u32| self.get(key).unwrap_or(default);
        let size = |key: &str, default: usize| self.get(key).unwrap_or(default);
        let switch = |key: &str, default: bool| or(key, default.into()) == 1;
        StrategySettings::adaptive(Adaptive::tuned(Tuning {
            all: size("adaptive.all", default.all),
            draws: (size("adaptive.draws", default.draws.0), default.draws.1),
            even_percent: or("adaptive.even", default.even_percent),
            chance_percent: or("adaptive.chance", default.chance_percent),
            blur_us: or("adaptive.blur", default.blur_us),
            workers: or("adaptive.workers", default.workers),
            failure_percent: or("adaptive.failure", default.failure_percent),
            requests_per_trial: (
                or("adaptive.trials", default.requests_per_trial.0),
                default.requests_per_trial.1,
            ),
            seldom: switch("adaptive.seldom", default.seldom),
            seldom_even_percent: default.seldom_even_percent,
            trial_ms: (or("adaptive.trial", default.trial_ms.0), default.trial_ms.1),
            halvings: or("adaptive.halvings", default.halvings),
            waiting: switch("adaptive.waiting", default.waiting),
            returning: switch("adaptive.returning", default.returning),
        }))
    }
}

fn line(what: &str, report: &Report) {
    println!(
        "{what:<28} {:>8.1} {:>8.1} {:>8.1} {:>9.4} {:>9.4}",
        report.quantile(0.5),
        report.quantile(0.99),
        report.quantile(0.999),
        report.error_share() * 100.0,
        (1.0 - report.within(Nanos::from_millis(100))) * 100.0,
    );
}

fn sick(choices: &Choices) {
    let n: usize = choices.get("n").unwrap_or(10);
    let load: f64 = choices.get("load").unwrap_or(0.7);
    let of_what_is_left = choices.get("left") == Some(1);
    let balancers: usize = choices.get("balancers").unwrap_or(1);
    let seeds: u64 = choices.get("seeds").unwrap_or(10);
    let workers: usize = choices.get("workers").unwrap_or(2);
    let base = match of_what_is_left {
        true => "the capacity left",
        false => "the healthy capacity",
    };
    println!(
        "{n} instances of {workers} workers, 8 ms, load {load} of {base}, {balancers} balancers, {seeds} seeds of 8 s"
    );
    println!(
        "{:<28} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "", "p50 ms", "p99", "p99.9", "errors %", "late+err"
    );
    for scenario in NAMES.into_iter().chain(FURTHER) {
        if choices.leaves_out("scenario", scenario) {
            continue;
        }
        println!("{scenario}");
        let oracles = [
            ("one queue", Oracle::OneQueue),
            ("shortest delay", Oracle::ShortestDelay),
        ];
        let oracles = oracles.map(|(name, oracle)| (name, StrategyName::random, Some(oracle)));
        let strategies = StrategyName::ALL.iter().map(|name| (name.as_str(), *name, None));
        for (name, strategy, oracle) in oracles.into_iter().chain(strategies) {
            if choices.leaves_out("strategy", name) {
                continue;
            }
            let mut fleet = fleet(scenario, choices.tuned(strategy), n, load);
            if of_what_is_left {
                fleet.rate *= left(&fleet);
            }
            if let Some(deviation) = choices.get::<f64>("deviation") {
                let mean = Nanos::from_millis(8);
                fleet.service = Service::Normal(mean, Nanos((mean.0 as f64 * deviation) as u64));
            }
            for backend in &mut fleet.backends {
                backend.workers = workers;
            }
            fleet.rate *= workers as f64 / 2.0;
            fleet.oracle = oracle;
            fleet.balancers = balancers;
            fleet.detectors = choices.get("detectors").unwrap_or(1) == 1;
            fleet.ejects_at = choices.get("ejects").unwrap_or(5);
            line(&format!("  {name}"), &fleet.run_all(0..seeds));
        }
    }
}

fn quiet(choices: &Choices) {
    println!("least share of identical instances, as a multiple of the fair one: least of 20 seeds, mean");
    println!("{:<46} 2 instances  3           10", "");
    for (what, service) in services() {
        for rate in RATES {
            for clients in [1, 10] {
                let cells = [2, 3, 10].map(|n| {
                    let strategy = choices.tuned(StrategyName::adaptive);
                    let (least, mean) = Quiet::new(strategy, n, clients, service, rate).shares(20);
                    format!("{least:.2} {mean:.2}")
                });
                let cells = cells.join("   ");
                println!("{what:<20} {rate:>10}/s {clients:>2} clients  {cells}");
            }
        }
    }
}

fn main() {
    // Cargo says `--bench`.
    let arguments = std::env::args().skip(1);
    let (words, pairs): (Vec<_>, Vec<_>) = arguments
        .filter(|argument| !argument.starts_with('-'))
        .partition(|argument| argument == "quiet");
    let choices = Choices::new(pairs.into_iter());
    match words.is_empty() {
        true => sick(&choices),
        false => quiet(&choices),
    }
}
