//! Weighted round robin: exact over any window, by any number of threads.

use evenkeel_core::testing::candidates;
use evenkeel_core::{PickContext, StrategyName};
use proptest::prelude::*;

use crate::conformance::{build, pick};

/// The picks that follow, as indexes.
fn picks(weights: &[u32], seed: u64, count: u32) -> Vec<usize> {
    let service = candidates(weights).unwrap();
    let picker = build(StrategyName::weighted_round_robin, &service, seed);
    let mut cx = PickContext::new(seed);
    (0..count).map(|_| pick(&*picker, &mut cx).0 as usize).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// Every window of a round holds every instance exactly its weight; every shorter one at most one more
    /// than its ideal rounded up, and at least one less than its ideal rounded down.
    #[test]
    fn windows_are_exact_and_without_bursts(
        weights in prop::collection::vec(1u32..30, 1..12),
        factor in 1u32..100,
        length in 1u32..400,
        seed: u64,
    ) {
        let scaled: Vec<u32> = weights.iter().map(|w| w * factor).collect();
        let round: u32 = weights.iter().sum();
        let order = picks(&scaled, seed, 3 * round + length);
        for window in [round, length] {
            let mut counts = vec![0u32; weights.len()];
            order[..window as usize].iter().for_each(|i| counts[*i] += 1);
            for end in window as usize..order.len() {
                for (count, weight) in counts.iter().zip(&weights) {
                    let ideal = f64::from(window * weight) / f64::from(round);
                    prop_assert!(f64::from(*count) <= ideal.ceil() + 1.0);
                    prop_assert!(f64::from(*count) >= ideal.floor() - 1.0);
                }
                if window == round {
                    prop_assert_eq!(&counts, &weights);
                }
                counts[order[end]] += 1;
                counts[order[end - window as usize]] -= 1;
            }
        }
    }
}

#[test]
fn a_heavy_one_among_many_light_ones_is_never_starved_nor_bursting() {
    let mut weights = vec![1; 101];
    weights[50] = 100;
    let order = picks(&weights, 3, 600);
    for window in order.windows(10) {
        let heavy = window.iter().filter(|i| **i == 50).count();
        assert!((4..=6).contains(&heavy), "{heavy} of 10");
    }
}

#[test]
fn threads_share_one_order() {
    const THREADS: u32 = 4;
    // The second is too wide for a schedule: 101 weights of 701 and 699.
    let wide: Vec<u32> = (0..101).map(|i| 701 - 2 * (i % 2)).collect();
    for (weights, rounds) in [(vec![5, 1, 1, 3, 7, 11], 400), (wide, 4)] {
        let service = candidates(&weights).unwrap();
        let picker = build(StrategyName::weighted_round_robin, &service, 1);
        let round: u32 = weights.iter().sum();
        let worker = || {
            let mut cx = PickContext::new(0);
            let mut counts = vec![0u32; weights.len()];
            for _ in 0..round * rounds / THREADS {
                counts[pick(&*picker, &mut cx).0 as usize] += 1;
            }
            counts
        };
        let mut total = vec![0; weights.len()];
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
            for worker in workers {
                for (sum, count) in total.iter_mut().zip(worker.join().unwrap()) {
                    *sum += count;
                }
            }
        });
        let expected: Vec<u32> = weights.iter().map(|w| w * rounds).collect();
        assert_eq!(total, expected);
    }
}

#[test]
fn the_seed_decides_where_the_order_begins() {
    let firsts: std::collections::BTreeSet<usize> = (0..64).map(|seed| picks(&[1; 8], seed, 1)[0]).collect();
    assert!(firsts.len() > 4, "{firsts:?}");
}
