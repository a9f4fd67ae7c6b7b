//! The least work before a request, where slow, failing and silent candidates count for more:
//!
//! `cost = (in_flight + 1) / weight × factor(slowness)`
//!
//! `slowness = max(response_time + failure_cost × (1 / success_share − 1), waiting) / typical`, all times 0.5 ms longer
//!
//! `factor(s) = s` below 1, `s²` up to 2, `2 s` above; 1 for an idle candidate that is nearly as fast as typical
//!
//! `response_time` is the mean of the last 128 successes or so, and follows a change within a few
//! ([`crate::pace`]); `typical` is the median of those of the candidates, taken anew every second; a failure costs 0.7 of that,
//! because the request begins again elsewhere; `success_share` is floored at 0.05, and of one that fell far below what it was ([`crate::trust`]); `waiting` is how long requests in flight
//! have gone without an answer since the last was sent.
//!
//! Why this factor: an instance that works on `c` requests at once makes a request wait only when it has as many. So the
//! answer of an idle one that is `s` times slower comes first when a typical one has `c·s − 1` before it, and a product
//! with `s` alone asks it too early, by `c`. Nobody tells `c`. Two is the least of those that do work on several, and the
//! square leads there without a step, so that small differences have small effects.
//!
//! Idle candidates that are nearly as fast share evenly, else one client that asks one request after the other would use
//! one of them only. Nearly is `1 / e ≤ s ≤ e` with `e = 1 + 3 √(1/m + 2/mn) + 0.5 ms / typical`: three times the error
//! that chance leaves in the mean of `m` exponential times and in the median of `n` such, and half a millisecond. `m` is what the response time stands for, 128
//! under load, and halves every 4 s without an answer; so who was called slow by chance is back the sooner the less is
//! known of it. What failures add may be 0.2, and halves three times on the way to a trial.
//!
//! The half millisecond, there and in all times, is for services that answer in as much or less: nobody gains by 0.2 ms
//! instead of 0.4, and the difference is as often the network's or the clock's as the instance's.
//!
//! Among busy candidates any difference counts: a response time with a long memory differs by chance by less than a tenth.
//!
//! Who is compared: all of up to 16 candidates; of more, `d` distinct draws by weight, 4 ≤ d ≤ 8, the least with
//! `f^d < 0.5 %` for the part `f` that is more than 1.5 times as slow as typical. Draws miss the sound ones with
//! probability `f^d`. Those tried for this request already come last.
//!
//! Of more than 16 that have fewer than ten requests a second each in the mean, and some of them none for a second, half the
//! draws are from those that are known to be good, and response times of idle ones are replaced by what is believed of them: `seldom.rs` has the derivation. There
//! equal is who is within 1.15 of one of whom nothing is known.
//!
//! # Nobody attracts, nobody starves
//!
//! - **Never used**: due at once, one request. A second waits for an answer to the first, unless everybody else has a
//!   hundred times as much to do: the cap of a candidate that is not measured. One that has ended requests but
//!   never answered counts as typical.
//! - **Fallen**: who hardly failed and then fails twice in a row is believed to be gone (`trust.rs`), and asked by turns (`fallen.rs`).
//! - **Unused for long**: due for a trial, whatever its cost. That is the floor of every candidate: a request every
//!   5 to 30 s, the longer pause where trials would be more than one request in 2000, a longer one still where they would be
//!   more than one in 50, and never more than one at a time. A hundred balancers that each try a slow instance every 30 s
//!   are three requests a second there, always.
//! - **Recovered**: an idle candidate whose last answer was good is equal to the others at once, and its response time
//!   has no say until it has requests in flight. Without this it takes a trial each for every step of the smoothed
//!   time.
//! - **Reduced**: a candidate with less than the full share takes part in that part of comparisons, and what it has
//!   in flight counts for as much more: with a tenth of a share, a second request waits until others have ten.
//!
//! Mostly none of these applies. The look that takes typical values finds out (all measured, used within the last second,
//! with full shares), and for the next two seconds picks compare plain costs, and ask only of the winner how long it has
//! been silent: that can make nobody cheaper, so who wins in spite of it wins.
//!
//! # Where the constants come from
//!
//! `cargo bench -p evenkeel-core --bench fleet` prints p50, p99, p99.9, errors and the part not answered within 100 ms, for
//! every strategy and scenario and for two oracles that know all speeds and queues; its keys choose and vary. Ten instances of
//! two workers, 8 ms exponential, 70 % of the healthy capacity, 20 seeds of 8 s from the fault on, without detectors
//! (`detectors=0`, and `ejects=0` where nobody is ejected), so that the strategy is measured and not they. p99:
//!
//! | what | varied | result |
//! |---|---|---|
//! | as it is, and the better oracle | | healthy 37.8 ms, 37.4; three 10 × slow 96.4, 104.8; speeds 1:2:4 unknown 36.2, 33.2; 1:8 23.9, 22.2 |
//! | 2 workers | 1 | speeds 1:2:4 42.0, one of three at a quarter 32.9, 29.8 at 2 |
//! | | 4 | the same within 2 %, but p99.9 |
//! | memory 128 | 8 | healthy 41.0, 1:2:4 40.7; 37.8 and 37.1 with all else alike |
//! | | 32, 512 | healthy 38.0, 37.9 |
//! | idle within `e` | 1.2 | ten identical, 8 ms exponential, one client: the least one has 0.07 of its fair share, 0.8 with `e`; three balancers apart, speeds 1:2:4: 36.4, 38.6 with `e` |
//! | 0.5 ms | 0, 1 | the same within 2 %, but p99.9 of speeds 1:2:4: 63, 65 at 0.5, 66 at 1 |
//! | failure cost 0.7 | 3 | four that fail 20 %, nobody ejected: 45.8 ms, 41.8 at 0.7 |
//! | waiting | off | one hangs, not within 100 ms: 0.033 %, 0.013 % with it |
//! | 4 draws | 2, 8 | 100 instances, healthy 39.7 and 36.9 ms, 37.4 at 4 |
//! | slow from 1.5 | 2.0 | 100 instances, speeds 1:2:4: 41.0, 36.9 at 1.5 |
//! | all up to 16 | 4 draws of 10 | healthy 38.4, 37.8 with all |
//!
//! | seldom, and trials at most one in 50 | neither | `antagonists` of the simulator, nine loads, seed 1: p99 of 1356 to 3129 ms and 1057 errors; 449 to 671 and none with both, Prequal 523 to 755 |
//!
//! Recovered has another source, runs with a rule before this one: a share of the fair one 5 to 10 s after 20 × slow
//! ends of 0.44 without, and of 0.99 with it. Identical instances that one client or ten ask: the same with `-- quiet`.
//!
//! Absent on purpose: **hot and cold**. Prequal's rule (least latency among those below a quantile of requests in
//! flight) was measured in place of the product, over the same ten: healthy p99 80 ms instead of 38, with one slow
//! 109 instead of 39. It is made for dozens of requests in flight per instance; with two or three the quantile is
//! too coarse, the fastest is filled up to it, and past capacity the slow ones get nothing at all. Also absent:
//! shares of requests sent at random, since trials do that, and any say in who is eligible.

