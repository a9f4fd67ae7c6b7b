//! Each candidate in turn, as often as its weight, exactly and without bursts.
//!
//! All workers take tickets from one counter, and the ticket alone decides the candidate. With `W` the
//! sum of the weights over their greatest common divisor, the order repeats every `W` tickets, so over
//! *any* `W` picks in a row, by however many workers, every candidate is picked exactly its weight. The
//! shared counter costs most of the pick's time; a counter per worker would make every worker exact on
//! its own and the sum of them wrong by up to the number of workers.
//!
//! Two forms, chosen by `W`:
//!
//! - **Schedule**, up to [`SCHEDULE_LIMIT`]: the order is computed beforehand and walked. Turn `j` of a
//!   candidate of weight `w` may stand from `⌊jW/w⌋` up to `⌈(j+1)W/w⌉`, and earliest deadline first
//!   always finds such an order (Baruah et al., "Proportionate progress", 1996). So at every point of
//!   the order each candidate's count is its ideal rounded down or up, and any `k` picks in a row hold
//!   at most one more than the ideal `kw/W` rounded up.
//! - **Tree** above that: `W` may reach 10^9 and more. Candidates of equal weight form a class, classes
//!   the leaves of a Huffman tree. At a node whose left side has weight `L` of `W`, ticket `s` goes left
//!   when `⌊(s+1)L/W⌋ > ⌊sL/W⌋`, as that side's ticket `⌊sL/W⌋`, otherwise right as ticket `s − ⌊sL/W⌋`
//!   (a balanced word of Sturm). Each node deviates by less than 1 and hands down a share of it: over
//!   random weights a count is at most 2.1 from its ideal. Memory is O(n), the build O(n log n), the pick
//!   O(log classes).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::round_robin::{Cycle, Ticket};
use super::{Picker, Strategy};
use crate::math::Divisor;
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest, Rng};

/// The longest order that is computed beforehand: 256 KiB and a few milliseconds to build.
const SCHEDULE_LIMIT: u64 = 65_536;

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightedRoundRobin;

impl Strategy for WeightedRoundRobin {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        in_turn(candidates.slots(), candidates.weights(), seed)
    }
}

