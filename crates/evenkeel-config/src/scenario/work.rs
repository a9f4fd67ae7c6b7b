//! What a request costs, and what it costs on average.

use evenkeel_core::Nanos;
use serde::Deserialize;

use super::{Amount, Span};
use crate::text::Ratio;

/// Seconds of work for a server of speed 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkFile {
    /// Always this.
    Fixed(Span),
    /// Exponential with this mean.
    Exponential(Span),
    /// Evenly between two bounds.
    Uniform(UniformFile),
    /// Normal, never less than nothing: draws below are taken as nothing.
    Normal(NormalFile),
    /// Normal, drawn again when it is below nothing.
    PositiveNormal(NormalFile),
    /// Bounded Pareto.
    Pareto(ParetoFile),
    /// One of two.
    Mixture(MixtureFile),
}

/// An even distribution.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniformFile {
    /// The least.
    pub min: Span,
    /// The most.
    pub max: Span,
}

/// A normal distribution.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalFile {
    /// Its mean.
    pub mean: Span,
    /// Its standard deviation.
    pub deviation: Span,
}

/// A Pareto distribution between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParetoFile {
    /// Its shape; lower is heavier.
    pub shape: Amount,
    /// The least.
    pub min: Span,
    /// The most.
    pub max: Span,
}

/// Mostly short requests and some long ones.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureFile {
    /// Mean of most, exponential.
    pub usual: Span,
    /// Of the others, always this.
    pub rare: Span,
    /// Part of the others.
    pub share: Ratio,
}

impl WorkFile {
    /// What a request costs unless the file says: the exponential 8 ms of `cargo xtask bench fleet`.
    pub const USUAL: Self = Self::Exponential(Span(Nanos::from_millis(8)));

    /// The mean in nanoseconds, the same on every platform.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let nanos = |span: Span| span.0.0 as f64;
        match self {
            Self::Fixed(mean) | Self::Exponential(mean) => nanos(*mean),
            Self::Uniform(uniform) => (nanos(uniform.min) + nanos(uniform.max)) / 2.0,
            Self::Normal(normal) => {
                // E max(0, X) of a normal X: μ Φ(μ/σ) + σ φ(μ/σ).
                let (mean, deviation) = (nanos(normal.mean), nanos(normal.deviation));
                if deviation == 0.0 {
                    return mean;
                }
                let z = mean / deviation;
                mean * cumulative(z) + deviation * density(z)
            }
            Self::PositiveNormal(normal) => {
                // E (X | X >= 0): μ + σ φ(μ/σ) / Φ(μ/σ).
                let (mean, deviation) = (nanos(normal.mean), nanos(normal.deviation));
                if deviation == 0.0 {
                    return mean;
                }
                let z = mean / deviation;
                mean + deviation * density(z) / cumulative(z)
            }
            Self::Pareto(pareto) => {
                // min · a/(a − 1) · (1 − r^(a−1)) / (1 − r^a) with r = min/max: powers of a ratio, as those of a time in
                // nanoseconds overflow; and by `expm1`, as differences near a = 0 and a = 1 are of nearly equal numbers.
                let (low, high, a) = (nanos(pareto.min), nanos(pareto.max), pareto.shape.0);
                let log = libm::log(low / high);
                low * a * log * growth((a - 1.0) * log) / libm::expm1(a * log)
            }
            Self::Mixture(mixture) => {
                let rare = mixture.share.0;
                nanos(mixture.usual) * (1.0 - rare) + nanos(mixture.rare) * rare
            }
        }
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

fn density(z: f64) -> f64 {
    libm::exp(-z * z / 2.0) / libm::sqrt(std::f64::consts::TAU)
}

fn cumulative(z: f64) -> f64 {
    0.5 * (1.0 + libm::erf(z / std::f64::consts::SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_pareto_is_between_its_bounds_whatever_the_shape() {
        let ms = |ms| Span(Nanos::from_millis(ms));
        let mean = |shape| {
            let (min, max) = (ms(1), ms(10_000));
            WorkFile::Pareto(ParetoFile {
                shape: Amount(shape),
                min,
                max,
            })
            .mean()
                / 1e6
        };
        for (shape, expected) in [
            // (max − min) / ln (max / min).
            (1e-12, 9999.0 / 10_000_f64.ln()),
            (0.5, 100.0),
            // ln (max / min) / (1 / min − 1 / max).
            (1.0, 10_000_f64.ln() / 0.9999),
            (2.0, 2.0 / 1.0001),
            (52.0, 52.0 / 51.0),
            (1000.0, 1000.0 / 999.0),
            (1e7, 1.000_000_1),
        ] {
            let found = mean(shape);
            assert!(
                (found / expected - 1.0).abs() < 1e-9,
                "{shape}: {found} and {expected}"
            );
        }
    }
}
