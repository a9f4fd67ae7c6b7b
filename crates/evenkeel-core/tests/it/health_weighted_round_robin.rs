//! Round robin by weight and health: exact, smooth, and safe where scores are not.

use evenkeel_core::strategy::HealthWeightedRoundRobin;
use evenkeel_core::testing::candidates;
use evenkeel_core::{
    Candidates, HealthFactor, Nanos, PickContext, Picker, Share, Slot, Strategy, StrategyName,
};

use crate::conformance::{build, pick};

/// Sets the scores of the candidates, in slot order.
pub(crate) fn score(service: &Candidates, scores: &[f32]) {
    for (slot, score) in service.slots().iter().zip(scores) {
        service.member(*slot).unwrap().stats().set_health(*score);
    }
}

fn order(picker: &dyn Picker, picks: usize) -> Vec<usize> {
    let mut cx = PickContext::new(1);
    (0..picks).map(|_| pick(picker, &mut cx).0 as usize).collect()
}

/// The greatest distance of any count from its ideal, over all beginnings of `order`.
fn deviation(order: &[usize], shares: &[f64]) -> f64 {
    let total: f64 = shares.iter().sum();
    let mut counts = vec![0.0; shares.len()];
    let mut worst = 0f64;
    for (taken, index) in (1u32..).zip(order) {
        counts[*index] += 1.0;
        for (count, share) in counts.iter().zip(shares) {
            worst = worst.max((count - f64::from(taken) * share / total).abs());
        }
    }
    worst
}

#[test]
fn shares_are_weight_times_score_in_every_stretch() {
    for (weights, scores) in [
        (vec![1, 1, 1, 1], vec![1.0, 1.0, 1.0, 0.5]),
        (vec![1, 1], vec![0.25, 0.75]),
        (vec![5, 3, 1, 1, 2], vec![0.4, 1.0, 0.9, 0.6, 0.2]),
        (vec![2; 40], (1..=40).map(|i| i as f32 / 40.0).collect()),
    ] {
        let service = candidates(&weights).unwrap();
        score(&service, &scores);
        let picker = build(StrategyName::health_weighted_round_robin, &service, 3);
        let shares: Vec<f64> = weights
            .iter()
            .zip(&scores)
            .map(|(weight, score)| f64::from(*weight) * f64::from(score.max(0.1)))
            .collect();
        let worst = deviation(&order(&*picker, 4000), &shares);
        // Draws by chance would be off by about √1000 = 30. Seen: 2.3.
        assert!(worst < 3.0, "{weights:?} {scores:?}: {worst}");
    }
}

#[test]
fn a_score_counts_from_the_next_look_without_a_rebuild() {
    let service = candidates(&[1; 4]).unwrap();
    let picker = build(StrategyName::health_weighted_round_robin, &service, 3);
    let count = |slot| order(&*picker, 400).iter().filter(|at| **at == slot).count();
    assert_eq!(count(2), 100);
    score(&service, &[1.0, 1.0, 0.1, 1.0]);
    picker.refresh(Nanos::ZERO);
    // 400 × 0.1 / 3.1.
    assert!((12..=14).contains(&count(2)));
    score(&service, &[1.0; 4]);
    picker.refresh(Nanos::ZERO);
    assert_eq!(count(2), 100);
}

#[test]
fn a_score_of_0_gets_the_floor_and_no_more() {
    let service = candidates(&[1; 10]).unwrap();
    score(&service, &[0.0]);
    let with = |min_health, exponent| {
        let strategy = HealthWeightedRoundRobin {
            health: HealthFactor::new(min_health, exponent),
        };
        let picker = strategy.build(&service, 1);
        order(&*picker, 9100).iter().filter(|at| **at == 0).count()
    };
    assert!((99..=101).contains(&with(0.1, 1)), "{}", with(0.1, 1));
    // A quarter squared is a sixteenth; less than a 64th there is not.
    assert!((62..=64).contains(&with(0.25, 2)), "{}", with(0.25, 2));
    assert!((14..=18).contains(&with(0.01, 8)), "{}", with(0.01, 8));
}

#[test]
fn when_everyone_is_sick_alike_nobody_is_left_out() {
    for sick in [0.5, 0.1, 0.0] {
        let service = candidates(&[1; 100]).unwrap();
        score(&service, &[sick; 100]);
        let picker = build(StrategyName::health_weighted_round_robin, &service, 3);
        let order = order(&*picker, 5000);
        for slot in 0..100 {
            let count = order.iter().filter(|at| **at == slot).count();
            assert!((47..=53).contains(&count), "{slot}: {count}");
        }
    }
}

#[test]
fn shares_of_the_stages_count_too() {
    let service = candidates(&[4, 1]).unwrap();
    let service = service.with_shares(&[Share::of(0.25), Share::FULL]);
    let picker = build(StrategyName::health_weighted_round_robin, &service, 3);
    assert_eq!(order(&*picker, 100).iter().filter(|at| **at == 0).count(), 50);
    service.member(Slot(1)).unwrap().stats().set_health(0.5);
    picker.refresh(Nanos::ZERO);
    let count = order(&*picker, 300).iter().filter(|at| **at == 0).count();
    assert!((199..=201).contains(&count), "{count}");
}