/// Each of `slots` in turn, as often as its weight.
pub(super) fn in_turn(slots: &Arc<[Slot]>, weights: impl Iterator<Item = u32>, seed: u64) -> Box<dyn Picker> {
    let mut weights: Vec<u32> = weights.collect();
    let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    weights.iter_mut().for_each(|weight| *weight /= divisor);
    let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    if total == weights.len() as u64 {
        Box::new(Cycle::new(slots.clone(), seed))
    } else if total <= SCHEDULE_LIMIT {
        let order = schedule(&weights, total as u32);
        let slots = order.into_iter().map(|index| slots[index as usize]);
        Box::new(Cycle::new(slots.collect(), seed))
    } else {
        Box::new(Tree::new(slots, &weights, seed))
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Ends a list.
const NONE: u32 = u32::MAX;

/// The indexes of `weights`, each as often as its weight, in order of deadlines. O(total × log n).
fn schedule(weights: &[u32], total: u32) -> Vec<u32> {
    let mut order = Vec::with_capacity(total as usize);
    let mut turns = vec![0u32; weights.len()];
    // Candidates that wait for their next turn's earliest place, in one linked list per place.
    let mut waiting = vec![NONE; total as usize];
    let mut next = vec![NONE; weights.len()];
    let mut ready: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::with_capacity(weights.len());
    // `⌊turn × total / weight⌋` fits: a turn is at most its weight.
    let place =
        |turn: u32, weight: u32| (u64::from(turn) * u64::from(total)).div_euclid(weight.into()) as u32;
    let deadline =
        |turn: u32, weight: u32| (u64::from(turn) * u64::from(total)).div_ceil(weight.into()) as u32;
    ready.extend(
        (0..)
            .zip(weights)
            .map(|(index, w)| Reverse((deadline(1, *w), index))),
    );
    for now in 0..total {
        let mut index = waiting[now as usize];
        while index != NONE {
            let i = index as usize;
            ready.push(Reverse((deadline(turns[i] + 1, weights[i]), index)));
            index = next[i];
        }
        let Some(Reverse((_, index))) = ready.pop() else {
            // Not reached: work is always ready, because places are handed out as fast as they come.
            break;
        };
        order.push(index);
        let i = index as usize;
        turns[i] += 1;
        let from = place(turns[i], weights[i]).max(now + 1);
        if turns[i] < weights[i] && from < total {
            next[i] = waiting[from as usize];
            waiting[from as usize] = index;
        }
    }
    order
}

/// A side of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Class(u32),
    Node(u32),
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// `⌈2^64 × L / W⌉`: a multiplication finds `⌊sL/W⌋`, and its low half overflows on adding this
    /// when the next ticket's is greater. Rounding up moves a turn by less than one place and leaves
    /// the counts over `W` tickets as they are.
    share: u64,
    /// Right and left.
    sides: [Side; 2],
}

/// Candidates of equal weight, which take turns.
#[derive(Debug, Clone, Copy)]
struct Class {
    first: u32,
    count: Divisor,
}

#[derive(Debug)]
struct Tree {
    ticket: Ticket,
    total: Divisor,
    root: Side,
    nodes: Box<[Node]>,
    classes: Box<[Class]>,
    /// By class.
    slots: Box<[Slot]>,
}

impl Tree {
    fn new(slots: &[Slot], weights: &[u32], seed: u64) -> Self {
        let mut by_weight: BTreeMap<u32, Vec<Slot>> = BTreeMap::new();
        for (slot, weight) in slots.iter().zip(weights) {
            by_weight.entry(*weight).or_default().push(*slot);
        }
        let mut classes = Vec::with_capacity(by_weight.len());
        let mut sorted = Vec::with_capacity(slots.len());
        let mut heap = BinaryHeap::with_capacity(by_weight.len());
        for (weight, members) in by_weight {
            let count = members.len() as u64;
            heap.push(Reverse((
                u64::from(weight) * count,
                Side::Class(classes.len() as u32),
            )));
            classes.push(Class {
                first: sorted.len() as u32,
                count: Divisor::new(count),
            });
            sorted.extend(members);
        }
        let mut nodes = Vec::with_capacity(classes.len());
        let (mut total, mut root) = (1, Side::Class(0));
        while let Some(Reverse((weight, side))) = heap.pop() {
            (total, root) = (weight, side);
            if let Some(Reverse((other_weight, other))) = heap.pop() {
                let sum = weight + other_weight;
                heap.push(Reverse((sum, Side::Node(nodes.len() as u32))));
                nodes.push(Node {
                    share: (u128::from(weight) << 64).div_ceil(sum.into()) as u64,
                    sides: [other, side],
                });
            }
        }
        Self {
            ticket: Ticket::new(Rng::new(seed).below_u64(total)),
            total: Divisor::new(total),
            root,
            nodes: nodes.into(),
            classes: classes.into(),
            slots: sorted.into(),
        }
    }
}

impl Picker for Tree {
    fn pick(&self, _request: &PickRequest<'_>, _cx: &mut PickContext) -> Result<Slot, NoPick> {
        let (_, mut ticket) = self.total.div_rem(self.ticket.take());
        let mut side = self.root;
        while let Side::Node(index) = side {
            let node = &self.nodes[index as usize];
            let product = u128::from(ticket) * u128::from(node.share);
            let before = (product >> 64) as u64;
            let (_, goes_left) = (product as u64).overflowing_add(node.share);
            // Indexed rather than branched on: nothing could predict the way.
            ticket = [ticket - before, before][usize::from(goes_left)];
            side = node.sides[usize::from(goes_left)];
        }
        let Side::Class(index) = side else {
            return Err(NoPick::NoneEligible);
        };
        let class = self.classes[index as usize];
        let (_, place) = class.count.div_rem(ticket);
        Ok(self.slots[class.first as usize + place as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::candidates;

    fn order_of(weights: &[u32], picks: u64) -> Vec<u32> {
        let slots: Vec<Slot> = (0..weights.len() as u32).map(Slot).collect();
        let mut tree = Tree::new(&slots, weights, 0);
        tree.ticket = Ticket::new(0);
        let mut cx = PickContext::new(0);
        let mut pick = || tree.pick(&PickRequest::default(), &mut cx).unwrap().0;
        (0..picks).map(|_| pick()).collect()
    }

    /// The greatest distance of any candidate's count from its ideal, over all beginnings of `order`.
    fn deviation(order: &[u32], weights: &[u32]) -> f64 {
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0u32; weights.len()];
        let mut worst = 0f64;
        for (taken, index) in (1u32..).zip(order) {
            counts[*index as usize] += 1;
            for (count, weight) in counts.iter().zip(weights) {
                let ideal = f64::from(taken) * f64::from(*weight) / f64::from(total);
                worst = worst.max((f64::from(*count) - ideal).abs());
            }
        }
        worst
    }

    fn random_weights(rng: &mut Rng) -> Vec<u32> {
        let (n, limit) = (2 + rng.below(12), 1 + rng.below(60));
        (0..n).map(|_| 1 + rng.below(limit)).collect()
    }

    #[test]
    fn a_schedule_is_never_a_whole_pick_away_from_the_ideal() {
        let mut rng = Rng::new(3);
        for _ in 0..300 {
            let weights = random_weights(&mut rng);
            let total: u32 = weights.iter().sum();
            let order = schedule(&weights, total);
            let worst = deviation(&order, &weights);
            assert_eq!(order.len(), total as usize);
            assert!(worst < 1.0, "{weights:?}: {worst}");
        }
        assert_eq!(schedule(&[5, 1, 1], 7), [0, 0, 0, 1, 0, 0, 2]);
    }

    #[test]
    fn a_tree_is_exact_over_a_round_and_smooth_within() {
        let mut rng = Rng::new(4);
        let mut worst = 0f64;
        for _ in 0..300 {
            let weights = random_weights(&mut rng);
            let total: u32 = weights.iter().sum();
            let order = order_of(&weights, total.into());
            let mut counts = vec![0; weights.len()];
            order.iter().for_each(|index| counts[*index as usize] += 1);
            assert_eq!(counts, weights);
            worst = worst.max(deviation(&order, &weights));
        }
        // Seen: 2.06.
        assert!(worst < 2.5, "{worst}");
    }

    #[test]
    fn ten_thousand_instances_with_any_weights_are_exact() {
        let mut rng = Rng::new(5);
        let weights: Vec<u32> = (0..10_000).map(|_| 1 + rng.below(65_535)).collect();
        let slots: Vec<Slot> = (0..10_000).map(Slot).collect();
        let tree = Tree::new(&slots, &weights, 1);
        // A round of 3 × 10^8 picks is too long for a test; the tickets of a node are counted instead.
        let weight_of = |side: Side| match side {
            Side::Class(class) => {
                let class = tree.classes[class as usize];
                let slot = tree.slots[class.first as usize];
                let next = tree
                    .classes
                    .iter()
                    .map(|c| c.first)
                    .find(|first| *first > class.first);
                let count = next.unwrap_or(10_000) - class.first;
                u64::from(count) * u64::from(weights[slot.0 as usize])
            }
            Side::Node(_) => 0,
        };
        let mut sums: Vec<u64> = Vec::new();
        for node in &tree.nodes {
            let weight = |side| match side {
                Side::Node(index) => sums[index as usize],
                class => weight_of(class),
            };
            let (left, right) = (weight(node.sides[1]), weight(node.sides[0]));
            let handed_left = (u128::from(left + right) * u128::from(node.share)) >> 64;
            assert_eq!(handed_left, left.into());
            sums.push(left + right);
        }
        let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        assert_eq!(sums.last(), Some(&total));
    }

    #[test]
    fn the_form_does_not_show() {
        // One below and one above the limit, both exact over a round.
        for weights in [[65_535, 1].as_slice(), &[65_535, 2], &[40_000, 30_001]] {
            let total: u32 = weights.iter().sum();
            let picker = WeightedRoundRobin.build(&candidates(weights).unwrap(), 9);
            let mut cx = PickContext::new(0);
            let mut counts = vec![0; weights.len()];
            for _ in 0..total {
                counts[picker.pick(&PickRequest::default(), &mut cx).unwrap().0 as usize] += 1;
            }
            assert_eq!(counts, weights);
        }
    }
}
