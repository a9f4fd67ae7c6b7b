//! A level, its slope, and how wrong both were so far: double exponential smoothing (Holt 1957) of samples that come when
//! they come (Wright 1986).
//!
//! ```text
//! forecast = level + slope × dt            error = sample − forecast
//! level    = forecast + a × error          a = 1 − 2^(−dt / 4 s)
//! slope    = slope + g × a × error / dt    g = 1 − 2^(−dt / 15 s)
//! ```
//!
//! The error of a forecast over h seconds grows with h; by the errors over one step (their mean absolute value × 1.25 is a
//! standard deviation σ), and as the method has it for the level, with steps of a second (Hyndman et al. 2008, class 1):
//!
//! ```text
//! σ_h² = σ² × Σ (a + a g j)²,  j = 1 … h − 1          σ_20 = 1.02 σ
//! ```
//!
//! The probability that the level in h seconds is above a limit is taken from the logistic distribution, which is close to
//! the normal one at 1.702 standard deviations and has heavier tails, as errors do that are not quite normal:
//!
//! ```text
//! p = 1 / (1 + e^(−1.702 × (level + max(0, slope) × h − limit) / σ_h))
//! ```
//!
//! A slope that falls is not believed to go on: what is near its limit may stay there.

use std::f32::consts::LOG2_E;

use crate::Nanos;
use crate::math::exp2_neg;

/// Half of the level is from the last so many seconds…
const LEVEL_HALF_LIFE: f64 = 4.0;
/// …and that of the slope.
const SLOPE_HALF_LIFE: f64 = 15.0;
/// Samples closer than this are one.
const LEAST_PAUSE: Nanos = Nanos::from_millis(500);
/// After a pause as long as this everything begins anew.
const GAP: Nanos = Nanos::from_secs(10);
/// With fewer samples there is no slope to speak of.
const LEAST_SAMPLES: u32 = 8;
/// How much more a forecast of the level over [`super::foresight::HORIZON`] scatters than samples around one over a second.
const WIDER: f32 = 1.02;
/// From a mean absolute error to a standard deviation.
const TO_DEVIATION: f32 = 1.25;
/// Where the logistic distribution is closest to the normal one.
const LOGISTIC: f32 = 1.702;

/// What was smoothed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trend {
    level: f32,
    /// A second.
    slope: f32,
    /// Mean absolute error of the forecasts.
    error: f32,
    samples: u32,
    at: Nanos,
}

impl Trend {
    /// Takes in that it was `value` at `at`.
    pub(crate) fn observe(&mut self, value: f32, at: Nanos) {
        let elapsed = at.since(self.at);
        if self.samples == 0 || elapsed >= GAP {
            *self = Self {
                level: value,
                samples: 1,
                at,
                ..Self::default()
            };
            return;
        }
        if elapsed < LEAST_PAUSE {
            return;
        }
        let dt = elapsed.as_secs_f64();
        let gain = |half_life: f64| (1.0 - exp2_neg(dt / half_life)) as f32;
        let a = gain(LEVEL_HALF_LIFE);
        let dt = dt as f32;
        let forecast = self.level + self.slope * dt;
        let error = value - forecast;
        self.level = forecast + a * error;
        self.slope += gain(SLOPE_HALF_LIFE) * a * error / dt;
        // The mean of the first ones, then of about the last twenty.
        let weight = (1.0 / self.samples as f32).max(0.05);
        self.error += (error.abs() - self.error) * weight;
        self.samples = self.samples.saturating_add(1);
        self.at = at;
    }

    /// The level, and what it gains in a second.
    pub(crate) fn figures(&self) -> (f32, f32) {
        (self.level, self.slope)
    }

