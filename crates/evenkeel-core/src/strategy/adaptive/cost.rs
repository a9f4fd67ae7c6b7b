//! What a candidate costs, and why.

use super::{Choice, Entry};
use crate::Nanos;
use crate::explain::percent;
use crate::math::exp2_neg;
use crate::strategy::Appraisal;
use crate::sync::Ordering::Relaxed;
use crate::view::Slot;

/// The least success share that is believed.
const LEAST_SHARE: f32 = 0.05;
/// The success share above which an answer to a trial is a good one.
const SOUND_SHARE: f32 = 0.9;
/// What each further request to a candidate costs that has not answered yet, in those of the first.
const UNMEASURED: f32 = 100.0;

/// `time`, or 1 where that is within so many times.
#[inline(always)]
pub(super) fn leveled(time: f32, even: f32) -> f32 {
    if is_within(time, even) { 1.0 } else { time }
}

/// Whether `value` is at most so many times more or less than 1.
#[inline(always)]
pub(super) fn is_within(value: f32, times: f32) -> bool {
    (value <= times) & (value * times >= 1.0)
}

/// What decides the cost of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    Tried,
    New,
    Trial,
    /// Its last requests all failed.
    Fallen,
    /// Nobody is measured.
    Unknown,
    Unmeasured,
    Waiting,
    Recovered,
    /// Idle, and as fast as most, or so it may be.
    Typical,
    Slowness,
}

/// What one pick goes by.
pub(super) struct Moment<'a> {
    pub(super) tried: &'a [Slot],
    pub(super) now: Nanos,
    per_typical: f32,
    /// [`Choice::blur`] in typical response times.
    blur: f32,
    trial: u64,
}

impl Moment<'_> {
    /// So many ns in typical response times.
    #[inline(always)]
    pub(super) fn relative(&self, time: f32) -> f32 {
        time * self.per_typical + self.blur
    }
}

