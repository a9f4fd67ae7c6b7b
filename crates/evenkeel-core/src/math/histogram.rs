//! A lock-free latency histogram with bounded relative error.

use crate::sync::{AtomicBool, AtomicU16, Ordering};

use crate::Nanos;

/// Sub-buckets per power of two: 8, so a bucket is at most 12.5 % wide and its middle is within
/// 6.25 % of any value in it.
const SUB_BITS: u32 = 3;
const SUB: u64 = 1 << SUB_BITS;
/// Values are counted in units of 2^13 ns (8.2 µs), the resolution below which the network is noise.
const UNIT_BITS: u32 = 13;
/// Octaves above the linear range: the last bucket begins at about 137 s.
const OCTAVES: u32 = 21;
const BUCKETS: usize = ((OCTAVES + 1) << SUB_BITS) as usize;
/// Halving leaves at least as many records, once there were.
const KEPT: u64 = 8;
/// From this count on a bucket asks to be halved before its time.
const CROWDED: u16 = 1 << 15;
/// From this count on a bucket takes no more: far enough from the end that all threads together cannot pass it
/// between the two steps of a record.
const FULL: u16 = u16::MAX - 4096;

/// Counts of durations in log-linear buckets from 8 µs to 137 s; larger values land in the last.
/// 354 bytes. Recording is one relaxed increment.
///
/// Counters are small, because every instance has all of them: who has filled one to the half is halved by the next
/// look of the writer. Only more than 32,000 requests a second in one bucket of one instance fill it up, and then
/// its share is told too low.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU16; BUCKETS],
    crowded: AtomicBool,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU16::new(0)),
            crowded: AtomicBool::new(false),
        }
    }
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&self, value: Nanos) {
        let bucket = &self.buckets[bucket_of(value.0)];
        if bucket.fetch_add(1, Ordering::Relaxed) >= CROWDED {
            self.crowd(bucket);
        }
    }

    #[cold]
    fn crowd(&self, bucket: &AtomicU16) {
        self.crowded.store(true, Ordering::Relaxed);
        if bucket.load(Ordering::Relaxed) > FULL {
            bucket.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether it should be halved soon.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Recorded durations that are still remembered. O(buckets).
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|b| u64::from(b.load(Ordering::Relaxed)))
            .sum()
    }

    /// The `q`-quantile (`0.0..=1.0`), `None` when nothing was recorded. Within 6.25 % of the true
    /// value above 65 µs, within 8 µs below. O(buckets).
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Nanos> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += u64::from(bucket.load(Ordering::Relaxed));
            if seen >= rank {
                return Some(middle_of(index));
            }
        }
        None
    }

    /// Recorded durations of at most `limit`, to within a bucket. O(buckets).
    #[must_use]
    pub fn count_at_most(&self, limit: Nanos) -> u64 {
        let last = bucket_of(limit.0);
        self.buckets[..last]
            .iter()
            .map(|b| u64::from(b.load(Ordering::Relaxed)))
            .sum()
    }

    /// Forgets every second record, in the order of their durations, so that quantiles follow the present
    /// and hardly move by it. Fewer than 16 stay as they are: who is rarely asked is known by
    /// the last answers, however old. A record made meanwhile is kept: only what was read is subtracted.
    /// O(buckets).
    pub fn halve(&self) {
        if self.count() < 2 * KEPT {
            return;
        }
        self.crowded.store(false, Ordering::Relaxed);
        // Odd buckets keep the greater half in turns; otherwise all that are alone would be lost at once.
        let mut odd = 0;
        for bucket in &self.buckets {
            let count = bucket.load(Ordering::Relaxed);
            let forgotten = count / 2 + (count & 1 & !odd);
            odd ^= count & 1;
            if forgotten > 0 {
                bucket.fetch_sub(forgotten, Ordering::Relaxed);
            }
        }
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let v = nanos >> UNIT_BITS;
    if v < SUB {
        return v as usize;
    }
    let octave = 63 - v.leading_zeros() - SUB_BITS;
    let index = ((u64::from(octave) + 1) << SUB_BITS) + ((v >> octave) - SUB);
    (index as usize).min(BUCKETS - 1)
}

fn middle_of(index: usize) -> Nanos {
    let index = index as u64;
    if index < SUB {
        return Nanos((index << UNIT_BITS) + (1 << (UNIT_BITS - 1)));
    }
    let octave = (index >> SUB_BITS) - 1;
    let low = (SUB + (index & (SUB - 1))) << octave;
    let width = 1u64 << octave;
    Nanos((low << UNIT_BITS) + (width << (UNIT_BITS - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_bucket_is_within_the_stated_error() {
        let mut nanos = 65_536u64;
        while nanos < 100_000_000_000 {
            let middle = middle_of(bucket_of(nanos)).0 as f64;
            let error = (middle - nanos as f64).abs() / nanos as f64;
            assert!(error <= 0.0626, "{nanos}: {middle}");
            nanos += nanos / 7;
        }
    }

    #[test]
    fn quantiles_of_known_values() {
        let h = Histogram::default();
        assert_eq!(h.quantile(0.5), None);
        for ms in 1..=100 {
            h.record(Nanos::from_millis(ms));
        }
        let p50 = h.quantile(0.5).unwrap_or_default().as_secs_f64();
        let p99 = h.quantile(0.99).unwrap_or_default().as_secs_f64();
        assert!((0.046..0.054).contains(&p50), "{p50}");
        assert!((0.092..0.106).contains(&p99), "{p99}");
    }

    #[test]
    fn halving_keeps_half_of_all_and_of_each_part() {
        let h = Histogram::default();
        for ms in 1..=100 {
            h.record(Nanos::from_millis(ms));
        }
        for (left, low) in [(50, 25), (25, 12), (12, 6), (12, 6)] {
            h.halve();
            assert_eq!(h.count(), left);
            let found = h.count_at_most(Nanos::from_millis(51));
            assert!(found.abs_diff(low) <= 1, "{found} of {left}");
        }
    }

    #[test]
    fn halving_leaves_the_last_few() {
        for n in 0..100 {
            let h = Histogram::default();
            for ms in 0..n {
                h.record(Nanos::from_millis(ms * ms));
            }
            for _ in 0..10 {
                h.halve();
            }
            assert!(
                (n.min(KEPT)..2 * KEPT).contains(&h.count()),
                "{} of {n}",
                h.count()
            );
        }
    }

    #[test]
    fn a_crowded_bucket_asks_to_be_halved_and_never_begins_anew() {
        let h = Histogram::default();
        let fast = Nanos::from_millis(1);
        (0..CROWDED).for_each(|_| h.record(fast));
        assert!(!h.is_crowded());
        h.record(fast);
        assert!(h.is_crowded());
        (0..2 * u32::from(u16::MAX)).for_each(|_| h.record(fast));
        assert_eq!(h.count(), u64::from(FULL));
        h.halve();
        assert_eq!((h.count(), h.is_crowded()), (u64::from(FULL) / 2, false));
    }

    #[test]
    fn huge_values_are_kept_in_the_last_bucket() {
        let h = Histogram::default();
        h.record(Nanos::MAX);
        assert_eq!(h.count(), 1);
    }
}
