//! What the response times of an instance are in the long run, how far they scatter, and for how many of them that
//! stands. For fleets in which each instance is asked so seldom that a mean which follows changes is a mean of one.
//!
//! Absent on purpose: bounds that let a change show at once. [`super::Pace`] has the steady time for that.

use crate::math::{AtomicF32, exp2_neg};

/// The most samples that it stands for.
const LONG: f32 = 128.0;
/// Halves the samples that it stands for. With 60 s the fleet of [`crate::strategy::Adaptive`]'s measurements is no
/// faster, with 4 s its 99th percentile is twice as long.
const HALF_LIFE: f64 = 20e9;
/// Times are taken for at most this, in ns, so that their squares are finite.
const LONGEST: f32 = 1e15;

/// Updated by load and store, as all that workers fold in.
#[derive(Debug)]
pub(super) struct Habit {
    /// In ns.
    mean: AtomicF32,
    /// In ns²; 0 before the second sample.
    variance: AtomicF32,
    known: AtomicF32,
}

impl Default for Habit {
    fn default() -> Self {
        let [mean, variance, known] = [0.0; 3].map(AtomicF32::new);
        Self {
            mean,
            variance,
            known,
        }
    }
}

/// Response times in the long run, as seen at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LongRun {
    /// Their mean in ns; 0 before the first.
    pub(crate) mean: f64,
    /// The variance of one of them, in ns²; 0 before the second.
    pub(crate) variance: f64,
    /// How many samples that stands for.
    pub(crate) known: f64,
}

impl Habit {
    /// Folds in one sample that came so many ns after the last.
    #[inline]
    pub(super) fn fold(&self, time: f32, pause: f64) {
        let time = if time < LONGEST { time } else { LONGEST };
        let known = self.known.get() * kept(pause) as f32;
        let gain = 1.0 / (known + 1.0);
        let (mean, variance) = (self.mean.get(), self.variance.get());
        let off = time - mean;
        self.mean.set(mean + off * gain);
        // A sample and the mean before it differ by the variance of both; the first has nothing to differ from.
        let sample = off * off * known * gain;
        let gain = if variance > 0.0 { gain } else { 1.0 };
        self.variance.set(variance + (sample - variance) * gain);
        self.known
            .set(if known + 1.0 < LONG { known + 1.0 } else { LONG });
    }

    /// So many ns after the last sample.
    pub(super) fn after(&self, pause: f64) -> LongRun {
        LongRun {
            mean: self.mean.get().into(),
            variance: self.variance.get().into(),
            known: f64::from(self.known.get()) * kept(pause),
        }
    }
}

#[inline]
fn kept(pause: f64) -> f64 {
    exp2_neg(pause * (1.0 / HALF_LIFE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_mean_variance_and_for_how_many_they_stand() {
        let habit = Habit::default();
        assert_eq!((habit.after(0.0).mean, habit.after(0.0).known), (0.0, 0.0));
        habit.fold(10e6, 0.0);
        let first = habit.after(0.0);
        assert_eq!((first.mean, first.variance, first.known), (10e6, 0.0, 1.0));
        for _ in 0..500 {
            habit.fold(5e6, 0.0);
            habit.fold(15e6, 0.0);
        }
        let long = habit.after(0.0);
        assert!((long.mean / 10e6 - 1.0).abs() < 0.01, "{long:?}");
        // (5 ms)², and a hundredth for what the mean is off by.
        assert!((long.variance / 25e12 - 1.0).abs() < 0.03, "{long:?}");
        assert_eq!(long.known, 128.0);
        assert!((habit.after(40e9).known - 32.0).abs() < 1e-3);
        // After a pause a sample counts for more, and one slow answer is no habit.
        habit.fold(100e6, 40e9);
        let changed = habit.after(0.0);
        assert!(
            (changed.mean / (10e6 + 90e6 / 33.0) - 1.0).abs() < 0.01,
            "{changed:?}"
        );
        assert!((changed.known - 33.0).abs() < 1e-3);
    }

    #[test]
    fn no_time_is_too_long() {
        let habit = Habit::default();
        for time in [f32::MAX, 0.0, f32::MAX, 1.0] {
            habit.fold(time, 0.0);
            let LongRun { mean, variance, .. } = habit.after(0.0);
            assert!(mean.is_finite() && variance.is_finite() && variance >= 0.0);
        }
    }
}
