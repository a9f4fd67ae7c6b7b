//! Numbers that settings are made of.

/// A finite number from 0 to [`Self::MAX`]. Never NaN, hence `Eq`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Factor(f64);

impl Eq for Factor {}

impl Factor {
    /// 0.
    pub const ZERO: Self = Self(0.0);
    /// The greatest: sums and products of a few stay finite.
    pub const MAX: f64 = 1e6;

    /// The nearest to `value` in the range; NaN counts as 0.
    #[must_use]
    pub const fn clamped(value: f64) -> Self {
        // Comparisons that NaN fails.
        Self(if value >= Self::MAX {
            Self::MAX
        } else if value > 0.0 {
            value
        } else {
            0.0
        })
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_in_is_a_finite_number_from_0() {
        for (value, kept) in [
            (0.25, 0.25),
            (-1.0, 0.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 1e6),
            (f64::NEG_INFINITY, 0.0),
        ] {
            assert_eq!(Factor::clamped(value).get(), kept, "{value}");
        }
    }
}
