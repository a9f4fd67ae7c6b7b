//! Passive ejection of one instance: how long it is out, and how it comes back.
//!
//! The n-th ejection lasts `base × 2^(n−1)`, at most `max`, give or take a tenth, so that instances
//! ejected together do not return together. n falls by one for every ejection-length without another
//! ejection. An instance that returns is on probation: [`PROBATION_FAILURES`] failures in a row put it
//! out again, for twice as long, so one that is still broken costs two requests per ever longer
//! ejection. Probation ends after as many successes as it takes failures to eject, or after one
//! ejection-length when nobody asks.
//!
//! An ejection ends early in two cases: when it began while checks failed, with those, and when nobody
//! else answers, with an answer.
//!
//! Absent on purpose: deciding whether an ejection is right; that needs the other instances.

use std::sync::Arc;

use super::{EjectionSettings, Mark};
use crate::{Nanos, Rng};

/// Failures in a row that end a probation. Two, not one: a sound instance with one error in a hundred
/// would fail a probation of five requests with a probability of 5 % at one, and of 0.04 % at two.
const PROBATION_FAILURES: u32 = 2;
/// Part by which a length varies in either direction: a tenth.
const JITTER: u64 = 10;

/// What requests say about an instance.
#[derive(Debug, Default)]
pub(crate) struct Ejection {
    out: Option<Out>,
    /// n: the ejections that are not yet forgotten.
    level: u32,
    /// How long the last one was.
    length: Nanos,
    /// Successes of the instance when its probation began; `None` when it is not on probation.
    probation: Option<u64>,
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
        let limit = settings.consecutive_failures;
        if self.on_probation() {
            limit.min(PROBATION_FAILURES)
        } else {
            limit
        }
    }

    /// Puts it out after `failures` in a row. Returns the reason.
    pub(crate) fn eject(
        &mut self,
        failures: u32,
        behind_checks: bool,
        settings: &EjectionSettings,
        rng: &mut Rng,
        now: Nanos,
    ) -> Arc<str> {
        let ceiling = ceiling(settings);
        if self.level == 0 || (self.level < 64 && nominal(self.level, settings) < ceiling) {
            self.level += 1;
        }
        let nominal = nominal(self.level, settings);
        let jitter = nominal.0 / JITTER;
        self.length = Nanos(nominal.0 - jitter + rng.below_u64(2 * jitter + 1)).max(Nanos(1));
        self.probation = None;
        let seconds = self.length.as_secs_f64();
        let times = self.level;
        let reason: Arc<str> = match (failures, times) {
            (1, 1) => format!("a request failed; out for {seconds:.1} s"),
            (n, 1) => format!("{n} requests failed in a row; out for {seconds:.1} s"),
            (n, _) => format!("{n} failed in a row, ejection {times} of late; out for {seconds:.1} s"),
        }
        .into();
        self.out = Some(Out {
            until: now + self.length,
            mark: Mark::new(now, Arc::clone(&reason)),
            behind_checks,
        });
        reason
    }

    /// Lets it return when its time is over; `successes` is its count so far. True when it did.
    pub(crate) fn end_when_due(&mut self, successes: u64, now: Nanos) -> bool {
        if self.until().is_none_or(|until| now < until) {
            return false;
        }
        self.end(successes, now);
        true
    }

    /// Lets it return, on probation.
    pub(crate) fn end(&mut self, successes: u64, now: Nanos) {
        self.out = None;
        self.probation = Some(successes);
        self.calm_since = now;
    }

    /// How long the last ejection was.
    pub(crate) fn length(&self) -> Nanos {
        self.length
    }

    /// Ends probation and forgets old ejections as evidence and time allow. True when the limit
    /// changed.
    pub(crate) fn settle(&mut self, successes: u64, settings: &EjectionSettings, now: Nanos) -> bool {
        if self.level == 0 || self.out.is_some() {
            return false;
        }
        let was_on_probation = self.on_probation();
        if let Some(before) = self.probation
            && successes.saturating_sub(before) >= u64::from(settings.consecutive_failures)
        {
            self.probation = None;
        }
        while self.level > 0 && now.since(self.calm_since) >= self.length {
            self.probation = None;
            self.calm_since = self.calm_since + self.length;
            self.level -= 1;
            self.length = nominal(self.level, settings).max(Nanos(1));
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
    let factor = 1u64.checked_shl(level.saturating_sub(1)).unwrap_or(u64::MAX);
    Nanos(settings.base.0.saturating_mul(factor)).min(ceiling(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: EjectionSettings = EjectionSettings {
        consecutive_failures: 5,
        base: Nanos::from_secs(5),
        max: Nanos::from_secs(300),
    };

    fn eject(ejection: &mut Ejection, now: Nanos) -> Nanos {
        let mut rng = Rng::new(now.0);
        ejection.eject(5, false, &SETTINGS, &mut rng, now);
        ejection.until().unwrap()
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
            assert!(ejection.end_when_due(0, now));
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
                ejection.eject(5, false, &SETTINGS, &mut Rng::new(seed), Nanos::ZERO);
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
            ejection.end_when_due(0, now);
        }
        assert_eq!(ejection.level, 3);
        let third = ejection.length();
        ejection.settle(0, &SETTINGS, Nanos(now.0 + third.0 - 1));
        assert_eq!(ejection.level, 3, "a moment too early");
        assert!(ejection.on_probation());
        ejection.settle(0, &SETTINGS, now + third);
        assert_eq!(ejection.level, 2);
        assert!(!ejection.on_probation(), "nobody asked, so time is the proof");
        ejection.settle(0, &SETTINGS, now + third + Nanos::from_secs(10));
        assert_eq!(ejection.level, 1);
        ejection.settle(0, &SETTINGS, Nanos::MAX);
        assert_eq!(ejection.level, 0);
    }

    #[test]
    fn probation_lowers_the_limit_until_enough_successes() {
        let mut ejection = Ejection::default();
        assert_eq!(ejection.limit(&SETTINGS), 5);
        let until = eject(&mut ejection, Nanos::ZERO);
        assert!(!ejection.end_when_due(100, Nanos(until.0 - 1)), "not yet due");
        assert!(ejection.end_when_due(100, until));
        assert_eq!(ejection.limit(&SETTINGS), 2);
        assert!(!ejection.settle(104, &SETTINGS, until));
        assert!(ejection.settle(105, &SETTINGS, until));
        assert_eq!(ejection.limit(&SETTINGS), 5);
    }

    #[test]
    fn odd_settings_do_no_harm() {
        for (base, max) in [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (10, 1), (1, 10)] {
            let settings = EjectionSettings {
                consecutive_failures: 1,
                base: Nanos(base),
                max: Nanos(max),
            };
            let mut ejection = Ejection::default();
            let mut rng = Rng::new(1);
            for _ in 0..100 {
                ejection.eject(1, false, &settings, &mut rng, Nanos(7));
                assert!(ejection.length() <= Nanos(max.max(1)));
                assert!(ejection.end_when_due(0, Nanos::MAX));
            }
            ejection.settle(0, &settings, Nanos::MAX);
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
