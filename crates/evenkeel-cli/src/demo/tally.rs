//! What clients experienced: counts and times.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times are kept in µs, to three digits, up to a minute.
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 3;
/// A request sent this late was held up by the load generator itself.
const LATE: Duration = Duration::from_millis(10);

/// How a request ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a response that is no server error.
    Answered,
    /// With 5xx.
    ServerError,
    /// Without a whole response.
    Broken,
    /// The client gave up.
    TimedOut,
}

/// Counts and times of one load.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    started: u64,
    late: u64,
    server_errors: u64,
    broken: u64,
    timed_out: u64,
    /// Of all requests that ended, errors included: one that was given up counts with the whole time
    /// its client waited.
    times: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            started: 0,
            late: 0,
            server_errors: 0,
            broken: 0,
            timed_out: 0,
            times: Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are valid constants"),
        }
    }
}

impl Tally {
    /// Counts a request that was sent `late`.
    pub(super) fn start(&mut self, late: Duration) {
        self.started += 1;
        self.late += u64::from(late > LATE);
    }

    /// Counts how it ended, `time` after it was due.
    pub(super) fn end(&mut self, ending: Ending, time: Duration) {
        match ending {
            Ending::Answered => {}
            Ending::ServerError => self.server_errors += 1,
            Ending::Broken => self.broken += 1,
            Ending::TimedOut => self.timed_out += 1,
        }
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.times.saturating_record(us.max(1));
    }

    /// Requests that ended.
    pub(super) fn requests(&self) -> u64 {
        self.times.len()
    }

    /// Requests sent but not ended.
    pub(super) fn in_flight(&self) -> u64 {
        self.started - self.requests()
    }

    /// Requests that did not end with a good answer.
    pub(super) fn errors(&self) -> u64 {
        self.server_errors + self.broken + self.timed_out
    }

    /// Errors by what the client saw.
    pub(super) fn errors_by_kind(&self) -> [(&'static str, u64); 3] {
        [
            ("5xx", self.server_errors),
            ("broken connection", self.broken),
            ("given up after 5 s", self.timed_out),
        ]
    }

    /// The part of requests that the load generator itself sent late.
    pub(super) fn late_share(&self) -> f64 {
        self.late as f64 / self.started.max(1) as f64
    }

    /// The `q`-quantile of times; `None` before the first request ended.
    pub(super) fn quantile(&self, q: f64) -> Option<Duration> {
        let us = || self.times.value_at_quantile(q);
        (!self.times.is_empty()).then(|| Duration::from_micros(us()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_timed_and_all_but_answers_are_errors() {
        let mut tally = Tally::default();
        assert_eq!(tally.quantile(0.5), None);
        for ending in [
            Ending::Answered,
            Ending::ServerError,
            Ending::Broken,
            Ending::TimedOut,
        ] {
            tally.start(Duration::ZERO);
            tally.end(ending, Duration::from_millis(10));
        }
        tally.start(Duration::from_millis(11));
        assert_eq!((tally.requests(), tally.in_flight(), tally.errors()), (4, 1, 3));
        assert_eq!(tally.errors_by_kind().map(|kind| kind.1), [1, 1, 1]);
        assert!((tally.late_share() - 0.2).abs() < 1e-9);
        let p50 = tally.quantile(0.5).unwrap_or_default();
        assert!(
            p50.abs_diff(Duration::from_millis(10)) <= Duration::from_micros(10),
            "{p50:?}"
        );
    }
}
