//! Cheap answers attract nobody: an instance that refuses everything at once is not the fastest.

use evenkeel_core::{Nanos, Rng, StrategyName};

use super::clients::{Answer, Clients, exponential, ok};

fn not_found() -> Answer {
    Answer {
        status: Some(404),
        takes: Nanos(200_000),
    }
}

/// The part of the requests that instance 0 of five gets.
fn part(strategy: StrategyName, rate: f64, refuses_from: f64) -> f64 {
    let mut clients = Clients::of(5, strategy.into(), rate, 3);
    let from = clients.now + Nanos((refuses_from * 1e9) as u64);
    let mut answer = |i: usize, now: Nanos, rng: &mut Rng| {
        if i == 0 && now >= from {
            not_found()
        } else {
            ok(exponential(rng, 8.0))
        }
    };
    clients.run(refuses_from + 10.0, &mut answer);
    clients.asked.fill(0);
    clients.run(100.0, &mut answer);
    assert_eq!(clients.unserved, 0, "a client's fault is no failure");
    clients.asked[0] as f64 / clients.asked.iter().sum::<u64>() as f64
}

/// From the start, or from the thirtieth second on. Before refusals were told from answers, `adaptive` and
/// `least_response_time` sent it all. The latter still prefers whom it knows to be steady.
#[test]
fn who_refuses_everything_at_once_is_no_magnet() {
    for strategy in [
        StrategyName::adaptive,
        StrategyName::power_of_two,
        StrategyName::peak_ewma,
    ] {
        for (rate, from) in [(50.0, 0.0), (50.0, 30.0), (300.0, 0.0), (300.0, 30.0)] {
            let part = part(strategy, rate, from);
            println!("{strategy:?} {rate}/s from {from}: {part:.3}");
            assert!(part < 0.45, "{strategy:?} at {rate}/s, from {from}: {part:.3}");
        }
    }
    for (rate, from, most) in [
        (50.0, 0.0, 0.5),
        (50.0, 30.0, 0.5),
        (300.0, 0.0, 0.5),
        (300.0, 30.0, 0.8),
    ] {
        let part = part(StrategyName::least_response_time, rate, from);
        println!("lrt {rate}/s from {from}: {part:.3}");
        assert!(part < most, "{rate}/s, from {from}: {part:.3}");
    }
}

/// Who refuses slowly is slow, and where all refuse everything, all are alike.
#[test]
fn refusals_still_tell_the_slow() {
    let mut clients = Clients::of(4, StrategyName::adaptive.into(), 100.0, 3);
    clients.run(100.0, &mut |i, _, rng: &mut Rng| Answer {
        status: Some(401),
        takes: ok(exponential(rng, if i == 0 { 80.0 } else { 2.0 })).takes,
    });
    let fair = clients.requests as f64 / 4.0;
    assert!((clients.asked[0] as f64) < 0.5 * fair, "{:?}", clients.asked);
    for i in 1..4 {
        assert!(
            (0.7..1.7).contains(&(clients.asked[i] as f64 / fair)),
            "{:?}",
            clients.asked
        );
    }
}
