//! What all instances have in common takes nobody out: a dependency that fails everywhere, in part or at once.

use std::net::SocketAddr;

use evenkeel_core::{
    EventKind, Instance, Mode, Nanos, Outcome, ServiceSettings, ServiceState, Slot, StrategyName,
};

use super::traffic::{Times, Traffic, fails};

const STRATEGIES: [StrategyName; 2] = [StrategyName::round_robin, StrategyName::adaptive];

/// `n` instances with this many requests per second each are well for half a minute; then all of them fail this part
/// of their requests for two.
fn common(n: usize, each: f64, part: f64, strategy: StrategyName, seed: u64) -> Traffic {
    let mut traffic = Traffic::of(n, seed, each * n as f64, Times::Exponential(8.0), strategy);
    traffic.run(30, |_, _| fails(0.001));
    traffic.clear();
    traffic.run(120, |_, _| fails(part));
    traffic
}

#[test]
fn nobody_is_too_weak_for_what_all_fail_alike() {
    for (n, each) in [(2, 20.0), (3, 20.0), (10, 20.0), (40, 20.0), (2, 200.0)] {
        for part in [0.5, 0.6, 0.7, 0.8] {
            for strategy in STRATEGIES {
                let traffic = common(n, each, part, strategy, 7);
                let out = traffic.out.iter().sum::<f64>() / 120.0;
                let (weak, ejected) = (
                    traffic.count(EventKind::Weakened),
                    traffic.count(EventKind::Ejected),
                );
                let told = format!("{n} at {part}, {strategy:?}: {weak}, {ejected}, {out}");
                assert!(weak == 0 && ejected <= 1, "{told}");
                assert!(out <= 0.01 * n as f64 + 0.05, "{told}");
            }
        }
    }
}

#[test]
fn the_onset_of_a_common_failure_ejects_hardly_anybody() {
    for (n, each, part) in [
        (40, 50.0, 0.8),
        (10, 100.0, 0.8),
        (10, 100.0, 1.0),
        (10, 100.0, 0.95),
        (40, 50.0, 0.5),
        (10, 100.0, 0.3),
    ] {
        for strategy in STRATEGIES {
            let runs = (0..3).map(|seed| common(n, each, part, strategy, seed));
            let ejected: u64 = runs.map(|traffic| traffic.count(EventKind::Ejected)).sum();
            assert!(
                ejected <= 2,
                "{ejected} in three runs of {n} at {part}, {strategy:?}"
            );
        }
    }
}

/// Eight of ten die at once: that is not common.
#[test]
fn the_two_that_answer_are_told_from_the_eight_that_do_not() {
    for strategy in STRATEGIES {
        let mut traffic = Traffic::of(10, 1, 500.0, Times::Exponential(8.0), strategy);
        traffic.run(30, |_, _| fails(0.001));
        traffic.clear();
        traffic.run(60, |i, _| fails(if i < 8 { 1.0 } else { 0.001 }));
        assert_eq!(traffic.are_out().iter().filter(|i| **i > 7).count(), 0);
        let to_dead: u64 = traffic.asked[..8].iter().sum();
        assert!(to_dead <= 1000, "{to_dead} to the dead, {strategy:?}");
    }
}

#[test]
fn a_dry_run_does_not_say_what_would_not_be_done() {
    let mut traffic = Traffic::with(10, 1, 500.0, Times::Exponential(8.0), |settings| {
        settings.strategy = StrategyName::round_robin.into();
        let ejection = &mut settings.ejection;
        ejection.on_consecutive = Mode::DryRun;
        ejection.on_burst = Mode::DryRun;
        ejection.on_error_rate = Mode::DryRun;
    });
    traffic.run(30, |_, _| fails(0.001));
    traffic.run(5, |_, _| fails(1.0));
    assert!(traffic.count(EventKind::WouldEject) <= 1, "{:?}", traffic.events);
    traffic.run(60, |_, _| fails(0.001));
    traffic.clear();
    traffic.run(5, |i, _| fails(if i == 0 { 1.0 } else { 0.001 }));
    let said = traffic.reasons(EventKind::WouldEject);
    assert!(
        !said.is_empty() && said[0].contains("not ejected: a dry run"),
        "{said:?}"
    );
}

/// A dependency fails for some seconds and comes back: who answers first after that is no exception for what all failed.
#[test]
fn what_all_failed_speaks_against_nobody_afterwards() {
    for (n, rate, outage) in [(5, 30.0, 6), (5, 150.0, 6), (10, 100.0, 12), (3, 30.0, 20)] {
        for strategy in STRATEGIES {
            for seed in 0..8 {
                let mut traffic = Traffic::of(n, seed, rate, Times::Exponential(8.0), strategy);
                traffic.run(30, |_, _| fails(0.001));
                traffic.run(outage, |_, _| fails(1.0));
                traffic.clear();
                traffic.run(30, |_, _| fails(0.001));
                let told = [EventKind::Ejected, EventKind::Weakened].map(|kind| traffic.reasons(kind));
                assert!(
                    told.concat().is_empty(),
                    "{n} at {rate}/s, {outage} s, {strategy:?}, seed {seed}: {told:?}"
                );
            }
        }
    }
}

/// One that fails while nobody else is asked is no fleet that fails: what others did before is not forgiven for it.
#[test]
fn one_that_is_asked_alone_is_not_everybody() {
    let instances = (0..3u8).map(|i| {
        let address = SocketAddr::from(([127, 0, 0, i + 1], 80));
        Instance::new(&format!("i{i}"), address).unwrap()
    });
    let settings = ServiceSettings::new("web");
    let mut state = ServiceState::new(settings, instances.collect(), 3, Nanos::ZERO).unwrap();
    let mut answers = |slot: u32, second: u64, statuses: &[u16]| {
        let now = Nanos::from_secs(second);
        for status in statuses {
            let lease = state.view().lease(Slot(slot), now).unwrap();
            let _ = lease.finish(&Outcome::from_status(*status, Nanos(1_000_000)), now);
        }
        state.tick(now);
        state.take_events()
    };
    for slot in 0..3 {
        answers(slot, 100, &[200; 20]);
    }
    answers(1, 101, &[500; 4]);
    let told = answers(0, 110, &[500; 5]);
    assert!(
        told.iter().any(|event| event.kind == EventKind::Ejected),
        "{told:?}"
    );
    answers(2, 111, &[]);
    let told = answers(1, 112, &[500]);
    let ejected = told.iter().find(|event| event.kind == EventKind::Ejected);
    assert!(
        ejected.is_some_and(|event| event.reason.contains("5 requests failed in a row")),
        "{told:?}"
    );
}
