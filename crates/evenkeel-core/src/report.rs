//! What an instance says of its own load, and how long that is worth something.
//!
//! Reports come with responses (ORCA), or through the API. They are validated when made, carry the time they
//! speak of, and fade: a frozen reporter must not rule for ever over who is loaded. Workers fold them in
//! beside the instance, as they do outcomes.

mod orca;

use std::fmt;

pub use orca::OrcaError;

use crate::Nanos;
use crate::sync::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// A report keeps its full worth this long…
pub const REPORT_FRESH: Nanos = Nanos::from_secs(10);
/// …and is worth nothing after this long: the expiry of gRPC's weights (A58).
pub const REPORT_EXPIRY: Nanos = Nanos::from_secs(180);

/// The load that an instance reports. What it does not report is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoadReport {
    cpu: Option<f32>,
    memory: Option<f32>,
    application: Option<f32>,
    requests_per_second: Option<f32>,
    errors_per_second: Option<f32>,
}

/// A number in a report is not acceptable. The text names the field.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{field}: {} is not {range}", Written(*.value))]
pub struct ReportError {
    /// Which number.
    pub field: &'static str,
    /// What it was.
    pub value: f64,
    /// What it may be, in words.
    pub range: &'static str,
}

/// A number in a message, in a length that can be read.
pub(crate) struct Written(pub(crate) f64);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = self;
        match value.abs() {
            short if short == 0.0 || !short.is_finite() || (1e-6..1e12).contains(&short) => value.fmt(f),
            _ => write!(f, "{value:e}"),
        }
    }
}

/// A number that is not negative; above 1 for an instance that does more than it was made for.
const USAGE: &str = "a utilization from 0 to 100 (1 is all it has)";
const MEMORY: &str = "a share from 0 to 1";
const RATE: &str = "a finite rate of at least 0";

impl LoadReport {
    /// With the part of its processors in use; above 1 when it may use more than its own. At most 100.
    ///
    /// # Errors
    /// When it is not such a number.
    pub fn with_cpu(mut self, value: f64) -> Result<Self, ReportError> {
        self.cpu = Some(within("cpu_utilization", value, 100.0, USAGE)?);
        Ok(self)
    }

    /// With the part of its memory in use, 0 to 1.
    ///
    /// # Errors
    /// When it is not such a number.
    pub fn with_memory(mut self, value: f64) -> Result<Self, ReportError> {
        self.memory = Some(within("mem_utilization", value, 1.0, MEMORY)?);
        Ok(self)
    }

    /// With the application's own idea of how busy it is; 1 is as busy as it should be. At most 100.
    ///
    /// # Errors
    /// When it is not such a number.
    pub fn with_application(mut self, value: f64) -> Result<Self, ReportError> {
        self.application = Some(within("application_utilization", value, 100.0, USAGE)?);
        Ok(self)
    }

