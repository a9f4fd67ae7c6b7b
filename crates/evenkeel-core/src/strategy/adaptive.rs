//! The least work before a request, where slow, failing and silent candidates count for more:
//!
//! `cost = (in_flight + 1) / weight × factor(slowness)`
//!
//! `slowness = max(response_time + failure_cost × (1 / success_share − 1), waiting) / typical`
//!
//! `factor(s) = s / 1.2` above 1.2, `1.2 s` below 1 / 1.2, and 1 between
//!
//! `typical` is the median response time of the candidates, taken anew every second; a failure costs two of
//! those, because the request begins again elsewhere; `success_share` is floored at 0.05; `waiting` is how long
//! requests in flight have gone without an answer since the last was sent. In a sound fleet all factors are near
//! 1, and the fewest requests in flight per weight decide: response times of the same service differ by chance,
//! and following chance makes a queue longer than it need be.
//!
//! Who is compared: all of up to 16 candidates; of more, `d` distinct draws by weight, 4 ≤ d ≤ 8, the least with
//! `f^d < 0.5 %` for the part `f` that is more than twice as slow as typical. Draws miss the sound ones with
//! probability `f^d`. Those tried for this request already come last.
//!
//! # Nobody attracts, nobody starves
//!
//! - **Never used**: due at once, one request. A second waits for an answer to the first, unless everybody else has a
//!   hundred times as much to do: the cap of a candidate that is not measured. One that has ended requests but
//!   never answered counts as typical.
//! - **Unused for long**: due for a trial, whatever its cost. That is the floor of every candidate: a request every
//!   5 to 30 s, the longer pause where trials would be more than one request in 2000, and never more than
//!   one at a time. On the way there the slowness of an idle candidate halves three times, so that one called slow by
//!   chance is back soon.
//! - **Recovered**: an idle candidate whose last answer was good is equal to the others at once, and its response time
//!   has no say until it has requests in flight. Without this it takes a trial each for every step of the smoothed
//!   time.
//! - **Reduced**: a candidate with less than the full share takes part in that part of comparisons, and what it has
//!   in flight counts for as much more: with a tenth of a share, a second request waits until others have ten.
//!
//! # Where the constants come from
//!
//! `cargo test --release -p evenkeel-core --test it -- --ignored --nocapture fleet::scenarios::table` prints p50,
//! p99, p99.9, errors and the part not answered within 100 ms, for every strategy and scenario; `FLEET_…` and
//! `ADAPTIVE_…` variables choose and vary. Ten instances of two workers, 8 ms exponential, 70 % load unless said
//! otherwise, up to 20 seeds of 8 s from the fault on, without detectors (`FLEET_DETECTORS=0`, and `FLEET_EJECTS=0`
//! where nobody is ejected), so that the strategy is measured and not they:
//!
//! | what | varied | result |
//! |---|---|---|
//! | 1.2 | 1.0 | healthy p99 39.0 ms, 37.9 at 1.2, 37.5 at 2; least connections has 37.5 |
//! | | 2 | speeds 1:2:4 unknown: p99 52.8 ms, 45.7 at 1.2; eight balancers apart, healthy: 44.6, 43.0 at 1.2 |
//! | failure cost 2 | 0, 10 | four that fail 20 %, nobody ejected: errors 0.019 and 0.007 %, p99 41.8 and 47.8 ms; 0.017 % and 41.9 ms at 2 |
//! | waiting | off | one hangs, not within 100 ms: 0.034 %, 0.013 % with it |
//! | recovered | off | share of the fair one 5 to 10 s after 20 × slow ends: 0.44, 0.99 with it; at 100 requests/s 0.0 and 0.75 |
//! | three halvings | none | least share of identical instances at 20 requests/s: 0.33, 0.85 with them |
//! | 4 draws | 2, 8 | 100 instances, healthy p99 39.5 and 37.0 ms, 37.5 at 4; 10 slow: 40.7 and 37.7, 38.9 at 4 |
//! | all up to 16 | 4 draws of 10 | healthy p99 38.5 ms, 37.9 with all |
//!
//! Absent on purpose: **hot and cold**. Prequal's rule (least latency among those below a quantile of requests in
//! flight) was measured in place of the product, over the same ten: healthy p99 80 ms instead of 38, with one slow
//! 109 instead of 39. It is made for dozens of requests in flight per instance; with two or three the quantile is
//! too coarse, the fastest is filled up to it, and past capacity the slow ones get nothing at all. Also absent:
//! shares of requests sent at random, since trials do that, and any say in who is eligible.

