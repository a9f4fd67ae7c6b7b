//! Candidates ranked by a key: rendezvous hashing (Thaler, Ravishankar, 1998; weighted: Schindelhauer,
//! Schomaker, 2005).
//!
//! Every candidate draws a number `u` in (0, 1] that the key and its id decide; the least `−ln(u) / w` wins.
//! Such a number is exponentially distributed with rate `w`, and the least of several is a given one's with
//! probability `w / Σw`. Ids are hashed beforehand, so that a draw is one multiplication. The logarithm is
//! taken only where it can matter: `−ln(u) ≥ 1 − u`, and whoever is beaten by that is beaten. Among equal weights the
//! greatest `u` wins, so candidates are kept in classes of equal weight, and only the first of each is weighed, if it is
//! great enough.

use std::hint::select_unpredictable;
use std::sync::Arc;

use crate::hash::{HashSecret, mix};
use crate::math::minus_ln;
use crate::view::{Candidates, Member, Slot};

/// How long classes are on average where going by them pays.
const LONG: usize = 8;

/// Instances or regions, ready to be ranked.
#[derive(Debug)]
pub(crate) struct Ranking {
    /// By falling weight.
    entries: Box<[Entry]>,
    /// How many have the same weight: among them the draws alone decide.
    classes: Box<[u32]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Two words of the id's hash; the second is odd.
    id: [u64; 2],
    /// [`STEP`] over the weight: what a step away from 1 costs.
    step: f64,
    slot: Slot,
}

impl Entry {
    /// The draw of this candidate for `hash`: 64 bits, of which `u` is the upper 53.
    #[inline]
    fn draw(&self, hash: u64) -> u64 {
        let product = u128::from(hash ^ self.id[0]) * u128::from(self.id[1]);
        (product >> 64) as u64 ^ product as u64
    }
}

impl Ranking {
    /// Of whatever has a hash of its own and a weight, each under a number. O(n log n).
    pub(crate) fn new(ranked: impl IntoIterator<Item = (Slot, u64, f64)>) -> Self {
        let mut entries: Box<[Entry]> = ranked
            .into_iter()
            .map(|(slot, id, weight)| Entry {
                id: [id, mix(id) | 1],
                step: STEP / weight,
                slot,
            })
            .collect();
        entries.sort_by(|one, other| one.step.total_cmp(&other.step));
        let classes = entries.chunk_by(|one, other| one.step == other.step);
        Self {
            classes: classes.map(|class| class.len() as u32).collect(),
            entries,
        }
    }

    /// Of the candidates. O(n).
    pub(crate) fn of_candidates(candidates: &Candidates, secret: &HashSecret) -> Self {
        let slots = candidates.slots().iter();
        Self::of(
            slots.filter_map(|slot| Some((*slot, candidates.member(*slot)?))),
            secret,
        )
    }

    /// Of all members, candidates or not. O(n).
    pub(crate) fn of_members(candidates: &Candidates, secret: &HashSecret) -> Self {
        let members = (0..).zip(candidates.members().iter());
        Self::of(
            members.filter_map(|(slot, member)| Some((Slot(slot), member.as_ref()?))),
            secret,
        )
    }

    fn of<'m>(members: impl Iterator<Item = (Slot, &'m Arc<Member>)>, secret: &HashSecret) -> Self {
        Self::new(members.map(|(slot, member)| {
            let instance = member.instance();
            let id = secret.hash(instance.id.as_str().as_bytes());
            (slot, id, f64::from(instance.weight.get()))
        }))
    }

    /// The first in the order of `hash`. O(n).
    #[inline]
    pub(crate) fn owner(&self, hash: u64) -> Option<Slot> {
        if self.classes.len() > 1 && self.classes.len() * LONG > self.entries.len() {
            return self.first(hash, |_| true);
        }
        let hash = mix(hash);
        let mut best = Best::NONE;
        let mut rest = &*self.entries;
        for length in &self.classes {
            let (class, others) = rest.split_at_checked(*length as usize)?;
            rest = others;
            let step = class.first()?.step;
            if let Some((draw, slot)) = greatest(class, hash, best.draw_to_beat(step)) {
                if self.classes.len() == 1 {
                    return Some(slot);
                }
                best.offer(draw, step, || Some(slot));
            }
        }
        best.slot
    }

    /// The first in the order of `hash` that is `free`. O(n).
    #[inline]
    pub(crate) fn first(&self, hash: u64, free: impl Fn(Slot) -> bool) -> Option<Slot> {
        // Keys that differ in few bits (checksums) would draw alike.
        let hash = mix(hash);
        let mut best = Best::NONE;
        for entry in &self.entries {
            best.offer(entry.draw(hash), entry.step, || {
                free(entry.slot).then_some(entry.slot)
            });
        }
        best.slot
    }
}

