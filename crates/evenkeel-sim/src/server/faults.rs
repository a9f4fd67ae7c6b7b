//! What is wrong with a server at which time.

use evenkeel_config::{FaultFile, FaultKindFile, ReportsFile};
use evenkeel_core::Nanos;

use super::STEPS;

/// The part of its memory that a sound server uses.
const USED: f64 = 0.4;

/// A fault of one server.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) from: Nanos,
    pub(crate) until: Nanos,
    /// On for the first half of each.
    period: Option<Nanos>,
    /// Grows to its size over this.
    over: Nanos,
    kind: FaultKindFile,
}

impl Fault {
    /// Of the server that is `place`-th among those of `file`.
    pub(crate) fn new(file: &FaultFile, place: usize) -> Self {
        let nanos = |span: Option<evenkeel_config::Span>| span.map(|span| span.0);
        let later = Nanos(nanos(file.stagger).map_or(0, |stagger| stagger.0 * place as u64));
        Self {
            from: nanos(file.from).unwrap_or(Nanos::ZERO) + later,
            until: nanos(file.until).map_or(Nanos::MAX, |until| until + later),
            period: nanos(file.period),
            over: nanos(file.over).unwrap_or(Nanos::ZERO),
            kind: file.fault,
        }
    }

    /// From 0, off, to 1.
    pub(crate) fn strength(&self, now: Nanos) -> f64 {
        if now < self.from || now >= self.until {
            return 0.0;
        }
        let since = now.since(self.from);
        if let Some(period) = self.period
            && since.0 % period.0 >= period.0 / 2
        {
            return 0.0;
        }
        if self.over == Nanos::ZERO {
            return 1.0;
        }
        // At least a little from the start: it is on.
        (since.0 as f64 / self.over.0 as f64).clamp(1e-9, 1.0)
    }

    /// How many times as long work takes at its worst; infinite when it hangs.
    pub(crate) fn slows(&self) -> Option<f64> {
        match self.kind {
            // One that is not on all the time, or not at once, makes nothing faster at its worst.
            FaultKindFile::Slow(times) if self.period.is_some() || self.over > Nanos::ZERO => {
                Some(times.0.max(1.0))
            }
            FaultKindFile::Slow(times) => Some(times.0),
            FaultKindFile::Hang => Some(f64::INFINITY),
            // It works half of the time.
            _ if self.refuses() && self.period.is_some() => Some(2.0),
            _ => None,
        }
    }

    /// Whether it has the server take no requests all the time.
    pub(crate) fn shuts(&self) -> bool {
        self.refuses() && self.period.is_none()
    }

    fn refuses(&self) -> bool {
        matches!(
            self.kind,
            FaultKindFile::Refuse | FaultKindFile::Crash | FaultKindFile::Restart
        )
    }

    /// When it changes next.
    pub(super) fn next_change(&self, now: Nanos) -> Option<Nanos> {
        if now < self.from {
            return Some(self.from);
        }
        if now >= self.until {
            return None;
        }
        let since = now.since(self.from);
        let toggles = self.period.map(|period| {
            let half = (period.0 / 2).max(1);
            let phase = since.0 % period.0;
            let next = if phase < half { half } else { period.0 };
            now + Nanos(next - phase)
        });
        let step = Nanos(self.over.0 / STEPS).max(Nanos(1));
        let grows = (since < self.over).then(|| now + step);
        [toggles, grows, (self.until < Nanos::MAX).then_some(self.until)]
            .into_iter()
            .flatten()
            .min()
    }
}

/// How a server is at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Condition {
    /// Work takes so many times as long; infinite when it hangs.
    pub(crate) slow: f64,
    /// Answers are so much later.
    pub(crate) delay: Nanos,
    /// This part fails after the work.
    pub(crate) errors: f64,
    /// This part fails at once.
    pub(crate) fail_fast: f64,
    /// The part of its memory that is in use; `None` where that is nobody's matter.
    pub(crate) memory: Option<f64>,
    /// So many in a row fail.
    pub(crate) burst: u32,
    /// Nobody answers at its address.
    pub(crate) refuses: bool,
    pub(crate) crashed: bool,
    pub(crate) restarts: bool,
    pub(crate) reports: Option<ReportsFile>,
}

impl Condition {
    pub(crate) const SOUND: Self = Self {
        slow: 1.0,
        delay: Nanos::ZERO,
        errors: 0.0,
        fail_fast: 0.0,
        memory: None,
        burst: 0,
        refuses: false,
        crashed: false,
        restarts: false,
        reports: None,
    };

    /// With all that is wrong at `now`.
    pub(crate) fn of(faults: &[Fault], now: Nanos) -> Self {
        let mut condition = Self::SOUND;
        for fault in faults {
            let strength = fault.strength(now);
            if let FaultKindFile::Memory(part) = fault.kind {
                let used = USED + (part.0 - USED) * strength;
                condition.memory = Some(condition.memory.unwrap_or(USED).max(used));
            }
            if strength == 0.0 {
                continue;
            }
            match fault.kind {
                FaultKindFile::Slow(times) => condition.slow *= 1.0 + (times.0 - 1.0) * strength,
                FaultKindFile::Delay(delay) => condition.delay = condition.delay + delay.0,
                FaultKindFile::Errors(part) => {
                    condition.errors = 1.0 - (1.0 - condition.errors) * (1.0 - part.0 * strength);
                }
                FaultKindFile::Memory(_) => {}
                FaultKindFile::FailFast(part) => {
                    condition.fail_fast = 1.0 - (1.0 - condition.fail_fast) * (1.0 - part.0);
                }
                FaultKindFile::Burst(requests) => condition.burst = requests.into(),
                FaultKindFile::Hang => condition.slow = f64::INFINITY,
                FaultKindFile::Refuse => condition.refuses = true,
                FaultKindFile::Crash => {
                    condition.refuses = true;
                    condition.crashed = true;
                }
                FaultKindFile::Restart => condition.restarts = true,
                FaultKindFile::Reports(reports) => condition.reports = Some(reports),
            }
        }
        condition
    }
}
