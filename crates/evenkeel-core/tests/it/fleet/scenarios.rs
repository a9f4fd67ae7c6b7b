//! The scenarios of `cargo xtask bench fleet`, in virtual time. `cargo test -p evenkeel-core --test it --
//! --ignored --nocapture fleet::scenarios::table` prints all of them for every strategy.

use evenkeel_core::strategy::{Adaptive, Tuning};
use evenkeel_core::{Nanos, StrategyName, StrategySettings};

use super::{Fault, Fleet, Report};

pub(crate) const NAMES: [&str; 8] = [
    "healthy",
    "1 slow x20",
    "3 slow x10",
    "2 fail at once",
    "4 fail 20 %",
    "1 hangs",
    "speeds 1:2:4",
    "speeds known",
];

/// `n` instances, the fault from the 2nd second on, which is when counting begins.
pub(crate) fn fleet(name: &str, strategy: impl Into<StrategySettings>, n: usize, load: f64) -> Fleet {
    let tenths = |k: usize| 0..(n * k).div_ceil(10).min(n);
    let fleet = Fleet::new(strategy, n, load);
    let speeds = |mut fleet: Fleet, known: bool| {
        // The same capacity in all as that of a healthy fleet.
        for (index, backend) in fleet.backends.iter_mut().enumerate() {
            let weight = [1, 2, 4][index % 3];
            backend.weight = if known { weight } else { 1 };
            backend.speed = f64::from(weight);
        }
        let sum: f64 = fleet.backends.iter().map(|b| b.speed).sum();
        for backend in &mut fleet.backends {
            backend.speed *= n as f64 / sum;
        }
        fleet
    };
    match name {
        "healthy" => fleet,
        "1 slow x20" => fleet.with(tenths(1), 2, 99, Fault::Slow(20.0)),
        "3 slow x10" => fleet.with(tenths(3), 2, 99, Fault::Slow(10.0)),
        "2 fail at once" => fleet.with(tenths(2), 2, 99, Fault::FailsAtOnce),
        "4 fail 20 %" => fleet.with(tenths(4), 2, 99, Fault::Fails(0.2)),
        "1 hangs" => fleet.with(tenths(1), 2, 99, Fault::Hangs),
        "speeds 1:2:4" => speeds(fleet, false),
        "speeds known" => speeds(fleet, true),
        other => panic!("no scenario {other}"),
    }
}

/// The number in an environment variable.
fn number(name: &str, otherwise: f64) -> f64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
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

/// The strategy, with other constants where the environment has them.
fn tuned(name: StrategyName) -> StrategySettings {
    if name != StrategyName::adaptive {
        return name.into();
    }
    let default = Tuning::default();
    let or = |name: &str, default: u32| number(name, default.into()) as u32;
    let size = |name: &str, default: usize| number(name, default as f64) as usize;
    StrategySettings::adaptive(Adaptive::tuned(Tuning {
        all: size("ADAPTIVE_ALL", default.all),
        draws: (size("ADAPTIVE_DRAWS", default.draws.0), default.draws.1),
        even_percent: or("ADAPTIVE_EVEN", default.even_percent),
        failure_percent: or("ADAPTIVE_FAILURE", default.failure_percent),
        requests_per_trial: or("ADAPTIVE_TRIALS", default.requests_per_trial),
        trial_ms: (or("ADAPTIVE_TRIAL", default.trial_ms.0), default.trial_ms.1),
        halvings: or("ADAPTIVE_HALVINGS", default.halvings),
        waiting: or("ADAPTIVE_WAITING", default.waiting.into()) == 1,
        returning: or("ADAPTIVE_RETURNING", default.returning.into()) == 1,
    }))
}

#[test]
#[ignore = "prints a table: FLEET_N, FLEET_LOAD, FLEET_BALANCERS, FLEET_SEEDS, FLEET_SCENARIO, FLEET_STRATEGY choose"]
fn table() {
    let n = number("FLEET_N", 10.0) as usize;
    let load = number("FLEET_LOAD", 0.7);
    let balancers = number("FLEET_BALANCERS", 1.0) as usize;
    let seeds = number("FLEET_SEEDS", 10.0) as u64;
    let chosen = |variable: &str, name: &str| {
        std::env::var(variable).is_ok_and(|text| !text.split(',').any(|part| part == name))
    };
    println!("{n} instances of 2 workers, 8 ms, load {load}, {balancers} balancers, {seeds} seeds of 8 s");
    println!(
        "{:<28} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "", "p50 ms", "p99", "p99.9", "errors %", "late+err"
    );
    for scenario in NAMES {
        if chosen("FLEET_SCENARIO", scenario) {
            continue;
        }
        println!("{scenario}");
        for name in StrategyName::ALL {
            if chosen("FLEET_STRATEGY", name.as_str()) {
                continue;
            }
            let mut fleet = fleet(scenario, tuned(*name), n, load);
            fleet.balancers = balancers;
            fleet.detectors = number("FLEET_DETECTORS", 1.0) == 1.0;
            fleet.ejects_at = number("FLEET_EJECTS", 5.0) as u32;
            line(&format!("  {name}"), &fleet.run_all(0..seeds));
        }
    }
}
