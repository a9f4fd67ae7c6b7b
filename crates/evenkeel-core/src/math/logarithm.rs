//! A logarithm that is the same on every platform: that of the standard library may differ in its last bits.

use std::f64::consts::{LN_2, SQRT_2};

/// −ln(u), to a relative error below 10^-8, by operations that IEEE 754 fixes to the last bit. `u` is [`f64::MIN_POSITIVE`] at
/// least.
#[inline]
pub(crate) fn minus_ln(u: f64) -> f64 {
    // u = m × 2^e with m in [√½, √2).
    let bits = u.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m − 1) / (m + 1)), |s| < 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    -(f64::from(exponent) * LN_2 + 2.0 * s * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_close_to_the_logarithm() {
        let mut rng = crate::Rng::new(1);
        for _ in 0..100_000 {
            let u = (rng.unit() + f64::EPSILON) / (1u64 << rng.below(63)) as f64;
            let exact = -u.min(1.0).ln();
            assert!((minus_ln(u.min(1.0)) - exact).abs() <= exact * 1e-8, "{u}");
            assert!(
                (minus_ln(1.0 / u.min(1.0)) + exact).abs() <= exact * 1e-8,
                "1/{u}"
            );
        }
        assert_eq!(minus_ln(1.0), 0.0);
        assert!((minus_ln(f64::MIN_POSITIVE) - 708.396_418_5).abs() < 1e-6);
    }
}
