//! Active checks of one instance: so many results in a row change its state.
//!
//! A new instance counts as up until its first result, because a registration is a promise and a
//! service must work before the first round of checks. Until it has passed a check once, a single
//! failure takes it down: there is no good history to weigh the failure against.
//!
//! Absent on purpose: un-ejecting. A passed check says nothing about requests, unless the ejection began
//! while checks failed as well; the service sees to that.

use std::sync::Arc;

use super::{CheckOutcome, CheckThresholds, Mark};
use crate::Nanos;

/// What checks know of an instance.
#[derive(Debug)]
pub(crate) struct Checks {
    down: Option<Mark>,
    /// Results in a row that contradict the present state.
    run: u32,
    passed_before: bool,
    /// When the newest result was sent for; older ones say nothing any more.
    newest: Nanos,
}

/// A change of state, with its reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CheckChange {
    Down(Arc<str>),
    Up(Arc<str>),
}

impl Checks {
    /// Up until told otherwise; results sent before `now` belong to somebody else.
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            down: None,
            run: 0,
            passed_before: false,
            newest: now,
        }
    }

    /// Since when and why it is down, if it is.
    pub(crate) fn down(&self) -> Option<&Mark> {
        self.down.as_ref()
    }

    /// The part of the score that comes from checks: 0 while down, less by a share of a half for each failure on the
    /// way there.
    pub(crate) fn part(&self, thresholds: CheckThresholds) -> f32 {
        if self.down.is_some() {
            return 0.0;
        }
        1.0 - 0.5 * self.run as f32 / thresholds.unhealthy.max(1) as f32
    }

    /// Takes in a result of a check that was sent at `observed`.
    pub(crate) fn observe(
        &mut self,
        outcome: &CheckOutcome,
        observed: Nanos,
        thresholds: CheckThresholds,
        now: Nanos,
    ) -> Option<CheckChange> {
        // A result from the future was sent before the clock stepped back: it counts as of now.
        let observed = observed.min(now);
        if observed < self.newest {
            return None;
        }
        self.newest = observed;
        match (outcome, self.down.is_some()) {
            (CheckOutcome::Passed, false) => {
                self.passed_before = true;
                self.run = 0;
                None
            }
            (CheckOutcome::Failed(_), true) => {
                self.run = 0;
                None
            }
            (CheckOutcome::Passed, true) => {
                self.passed_before = true;
                self.run += 1;
                if self.run < thresholds.healthy {
                    return None;
                }
                let reason: Arc<str> = match self.run {
                    1 => "a check passed".into(),
                    n => format!("{n} checks passed in a row").into(),
                };
                self.down = None;
                self.run = 0;
                Some(CheckChange::Up(reason))
            }
            (CheckOutcome::Failed(why), false) => {
                self.run += 1;
                if self.passed_before && self.run < thresholds.unhealthy {
                    return None;
                }
                let why = &why.0;
                let reason: Arc<str> = match (self.run, self.passed_before) {
                    (_, false) => format!("the first check failed: {why}").into(),
                    (1, true) => format!("a check failed: {why}").into(),
                    (n, true) => format!("{n} checks failed in a row, last: {why}").into(),
                };
                self.down = Some(Mark::new(now, Arc::clone(&reason)));
                self.run = 0;
                Some(CheckChange::Down(reason))
            }
        }
    }

    /// Forgets everything, when checks are switched off. True when it was down.
    pub(crate) fn reset(&mut self, now: Nanos) -> bool {
        let was_down = self.down.is_some();
        *self = Self::new(now);
        was_down
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.newest = self.newest.since(back);
        if let Some(mark) = &mut self.down {
            mark.shift(back);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CheckFailure;

    const THRESHOLDS: CheckThresholds = CheckThresholds {
        unhealthy: 3,
        healthy: 2,
    };

    /// Feeds `results` one per second ('+' passed, '-' failed) and returns the state after each
    /// ('u' up, 'd' down).
    fn states(results: &str, thresholds: CheckThresholds) -> String {
        let mut checks = Checks::new(Nanos::ZERO);
        let mut states = String::new();
        for (second, result) in results.chars().enumerate() {
            let now = Nanos::from_secs(second as u64);
            let outcome = match result {
                '+' => CheckOutcome::Passed,
                _ => CheckOutcome::Failed(CheckFailure("refused".into())),
            };
            let before = checks.down().is_some();
            let change = checks.observe(&outcome, now, thresholds, now);
            assert_eq!(change.is_some(), before != checks.down().is_some());
            states.push(if checks.down().is_some() { 'd' } else { 'u' });
        }
        states
    }

    #[test]
    fn results_in_a_row_change_the_state() {
        for (results, expected) in [
            ("+---", "uuud"),
            ("+--+--+---", "uuuuuuuuud"),
            ("+---++", "uuuddu"),
            ("+---+-++", "uuuddddu"),
            ("-", "d"),
            ("-+", "dd"),
            ("-++--", "dduuu"),
            ("+-+-+-+-", "uuuuuuuu"),
        ] {
            assert_eq!(states(results, THRESHOLDS), expected, "{results}");
        }
        let zero = CheckThresholds {
            unhealthy: 0,
            healthy: 0,
        };
        assert_eq!(states("+-+-", zero), "udud", "zero works like one");
    }

    #[test]
    fn the_part_falls_on_the_way_down() {
        let mut checks = Checks::new(Nanos::ZERO);
        let mut parts = Vec::new();
        for (second, passed) in [true, false, false, false, true, true].into_iter().enumerate() {
            let now = Nanos::from_secs(second as u64);
            let outcome = match passed {
                true => CheckOutcome::Passed,
                false => CheckOutcome::Failed(CheckFailure("refused".into())),
            };
            checks.observe(&outcome, now, THRESHOLDS, now);
            parts.push((checks.part(THRESHOLDS) * 100.0).round());
        }
        assert_eq!(parts, [100.0, 83.0, 67.0, 0.0, 0.0, 100.0]);
    }

    #[test]
    fn reasons_are_words_and_numbers() {
        let refused = CheckOutcome::Failed(CheckFailure("connection refused".into()));
        let mut checks = Checks::new(Nanos::ZERO);
        let mut tell = |outcome: &CheckOutcome| checks.observe(outcome, Nanos(1), THRESHOLDS, Nanos(1));
        let down = |reason: &str| Some(CheckChange::Down(reason.into()));
        let up = |reason: &str| Some(CheckChange::Up(reason.into()));
        assert_eq!(tell(&refused), down("the first check failed: connection refused"));
        assert_eq!(tell(&CheckOutcome::Passed), None);
        assert_eq!(tell(&CheckOutcome::Passed), up("2 checks passed in a row"));
        assert_eq!(tell(&refused), None);
        assert_eq!(tell(&refused), None);
        assert_eq!(
            tell(&refused),
            down("3 checks failed in a row, last: connection refused")
        );
    }

    #[test]
    fn older_results_are_dropped() {
        let failed = CheckOutcome::Failed(CheckFailure("refused".into()));
        let now = Nanos::from_secs(9);
        let mut checks = Checks::new(Nanos::from_secs(2));
        assert_eq!(
            checks.observe(&failed, Nanos::from_secs(1), THRESHOLDS, now),
            None,
            "sent before the instance was registered"
        );
        checks.observe(&CheckOutcome::Passed, Nanos::from_secs(5), THRESHOLDS, now);
        for _ in 0..5 {
            assert_eq!(
                checks.observe(&failed, Nanos::from_secs(4), THRESHOLDS, now),
                None
            );
        }
        assert!(checks.down().is_none());
    }

    #[test]
    fn after_the_clock_stepped_back_results_count_again() {
        let failed = CheckOutcome::Failed(CheckFailure("refused".into()));
        let mut checks = Checks::new(Nanos::from_secs(100));
        checks.shift(Nanos::from_secs(90));
        let now = Nanos::from_secs(10);
        assert!(
            checks
                .observe(&failed, Nanos::from_secs(101), THRESHOLDS, now)
                .is_some()
        );
        checks.observe(&CheckOutcome::Passed, now, THRESHOLDS, now);
        assert!(
            checks
                .observe(&CheckOutcome::Passed, now, THRESHOLDS, now)
                .is_some()
        );
    }
}
