//! A few candidates drawn, the one with the least to do for what it reports of its resources:
//!
//! `score = (cpu × cpu_weight + memory × memory_weight + connections × connections_weight) / health`
//!
//! with `cpu` and `memory` as reported (1 is all an instance has), `connections` the requests in flight here over
//! `connections_scale` for an instance of average weight, and the weights 0.4, 0.3 and 0.3 by default. What is not
//! reported counts 0.5; so does what was, more and more, while its report goes stale ([`ReportedLoad::get`]):
//! `value = 0.5 + worth × (reported − 0.5)`. `health` is floored, so a score is always finite and above 0.
//!
//! The least `(in_flight + 1) × score / weight` wins; an idle service is split by `weight / score` (see
//! [`crate::scored`]). The plain rule, the least score of all, does harm between two reports: a request in flight changes a
//! score by 0.003, so whoever last reported a percent less takes all requests until the next report, and then is the
//! worst. In proportion, small differences have small effects, however old reports are. And a score below half of what
//! it is without reports counts as that, so that nobody attracts more than about twice its share by what it reports,
//! be it zero for ever.
//!
//! A sum of signals weighted by hand is what was asked for here, and no good ranking elsewhere: it neither sees
//! latency nor knows which resource is short. O(1): reports and health are looked at once a second.

use super::{Picker, Strategy};
#[cfg(doc)]
use crate::ReportedLoad;
use crate::math::{AtomicF32, Factor};
use crate::scored::{Entry, Field, HealthFactor, Prices};
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
/// The least score that is believed, as a part of that of an idle instance that reports nothing.
const BELIEVED: f64 = 0.5;
/// The least score where that is nothing, because only requests in flight have a weight.
const LEAST: f64 = 1e-6;

impl Strategy for ResourceAware {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let weights: Vec<f64> = candidates.base_weights().map(f64::from).collect();
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        let scale = f64::from(self.connections_scale.max(1));
        let unknown = NEUTRAL * (self.cpu_weight.get() + self.memory_weight.get());
        let field = Field::new(candidates);
        let rates = field.entries().iter().zip(&weights).map(|(entry, weight)| Rate {
            own: AtomicF32::new(unknown as f32),
            per_request: (self.connections_weight.get() * mean / (weight * scale)) as f32,
            scale: AtomicF32::new(1.0 / entry.weight as f32),
        });
        let few = Few {
            rates: rates.collect(),
            floor: (BELIEVED * unknown).max(LEAST) as f32,
            best: AtomicF32::new(0.0),
            settings: self.clone(),
            field,
        };
        few.look(Nanos::ZERO);
        Box::new(few)
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(Nanos::from_secs(1))
    }
}

/// A score in the making: `(own + requests × per_request) × scale`.
#[derive(Debug)]
struct Rate {
    /// Of what it reports.
    own: AtomicF32,
    /// Of each request in flight.
    per_request: f32,
    /// One over health and weight.
    scale: AtomicF32,
}

#[derive(Debug)]
struct Few {
    field: Field,
    /// In the order of the entries.
    rates: Box<[Rate]>,
    /// The least score of a healthy instance.
    floor: f32,
    /// See [`Prices::best`].
    best: AtomicF32,
    settings: ResourceAware,
}

impl Few {
    /// The part of a score that `entry` reports.
    fn reported(&self, entry: &Entry, now: Nanos) -> f64 {
        let (mut cpu, mut memory) = (NEUTRAL, NEUTRAL);
        if let Some((report, worth)) = entry.stats.reported().get(now) {
            let faded = |value: Option<f32>| {
                value.map_or(NEUTRAL, |value| {
                    NEUTRAL + f64::from(worth) * (f64::from(value) - NEUTRAL)
                })
            };
            (cpu, memory) = (faded(report.cpu()), faded(report.memory()));
        }
        cpu * self.settings.cpu_weight.get() + memory * self.settings.memory_weight.get()
    }

    /// Looks at all reports and scores of health.
    fn look(&self, now: Nanos) {
        let mut best = f32::INFINITY;
        for (index, (entry, rate)) in self.field.entries().iter().zip(&self.rates).enumerate() {
            let worth = self.settings.health.of(entry.stats.health()) * f64::from(entry.weight);
            rate.own.set(self.reported(entry, now) as f32);
            rate.scale.set((1.0 / worth) as f32);
            best = best.min(self.per_request(index, 0) * entry.weight as f32);
        }
        self.best.set(best);
    }
}

impl Prices for Few {
    #[inline]
    fn per_request(&self, index: usize, requests: u32) -> f32 {
        let rate = &self.rates[index];
        let sum = rate.own.get() + requests as i32 as f32 * rate.per_request;
        (if sum > self.floor { sum } else { self.floor }) * rate.scale.get()
    }

    #[inline]
    fn best(&self) -> f32 {
        self.best.get()
    }
}

impl Picker for Few {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        self.field.few(&mut cx.rng, self).ok_or(NoPick::NoneEligible)
    }

    fn refresh(&self, now: Nanos) {
        self.look(now);
    }
}
