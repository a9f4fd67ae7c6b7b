//! What a window has seen.

use super::{LOOKS, Look};
use crate::Nanos;
use crate::shadow::ShadowCounts;

/// By how much a candidate's expected times were less than the actual ones, as a part of those.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    pub(super) mean: f64,
    /// The lower end of the 95 % interval.
    pub(super) least: f64,
}

/// Student's quantile for two-sided 95 % at nine degrees of freedom, the fewest; more looks make the interval a little too
/// wide.
const STUDENT: f64 = 2.262;

/// See the module above.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) began: Nanos,
    first_requests: u64,
    last_requests: u64,
    last: Vec<ShadowCounts>,
    /// By candidate, and look: seconds gained, and actual seconds.
    differences: Vec<Vec<[f64; 2]>>,
    /// Response times, by look.
    times: Vec<f64>,
}

impl Window {
    pub(super) fn new(look: &Look, counts: Vec<ShadowCounts>) -> Self {
        Self {
            began: look.now,
            first_requests: look.requests,
            last_requests: look.requests,
            differences: vec![Vec::new(); counts.len()],
            last: counts,
            times: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, look: &Look, counts: Vec<ShadowCounts>) {
        for ((differences, now), last) in self.differences.iter_mut().zip(&counts).zip(&self.last) {
            let actual = now.actual.since(last.actual).as_secs_f64();
            let shadow = now.shadow.since(last.shadow).as_secs_f64();
            differences.push([actual - shadow, actual]);
        }
        self.last = counts;
        self.last_requests = look.requests;
        if look.response_time > 0.0 {
            self.times.push(look.response_time);
        }
    }

    pub(super) fn last(&self) -> &[ShadowCounts] {
        &self.last
    }

    pub(super) fn looks(&self) -> usize {
        self.differences.first().map_or(0, Vec::len)
    }

    pub(super) fn requests(&self) -> u64 {
        self.last_requests.saturating_sub(self.first_requests)
    }

    /// The mean response time per success, in ns.
    pub(super) fn response_time(&self) -> f64 {
        self.times.iter().sum::<f64>() / self.times.len().max(1) as f64
    }

    /// A ratio estimate: `Σd / Σa` over looks, whose error is that of the residuals `d − gain × a`. `None` where too little was
    /// compared.
    pub(super) fn gain(&self, place: usize) -> Option<Gain> {
        let looks = self.differences.get(place)?;
        let n = looks.iter().filter(|[_, actual]| *actual > 0.0).count();
        if n < LOOKS {
            return None;
        }
        let sum = |of: usize| looks.iter().map(|look| look[of]).sum::<f64>();
        let (gained, actual) = (sum(0), sum(1));
        let mean = gained / actual;
        let residuals = looks.iter().map(|[gained, actual]| gained - mean * actual);
        let squares: f64 = residuals.map(|residual| residual * residual).sum();
        let n = n as f64;
        let error = (squares * n / (n - 1.0)).sqrt() / actual;
        Some(Gain {
            mean,
            least: mean - STUDENT * error,
        })
    }
}
