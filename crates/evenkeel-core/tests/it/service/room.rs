//! Whether the others have room for the work of one that fails in part: no, when they queue; yes, however response
//! times are spread.

use evenkeel_core::{EventKind, Nanos, StrategyName};

use super::traffic::{Nature, Times, Traffic, fails};

const STRATEGIES: [StrategyName; 2] = [StrategyName::round_robin, StrategyName::adaptive];

/// How often one came back because the others had no room for its work.
fn early(traffic: &Traffic) -> usize {
    let reasons = traffic.reasons(EventKind::Returned);
    reasons.iter().filter(|reason| reason.contains("no room")).count()
}

#[test]
fn one_that_fails_a_fifth_stays_out_however_response_times_are_spread() {
    // About eight trials in each run, and the bar is ln 1000.
    let mut chance = 0;
    for n in [2, 3, 5, 10] {
        for times in [
            Times::Fixed(8.0),
            Times::Exponential(8.0),
            Times::Exponential(100.0),
            Times::Lognormal(8.0, 1.0),
            Times::Lognormal(30.0, 1.5),
        ] {
            for strategy in STRATEGIES {
                let mut traffic = Traffic::of(n, 3, 20.0 * n as f64, times, strategy);
                traffic.run(30, |_, _| fails(0.001));
                traffic.clear();
                traffic.run(600, |i, _| fails(if i == 0 { 0.2 } else { 0.001 }));
                let (early, out) = (early(&traffic), traffic.out[0] / 600.0);
                let told = format!("{n}, {times:?}, {strategy:?}: back early {early} times, out {out:.2}");
                chance += early;
                assert!(early <= 1 && chance <= 2, "{told}");
                // Who avoids it asks it little, and so it takes long to be found.
                let least = if strategy == StrategyName::adaptive {
                    0.5
                } else {
                    0.9
                };
                assert!(out > least, "{told}");
                assert!(traffic.out[1..].iter().all(|out| *out < 30.0), "{told}");
            }
        }
    }
}

#[test]
fn slowness_that_all_have_in_common_brings_nobody_back() {
    for (n, times) in [
        (10, Times::Exponential(20.0)),
        (3, Times::Exponential(20.0)),
        (10, Times::Exponential(100.0)),
    ] {
        for strategy in STRATEGIES {
            let mut traffic = Traffic::of(n, 3, 50.0 * n as f64, times, strategy);
            traffic.run(60, |_, _| fails(0.001));
            for cycle in 0..4 {
                traffic.clear();
                let from = traffic.now + Nanos::from_secs(600);
                let slow = from..from + Nanos::from_secs(10);
                traffic.run(1200, |i, now| Nature {
                    fails: if i == 0 { 0.2 } else { 0.001 },
                    slower: if slow.contains(&now) { 2.25 } else { 1.0 },
                });
                let out = traffic.out[0] / 1200.0;
                assert!(
                    out > 0.9,
                    "{n}, {times:?}, {strategy:?}, cycle {cycle}: out {out:.2}"
                );
            }
        }
    }
}

/// Some fail a fifth, of two workers each; without one of them the others queue, or without two.
#[test]
fn what_the_others_cannot_do_stays_with_those_that_fail() {
    for (n, sick, load) in [(10, 4, 0.7), (10, 4, 0.85), (2, 1, 0.7), (3, 1, 0.8), (5, 2, 0.7)] {
        for strategy in STRATEGIES {
            let rate = load * n as f64 * 2.0 * 125.0;
            let mut traffic = Traffic::of(n, 3, rate, Times::Exponential(8.0), strategy);
            traffic.workers = 2;
            traffic.run(60, |_, _| fails(0.001));
            let healthy = traffic.took.0 / traffic.took.1 as f64;
            for (minute, most) in [3.0, 2.0, 1.5].into_iter().enumerate() {
                traffic.clear();
                traffic.run(60, |i, _| fails(if i < sick { 0.2 } else { 0.001 }));
                let mean = traffic.took.0 / traffic.took.1 as f64;
                let told =
                    format!("{n} at {load}, {strategy:?}, minute {minute}: {mean:.1} ms, {healthy:.1} ms");
                assert!(mean < most * healthy, "{told}");
            }
        }
    }
}

/// Who has to come back comes with its full share, its ejections are not forgotten, and for how long nobody goes is said.
#[test]
fn who_has_to_come_back_comes_whole_and_is_held() {
    let mut traffic = Traffic::of(2, 3, 350.0, Times::Exponential(8.0), StrategyName::round_robin);
    traffic.workers = 2;
    traffic.run(60, |_, _| fails(0.001));
    traffic.run(30, |i, _| fails(if i == 0 { 0.2 } else { 0.001 }));
    assert_eq!(early(&traffic), 1, "{:?}", traffic.events);
    let returned = traffic.reasons(EventKind::Returned);
    assert!(returned[0].ends_with("nobody goes for 60 s"), "{returned:?}");
    let recovering = traffic.reasons(EventKind::Recovering);
    assert!(recovering[0].ends_with("its share is 100 %"), "{recovering:?}");
    let held = traffic.reasons(EventKind::EjectionWithheld);
    assert!(
        held.iter()
            .any(|reason| reason.contains("one like it; nobody goes for")),
        "{held:?}"
    );
    assert_eq!(traffic.count(EventKind::Ejected), 1, "held");
}
