//! The score of an instance's health and the parts it is made of.
//!
//! The score is the **worst** part. A sum of weighted parts would let a good one buy off a bad one (an instance
//! that answers its health path at once and fails every request would be half healthy), its weights would be
//! nobody's measurement, and its value could not be explained. The worst part is one sentence: "requests 0.44".

use std::fmt;

/// What a part speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthPart {
    /// Active checks.
    Checks,
    /// How its requests ended.
    Requests,
    /// How long its responses take, beside its peers and its own past.
    Latency,
    /// How busy it says it is.
    Load,
    /// How healthy somebody says it is.
    Reported,
}

impl HealthPart {
    /// All parts.
    pub const ALL: [Self; 5] = [
        Self::Checks,
        Self::Requests,
        Self::Latency,
        Self::Load,
        Self::Reported,
    ];

    /// A word for tables, the API and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Requests => "requests",
            Self::Latency => "latency",
            Self::Load => "load",
            Self::Reported => "reported",
        }
    }
}

/// Bits of one part when packed.
const BITS: u32 = 12;
/// A part of 1 when packed.
const ONE: u64 = (1 << BITS) - 1;

/// The parts of a score, each `0.0..=1.0`, in steps of 1/4095. What nothing is known of is 1.
///
/// All parts fit into one word, so that readers never see some of now and some of before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HealthParts(u64);

impl fmt::Debug for HealthParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HealthParts({self})")
    }
}

impl Default for HealthParts {
    fn default() -> Self {
        Self((1 << (BITS * HealthPart::ALL.len() as u32)) - 1)
    }
}

impl HealthParts {
    /// The same with `value`, clamped to `0.0..=1.0`, for `part`; NaN changes nothing.
    #[must_use]
    pub fn with(self, part: HealthPart, value: f32) -> Self {
        if value.is_nan() {
            return self;
        }
        let shift = BITS * part as u32;
        let units = (value.clamp(0.0, 1.0) * ONE as f32).round() as u64;
        Self(self.0 & !(ONE << shift) | units << shift)
    }

    /// The value of `part`.
    #[must_use]
    pub fn get(self, part: HealthPart) -> f32 {
        (self.0 >> (BITS * part as u32) & ONE) as f32 / ONE as f32
    }

    /// `value` as parts have it, so that one at a threshold is not below it.
    pub(crate) fn rounded(value: f32) -> f32 {
        let part = HealthPart::Checks;
        Self::default().with(part, value).get(part)
    }

    /// The worst part and its value, which is the score; of equals the first.
    #[must_use]
    pub fn worst(self) -> (HealthPart, f32) {
        let mut worst = (HealthPart::Checks, self.get(HealthPart::Checks));
        for part in HealthPart::ALL {
            if self.get(part) < worst.1 {
                worst = (part, self.get(part));
            }
        }
        worst
    }

    /// The score.
    #[must_use]
    pub fn score(self) -> f32 {
        self.worst().1
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Display for HealthParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in HealthPart::ALL.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {:.2}", part.as_str(), self.get(part))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart_and_the_worst_is_the_score() {
        let mut parts = HealthParts::default();
        assert_eq!(parts.worst(), (HealthPart::Checks, 1.0));
        for (index, part) in HealthPart::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, index);
            parts = parts.with(part, 0.9 - 0.1 * index as f32);
        }
        for (index, part) in HealthPart::ALL.into_iter().enumerate() {
            let expected = 0.9 - 0.1 * index as f32;
            assert!((parts.get(part) - expected).abs() <= 0.5 / 4095.0 + 1e-6);
        }
        assert_eq!(parts.worst().0, HealthPart::Reported);
        let parts = parts.with(HealthPart::Latency, 0.25);
        assert_eq!(parts.worst().0, HealthPart::Latency);
        assert!((parts.score() - 0.25).abs() < 2e-4);
        assert_eq!(
            parts.to_string(),
            "checks 0.90, requests 0.80, latency 0.25, load 0.60, reported 0.50"
        );
        assert_eq!(
            format!("{parts:?}"),
            "HealthParts(checks 0.90, requests 0.80, latency 0.25, load 0.60, reported 0.50)"
        );
        assert_eq!(HealthParts::from_bits(parts.bits()), parts);
    }

    #[test]
    fn what_is_held_at_a_threshold_is_not_below_it() {
        for threshold in (0..=1000).map(|n| n as f32 / 1000.0) {
            for part in HealthPart::ALL {
                let held = HealthParts::default().with(part, threshold);
                assert!(held.score() >= HealthParts::rounded(threshold), "{threshold}");
            }
        }
    }

    #[test]
    fn odd_values_are_clamped() {
        let part = HealthPart::Load;
        let of = |value| HealthParts::default().with(part, value).get(part);
        assert_eq!([of(-1.0), of(f32::NEG_INFINITY), of(0.0)], [0.0; 3]);
        assert_eq!([of(2.0), of(f32::INFINITY), of(f32::NAN), of(1.0)], [1.0; 4]);
    }
}
