//! Services with a request every few seconds: what is known of their instances is old, and must not be forgotten.

use evenkeel_core::{EventKind, Nanos, Rng, StrategyName};

use super::clients::{Answer, Clients, broken, exponential, ok};

/// An hour of three instances of which the first fails that part of its requests.
fn hour(strategy: StrategyName, rate: f64, fails: f64, seed: u64) -> Clients {
    let mut clients = Clients::of(3, strategy.into(), rate, seed);
    clients.run(3600.0, &mut |i: usize, _: Nanos, rng: &mut Rng| -> Answer {
        if i == 0 && rng.unit() < fails {
            broken()
        } else {
            ok(exponential(rng, 8.0))
        }
    });
    clients
}

#[test]
fn a_dead_one_backs_off_at_any_rate() {
    for strategy in [StrategyName::round_robin, StrategyName::adaptive] {
        for rate in [0.3, 1.0, 3.0] {
            let clients = hour(strategy, rate, 1.0, 7);
            let lost = clients.unserved as f64 / clients.requests as f64;
            println!(
                "{strategy:?} {rate}/s: {:.2} % lost, out for {:.0} s, {:?}",
                100.0 * lost,
                clients.seconds_out(0),
                clients.told(EventKind::Recovered)
            );
            assert!(lost < 0.05, "{strategy:?} at {rate}/s: {lost}");
            assert!(
                clients.told(EventKind::Recovered).is_empty(),
                "it never answered: {:?}",
                clients.told(EventKind::Recovered)
            );
            assert!((1..3).all(|i| clients.seconds_out(i) == 0.0));
        }
    }
}

#[test]
fn one_that_fails_a_fifth_backs_off_too() {
    for strategy in [StrategyName::round_robin, StrategyName::adaptive] {
        let runs: Vec<Clients> = (0..4).map(|seed| hour(strategy, 1.0, 0.2, seed)).collect();
        let out = runs.iter().map(|run| run.seconds_out(0)).sum::<f64>() / 4.0;
        println!("{strategy:?}: out for {out:.0} of 3600 s");
        assert!(out > 900.0, "{strategy:?}: out for {out:.0} s");
    }
}

/// Ejections among instances that all fail the same part of their requests, in 100,000 requests.
fn ejections(n: usize, each: f64, fails: f64) -> f64 {
    let mut clients = Clients::of(n, StrategyName::round_robin.into(), each * n as f64, 11);
    clients.run(100_000.0 / clients.rate, &mut |_, _, rng: &mut Rng| {
        if rng.unit() < fails {
            broken()
        } else {
            ok(exponential(rng, 8.0))
        }
    });
    clients.count(EventKind::Ejected) as f64 * 100_000.0 / clients.requests as f64
}

#[test]
fn who_fails_no_more_than_the_others_stays_however_few_ask() {
    for (n, fails) in [(3, 0.05), (3, 0.1), (10, 0.03), (30, 0.03)] {
        for each in [0.5, 1.0, 3.0, 5.0] {
            let found = ejections(n, each, fails);
            println!("{n} at {fails}, {each}/s each: {found} of 100000");
            assert!(found <= 6.0, "{n} at {fails}, {each}/s each: {found}");
        }
    }
}
