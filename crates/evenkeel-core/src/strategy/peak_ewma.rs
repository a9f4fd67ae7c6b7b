//! Two distinct candidates drawn by weight; the one with the lower cost:
//!
//! `cost = peak_time × (in_flight + 1) / weight`
//!
//! `peak_time` ([`crate::Stats::peak_time`], ns) is the greatest of three times that fade while an instance is not
//! used: its usual response time, its slowest response of late, and what its failures cost. It jumps up with
//! one slow response or failure and is forgiven within seconds; the module of [`crate::Stats::peak_time`]'s estimates
//! says how fast. Finagle, Linkerd and tower have the rule with one average, whose time constant of 10 s shuns an
//! instance for three quarters of a minute after a peak of 2 s, and (but for Linkerd) take fast errors for fast answers.
//!
//! - **Never asked**: cost 0, so it wins whenever it is drawn, once. While its first answer is out, and nothing else
//!   is known of it, it costs more than any other (100 s, halved every second).
//! - **Equal costs** keep the first draw, so that what is not known yet is split by weight.
//!
//! Two choices out of `n` bound what the best can attract to `2/n` of the requests, whatever the estimates are worth; by
//! the same token a share of f² meets two slow ones when a part f of the fleet is slow. In-flight counts are exact,
//! and all workers read the same estimates. O(1); a pick writes nothing.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::draw::{ByWeight, Draw, Evenly};
use crate::view::{Candidates, Slot};
use crate::{LoadSlot, Nanos, NoPick, PickContext, PickRequest, Stats};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeakEwma;

impl Strategy for PeakEwma {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let weights: Vec<u32> = candidates.weights().collect();
        let entries = candidates.slots().iter().zip(&weights);
        let entries = entries.filter_map(|(slot, weight)| {
            let member = candidates.member(*slot)?;
            Some(Entry {
                slot: *slot,
                stats: Arc::clone(member.stats()),
                load: member.load().clone(),
                per_weight: 1.0 / f64::from(*weight),
            })
        });
        let entries = entries.collect();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            let draw = Evenly::new(weights.len());
            Box::new(TwoChoices { entries, draw })
        } else {
            let draw = ByWeight::new(&weights);
            Box::new(TwoChoices { entries, draw })
        }
    }
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    stats: Arc<Stats>,
    load: LoadSlot,
    per_weight: f64,
}

impl Entry {
    #[inline]
    fn cost(&self, now: Nanos) -> f64 {
        let requests = f64::from(self.load.get().saturating_add(1));
        self.stats.peak_time(now) * requests * self.per_weight
    }
}

#[derive(Debug)]
struct TwoChoices<D> {
    entries: Box<[Entry]>,
    draw: D,
}

impl<D: Draw> Picker for TwoChoices<D> {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let Some([first, second]) = self.draw.pair(&mut cx.rng) else {
            let only = self.entries.first();
            return only.map(|entry| entry.slot).ok_or(NoPick::NoneEligible);
        };
        let (first, second) = (&self.entries[first], &self.entries[second]);
        let second_is_better = second.cost(cx.now) < first.cost(cx.now);
        Ok(if second_is_better { second.slot } else { first.slot })
    }
}
