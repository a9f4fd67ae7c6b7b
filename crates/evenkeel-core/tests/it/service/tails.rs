//! Response times that vary a lot are no illness: heavy tails, and requests that are meant to take long.

use evenkeel_core::{EventKind, Rng, StrategyName};

use super::clients::{Clients, exponential, lognormal, ok, pareto};

type Times = fn(&mut Rng) -> f64;

const TAILS: [(&str, Times); 5] = [
    ("lognormal 1.5", |rng| lognormal(rng, 8.0, 1.5)),
    ("lognormal 2", |rng| lognormal(rng, 8.0, 2.0)),
    ("pareto 1.1", |rng| pareto(rng, 1.0, 1.1, 10_000.0)),
    ("one long poll in 100", |rng| {
        if rng.unit() < 0.01 {
            60_000.0
        } else {
            exponential(rng, 8.0)
        }
    }),
    ("one long poll in 10", |rng| {
        if rng.unit() < 0.1 {
            60_000.0
        } else {
            exponential(rng, 8.0)
        }
    }),
];

/// Of 48 million requests (2, 3, 5 and 10 instances, 1 to 250 requests a second each) none did; here are some of them.
#[test]
fn heavy_tails_and_long_polls_eject_nobody() {
    for (name, times) in TAILS {
        for (n, rate) in [(2, 250.0), (2, 5.0), (5, 50.0), (5, 1.0)] {
            for strategy in [StrategyName::adaptive, StrategyName::round_robin] {
                let mut clients = Clients::of(n, strategy.into(), rate * n as f64, 7);
                clients.run(20_000.0 / clients.rate, &mut |_, _, rng: &mut Rng| ok(times(rng)));
                let told = clients.told(EventKind::Ejected);
                assert!(told.is_empty(), "{name}, {n} at {rate}/s, {strategy:?}: {told:?}");
                assert_eq!(clients.count(EventKind::Weakened), 0);
            }
        }
    }
}

/// And yet one that is ten times slower than the others is found among them.
#[test]
fn a_slow_one_is_found_among_heavy_tails() {
    for (name, times) in TAILS {
        let mut clients = Clients::of(5, StrategyName::round_robin.into(), 250.0, 7);
        clients.run(20.0, &mut |i, _, rng: &mut Rng| {
            ok(times(rng) * if i == 0 { 10.0 } else { 1.0 })
        });
        let told = clients.told(EventKind::Ejected);
        assert!(!told.is_empty(), "{name}");
        assert!((1..5).all(|i| clients.seconds_out(i) == 0.0), "{name}: {told:?}");
    }
}
