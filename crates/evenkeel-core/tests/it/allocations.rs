//! A pick allocates nothing, nor does the life of its lease.

use evenkeel_core::testing::{candidates, lease};
use evenkeel_core::{Nanos, Outcome, PickContext, PickRequest, Slot, StrategyName};

use crate::conformance::build;

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(Box::new(7))).count_total, 1);
}

#[test]
fn picks_and_leases_allocate_nothing() {
    let wide: Vec<u32> = (0..300).map(|i| 1 + i * 211).collect();
    for name in StrategyName::ALL {
        for weights in [vec![1; 10], vec![2; 200], (1..=100).collect(), wide.clone()] {
            let service = candidates(&weights).unwrap();
            let picker = build(*name, &service, 1);
            let mut cx = PickContext::new(1);
            let used = allocation_counter::measure(|| {
                for step in 0..1000 {
                    cx.now = Nanos::from_millis(step);
                    let request = PickRequest {
                        key: (step % 2 == 0).then_some(step << 40),
                        region: None,
                        tried: &[Slot(0), Slot(3)][..step as usize % 3],
                    };
                    let slot = picker.pick(&request, &mut cx).unwrap();
                    let lease = lease(&service, slot, cx.now).unwrap();
                    if step % 3 > 0 {
                        let outcome = Outcome::from_status(200 + 300 * (step % 2) as u16, cx.now);
                        let _ = lease.finish(&outcome, cx.now);
                    }
                }
            });
            assert_eq!(used.count_total, 0, "{name} with {} instances", weights.len());
        }
    }
}
