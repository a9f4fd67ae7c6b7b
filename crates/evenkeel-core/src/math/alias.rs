//! Weighted draws in constant time.

/// An alias table (Walker 1977, built as Vose 1991): `n` columns of equal width, each divided between
/// at most two labels, so that one draw finds column and side.
///
/// The build is exact in integers. A draw resolves sides to `2^-32`, hence a label's chance is off by
/// less than `2^-32` in all. 12 bytes a label; building is O(n).
#[derive(Debug, Clone)]
pub struct Alias {
    columns: Box<[Column]>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// Below this the column's own label is drawn, otherwise `other`.
    threshold: u32,
    own: u32,
    other: u32,
}

impl Alias {
    /// A table over `(label, weight)`. When all weights are 0 the draw is even.
    #[must_use]
    pub fn new(labels: impl Iterator<Item = (u32, u32)>) -> Self {
        // A column is `total` wide; a label owns `weight × n` of the `total × n`.
        let mut columns = Vec::with_capacity(labels.size_hint().0);
        let mut rest = Vec::with_capacity(columns.capacity());
        for (label, weight) in labels {
            columns.push(Column {
                threshold: u32::MAX,
                own: label,
                other: label,
            });
            rest.push(u64::from(weight));
        }
        let total: u64 = rest.iter().sum();
        let n = rest.len() as u64;
        if total > 0 {
            let mut small = Vec::with_capacity(rest.len());
            let mut large = Vec::with_capacity(rest.len());
            for (index, weight) in rest.iter_mut().enumerate() {
                *weight *= n;
                if *weight < total { &mut small } else { &mut large }.push(index);
            }
            // Sums are exact, so a small one left over would need a large one left over too.
            while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
                small.pop();
                columns[poor].threshold = ((u128::from(rest[poor]) << 32) / u128::from(total)) as u32;
                columns[poor].other = columns[rich].own;
                rest[rich] -= total - rest[poor];
                if rest[rich] < total {
                    large.pop();
                    small.push(rich);
                }
            }
        }
        Self {
            columns: columns.into(),
        }
    }

    /// For each column the place below which its own label is drawn, and the other one; in the order of the labels.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.columns.iter().map(|column| (column.threshold, column.other))
    }

    /// The label that 64 uniform bits select; `None` when there are no labels.
    #[inline]
    #[must_use]
    pub fn draw(&self, bits: u64) -> Option<u32> {
        // The product's high word is the column, its low word the uniform place within it.
        let product = u128::from(bits) * self.columns.len() as u128;
        self.at((product >> 64) as usize, (product as u64 >> 32) as u32)
    }

    /// The label at a place of a column; `None` when there is no such column. A draw is one at random of both.
    #[inline]
    pub(crate) fn at(&self, column: usize, place: u32) -> Option<u32> {
        let column = self.columns.get(column)?;
        Some(if place < column.threshold {
            column.own
        } else {
            column.other
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact share of every label, from the columns.
    fn shares(weights: &[u32]) -> Vec<f64> {
        let table = Alias::new(weights.iter().enumerate().map(|(i, w)| (i as u32, *w)));
        let mut shares = vec![0.0; weights.len()];
        for column in &table.columns {
            let own = f64::from(column.threshold) / 4_294_967_296.0;
            shares[column.own as usize] += own / weights.len() as f64;
            shares[column.other as usize] += (1.0 - own) / weights.len() as f64;
        }
        shares
    }

    #[test]
    fn shares_equal_weights_to_within_the_stated_error() {
        let mut rng = crate::Rng::new(7);
        for n in [1, 2, 3, 10, 1000] {
            let weights: Vec<u32> = (0..n).map(|_| 1 + rng.below(65_535)).collect();
            let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
            for (share, weight) in shares(&weights).iter().zip(&weights) {
                assert!((share - f64::from(*weight) / total).abs() < 2f64.powi(-32));
            }
        }
        assert_eq!(shares(&[5, 0, 5]), [0.5, 0.0, 0.5]);
        assert_eq!(shares(&[0, 0]), [0.5, 0.5]);
    }

    #[test]
    fn every_draw_hits_a_label() {
        let table = Alias::new([(7, 1), (9, 65_535)].into_iter());
        assert_eq!(table.draw(0), Some(7));
        assert_eq!(table.draw(u64::MAX), Some(9));
        assert_eq!(Alias::new(std::iter::empty()).draw(3), None);
    }
}
