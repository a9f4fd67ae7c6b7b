//! The candidate with the shortest expected time to a successful response, over all candidates:
//!
//! `cost = response_time / success_share × (in_flight + 1) / weight`
//!
//! `response_time` (the usual one, [`crate::Stats::usual_time`]: one slow answer is no slow instance) and `success_share` (0..=1, smoothed, floored at 1/64) come from
//! [`crate::Stats`]; their quotient is the expected time when failed attempts are repeated. A failure
//! never lowers the response time, and lowers the share at once, so an instance that fails fast does
//! not look fast. In-flight counts are exact and shared by all workers, which is why comparing all
//! candidates does not send a herd to the best one: every pick raises its cost for the next.
//!
//! Three cases decide whether such a rule can be trusted:
//!
//! - **Never tried**: cost 0, so it gets the next request, and only that one. Until its response
//!   time is known it is then taken for an average candidate.
//! - **Tried, nothing measured** (still pending, or it failed or was cancelled): the mean response
//!   time of the measured candidates stands in. When nobody is measured, requests in flight decide.
//! - **Unused**: an idle instance's cost halves for every [`HALF_LIFE`] since its last pick, so one
//!   that was slow once is tried again. Only an idle one's does: while the trial is running the full
//!   cost applies, hence one trial at a time. An instance 20 times slower than the best gets one
//!   request in 22 s, and any at least one in 30 s; a measurement after such a pause replaces the old one.
//!
//! Equal costs are shared by weight. O(n), about a cache line an instance.

use crate::math::exp2_neg;
use crate::view::{Candidates, Member, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest};
use std::sync::Arc;

use super::{Picker, Strategy};

/// Halves the cost of an idle instance. Long against the pauses between requests at any rate where
/// the choice matters, short against the patience of who waits for a recovered instance to be used.
const HALF_LIFE: Nanos = Nanos::from_secs(5);

/// After so long an idle instance is tried whatever its cost.
const FLOOR: Nanos = Nanos::from_secs(30);

/// The least success share that is believed: a run of failures multiplies the cost by at most 64.
const LEAST_SHARE: f64 = 1.0 / 64.0;

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeastResponseTime;

impl Strategy for LeastResponseTime {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let entries = candidates.slots().iter().zip(candidates.weights());
        let entries = entries.filter_map(|(slot, weight)| {
            Some(Entry {
                slot: *slot,
                weight,
                member: Arc::clone(candidates.member(*slot)?),
            })
        });
        Box::new(Scan {
            entries: entries.collect(),
        })
    }
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    weight: u32,
    member: Arc<Member>,
}

#[derive(Debug)]
struct Scan {
    entries: Box<[Entry]>,
}

impl Entry {
    /// The cost per unit of response time.
    #[inline]
    fn factor(&self, now: Nanos) -> f64 {
        let stats = self.member.stats();
        let in_flight = self.member.load().get();
        let share = f64::from(stats.success_share()).max(LEAST_SHARE);
        let factor = f64::from(in_flight + 1) / (share * f64::from(self.weight));
        if in_flight > 0 {
            return factor;
        }
        let unused = now.since(stats.last_used());
        if unused > FLOOR {
            return 0.0;
        }
        factor * exp2_neg(unused.0 as f64 * (1.0 / HALF_LIFE.0 as f64))
    }
}

/// The least cost so far and who has it.
#[derive(Clone, Copy)]
struct Best {
    cost: f64,
    slot: Option<Slot>,
    tied: u64,
}

impl Best {
    const NONE: Self = Self {
        cost: f64::INFINITY,
        slot: None,
        tied: 0,
    };

    #[inline]
    fn offer(&mut self, cost: f64, entry: &Entry, cx: &mut PickContext) {
        if cost < self.cost {
            *self = Self {
                cost,
                slot: Some(entry.slot),
                tied: entry.weight.into(),
            };
        } else if cost == self.cost {
            // The k-th of equals replaces the choice with its share of the weight seen so far, which
            // leaves each with its share of the whole.
            let weight = u64::from(entry.weight);
            self.tied += weight;
            if cx.rng.below_u64(self.tied) < weight {
                self.slot = Some(entry.slot);
            }
        }
    }
}

impl Picker for Scan {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let now = cx.now;
        let (mut sum, mut count) = (0.0, 0u32);
        let mut measured = Best::NONE;
        let mut unmeasured = Best::NONE;
        for entry in &self.entries {
            let stats = entry.member.stats();
            if let Some(time) = stats.usual_time() {
                let time = time.0 as f64;
                sum += time;
                count += 1;
                measured.offer(time * entry.factor(now), entry, cx);
            } else if stats.picks() == 0 {
                unmeasured.offer(0.0, entry, cx);
            } else {
                unmeasured.offer(entry.factor(now), entry, cx);
            }
        }
        let mean = if count == 0 { 1.0 } else { sum / f64::from(count) };
        let best = if unmeasured.cost * mean <= measured.cost {
            unmeasured
        } else {
            measured
        };
        best.slot.or(measured.slot).ok_or(NoPick::NoneEligible)
    }
}