use std::sync::Arc;

use super::{Picker, Strategy};
use crate::math::{Alias, exp2_neg};
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{LoadSlot, Nanos, NoPick, PickContext, PickRequest, Rng, Share, Stats};

/// The constants of the strategy. They are no settings: measurements vary them, and the module's text says what
/// came of it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Up to this many candidates are all compared.
    pub all: usize,
    /// The least and the most drawn of more than that; at most [`MOST_DRAWS`].
    pub draws: (usize, usize),
    /// Within so many percent of typical, nobody counts as slow or fast.
    pub even_percent: u32,
    /// What a failure costs, in percent of a typical response time.
    pub failure_percent: u32,
    /// Trials are at most one in so many requests.
    pub requests_per_trial: u32,
    /// A trial is due after so many milliseconds without a request, at the least and at the most.
    pub trial_ms: (u32, u32),
    /// How often slowness halves until a trial is due.
    pub halvings: u32,
    /// Whether a request that waits for long is evidence before it ends.
    pub waiting: bool,
    /// Whether a good answer to a trial calls for the next one at once.
    pub returning: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            all: 16,
            draws: (4, MOST_DRAWS),
            even_percent: 120,
            failure_percent: 200,
            requests_per_trial: 2000,
            trial_ms: (5000, 30_000),
            halvings: 3,
            waiting: true,
            returning: true,
        }
    }
}

/// See [`Tuning::draws`].
const MOST_DRAWS: usize = 8;
/// Part of picks that may draw slow candidates only.
const BLIND: f64 = 0.005;
/// Who is so many times slower than typical counts as slow there.
const SLOW: f32 = 2.0;
/// The least success share that is believed.
const LEAST_SHARE: f32 = 0.05;
/// The success share above which an answer to a trial is a good one.
const SOUND_SHARE: f32 = 0.9;
/// What each further request to a candidate costs that has not answered yet, in those of the first.
const UNMEASURED: f32 = 100.0;
/// How often typical values are taken anew.
const REFRESH: Nanos = Nanos::from_secs(1);
/// How many candidates are looked at for them.
const SAMPLE: usize = 1000;

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adaptive {
    tuning: Tuning,
}

impl Adaptive {
    /// With other constants than the measured ones, for measuring.
    #[doc(hidden)]
    #[must_use]
    pub fn tuned(tuning: Tuning) -> Self {
        Self { tuning }
    }
}

impl Strategy for Adaptive {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let tuning = self.tuning;
        let entries = candidates
            .slots()
            .iter()
            .enumerate()
            .zip(candidates.base_weights());
        let entries = entries.filter_map(|((index, slot), weight)| {
            let member = candidates.member(*slot)?;
            Some(Entry {
                stats: Arc::clone(member.stats()),
                load: member.load().clone(),
                slot: *slot,
                weight,
                per_weight: 1.0 / weight as f32,
                share: candidates.share(index),
                per_share: 1.0 / candidates.share(index).as_f64() as f32,
            })
        });
        let entries: Box<[Entry]> = entries.collect();
        let weights: Vec<u32> = candidates.weights().collect();
        let alike = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let table = (!alike && entries.len() > tuning.all).then(|| Alias::new((0..).zip(weights)));
        Box::new(Choice {
            entries,
            table,
            tuning,
            even: tuning.even_percent as f32 / 100.0,
            per_even: 100.0 / tuning.even_percent as f32,
            failure: tuning.failure_percent as f32 / 100.0,
            per_typical: AtomicU32::new(0.0f32.to_bits()),
            draws: AtomicU32::new(tuning.draws.0 as u32),
            trial: AtomicU64::new(Nanos::from_millis(tuning.trial_ms.0.into()).0),
            seen: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
        })
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(REFRESH)
    }
}

#[derive(Debug)]
struct Entry {
    stats: Arc<Stats>,
    load: LoadSlot,
    slot: Slot,
    weight: u32,
    per_weight: f32,
    share: Share,
    per_share: f32,
}

impl Entry {
    /// `(in_flight + 1) / weight`, where requests in flight at a reduced candidate count for as many as they would
    /// be at its full share: else it would soon have as many as the others.
    #[inline(always)]
    fn rank(&self, in_flight: u32) -> f32 {
        (in_flight as f32 * self.per_share + 1.0) * self.per_weight
    }
}

