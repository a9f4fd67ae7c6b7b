//! Power of two choices: distinct draws, the better one wins.

use evenkeel_core::testing::{add_load, candidates};
use evenkeel_core::{PickContext, Slot, StrategyName};

use crate::conformance::{build, pick};
use crate::fleet::{Fault, Fleet, seconds};
use crate::statistics::assert_by_weight;

#[test]
fn of_two_candidates_the_busier_is_never_picked() {
    for weights in [[1, 1], [1, 3], [65_535, 1]] {
        let service = candidates(&weights).unwrap();
        let picker = build(StrategyName::power_of_two, &service, 1);
        let mut cx = PickContext::new(1);
        add_load(&service, Slot(0), 1);
        assert!(
            (0..1000).all(|_| pick(&*picker, &mut cx) == Slot(1)),
            "{weights:?}"
        );
        // Three per weight against one per weight.
        add_load(&service, Slot(0), 3 * weights[0] - 1);
        add_load(&service, Slot(1), 4 * weights[1]);
        assert!(
            (0..1000).all(|_| pick(&*picker, &mut cx) == Slot(0)),
            "{weights:?}"
        );
    }
}

#[test]
fn the_second_draw_is_by_weight_among_the_others() {
    // The first is drawn almost always and is busy, so the pick shows the second draw.
    for heavy in [10, 65_535] {
        let weights = [heavy, 1, 2, 3];
        let service = candidates(&weights).unwrap();
        let picker = build(StrategyName::power_of_two, &service, 1);
        let mut cx = PickContext::new(1);
        add_load(&service, Slot(0), 2 * heavy);
        let mut counts = [0; 4];
        for _ in 0..60_000 {
            counts[pick(&*picker, &mut cx).0 as usize] += 1;
        }
        assert_eq!(counts[0], 0, "two distinct draws always include another");
        // When a light one is drawn first it stays: ties keep the first draw, and the others are idle.
        // Both draws are in proportion to 1 : 2 : 3 once the heavy one is the other.
        if heavy == 65_535 {
            assert_by_weight(&counts[1..], &weights[1..], "second draw");
        }
    }
}

#[test]
fn a_tenfold_slower_instance_gets_a_fraction() {
    let service = candidates(&[1; 10]).unwrap();
    let picker = build(StrategyName::power_of_two, &service, 1);
    let mut cx = PickContext::new(1);
    for slot in 0..10 {
        add_load(&service, Slot(slot), if slot == 0 { 10 } else { slot % 3 });
    }
    assert!((0..5000).all(|_| pick(&*picker, &mut cx) != Slot(0)));
}

#[test]
fn three_slow_of_ten_are_left_alone() {
    let fleet = Fleet::new(StrategyName::power_of_two, 10, 0.5).with(0..3, 2, 99, Fault::Slow(10.0));
    let report = fleet.run_all(0..4);
    // Two choices met three slow ones in 7 % of requests.
    for instance in 0..3 {
        let share = report.fair_share(instance, 4..10);
        assert!(share < 0.02, "{instance}: {share}");
    }
}

#[test]
fn who_fails_at_once_attracts_nothing_and_comes_back() {
    let mut fleet = Fleet::new(StrategyName::power_of_two, 10, 0.5).with(0..1, 2, 30, Fault::FailsAtOnce);
    // Neither ejection nor retries help.
    (fleet.ejects_at, fleet.retries, fleet.length) = (0, 0, seconds(60));
    let report = fleet.run_all(0..4);
    // Tried every 12 s, by four balancers.
    let trials: u64 = (6..30).map(|second| report.attempts(0, second)).sum();
    assert!((4..=12).contains(&trials), "{trials}");
    assert!(
        report.fair_share(0, 48..60) > 0.8,
        "{}",
        report.fair_share(0, 48..60)
    );
}

#[test]
fn who_was_slow_comes_back() {
    let mut fleet = Fleet::new(StrategyName::power_of_two, 10, 0.5).with(0..2, 2, 12, Fault::Slow(20.0));
    fleet.length = seconds(40);
    let report = fleet.run_all(0..4);
    assert!(
        report.fair_share(0, 5..12) < 0.1,
        "{}",
        report.fair_share(0, 5..12)
    );
    assert!(
        report.fair_share(0, 30..40) > 0.8,
        "{}",
        report.fair_share(0, 30..40)
    );
}

#[test]
fn weights_hold_while_the_choice_is_wide() {
    let mut fleet = Fleet::new(StrategyName::power_of_two, 10, 0.3).with(0..2, 0, 99, Fault::Slow(10.0));
    fleet.rate *= 0.5;
    fleet.backends[9].weight = 3;
    fleet.backends[9].workers = 6;
    let report = fleet.run_all(0..4);
    let ratio = report.fair_share(9, 4..10) / report.fair_share(5, 4..10);
    assert!((2.0..4.5).contains(&ratio), "{ratio}");
}
