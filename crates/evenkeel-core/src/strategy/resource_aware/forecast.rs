//! What an instance will use in a moment, from what it reported: a line through its reports.
//!
//! Reports speak of a window that is over, and rule until the next look. Holt's double exponential smoothing, for reports
//! at unlike times: `level = a × value + (1 − a) × (level + slope × dt)`, `slope = b × (level − level before) / dt + (1 − b) ×
//! slope`, with `a = 0.6` and `b = 0.3` for reports that are [`STEP`] apart, less for what comes sooner. The forecast is the
//! level, led on by the slope for the age of the report and half a look ahead, at most [`FAR`], and never by more than
//! [`LEAD`]; beyond that age the lead fades. It stays within what can be reported: from 0 to the greatest of 1 and the
//! latest value. Without a slope it is the smoothed value.
//!
//! O(1), in the writer alone.

use crate::math::{AtomicF32, AtomicF64, exp2_neg};

/// Parts of the new value, and of the new slope.
const VALUE: f64 = 0.6;
const SLOPE: f64 = 0.3;
/// Seconds between reports for which these are meant.
const STEP: f64 = 1.0;
/// After such a pause what was before says nothing.
const PAUSE: f64 = 30.0;
/// Seconds that are looked ahead at most, and from when on the lead fades, by half in as many.
const FAR: f64 = 5.0;
/// Half of the time until the next look.
const AHEAD: f64 = 0.5;
/// The most that a lead changes a value.
const LEAD: f64 = 0.25;

/// One resource of one instance.
#[derive(Debug)]
pub(super) struct Forecast {
    /// What the last report said; not a number before the first.
    last: AtomicF32,
    /// The time it spoke of, in seconds.
    at: AtomicF64,
    level: AtomicF64,
    /// Per second.
    slope: AtomicF64,
}

impl Default for Forecast {
    fn default() -> Self {
        Self {
            last: AtomicF32::new(f32::NAN),
            at: AtomicF64::new(0.0),
            level: AtomicF64::new(0.0),
            slope: AtomicF64::new(0.0),
        }
    }
}

impl Forecast {
    /// Takes in a report that speaks of second `at`.
    pub(super) fn observe(&self, value: f32, at: f64) {
        let passed = at - self.at.get();
        let known = !self.last.get().is_nan();
        if known && passed == 0.0 {
            return;
        }
        let value = f64::from(value);
        if known && passed > 0.0 && passed < PAUSE {
            let steps = (passed / STEP).min(1.0);
            let (a, b) = (VALUE * steps, SLOPE * steps);
            let (level, slope) = (self.level.get(), self.slope.get());
            let next = a * value + (1.0 - a) * (level + slope * passed);
            self.slope.set(b * (next - level) / passed + (1.0 - b) * slope);
            self.level.set(next);
        } else {
            self.level.set(value);
            self.slope.set(0.0);
        }
        self.at.set(at);
        self.last.set(value as f32);
    }

    /// What is expected for the time after second `now`; `value` before the first report.
    pub(super) fn at(&self, value: f32, now: f64) -> f32 {
        if self.last.get().is_nan() {
            return value;
        }
        let age = (now - self.at.get()).max(0.0);
        let fade = exp2_neg((age - FAR).max(0.0) / FAR);
        let lead = (self.slope.get() * (age + AHEAD).min(FAR)).clamp(-LEAD, LEAD) * fade;
        let greatest = f64::from(value).max(1.0);
        (self.level.get() + lead).clamp(0.0, greatest) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_led_on_and_a_level_stays() {
        let forecast = Forecast::default();
        assert_eq!(forecast.at(0.3, 5.0), 0.3);
        (0..40).for_each(|second| forecast.observe(0.2 + 0.01 * second as f32, f64::from(second)));
        // The last report says 0.59.
        let ahead = forecast.at(0.59, 39.0);
        assert!((ahead - 0.595).abs() < 0.004, "{ahead}");
        let later = forecast.at(0.59, 41.0);
        assert!((later - 0.615).abs() < 0.006, "{later}");
        // The lead has an end, and fades.
        assert!((forecast.at(0.59, 44.0) - 0.64).abs() < 0.01);
        assert!((forecast.at(0.59, 54.0) - 0.6025).abs() < 0.01);
        assert!((forecast.at(0.59, 200.0) - 0.59).abs() < 0.002);
        let still = Forecast::default();
        (0..40).for_each(|second| still.observe(0.7, f64::from(second)));
        assert!((still.at(0.7, 43.0) - 0.7).abs() < 1e-6);
    }

    #[test]
    fn it_stays_within_what_can_be() {
        let forecast = Forecast::default();
        (0..10).for_each(|second| forecast.observe(second as f32 / 9.0, f64::from(second)));
        assert_eq!(forecast.at(1.0, 13.0), 1.0);
        (0..10).for_each(|second| forecast.observe(1.0 - second as f32 / 9.0, f64::from(10 + second)));
        assert_eq!(forecast.at(0.0, 23.0), 0.0);
        // By a clock that steps back, and after a pause, it begins anew.
        forecast.observe(0.4, 3.0);
        assert_eq!(forecast.at(0.4, 3.0), 0.4);
        forecast.observe(0.6, 40.0);
        assert_eq!(forecast.at(0.6, 40.0), 0.6);
    }

    #[test]
    fn a_jump_leads_by_a_quarter_at_most() {
        let forecast = Forecast::default();
        forecast.observe(0.1, 0.0);
        forecast.observe(0.9, 1.0);
        let ahead = forecast.at(0.9, 6.0);
        assert!(f64::from(ahead) <= 0.58 + LEAD + 1e-6, "{ahead}");
    }
}
