//! Passive ejection of one instance: the states of its circuit breaker, how long it is out, and how it comes back.
//!
//! ```text
//! closed --a detector--> open --time--> half-open --an answer--> recovering --evidence or time--> closed
//!                         ^                 |                        |
//!                         +------- failures, for twice as long ------+
//! ```
//!
//! The n-th ejection lasts `base × 2^(n−1)`, at most `max`, give or take a tenth, so that instances
//! ejected together do not return together (or always `max`, less up to a fifth, where recovery is
//! [`Recovery::Fixed`]). It is no shorter than it takes as many requests as eject to come, at the rate at which they
//! came: who is asked every ten seconds is not out for five. An instance that returns is on probation:
//! [`PROBATION_FAILURES`] failures in a row (or half the suspicion) put it out again, for twice as long, so one that is
//! still broken costs two requests per ever longer ejection.
//!
//! **Evidence** ends a probation, not time: that Wilson's lower bound of the share of successes is [`PROVEN`], sixteen
//! answers without a failure. And by as much evidence n falls by one, for every ejection-length without another
//! ejection. Where nobody asks, it falls by one every ten minutes or four lengths ([`FORGOTTEN`]); so an instance with a
//! request every ten seconds, or none, neither returns over and over as if nothing had been, nor is held to be ill for ever.
//! With [`Recovery::Ramp`] its share of traffic grows meanwhile ([`Ramp`]).
//!
//! An ejection ends early in two cases: when it began while checks failed, with those, and when nobody
//! else answers, with an answer.
//!
//! Absent on purpose: deciding whether an ejection is right; that needs the other instances.

use std::sync::Arc;

use super::ramp::{Ramp, is_sound, wilson};
use super::{EjectionSettings, Mark, Mode, Recovery};
use crate::{Nanos, Rng, Share, Stats};

/// Failures in a row that end a probation. Two, not one: a sound instance with one error in a hundred
/// would fail a probation of five requests with a probability of 5 % at one, and of 0.04 % at two.
pub(crate) const PROBATION_FAILURES: u32 = 2;
/// The lower bound of the share of successes that proves that an instance is well.
const PROVEN: f64 = 0.8;
/// Without such proof, so much time without failures to speak of does…
const FORGOTTEN: Nanos = Nanos::from_secs(600);
/// …and no less than so many lengths of the last ejection.
const FORGOTTEN_LENGTHS: u64 = 4;
/// Of more requests than this since the return, half is let go.
const EVIDENCE: u64 = 100;
/// Part by which a length varies in either direction: a tenth.
const JITTER: u64 = 10;

/// The state of an instance's circuit breaker, in the words of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerState {
    /// Requests go through.
    #[default]
    Closed,
    /// It is ejected.
    Open,
    /// It came back and has not answered yet.
    HalfOpen,
    /// It answers, and its share or the patience with it is not yet what it was.
    Recovering,
}

impl BreakerState {
    /// A word for tables, the API and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Recovering => "recovering",
        }
    }
}

/// What requests say about an instance.
#[derive(Debug, Default)]
pub(crate) struct Ejection {
    out: Option<Out>,
    /// n: the ejections that are not yet forgotten.
    level: u32,
    /// How long the last one was to be…
    nominal: Nanos,
    /// …and how long it was, give or take.
    length: Nanos,
    /// Successes of the instance when its probation began; `None` when it is not on probation.
    probation: Option<u64>,
    /// Successes and failures that do not count: those up to its return.
    before: [u64; 2],
    /// Successes and failures that are no proof: those up to its return, and those by which n fell.
    unproven: [u64; 2],
    /// How its share grows, when it grows.
    ramp: Option<Ramp>,
    /// The state that was told last.
    told: BreakerState,
    /// When the present stretch without an ejection began, or n last fell.
    calm_since: Nanos,
}