    /// The probability that its level is above `limit` after `horizon`, where samples scatter by `least` at least. `None` while too
    /// little is known, or nothing new.
    pub(crate) fn beyond(&self, limit: f32, least: f32, horizon: Nanos, now: Nanos) -> Option<f32> {
        let age = now.since(self.at);
        if self.samples < LEAST_SAMPLES || age >= GAP {
            return None;
        }
        let ahead = (horizon + age).as_secs_f64() as f32;
        let expected = self.level + self.slope.max(0.0) * ahead;
        let deviation = WIDER * (TO_DEVIATION * self.error).max(least);
        let x = LOGISTIC * LOG2_E * (expected - limit) / deviation;
        let odds = exp2_neg(f64::from(x.abs())) as f32;
        Some(if x > 0.0 {
            1.0 / (1.0 + odds)
        } else {
            odds / (1.0 + odds)
        })
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.at = self.at.since(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    const HORIZON: Nanos = Nanos::from_secs(20);

    #[test]
    fn a_line_is_followed_however_irregular_its_samples_are() {
        let mut rng = Rng::new(5);
        let (mut trend, mut at) = (Trend::default(), 100.0f64);
        for _ in 0..60 {
            at += 0.5 + 2.0 * rng.unit();
            trend.observe(0.2 + 0.01 * at as f32, Nanos((at * 1e9) as u64));
        }
        let (level, slope) = trend.figures();
        assert!((slope - 0.01).abs() < 2e-4, "{slope}");
        assert!((level - 0.2 - 0.01 * at as f32).abs() < 0.01, "{level}");
        let now = Nanos((at * 1e9) as u64);
        let beyond = |more: f32| trend.beyond(level + more, 0.01, HORIZON, now).unwrap();
        // In twenty seconds it is by a fifth higher.
        assert!((beyond(slope * 20.0) - 0.5).abs() < 1e-3);
        assert!(beyond(0.1) > 0.9 && beyond(0.3) < 0.1);
    }

    /// Of levels and slopes that wander as the method takes them to, so much comes true as is said: beside each of its
    /// probabilities to four standard deviations.
    #[test]
    fn a_forecast_scatters_as_it_says() {
        let mut rng = Rng::new(11);
        let mut normal = || (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0;
        let gain = |half_life: f64| 1.0 - 0.5f64.powf(1.0 / half_life);
        let (a, g) = (gain(LEVEL_HALF_LIFE), gain(SLOPE_HALF_LIFE));
        // What lies so many standard deviations of 0.1 above the line is beyond it with these probabilities (normal).
        for (off, truth) in [
            (-1.0, 0.841),
            (-0.5, 0.691),
            (0.0, 0.5),
            (0.5, 0.309),
            (1.0, 0.159),
        ] {
            let (mut said, mut came) = (0.0, 0u32);
            let runs = 2000;
            for _ in 0..runs {
                let (mut level, mut slope) = (0.0f64, 0.05f64);
                let mut step = || {
                    let off = 0.1 * normal();
                    let sample = level + slope + off;
                    level += slope + a * off;
                    slope += a * g * off;
                    (sample, level)
                };
                let mut trend = Trend::default();
                for second in 0..200u64 {
                    trend.observe(step().0 as f32, Nanos::from_secs(second));
                }
                let (known, rise) = trend.figures();
                assert!(rise > 0.0, "{rise}");
                let limit = known + rise * 20.0 + 0.1 * WIDER * off;
                said += f64::from(trend.beyond(limit, 0.0, HORIZON, Nanos::from_secs(199)).unwrap());
                let above = (0..20).map(|_| step().1).last().unwrap() as f32 > limit;
                came += u32::from(above);
            }
            let n = f64::from(runs);
            let (said, came) = (said / n, f64::from(came) / n);
            let bound = 4.0 * (truth * (1.0 - truth) / n).sqrt();
            assert!((came - truth).abs() < bound, "{off}: {came} came true");
            // The logistic distribution is within 0.01 of the normal one, and the error it goes by is of twenty samples.
            assert!((said - truth).abs() < 0.025, "{off}: {said} was said");
        }
    }

    #[test]
    fn too_little_says_nothing_and_a_pause_forgets() {
        let mut trend = Trend::default();
        let at = |second: u64| Nanos::from_secs(100 + second);
        for second in 0..7 {
            trend.observe(second as f32, at(second));
            assert_eq!(trend.beyond(0.0, 0.1, HORIZON, at(second)), None);
        }
        trend.observe(7.0, at(7));
        assert!(trend.beyond(0.0, 0.1, HORIZON, at(7)).unwrap() > 0.9);
        let before = trend.figures();
        trend.observe(1e6, at(7) + Nanos::from_millis(100));
        assert_eq!(trend.figures(), before, "too close to be another");
        assert!(trend.beyond(30.0, 0.1, HORIZON, at(7)) < trend.beyond(30.0, 0.1, HORIZON, at(12)));
        assert_eq!(trend.beyond(9.0, 0.1, HORIZON, at(17)), None);
        trend.observe(5.0, at(17));
        assert_eq!(trend.figures(), (5.0, 0.0));
        trend.shift(Nanos::from_secs(110));
        trend.observe(6.0, Nanos::from_secs(8));
        assert!(trend.figures().0 > 5.0, "it followed the clock");
    }
}