#[derive(Debug)]
struct Choice {
    entries: Box<[Entry]>,
    /// Draws by weight; `None` when all are compared, or are alike.
    table: Option<Alias>,
    tuning: Tuning,
    /// [`Tuning::even_percent`] and [`Tuning::failure_percent`] as factors.
    even: f32,
    per_even: f32,
    failure: f32,
    /// One over the typical response time in ns, as f32 bits; 0 before anybody is measured.
    per_typical: AtomicU32,
    /// How many to draw.
    draws: AtomicU32,
    /// After how many ns without a request a trial is due.
    trial: AtomicU64,
    /// Picks of the sample up to the last refresh, and when that was.
    seen: AtomicU64,
    seen_at: AtomicU64,
}

/// What one pick goes by.
struct Moment<'a> {
    tried: &'a [Slot],
    now: Nanos,
    per_typical: f32,
    trial: u64,
}

impl Choice {
    /// Expected time until a success, in typical response times, of one whose response time is `time` of those.
    #[inline]
    fn slowness(&self, time: f32, stats: &Stats) -> f32 {
        let share = stats.success_share();
        if share == 1.0 {
            return time;
        }
        time + self.failure * (1.0 / share.max(LEAST_SHARE) - 1.0)
    }

    /// How `slowness` multiplies the cost: not at all near 1.
    #[inline]
    fn factor(&self, slowness: f32) -> f32 {
        let (slow, fast) = (slowness * self.per_even, slowness * self.even);
        // No NaN comes here, so these are single instructions, which `f32::max` is not.
        (if slow > 1.0 { slow } else { 1.0 }) * (if fast < 1.0 { fast } else { 1.0 })
    }

    #[inline(always)]
    fn cost(&self, entry: &Entry, moment: &Moment<'_>) -> f32 {
        let stats = &*entry.stats;
        let in_flight = entry.load.get();
        let rank = entry.rank(in_flight);
        if !moment.tried.is_empty() && moment.tried.contains(&entry.slot) {
            return f32::INFINITY;
        }
        let (time, at) = stats.response_time().unwrap_or_default();
        let last_used = stats.last_used();
        let unused = moment.now.since(last_used).0;
        // Branches here would be guessed wrong for every other candidate.
        let slowness = self.slowness(time.0 as i64 as f32 * moment.per_typical, stats);
        let waits = self.tuning.waiting & (in_flight > 0) & (at <= last_used);
        let waiting = if waits {
            unused as i64 as f32 * moment.per_typical
        } else {
            0.0
        };
        let slowness = if waiting > slowness { waiting } else { slowness };
        // Nobody is measured, or this one is not, or is idle and slow, or was left out for long.
        if (time == Nanos::ZERO)
            | (moment.per_typical == 0.0)
            | ((in_flight == 0) & ((slowness > self.even) | (unused > moment.trial)))
        {
            return self.doubtful_cost(entry, in_flight, slowness, unused, moment);
        }
        rank * self.factor(slowness)
    }

    /// The cost of a candidate that nobody has measured, or that has had nothing to do for long, or is slow and
    /// idle.
    #[cold]
    fn doubtful_cost(
        &self,
        entry: &Entry,
        in_flight: u32,
        slowness: f32,
        unused: u64,
        moment: &Moment<'_>,
    ) -> f32 {
        let stats = &*entry.stats;
        let rank = entry.rank(in_flight);
        if in_flight == 0 && (unused > moment.trial || stats.last_used() == Nanos::ZERO) {
            return 0.0;
        }
        if moment.per_typical == 0.0 {
            return rank;
        }
        if in_flight > 0 {
            return rank * UNMEASURED;
        }
        let unmeasured = stats.response_time().is_none();
        let slowness = if unmeasured {
            self.slowness(1.0, stats)
        } else {
            slowness
        };
        let last = stats.last_response_time().0 as f32 * moment.per_typical;
        if self.tuning.returning && !unmeasured && last < self.even && stats.success_share() > SOUND_SHARE {
            return rank;
        }
        let halvings = f64::from(self.tuning.halvings) * unused as f64 / moment.trial as f64;
        rank * (slowness * exp2_neg(halvings) as f32 / self.even).max(1.0)
    }

