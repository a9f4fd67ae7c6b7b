//! What a window has seen of one candidate.

use super::{CELL, CELLS};
use crate::Nanos;
use crate::shadow::ShadowCounts;

/// By how much a candidate's expected times were less than the actual ones, as a part of those.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    pub(super) mean: f64,
    /// The lower end of the 95 % interval.
    pub(super) least: f64,
    /// Comparisons.
    pub(super) compared: u64,
    /// When the window ended.
    pub(super) at: Nanos,
    /// How long it was.
    pub(super) took: Nanos,
}

/// Student's quantile for two-sided 95 % at nine degrees of freedom, the fewest; more cells make the interval a little too
/// wide.
const STUDENT: f64 = 2.262;

/// Seconds gained, and actual seconds.
type Cell = [f64; 2];

/// See the module above.
#[derive(Debug)]
pub(super) struct Window {
    began: Nanos,
    /// At the last look.
    last: ShadowCounts,
    cells: Vec<Cell>,
    open: Cell,
    /// Comparisons in the open cell, and in the others.
    compared: [u64; 2],
}

impl Window {
    pub(super) fn new(now: Nanos, counts: ShadowCounts) -> Self {
        Self {
            began: now,
            last: counts,
            cells: Vec::new(),
            open: [0.0; 2],
            compared: [0; 2],
        }
    }

    /// The one that begins where this ends.
    pub(super) fn next(&self, now: Nanos) -> Self {
        Self::new(now, self.last)
    }

    pub(super) fn take(&mut self, counts: ShadowCounts) {
        // Who counts less than before has begun anew.
        let new = match counts.asked < self.last.asked {
            true => counts,
            false => counts - self.last,
        };
        self.last = counts;
        let (actual, own) = (new.actual.as_secs_f64(), new.shadow.as_secs_f64());
        self.open = [self.open[0] + actual - own, self.open[1] + actual];
        self.compared[0] += new.compared;
        if self.compared[0] >= CELL {
            self.cells.push(std::mem::take(&mut self.open));
            self.compared[1] += std::mem::take(&mut self.compared[0]);
        }
    }

    /// How old it is.
    pub(super) fn age(&self, now: Nanos) -> Nanos {
        now.since(self.began)
    }

    pub(super) fn has_enough(&self) -> bool {
        self.cells.len() >= CELLS
    }

    /// A ratio estimate: `Σd / Σa` over cells, whose error is that of the residuals `d − gain × a`.
    pub(super) fn gain(&self, now: Nanos) -> Gain {
        let sum = |of: usize| self.cells.iter().map(|cell| cell[of]).sum::<f64>();
        let (gained, actual) = (sum(0), sum(1));
        let mean = gained / actual;
        let residuals = self.cells.iter().map(|[gained, actual]| gained - mean * actual);
        let squares: f64 = residuals.map(|residual| residual * residual).sum();
        let n = self.cells.len() as f64;
        let error = (squares * n / (n - 1.0)).sqrt() / actual;
        Gain {
            mean,
            least: mean - STUDENT * error,
            compared: self.compared[1],
            at: now,
            took: self.age(now),
        }
    }
}
