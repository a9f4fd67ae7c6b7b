//! Random draws, the same on every platform: what IEEE 754 does not fix is computed by `libm`, in software.

use evenkeel_config::{Span, WorkFile};
use evenkeel_core::Rng;

/// Nanoseconds of work for a server of speed 1.
pub(crate) fn work(work: &WorkFile, rng: &mut Rng) -> f64 {
    let nanos = |span: Span| span.0.0 as f64;
    match work {
        WorkFile::Fixed(time) => nanos(*time),
        WorkFile::Exponential(mean) => exponential(nanos(*mean), rng),
        WorkFile::Uniform(uniform) => {
            let (low, high) = (nanos(uniform.min), nanos(uniform.max));
            low + (high - low) * rng.unit()
        }
        WorkFile::Normal(normal) => (nanos(normal.mean) + nanos(normal.deviation) * gaussian(rng)).max(0.0),
        WorkFile::PositiveNormal(normal) => loop {
            let draw = nanos(normal.mean) + nanos(normal.deviation) * gaussian(rng);
            if draw >= 0.0 {
                break draw;
            }
        },
        WorkFile::Pareto(pareto) => {
            let (low, high) = (nanos(pareto.min), nanos(pareto.max));
            let shape = pareto.shape.0;
            let ratio = libm::pow(low / high, shape);
            let unit = rng.unit();
            low / libm::pow(1.0 - unit * (1.0 - ratio), 1.0 / shape)
        }
        WorkFile::Mixture(mixture) => {
            if rng.unit() < mixture.share.0 {
                nanos(mixture.rare)
            } else {
                exponential(nanos(mixture.usual), rng)
            }
        }
    }
}

/// With this mean.
pub(crate) fn exponential(mean: f64, rng: &mut Rng) -> f64 {
    -libm::log(1.0 - rng.unit()) * mean
}

/// Standard normal (Box and Muller, 1958).
fn gaussian(rng: &mut Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - rng.unit()));
    radius * libm::cos(std::f64::consts::TAU * rng.unit())
}

/// Draws keys of which key k is as likely as 1/k to a power, by rejection (Hörmann and Derflinger, 1996).
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    n: f64,
    power: f64,
    /// Integrals of the density at the bounds.
    low: f64,
    high: f64,
    /// Below this distance the draw is taken without a test.
    safe: f64,
}

impl Zipf {
    pub(crate) fn new(n: u64, power: f64) -> Self {
        let mut zipf = Self {
            n: n as f64,
            power,
            low: 0.0,
            high: 0.0,
            safe: 0.0,
        };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(zipf.n + 0.5);
        zipf.safe = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    /// From 1.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        loop {
            let u = self.high + rng.unit() * (self.low - self.high);
            let x = self.inverse(u);
            let k = libm::floor(x + 0.5).clamp(1.0, self.n);
            if k - x <= self.safe || u >= self.integral(k + 0.5) - self.weight(k) {
                return k as u64;
            }
        }
    }

    fn weight(&self, x: f64) -> f64 {
        libm::exp(-self.power * libm::log(x))
    }

    fn integral(&self, x: f64) -> f64 {
        let log = libm::log(x);
        growth((1.0 - self.power) * log) * log
    }

    fn inverse(&self, x: f64) -> f64 {
        let t = (x * (1.0 - self.power)).max(-1.0);
        libm::exp(shrink(t) * x)
    }
}

/// `(e^x − 1) / x`.
fn growth(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        libm::expm1(x) / x
    } else {
        1.0 + x / 2.0
    }
}

/// `ln(1 + x) / x`.
fn shrink(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        libm::log1p(x) / x
    } else {
        1.0 - x / 2.0
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_config::{Amount, MixtureFile, NormalFile, ParetoFile, Ratio, UniformFile};
    use evenkeel_core::Nanos;

    use super::*;

    #[test]
    fn means_are_those_of_the_draws() {
        let ms = |ms| Span(Nanos::from_millis(ms));
        let normal = NormalFile {
            mean: ms(10),
            deviation: ms(10),
        };
        let works = [
            WorkFile::Fixed(ms(3)),
            WorkFile::Exponential(ms(8)),
            WorkFile::Uniform(UniformFile {
                min: ms(2),
                max: ms(7),
            }),
            WorkFile::Normal(normal),
            WorkFile::PositiveNormal(normal),
            WorkFile::Pareto(ParetoFile {
                shape: Amount(1.5),
                min: ms(1),
                max: ms(100),
            }),
            WorkFile::Pareto(ParetoFile {
                shape: Amount(1000.0),
                min: ms(1),
                max: ms(10_000),
            }),
            WorkFile::Mixture(MixtureFile {
                usual: ms(10),
                rare: ms(500),
                share: Ratio(0.01),
            }),
        ];
        let mut rng = Rng::new(7);
        for kind in works {
            const N: usize = 200_000;
            let draws: Vec<f64> = (0..N).map(|_| work(&kind, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / N as f64;
            let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / N as f64;
            // Six standard errors: two in a billion.
            let bound = 6.0 * (variance / N as f64).sqrt() + 1.0;
            assert!(
                (mean - kind.mean()).abs() <= bound,
                "{kind:?}: {mean} and {}",
                kind.mean()
            );
        }
    }

    #[test]
    fn popular_keys_are_as_popular_as_they_should_be() {
        for power in [0.0, 0.9, 1.0, 1.1] {
            let zipf = Zipf::new(1000, power);
            let mut rng = Rng::new(3);
            let mut counts = vec![0u32; 1001];
            const N: u32 = 300_000;
            (0..N).for_each(|_| counts[zipf.draw(&mut rng) as usize] += 1);
            let sum: f64 = (1..=1000).map(|k| f64::from(k).powf(-power)).sum();
            for k in [1, 2, 10, 1000] {
                let expected = f64::from(N) * (k as f64).powf(-power) / sum;
                let off = (f64::from(counts[k]) - expected).abs();
                assert!(
                    off <= 6.0 * expected.sqrt() + 1.0,
                    "{power}, key {k}: {} and {expected}",
                    counts[k]
                );
            }
        }
    }

    #[test]
    fn draws_are_the_same_everywhere() {
        let mut rng = Rng::new(1);
        let exponential: Vec<u64> = (0..3).map(|_| exponential(1e6, &mut rng) as u64).collect();
        let normal: Vec<i64> = (0..3).map(|_| (gaussian(&mut rng) * 1e6) as i64).collect();
        assert_eq!(
            (exponential, normal),
            (
                vec![836_005, 1_369_562, 3_540_554],
                vec![-1_018_298, 1_217_260, -269_245]
            )
        );
    }
}
