//! How fast an instance answers, for strategies that rank by it. Lives in [`Stats`], folded by workers at the
//! end of a request; reading writes nothing.
//!
//! Three times that fade at their own speeds while nothing is heard of the instance:
//!
//! - **usual**: a smoothed response time of successes in which one sample counts for at most
//!   [`SURPRISE`] times the value before, so that one slow request is no slow instance. It halves every 2 s
//!   without requests, so that a slow instance is tried again: one 20 times slower than the others every 9 s. (Peak EWMA's
//!   usual time constant of 10 s is a half-life of 7, which makes that 30 s, too long to wait for a recovered one.)
//! - **peak**: the slowest success of late. It jumps up at once and halves every second: a peak of 2 s on an instance
//!   that usually takes 10 ms counts double for 6.6 s and is gone after 7.7 s. With one time constant of 10 s, as
//!   peak EWMA has it elsewhere, that takes 46 s.
//! - **failing**: what failures cost. A failure is never a good sample, however fast it came: it raises this to
//!   at least its own time and `usual × (1 + 4 (1/s − 1))`, where `s` is the share of successes among about the last 16
//!   requests. `1/s − 1` failed attempts are expected for each success, and each is taken to be as bad as four
//!   responses. So a single failure counts for a quarter of a response, five in a row for one and a half, and nothing but
//!   failures for 252; an instance that never succeeded costs at least 5 s. It halves every second, too: the dead are
//!   tried about every 8 s.
//!
//! And one that does not fade:
//!
//! - **steady**: the mean of the last [`LONG`] or so successes, to tell apart speeds that differ by a third. With a
//!   memory of eight, chance alone makes exponential times differ by half. It is never more than [`CHANGE`] times above or
//!   below the smoothed time of about eight; where that bounds it, or after a pause, what was known before counts for
//!   less, so that it learns as fast as the short one does: an instance that is 20 times slower, or no longer, shows
//!   within a few answers.
//!
//! Strategies that ask many instances seldom want more memory than that: [`habit`] is what they are in the long run.
//!
//! "Without requests" means since the last pick or answer, whichever is later: a trial that hangs restores what was
//! forgiven, so there is one at a time.

mod habit;

use habit::Habit;
pub(crate) use habit::LongRun;

use crate::math::{AtomicF32, AtomicF64, exp2_neg, real};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::{Nanos, Stats};

/// Halves what is usual; a sample after such a pause weighs as much as all before it.
const USUAL_HALF_LIFE: f64 = 2e9;
/// Halves peaks and the cost of failures.
const PEAK_HALF_LIFE: f64 = 1e9;
/// Least weight of one sample in what is usual.
const USUAL_GAIN: f64 = 1.0 / 8.0;
/// How many times the usual one sample counts at most: a lasting slowdown is caught up with by 3/8 a request.
const SURPRISE: f64 = 4.0;
/// Least and greatest weight of one outcome in the share of successes.
const SHARE_GAINS: [f64; 2] = [1.0 / 16.0, 0.5];
/// The least share of successes that is believed.
const LEAST_SHARE: f64 = 1.0 / 64.0;
/// How many responses a failed attempt is as bad as: a retry, its delay, and the chance that it is the last. With
/// ten, instances that fail one request in five got so little that the others were overloaded: with four of them among
/// ten at 70 % load the 99th percentile was 180 ms, instead of 49 ms with two as with four.
const FAILURE_WORTH: f64 = 4.0;
/// The least that a failure counts for when there was no success to compare with.
const UNKNOWN_FAILURE: f64 = 5e9;
/// How many samples a steady time stands for at most, and how many after a change.
const LONG: f32 = 128.0;
const SHORT: f32 = 8.0;
/// Halves the samples that a steady time stands for.
const KNOWN_HALF_LIFE: f64 = 4e9;
/// How many times the recent time a steady one can be, or it is that many times less. Of eight exponential times the mean
/// is off by 2 once in 5000 samples.
const CHANGE: f32 = 2.0;
/// What an instance counts for that was asked and has not answered: more than any response takes, so that a cold
/// one gets one request and then waits for its answer. It halves as peaks do, because that answer may be lost, or be
/// a stream without end: against instances of 10 ms, the next request comes after 13 s.
const UNANSWERED: f64 = 100e9;

