//! What the stages went by, kept with the view so that it can be explained. Nothing decides by it.

use std::sync::Arc;

use super::Minimum;
use super::priority::Loads;
use crate::Slot;

/// Of one run of the stages.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    /// How many are healthy, and what follows from it.
    pub(crate) minimum: Minimum,
    /// How many are below a threshold that is put aside because most are.
    pub(crate) put_aside: usize,
    /// The part of the requests that each priority gets; empty where priorities have no say.
    pub(crate) loads: Loads,
    /// What the candidates' shares are made of, in slot order; empty when all are full.
    pub(crate) parts: Box<[Parts]>,
    /// Whose share is lowered by a prediction, and why; in slot order.
    pub(crate) predictions: Box<[(Slot, Arc<str>)]>,
}

/// The parts of one candidate's share, each above 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parts {
    /// How far it has started.
    pub(crate) started: f64,
    /// How far it has come back from an ejection.
    pub(crate) recovered: f64,
    /// What its score leaves.
    pub(crate) score: f64,
    /// What is left because of what is foreseen of it.
    pub(crate) predicted: f64,
}

impl Parts {
    pub(crate) const FULL: Self = Self {
        started: 1.0,
        recovered: 1.0,
        score: 1.0,
        predicted: 1.0,
    };

    /// What of `all` is worth telling: what all have in common costs nobody anything, because shares count beside the
    /// greatest.
    pub(super) fn told(mut all: Vec<Self>) -> Box<[Self]> {
        let of: [fn(&mut Self) -> &mut f64; 4] = [
            |part| &mut part.started,
            |part| &mut part.recovered,
            |part| &mut part.score,
            |part| &mut part.predicted,
        ];
        for of in of {
            let first = all.first_mut().map(|part| *of(part));
            if all.iter_mut().all(|part| Some(*of(part)) == first) {
                all.iter_mut().for_each(|part| *of(part) = 1.0);
            }
        }
        if all.iter().all(|part| *part == Self::FULL) {
            return Box::default();
        }
        all.into()
    }

    pub(super) fn product(self) -> f64 {
        self.started * self.recovered * self.score * self.predicted
    }
}