    /// With the requests it serves per second.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_requests_per_second(mut self, value: f64) -> Result<Self, ReportError> {
        let value = within("rps_fractional", value, f64::from(f32::MAX), RATE)?;
        self.requests_per_second = Some(value);
        Ok(self)
    }

    /// With the errors it answers per second.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn with_errors_per_second(mut self, value: f64) -> Result<Self, ReportError> {
        self.errors_per_second = Some(within("eps", value, f64::from(f32::MAX), RATE)?);
        Ok(self)
    }

    /// The part of its processors in use.
    #[must_use]
    pub const fn cpu(&self) -> Option<f32> {
        self.cpu
    }

    /// The part of its memory in use.
    #[must_use]
    pub const fn memory(&self) -> Option<f32> {
        self.memory
    }

    /// How busy the application says it is.
    #[must_use]
    pub const fn application(&self) -> Option<f32> {
        self.application
    }

    /// Requests per second.
    #[must_use]
    pub const fn requests_per_second(&self) -> Option<f32> {
        self.requests_per_second
    }

    /// Errors per second.
    #[must_use]
    pub const fn errors_per_second(&self) -> Option<f32> {
        self.errors_per_second
    }

    /// The application's utilization, else that of its processors: what ORCA-weighted strategies use.
    #[must_use]
    pub fn utilization(&self) -> Option<f32> {
        self.application.filter(|value| *value > 0.0).or(self.cpu)
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn within(field: &'static str, value: f64, max: f64, range: &'static str) -> Result<f32, ReportError> {
    if (0.0..=max).contains(&value) {
        Ok(value as f32)
    } else {
        Err(ReportError { field, value, range })
    }
}

/// The newest report of one instance.
///
/// Readers are never kept waiting: they load each number by itself, relaxed as in [`crate::Stats`], and while a report
/// is taken in they may see some of its numbers beside some of the one before. Each was true, and a rank by such a mix is no
/// worse than one a moment earlier. What must not happen is that a mix stays: one worker takes in a report at a time, and
/// another that comes just then is dropped, be it newer by a moment: the next is not far. So when the last one has returned, all numbers
/// are of one report, which is that of [`Self::observed`] (`tests/loom.rs`).
#[derive(Debug)]
pub struct ReportedLoad {
    /// Twice the time when the newest report was observed, plus two; 0 for never. Odd while it is taken in.
    at: AtomicU64,
    fields: [AtomicU32; 5],
}

/// The bits of a number that was not reported.
const ABSENT: u32 = u32::MAX;
/// Somebody takes in a report.
const BUSY: u64 = 1;

impl Default for ReportedLoad {
    fn default() -> Self {
        Self {
            at: AtomicU64::new(0),
            fields: std::array::from_fn(|_| AtomicU32::new(ABSENT)),
        }
    }
}

/// The time that `at` tells, if there is one.
#[inline]
fn time(at: u64) -> Option<Nanos> {
    (at >> 1).checked_sub(1).map(Nanos)
}

/// What tells of `time`: nothing later than 292 years.
#[inline]
fn stamp(time: Nanos) -> u64 {
    time.0.saturating_add(1).min(u64::MAX >> 1) << 1
}

impl ReportedLoad {
    /// Takes in a report that speaks of the time `observed`; one from the future speaks of `now`. An older
    /// one than the newest is dropped, and so is one that comes while another is taken in; false then.
    pub fn observe(&self, report: &LoadReport, observed: Nanos, now: Nanos) -> bool {
        let next = stamp(observed.min(now));
        let before = self.at.load(Relaxed);
        // Acquires what who was here before released: its numbers are overwritten, all of them.
        let taken = before & BUSY == 0
            && before <= next
            && self
                .at
                .compare_exchange(before, next | BUSY, Acquire, Relaxed)
                .is_ok();
        if !taken {
            return false;
        }
        let values = [
            report.cpu,
            report.memory,
            report.application,
            report.requests_per_second,
            report.errors_per_second,
        ];
        for (field, value) in self.fields.iter().zip(values) {
            field.store(value.map_or(ABSENT, f32::to_bits), Relaxed);
        }
        // Not a store: the clock may have stepped back meanwhile.
        self.at.fetch_and(!BUSY, Release);
        true
    }

    /// The newest report and what it is worth at `now`: 1 while fresh, then falling in a line to 0, when it
    /// is `None`. `None` too when there was never one.
    #[inline]
    #[must_use]
    pub fn get(&self, now: Nanos) -> Option<(LoadReport, f32)> {
        let age = now.since(self.observed()?);
        if age >= REPORT_EXPIRY {
            return None;
        }
        let stale = age.since(REPORT_FRESH).0 as f32;
        let worth = 1.0 - stale / REPORT_EXPIRY.since(REPORT_FRESH).0 as f32;
        let value = |index: usize| {
            let bits = self.fields[index].load(Relaxed);
            (bits != ABSENT).then(|| f32::from_bits(bits))
        };
        let report = LoadReport {
            cpu: value(0),
            memory: value(1),
            application: value(2),
            requests_per_second: value(3),
            errors_per_second: value(4),
        };
        Some((report, worth))
    }

    /// When the newest report was observed; `None` before the first.
    #[inline]
    #[must_use]
    pub fn observed(&self) -> Option<Nanos> {
        time(self.at.load(Relaxed))
    }

    /// Follows a clock that stepped `back`. For the writer.
    pub fn shift(&self, back: Nanos) {
        let mut present = self.at.load(Relaxed);
        while let Some(observed) = time(present) {
            let moved = stamp(observed.since(back)) | present & BUSY;
            match self.at.compare_exchange_weak(present, moved, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => present = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_numbers_are_errors_that_name_the_field() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 101.0] {
            let error = LoadReport::default().with_cpu(bad).unwrap_err();
            assert_eq!(error.field, "cpu_utilization");
            assert!(error.to_string().contains("from 0 to 100"), "{error}");
        }
        for (bad, words) in [
            (1e308, "cpu_utilization: 1e308 is not"),
            (-1e-300, "cpu_utilization: -1e-300 is not"),
            (250.5, "cpu_utilization: 250.5 is not"),
            (f64::NAN, "cpu_utilization: NaN is not"),
        ] {
            let error = LoadReport::default().with_cpu(bad).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        assert!(LoadReport::default().with_memory(1.01).is_err());
        assert!(LoadReport::default().with_requests_per_second(f64::MAX).is_err());
        assert!(LoadReport::default().with_errors_per_second(-1.0).is_err());
    }

    #[test]
    fn a_report_fades_and_expires() {
        let reported = ReportedLoad::default();
        assert_eq!(reported.get(Nanos::ZERO), None);
        let report = LoadReport::default().with_cpu(0.5).unwrap();
        let at = Nanos::from_secs(1000);
        assert!(reported.observe(&report, at, at));
        let worth = |seconds| {
            reported
                .get(at + Nanos::from_secs(seconds))
                .map(|(_, worth)| worth)
        };
        assert_eq!(worth(0), Some(1.0));
        assert_eq!(worth(10), Some(1.0));
        assert!((worth(95).unwrap() - 0.5).abs() < 1e-6);
        assert_eq!(worth(180), None);
        assert_eq!(reported.get(Nanos::ZERO), Some((report, 1.0)), "time backwards");
    }

    #[test]
    fn older_reports_are_dropped_and_future_ones_speak_of_now() {
        let reported = ReportedLoad::default();
        let now = Nanos::from_secs(50);
        let of = |cpu| LoadReport::default().with_cpu(cpu).unwrap();
        assert!(reported.observe(&of(0.2), Nanos::MAX, now));
        assert_eq!(reported.observed(), Some(now));
        assert!(!reported.observe(&of(0.9), Nanos::from_secs(49), now));
        assert_eq!(reported.get(now).unwrap().0, of(0.2));
        reported.shift(Nanos::from_secs(40));
        assert!(reported.observe(&of(0.9), Nanos::from_secs(11), Nanos::from_secs(11)));
    }

    #[test]
    fn the_applications_own_word_counts_before_its_processors() {
        let report = LoadReport::default().with_cpu(0.5).unwrap();
        assert_eq!(report.utilization(), Some(0.5));
        assert_eq!(report.with_application(0.9).unwrap().utilization(), Some(0.9));
        assert_eq!(report.with_application(0.0).unwrap().utilization(), Some(0.5));
        assert!(LoadReport::default().is_empty() && !report.is_empty());
    }
}
