//! Draws of distinct candidates by weight, for strategies that compare a few.

use crate::Rng;
use crate::math::Alias;

/// Draws indexes of candidates.
pub(crate) trait Draw: std::fmt::Debug + Send + Sync + 'static {
    /// Two distinct ones; `None` when there are fewer than two.
    fn pair(&self, rng: &mut Rng) -> Option<[usize; 2]>;

    /// One; `None` when there are none.
    fn one(&self, rng: &mut Rng) -> Option<usize>;
}

/// All are as likely.
#[derive(Debug)]
pub(crate) struct Evenly(u64);

impl Evenly {
    pub(crate) fn new(n: usize) -> Self {
        Self(n as u64)
    }
}

impl Draw for Evenly {
    #[inline]
    fn pair(&self, rng: &mut Rng) -> Option<[usize; 2]> {
        if self.0 < 2 {
            return None;
        }
        // One draw serves both: 32 bits choose among n, 32 among the other n − 1.
        let bits = rng.next_u64();
        let first = ((bits >> 32) * self.0) >> 32;
        let mut second = ((bits & 0xFFFF_FFFF) * (self.0 - 1)) >> 32;
        second += u64::from(second >= first);
        Some([first as usize, second as usize])
    }

    #[inline]
    fn one(&self, rng: &mut Rng) -> Option<usize> {
        (self.0 > 0).then(|| rng.below(self.0 as u32) as usize)
    }
}

/// As likely as their weights. The second of a pair repeats the first's distribution among the others: a
/// repetition is rejected a few times and then excluded by inversion, so that one huge weight costs a binary search
/// instead of a loop.
#[derive(Debug)]
pub(crate) struct ByWeight {
    /// Sums of the weights up to and including each.
    ends: Box<[u64]>,
    table: Alias,
}

/// Draws of the second choice before it is found by inversion. A repeated draw is likely only when
/// one instance holds most of the weight.
const REDRAWS: usize = 2;

impl ByWeight {
    /// Weights are at least 1.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let mut end = 0;
        let ends = weights.iter().map(|weight| {
            end += u64::from(*weight);
            end
        });
        Self {
            ends: ends.collect(),
            table: Alias::new((0..).zip(weights.iter().copied())),
        }
    }

    #[inline]
    fn other_than(&self, first: usize, rng: &mut Rng) -> usize {
        for _ in 0..REDRAWS {
            let again = self.table.draw(rng.next_u64()).unwrap_or(0) as usize;
            if again != first {
                return again;
            }
        }
        self.invert_without(first, rng)
    }

    /// A draw by weight among all but `first`, by binary search in the sums of weights. O(log n).
    #[cold]
    fn invert_without(&self, first: usize, rng: &mut Rng) -> usize {
        let end = self.ends[first];
        let before = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        let total = self.ends.last().copied().unwrap_or(0);
        let mut place = rng.below_u64(total - (end - before));
        if place >= before {
            place += end - before;
        }
        self.ends.partition_point(|end| *end <= place)
    }
}

impl Draw for ByWeight {
    #[inline]
    fn pair(&self, rng: &mut Rng) -> Option<[usize; 2]> {
        if self.ends.len() < 2 {
            return None;
        }
        let first = self.one(rng)?;
        Some([first, self.other_than(first, rng)])
    }

    #[inline]
    fn one(&self, rng: &mut Rng) -> Option<usize> {
        self.table.draw(rng.next_u64()).map(|index| index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each is first, and how often second.
    fn counts(draw: &dyn Draw, n: usize, picks: u32) -> [Vec<f64>; 2] {
        let mut rng = Rng::new(1);
        let mut counts = [vec![0.0; n], vec![0.0; n]];
        for _ in 0..picks {
            let [first, second] = draw.pair(&mut rng).unwrap();
            assert_ne!(first, second);
            counts[0][first] += 1.0 / f64::from(picks);
            counts[1][second] += 1.0 / f64::from(picks);
        }
        counts
    }

    #[test]
    fn pairs_are_distinct_and_by_weight() {
        for weights in [vec![1, 1], vec![2; 7], vec![1, 2, 3], vec![65_535, 1, 2, 3]] {
            let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
            let share = |i: usize| f64::from(weights[i]) / total;
            let mut draws: Vec<Box<dyn Draw>> = vec![Box::new(ByWeight::new(&weights))];
            if weights.iter().all(|weight| *weight == weights[0]) {
                draws.push(Box::new(Evenly::new(weights.len())));
            }
            for draw in draws {
                let n = weights.len();
                let [first, second] = counts(&*draw, n, 200_000);
                for i in 0..n {
                    // The second, given each other first, by weight among the rest.
                    let expected: f64 = (0..n)
                        .filter(|j| *j != i)
                        .map(|j| share(j) * share(i) / (1.0 - share(j)))
                        .sum();
                    // Six deviations of 200,000 draws of a half are 0.0067.
                    assert!((first[i] - share(i)).abs() < 0.007, "{weights:?}: {first:?}");
                    assert!((second[i] - expected).abs() < 0.007, "{weights:?}: {second:?}");
                }
            }
        }
    }

    #[test]
    fn there_is_no_pair_of_one() {
        let mut rng = Rng::new(1);
        assert_eq!(Evenly::new(1).pair(&mut rng), None);
        assert_eq!(Evenly::new(0).one(&mut rng), None);
        assert_eq!(ByWeight::new(&[7]).pair(&mut rng), None);
        assert_eq!(ByWeight::new(&[7]).one(&mut rng), Some(0));
        assert_eq!(ByWeight::new(&[]).one(&mut rng), None);
    }
}
