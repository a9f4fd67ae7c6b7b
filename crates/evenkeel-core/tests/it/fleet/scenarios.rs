//! The scenarios of `cargo xtask bench fleet`, in virtual time. `cargo test -p evenkeel-core --test it --
//! --ignored --nocapture fleet::scenarios::table` prints all of them for every strategy.

use evenkeel_core::strategy::{Adaptive, Tuning};
use evenkeel_core::{Nanos, StrategyName, StrategySettings};

use super::{Backend, Fault, Fleet, Oracle, Report, Service};

/// Those of the proxy's bench, and one where weights say what the speeds are.
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

/// More, for the table alone: other differences in speed.
const FURTHER: [&str; 3] = ["speeds 1:1.5", "speeds 1:8", "1 of 3 at 1/4"];

/// `n` instances, the fault from the 2nd second on, which is when counting begins.
pub(crate) fn fleet(name: &str, strategy: impl Into<StrategySettings>, n: usize, load: f64) -> Fleet {
    let tenths = |k: usize| 0..(n * k).div_ceil(10).min(n);
    let fleet = Fleet::new(strategy, n, load);
    let speeds = |mut fleet: Fleet, speeds: &[f64], known: bool| {
        // The same capacity in all as that of a healthy fleet.
        for (index, backend) in fleet.backends.iter_mut().enumerate() {
            backend.speed = speeds[index % speeds.len()];
            backend.weight = if known { backend.speed as u32 } else { 1 };
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
        "speeds 1:2:4" => speeds(fleet, &[1.0, 2.0, 4.0], false),
        "speeds known" => speeds(fleet, &[1.0, 2.0, 4.0], true),
        "speeds 1:1.5" => speeds(fleet, &[1.0, 1.5], false),
        "speeds 1:8" => speeds(fleet, &[1.0, 8.0], false),
        "1 of 3 at 1/4" => speeds(fleet, &[1.0, 4.0, 4.0], false),
        other => panic!("no scenario {other}"),
    }
}

/// The part of a healthy fleet's capacity that the fault leaves.
fn left(fleet: &Fleet) -> f64 {
    let of = |backend: &Backend| match backend.faults.first() {
        None => 1.0,
        Some((.., Fault::Slow(times))) => 1.0 / times,
        // It does its work, though a part of it in vain.
        Some((.., Fault::None | Fault::Fails(_))) => 1.0,
        Some((.., Fault::FailsAtOnce | Fault::Hangs)) => 0.0,
    };
    fleet.backends.iter().map(of).sum::<f64>() / fleet.backends.len() as f64
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
pub(crate) fn tuned(name: StrategyName) -> StrategySettings {
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
        chance_percent: or("ADAPTIVE_CHANCE", default.chance_percent),
        blur_us: or("ADAPTIVE_BLUR", default.blur_us),
        workers: or("ADAPTIVE_WORKERS", default.workers),
        failure_percent: or("ADAPTIVE_FAILURE", default.failure_percent),
        requests_per_trial: or("ADAPTIVE_TRIALS", default.requests_per_trial),
        trial_ms: (or("ADAPTIVE_TRIAL", default.trial_ms.0), default.trial_ms.1),
        halvings: or("ADAPTIVE_HALVINGS", default.halvings),
        waiting: or("ADAPTIVE_WAITING", default.waiting.into()) == 1,
        returning: or("ADAPTIVE_RETURNING", default.returning.into()) == 1,
    }))
}

#[test]
#[ignore = "prints a table: FLEET_N, FLEET_LOAD, FLEET_LEFT, FLEET_WORKERS, FLEET_DEVIATION, FLEET_BALANCERS, FLEET_SEEDS, FLEET_SCENARIO, FLEET_STRATEGY choose"]
fn table() {
    let n = number("FLEET_N", 10.0) as usize;
    let load = number("FLEET_LOAD", 0.7);
    let of_what_is_left = number("FLEET_LEFT", 0.0) == 1.0;
    let balancers = number("FLEET_BALANCERS", 1.0) as usize;
    let seeds = number("FLEET_SEEDS", 10.0) as u64;
    let workers = number("FLEET_WORKERS", 2.0) as usize;
    // Deviation of the service time as a part of its mean; exponential without.
    let deviation = number("FLEET_DEVIATION", -1.0);
    let chosen = |variable: &str, name: &str| {
        std::env::var(variable).is_ok_and(|text| !text.split(',').any(|part| part == name))
    };
    let base = if of_what_is_left {
        "the capacity left"
    } else {
        "the healthy capacity"
    };
    println!(
        "{n} instances of {workers} workers, 8 ms, load {load} of {base}, {balancers} balancers, {seeds} seeds of 8 s"
    );
    println!(
        "{:<28} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "", "p50 ms", "p99", "p99.9", "errors %", "late+err"
    );
    for scenario in NAMES.into_iter().chain(FURTHER) {
        if chosen("FLEET_SCENARIO", scenario) {
            continue;
        }
        println!("{scenario}");
        let rows = [
            ("one queue", Oracle::OneQueue),
            ("shortest delay", Oracle::ShortestDelay),
        ];
        let rows = rows.map(|(name, oracle)| (name, StrategyName::random, Some(oracle)));
        let strategies = StrategyName::ALL.iter().map(|name| (name.as_str(), *name, None));
        for (name, strategy, oracle) in rows.into_iter().chain(strategies) {
            if chosen("FLEET_STRATEGY", name) {
                continue;
            }
            let mut fleet = fleet(scenario, tuned(strategy), n, load);
            if of_what_is_left {
                fleet.rate *= left(&fleet);
            }
            if deviation >= 0.0 {
                let mean = Nanos::from_millis(8);
                fleet.service = Service::Normal(mean, Nanos((mean.0 as f64 * deviation) as u64));
            }
            fleet
                .backends
                .iter_mut()
                .for_each(|backend| backend.workers = workers);
            fleet.rate *= workers as f64 / 2.0;
            fleet.oracle = oracle;
            fleet.balancers = balancers;
            fleet.detectors = number("FLEET_DETECTORS", 1.0) == 1.0;
            fleet.ejects_at = number("FLEET_EJECTS", 5.0) as u32;
            line(&format!("  {name}"), &fleet.run_all(0..seeds));
        }
    }
}
