//! Division by a number that is known before the hot path runs.

/// Divides any `u64` by a fixed number below `2^63` with two multiplications instead of a division, exactly.
///
/// With `m = ⌊(2^64 − 1) / n⌋` the estimate `q = ⌊a·m / 2^64⌋` is the true quotient or one less: `m`
/// is short of `2^64 / n` by at most 1, so `a·m / 2^64` is short of `a / n` by less than 1. One
/// comparison repairs it (Barrett, 1986).
#[derive(Debug, Clone, Copy)]
pub struct Divisor {
    n: u64,
    reciprocal: u64,
}

impl Divisor {
    /// A divisor `n`; 0 is taken as 1.
    #[must_use]
    pub const fn new(n: u64) -> Self {
        debug_assert!(n < 1 << 63);
        let n = if n == 0 { 1 } else { n };
        Self {
            n,
            reciprocal: u64::MAX / n,
        }
    }

    /// Quotient and remainder of `a`.
    #[inline]
    #[must_use]
    pub const fn div_rem(self, a: u64) -> (u64, u64) {
        let quotient = ((a as u128 * self.reciprocal as u128) >> 64) as u64;
        let remainder = a - quotient * self.n;
        if remainder >= self.n {
            (quotient + 1, remainder - self.n)
        } else {
            (quotient, remainder)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_division_instruction() {
        let mut rng = crate::Rng::new(1);
        let edges = [1, 2, 3, 7, 64, 65_535, 65_536, u32::MAX.into(), (1 << 63) - 1];
        for round in 0..20_000 {
            let n = edges
                .get(round)
                .copied()
                .unwrap_or_else(|| (rng.next_u64() >> (1 + rng.below(62))).max(1));
            let near = n.wrapping_mul(u64::from(rng.next_u64() as u32));
            for a in [0, 1, near, near.saturating_sub(1), rng.next_u64(), u64::MAX] {
                assert_eq!(Divisor::new(n).div_rem(a), (a / n, a % n), "{a} / {n}");
            }
        }
        assert_eq!(Divisor::new(0).div_rem(5), (5, 0));
    }
}
