//! How long it took until a fault was dealt with, and until all was well again.

use evenkeel_core::Nanos;

use super::{PIECE, Record};
use crate::scenario::Scenario;

/// Below this part of the fair share a server counts as avoided…
pub(crate) const AVOIDED: f64 = 0.2;
/// …and from this part on as back.
pub(crate) const BACK: f64 = 0.8;

impl Record {
    /// How long it took until the servers of faults were avoided, and until they were back.
    pub(super) fn detection(&self, scenario: &Scenario) -> (Option<Nanos>, Option<Nanos>, (bool, bool)) {
        let end = scenario.duration;
        let mut worst = [Some(Nanos::ZERO), Some(Nanos::ZERO)];
        let mut any = [false, false];
        for (server, faults) in scenario.faults.iter().enumerate() {
            for fault in faults {
                if fault.from > Nanos::ZERO && fault.from < end {
                    any[0] = true;
                    let until = fault.until.min(end);
                    let after = self.first(server, fault.from, until, 1, |part| part < AVOIDED);
                    worst[0] = worst[0].zip(after).map(|(worst, after)| worst.max(after));
                }
                if fault.until < end {
                    any[1] = true;
                    let after = self.first(server, fault.until, end, 4, |part| part >= BACK);
                    worst[1] = worst[1].zip(after).map(|(worst, after)| worst.max(after));
                }
            }
        }
        (worst[0], worst[1], (any[0], any[1]))
    }

    /// How long after `from` the part of the fair share of `server`, over `length` pieces, first `is` so.
    fn first(
        &self,
        server: usize,
        from: Nanos,
        until: Nanos,
        length: usize,
        is: impl Fn(f64) -> bool,
    ) -> Option<Nanos> {
        let first = from.0.div_ceil(PIECE.0) as usize;
        let last = (until.0 / PIECE.0) as usize;
        (first..last.saturating_sub(length - 1)).find_map(|piece| {
            let window = self.pieces.get(piece..piece + length)?;
            let own: u64 = window.iter().map(|piece| u64::from(piece[server])).sum();
            let all: u64 = window.iter().flatten().map(|picks| u64::from(*picks)).sum();
            let fair = all as f64 / self.servers as f64;
            let end = Nanos((piece + length) as u64 * PIECE.0);
            (fair >= 1.0 && is(own as f64 / fair)).then(|| end.since(from))
        })
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