mod cost;
mod fallen;
mod seldom;

use std::any::Any;
use std::sync::Arc;

use super::{Appraisal, Picker, Strategy};
use crate::math::{Alias, AtomicF32};
use crate::scored::least_of_few;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{LoadSlot, Nanos, NoPick, PickContext, PickRequest, Rng, Share, Stats};
use cost::{Moment, leveled};
use fallen::Turns;
use seldom::{LIST_DRAWS, List};

/// The constants of the strategy. They are no settings: measurements vary them, and the module's text says what
/// came of it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Up to this many candidates are all compared; at most [`MOST_ALL`].
    pub all: usize,
    /// The least and the most drawn of more than that; at most [`MOST_DRAWS`].
    pub draws: (usize, usize),
    /// Idle ones within so many percent of typical are equal.
    pub even_percent: u32,
    /// And those that so many percent of the error may explain that chance leaves in their response times.
    pub chance_percent: u32,
    /// So many microseconds are added to all response times before they are compared.
    pub blur_us: u32,
    /// How many requests an instance is taken to work on at once.
    pub workers: u32,
    /// What a failure costs, in percent of a typical response time.
    pub failure_percent: u32,
    /// Trials are at most one in so many requests, where the longer pause allows that, and where it does not.
    pub requests_per_trial: (u32, u32),
    /// A trial is due after so many milliseconds without a request, at the least and at the most.
    pub trial_ms: (u32, u32),
    /// Whether those that are asked seldom are weighed together.
    pub seldom: bool,
    /// Of these, idle ones are equal that are within so many percent of what is believed of one that is not known.
    pub seldom_even_percent: u32,
    /// How often what failures cost halves until a trial is due.
    pub halvings: u32,
    /// Whether a request that waits for long is evidence before it ends.
    pub waiting: bool,
    /// Whether a good answer to a trial calls for the next one at once.
    pub returning: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            all: MOST_ALL,
            draws: (LEAST_DRAWS, MOST_DRAWS),
            even_percent: 120,
            chance_percent: 300,
            blur_us: 500,
            workers: 2,
            failure_percent: 70,
            requests_per_trial: (2000, 50),
            trial_ms: (5000, 30_000),
            seldom: true,
            seldom_even_percent: 115,
            halvings: 3,
            waiting: true,
            returning: true,
        }
    }
}

