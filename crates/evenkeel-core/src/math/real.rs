//! Real numbers in atomics, for estimates that workers share.
//!
//! All orderings are relaxed: every number stands alone and guards no other memory. There is no addition: estimates are
//! updated by load and store, and a number that must not lose one is a counter.

use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// An `f32`.
#[derive(Debug)]
pub struct AtomicF32(AtomicU32);

impl AtomicF32 {
    /// Holds `value`.
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self(AtomicU32::new(value.to_bits()))
    }

    /// The number.
    #[inline]
    #[must_use]
    pub fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Relaxed))
    }

    /// Puts `value` in its place.
    #[inline]
    pub fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// An `f64`.
#[derive(Debug)]
pub struct AtomicF64(AtomicU64);

impl AtomicF64 {
    /// Holds `value`.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    /// The number.
    #[inline]
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    /// Puts `value` in its place.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// `value` as a real number: below 2^63 exactly as `as` does it, in one instruction; above, 2^63. That is three
/// centuries in nanoseconds.
#[inline]
#[must_use]
pub fn real(value: u64) -> f64 {
    value.min(i64::MAX as u64) as i64 as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        let (short, long) = (AtomicF32::new(0.1), AtomicF64::new(0.1));
        assert_eq!((short.get(), long.get()), (0.1, 0.1));
        short.set(f32::INFINITY);
        long.set(-0.0);
        assert_eq!(
            (short.get(), long.get().to_bits()),
            (f32::INFINITY, (-0.0f64).to_bits())
        );
    }

    #[test]
    fn whole_numbers_become_real_ones() {
        for value in [0, 1, 12_345, (1 << 53) + 1, i64::MAX as u64] {
            assert_eq!(real(value), value as f64);
        }
        assert_eq!(real(u64::MAX), 2f64.powi(63));
    }
}
