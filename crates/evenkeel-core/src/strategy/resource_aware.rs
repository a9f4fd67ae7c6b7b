//! Two candidates drawn by weight, chosen between by what they report of their resources:
//!
//! `score = (cpu × cpu_weight + memory × memory_weight + connections × connections_weight) / health`
//!
//! with `cpu` and `memory` as reported (1 is all an instance has), `connections` the requests in flight here over
//! `connections_scale` for an instance of average weight, and the weights 0.4, 0.3 and 0.3 by default. What is not
//! reported counts 0.5; so does what was, more and more, while its report goes stale ([`ReportedLoad::get`]):
//! `value = 0.5 + worth × (reported − 0.5)`. `health` is floored, so a score is always finite and above 0.
//!
//! The second, of score `b`, is taken instead of the first, of score `a`, when it is less, else with probability `a / b`:
//! a step of the Metropolis sampler toward traffic in proportion to `weight / score`, exact where scores are
//! equal. The plain rule, the least score of all, does harm between two reports: requests in flight change a score by
//! 0.003 each, so whoever last reported a percent less takes all requests until the next report, and then is the
//! worst. Where traffic follows scores in proportion, small differences have small effects, however old reports are; and
//! nobody gets more than twice its share by weight for what it reports, be it zero for ever.
//!
//! A sum of signals weighted by hand is what was asked for here, and no good ranking elsewhere: it neither sees
//! latency nor knows which resource is short. O(1).

use std::sync::Arc;

use super::{Picker, Strategy};
#[cfg(doc)]
use crate::ReportedLoad;
use crate::math::Factor;
use crate::scored::{Entry, Field, HealthFactor};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceAware {
    /// What a score of health is worth.
    pub health: HealthFactor,
    /// Of the processors in use.
    pub cpu_weight: Factor,
    /// Of the memory in use.
    pub memory_weight: Factor,
    /// Of the requests in flight.
    pub connections_weight: Factor,
    /// Requests in flight that count as much as all of a processor; at least 1.
    pub connections_scale: u32,
}

impl Default for ResourceAware {
    fn default() -> Self {
        Self {
            health: HealthFactor::default(),
            cpu_weight: Factor::clamped(0.4),
            memory_weight: Factor::clamped(0.3),
            connections_weight: Factor::clamped(0.3),
            connections_scale: 100,
        }
    }
}

/// Stands in for what is not known.
const NEUTRAL: f64 = 0.5;
/// The least score: two idle instances that report nothing in use are equal, not undefined.
const LEAST: f64 = 1e-6;

impl Strategy for ResourceAware {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let weights: Vec<f64> = candidates.base_weights().map(f64::from).collect();
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        let scale = f64::from(self.connections_scale.max(1));
        Box::new(Pair {
            field: Field::new(candidates),
            per_request: weights
                .iter()
                .map(|weight| self.connections_weight.get() * mean / (weight * scale))
                .collect(),
            settings: self.clone(),
        })
    }
}

#[derive(Debug)]
struct Pair {
    field: Field,
    /// What a request in flight adds to a score, in the order of the entries.
    per_request: Arc<[f64]>,
    settings: ResourceAware,
}

impl Pair {
    /// Above 0 and finite.
    #[inline]
    fn score(&self, index: usize, now: Nanos) -> f64 {
        let entry: &Entry = &self.field.entries()[index];
        let (mut cpu, mut memory) = (NEUTRAL, NEUTRAL);
        if let Some((report, worth)) = entry.stats.reported().get(now) {
            let faded = |value: Option<f32>| {
                value.map_or(NEUTRAL, |value| {
                    NEUTRAL + f64::from(worth) * (f64::from(value) - NEUTRAL)
                })
            };
            (cpu, memory) = (faded(report.cpu()), faded(report.memory()));
        }
        let sum = cpu * self.settings.cpu_weight.get()
            + memory * self.settings.memory_weight.get()
            + f64::from(self.field.load(entry)) * self.per_request[index];
        sum.max(LEAST) / self.settings.health.of(entry.stats.health())
    }
}

impl Picker for Pair {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let PickContext { rng, now, .. } = cx;
        let first = self.field.draw(rng).ok_or(NoPick::NoneEligible)?;
        let second = self.field.draw(rng).ok_or(NoPick::NoneEligible)?;
        let chosen = if first == second || rng.unit() * self.score(second, *now) < self.score(first, *now) {
            second
        } else {
            first
        };
        Ok(self.field.entries()[chosen].slot)
    }
}