/// See [`Tuning::all`].
const MOST_ALL: usize = 16;
/// See [`Tuning::draws`].
const LEAST_DRAWS: usize = 4;
/// See [`Tuning::draws`].
const MOST_DRAWS: usize = 8;
/// Part of picks that may draw slow candidates only.
const BLIND: f64 = 0.005;
/// Who is so many times slower than typical counts as slow there.
const SLOW: f32 = 1.5;
/// The fewest samples that a response time is taken to stand for.
const LEAST_SAMPLES: f32 = 0.01;
/// Asked seldom is who has one request in so long, in the mean.
const SELDOM: Nanos = Nanos::from_millis(100);
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

    fn choice(&self, candidates: &Candidates) -> Choice {
        let mut tuning = self.tuning;
        tuning.all = tuning.all.min(MOST_ALL);
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
                even: AtomicF32::new(1.0),
                unknown: AtomicF32::new(0.0),
                own: AtomicF32::new(1.0),
                fell: AtomicU64::new(0),
            })
        });
        let entries: Box<[Entry]> = entries.collect();
        let weights: Vec<u32> = candidates.weights().collect();
        let alike = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let table = (!alike && entries.len() > tuning.all).then(|| Alias::new((0..).zip(weights)));
        Choice {
            entries,
            table,
            tuning,
            even: tuning.even_percent as f32 / 100.0,
            chance: tuning.chance_percent as f32 / 100.0,
            seldom_even: tuning.seldom_even_percent as f32 / 100.0,
            blur: tuning.blur_us as f32 * 1000.0,
            workers: tuning.workers as f32,
            failure: tuning.failure_percent as f32 / 100.0,
            per_typical: AtomicF32::new(0.0),
            calm_until: AtomicU64::new(0),
            draws: AtomicU32::new(tuning.draws.0 as u32),
            trial: AtomicU64::new(Nanos::from_millis(tuning.trial_ms.0.into()).0),
            list: List::default(),
            turns: Turns::default(),
            seen: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
            per_request: AtomicF32::new(0.0),
        }
    }
}

impl Strategy for Adaptive {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        Box::new(self.choice(candidates))
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        let choice = self.choice(candidates);
        let before: &dyn Any = before;
        if let Some(before) = before.downcast_ref::<Choice>() {
            choice.per_request.set(before.per_request.get());
            choice.inherit_turns(before);
        }
        Box::new(choice)
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
    /// Within this factor of typical it is equal while it has nothing to do.
    even: AtomicF32,
    /// What is believed of it, over what is believed of one that is not known, is this…
    unknown: AtomicF32,
    /// …and so much for each typical response time that it takes.
    own: AtomicF32,
    /// Since when, in ns, it is known to have fallen; 0 when it did not.
    fell: AtomicU64,
}

