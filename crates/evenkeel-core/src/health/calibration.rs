//! How good predictions were: what was said beside what came of it.
//!
//! A prediction is a probability p, what came of it y is 1 or 0. With N of them:
//!
//! ```text
//! Brier score  B  = Σ (p − y)² / N           0: always right and sure; 0.25: as good as a coin
//! base rate    ȳ  = Σ y / N                  who says that every time scores ȳ (1 − ȳ)
//! skill        S  = 1 − B / (ȳ (1 − ȳ))      1: perfect; 0: no better than the base rate; below: worse
//! ```
//!
//! (Brier 1950.) The reliability table has a row for each tenth of p: what was said on average, and how often it came
//! true. Where the two agree, a prediction of 80 % comes true in 80 of 100 cases.
//!
//! Predictions that lower a share may prevent what they say, and then count as wrong; a dry run shows how good they are
//! without that. Those of one instance overlap: the sums are right, but so many independent cases they are not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Rows of the reliability table.
const BINS: usize = 10;

/// The sums. Written by the service's writer, read by anyone; a reader may see one prediction in some of them and not yet
/// in others.
#[derive(Debug, Default)]
pub(crate) struct Record {
    squared: Sum,
    bins: [Bin; BINS],
    /// How many shares are lowered now.
    lowered: AtomicU64,
}

#[derive(Debug, Default)]
struct Bin {
    said: Sum,
    predictions: AtomicU64,
    came_true: AtomicU64,
}

/// An `f64` of the standard library's atomics, as the counters beside it are: no order of its readers decides anything.
#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Sum {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

impl Record {
    /// `said` came true, or did not. For the writer alone.
    pub(crate) fn add(&self, said: f32, came_true: bool) {
        let said = f64::from(said);
        let off = said - f64::from(u8::from(came_true));
        self.squared.set(self.squared.get() + off * off);
        let bin = &self.bins[((said * BINS as f64) as usize).min(BINS - 1)];
        bin.said.set(bin.said.get() + said);
        bin.predictions.fetch_add(1, Relaxed);
        bin.came_true.fetch_add(u64::from(came_true), Relaxed);
    }

    /// So many shares are lowered now.
    pub(crate) fn set_lowered(&self, lowered: u64) {
        self.lowered.store(lowered, Relaxed);
    }

    pub(crate) fn get(&self) -> Calibration {
        Calibration {
            squared: self.squared.get(),
            bins: std::array::from_fn(|i| CalibrationBin {
                said: self.bins[i].said.get(),
                predictions: self.bins[i].predictions.load(Relaxed),
                came_true: self.bins[i].came_true.load(Relaxed),
            }),
            lowered: self.lowered.load(Relaxed),
        }
    }
}

/// How good the predictions of a service were, since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calibration {
    /// The squared errors, added up.
    squared: f64,
    /// The reliability table: row n of predictions from n/10 up to (n + 1)/10.
    pub bins: [CalibrationBin; BINS],
    /// How many instances have less than their share now, by prediction.
    pub lowered: u64,
}

/// One row of the reliability table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CalibrationBin {
    /// Probabilities that were said, added up.
    pub said: f64,
    /// How many predictions there were of which is known what came of them.
    pub predictions: u64,
    /// How many came true.
    pub came_true: u64,
}

impl Calibration {
    /// How many predictions there were of which is known what came of them.
    #[must_use]
    pub fn predictions(&self) -> u64 {
        self.bins.iter().map(|bin| bin.predictions).sum()
    }

    /// How many came true.
    #[must_use]
    pub fn came_true(&self) -> u64 {
        self.bins.iter().map(|bin| bin.came_true).sum()
    }

    /// Both together.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.squared += other.squared;
        self.lowered += other.lowered;
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.said += more.said;
            bin.predictions += more.predictions;
            bin.came_true += more.came_true;
        }
        self
    }

    /// The mean squared error; `None` before the first.
    #[must_use]
    pub fn brier(&self) -> Option<f64> {
        let n = self.predictions();
        (n > 0).then(|| self.squared / n as f64)
    }

    /// That of who always says how often it comes true; `None` before the first.
    #[must_use]
    pub fn base_brier(&self) -> Option<f64> {
        let n = self.predictions();
        let rate = self.came_true() as f64 / n as f64;
        (n > 0).then_some(rate * (1.0 - rate))
    }

    /// By what part it is better than that, `..=1`; `None` while nothing came true, or everything.
    #[must_use]
    pub fn skill(&self) -> Option<f64> {
        let base = self.base_brier().filter(|base| *base > 0.0)?;
        Some(1.0 - self.brier()? / base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_book() {
        let record = Record::default();
        assert_eq!((record.get().brier(), record.get().skill()), (None, None));
        record.add(0.1, false);
        assert_eq!(record.get().skill(), None, "nothing came true");
        for (said, came_true) in [(0.1, false), (0.7, true), (1.0, true)] {
            record.add(said, came_true);
        }
        let seen = record.get();
        assert_eq!((seen.predictions(), seen.came_true()), (4, 2));
        // (0.01 + 0.01 + 0.09 + 0) / 4, beside 1/4.
        assert!((seen.brier().unwrap() - 0.0275).abs() < 1e-6);
        assert_eq!(seen.base_brier(), Some(0.25));
        assert!((seen.skill().unwrap() - 0.89).abs() < 1e-5);
        let rows: Vec<_> = seen
            .bins
            .iter()
            .map(|bin| (bin.predictions, bin.came_true))
            .collect();
        assert_eq!((rows[1], rows[6].0 + rows[7].0, rows[9]), ((2, 0), 1, (1, 1)));
    }
}
