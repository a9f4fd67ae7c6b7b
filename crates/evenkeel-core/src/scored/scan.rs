//! The least cost of all candidates, where a cost is requests in flight, with the one to be placed, times what a request
//! costs:
//!
//! `(in_flight + 1) × per_request`
//!
//! Requests in flight are live; what a request costs is noted by the strategy, whenever it likes. Both are dense: the
//! counters of a [`LoadBlock`] and beside them the notes (infinite where there is no candidate) are read block by block
//! into plain arrays, over which the arithmetic runs without a branch. Two notes share an atomic word as two counters do,
//! and for the same reason: a scan is bound by the number of atomic reads.

use std::sync::Arc;

use super::{Least, least_of_few};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{LoadBlock, Loads, Rng};

/// Slots that are looked at in a block with few candidates. Two fixed lengths, because loops of fixed length compile to
/// straight vector code.
const SHORT: usize = 16;

/// The candidates in one block of counters.
#[derive(Debug)]
struct Piece {
    block: Arc<LoadBlock>,
    /// Whether all candidates are among the first [`SHORT`] slots.
    short: bool,
    /// What a request costs, as f32 bits in pairs. Relaxed: each stands alone, and an old one does.
    notes: [AtomicU64; LoadBlock::LEN / 2],
    /// Which candidates these are, in their order.
    indexes: [u32; LoadBlock::LEN],
}

impl Piece {
    fn new(block: &Arc<LoadBlock>) -> Self {
        let nobody = u64::from(f32::INFINITY.to_bits());
        Self {
            block: Arc::clone(block),
            short: true,
            notes: std::array::from_fn(|_| AtomicU64::new(nobody << 32 | nobody)),
            indexes: [0; LoadBlock::LEN],
        }
    }

    /// Fills `ranks` with the costs of one request more, and returns the least.
    #[inline]
    fn rank(&self, ranks: &mut [f32; LoadBlock::LEN]) -> f32 {
        if self.short {
            self.rank_first::<SHORT>(ranks)
        } else {
            self.rank_first::<{ LoadBlock::LEN }>(ranks)
        }
    }

    #[inline]
    fn rank_first<const N: usize>(&self, ranks: &mut [f32]) -> f32 {
        let Some(ranks) = ranks.first_chunk_mut::<N>() else {
            return f32::INFINITY;
        };
        let loads = self.block.first::<N>();
        let mut notes = [0; N];
        for (pair, word) in notes.as_chunks_mut().0.iter_mut().zip(&self.notes) {
            let word = word.load(Relaxed);
            *pair = [word as u32, (word >> 32) as u32];
        }
        for i in 0..N {
            // Below 2^31; the conversion of signed numbers is the cheaper one.
            ranks[i] = (loads[i] + 1) as i32 as f32 * f32::from_bits(notes[i]);
        }
        // Eight at a time, since the order in which floats are compared is otherwise kept.
        let mut least = [f32::INFINITY; 8];
        for eight in ranks.as_chunks::<8>().0 {
            for (least, rank) in least.iter_mut().zip(eight) {
                *least = if rank < least { *rank } else { *least };
            }
        }
        least.into_iter().fold(f32::INFINITY, f32::min)
    }
}

/// All candidates.
#[derive(Debug)]
pub(crate) struct Scan {
    /// By number of block, those without candidates left out.
    pieces: Box<[Piece]>,
    /// By candidate, the piece and the place in it.
    places: Box<[(u32, u32)]>,
    /// By candidate.
    weights: Box<[u32]>,
    slots: Arc<[Slot]>,
    loads: Loads,
}

