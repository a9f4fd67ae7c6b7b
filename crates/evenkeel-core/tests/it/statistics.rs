//! Bounds that random counts keep, computed from what they should be.

/// A correct strategy exceeds a bound of this module with a probability of less than 10^-9 a
/// comparison (one-sided: the normal quantile of 1 − 10^-9 is 5.998). Seeds are fixed besides, so a test that passes
/// once passes always.
const Z: f64 = 6.0;

/// Panics when `counts` are not draws in proportion to `weights` (Pearson's chi-square). Every expected count
/// must be at least 5 for the statistic to have its distribution.
pub(crate) fn assert_by_weight(counts: &[u32], weights: &[u32], what: &str) {
    let picks: f64 = counts.iter().map(|c| f64::from(*c)).sum();
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    let mut statistic = 0.0;
    for (count, weight) in counts.iter().zip(weights) {
        let expected = picks * f64::from(*weight) / total;
        assert!(expected >= 5.0, "{what}: too few picks to judge");
        statistic += (f64::from(*count) - expected).powi(2) / expected;
    }
    let bound = chi_square_bound(weights.len() as f64 - 1.0);
    assert!(
        statistic <= bound,
        "{what}: chi-square {statistic} > {bound}; {counts:?} by {weights:?}"
    );
}

/// Panics when `counts` are not draws from a ring on which `points` points per unit of weight stand. A share `p` of
/// `k` of `K` points has a variance of `p (1 − p) / (K + 1)` (a beta distribution), to which the draws add
/// theirs.
pub(crate) fn assert_by_ring(counts: &[u32], weights: &[u32], points: u32, what: &str) {
    let picks: f64 = counts.iter().map(|c| f64::from(*c)).sum();
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    // The cap on points, halved at worst.
    let points = (total * f64::from(points)).min(f64::from(1 << 17));
    for (count, weight) in counts.iter().zip(weights) {
        let share = f64::from(*weight) / total;
        let deviation = (share * (1.0 - share) * (1.0 / points + 1.0 / picks)).sqrt();
        let seen = f64::from(*count) / picks;
        assert!(
            (seen - share).abs() <= Z * deviation,
            "{what}: a share of {seen} instead of {share}; {counts:?} by {weights:?}"
        );
    }
}

/// The quantile of chi-square with `freedom` degrees at `Z` (Wilson and Hilferty, 1931), up to a
/// quarter too high for few degrees, which errs toward fewer false alarms.
fn chi_square_bound(freedom: f64) -> f64 {
    let k = 2.0 / (9.0 * freedom);
    freedom * (1.0 - k + Z * k.sqrt()).powi(3)
}

/// Draws after which every one of `n` things of chance `1/share` each has come with a probability of
/// failure below 10^-9: `n · (1 − 1/share)^draws < 10^-9`.
pub(crate) fn draws_to_see_all(n: u32, share: f64) -> u32 {
    ((f64::from(n) * 1e9).ln() * share).ceil() as u32
}

#[test]
fn the_bound_is_the_textbook_quantile_or_a_little_more() {
    // Quantiles of 1 − 10^-9: the square of the two-sided normal quantile 6.109, and 2 ln 10^9.
    for (freedom, exact) in [(1.0, 37.32), (2.0, 41.45)] {
        let ratio = chi_square_bound(freedom) / exact;
        assert!((1.0..1.3).contains(&ratio), "{freedom}: {ratio}");
    }
}

#[test]
#[should_panic(expected = "chi-square")]
fn a_wrong_distribution_is_seen() {
    assert_by_weight(&[6000, 4000], &[1, 1], "skewed");
}
