//! Exponential decay that is the same on every platform.

use std::f64::consts::LN_2;

/// About `2^-x` for `x ≥ 0`: exact at integers, a parabola between them (at most 1 % below) whose slope at
/// 0 is right, so that many short decays make one long one. 0 from 1022 on. The standard library's `exp2` may differ
/// in its last bit from platform to platform; this uses only operations that IEEE 754 fixes, and is cheaper.
#[inline]
#[must_use]
pub fn exp2_neg(x: f64) -> f64 {
    if x < 1.0 {
        // Most of those who ask do so after a moment.
        return parabola(x.max(0.0));
    }
    let whole = x as u64;
    if whole >= 1022 {
        return 0.0;
    }
    // The exponent field holds 1023 for 2^0.
    let power = f64::from_bits((1023 - whole) << 52);
    power * parabola((x - whole as f64).max(0.0))
}

/// From 1 at 0 to 0.5 at 1.
#[inline]
fn parabola(x: f64) -> f64 {
    1.0 - x * (LN_2 - (LN_2 - 0.5) * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_close_to_the_power_and_never_rises() {
        let mut last = f64::INFINITY;
        for step in 0..20_000 {
            let x = f64::from(step) / 100.0;
            let value = exp2_neg(x);
            assert!(value <= last);
            let error = value / (-x).exp2() - 1.0;
            assert!((-0.0101..1e-12).contains(&error), "{x}: {error}");
            last = value;
        }
        let in_steps = (0..10_000).fold(1.0, |value, _| value * exp2_neg(0.001));
        assert!((in_steps / exp2_neg(10.0) - 1.0).abs() < 0.01, "{in_steps}");
        assert_eq!([exp2_neg(0.0), exp2_neg(-1.0), exp2_neg(3.0)], [1.0, 1.0, 0.125]);
        assert_eq!(
            [exp2_neg(1022.0), exp2_neg(1e300), exp2_neg(f64::INFINITY)],
            [0.0; 3]
        );
        assert_eq!(exp2_neg(f64::NAN), 1.0);
    }
}