#[derive(Debug)]
struct Out {
    until: Nanos,
    mark: Mark,
    /// Checks called it down at the time.
    behind_checks: bool,
}

impl Ejection {
    /// When it returns, if it is out.
    pub(crate) fn until(&self) -> Option<Nanos> {
        self.out.as_ref().map(|out| out.until)
    }

    /// Since when and why it is out, if it is.
    pub(crate) fn mark(&self) -> Option<&Mark> {
        self.out.as_ref().map(|out| &out.mark)
    }

    /// Whether it came back and has yet to prove itself.
    pub(crate) fn on_probation(&self) -> bool {
        self.probation.is_some()
    }

    /// Whether it is in and, if it came back, has answered since; `successes` is its count so far.
    pub(crate) fn answered(&self, successes: u64) -> bool {
        self.out.is_none() && self.probation.is_none_or(|before| successes > before)
    }

    /// Whether it is out and its checks had taken it out before.
    pub(crate) fn is_behind_checks(&self) -> bool {
        self.out.as_ref().is_some_and(|out| out.behind_checks)
    }

    /// Failures in a row that eject it at present; 0 for never.
    pub(crate) fn limit(&self, settings: &EjectionSettings) -> u32 {
        let limit = match settings.on_consecutive {
            Mode::Off => 0,
            Mode::Enforce | Mode::DryRun => settings.consecutive_failures,
        };
        if self.on_probation() {
            limit.min(PROBATION_FAILURES)
        } else {
            limit
        }
    }

    /// The state of the breaker of an instance with so many successes so far.
    pub(crate) fn breaker(&self, successes: u64) -> BreakerState {
        if self.out.is_some() {
            BreakerState::Open
        } else if !self.answered(successes) {
            BreakerState::HalfOpen
        } else if self.probation.is_some() || self.ramp.is_some() {
            BreakerState::Recovering
        } else {
            BreakerState::Closed
        }
    }

    /// The state, when it is another than at the last call.
    pub(crate) fn progress(&mut self, successes: u64) -> Option<BreakerState> {
        let state = self.breaker(successes);
        (std::mem::replace(&mut self.told, state) != state).then_some(state)
    }

    /// Its successes and all its requests since it came back; of many, the last ones.
    pub(crate) fn answers(&self, stats: &Stats) -> (u64, u64) {
        let good = stats.successes().saturating_sub(self.before[0]);
        (good, good + stats.failures().saturating_sub(self.before[1]))
    }

    /// The part of its share that it gets.
    pub(crate) fn share(&self, stats: &Stats, now: Nanos) -> Share {
        let ramp = self.ramp.as_ref();
        let (good, n) = self.answers(stats);
        ramp.map_or(Share::FULL, |ramp| ramp.share(good, n, now))
    }

    /// Puts it out for `cause`, for no shorter than `least`. Returns the reason.
    pub(crate) fn eject(
        &mut self,
        cause: &str,
        behind_checks: bool,
        least: Nanos,
        settings: &EjectionSettings,
        rng: &mut Rng,
        now: Nanos,
    ) -> Arc<str> {
        let ceiling = ceiling(settings);
        if self.level == 0 || (self.level < 64 && nominal(self.level, settings) < ceiling) {
            self.level += 1;
        }
        let again = match self.on_probation() {
            true => Nanos(self.nominal.0.saturating_mul(2)),
            false => Nanos::ZERO,
        };
        self.nominal = nominal(self.level, settings).max(least).max(again).min(ceiling);
        let jitter = self.nominal.0 / JITTER;
        self.length = Nanos(self.nominal.0 - jitter + rng.below_u64(2 * jitter + 1)).max(Nanos(1));
        self.probation = None;
        self.ramp = None;
        self.told = BreakerState::Open;
        let seconds = self.length.as_secs_f64();
        let times = match self.level {
            1 => String::new(),
            n => format!(", ejection {n} of late"),
        };
        let reason: Arc<str> = format!("{cause}{times}; out for {seconds:.1} s").into();
        self.out = Some(Out {
            until: now + self.length,
            mark: Mark::new(now, Arc::clone(&reason)),
            behind_checks,
        });
        reason
    }

