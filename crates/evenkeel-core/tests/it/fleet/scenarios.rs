//! The scenarios of `cargo xtask bench fleet`, in virtual time. `cargo bench -p evenkeel-core --bench fleet` prints all of
//! them for every strategy.

use evenkeel_core::StrategySettings;

use super::{Backend, Fault, Fleet};

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
pub(crate) const FURTHER: [&str; 3] = ["speeds 1:1.5", "speeds 1:8", "1 of 3 at 1/4"];

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
pub(crate) fn left(fleet: &Fleet) -> f64 {
    let of = |backend: &Backend| match backend.faults.first() {
        None => 1.0,
        Some((.., Fault::Slow(times))) => 1.0 / times,
        // It does its work, though a part of it in vain.
        Some((.., Fault::None | Fault::Fails(_))) => 1.0,
        Some((.., Fault::FailsAtOnce | Fault::Hangs)) => 0.0,
    };
    fleet.backends.iter().map(of).sum::<f64>() / fleet.backends.len() as f64
}
