//! The candidate with the fewest requests in flight per weight, over all candidates; ties are shared
//! by weight, so an idle service splits by weight and never leans on its first instance.
//!
//! The dense counters of [`LoadBlock`] are read block by block into a buffer of 64 ranks
//! (`in_flight / weight`, the greatest for slots that are no candidates). The arithmetic then runs over
//! plain arrays without a branch that depends on a load, since loads of a lightly used service are
//! zeros and ones that no predictor learns: one pass for the block's least rank and, only where that
//! equals the least so far, one for the weight that shares it. A draw decides whether the tie moves to
//! this block; its buffer is kept, so the choice is made from the very values that were compared.
//! With many blocks the second pass is the dearer one, and a draw from all candidates that has the least
//! rank replaces it: by its condition it is a draw from the tied.
//!
//! Ranks are `f32` quotients because that division rounds correctly: equal ratios have equal ranks, and different ones
//! differ as long as in-flight × weight stays below 2^23. Beyond that, instances whose loads per weight
//! are within one part in eight million count as tied.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::load::LoadBlock;
use crate::math::Alias;
use crate::view::{Candidates, Slot};
use crate::{Loads, NoPick, PickContext, PickRequest, Rng};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeastConnections;

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

/// Loads are below 2^31, so both conversions keep them. Floats that are not negative have the order of
/// their bits.
#[inline]
fn rank<const EQUAL: bool>(load: u32, weight: i32) -> i32 {
    if EQUAL {
        load as i32
    } else {
        (load as i32 as f32 / weight as f32).to_bits() as i32
    }
}

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
            ranks[i] = rank::<EQUAL>(loads[i], self.weights[i]) | self.bar[i];
            least = least.min(ranks[i]);
        }
        least
    }

    /// The weight of all slots with this rank, at most 64 × 65,535.
    #[inline]
    fn tied<const EQUAL: bool>(&self, ranks: &Ranks, rank: i32) -> u64 {
        if self.short {
            self.tied_first::<EQUAL, SHORT>(ranks, rank)
        } else {
            self.tied_first::<EQUAL, { LoadBlock::LEN }>(ranks, rank)
        }
    }

    #[inline]
    fn tied_first<const EQUAL: bool, const N: usize>(&self, ranks: &Ranks, rank: i32) -> u64 {
        let mut sum = 0;
        for (at, weight) in ranks[..N].iter().zip(&self.weights[..N]) {
            let weight = if EQUAL { 1 } else { *weight };
            sum += if *at == rank { weight } else { 0 };
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

/// From this many pieces on, a tie is looked for by drawing candidates before it is counted.
const MANY: usize = 4;
/// Such draws. Ties are counted when all fail; then they are rare, hence in few pieces.
const DRAWS: usize = 16;
/// Pieces whose least rank a pick remembers between its two passes: 16,384 slots.
const REMEMBERED: usize = 256;

#[derive(Debug)]
struct Scan<const EQUAL: bool> {
    pieces: Box<[Piece]>,
    loads: Loads,
    candidates: Box<[(Slot, i32)]>,
    /// Draws an index of `candidates` by weight; for many pieces only.
    table: Option<Alias>,
}

impl<const EQUAL: bool> Scan<EQUAL> {
    fn new(candidates: &Candidates) -> Self {
        // Equal weights share ties evenly, whatever they are.
        let weights = candidates
            .weights()
            .map(|weight| if EQUAL { 1 } else { weight as i32 });
        let list: Box<[(Slot, i32)]> = candidates.slots().iter().copied().zip(weights).collect();
        let mut pieces: Vec<Piece> = Vec::new();
        for &(slot, weight) in &list {
            let number = slot.0 as usize / LoadBlock::LEN;
            let base = (number * LoadBlock::LEN) as u32;
            let Some(block) = candidates.loads().blocks().get(number) else {
                continue;
            };
            if pieces.last().is_none_or(|piece| piece.base != base) {
                pieces.push(Piece::new(block, base));
            }
            if let Some(piece) = pieces.last_mut() {
                piece.admit((slot.0 - base) as usize, weight);
            }
        }
        let labels = (0..).zip(list.iter().map(|(_, weight)| *weight as u32));
        Self {
            table: (pieces.len() >= MANY).then(|| Alias::new(labels)),
            pieces: pieces.into(),
            loads: candidates.loads().clone(),
            candidates: list,
        }
    }

    /// The least of `pieces`, a tie shared by weight.
    #[inline]
    fn least<'a>(&self, pieces: impl Iterator<Item = &'a Piece>, rng: &mut Rng) -> Option<Slot> {
        // The ranks of the chosen piece and of the one being read, in turn.
        let mut ranks = [[0; LoadBlock::LEN]; 2];
        let mut free = 0;
        let mut least = i32::MAX;
        let mut tied = 0;
        let mut chosen = None;
        for piece in pieces {
            let rank = piece.rank::<EQUAL>(&mut ranks[free]);
            if rank > least {
                continue;
            }
            if rank < least {
                least = rank;
                tied = 0;
            }
            let weight = piece.tied::<EQUAL>(&ranks[free], rank);
            tied += weight;
            // Uniform in 0..tied: below `weight` with this block's share, and uniform there too.
            let place = rng.below_u64(tied);
            if place < weight {
                chosen = Some((piece, place));
                free = 1 - free;
            }
        }
        let (piece, place) = chosen?;
        Some(piece.find(&ranks[1 - free], least, place))
    }

    /// The same for many pieces: the least rank first, then draws by weight from all candidates until
    /// one has it, which is a draw by weight from the tied. A lightly used service has many of those.
    fn least_of_many(&self, table: &Alias, rng: &mut Rng) -> Option<Slot> {
        let mut ranks = [0; LoadBlock::LEN];
        let mut leasts = [i32::MAX; REMEMBERED];
        let mut least = i32::MAX;
        for (index, piece) in self.pieces.iter().enumerate() {
            let rank = piece.rank::<EQUAL>(&mut ranks);
            least = least.min(rank);
            if let Some(remembered) = leasts.get_mut(index) {
                *remembered = rank;
            }
        }
        for _ in 0..DRAWS {
            let (slot, weight) = self.candidates[table.draw(rng.next_u64())? as usize];
            if rank::<EQUAL>(self.loads.get(slot.0), weight) <= least {
                return Some(slot);
            }
        }
        let leasts = leasts.iter().map(Some).chain(std::iter::repeat(None));
        let tied = self
            .pieces
            .iter()
            .zip(leasts)
            .filter(|(_, at)| at.is_none_or(|at| *at == least));
        self.least(tied.map(|(piece, _)| piece), rng)
    }
}

impl<const EQUAL: bool> Picker for Scan<EQUAL> {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let slot = match &self.table {
            None => self.least(self.pieces.iter(), &mut cx.rng),
            Some(table) => self.least_of_many(table, &mut cx.rng),
        };
        slot.ok_or(NoPick::NoneEligible)
    }
}
