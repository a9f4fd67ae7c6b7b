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
//! With [`ResourceAware::learn`], the weights follow what the fleet's reports say about response times ([`learn`]); the configured
//! ones are where they begin and what they return to without evidence. With [`ResourceAware::predict`], `cpu` and `memory`
//! are what the instance's reports lead to in a moment ([`forecast`]).
//!
//! A sum of signals weighted by hand is what was asked for here, and no good ranking elsewhere: it does not see
//! latency. O(1): reports and health are looked at once a second.

mod forecast;
mod learn;

use std::sync::Arc;

use super::{Appraisal, Learned, Picker, Strategy};
#[cfg(doc)]
use crate::ReportedLoad;
use crate::math::{AtomicF32, Factor};
use crate::scored::{Entry, Field, HealthFactor, Prices};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest};
use forecast::Forecast;
use learn::{Learner, RESOURCES, Witness};

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
    /// Whether the weights follow the evidence.
    pub learn: bool,
    /// Whether reports are led on to what they become.
    pub predict: bool,
}

impl Default for ResourceAware {
    fn default() -> Self {
        Self {
            health: HealthFactor::default(),
            cpu_weight: Factor::clamped(0.4),
            memory_weight: Factor::clamped(0.3),
            connections_weight: Factor::clamped(0.3),
            connections_scale: 100,
            learn: true,
            predict: true,
        }
    }
}

/// Stands in for what is not known.
const NEUTRAL: f64 = 0.5;
/// The least score that is believed, as a part of that of an idle instance that reports nothing.
const BELIEVED: f64 = 0.5;
/// The least score where that is nothing, because only requests in flight have a weight.
const LEAST: f64 = 1e-6;

/// The names of the resources, in the order of their weights.
const NAMES: [&str; RESOURCES] = ["cpu", "memory", "connections"];

impl Strategy for ResourceAware {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        Box::new(Few::new(self, None, candidates))
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let before: &dyn std::any::Any = before;
        let before = before.downcast_ref::<Few>();
        let before = before.filter(|before| before.settings == *self);
        Box::new(Few::new(self, before, candidates))
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
    per_request: AtomicF32,
    /// One over health and weight.
    scale: AtomicF32,
    /// Processors and memory as they count; not a number where nothing is reported.
    used: [AtomicF32; 2],
    /// Requests in flight as connections of the score: the mean weight over its own and the scale.
    connections: f32,
    /// What is remembered of it; the same while it is the same instance.
    past: Arc<Past>,
}

#[derive(Debug, Default)]
struct Past {
    witness: Witness,
    cpu: Forecast,
    memory: Forecast,
}

#[derive(Debug)]
struct Few {
    field: Field,
    /// In the order of the entries.
    rates: Box<[Rate]>,
    /// The least score of a healthy instance.
    floor: AtomicF32,
    /// See [`Prices::best`].
    best: AtomicF32,
    learner: Arc<Learner>,
    settings: ResourceAware,
}

impl Few {
    fn new(settings: &ResourceAware, before: Option<&Self>, candidates: &Candidates) -> Self {
        let weights: Vec<f64> = candidates.base_weights().map(f64::from).collect();
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        let scale = f64::from(settings.connections_scale.max(1));
        let field = Field::new(candidates);
        // Both are in the order of slots.
        let known = before.map(|before| before.field.entries().iter().zip(&before.rates));
        let mut known = known.into_iter().flatten().peekable();
        let rates = field.entries().iter().zip(&weights).map(|(entry, weight)| {
            while known.next_if(|(known, _)| known.slot < entry.slot).is_some() {}
            let same = known
                .next_if(|(known, _)| known.slot == entry.slot && Arc::ptr_eq(&known.stats, &entry.stats));
            Rate {
                own: AtomicF32::new(0.0),
                per_request: AtomicF32::new(0.0),
                scale: AtomicF32::new(1.0),
                used: std::array::from_fn(|_| AtomicF32::new(f32::NAN)),
                connections: (mean / (weight * scale)) as f32,
                past: same.map(|(_, rate)| Arc::clone(&rate.past)).unwrap_or_default(),
            }
        });
        let rates = rates.collect();
        let priors = [
            &settings.cpu_weight,
            &settings.memory_weight,
            &settings.connections_weight,
        ];
        let learner = before.map(|before| Arc::clone(&before.learner));
        let few = Self {
            rates,
            floor: AtomicF32::new(LEAST as f32),
            best: AtomicF32::new(0.0),
            learner: learner.unwrap_or_else(|| Arc::new(Learner::new(priors.map(|weight| weight.get())))),
            settings: settings.clone(),
            field,
        };
        few.price(Nanos::ZERO);
        few
    }

