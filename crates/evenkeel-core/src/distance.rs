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
/// Samples that are counted.
const COUNTED: f32 = 15.0;
/// Mean deviations that the estimate may be off. It does not settle, however many samples there are, as each moves it; and
/// it is below the middle of what is observed, as shorter ones move it more. Both together are within this in 19 cases of
/// 20 whatever the shape of the noise (evenly, normally, one-sided or with losses; the tests), but for times that spread
/// by half and more, of which it takes about five.
const WRONG: f32 = 2.0;

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
        self.samples.set((samples + 1.0).min(COUNTED));
    }

    /// Connections so far, up to fifteen.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.samples.get() as u32
    }

    /// The time in ns, and by how much what connections usually take may be off it either way (95 %); `None` when nobody
    /// connected.
    #[must_use]
    pub fn get(&self) -> Option<(f32, f32)> {
        let time = self.time.get();
        (time > 0.0).then(|| (time, WRONG * self.deviation.get()))
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
            assert!(error < 40e6, "{error}");
            held += u32::from((time - 20e6).abs() <= error);
        }
        assert!(held > 185, "{held}");
        let near = Distance::default();
        (0..40).for_each(|_| near.observe(Nanos::from_millis(20)));
        let (time, error) = near.get().unwrap();
        assert!((time - 20e6).abs() < 1e3 && error < 1e3, "{time} {error}");
    }

    /// Of a thousand estimates each, the error bar holds the median of what is observed in 940 at least: 950, less what chance
    /// takes at two standard deviations.
    #[test]
    fn the_error_bar_covers_what_it_says_whatever_the_noise() {
        type Noise = fn(&mut Rng) -> f64;
        fn normal(rng: &mut Rng) -> f64 {
            (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
        }
        fn exponential(rng: &mut Rng) -> f64 {
            -(1.0 - rng.unit()).ln()
        }
        let noises: [(&str, f64, Noise); 7] = [
            ("even", 20.0, |rng| 16.0 + 8.0 * rng.unit()),
            ("normal, 5 %", 20.0, |rng| 20.0 + normal(rng)),
            ("one-sided, a tenth", 20.0 + 2.0 * std::f64::consts::LN_2, |rng| {
                20.0 + 2.0 * exponential(rng)
            }),
            ("one-sided, half", 20.0 + 10.0 * std::f64::consts::LN_2, |rng| {
                20.0 + 10.0 * exponential(rng)
            }),
            ("lognormal, 0.3", 20.0, |rng| 20.0 * (0.3 * normal(rng)).exp()),
            ("of two ways", 21.0, |rng| 20.0 + 2.0 * f64::from(rng.below(2))),
            ("losses", 20.0, |rng| {
                let lost = if rng.below(10) == 0 { 1000.0 } else { 0.0 };
                18.0 + 4.0 * rng.unit() + lost
            }),
        ];
        let mut rng = Rng::new(9);
        for (name, truth, noise) in noises {
            for samples in [1, 3, 8, 15, 60] {
                let held = (0..1000).filter(|_| {
                    let distance = Distance::default();
                    for _ in 0..samples {
                        distance.observe(Nanos((noise(&mut rng).max(1.0) * 1e6) as u64));
                    }
                    let (time, error) = distance.get().unwrap();
                    (f64::from(time) / 1e6 - truth).abs() <= f64::from(error) / 1e6
                });
                let held = held.count();
                assert!(held >= 940, "{name}, {samples}: {held}");
            }
        }
    }
}
