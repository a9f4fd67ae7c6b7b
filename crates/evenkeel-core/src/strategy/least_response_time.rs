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
//!   request in 22 s, and any at least one in 30 s (of more than sixteen, as soon
//!   after as its note is taken anew); a measurement after such a pause replaces the old one.
//!
//! Equal costs are shared by weight.
//!
//! O(n). Up to sixteen are reckoned as they are at this moment. Of more there are notes of what a request costs, and a
//! [`Scan`] compares these with the requests in flight. They are taken when a view is built, and every pick
//! takes one of somebody at random, so that those of a busy service are as old as its last few answers. The winner is asked how it
//! is now: one that turns out dearer by a quarter gets a new note, and the scan begins again. So nobody attracts by what
//! it was.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::math::{AtomicF64, exp2_neg};
use crate::scored::{FEW, Scan};
use crate::view::{Candidates, Member, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest, Rng, Stats};

/// Halves the cost of an idle instance. Long against the pauses between requests at any rate where
/// the choice matters, short against the patience of who waits for a recovered instance to be used.
const HALF_LIFE: Nanos = Nanos::from_secs(5);

/// After so long an idle instance is tried whatever its cost.
const FLOOR: Nanos = Nanos::from_secs(30);

/// The least success share that is believed: a run of failures multiplies the cost by at most 64.
const LEAST_SHARE: f64 = 1.0 / 64.0;

/// How many times its note a candidate may cost and still be chosen by it.
const DEARER: f32 = 1.25;

/// Winners that may turn out dearer in one pick before all are looked at instead.
const TRIES: usize = 8;

/// Weight of the newest in the mean of noted times.
const MEAN_GAIN: f64 = 1.0 / 16.0;

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
        Box::new(Shortest {
            entries: entries.collect(),
            scan: Scan::new(candidates, 0.0),
            mean: AtomicF64::new(0.0),
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
struct Shortest {
    entries: Box<[Entry]>,
    scan: Scan,
    /// The mean response time of those that are measured; 0 while nobody is.
    mean: AtomicF64,
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

    /// What a request costs at this moment, with so many in flight. `mean` stands in for a response time.
    #[inline]
    fn per_request(&self, in_flight: u32, mean: f64, now: Nanos) -> f32 {
        let stats = self.member.stats();
        let time = match usual_ns(stats) {
            0.0 if stats.picks() == 0 => return 0.0,
            0.0 => mean,
            time => time,
        };
        (time * self.factor(now) / f64::from(in_flight + 1)) as f32
    }

    /// What a request costs where one has just begun.
    #[inline]
    fn used(&self, mean: f64) -> f32 {
        let stats = self.member.stats();
        let share = f64::from(stats.success_share()).max(LEAST_SHARE);
        let time = match usual_ns(stats) {
            0.0 => mean,
            time => time,
        };
        (time / (share * f64::from(self.weight))) as f32
    }

    /// Whether a request surely costs no more than `most`: whoever is measured is no dearer than if it were used just
    /// now.
    #[inline]
    fn is_within(&self, most: f32) -> bool {
        let stats = self.member.stats();
        let share = f64::from(stats.success_share()).max(LEAST_SHARE);
        let time = usual_ns(stats);
        time > 0.0 && time <= f64::from(most) * share * f64::from(self.weight)
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

/// The usual response time; 0 before the first.
#[inline]
fn usual_ns(stats: &Stats) -> f64 {
    stats.usual_time().map_or(0.0, |time| time.0 as f64)
}

/// A mean, or 1 where there is none, so that requests in flight decide.
fn or_one(mean: f64) -> f64 {
    if mean == 0.0 { 1.0 } else { mean }
}

impl Shortest {
    /// The mean of those that are measured; 0 while nobody is.
    fn mean_now(&self) -> f64 {
        let (mut sum, mut count) = (0.0, 0u32);
        for entry in &self.entries {
            let time = usual_ns(entry.member.stats());
            sum += time;
            count += u32::from(time > 0.0);
        }
        sum / f64::from(count.max(1))
    }

    /// The least cost of a few at this moment.
    fn least_of_few(&self, cx: &mut PickContext) -> Option<Slot> {
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
        best.slot.or(measured.slot)
    }

    /// The least cost by notes.
    fn least_noted(&self, now: Nanos, rng: &mut Rng) -> Option<Slot> {
        let any = rng.below(self.entries.len() as u32) as usize;
        let mean = or_one(self.follow(any, now));
        self.note(any, mean, now);
        for _ in 0..TRIES {
            let (index, _) = self.scan.least(rng)?;
            let entry = &self.entries[index];
            let most = self.scan.noted(index) * DEARER;
            if entry.is_within(most) || self.note(index, mean, now) <= most {
                // It is about to be used: what it was worth for being idle is over.
                self.scan.note(index, entry.used(mean));
                return Some(entry.slot);
            }
        }
        self.note_all(now);
        let (index, _) = self.scan.least(rng)?;
        self.entries.get(index).map(|entry| entry.slot)
    }

    /// The mean, moved towards the time of this one if it is measured.
    #[inline]
    fn follow(&self, index: usize, now: Nanos) -> f64 {
        let (mean, time) = (self.mean.get(), usual_ns(self.entries[index].member.stats()));
        if time == 0.0 {
            return mean;
        }
        if mean == 0.0 {
            // The first that is known makes all others dearer or cheaper.
            self.note_all(now);
            return self.mean.get();
        }
        let mean = mean + (time - mean) * MEAN_GAIN;
        self.mean.set(mean);
        mean
    }

    /// Notes what a request costs at a candidate.
    #[inline]
    fn note(&self, index: usize, mean: f64, now: Nanos) -> f32 {
        let per_request = self.entries[index].per_request(self.scan.load(index), mean, now);
        self.scan.note(index, per_request);
        per_request
    }

    fn note_all(&self, now: Nanos) {
        let mean = self.mean_now();
        self.mean.set(mean);
        let mean = or_one(mean);
        (0..self.entries.len()).for_each(|index| _ = self.note(index, mean, now));
    }
}

impl Picker for Shortest {
    fn pick(&self, _request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let least = if self.entries.len() <= FEW {
            self.least_of_few(cx)
        } else {
            self.least_noted(cx.now, &mut cx.rng)
        };
        least.ok_or(NoPick::NoneEligible)
    }

    fn refresh(&self, now: Nanos) {
        if self.entries.len() > FEW {
            self.note_all(now);
        }
    }
}