impl Choice {
    #[inline(always)]
    pub(super) fn moment<'a>(&self, tried: &'a [Slot], now: Nanos) -> Moment<'a> {
        let per_typical = self.per_typical.get();
        Moment {
            tried,
            now,
            per_typical,
            blur: self.blur * per_typical,
            trial: self.trial.load(Relaxed),
        }
    }

    /// What failures add to the expected time until a success, in typical response times, by the success share.
    #[inline(always)]
    pub(super) fn failing(&self, share: f32) -> f32 {
        let share = if share > LEAST_SHARE { share } else { LEAST_SHARE };
        self.failure * (1.0 / share - 1.0)
    }

    /// How slowness multiplies the cost.
    #[inline(always)]
    pub(super) fn factor(&self, slowness: f32) -> f32 {
        let least = if slowness > 1.0 { slowness } else { 1.0 };
        slowness * if least < self.workers { least } else { self.workers }
    }

    /// How it multiplies that of one that has nothing to do.
    #[inline(always)]
    fn idle_factor(&self, slowness: f32, even: f32) -> f32 {
        let factor = self.factor(slowness);
        if is_within(slowness, even) { 1.0 } else { factor }
    }

    /// The cost of one of whom there is no more to say.
    #[inline(always)]
    pub(super) fn plain_cost(&self, entry: &Entry, moment: &Moment<'_>) -> f32 {
        let [cost] = self.plain_costs(std::iter::once(entry), moment);
        cost
    }

    /// What each of up to `N` costs, if there is no more to say of any; infinite beyond them.
    #[inline(always)]
    pub(super) fn plain_costs<'e, const N: usize>(
        &self,
        entries: impl Iterator<Item = &'e Entry>,
        moment: &Moment<'_>,
    ) -> [f32; N] {
        // First what is read, into arrays of a fixed length: then the arithmetic for several compiles to vector code.
        let (mut requests, mut per_weight) = ([0; N], [1.0; N]);
        let (mut times, mut shares, mut even) = ([f32::INFINITY; N], [1.0; N], [1.0; N]);
        for (place, entry) in entries.take(N).enumerate() {
            // Below 2^31; the conversion of signed numbers is the cheaper one.
            requests[place] = entry.load.get() as i32;
            per_weight[place] = entry.per_weight;
            times[place] = entry.stats.steady_time();
            shares[place] = entry.stats.trust().get();
            even[place] = entry.even.get();
        }
        let mut costs = [0.0; N];
        for place in 0..N {
            let time = moment.relative(times[place]);
            let failing = self.failing(shares[place]);
            let busy = self.factor(time + failing);
            let idle = self.idle_factor(leveled(time, even[place]) + failing, self.even);
            let rank = (requests[place] as f32 + 1.0) * per_weight[place];
            costs[place] = rank * if requests[place] == 0 { idle } else { busy };
        }
        costs
    }

    /// How long requests in flight have gone without an answer, in typical response times.
    #[inline]
    pub(super) fn waiting(&self, entry: &Entry, moment: &Moment<'_>) -> f32 {
        let used = entry.stats.last_used();
        let (_, answered) = entry.stats.response_time().unwrap_or_default();
        if !self.tuning.waiting || answered > used || entry.load.get() == 0 {
            return 0.0;
        }
        moment.relative(moment.now.since(used).0 as i64 as f32)
    }

    /// The cost, whatever there is to say.
    #[inline]
    pub(super) fn cost(&self, entry: &Entry, moment: &Moment<'_>) -> f32 {
        self.judge(entry, moment).0
    }

    /// The cost, and what decides it.
    fn judge(&self, entry: &Entry, moment: &Moment<'_>) -> (f32, Because) {
        if moment.tried.contains(&entry.slot) {
            return (f32::INFINITY, Because::Tried);
        }
        let stats = &*entry.stats;
        let in_flight = entry.load.get();
        let rank = entry.rank(in_flight);
        let unused = moment.now.since(stats.last_used()).0;
        if in_flight == 0 && stats.last_used() == Nanos::ZERO {
            return (0.0, Because::New);
        }
        let fell = stats.trust().has_fallen();
        let is_due = match fell {
            true => self.turns.is_due(entry, moment.now),
            false => unused > moment.trial,
        };
        if in_flight == 0 && is_due {
            return (0.0, Because::Trial);
        }
        if moment.per_typical == 0.0 {
            return (rank, Because::Unknown);
        }
        let time = stats.steady_time();
        let measured = time > 0.0;
        if in_flight > 0 && !measured {
            return (rank * UNMEASURED, Because::Unmeasured);
        }
        let time = if measured { moment.relative(time) } else { 1.0 };
        let failing = self.failing(stats.trust().get());
        if in_flight > 0 {
            let (slowness, waiting) = (time + failing, self.waiting(entry, moment));
            return if waiting > slowness {
                (rank * self.factor(waiting), Because::Waiting)
            } else {
                (rank * self.factor(slowness), Because::Slowness)
            };
        }
        if fell {
            return (rank * self.factor(entry.leveled(time) + failing), Because::Fallen);
        }
        let halvings = f64::from(self.tuning.halvings) * unused as f64 / moment.trial as f64;
        let slowness = entry.leveled(time) + failing * exp2_neg(halvings) as f32;
        if self.tuning.returning && slowness > self.even {
            let last = moment.relative(stats.last_response_time().0 as f32);
            if measured && last < self.even && stats.trust().get() > SOUND_SHARE {
                return (rank, Because::Recovered);
            }
        }
        let factor = self.idle_factor(slowness, entry.even.get().min(self.even));
        let because = if factor == 1.0 {
            Because::Typical
        } else {
            Because::Slowness
        };
        (rank * factor, because)
    }

    /// The cost of `entry` in words and numbers.
    pub(super) fn appraisal(&self, entry: &Entry, now: Nanos) -> Appraisal {
        let moment = self.moment(&[], now);
        let (cost, because) = self.judge(entry, &moment);
        Appraisal {
            cost: cost.into(),
            why: self.describe(entry, &moment, because),
        }
    }

    /// What decides the cost, in words and numbers.
    fn describe(&self, entry: &Entry, moment: &Moment<'_>, because: Because) -> String {
        let stats = &*entry.stats;
        let unused = moment.now.since(stats.last_used()).as_secs_f64();
        let in_flight = entry.load.get();
        let failing = match self.failing(stats.trust().get()) {
            0.0 => String::new(),
            _ => format!(
                ", and {} of its requests succeed",
                percent(stats.trust().get().into())
            ),
        };
        let speed = match (stats.steady_time(), moment.per_typical) {
            (0.0, _) => "it has not answered yet".to_owned(),
            (time, 0.0) => format!("it takes {:.1} ms", f64::from(time) / 1e6),
            (time, per_typical) => format!(
                "it takes {:.1} ms, where {:.1} ms are typical",
                f64::from(time) / 1e6,
                f64::from(1.0 / per_typical - self.blur) / 1e6
            ),
        };
        match because {
            Because::Tried => "it was tried for this request already".to_owned(),
            Because::New => "it was never used, so its first request is due".to_owned(),
            Because::Trial => format!("it had no request for {unused:.1} s, so a trial is due"),
            Because::Fallen => "it fails of late, so it waits for its turn to be asked again".to_owned(),
            Because::Unknown => format!("{in_flight} in flight, and nobody has answered yet"),
            Because::Unmeasured => format!("{in_flight} in flight, and it has not answered yet"),
            Because::Waiting => format!("{in_flight} in flight without an answer for {unused:.1} s"),
            Because::Recovered => "idle, and its last answer was as good as any".to_owned(),
            Because::Typical => "idle, and nearly as fast as most".to_owned(),
            Because::Slowness if in_flight == 0 => format!("idle, {speed}{failing}"),
            Because::Slowness => format!("{in_flight} in flight, {speed}{failing}"),
        }
    }
}
