//! The candidate with the fewest requests in flight per weight, over all candidates; ties are shared
//! by weight, so an idle service splits by weight and never leans on its first instance.
//!
//! The dense counters of [`LoadBlock`] are read block by block into a buffer of 64 ranks
//! (`in_flight / weight`, the greatest for slots that are no candidates). All arithmetic then runs over
//! plain arrays without a branch that depends on a load, since loads of a lightly used service are
//! zeros and ones that no predictor learns: one pass for the block's least rank and, only where that
//! equals the least so far, one for the weight that shares it. A draw decides whether the tie moves to
//! this block; its buffer is kept, so the choice is made from the very values that were compared.
//!
//! Ranks are `f32` quotients because that division rounds correctly: equal ratios have equal ranks, and different ones
//! differ as long as in-flight × weight stays below 2^23. Beyond that, instances whose loads per weight
//! are within one part in eight million count as tied.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::load::LoadBlock;
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct LeastConnections;

impl Strategy for LeastConnections {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let mut weights = candidates.weights();
        let first = weights.next();
        let equal = weights.all(|weight| Some(weight) == first);
        if equal {
            Box::new(Scan::<true>::new(candidates))
        } else {
            Box::new(Scan::<false>::new(candidates))
        }
    }
}

/// Slots that are looked at in a block with few candidates. Two fixed lengths, because loops of fixed
/// length compile to straight vector code.
const SHORT: usize = 16;

/// `in_flight / weight` of the slots of a block, as integers of the same order.
type Ranks = [i32; LoadBlock::LEN];

/// The candidates in one block of counters.
#[derive(Debug)]
struct Piece {
    block: Arc<LoadBlock>,
    /// The slot of the first counter.
    base: u32,
    /// Whether all candidates are among the first [`SHORT`] slots.
    short: bool,
    /// 0 for a candidate, the greatest rank for any other slot.
    bar: Ranks,
    /// 1 where there is no candidate.
    weights: [i32; LoadBlock::LEN],
}

impl Piece {
    fn new(block: &Arc<LoadBlock>, base: u32) -> Self {
        Self {
            block: Arc::clone(block),
            base,
            short: true,
            bar: [i32::MAX; LoadBlock::LEN],
            weights: [1; LoadBlock::LEN],
        }
    }

    fn admit(&mut self, index: usize, weight: i32) {
        self.short &= index < SHORT;
        self.bar[index] = 0;
        self.weights[index] = weight;
    }

    /// Fills `ranks` and returns the least. `EQUAL` leaves out the division.
    #[inline]
    fn rank<const EQUAL: bool>(&self, ranks: &mut Ranks) -> i32 {
        if self.short {
            self.rank_first::<EQUAL, SHORT>(ranks)
        } else {
            self.rank_first::<EQUAL, { LoadBlock::LEN }>(ranks)
        }
    }

    #[inline]
    fn rank_first<const EQUAL: bool, const N: usize>(&self, ranks: &mut Ranks) -> i32 {
        let loads = self.block.first::<N>();
        let mut least = i32::MAX;
        for i in 0..N {
            // Loads are below 2^31, so both conversions keep them. Floats that are not negative have
            // the order of their bits.
            let rank = if EQUAL {
                loads[i] as i32
            } else {
                (loads[i] as i32 as f32 / self.weights[i] as f32).to_bits() as i32
            };
            ranks[i] = rank | self.bar[i];
            least = least.min(ranks[i]);
        }
        least
    }

    /// The weight of all slots with this rank, at most 64 × 65,535.
    #[inline]
    fn tied(&self, ranks: &Ranks, rank: i32) -> u64 {
        if self.short {
            self.tied_first::<SHORT>(ranks, rank)
        } else {
            self.tied_first::<{ LoadBlock::LEN }>(ranks, rank)
        }
    }

    #[inline]
    fn tied_first<const N: usize>(&self, ranks: &Ranks, rank: i32) -> u64 {
        let mut sum = 0;
        for (at, weight) in ranks[..N].iter().zip(&self.weights[..N]) {
            sum += if *at == rank { *weight } else { 0 };
        }
        sum as u64
    }

    /// The slot with this rank in whose weight `place` lies, counting from the first.
    #[inline]
    fn find(&self, ranks: &Ranks, rank: i32, place: u64) -> Slot {
        let mut place = place as i32;
        for (index, (&at, &weight)) in (0..).zip(ranks.iter().zip(&self.weights)) {
            place -= if at == rank { weight } else { 0 };
            if place < 0 {
                return Slot(self.base + index);
            }
        }
        // Not reached: `place` is below the sum of the weights.
        Slot(self.base)
    }
}

#[derive(Debug)]
struct Scan<const EQUAL: bool> {
    pieces: Box<[Piece]>,
}

impl<const EQUAL: bool> Scan<EQUAL> {
    fn new(candidates: &Candidates) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for (slot, weight) in candidates.slots().iter().zip(candidates.weights()) {
            let number = slot.0 as usize / LoadBlock::LEN;
            let base = (number * LoadBlock::LEN) as u32;
            let Some(block) = candidates.loads().blocks().get(number) else {
                continue;
            };
            if pieces.last().is_none_or(|piece| piece.base != base) {
                pieces.push(Piece::new(block, base));
            }
            if let Some(piece) = pieces.last_mut() {
                // Equal weights share ties evenly, whatever they are.
                let weight = if EQUAL { 1 } else { weight as i32 };
                piece.admit((slot.0 - base) as usize, weight);
            }
        }
        Self {
            pieces: pieces.into(),
        }
    }
}

impl<const EQUAL: bool> Picker for Scan<EQUAL> {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        // The ranks of the chosen piece and of the one being read, in turn.
        let mut ranks = [[0; LoadBlock::LEN]; 2];
        let mut free = 0;
        let mut least = i32::MAX;
        let mut tied = 0;
        let mut chosen = None;
        for piece in &self.pieces {
            let rank = piece.rank::<EQUAL>(&mut ranks[free]);
            if rank > least {
                continue;
            }
            if rank < least {
                least = rank;
                tied = 0;
            }
            let weight = piece.tied(&ranks[free], rank);
            tied += weight;
            // Uniform in 0..tied: below `weight` with this block's share, and uniform there too.
            let place = cx.rng.below_u64(tied);
            if place < weight {
                chosen = Some((piece, place));
                free = 1 - free;
            }
        }
        let (piece, place) = chosen.ok_or(NoPick::NoneEligible)?;
        Ok(piece.find(&ranks[1 - free], least, place))
    }
}
