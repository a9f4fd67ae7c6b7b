//! What is followed of an instance, and beside what it is measured.

use crate::Nanos;
use crate::health::vitals::OVERLOADED;
use crate::math::minus_ln;

/// How much samples scatter at least: 0.3 % of requests, a tenth of a response time, 3 % and 1 % of what it has.
pub(super) const LEAST: [f32; 4] = [0.003, 0.1, 0.03, 0.01];
/// With fewer requests in ten seconds neither the part that failed nor what they took is more than chance.
pub(crate) const ENOUGH: u64 = 100;

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Errors,
    Latency,
    Utilization,
    Memory,
}

impl Signal {
    pub(super) const ALL: [Self; 4] = [Self::Errors, Self::Latency, Self::Utilization, Self::Memory];
}

/// A sample of each signal of which there is one, the time it speaks of, and by how much it scatters at least.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Samples([Option<(f32, Nanos, f32)>; 4]);

impl Samples {
    /// That `bad` of `all` requests of the last ten seconds failed. They scatter as those of who fails half a request more
    /// (Jeffreys), so that who fails nothing scatters, too.
    pub(crate) fn failed(&mut self, (bad, all): (u64, u64), now: Nanos) {
        if all < ENOUGH {
            return;
        }
        let (bad, all) = (bad as f32, all as f32);
        let part = (bad + 0.5) / (all + 1.0);
        let scatter = (part * (1.0 - part) / all).sqrt().max(LEAST[0]);
        self.0[Signal::Errors as usize] = Some((bad / all, now, scatter));
    }

    pub(crate) fn set(&mut self, signal: Signal, value: f32, at: Nanos) {
        let i = signal as usize;
        self.0[i] = Some((value, at, LEAST[i]));
    }

    pub(super) fn of(&self, signal: Signal) -> Option<(f32, Nanos, f32)> {
        self.0[signal as usize]
    }
}

/// Beside what an instance is measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stand {
    /// The part of failures from which on the sequential test rises.
    pub(crate) failures: f32,
    /// So many times slower is slow.
    pub(crate) slow: f32,
    /// The utilization of the peers.
    pub(crate) usage: f32,
}

impl Stand {
    /// Where an instance is as good as out, in the order of [`Signal`].
    pub(super) fn limits(self) -> [f32; 4] {
        let slow = minus_ln(1.0 / f64::from(self.slow.max(1.1))) as f32;
        [self.failures, slow, (OVERLOADED - self.usage).max(0.1), 1.0]
    }
}