impl Entry {
    /// `(in_flight + 1) / weight`, where requests in flight at a reduced candidate count for as many as they would
    /// be at its full share: else it would soon have as many as the others.
    #[inline(always)]
    fn rank(&self, in_flight: u32) -> f32 {
        (in_flight as f32 * self.per_share + 1.0) * self.per_weight
    }

    /// What is believed of it by its response time, in typical ones.
    #[inline(always)]
    fn believed(&self, time: f32) -> f32 {
        self.unknown.get() + self.own.get() * time
    }

    /// From now on a part of that is its own, and the rest what one takes that is not known: `mean`.
    fn believe(&self, own: f32, mean: f32, even: f32) {
        self.unknown.set(1.0 - own);
        self.own.set(own / mean);
        self.even.set(even);
    }

    /// The response time while it has nothing to do, where one that may differ by chance alone is typical.
    #[inline(always)]
    fn leveled(&self, time: f32) -> f32 {
        leveled(self.believed(time), self.even.get())
    }
}

#[derive(Debug)]
struct Choice {
    entries: Box<[Entry]>,
    /// Draws by weight; `None` when all are compared, or are alike.
    table: Option<Alias>,
    tuning: Tuning,
    /// [`Tuning::even_percent`] and others in percent as factors.
    even: f32,
    chance: f32,
    seldom_even: f32,
    /// [`Tuning::blur_us`] in ns.
    blur: f32,
    failure: f32,
    workers: f32,
    /// One over the typical response time in ns; 0 before anybody is measured.
    per_typical: AtomicF32,
    /// Until when, in ns, there is nobody of whom there is more to say than a response time, or so it looked last.
    calm_until: AtomicU64,
    /// Of many that are asked seldom, those that are known to be good.
    list: List,
    turns: Turns,
    /// How many to draw.
    draws: AtomicU32,
    /// After how many ns without a request a trial is due.
    trial: AtomicU64,
    /// Picks of the sample up to the last refresh, and when that was.
    seen: AtomicU64,
    seen_at: AtomicU64,
    /// Time between two of those, in ns; 0 before the first look.
    per_request: AtomicF32,
}

impl Choice {
    /// The least cost of all; equals by weight.
    #[inline(always)]
    fn least_of_all(&self, rng: &mut Rng, cost: impl Fn(&Entry, &mut Rng) -> Option<f32>) -> Option<&Entry> {
        let mut best = (f32::INFINITY, None);
        let mut tied = 0;
        for entry in &self.entries {
            let Some(cost) = cost(entry, rng) else {
                continue;
            };
            if cost < best.0 || best.1.is_none() {
                best = (cost, Some(entry));
                tied = 0;
            } else if cost == best.0 {
                // The k-th of equals replaces the choice with its part of the weight so far.
                if tied == 0 {
                    tied = best.1.map_or(0, |first| u64::from(first.weight));
                }
                tied += u64::from(entry.weight);
                if rng.below_u64(tied) < u64::from(entry.weight) {
                    best.1 = Some(entry);
                }
            }
        }
        best.1
    }

    /// The least cost of all, where there is more to say of some.
    #[cold]
    fn among_all(&self, moment: &Moment<'_>, rng: &mut Rng) -> Option<&Entry> {
        let cost = |entry: &Entry, rng: &mut Rng| {
            let out = entry.share != Share::FULL && rng.below(Share::UNITS) >= entry.share.units();
            (!out).then(|| self.cost(entry, moment))
        };
        let best = self.least_of_all(rng, cost);
        // Nobody was let in by its share.
        best.or_else(|| self.entries.get(rng.below(self.entries.len() as u32) as usize))
    }

    /// A few drawn by weight, no two the same.
    #[inline]
    fn draw(&self, rng: &mut Rng) -> ([u32; MOST_DRAWS], usize) {
        let draws = (self.draws.load(Relaxed) as usize).min(MOST_DRAWS);
        if draws != LEAST_DRAWS {
            return (self.draw_one_by_one(draws, rng), draws);
        }
        // Mostly four, none of them twice.
        let [a, b, c, d] = match &self.table {
            Some(table) => [(); 4].map(|()| table.draw(rng.next_u64()).unwrap_or(0)),
            None => {
                // 32 bits choose each.
                let n = self.entries.len() as u64;
                let pair = |bits: u64| [bits >> 32, bits & 0xFFFF_FFFF].map(|bits| ((bits * n) >> 32) as u32);
                let ([a, b], [c, d]) = (pair(rng.next_u64()), pair(rng.next_u64()));
                [a, b, c, d]
            }
        };
        if (a == b) | (a == c) | (a == d) | (b == c) | (b == d) | (c == d) {
            return (self.draw_one_by_one(draws, rng), draws);
        }
        ([a, b, c, d, 0, 0, 0, 0], draws)
    }