/// The greatest draw of a class that is at least `most`, and whose it is.
#[inline(always)]
fn greatest(class: &[Entry], hash: u64, mut most: u64) -> Option<(u64, Slot)> {
    let mut first = None;
    // Four at a time: a branch on each would be guessed wrong for every new greatest.
    let (fours, rest) = class.as_chunks::<4>();
    for four in fours {
        let draws = [0, 1, 2, 3].map(|i| four[i].draw(hash));
        let [a, b] = [draws[0].max(draws[1]), draws[2].max(draws[3])];
        if a.max(b) >= most {
            most = a.max(b);
            let half = select_unpredictable(b > a, 2, 0);
            first = Some(four[half + usize::from(draws[half + 1] > draws[half])].slot);
        }
    }
    for entry in rest {
        let draw = entry.draw(hash);
        if draw >= most {
            (most, first) = (draw, Some(entry.slot));
        }
    }
    Some((most, first?))
}

/// The least cost so far and whose it is.
struct Best {
    cost: f64,
    slot: Option<Slot>,
}

impl Best {
    const NONE: Self = Self {
        cost: f64::INFINITY,
        slot: None,
    };

    /// No draw below this costs less at a weight of such a step.
    #[inline(always)]
    fn draw_to_beat(&self, step: f64) -> u64 {
        let steps = self.cost / step;
        if steps < (1u64 << 52) as f64 {
            !((steps as i64 as u64 + 2) << 11)
        } else {
            0
        }
    }

    /// Takes `slot`, if it is one, when its draw is the better.
    #[inline(always)]
    fn offer(&mut self, draw: u64, step: f64, slot: impl FnOnce() -> Option<Slot>) {
        if steps(draw) * step < self.cost {
            // Exactly over the weight, as STEP is a power of two.
            let cost = minus_ln(unit(draw)) * (step * (1.0 / STEP));
            if cost < self.cost
                && let Some(slot) = slot()
            {
                (self.cost, self.slot) = (cost, Some(slot));
            }
        }
    }
}

/// 2^-53.
const STEP: f64 = 1.0 / (1u64 << 53) as f64;

/// In (0, 1], 53 bits.
#[inline]
fn unit(bits: u64) -> f64 {
    // The conversion of signed numbers is the cheaper one.
    ((bits >> 11) + 1) as i64 as f64 * STEP
}

/// 1 less that, exactly, in steps of [`STEP`].
#[inline]
fn steps(bits: u64) -> f64 {
    (!bits >> 11) as i64 as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_change_no_owner() {
        let mut rng = crate::Rng::new(3);
        for (n, weights) in [(1, 1), (3, 2), (9, 1), (40, 3), (200, 100), (500, 7)] {
            let weighed = |slot| (Slot(slot), rng.next_u64(), f64::from(1 + rng.below(weights)));
            let ranking = Ranking::new((0..n).map(weighed).collect::<Vec<_>>());
            for _ in 0..2000 {
                let hash = rng.next_u64();
                assert_eq!(ranking.owner(hash), ranking.first(hash, |_| true));
            }
        }
        assert_eq!(Ranking::new([]).owner(7), None);
    }

    #[test]
    fn draws_are_in_their_range() {
        assert!(unit(0) > 0.0 && unit(u64::MAX) == 1.0);
        for bits in [0, 1 << 11, 12_345 << 13, 1 << 63, u64::MAX] {
            assert_eq!(steps(bits) * STEP, 1.0 - unit(bits));
        }
        assert!((0.0..100.0).contains(&minus_ln(unit(0))));
    }
}
