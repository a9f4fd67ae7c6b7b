//! How long it took until a fault was dealt with, and until all was well again.

use evenkeel_core::Nanos;

use super::fair::ENOUGH;
use super::{PIECE, Record};
use crate::scenario::Scenario;

/// Below this part of the fair share a server counts as avoided…
pub(crate) const AVOIDED: f64 = 0.2;
/// …and from this part on as back.
pub(crate) const BACK: f64 = 0.8;

/// How soon something was so at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Soon {
    After(Nanos),
    /// There were too few requests to tell.
    Unknown,
    Never,
}

/// The slowest of the servers of faults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slowest {
    /// Whether there is a fault to tell it of.
    pub(super) any: bool,
    soon: Soon,
}

impl Slowest {
    const NONE: Self = Self {
        any: false,
        soon: Soon::After(Nanos::ZERO),
    };

    fn add(&mut self, soon: Soon) {
        self.any = true;
        self.soon = self.soon.max(soon);
    }

    pub(super) fn after(&self) -> Option<Nanos> {
        match self.soon {
            Soon::After(after) => Some(after),
            Soon::Unknown | Soon::Never => None,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.soon == Soon::Unknown
    }
}

impl Record {
    /// How long it took until the servers of faults were avoided, and until they were back.
    pub(super) fn detection(&self, scenario: &Scenario) -> (Slowest, Slowest) {
        let end = scenario.duration;
        let (mut avoided, mut back) = (Slowest::NONE, Slowest::NONE);
        for (server, faults) in scenario.faults.iter().enumerate() {
            let (joins, leaves) = self.fair.registered(server);
            for fault in faults {
                let until = fault.until.min(end);
                let is_there = |from: Nanos, until: Nanos| from.max(joins) < until.min(leaves);
                if fault.from > Nanos::ZERO && is_there(fault.from, until) {
                    avoided.add(self.first(server, fault.from, until, 1, |part| part < AVOIDED));
                }
                if is_there(fault.until, end) {
                    back.add(self.first(server, fault.until, end, 4, |part| part >= BACK));
                }
            }
        }
        (avoided, back)
    }

    /// How long after `from` the part of the fair share of `server`, over `length` pieces, and more where too few
    /// requests are due in them, first `is` so.
    fn first(
        &self,
        server: usize,
        from: Nanos,
        until: Nanos,
        length: usize,
        is: impl Fn(f64) -> bool,
    ) -> Soon {
        let (joins, leaves) = self.fair.registered(server);
        let (from, until) = (from.max(joins), until.min(leaves));
        let last = ((until.0 / PIECE.0) as usize).min(self.pieces.len());
        let time = |piece: usize| Nanos(piece as u64 * PIECE.0);
        let (mut begin, mut end) = (from.0.div_ceil(PIECE.0) as usize, 0);
        let mut soon = Soon::Unknown;
        loop {
            // A window that begins later ends no sooner.
            end = end.max(begin + length);
            while end <= last && self.fair.due(server, time(begin), time(end)) < ENOUGH {
                end += 1;
            }
            if end > last {
                return soon;
            }
            soon = Soon::Never;
            let window = self.pieces[begin..end].iter();
            let own: u64 = window.map(|piece| u64::from(piece[server])).sum();
            if is(own as f64 / self.fair.due(server, time(begin), time(end))) {
                return Soon::After(time(end).since(from));
            }
            begin += 1;
        }
    }

    /// What the server that had most was sent, as a multiple of what was due to it.
    pub(super) fn max_over_fair(&self) -> f64 {
        let first = (self.warm_up.0 / PIECE.0) as usize;
        let begin = Nanos(first as u64 * PIECE.0);
        let mut by_server = vec![0u64; self.servers];
        for piece in self.pieces.iter().skip(first) {
            let picks = piece.iter().map(|picks| u64::from(*picks));
            by_server
                .iter_mut()
                .zip(picks)
                .for_each(|(sum, picks)| *sum += picks);
        }
        let all = by_server
            .iter()
            .enumerate()
            .map(|(server, picks)| (*picks as f64, self.fair.due(server, begin, Nanos::MAX)));
        let most = |least: f64| {
            let judged = all.clone().filter(|(_, due)| *due > 0.0 && *due >= least);
            judged.map(|(picks, due)| picks / due).reduce(f64::max)
        };
        // Who joined a moment ago says nothing, unless nobody says more.
        most(ENOUGH).or_else(|| most(0.0)).unwrap_or(0.0)
    }

    /// How long after the last fault as much was answered well as came.
    pub(super) fn goodput(&self, scenario: &Scenario) -> Option<Nanos> {
        let (_, until) = self.fault_times?;
        let first = until.0.div_ceil(self.interval.0) as usize;
        let last = (scenario.duration.0 / self.interval.0) as usize;
        // Of three points in a row at least 99 %.
        (first..last.saturating_sub(2)).find_map(|place| {
            let window = self.points.get(place..place + 3)?;
            let requests: u64 = window.iter().map(|point| point.latencies.requests()).sum();
            let errors: u64 = window.iter().map(|point| point.latencies.errors()).sum();
            (requests > 0 && errors * 100 <= requests)
                .then(|| Nanos(place as u64 * self.interval.0).since(until))
        })
    }
}