    /// The same, however many.
    #[inline(never)]
    fn draw_one_by_one(&self, draws: usize, rng: &mut Rng) -> [u32; MOST_DRAWS] {
        let n = self.entries.len() as u32;
        let mut drawn = [u32::MAX; MOST_DRAWS];
        for draw in 0..draws {
            let mut index = match &self.table {
                Some(table) => table.draw(rng.next_u64()).unwrap_or(0),
                None => rng.below(n),
            };
            // One with most of the weight would be drawn again and again: anybody stands in.
            while drawn[..draw].contains(&index) {
                index = rng.below(n);
            }
            drawn[draw] = index;
        }
        drawn
    }

    /// The least plain cost of up to `N` drawn.
    #[inline(always)]
    fn least_plain<const N: usize>(
        &self,
        drawn: &[u32],
        moment: &Moment<'_>,
        rng: &mut Rng,
    ) -> Option<&Entry> {
        let entries = drawn.iter().map(|index| &self.entries[*index as usize]);
        let costs: [f32; N] = self.plain_costs(entries, moment);
        // They were drawn by weight, so equals share evenly.
        let weight = |place: usize| u32::from(place < drawn.len());
        let place = least_of_few(&costs, weight, rng);
        self.entries.get(*drawn.get(place)? as usize)
    }

    /// The least cost of these, where there is more to say of some.
    #[cold]
    fn least_of(&self, drawn: &[u32], moment: &Moment<'_>) -> Option<&Entry> {
        let mut best = (f32::INFINITY, *drawn.first()?);
        for index in drawn {
            let cost = self.cost(self.entries.get(*index as usize)?, moment);
            best = if cost < best.0 { (cost, *index) } else { best };
        }
        self.entries.get(best.1 as usize)
    }

    /// How far each may be off typical by chance: what its own mean is off by, and the median of `n`.
    fn level(&self, n: usize, now: Nanos, per_typical: f32) {
        let of_median = 1.0 + 2.0 / n as f32;
        for entry in &self.entries {
            let samples = entry.stats.steady_samples(now).max(LEAST_SAMPLES);
            let even = 1.0 + self.chance * (of_median / samples).sqrt() + self.blur * per_typical;
            entry.believe(1.0, 1.0, even.max(self.even));
        }
    }

    /// Whether a choice by plain costs stands: with what there is to say, it would cost as much, and nobody less.
    #[inline]
    fn stands(&self, entry: &Entry, moment: &Moment<'_>) -> bool {
        self.waiting(entry, moment) <= moment.relative(entry.stats.steady_time())
    }
}