    /// The least cost of all; equals by weight.
    fn among_all(&self, moment: &Moment<'_>, rng: &mut Rng) -> Option<Slot> {
        let mut best = (f32::INFINITY, None);
        let mut tied = 0;
        for entry in &self.entries {
            if entry.share != Share::FULL && rng.below(Share::UNITS) >= entry.share.units() {
                continue;
            }
            let cost = self.cost(entry, moment);
            let weight = u64::from(entry.weight);
            if cost < best.0 || best.1.is_none() {
                best = (cost, Some(entry.slot));
                tied = weight;
            } else if cost == best.0 {
                // The k-th of equals replaces the choice with its part of the weight so far.
                tied += weight;
                if rng.below_u64(tied) < weight {
                    best.1 = Some(entry.slot);
                }
            }
        }
        // Nobody was let in by its share.
        let mut any = || self.entries.get(rng.below(self.entries.len() as u32) as usize);
        best.1.or_else(|| Some(any()?.slot))
    }

    /// The least cost of a few drawn by weight, no two the same.
    fn among_some(&self, moment: &Moment<'_>, rng: &mut Rng) -> Option<Slot> {
        let n = self.entries.len() as u32;
        let draws = (self.draws.load(Relaxed) as usize).min(MOST_DRAWS);
        let mut drawn = [u32::MAX; MOST_DRAWS];
        for draw in 0..draws {
            let mut index = match &self.table {
                Some(table) => table.draw(rng.next_u64())?,
                None => rng.below(n),
            };
            // One with most of the weight would be drawn again and again: anybody stands in.
            while drawn[..draw].contains(&index) {
                index = rng.below(n);
            }
            drawn[draw] = index;
        }
        let mut best = (f32::INFINITY, *drawn.first()?);
        for index in &drawn[..draws] {
            let cost = self.cost(self.entries.get(*index as usize)?, moment);
            best = if cost < best.0 { (cost, *index) } else { best };
        }
        self.entries.get(best.1 as usize).map(|entry| entry.slot)
    }
}

impl Picker for Choice {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let moment = Moment {
            tried: request.tried,
            now: cx.now,
            per_typical: f32::from_bits(self.per_typical.load(Relaxed)),
            trial: self.trial.load(Relaxed),
        };
        let slot = if self.entries.len() <= self.tuning.all {
            self.among_all(&moment, &mut cx.rng)
        } else {
            self.among_some(&moment, &mut cx.rng)
        };
        slot.ok_or(NoPick::NoneEligible)
    }

    /// O(n) up to a thousand candidates, which stand for the others beyond.
    fn refresh(&self, now: Nanos) {
        let step = self.entries.len().div_ceil(SAMPLE).max(1);
        let sample = || self.entries.iter().step_by(step).map(|entry| &*entry.stats);
        let mut times: Vec<u64> = sample()
            .filter_map(|stats| Some(stats.response_time()?.0.0))
            .collect();
        let Some(middle) = times.len().checked_sub(1).map(|last| last / 2) else {
            return;
        };
        let per_typical = 1.0 / *times.select_nth_unstable(middle).1 as f32;
        self.per_typical.store(per_typical.to_bits(), Relaxed);

        let (least, most) = self.tuning.trial_ms;
        let (least, most) = (Nanos::from_millis(least.into()), Nanos::from_millis(most.into()));
        let (mut all, mut slow, mut trials, mut picks) = (0u32, 0u32, 0u32, 0u64);
        for stats in sample() {
            let time = stats
                .response_time()
                .map_or(1.0, |(time, _)| time.0 as f32 * per_typical);
            let is_slow = self.slowness(time, stats) > SLOW;
            all += 1;
            slow += u32::from(is_slow);
            trials += u32::from(is_slow || now.since(stats.last_used()) > least);
            picks += stats.picks();
        }
        let part = f64::from(slow) / f64::from(all);
        let (mut draws, most_draws) = self.tuning.draws;
        while draws < most_draws && part.powi(draws as i32) > BLIND {
            draws += 1;
        }
        self.draws.store(draws as u32, Relaxed);

        let recent = picks.saturating_sub(self.seen.swap(picks, Relaxed)).max(1);
        let span = now.since(Nanos(self.seen_at.swap(now.0, Relaxed)));
        let pause = span.0 as f64 / recent as f64 * f64::from(self.tuning.requests_per_trial * trials);
        let trial = Nanos(pause as u64).clamp(least, most);
        self.trial.store(trial.0, Relaxed);
    }
}
