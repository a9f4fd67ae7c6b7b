//! Least connections by health: who is idle because it fails must not look best.

use evenkeel_core::strategy::HealthAwareLeastConnections;
use evenkeel_core::testing::{add_load, candidates};
use evenkeel_core::{Candidates, HealthFactor, Nanos, PickContext, Picker, Slot, Strategy, StrategyName};

use crate::conformance::{build, pick};
use crate::health_weighted_round_robin::score;
use crate::statistics::assert_by_weight;

const NAME: StrategyName = StrategyName::health_aware_least_connections;

fn counts(picker: &dyn Picker, service: &Candidates, picks: u32) -> Vec<u32> {
    let mut cx = PickContext::new(1);
    let mut counts = vec![0; service.len()];
    (0..picks).for_each(|_| counts[pick(picker, &mut cx).0 as usize] += 1);
    counts
}

#[test]
fn an_idle_service_is_split_by_weight_and_health() {
    let service = candidates(&[2, 4, 10, 10]).unwrap();
    score(&service, &[1.0, 0.5, 0.2, 0.0]);
    let picker = build(NAME, &service, 1);
    let counts = counts(&*picker, &service, 30_000);
    // The last one at the floor of 0.1.
    assert_by_weight(&counts, &[2, 2, 2, 1], "weight × health");
}

#[test]
fn one_that_is_always_idle_because_it_fails_does_not_attract() {
    let service = candidates(&[1; 10]).unwrap();
    score(&service, &[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    (1..10).for_each(|slot| add_load(&service, Slot(slot), 3));
    let picker = build(NAME, &service, 1);
    let counts = counts(&*picker, &service, 10_000);
    // 0.1 of 9.1 of the proposals; in_flight / (weight × health) would send it everything.
    assert!((60..170).contains(&counts[0]), "{counts:?}");
    // Ten times the load of a healthy one is what it takes.
    (1..10).for_each(|slot| add_load(&service, Slot(slot), 10));
    let mut cx = PickContext::new(1);
    assert!((0..100).all(|_| pick(&*picker, &mut cx) == Slot(0)));
}

#[test]
fn the_least_score_wins_where_loads_differ() {
    let service = candidates(&[1, 1, 2]).unwrap();
    score(&service, &[1.0, 0.5, 1.0]);
    let picker = build(NAME, &service, 1);
    for (loads, best) in [([5, 2, 9], 2), ([4, 3, 9], 0), ([6, 1, 12], 1)] {
        for (slot, load) in (0..).zip(loads) {
            let load = load - service.loads().get(slot).min(load);
            add_load(&service, Slot(slot), load);
        }
        let loads: Vec<u32> = (0..3).map(|slot| service.loads().get(slot)).collect();
        let cost = |slot: usize| f64::from(loads[slot] + 1) / [1.0, 0.5, 2.0][slot];
        let least = (0..3).map(cost).fold(f64::INFINITY, f64::min);
        let counts = counts(&*picker, &service, 300);
        for slot in 0..3 {
            let stays = f64::from(loads[slot]) / [1.0, 0.5, 2.0][slot] < least;
            let may = cost(slot) == least || stays;
            assert!(may || counts[slot] == 0, "{loads:?}, about {best}: {counts:?}");
        }
    }
}

#[test]
fn of_two_alike_the_busier_is_never_picked() {
    let service = candidates(&[3, 3]).unwrap();
    add_load(&service, Slot(0), 1);
    let picker = build(NAME, &service, 1);
    assert_eq!(counts(&*picker, &service, 1000), [0, 1000]);
}

#[test]
fn a_score_counts_once_it_is_looked_at() {
    let service = candidates(&[1, 1]).unwrap();
    let picker = build(NAME, &service, 1);
    score(&service, &[1.0, 0.25]);
    picker.refresh(Nanos::from_secs(1));
    assert_by_weight(&counts(&*picker, &service, 10_000), &[4, 1], "looked at");
    assert_eq!(NAME.strategy().refresh_every(), Some(Nanos::from_secs(1)));
}

#[test]
fn extreme_weights_scores_and_loads_give_picks() {
    let service = candidates(&[65_535, 1, 1]).unwrap();
    score(&service, &[0.0, 0.0, f32::NAN]);
    for exponent in [1, 8, 255] {
        for floor in [0.0, 1.0, f64::NAN] {
            let strategy = HealthAwareLeastConnections {
                health: HealthFactor::new(floor, exponent),
            };
            let picker = strategy.build(&service, 1);
            let counts = counts(&*picker, &service, 1000);
            assert_eq!(counts.iter().sum::<u32>(), 1000);
        }
    }
}
