//! Candidates ranked by a key: rendezvous hashing (Thaler, Ravishankar, 1998; weighted: Schindelhauer,
//! Schomaker, 2005).
//!
//! Every candidate draws a number `u` in (0, 1] that the key and its id decide; the least `−ln(u) / w` wins.
//! Such a number is exponentially distributed with rate `w`, and the least of several is a given one's with
//! probability `w / Σw`. Ids are hashed beforehand, so that a draw is one multiplication. The logarithm is
//! taken only where it can matter: `−ln(u) ≥ 1 − u`, and whoever is beaten by that is beaten.

use std::sync::Arc;

use crate::hash::{HashSecret, mix};
use crate::view::{Candidates, Member, Slot};

/// Instances or regions, ready to be ranked.
#[derive(Debug)]
pub(crate) struct Ranking {
    entries: Box<[Entry]>,
    /// All weights are equal: the draws alone decide.
    even: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Two words of the id's hash; the second is odd.
    id: [u64; 2],
    /// 1 / weight.
    share: f64,
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
    /// Of whatever has a hash of its own and a weight, each under a number. O(n).
    pub(crate) fn new(ranked: impl IntoIterator<Item = (Slot, u64, f64)>) -> Self {
        let entries: Box<[Entry]> = ranked
            .into_iter()
            .map(|(slot, id, weight)| Entry {
                id: [id, mix(id) | 1],
                share: 1.0 / weight,
                slot,
            })
            .collect();
        Self {
            even: entries.windows(2).all(|pair| pair[0].share == pair[1].share),
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
        if !self.even {
            return self.first(hash, |_| true);
        }
        let hash = mix(hash);
        let (mut most, mut best) = (0, self.entries.first()?.slot);
        for entry in &self.entries {
            let draw = entry.draw(hash);
            // Two selections instead of a branch, which would be guessed wrong once for each new maximum.
            let beaten = draw >= most;
            most = if beaten { draw } else { most };
            best = if beaten { entry.slot } else { best };
        }
        Some(best)
    }

    /// The first in the order of `hash` that is `free`. O(n).
    #[inline]
    pub(crate) fn first(&self, hash: u64, free: impl Fn(Slot) -> bool) -> Option<Slot> {
        // Keys that differ in few bits (checksums) would draw alike.
        let hash = mix(hash);
        let mut best = None;
        if self.even {
            let mut most = 0;
            for entry in &self.entries {
                let draw = entry.draw(hash);
                if draw >= most && free(entry.slot) {
                    (most, best) = (draw, Some(entry.slot));
                }
            }
            return best;
        }
        let mut least = f64::INFINITY;
        for entry in &self.entries {
            let u = unit(entry.draw(hash));
            if (1.0 - u) * entry.share < least {
                let cost = minus_ln(u) * entry.share;
                if cost < least && free(entry.slot) {
                    (least, best) = (cost, Some(entry.slot));
                }
            }
        }
        best
    }
}

/// In (0, 1], 53 bits.
#[inline]
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// −ln(u) for u in (0, 1], to a relative error below 10^-8, by operations that IEEE 754 fixes to the last
/// bit. The logarithm of the platform's library is not the same everywhere, and picks must be.
fn minus_ln(u: f64) -> f64 {
    // u = m × 2^e with m in [√½, √2).
    let bits = u.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m − 1) / (m + 1)), |s| < 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    -(f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * s * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        let mut rng = crate::Rng::new(1);
        for _ in 0..100_000 {
            let u = unit(rng.next_u64() >> rng.below(64));
            let exact = -u.ln();
            assert!((minus_ln(u) - exact).abs() <= exact * 1e-8, "{u}");
        }
        assert_eq!(minus_ln(1.0), 0.0);
        assert!(unit(0) > 0.0 && unit(u64::MAX) == 1.0);
        assert!((0.0..100.0).contains(&minus_ln(unit(0))));
    }
}