    /// Processors and memory of `entry` as they count at `now`; `None` for what is not reported.
    fn used(&self, entry: &Entry, past: &Past, now: Nanos) -> [Option<f64>; 2] {
        let Some((report, worth)) = entry.stats.reported().get(now) else {
            return [None; 2];
        };
        let seconds = now.as_secs_f64();
        let used = |value: Option<f32>, forecast: &Forecast| {
            let value = value?;
            let value = if self.settings.predict {
                forecast.at(value, seconds)
            } else {
                value
            };
            Some(NEUTRAL + f64::from(worth) * (f64::from(value) - NEUTRAL))
        };
        [used(report.cpu(), &past.cpu), used(report.memory(), &past.memory)]
    }

    /// Takes in what was reported since the last look.
    fn hear(&self, now: Nanos) {
        let entries = || self.field.entries().iter().zip(&self.rates);
        if self.settings.predict {
            for (entry, rate) in entries() {
                let reported = entry.stats.reported();
                if let (Some((report, _)), Some(at)) = (reported.get(now), reported.observed()) {
                    let (past, at) = (&rate.past, at.as_secs_f64());
                    let resources = [(report.cpu(), &past.cpu), (report.memory(), &past.memory)];
                    for (value, forecast) in resources {
                        value.into_iter().for_each(|value| forecast.observe(value, at));
                    }
                }
            }
        }
        if self.settings.learn {
            let witnesses = entries().map(|(entry, rate)| {
                let connections = self.field.load(entry) as f32 * rate.connections;
                (&rate.past.witness, &*entry.stats, connections)
            });
            self.learner.hear(witnesses, now);
        }
    }

    /// Makes prices of all reports, scores of health and weights.
    fn price(&self, now: Nanos) {
        let [cpu, memory, connections] = self.learner.weights();
        self.floor
            .set((BELIEVED * NEUTRAL * (cpu + memory)).max(LEAST) as f32);
        let mut best = f32::INFINITY;
        for (index, (entry, rate)) in self.field.entries().iter().zip(&self.rates).enumerate() {
            let worth = self.settings.health.of(entry.stats.health()) * f64::from(entry.weight);
            let used = self.used(entry, &rate.past, now);
            for (known, used) in rate.used.iter().zip(used) {
                known.set(used.map_or(f32::NAN, |used| used as f32));
            }
            let [used_cpu, used_memory] = used.map(|used| used.unwrap_or(NEUTRAL));
            rate.own.set((used_cpu * cpu + used_memory * memory) as f32);
            rate.per_request
                .set((connections * f64::from(rate.connections)) as f32);
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
        let sum = rate.own.get() + requests as i32 as f32 * rate.per_request.get();
        let floor = self.floor.get();
        (if sum > floor { sum } else { floor }) * rate.scale.get()
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
        self.hear(now);
        self.price(now);
    }

    fn settle(&self, now: Nanos) {
        self.price(now);
    }

    fn appraise(&self, slot: Slot, _now: Nanos) -> Option<Appraisal> {
        let entries = self.field.entries();
        let index = entries.binary_search_by_key(&slot, |entry| entry.slot).ok()?;
        let (entry, rate) = (&entries[index], &self.rates[index]);
        let requests = self.field.load(entry);
        let [cpu, memory, connections] = self.learner.weights();
        let used = rate.used.each_ref().map(|used| match used.get() {
            unknown if unknown.is_nan() => format!("unknown ({NEUTRAL})"),
            used => format!("{used:.2}"),
        });
        let learnt = if self.settings.learn {
            format!(" (learnt, {:.0} %)", 100.0 * self.learner.trust())
        } else {
            String::new()
        };
        Some(Appraisal {
            cost: f64::from((requests as f32 + 1.0) * self.per_request(index, requests)),
            why: format!(
                "{requests} in flight, processors {} × {cpu:.2}, memory {} × {memory:.2}, connections {:.3} × \
                 {connections:.2}{learnt}, health {:.2}, weight {}",
                used[0],
                used[1],
                f64::from(requests) * f64::from(rate.connections),
                entry.stats.health(),
                entry.weight,
            ),
        })
    }

    fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        if self.settings.learn {
            let trust = self.learner.trust();
            for (resource, weight) in NAMES.into_iter().zip(self.learner.weights()) {
                each(Learned::ResourceWeight {
                    resource,
                    weight,
                    trust,
                    place: None,
                });
            }
        }
        if self.settings.predict {
            for (entry, rate) in self.field.entries().iter().zip(&self.rates) {
                for (resource, used) in NAMES.into_iter().zip(&rate.used) {
                    if used.get().is_finite() {
                        each(Learned::ResourceForecast {
                            slot: entry.slot,
                            resource,
                            value: used.get(),
                        });
                    }
                }
            }
        }
    }
}
