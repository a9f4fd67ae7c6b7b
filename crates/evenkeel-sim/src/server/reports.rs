//! What a server knows of itself, and what it says.

use std::collections::{BTreeMap, VecDeque};

use evenkeel_config::ReportsFile;
use evenkeel_core::Nanos;

/// Utilization and rates are those of the last whole window.
const WINDOW: Nanos = Nanos::from_secs(1);
/// How old a report is that comes late.
const LATE: usize = 10;
/// Times remembered for each number of requests met.
const TIMES: usize = 31;

/// What a server says of its load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Report {
    /// Whether answers carry it to any balancer (ORCA). Rules of the simulator's own have it in the way they were published with.
    pub(crate) carried: bool,
    /// The time it speaks of.
    pub(crate) observed: Nanos,
    /// Cores used of those it was promised; above 1 where it may use more.
    pub(crate) cpu: f64,
    /// The part of its memory in use, where that is followed.
    pub(crate) memory: Option<f64>,
    pub(crate) requests_per_second: f64,
    pub(crate) errors_per_second: f64,
    pub(crate) in_flight: u32,
    /// The mean time of its requests without waiting for others.
    pub(crate) service_time: f64,
}

#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// Whether answers carry reports.
    carried: bool,
    /// When the present window began.
    began: Nanos,
    used: f64,
    /// The part of its memory in use.
    pub(super) memory: Option<f64>,
    answers: u32,
    errors: u32,
    /// Whole windows, the newest last.
    windows: VecDeque<Window>,
    saying: Option<ReportsFile>,
    frozen: Option<Report>,
    /// Recent times by the number of requests met.
    times: BTreeMap<u32, VecDeque<u64>>,
    /// Smoothed nanoseconds between answers, while busy.
    pace: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    used: f64,
    memory: Option<f64>,
    answers: f64,
    errors: f64,
    ended: Nanos,
}

impl Reporter {
    pub(super) fn new(carried: bool) -> Self {
        Self {
            carried,
            ..Self::default()
        }
    }

    /// Core-nanoseconds used until `now`.
    pub(super) fn used(&mut self, amount: f64, now: Nanos) {
        self.used += amount;
        let length = now.since(self.began);
        if length < WINDOW {
            return;
        }
        let seconds = length.as_secs_f64();
        self.windows.push_back(Window {
            used: self.used / length.0 as f64,
            memory: self.memory,
            answers: f64::from(self.answers) / seconds,
            errors: f64::from(self.errors) / seconds,
            ended: now,
        });
        if self.windows.len() > LATE + 1 {
            self.windows.pop_front();
        }
        self.began = now;
        (self.used, self.answers, self.errors) = (0.0, 0, 0);
    }

    pub(super) fn answered(&mut self, met: u32, took: Nanos, failed: bool, _now: Nanos) {
        self.answers += 1;
        self.errors += u32::from(failed);
        let times = self.times.entry(met).or_default();
        if times.len() == TIMES {
            times.pop_front();
        }
        times.push_back(took.0);
        let alone = took.0 as f64 / f64::from(met + 1);
        self.pace += (alone - self.pace) * if self.pace == 0.0 { 1.0 } else { 0.1 };
    }

    /// How it reports from now on.
    pub(super) fn is(&mut self, saying: Option<ReportsFile>, now: Nanos) {
        if saying == Some(ReportsFile::Frozen) && self.saying != saying {
            self.frozen = self.windows.back().map(|window| self.of(*window, 1.0, 0));
            if let Some(frozen) = &mut self.frozen {
                frozen.observed = now;
            }
        }
        self.saying = saying;
    }

    fn of(&self, window: Window, cores: f64, in_flight: u32) -> Report {
        Report {
            carried: self.carried,
            observed: window.ended,
            cpu: window.used / cores,
            memory: window.memory,
            requests_per_second: window.answers,
            errors_per_second: window.errors,
            in_flight,
            service_time: self.pace,
        }
    }

    pub(super) fn report(&self, cores: f64, in_flight: u32, now: Nanos) -> Option<Report> {
        match self.saying {
            Some(ReportsFile::Lost) => None,
            Some(ReportsFile::Idle) => Some(Report {
                carried: self.carried,
                observed: now,
                requests_per_second: self.windows.back()?.answers,
                ..Report::default()
            }),
            // It believes that it is new.
            Some(ReportsFile::Frozen) => self.frozen.map(|frozen| Report {
                observed: now,
                ..frozen
            }),
            Some(ReportsFile::Late) => Some(self.of(*self.windows.front()?, cores, in_flight)),
            None => Some(self.of(*self.windows.back()?, cores, in_flight)),
        }
    }

    /// The median of recent times at the nearest number of requests met.
    pub(super) fn usual_time(&self, in_flight: u32) -> Option<Nanos> {
        let above = self.times.range(in_flight..).next();
        let below = self.times.range(..in_flight).next_back();
        let (_, times) = match (above, below) {
            (Some(above), Some(below)) if *above.0 - in_flight <= in_flight - *below.0 => above,
            (above, None) => above?,
            (_, Some(below)) => below,
        };
        let mut sorted: Vec<u64> = times.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().map(Nanos)
    }
}
