//! Least connections beside the obvious way to write it.

use evenkeel_core::testing::{Place, add_load, candidates, candidates_at};
use evenkeel_core::{Candidates, PickContext, Slot, StrategyName};
use proptest::prelude::*;

use crate::conformance::{build, pick};
use crate::statistics::assert_by_weight;

/// All slots whose load per weight is least, with their weights.
fn least(service: &Candidates) -> Vec<(Slot, u32)> {
    let entries = || service.slots().iter().copied().zip(service.weights());
    let load = |slot: Slot| u64::from(service.loads().get(slot.0));
    entries()
        .filter(|(a, w)| entries().all(|(b, v)| load(*a) * u64::from(v) <= load(b) * u64::from(*w)))
        .collect()
}

fn place() -> impl Strategy<Value = (Place, u32)> {
    let weight = prop_oneof![1u32..4, 1u32..=65_535];
    let load = prop_oneof![4 => 0u32..3, 1 => 0u32..100];
    (0..10u8, weight, load).prop_map(|(kind, weight, load)| match kind {
        0 => (Place::Hole, 0),
        1 | 2 => (Place::Excluded(weight), load),
        _ => (Place::Candidate(weight), load),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_pick_is_a_true_minimum(places in prop::collection::vec(place(), 1..400), equal: bool, seed: u64) {
        let kinds: Vec<Place> = places
            .iter()
            .map(|(place, _)| match place {
                Place::Candidate(_) if equal => Place::Candidate(5),
                other => *other,
            })
            .collect();
        let service = candidates_at(&kinds).unwrap();
        for (slot, (_, load)) in (0..).zip(&places) {
            add_load(&service, Slot(slot), *load);
        }
        let least: Vec<Slot> = least(&service).into_iter().map(|(slot, _)| slot).collect();
        let picker = build(StrategyName::least_connections, &service, seed);
        let mut cx = PickContext::new(seed);
        for _ in 0..20 {
            match picker.pick(&Default::default(), &mut cx) {
                Ok(slot) => prop_assert!(least.contains(&slot), "{slot:?} of {least:?}"),
                Err(_) => prop_assert!(service.is_empty()),
            }
        }
    }
}

#[test]
fn ties_are_shared_by_weight_across_blocks() {
    // In three and in ten blocks, few ties and many: every way to find them. The tied hold load in
    // proportion to their weight, the others one request more.
    for (slots, tie_every, equal) in [150, 600].into_iter().flat_map(|slots| {
        [
            (slots, 2, false),
            (slots, 2, true),
            (slots, 75, false),
            (slots, 75, true),
        ]
    }) {
        let weights: Vec<u32> = (0..slots).map(|i| if equal { 7 } else { 1 + i % 4 }).collect();
        let service = candidates(&weights).unwrap();
        for (slot, weight) in (0..).zip(&weights) {
            add_load(&service, Slot(slot), 3 * weight + u32::from(slot % tie_every > 0));
        }
        let tied = least(&service);
        assert_eq!(tied.len(), (slots / tie_every) as usize);
        let picker = build(StrategyName::least_connections, &service, 1);
        let mut cx = PickContext::new(1);
        let mut counts = vec![0; slots as usize];
        (0..20_000).for_each(|_| counts[pick(&*picker, &mut cx).0 as usize] += 1);
        let counts: Vec<u32> = tied.iter().map(|(slot, _)| counts[slot.0 as usize]).collect();
        let weights: Vec<u32> = tied.iter().map(|(_, weight)| *weight).collect();
        assert_eq!(counts.iter().sum::<u32>(), 20_000);
        assert_by_weight(&counts, &weights, "ties");
    }
}