/// The estimates of one instance. All orderings are relaxed, and updates are by load and store, as in
/// [`Stats`]. Times are real numbers, because a conversion from and to whole ones costs as much as the rest of an
/// update.
#[derive(Debug)]
pub(crate) struct Pace {
    /// In ns; 0 before the first success.
    usual: AtomicF64,
    /// As of `at`.
    peak: AtomicF64,
    /// As of `at`.
    failing: AtomicF64,
    /// When a request ended last.
    at: AtomicU64,
    /// Share of successes.
    share: AtomicF32,
    /// In ns; 0 before the first success.
    steady: AtomicF32,
    /// The same with a short memory.
    recent: AtomicF32,
    /// How many samples the steady time stands for.
    known: AtomicF32,
    habit: Habit,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            usual: AtomicF64::new(0.0),
            peak: AtomicF64::new(0.0),
            failing: AtomicF64::new(0.0),
            at: AtomicU64::new(0),
            share: AtomicF32::new(1.0),
            steady: AtomicF32::new(0.0),
            recent: AtomicF32::new(0.0),
            known: AtomicF32::new(0.0),
            habit: Habit::default(),
        }
    }
}

impl Pace {
    #[inline]
    pub(crate) fn on_success(&self, time: Nanos, now: Nanos) {
        let pause = self.pause(now);
        let news = 1.0 - exp2_neg(pause * (1.0 / USUAL_HALF_LIFE));
        let faded = exp2_neg(pause * (1.0 / PEAK_HALF_LIFE));
        let time = real(time.0.max(1));
        let usual = self.usual.get();
        let usual = if usual == 0.0 {
            time
        } else {
            usual + (time.min(SURPRISE * usual) - usual) * news.max(USUAL_GAIN)
        };
        self.usual.set(whole(usual).max(1.0));
        self.fold_steady(time as f32, exp2_neg(pause * (1.0 / KNOWN_HALF_LIFE)) as f32);
        self.habit.fold(time as f32, pause);
        self.peak.set(whole(time.max(self.peak.get() * faded)));
        let failing = self.failing.get();
        if failing > 0.0 {
            self.failing.set(whole(failing * faded));
        }
        let share = self.share.get();
        if share != 1.0 {
            self.fold_share(share.into(), 1.0, news);
        }
        self.at.store(now.0, Relaxed);
    }

    /// A client left after it had `waited` for an answer, which would have taken longer: so this makes it no faster. It
    /// is no end of a request either: what fades goes on to, and who never answered has not.
    #[cold]
    pub(crate) fn on_unanswered(&self, waited: Nanos) {
        let time = real(waited.0.max(1));
        let usual = self.usual.get();
        if usual > 0.0 && time > usual {
            let usual = usual + (time.min(SURPRISE * usual) - usual) * USUAL_GAIN;
            self.usual.set(whole(usual));
            self.peak.set(whole(time.max(self.peak.get())));
        }
        if time as f32 > self.steady.get() {
            self.fold_steady(time as f32, 1.0);
            self.habit.fold(time as f32, 0.0);
        }
    }

    pub(crate) fn on_failure(&self, time: Option<Nanos>, now: Nanos) {
        let pause = self.pause(now);
        let news = 1.0 - exp2_neg(pause * (1.0 / USUAL_HALF_LIFE));
        let faded = exp2_neg(pause * (1.0 / PEAK_HALF_LIFE));
        let share = self
            .fold_share(self.share.get().into(), 0.0, news)
            .max(LEAST_SHARE);
        let usual = self.usual.get();
        let penalty = if usual == 0.0 {
            UNKNOWN_FAILURE
        } else {
            usual * (1.0 + FAILURE_WORTH * (1.0 / share - 1.0))
        };
        let penalty = penalty.max(time.map_or(0.0, |time| real(time.0)));
        self.failing.set(whole(penalty.max(self.failing.get() * faded)));
        self.peak.set(whole(self.peak.get() * faded));
        self.at.store(now.0, Relaxed);
    }