    /// Whether its time is over.
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        self.until().is_some_and(|until| now >= until)
    }

    /// It returns later, because others do now.
    pub(crate) fn postpone(&mut self, until: Nanos) {
        if let Some(out) = &mut self.out {
            out.until = until;
        }
    }

    /// Lets it return, on probation; `successes` and `failures` are its counts so far.
    pub(crate) fn end(&mut self, successes: u64, failures: u64, settings: &EjectionSettings, now: Nanos) {
        self.out = None;
        self.probation = Some(successes);
        self.before = [successes, failures];
        self.unproven = self.before;
        self.ramp = (settings.recovery == Recovery::Ramp).then_some(Ramp {
            since: now,
            length: self.length,
            full_at: f64::from(settings.recovery_threshold),
        });
        self.told = BreakerState::HalfOpen;
        self.calm_since = now;
    }

    /// It was no ejection that it comes back from, and nothing is to be proven: only its share grows.
    pub(crate) fn ease_in(&mut self, stats: &Stats, settings: &EjectionSettings, now: Nanos) {
        if settings.recovery == Recovery::Ramp {
            self.before = [stats.successes(), stats.failures()];
            self.ramp = Some(Ramp {
                since: now,
                length: settings.base,
                full_at: f64::from(settings.recovery_threshold),
            });
            self.told = BreakerState::Recovering;
        }
    }

    /// It came back because it is needed: with its full share.
    pub(crate) fn skip_ramp(&mut self) {
        self.ramp = None;
    }

    /// How long the last ejection was.
    pub(crate) fn length(&self) -> Nanos {
        self.length
    }

    /// Ends ramp and probation and forgets old ejections as evidence and time allow. True when the limit
    /// changed.
    pub(crate) fn settle(&mut self, stats: &Stats, settings: &EjectionSettings, now: Nanos) -> bool {
        let limit = self.limit(settings);
        let fails = limit > 0 && stats.consecutive_failures() >= limit;
        if self.out.is_some() || fails {
            // It only stays because too few others work: that is no calm.
            return false;
        }
        if self.share(stats, now) == Share::FULL {
            self.ramp = None;
        }
        if self.level == 0 {
            return false;
        }
        let counts = [stats.successes(), stats.failures()];
        let since = |from: [u64; 2]| [0, 1].map(|i| counts[i].saturating_sub(from[i]));
        for from in [&mut self.before, &mut self.unproven] {
            let [good, bad] = since(*from);
            if good + bad > EVIDENCE {
                // Half of it is let go, so that what is long past does not outweigh the present.
                *from = [counts[0] - good / 2, counts[1] - bad / 2];
            }
        }
        let [good, bad] = since(self.unproven);
        if !is_sound(good, good + bad, PROVEN) {
            self.calm_since = now;
        }
        let was_on_probation = self.on_probation();
        let is_proven = wilson(good, good + bad) >= PROVEN;
        if is_proven {
            self.probation = None;
        }
        let calm = now.since(self.calm_since);
        let forgotten = Nanos(self.length.0.saturating_mul(FORGOTTEN_LENGTHS)).max(FORGOTTEN);
        if calm >= forgotten || (is_proven && calm >= self.length) {
            self.probation = None;
            self.calm_since = now;
            self.unproven = counts;
            self.level -= 1;
            self.nominal = nominal(self.level, settings);
            self.length = self.nominal.max(Nanos(1));
        }
        was_on_probation && !self.on_probation()
    }

    /// Starts the stretch without an ejection anew: time without traffic proves nothing.
    pub(crate) fn calm_from(&mut self, now: Nanos) {
        self.calm_since = now;
    }

    /// Forgets everything, when ejection is switched off. True when it was out.
    pub(crate) fn reset(&mut self) -> bool {
        let was_out = self.out.is_some();
        *self = Self::default();
        was_out
    }

    /// Follows a clock that stepped `back`: what is left of an ejection stays as long as it was.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.calm_since = self.calm_since.since(back);
        if let Some(ramp) = &mut self.ramp {
            ramp.shift(back);
        }
        if let Some(out) = &mut self.out {
            out.until = out.until.since(back);
            out.mark.shift(back);
        }
    }
}

