//! A few candidates drawn, the one that is healthiest for its load, by score, trend, failures and recovery.
//!
//! `cost = (in_flight + 1) / (weight × quality)`, and
//! `quality = max(score, min_health)^exponent × trend × failures × recovery`, where
//!
//! - **trend** = `1 − trend_weight × fall`: `fall` (0..=1) is by how much the score is below its average of the last
//!   [`MEMORY`], as a part of [`FULL`]. An instance on its way down loses traffic before it is low;
//! - **failures** = `success_share / (1 + run)`: the share of successes among the last 16 or so requests and the
//!   length of the present run of failures, both live. A run says more than as many failures apart, and a success
//!   ends it, so a burst is felt at once and not for long. At least [`LEAST_SUCCESS`];
//! - **recovery** = `1 + recovery_preference × rise / (1 + in_flight)`: `rise` (0..=1) is to rising scores what `fall`
//!   is to falling ones. An instance that recovers gets a little more than its score alone allows, so that the
//!   evidence that it is well comes sooner; only while it has little to do and its last request succeeded. Never
//!   more than `1 + recovery_preference` times.
//!
//! So `quality` lies above 0 and is at most `1 + recovery_preference`, and the terms multiply: none can make up for
//! another. Who has been low for long is not "falling", who has been well for long not "rising": both terms fade.
//!
//! The first candidate is drawn by weight and quality, and stays unless another would be better off with one request
//! more; the others are a few drawn by weight, or all of a small fleet (see [`crate::scored`]). O(1): scores are looked at
//! once a second, which is how often they change.

use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::{Picker, Strategy};
use crate::math::{AtomicF32, Factor};
use crate::scored::{Field, HealthFactor, Prices};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest, Stats};

/// The strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdaptiveHealthAware {
    /// What a score is worth.
    pub health: HealthFactor,
    /// By how much a falling score lowers the traffic beyond the score itself, at most 1.
    pub trend_weight: Factor,
    /// By how much a rising score raises it, at most 1.
    pub recovery_preference: Factor,
}

impl Default for AdaptiveHealthAware {
    /// Half and a quarter.
    fn default() -> Self {
        Self {
            health: HealthFactor::default(),
            trend_weight: Factor::clamped(0.5),
            recovery_preference: Factor::clamped(0.25),
        }
    }
}

/// A score is compared with its average over about this time.
const MEMORY: Nanos = Nanos::from_secs(8);
/// This far from its average a score rises or falls in full.
const FULL: f32 = 0.25;
/// The least trend and success that are believed.
const LEAST_SUCCESS: f32 = 1.0 / 16.0;

impl Strategy for AdaptiveHealthAware {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        Box::new(Few::new(self, candidates, None))
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let before: &dyn std::any::Any = before;
        let before = before.downcast_ref::<Few>().map(|few| &few.trends);
        Box::new(Few::new(self, candidates, before))
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(Nanos::from_secs(1))
    }
}

/// Averages of scores, of all members: one that returns has a past to recover from.
#[derive(Debug)]
struct Trends {
    /// By slot.
    members: Box<[Option<Trend>]>,
    /// When the averages were last moved, plus one; 0 for never.
    at: AtomicU64,
}

#[derive(Debug)]
struct Trend {
    stats: Arc<Stats>,
    average: AtomicF32,
}

impl Trends {
    fn new(candidates: &Candidates, before: Option<&Self>) -> Self {
        let average_before = |slot: usize, stats: &Arc<Stats>| {
            let trend = before?.members.get(slot)?.as_ref()?;
            Arc::ptr_eq(&trend.stats, stats).then(|| trend.average.get())
        };
        let members = candidates.members().iter().enumerate().map(|(slot, member)| {
            let stats = member.as_ref()?.stats();
            let average = average_before(slot, stats).unwrap_or_else(|| stats.health());
            Some(Trend {
                stats: Arc::clone(stats),
                average: AtomicF32::new(average),
            })
        });
        Self {
            members: members.collect(),
            at: AtomicU64::new(before.map_or(0, |before| before.at.load(Relaxed))),
        }
    }

