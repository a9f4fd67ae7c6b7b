//! The candidate with the least combined score of load and health, over all candidates:
//!
//! `score = (in_flight + 1) / (weight × max(health, min_health)^exponent)`
//!
//! `in_flight` is live and exact, `health` (0..=1) is what the service's writer last made of all evidence. The one more
//! is the request to be placed, so that an idle instance of health 0.1 is as dear as a healthy one with nine
//! requests: without it, an instance that fails at once is always idle and takes everything.
//!
//! The one more alone would send all of a calm service to its heaviest instance. So the pick begins with a proposal by
//! weight and health, which stays unless another would be better off with one request more (see
//! [`crate::scored`]): an idle service is split by `weight × health`, a busy one by the least score. Equals share by
//! weight.
//!
//! O(1) when the proposal is idle, else O(n): the dense counters of [`LoadBlock`] and beside them what a request costs
//! (`1 / (weight × health)`, renewed every second, as scores are; infinite where there is no candidate) are read block
//! by block into plain arrays, over which the arithmetic runs without a branch.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::scored::{Entry, Field, HealthFactor, Least};
use crate::sync::{AtomicU32, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{LoadBlock, Nanos, NoPick, PickContext, PickRequest, Rng};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthAwareLeastConnections {
    /// What a score is worth.
    pub health: HealthFactor,
}

impl Strategy for HealthAwareLeastConnections {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let field = Field::new(candidates);
        let mut pieces: Vec<Piece> = Vec::new();
        for (index, entry) in (0..).zip(field.entries()) {
            let number = entry.slot.0 as usize / LoadBlock::LEN;
            while pieces.len() <= number {
                pieces.push(Piece::new(candidates.loads().blocks().get(pieces.len())));
            }
            pieces[number].indexes[entry.slot.0 as usize % LoadBlock::LEN] = index;
        }
        let scan = Scan {
            field,
            pieces: pieces.into(),
            settings: self.clone(),
        };
        scan.renew();
        Box::new(scan)
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(Nanos::from_secs(1))
    }
}

impl HealthAwareLeastConnections {
    /// What one request costs at `entry`; above 0 and finite.
    fn cost(&self, entry: &Entry) -> f32 {
        (1.0 / (f64::from(entry.weight) * self.health.of(entry.stats.health()))) as f32
    }
}

/// The candidates in one block of counters.
#[derive(Debug)]
struct Piece {
    block: Arc<LoadBlock>,
    /// What a request costs, as f32 bits; infinite for a slot that is no candidate. Relaxed: each stands alone, and an
    /// old one does.
    costs: [AtomicU32; LoadBlock::LEN],
    /// Places in the field.
    indexes: [u32; LoadBlock::LEN],
}

impl Piece {
    fn new(block: Option<&Arc<LoadBlock>>) -> Self {
        Self {
            block: block.cloned().unwrap_or_default(),
            costs: std::array::from_fn(|_| AtomicU32::new(f32::INFINITY.to_bits())),
            indexes: [0; LoadBlock::LEN],
        }
    }

    /// The costs of one request more, and the least of them.
    #[inline]
    fn rank(&self, ranks: &mut [f32; LoadBlock::LEN]) -> f32 {
        let loads = self.block.first::<{ LoadBlock::LEN }>();
        for (rank, cost) in ranks.iter_mut().zip(&self.costs) {
            *rank = f32::from_bits(cost.load(Relaxed));
        }
        let mut least = f32::INFINITY;
        for (rank, load) in ranks.iter_mut().zip(loads) {
            // Below 2^31; the conversion of signed numbers is the cheaper one.
            *rank *= (load + 1) as i32 as f32;
            least = if *rank < least { *rank } else { least };
        }
        least
    }
}

#[derive(Debug)]
struct Scan {
    field: Field,
    /// By number of block.
    pieces: Box<[Piece]>,
    settings: HealthAwareLeastConnections,
}

impl Scan {
    fn slot_of_costs(&self, entry: &Entry) -> &AtomicU32 {
        let slot = entry.slot.0 as usize;
        &self.pieces[slot / LoadBlock::LEN].costs[slot % LoadBlock::LEN]
    }

    #[inline]
    fn cost(&self, entry: &Entry) -> f32 {
        f32::from_bits(self.slot_of_costs(entry).load(Relaxed))
    }

    fn renew(&self) {
        for entry in self.field.entries() {
            let cost = self.settings.cost(entry);
            self.slot_of_costs(entry).store(cost.to_bits(), Relaxed);
        }
    }

    /// Who is best off with one request more.
    fn least(&self, rng: &mut Rng) -> Least {
        let mut ranks = [0.0; LoadBlock::LEN];
        let mut least = Least::NONE;
        for piece in &self.pieces {
            let lowest = piece.rank(&mut ranks);
            if lowest > least.cost || lowest == f32::INFINITY {
                continue;
            }
            for (rank, index) in ranks.iter().zip(piece.indexes) {
                if *rank == lowest {
                    let index = index as usize;
                    least.offer(lowest, index, self.field.entries()[index].weight, rng);
                }
            }
        }
        least
    }
}

impl Picker for Scan {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let entries = self.field.entries();
        let worth = |index: usize| {
            let entry = &entries[index];
            1.0 / f64::from(self.cost(entry) * entry.weight as f32)
        };
        let proposed = self
            .field
            .propose(&mut cx.rng, worth)
            .ok_or(NoPick::NoneEligible)?;
        let proposed = &entries[proposed];
        let requests = self.field.load(proposed);
        if requests == 0 {
            return Ok(proposed.slot);
        }
        let least = self.least(&mut cx.rng);
        let stays = requests as f32 * self.cost(proposed) < least.cost;
        Ok(if stays {
            proposed.slot
        } else {
            entries[least.index].slot
        })
    }

    fn refresh(&self, _now: Nanos) {
        self.renew();
    }
}