impl Picker for Choice {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let moment = self.moment(request.tried, cx.now);
        let calm = (cx.now.0 < self.calm_until.load(Relaxed)) & moment.tried.is_empty();
        let rng = &mut cx.rng;
        let best = if self.entries.len() <= self.tuning.all {
            // One by one: gathered for vector code, sixteen take longer.
            let plain = if calm {
                self.least_of_all(rng, |entry, _| Some(self.plain_cost(entry, &moment)))
            } else {
                None
            };
            match plain {
                Some(best) if self.stands(best, &moment) => Some(best),
                _ => self.among_all(&moment, rng),
            }
        } else {
            let (mut drawn, mut count) = self.draw(rng);
            if !calm && let Some(listed) = self.list.draw(rng) {
                // After the others, of whom the first is chosen where all are equal.
                drawn[MOST_DRAWS - LIST_DRAWS..].copy_from_slice(&listed);
                count = MOST_DRAWS;
            }
            let plain = match count {
                _ if !calm => None,
                LEAST_DRAWS => self.least_plain::<LEAST_DRAWS>(&drawn[..LEAST_DRAWS], &moment, rng),
                _ => self.least_plain::<MOST_DRAWS>(&drawn[..count], &moment, rng),
            };
            match plain {
                Some(best) if self.stands(best, &moment) => Some(best),
                _ => self.least_of(&drawn[..count], &moment),
            }
        };
        best.map(|entry| entry.slot).ok_or(NoPick::NoneEligible)
    }

    fn appraise(&self, slot: Slot, now: Nanos) -> Option<Appraisal> {
        Some(self.appraisal(self.entry(slot)?, now))
    }

    fn leaves_alone(&self, slot: Slot) -> bool {
        self.entry(slot)
            .is_some_and(|entry| entry.stats.trust().has_fallen())
    }

    /// O(n) up to a thousand candidates, which stand for the others beyond.
    fn refresh(&self, now: Nanos) {
        let step = self.entries.len().div_ceil(SAMPLE).max(1);
        let sample = || self.entries.iter().step_by(step).map(|entry| &*entry.stats);
        let mut times: Vec<u64> = sample()
            .map(|stats| stats.steady_time() as u64)
            .filter(|time| *time > 0)
            .collect();
        let Some(middle) = times.len().checked_sub(1).map(|last| last / 2) else {
            return;
        };
        let per_typical = 1.0 / (*times.select_nth_unstable(middle).1 as f32 + self.blur);
        self.per_typical.set(per_typical);
        let (least, most) = self.tuning.trial_ms;
        let (least, most) = (Nanos::from_millis(least.into()), Nanos::from_millis(most.into()));
        let mut calm = self.entries.iter().all(|entry| entry.share == Share::FULL);
        let (mut all, mut slow, mut trials, mut overdue, mut picks) = (0u32, 0u32, 0u32, 0u32, 0u64);
        for stats in sample() {
            let time = stats.steady_time();
            let time = if time > 0.0 {
                (time + self.blur) * per_typical
            } else {
                1.0
            };
            let is_slow = time + self.failing(stats.trust().get()) > SLOW;
            let unused = now.since(stats.last_used());
            calm &= unused <= REFRESH && stats.steady_time() > 0.0;
            all += 1;
            slow += u32::from(is_slow);
            trials += u32::from(is_slow || unused > least);
            overdue += u32::from(is_slow || unused > most);
            picks += stats.picks();
        }
        let until = if calm {
            now.0.saturating_add(2 * REFRESH.0)
        } else {
            0
        };
        self.calm_until.store(until, Relaxed);
        let recent = picks.saturating_sub(self.seen.swap(picks, Relaxed)).max(1);
        let before = Nanos(self.seen_at.swap(now.0, Relaxed));
        // Of the sample. The first look of a picker sees all requests there ever were, and goes by the rate that the one
        // before it found.
        let known = self.per_request.get();
        let per_request = if before == Nanos::ZERO && known > 0.0 {
            f64::from(known)
        } else {
            now.since(before).0 as f64 / recent as f64
        };
        self.per_request.set(per_request as f32);
        let is_large = self.entries.len() > self.tuning.all;
        let is_seldom = is_large && per_request * f64::from(all) > SELDOM.0 as f64;
        if self.tuning.seldom && is_seldom && !calm {
            self.weigh(now, per_typical);
        } else {
            self.list.clear();
            self.level(times.len(), now, per_typical);
        }
        let part = f64::from(slow) / f64::from(all);
        let (mut draws, most_draws) = self.tuning.draws;
        while draws < most_draws && (0..draws).fold(1.0, |all, _| all * part) > BLIND {
            draws += 1;
        }
        self.draws.store(draws as u32, Relaxed);

        let pause =
            |requests: u32, of: u32| Nanos((per_request * f64::from(requests) * f64::from(of)) as u64);
        let (few, many) = self.tuning.requests_per_trial;
        let mut trial = pause(few, trials).clamp(least, most);
        if is_large {
            trial = trial.max(pause(many, overdue));
        }
        self.trial.store(trial.0, Relaxed);
        let many = if is_large { many } else { 0 };
        self.take_turns(now, [least, most], [pause(few, 1), pause(many, 1)]);
    }
}