    /// Moves the averages toward the scores. For the writer.
    fn follow(&self, now: Nanos) {
        let before = self.at.swap(now.0.saturating_add(1), Relaxed);
        let Some(before) = before.checked_sub(1) else {
            return;
        };
        let passed = now.since(Nanos(before)).0 as f32;
        let gain = passed / (passed + MEMORY.0 as f32);
        for trend in self.members.iter().flatten() {
            let average = trend.average.get();
            trend
                .average
                .set(average + (trend.stats.health() - average) * gain);
        }
    }

    /// How far `score`, that of the member at `slot`, is above its average, in parts of [`FULL`]: −1..=1.
    fn of(&self, slot: Slot, score: f32) -> f64 {
        let trend = self.members.get(slot.0 as usize).and_then(Option::as_ref);
        let average = trend.map_or(score, |trend| trend.average.get());
        f64::from(((score - average) / FULL).clamp(-1.0, 1.0))
    }
}

/// What scores make of an entry.
#[derive(Debug)]
struct Scored {
    /// Weight, health and trend.
    worth: AtomicF32,
    /// The recovery of one that has nothing to do, as a part of that; mostly 0.
    rise: AtomicF32,
}

#[derive(Debug)]
struct Few {
    field: Field,
    /// In the order of the entries.
    scores: Box<[Scored]>,
    trends: Trends,
    /// See [`Prices::best`].
    best: AtomicF32,
    settings: AdaptiveHealthAware,
}

impl Few {
    fn new(strategy: &AdaptiveHealthAware, candidates: &Candidates, before: Option<&Trends>) -> Self {
        let field = Field::new(candidates);
        let scores = field.entries().iter().map(|_| Scored {
            worth: AtomicF32::new(1.0),
            rise: AtomicF32::new(0.0),
        });
        let few = Self {
            scores: scores.collect(),
            field,
            trends: Trends::new(candidates, before),
            best: AtomicF32::new(0.0),
            settings: strategy.clone(),
        };
        few.look();
        few
    }

    /// At most 1.
    fn recovery_preference(&self) -> f64 {
        self.settings.recovery_preference.get().min(1.0)
    }

    /// Looks at all scores.
    fn look(&self) {
        let mut best = f32::INFINITY;
        for (entry, scored) in self.field.entries().iter().zip(&self.scores) {
            let score = entry.stats.health();
            let slope = self.trends.of(entry.slot, score);
            let fall = 1.0 + self.settings.trend_weight.get() * slope.min(0.0);
            let health = self.settings.health.of(score) * fall.max(LEAST_SUCCESS.into());
            let rise = self.recovery_preference() * slope.max(0.0);
            scored.worth.set((f64::from(entry.weight) * health) as f32);
            scored.rise.set(rise as f32);
            // Failures only make it dearer.
            best = best.min((1.0 / (health * (1.0 + rise))) as f32);
        }
        self.best.set(best);
    }
}

impl Prices for Few {
    #[inline]
    fn per_request(&self, index: usize, requests: u32) -> f32 {
        let (stats, scored) = (&self.field.entries()[index].stats, &self.scores[index]);
        let (success, run, rise) = (
            stats.success_share(),
            stats.consecutive_failures(),
            scored.rise.get(),
        );
        let mut worth = scored.worth.get();
        if run > 0 || success < 1.0 {
            let success = success / (1.0 + run as f32);
            worth *= if success > LEAST_SUCCESS {
                success
            } else {
                LEAST_SUCCESS
            };
        }
        if rise > 0.0 && run == 0 {
            worth *= 1.0 + rise / (1.0 + requests as f32);
        }
        1.0 / worth
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
        self.trends.follow(now);
        self.look();
    }
}
