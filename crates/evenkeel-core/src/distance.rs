//! How far away an instance is: the time that connecting to it takes, whoever connects.
//!
//! A connection costs a round trip and no work, so it tells the way apart from the work, and it is known of instances that
//! never had a request: checks connect to all, and the proxy keeps connections to those that are next. What disturbs it (a
//! busy machine, a lost packet) only makes it longer, so the estimate follows a shorter time by half and a longer one by an
//! eighth, and what is more than four mean deviations longer counts as that.
//!
//! Several may observe at once, and one of them be lost: it is an estimate. All orderings are relaxed, each number stands
//! alone.

use crate::Nanos;
use crate::math::AtomicF32;

/// Parts of a new sample.
const LONGER: f32 = 1.0 / 8.0;
const SHORTER: f32 = 1.0 / 2.0;
const DEVIATION: f32 = 1.0 / 4.0;
/// Deviations that a sample counts at most.
const MOST: f32 = 4.0;
/// The smoothed mean is worth as many samples as this.
const WORTH: f32 = 15.0;
/// Standard deviations in a mean deviation, of a normal distribution.
const STANDARD: f32 = 1.25;

/// The distance of one instance.
#[derive(Debug)]
pub struct Distance {
    /// In ns; 0 before the first sample.
    time: AtomicF32,
    deviation: AtomicF32,
    samples: AtomicF32,
}

impl Default for Distance {
    fn default() -> Self {
        Self {
            time: AtomicF32::new(0.0),
            deviation: AtomicF32::new(0.0),
            samples: AtomicF32::new(0.0),
        }
    }
}

impl Distance {
    /// Takes in that a connection took so long.
    pub fn observe(&self, took: Nanos) {
        let took = (took.0 as f32).max(1.0);
        let (time, deviation, samples) = (self.time.get(), self.deviation.get(), self.samples.get());
        if samples == 0.0 {
            self.time.set(took);
            self.deviation.set(took / 2.0);
        } else {
            let off = took.min(time + MOST * deviation.max(time / 16.0)) - time;
            self.deviation
                .set(deviation + DEVIATION * (off.abs() - deviation));
            let part = if off > 0.0 { LONGER } else { SHORTER };
            self.time.set(time + part * off);
        }
        self.samples.set((samples + 1.0).min(WORTH));
    }

    /// Connections so far, up to fifteen.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.samples.get() as u32
    }

    /// The time in ns, and by how much it may be wrong either way at two standard deviations; `None` when nobody connected.
    #[must_use]
    pub fn get(&self) -> Option<(f32, f32)> {
        let (time, samples) = (self.time.get(), self.samples.get());
        let error = 2.0 * STANDARD * self.deviation.get() / samples.max(1.0).sqrt();
        (time > 0.0).then_some((time, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn the_error_shrinks_and_holds_the_truth_and_losses_count_little() {
        let mut rng = Rng::new(3);
        let mut held = 0;
        for _ in 0..200 {
            let distance = Distance::default();
            assert_eq!(distance.get(), None);
            for sample in 0..40 {
                // 20 ms, evenly 20 % either way; every tenth packet is lost.
                let lost = if sample % 10 == 9 { 1_000.0 } else { 0.0 };
                let ms = 16.0 + 8.0 * rng.unit() + lost;
                distance.observe(Nanos((ms * 1e6) as u64));
            }
            let (time, error) = distance.get().unwrap();
            assert!((15e6..25e6).contains(&time), "{time}");
            assert!(error < 8e6, "{error}");
            held += u32::from((time - 20e6).abs() <= error);
        }
        assert!(held > 120, "{held}");
        let near = Distance::default();
        (0..40).for_each(|_| near.observe(Nanos::from_millis(20)));
        let (time, error) = near.get().unwrap();
        assert!((time - 20e6).abs() < 1e3 && error < 1e3, "{time} {error}");
    }
}
