//! Power of two choices: distinct draws, the better one wins.

use evenkeel_core::testing::{add_load, candidates};
use evenkeel_core::{PickContext, Slot, StrategyName};

use crate::conformance::{build, pick};
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
