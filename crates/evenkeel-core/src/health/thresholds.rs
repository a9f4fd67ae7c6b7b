//! The thresholds in force, for who asks why something counted or did not.
//!
//! What counts as too many failures follows what the fleet commonly fails ([`super::burst`]), and what counts as slow follows
//! the peers and the own past ([`super::latency`]). The writer puts both here once a second; nothing decides by it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::Nanos;

/// Written by the service's writer, read by anyone; a reader may see one before and one after a change. Reals as bits, all
/// in the standard library's atomics: no order of its readers decides anything.
#[derive(Debug, Default)]
pub(crate) struct Record {
    usual: AtomicU32,
    burst: [AtomicU32; 2],
    error_rate: AtomicU32,
    run: AtomicU32,
    rising: AtomicU32,
    slow: [AtomicU64; 2],
}

impl Record {
    /// For the writer alone.
    pub(crate) fn set(&self, now: &Thresholds) {
        let set = |real: &AtomicU32, value: f32| real.store(value.to_bits(), Relaxed);
        set(&self.usual, now.usual_failures);
        set(&self.burst[0], now.burst[0]);
        set(&self.burst[1], now.burst[1]);
        set(&self.error_rate, now.error_rate);
        self.run.store(now.run, Relaxed);
        self.rising.store(now.rising.into(), Relaxed);
        let slow = now.slow.unwrap_or_default();
        self.slow[0].store(slow[0].0, Relaxed);
        self.slow[1].store(slow[1].0, Relaxed);
    }

    pub(crate) fn get(&self) -> Thresholds {
        let get = |real: &AtomicU32| f32::from_bits(real.load(Relaxed));
        let slow = [0, 1].map(|i| Nanos(self.slow[i].load(Relaxed)));
        Thresholds {
            usual_failures: get(&self.usual),
            burst: [0, 1].map(|i| get(&self.burst[i])),
            error_rate: get(&self.error_rate),
            run: self.run.load(Relaxed),
            rising: self.rising.load(Relaxed) != 0,
            slow: (slow[1] > Nanos::ZERO).then_some(slow),
        }
    }
}

/// What counts as too much in a service now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// The part of requests that three quarters of the instances fail at least, by the last ten seconds and, where those are
    /// few, the last two hundred requests; with the margin for how sure that is.
    pub usual_failures: f32,
    /// The two rates between which the sequential test decides: what is common, and what is too much.
    pub burst: [f32; 2],
    /// The part of failures in ten seconds that is too much.
    pub error_rate: f32,
    /// Failures in a row that are too many.
    pub run: u32,
    /// The whole fleet has just begun to fail more than before: nobody is ejected for failures before it is known how much.
    pub rising: bool,
    /// From what response time on an instance is slow: of the one with the lowest such time and of that with the highest;
    /// `None` while nothing can be compared.
    pub slow: Option<[Nanos; 2]>,
}