impl Scan {
    /// Every request costs `note`.
    pub(crate) fn new(candidates: &Candidates, note: f32) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut last = None;
        let mut places = Vec::with_capacity(candidates.len());
        for (index, slot) in (0..).zip(candidates.slots().iter()) {
            let (number, place) = (slot.0 as usize / LoadBlock::LEN, slot.0 as usize % LoadBlock::LEN);
            if last != Some(number) {
                // Candidates have counters; without one nothing is in flight.
                pieces.push(Piece::new(
                    candidates.loads().blocks().get(number).unwrap_or(&Arc::default()),
                ));
                last = Some(number);
            }
            if let Some(piece) = pieces.last_mut() {
                piece.short &= place < SHORT;
                piece.indexes[place] = index;
            }
            places.push((pieces.len() as u32 - 1, place as u32));
        }
        let scan = Self {
            pieces: pieces.into(),
            places: places.into(),
            weights: candidates.weights().collect(),
            slots: Arc::clone(candidates.slots()),
            loads: candidates.loads().clone(),
        };
        (0..scan.places.len()).for_each(|index| scan.note(index, note));
        scan
    }

    /// Notes what a request costs at a candidate, not negative. A note for its neighbour at the same moment may be lost.
    pub(crate) fn note(&self, index: usize, per_request: f32) {
        let (piece, place) = self.places[index];
        let word = &self.pieces[piece as usize].notes[place as usize / 2];
        let shift = place % 2 * 32;
        let others = word.load(Relaxed) & !(0xFFFF_FFFF << shift);
        word.store(others | u64::from(per_request.to_bits()) << shift, Relaxed);
    }

    /// What was noted of a candidate.
    #[inline]
    pub(crate) fn noted(&self, index: usize) -> f32 {
        let (piece, place) = self.places[index];
        let word = self.pieces[piece as usize].notes[place as usize / 2].load(Relaxed);
        f32::from_bits((word >> (place % 2 * 32)) as u32)
    }

    /// Requests in flight at a candidate.
    #[inline]
    pub(crate) fn load(&self, index: usize) -> u32 {
        self.loads.get(self.slots[index].0)
    }

    /// The candidate with the least cost, and that; equals share by weight. `None` without candidates. O(n), less than
    /// half a nanosecond each.
    pub(crate) fn least(&self, rng: &mut Rng) -> Option<(usize, f32)> {
        if let [piece] = &*self.pieces
            && piece.short
        {
            let mut ranks = [0.0; SHORT];
            piece.rank_first::<SHORT>(&mut ranks);
            // Nobody's rank is infinite, and so is none that is chosen.
            let weight = |place: usize| {
                let is_nobody = ranks[place] == f32::INFINITY;
                if is_nobody {
                    0
                } else {
                    self.weights[piece.indexes[place] as usize]
                }
            };
            let place = least_of_few(&ranks, weight, rng);
            return Some((piece.indexes[place] as usize, ranks[place]));
        }
        // The ranks of the chosen piece and of the one being read, in turn.
        let mut ranks = [[0.0; LoadBlock::LEN]; 2];
        let mut free = 0;
        let mut least = f32::INFINITY;
        let mut chosen = None;
        let mut tied = false;
        for piece in &self.pieces {
            let rank = piece.rank(&mut ranks[free]);
            if rank < least {
                (least, chosen, tied) = (rank, Some(piece), false);
                free = 1 - free;
            } else {
                tied |= rank == least;
            }
        }
        let piece = chosen?;
        let end = if piece.short { SHORT } else { LoadBlock::LEN };
        let ranks = &ranks[1 - free][..end];
        // The number of equals, and the sum of their places: of one, its place.
        let mut found = 0;
        for (place, rank) in (0..).zip(ranks) {
            found += if *rank == least { (1 << 16) + place } else { 0 };
        }
        if found >> 16 == 1 && !tied {
            return Some((piece.indexes[found as usize & 0xFFFF] as usize, least));
        }
        let first = ranks.iter().position(|rank| *rank == least)?;
        let tied = self.among_tied(least, rng);
        Some((tied.unwrap_or(piece.indexes[first] as usize), least))
    }

    /// One of those with a cost of `least`, or of less since it was reckoned; `None` when all have more since then.
    #[cold]
    fn among_tied(&self, least: f32, rng: &mut Rng) -> Option<usize> {
        let mut ranks = [0.0; LoadBlock::LEN];
        let mut chosen = Least::NONE;
        for piece in &self.pieces {
            if piece.rank(&mut ranks) > least {
                continue;
            }
            let end = if piece.short { SHORT } else { LoadBlock::LEN };
            for (rank, index) in ranks[..end].iter().zip(piece.indexes) {
                if *rank <= least {
                    let index = index as usize;
                    chosen.offer(least, index, self.weights[index], rng);
                }
            }
        }
        (chosen.cost == least).then_some(chosen.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Place, add_load, candidates_at};

    /// Candidates of weight `1 + place % 3` with holes between them.
    fn scan(n: usize) -> (Candidates, Scan) {
        let place = |place: usize| match place % 5 {
            0 => Place::Hole,
            1 => Place::Excluded(9),
            _ => Place::Candidate(1 + place as u32 % 3),
        };
        let places: Vec<Place> = (0..n).map(place).collect();
        let candidates = candidates_at(&places).unwrap();
        let scan = Scan::new(&candidates, 1.0);
        (candidates, scan)
    }

    #[test]
    fn the_least_is_found_wherever_it_is() {
        let mut rng = Rng::new(1);
        for n in [3, 16, 17, 64, 65, 200, 1000] {
            let (candidates, scan) = scan(n);
            for slot in candidates.slots().iter() {
                add_load(&candidates, *slot, 1 + rng.below(5));
            }
            for _ in 0..50 {
                for index in 0..candidates.len() {
                    scan.note(index, 1.0 + rng.below(1_000_000) as f32);
                }
                let cost = |index: usize| (scan.load(index) + 1) as f32 * scan.noted(index);
                let least = (0..candidates.len()).map(cost).fold(f32::INFINITY, f32::min);
                let (index, found) = scan.least(&mut rng).unwrap();
                assert_eq!((found, cost(index)), (least, least));
            }
        }
    }

    #[test]
    fn equals_share_by_weight() {
        let mut rng = Rng::new(1);
        for n in [8, 200] {
            let (candidates, scan) = scan(n);
            let mut counts = [0.0; 4];
            for _ in 0..10_000 {
                let (index, _) = scan.least(&mut rng).unwrap();
                counts[scan.weights[index] as usize] += 1.0;
            }
            let weights: Vec<f64> = candidates.weights().map(f64::from).collect();
            let total: f64 = weights.iter().sum();
            for weight in [1.0, 2.0, 3.0] {
                let share = weights.iter().filter(|own| **own == weight).sum::<f64>() / total;
                // Six deviations.
                assert!(
                    (counts[weight as usize] / 10_000.0 - share).abs() < 0.03,
                    "{n}: {counts:?}"
                );
            }
        }
    }

    #[test]
    fn without_candidates_there_is_no_least() {
        let candidates = candidates_at(&[Place::Hole, Place::Excluded(1)]).unwrap();
        assert_eq!(Scan::new(&candidates, 1.0).least(&mut Rng::new(1)), None);
        let (candidates, scan) = scan(8);
        let slots: Vec<Slot> = candidates.slots().to_vec();
        assert_eq!(slots, [2, 3, 4, 7].map(Slot));
        assert_eq!([scan.load(0), scan.load(3)], [0, 0]);
    }
}