    #[inline]
    fn fold_steady(&self, time: f32, kept: f32) {
        let (steady, recent) = (self.steady.get(), self.recent.get());
        let known = self.known.get() * kept;
        let gain = 1.0 / (known + 1.0);
        // Not below a nanosecond, whatever is lost to rounding.
        let recent = (recent + (time - recent) * gain.max(1.0 - kept).max(1.0 / SHORT)).max(1.0);
        let steady = steady + (time - steady) * gain;
        let bounded = steady.clamp(recent * (1.0 / CHANGE), recent * CHANGE);
        let most = if bounded == steady { LONG } else { SHORT };
        self.steady.set(bounded);
        self.recent.set(recent);
        self.known.set((known + 1.0).min(most));
    }

    fn pause(&self, now: Nanos) -> f64 {
        real(now.since(Nanos(self.at.load(Relaxed))).0)
    }

    fn fold_share(&self, share: f64, sample: f64, news: f64) -> f64 {
        let mut share = share + (sample - share) * news.clamp(SHARE_GAINS[0], SHARE_GAINS[1]);
        if share > 0.9999 {
            share = 1.0;
        }
        self.share.set(share as f32);
        share
    }
}

/// Whole nanoseconds: those that differ by less are equal.
#[inline]
fn whole(time: f64) -> f64 {
    time as u64 as f64
}

impl Stats {
    /// The expected time to a successful response, in ns: the usual one, and what failures cost. Fades while
    /// there are no requests. 0 for an instance that was never asked.
    #[inline]
    #[must_use]
    pub fn expected_time(&self, now: Nanos) -> f64 {
        self.faded(0.0, now)
    }

    /// As [`Self::expected_time`], but at least the slowest response of late.
    #[inline]
    #[must_use]
    pub fn peak_time(&self, now: Nanos) -> f64 {
        self.faded(self.pace().peak.get(), now)
    }

    #[inline]
    fn faded(&self, peak: f64, now: Nanos) -> f64 {
        let pace = self.pace();
        let (usual, failing) = (pace.usual.get(), pace.failing.get());
        let worst = if peak > failing { peak } else { failing };
        if usual + worst == 0.0 {
            return self.unanswered(now);
        }
        let used = self.last_used().max(Nanos(pace.at.load(Relaxed)));
        let idle = real(now.since(used).0);
        let usual = usual * exp2_neg(idle * (1.0 / USUAL_HALF_LIFE));
        let worst = worst * exp2_neg(idle * (1.0 / PEAK_HALF_LIFE));
        if usual > worst { usual } else { worst }
    }

    #[cold]
    fn unanswered(&self, now: Nanos) -> f64 {
        if self.picks() == 0 {
            return 0.0;
        }
        UNANSWERED * exp2_neg(real(now.since(self.last_used()).0) * (1.0 / PEAK_HALF_LIFE))
    }

    /// Its usual response time without what failures cost, as of the last one; `None` before the first success.
    #[must_use]
    pub fn usual_time(&self) -> Option<Nanos> {
        let usual = self.pace().usual.get();
        (usual > 0.0).then_some(Nanos(usual as u64))
    }

    /// Its mean response time over the last hundred or so successes, in ns; 0 before the first.
    #[inline]
    pub(crate) fn steady_time(&self) -> f32 {
        self.pace().steady.get()
    }

    /// How many samples that stands for at `now`, which are fewer after a pause.
    pub(crate) fn steady_samples(&self, now: Nanos) -> f32 {
        let pace = self.pace();
        let kept = exp2_neg(pace.pause(now) * (1.0 / KNOWN_HALF_LIFE));
        pace.known.get() * kept as f32
    }

    /// Its response times in the long run.
    pub(crate) fn long_run(&self, now: Nanos) -> LongRun {
        let pace = self.pace();
        pace.habit.after(pace.pause(now))
    }

