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
//! O(1) when the proposal is idle, else O(n), by a [`Scan`] over notes of what a request costs (`1 / (weight × health)`),
//! renewed every second, as scores are.

use super::{Picker, Strategy};
use crate::scored::{Entry, Field, HealthFactor, Scan};
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
        let least = Combined {
            field: Field::new(candidates),
            scan: Scan::new(candidates, f32::INFINITY),
            settings: self.clone(),
        };
        least.renew();
        Box::new(least)
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
struct Combined {
    field: Field,
    scan: Scan,
    settings: HealthAwareLeastConnections,
}

impl Combined {
    fn renew(&self) {
        for (index, entry) in self.field.entries().iter().enumerate() {
            self.scan.note(index, self.settings.cost(entry));
        }
    }
}

impl Picker for Combined {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let entries = self.field.entries();
        let cost = |index: usize| self.scan.noted(index);
        // A draw below the worth, `1 / (cost × weight)`.
        let accepts = |index: usize, draw: f32| draw * cost(index) * (entries[index].weight as f32) < 1.0;
        let proposed = self.field.propose(&mut cx.rng, accepts);
        let proposed = proposed.ok_or(NoPick::NoneEligible)?;
        let requests = self.scan.load(proposed);
        if requests == 0 {
            return Ok(entries[proposed].slot);
        }
        let (index, least) = self.scan.least(&mut cx.rng).ok_or(NoPick::NoneEligible)?;
        let stays = requests as f32 * cost(proposed) < least;
        Ok(entries[if stays { proposed } else { index }].slot)
    }

    fn refresh(&self, _now: Nanos) {
        self.renew();
    }
}
