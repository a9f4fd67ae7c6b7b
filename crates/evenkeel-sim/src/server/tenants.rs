//! Others on the machine of a server: they may take all that it was not promised.

use evenkeel_config::{MachineFile, TenantsFile};
use evenkeel_core::{Nanos, Rng};

use crate::draw;

#[derive(Debug)]
pub(super) struct Tenants {
    machine: f64,
    promised: f64,
    /// What is left of `promised` while the others want all.
    kept: f64,
    kind: TenantsFile,
    rng: Rng,
    /// Parts of the machine that are taken, and when each changes.
    quick: (f64, Nanos),
    slow: (f64, Nanos),
    phase: Nanos,
}

impl Tenants {
    pub(super) fn new(file: MachineFile, promised: f64, rng: &mut Rng) -> Self {
        let mut rng = Rng::new(rng.next_u64());
        let phase = match file.tenants {
            TenantsFile::Square(square) => Nanos(rng.below_u64(square.period.0.0.max(2))),
            TenantsFile::Drawn(_) => Nanos::ZERO,
        };
        Self {
            machine: file.cores.0,
            promised,
            kept: file.kept.map_or(1.0, |part| part.0) * promised,
            kind: file.tenants,
            rng,
            quick: (0.0, Nanos::ZERO),
            slow: (0.0, Nanos::ZERO),
            phase,
        }
    }

    /// Cores that are left for the server.
    pub(super) fn left(&mut self, now: Nanos) -> f64 {
        let taken = match self.kind {
            TenantsFile::Square(square) => {
                let period = square.period.0.0.max(2);
                let on = (now + self.phase).0 % period < period / 2;
                if on { square.taken.0 } else { 0.0 }
            }
            TenantsFile::Drawn(drawn) => {
                let half = drawn.mean.0 / 2.0;
                if now >= self.quick.1 {
                    let lasts = draw::exponential(drawn.quick.0.0 as f64, &mut self.rng);
                    self.quick = (
                        draw::exponential(half, &mut self.rng),
                        now + Nanos(lasts as u64 + 1),
                    );
                }
                if now >= self.slow.1 {
                    let lasts = draw::exponential(drawn.slow.0.0 as f64, &mut self.rng);
                    let full = self.rng.unit() < drawn.full.0;
                    let part = draw::exponential(half, &mut self.rng);
                    self.slow = (if full { 1.0 } else { part }, now + Nanos(lasts as u64 + 1));
                }
                self.quick.0 + self.slow.0
            }
        };
        let left = self.machine * (1.0 - taken);
        if left > self.promised { left } else { self.kept }
    }

    pub(super) fn next_change(&self, now: Nanos) -> Nanos {
        match self.kind {
            TenantsFile::Square(square) => {
                let half = (square.period.0.0.max(2) / 2).max(1);
                now + Nanos(half - (now + self.phase).0 % half)
            }
            TenantsFile::Drawn(_) => self.quick.1.min(self.slow.1).max(now + Nanos(1)),
        }
    }
}
