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
//! O(1) when the proposal is idle, else O(n): two arrays of four bytes a candidate are read, the counters and what
//! a request costs there (`1 / (weight × health)`), which is renewed every second, as scores are.

use crate::sync::{AtomicU32, Ordering::Relaxed};

use super::{Picker, Strategy};
use crate::scored::{Entry, Field, HealthFactor, Least};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthAwareLeastConnections {
    /// What a score is worth.
    pub health: HealthFactor,
}

impl Strategy for HealthAwareLeastConnections {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let field = Field::new(candidates);
        let costs = field.entries().iter().map(|entry| self.cost(entry));
        Box::new(Scan {
            costs: costs.map(|cost| AtomicU32::new(cost.to_bits())).collect(),
            field,
            settings: self.clone(),
        })
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

#[derive(Debug)]
struct Scan {
    field: Field,
    /// In the order of the entries, as f32 bits. Relaxed: each stands alone, and an old one does.
    costs: Box<[AtomicU32]>,
    settings: HealthAwareLeastConnections,
}

impl Scan {
    #[inline]
    fn cost(&self, index: usize) -> f32 {
        f32::from_bits(self.costs[index].load(Relaxed))
    }
}

impl Picker for Scan {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let entries = self.field.entries();
        let worth = |index: usize| 1.0 / f64::from(self.cost(index) * entries[index].weight as f32);
        let proposed = self
            .field
            .propose(&mut cx.rng, worth)
            .ok_or(NoPick::NoneEligible)?;
        let requests = self.field.load(&entries[proposed]);
        if requests == 0 {
            return Ok(entries[proposed].slot);
        }
        let mut least = Least::NONE;
        for (index, entry) in entries.iter().enumerate() {
            let cost = (self.field.load(entry) + 1) as f32 * self.cost(index);
            least.offer(cost, index, entry.weight, &mut cx.rng);
        }
        let stays = requests as f32 * self.cost(proposed) < least.cost;
        Ok(entries[if stays { proposed } else { least.index }].slot)
    }

    fn refresh(&self, _now: Nanos) {
        for (cost, entry) in self.costs.iter().zip(self.field.entries()) {
            cost.store(self.settings.cost(entry).to_bits(), Relaxed);
        }
    }
}