/// The longest length before jitter, so that none is longer than `max` after it.
fn ceiling(settings: &EjectionSettings) -> Nanos {
    Nanos(settings.max.0 - settings.max.0.div_ceil(JITTER + 1))
}

/// Length of the `level`-th ejection before jitter.
fn nominal(level: u32, settings: &EjectionSettings) -> Nanos {
    if settings.recovery == Recovery::Fixed {
        return ceiling(settings);
    }
    let factor = 1u64.checked_shl(level.saturating_sub(1)).unwrap_or(u64::MAX);
    Nanos(settings.base.0.saturating_mul(factor)).min(ceiling(settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn settings() -> EjectionSettings {
        EjectionSettings::default()
    }

    fn eject(ejection: &mut Ejection, now: Nanos) -> Nanos {
        let mut rng = Rng::new(now.0);
        ejection.eject("it fails", false, Nanos::ZERO, &settings(), &mut rng, now);
        ejection.until().unwrap()
    }

    fn end_when_due(ejection: &mut Ejection, successes: u64, now: Nanos) -> bool {
        let due = ejection.is_due(now);
        if due {
            ejection.end(successes, 0, &settings(), now);
        }
        due
    }

    /// Counters with so many successes.
    fn stats(successes: u64) -> Stats {
        let stats = Stats::default();
        for _ in 0..successes {
            stats.on_end(&Outcome::from_status(200, Nanos(1)), Nanos::ZERO);
        }
        stats
    }

    #[test]
    fn each_ejection_is_twice_as_long_up_to_the_longest() {
        let mut ejection = Ejection::default();
        let mut now = Nanos::ZERO;
        let mut lengths = Vec::new();
        for _ in 0..10 {
            let until = eject(&mut ejection, now);
            lengths.push(until.since(now).as_secs_f64());
            now = until;
            assert!(end_when_due(&mut ejection, 0, now));
        }
        for (n, length) in lengths.iter().enumerate() {
            let nominal = (5.0 * f64::from(1 << n)).min(300.0 * 10.0 / 11.0);
            assert!((0.9 * nominal..=1.1 * nominal).contains(length), "{n}: {length}");
            assert!(*length <= 300.0, "{n}: {length}");
        }
    }

    #[test]
    fn ejections_at_the_same_time_end_over_a_tenth_either_way() {
        let lengths: Vec<f64> = (0..200)
            .map(|seed| {
                let mut ejection = Ejection::default();
                ejection.eject(
                    "it fails",
                    false,
                    Nanos::ZERO,
                    &settings(),
                    &mut Rng::new(seed),
                    Nanos::ZERO,
                );
                ejection.length().as_secs_f64()
            })
            .collect();
        for tenth in 45..55 {
            let part = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
            let n = lengths.iter().filter(|length| part.contains(*length)).count();
            assert!((8..=35).contains(&n), "{n} of 200 last {part:?} s");
        }
    }

    #[test]
    fn calm_time_forgets_ejections_one_by_one() {
        let mut ejection = Ejection::default();
        let mut now = Nanos::ZERO;
        for _ in 0..3 {
            now = eject(&mut ejection, now);
            end_when_due(&mut ejection, 0, now);
        }
        assert_eq!(ejection.level, 3);
        let quiet = stats(0);
        ejection.settle(&quiet, &settings(), Nanos(now.0 + FORGOTTEN.0 - 1));
        assert_eq!(ejection.level, 3, "a moment too early");
        assert!(ejection.on_probation());
        ejection.settle(&quiet, &settings(), now + FORGOTTEN);
        assert_eq!(ejection.level, 2);
        assert!(!ejection.on_probation(), "nobody asked, so time has to do");
        for level in [1, 0, 0] {
            ejection.settle(&quiet, &settings(), Nanos::MAX);
            ejection.calm_from(Nanos::ZERO);
            assert_eq!(ejection.level, level);
        }
    }

    #[test]
    fn proof_forgets_them_after_a_length_each() {
        let mut ejection = Ejection::default();
        let mut now = Nanos::ZERO;
        for _ in 0..2 {
            now = eject(&mut ejection, now);
            end_when_due(&mut ejection, 0, now);
        }
        let length = ejection.length();
        ejection.settle(&stats(16), &settings(), Nanos(now.0 + length.0 - 1));
        assert_eq!((ejection.level, ejection.on_probation()), (2, false));
        ejection.settle(&stats(16), &settings(), now + length);
        assert_eq!(ejection.level, 1);
        let later = now + length + length;
        ejection.settle(&stats(31), &settings(), later);
        assert_eq!(ejection.level, 1, "each takes new proof");
        ejection.settle(&stats(32), &settings(), later);
        assert_eq!(ejection.level, 0);
    }

    #[test]
    fn no_ejection_is_shorter_than_asked_for_nor_half_the_one_before() {
        let mut ejection = Ejection::default();
        let least = Nanos::from_secs(60);
        ejection.eject(
            "it fails",
            false,
            least,
            &settings(),
            &mut Rng::new(1),
            Nanos::ZERO,
        );
        let first = ejection.length().as_secs_f64();
        assert!((54.0..=66.0).contains(&first), "{first}");
        assert!(end_when_due(&mut ejection, 0, Nanos::from_secs(70)));
        let second = eject(&mut ejection, Nanos::from_secs(90)).since(Nanos::from_secs(90));
        assert!((108.0..=132.0).contains(&second.as_secs_f64()), "{second}");
    }

    #[test]
    fn probation_lowers_the_limit_until_enough_successes() {
        let mut ejection = Ejection::default();
        assert_eq!(ejection.limit(&settings()), 5);
        let until = eject(&mut ejection, Nanos::ZERO);
        assert!(
            !end_when_due(&mut ejection, 100, Nanos(until.0 - 1)),
            "not yet due"
        );
        assert!(end_when_due(&mut ejection, 100, until));
        assert_eq!(ejection.limit(&settings()), 2);
        assert!(!ejection.settle(&stats(115), &settings(), until));
        assert!(ejection.settle(&stats(116), &settings(), until));
        assert_eq!(ejection.limit(&settings()), 5);
    }

    #[test]
    fn odd_settings_do_no_harm() {
        for (base, max) in [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (10, 1), (1, 10)] {
            let settings = EjectionSettings {
                consecutive_failures: 1,
                base: Nanos(base),
                max: Nanos(max),
                ..settings()
            };
            let mut ejection = Ejection::default();
            let mut rng = Rng::new(1);
            for _ in 0..100 {
                ejection.eject("it fails", false, Nanos::ZERO, &settings, &mut rng, Nanos(7));
                assert!(ejection.length() <= Nanos(max.max(1)));
                assert!(end_when_due(&mut ejection, 0, Nanos::MAX));
            }
            ejection.settle(&stats(0), &settings, Nanos::MAX);
        }
    }

    #[test]
    fn a_clock_that_steps_back_keeps_what_is_left() {
        let mut ejection = Ejection::default();
        let start = Nanos::from_secs(100);
        let left = eject(&mut ejection, start).since(start);
        ejection.shift(Nanos::from_secs(97));
        assert_eq!(ejection.until(), Some(Nanos::from_secs(3) + left));
    }
}
