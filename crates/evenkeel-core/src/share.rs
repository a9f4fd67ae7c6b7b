//! How much of its weight an instance gets at present.

/// A part of an instance's weight, in 256ths, never none: whoever is a candidate gets something.
///
/// The writer sets shares with the candidates: an instance that starts slowly, that comes back, or whose
/// priority only takes what the one before cannot, has less than the full one. The steps are coarse on
/// purpose, so that a share that creeps does not build a view for every tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// All of its weight.
    pub const FULL: Self = Self(Self::UNITS as u16);
    /// The least.
    pub const LEAST: Self = Self(1);
    /// Units of a full share.
    pub const UNITS: u32 = 256;

    /// The nearest to `part`, which is clamped to `0.0..=1.0`; NaN counts as full, because what is not
    /// known speaks against nobody.
    #[must_use]
    pub fn of(part: f64) -> Self {
        if part.is_nan() {
            return Self::FULL;
        }
        let units = (part * f64::from(Self::UNITS)).round();
        Self(units.clamp(1.0, f64::from(Self::UNITS)) as u16)
    }

    /// In units, `1..=256`.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0 as u32
    }

    /// As a part, above 0 and at most 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.units()) / f64::from(Self::UNITS)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_and_never_nothing() {
        for (part, units) in [
            (1.0, 256),
            (0.5, 128),
            (0.1, 26),
            (0.0, 1),
            (-1.0, 1),
            (f64::NEG_INFINITY, 1),
            (7.0, 256),
            (f64::INFINITY, 256),
            (f64::NAN, 256),
        ] {
            assert_eq!(Share::of(part).units(), units, "{part}");
        }
        assert_eq!(Share::of(0.25).as_f64(), 0.25);
    }
}