    /// Share of successes among about the last 16 requests, or the last few after a pause; 1 before the first.
    #[must_use]
    pub fn recent_success_share(&self) -> f32 {
        self.pace().share.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    const MS: f64 = 1e6;

    fn at(seconds: f64) -> Nanos {
        Nanos((seconds * 1e9) as u64)
    }

    fn ok(stats: &Stats, ms: u64, now: Nanos) {
        stats.on_start(now);
        stats.on_end(&Outcome::from_status(200, Nanos::from_millis(ms)), now);
    }

    fn failed(stats: &Stats, now: Nanos) {
        stats.on_start(now);
        stats.on_end(&Outcome::failed(Nanos(20_000)), now);
    }

    /// Usually 10 ms, known for long.
    fn steady() -> Stats {
        let stats = Stats::default();
        (0..200).for_each(|_| ok(&stats, 10, at(100.0)));
        stats
    }

    #[test]
    fn a_peak_counts_at_once_and_for_eight_seconds() {
        let stats = steady();
        assert_eq!(stats.peak_time(at(100.0)), 10.0 * MS);
        ok(&stats, 2000, at(100.0));
        assert_eq!(stats.peak_time(at(100.0)), 2000.0 * MS);
        assert!(stats.peak_time(at(106.5)) > 20.0 * MS);
        assert!(stats.peak_time(at(106.8)) < 20.0 * MS);
        assert!(stats.peak_time(at(108.0)) < 10.0 * MS);
        // The next good answer forgives the same way, and the peak is no part of what is usual.
        ok(&stats, 10, at(108.0));
        assert!(stats.peak_time(at(108.0)) < 11.0 * MS);
        assert!(stats.expected_time(at(108.0)) < 11.0 * MS);
    }

    #[test]
    fn under_traffic_a_peak_is_forgiven_as_fast() {
        let stats = steady();
        ok(&stats, 2000, at(100.0));
        for step in 1..=80 {
            ok(&stats, 10, at(100.0 + f64::from(step) * 0.1));
        }
        assert!(stats.peak_time(at(108.0)) < 20.0 * MS);
        assert!((stats.expected_time(at(108.0)) / (10.0 * MS) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn one_slow_request_is_no_slow_instance_but_several_are() {
        let stats = steady();
        ok(&stats, 2000, at(100.0));
        assert!(stats.expected_time(at(100.0)) < 14.0 * MS);
        (0..20).for_each(|_| ok(&stats, 2000, at(100.0)));
        assert!(stats.expected_time(at(100.0)) > 1500.0 * MS);
    }

    #[test]
    fn who_is_not_asked_gets_cheaper_and_answers_after_a_pause_count_more() {
        let stats = steady();
        (0..60).for_each(|_| ok(&stats, 2000, at(100.0)));
        let slow = stats.expected_time(at(100.0));
        assert!((stats.expected_time(at(102.0)) / slow - 0.5).abs() < 1e-9);
        assert!((stats.expected_time(at(106.0)) / slow - 0.125).abs() < 1e-9);
        // A trial that does not answer restores it.
        stats.on_start(at(120.0));
        assert_eq!(stats.expected_time(at(120.0)), slow);
        // One that does replaces it.
        ok(&stats, 10, at(120.0));
        assert!(stats.expected_time(at(120.0)) < 20.0 * MS);
    }

    #[test]
    fn failures_cost_by_their_share_however_fast() {
        let stats = steady();
        let ratios: Vec<f64> = (0..200)
            .map(|_| {
                failed(&stats, at(100.0));
                stats.expected_time(at(100.0)) / (10.0 * MS)
            })
            .collect();
        assert!((1.25..1.28).contains(&ratios[0]), "{}", ratios[0]);
        assert!((2.4..2.7).contains(&ratios[4]), "{}", ratios[4]);
        assert!(ratios.is_sorted());
        assert!((240.0..=253.0).contains(&ratios[199]), "{}", ratios[199]);
        assert_eq!(stats.usual_time(), Some(Nanos::from_millis(10)));
        assert!(stats.expected_time(at(109.5)) < 11.0 * MS);
        // A success counts again, though it is not all forgotten.
        ok(&stats, 10, at(109.5));
        assert!(stats.expected_time(at(109.5)) < 11.0 * MS);
        assert!((0.4..0.6).contains(&stats.recent_success_share()));
    }

    #[test]
    fn a_time_out_counts_as_long_as_it_took_and_the_unknown_five_seconds() {
        let stats = steady();
        stats.on_end(&Outcome::failed(Nanos::from_secs(30)), at(100.0));
        assert_eq!(stats.expected_time(at(100.0)), 30e9);
        let unknown = Stats::default();
        failed(&unknown, at(1.0));
        assert_eq!(unknown.expected_time(at(1.0)), 5e9);
        assert_eq!(unknown.usual_time(), None);
    }

    #[test]
    fn who_was_never_asked_costs_nothing_and_who_has_not_answered_a_lot() {
        let stats = Stats::default();
        assert_eq!(stats.expected_time(at(5.0)), 0.0);
        stats.on_start(at(5.0));
        assert_eq!(stats.expected_time(at(5.0)), 100e9);
        assert_eq!(stats.peak_time(at(5.0)), 100e9);
        // An answer that never comes does not keep it out for ever.
        assert!(stats.expected_time(at(19.0)) < 10.0 * MS);
    }

    #[test]
    fn a_steady_time_is_a_mean_until_there_is_a_change() {
        let stats = Stats::default();
        assert_eq!(stats.steady_time(), 0.0);
        // The mean of as many as there were, then of about the last 128.
        for ms in [5, 10, 15] {
            ok(&stats, ms, at(100.0));
        }
        assert!((stats.steady_time() / 10e6 - 1.0).abs() < 1e-6);
        for _ in 0..500 {
            ok(&stats, 5, at(100.0));
            ok(&stats, 15, at(100.0));
        }
        assert!((stats.steady_time() / 10e6 - 1.0).abs() < 0.01);
        // One slow answer says little, several that it is slow now, and as many that it is not any more.
        ok(&stats, 100, at(100.0));
        assert!(stats.steady_time() < 11e6);
        (0..24).for_each(|_| ok(&stats, 200, at(100.0)));
        assert!(stats.steady_time() > 150e6, "{}", stats.steady_time());
        (0..120).for_each(|_| ok(&stats, 10, at(100.0)));
        assert!(stats.steady_time() < 14e6, "{}", stats.steady_time());
        // After a pause it is learnt anew.
        (0..500).for_each(|_| ok(&stats, 10, at(100.0)));
        (0..4).for_each(|_| ok(&stats, 12, at(120.0)));
        assert!(stats.steady_time() > 10.9e6, "{}", stats.steady_time());
    }

    #[test]
    fn a_client_that_gave_up_makes_nobody_faster_and_is_no_answer() {
        let gave_up = |stats: &Stats, ms: u64| stats.pace().on_unanswered(Nanos::from_millis(ms));
        let stats = steady();
        (0..20).for_each(|_| gave_up(&stats, 9));
        assert_eq!(
            (stats.expected_time(at(100.0)), stats.steady_time()),
            (10.0 * MS, 10e6)
        );
        (0..20).for_each(|_| gave_up(&stats, 300));
        assert!(stats.expected_time(at(100.0)) > 200.0 * MS);
        assert!(stats.steady_time() > 100e6, "{}", stats.steady_time());
        // What failures cost fades as if it had not been.
        let (failing, same) = (steady(), steady());
        for stats in [&failing, &same] {
            (0..20).for_each(|_| failed(stats, at(100.0)));
        }
        gave_up(&failing, 20);
        let [with, without] = [&failing, &same].map(|stats| {
            ok(stats, 10, at(110.0));
            stats.expected_time(at(110.0))
        });
        assert!(with < 1.3 * without, "{with} and {without}");
        // Who never answered is as before, but for strategies that would take it for an ordinary one.
        let unknown = Stats::default();
        unknown.on_start(at(5.0));
        gave_up(&unknown, 300);
        assert_eq!(unknown.expected_time(at(5.0)), 100e9);
        assert_eq!((unknown.usual_time(), unknown.steady_time()), (None, 300e6));
    }

    #[test]
    fn extreme_times_and_clocks_leave_finite_costs() {
        let stats = Stats::default();
        for (time, now) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, 7), (0, 0), (1, u64::MAX)] {
            for outcome in [
                Outcome::from_status(200, Nanos(time)),
                Outcome::failed(Nanos(time)),
            ] {
                stats.on_start(Nanos(now));
                stats.on_end(&outcome, Nanos(now));
                for read in [0, 1, now, u64::MAX] {
                    assert!(stats.expected_time(Nanos(read)).is_finite());
                    assert!(stats.steady_time() > 0.0 && stats.steady_time().is_finite());
                    assert!(stats.peak_time(Nanos(read)) >= stats.expected_time(Nanos(read)));
                }
            }
        }
    }
}
