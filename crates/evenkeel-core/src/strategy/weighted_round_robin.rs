//! Each candidate in turn, as often as its weight, exactly and without bursts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::round_robin::Cycle;
use super::{Picker, Strategy};
use crate::view::{Candidates, Slot};

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct WeightedRoundRobin;

impl Strategy for WeightedRoundRobin {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let mut weights: Vec<u32> = candidates.weights().collect();
        let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
        weights.iter_mut().for_each(|w| *w /= divisor);
        let order = schedule(&weights);
        let slots = candidates.slots();
        Box::new(Cycle::new(
            order
                .into_iter()
                .map(|i| slots[i as usize])
                .collect::<Vec<Slot>>()
                .into(),
            seed,
        ))
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn schedule(weights: &[u32]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    let mut waiting: Vec<(u64, u32)> = Vec::new();
    for (index, weight) in weights.iter().enumerate() {
        let w = u64::from(*weight);
        waiting.extend((0..w).map(|turn| (turn * total / w, index as u32)));
    }
    waiting.sort_unstable();
    let mut taken = vec![0u64; weights.len()];
    let mut waiting = waiting.into_iter().peekable();
    let mut ready = BinaryHeap::new();
    let mut order = Vec::with_capacity(total as usize);
    for now in 0..total {
        while let Some((_, index)) = waiting.next_if(|(release, _)| *release <= now) {
            let w = u64::from(weights[index as usize]);
            taken[index as usize] += 1;
            ready.push(Reverse(((taken[index as usize] * total).div_ceil(w), index)));
        }
        if let Some(Reverse((_, index))) = ready.pop() {
            order.push(index);
        }
    }
    order
}
