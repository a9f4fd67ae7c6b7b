//! What several runs of a scenario came to, and how sure that is.

use evenkeel_core::Nanos;

use crate::record::Run;

/// A mean over runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Over the runs that have a value; NaN when none has.
    pub mean: f64,
    /// Half of the 95 % interval of the mean (Student); 0 with a single run.
    pub half_width: f64,
    /// Runs without a value: more requests failed than the quantile leaves room for, or nothing was found.
    pub missing: usize,
}

/// Quantiles of Student's distribution for 95 %, from one degree of freedom on.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

impl Figure {
    /// Of these values, one for each run.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let all: Vec<Option<f64>> = values.into_iter().collect();
        let known: Vec<f64> = all.iter().copied().flatten().collect();
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        let squares: f64 = known.iter().map(|value| (value - mean) * (value - mean)).sum();
        let half_width = match known.len() {
            0 | 1 => 0.0,
            n => student(n - 1) * libm::sqrt(squares / (n - 1) as f64 / n as f64),
        };
        Self {
            mean,
            half_width,
            missing: all.len() - known.len(),
        }
    }
}

fn student(degrees: usize) -> f64 {
    STUDENT.get(degrees - 1).copied().unwrap_or(1.96)
}

/// Percent of requests of a run that failed.
pub(crate) fn percent_failed(run: &Run) -> Option<f64> {
    Some(100.0 * run.all.errors() as f64 / run.all.requests().max(1) as f64)
}

/// The runs of one policy in one scenario.
#[derive(Debug, Clone)]
pub struct Summary {
    /// By what it picked.
    pub policy: String,
    /// One for each seed.
    pub runs: Vec<Run>,
}

impl Summary {
    /// A figure of all runs.
    pub fn figure(&self, of: impl Fn(&Run) -> Option<f64>) -> Figure {
        Figure::of(self.runs.iter().map(of))
    }

    /// Milliseconds within which this part of requests was answered well.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Figure {
        self.figure(|run| run.all.quantile(part))
    }

    /// The same of one step of the load.
    #[must_use]
    pub fn step_quantile(&self, step: usize, part: f64) -> Figure {
        self.figure(|run| run.steps.get(step).and_then(|step| step.quantile(part)))
    }

    /// Percent of requests that failed.
    #[must_use]
    pub fn errors(&self) -> Figure {
        self.figure(percent_failed)
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> Figure {
        self.figure(|run| Some(run.all.errors() as f64))
    }

    /// Percent of requests that were not answered well within `limit`.
    #[must_use]
    pub fn beyond(&self, limit: Nanos) -> Figure {
        self.figure(|run| Some(100.0 * run.all.beyond(limit)))
    }

    /// A figure of each run divided by that of the run of `other` with the same seed: both met the same requests. Below 1
    /// this one has less. A seed in which either has no figure, or `other` nothing, is missing.
    pub fn ratio(&self, other: &Self, of: impl Fn(&Run) -> Option<f64>) -> Figure {
        self.paired(other, |own, others| {
            let (own, others) = (of(own)?, of(others)?);
            (others > 0.0).then(|| own / others)
        })
    }

    /// A figure of each run less that of the run of `other` with the same seed.
    pub fn difference(&self, other: &Self, of: impl Fn(&Run) -> Option<f64>) -> Figure {
        self.paired(other, |own, others| Some(of(own)? - of(others)?))
    }

    fn paired(&self, other: &Self, of: impl Fn(&Run, &Run) -> Option<f64>) -> Figure {
        Figure::of(
            self.runs
                .iter()
                .zip(&other.runs)
                .map(|(own, others)| of(own, others)),
        )
    }

    /// How many steps the load has.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.runs.first().map_or(0, |run| run.steps.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_student() {
        let figure = Figure::of([Some(1.0), Some(2.0), Some(3.0), None]);
        assert_eq!((figure.mean, figure.missing), (2.0, 1));
        // s = 1, t(2) = 4.303, so 4.303 / √3.
        assert!((figure.half_width - 2.4843).abs() < 1e-3, "{figure:?}");
        assert_eq!(Figure::of([Some(5.0)]).half_width, 0.0);
        assert!(Figure::of([None]).mean.is_nan());
    }
}
