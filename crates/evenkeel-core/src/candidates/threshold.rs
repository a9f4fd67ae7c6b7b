//! Scores below the threshold.
//!
//! A score is measured against what is usual, and by requests that depend on more than the instance. When more
//! than half of those that are otherwise in order score badly, they have something in common that is not their
//! own fault, and the few others could not carry what they do: the threshold is put aside then, and low scores
//! only cost shares.
//!
//! Not so for whom somebody says that it is out of order: that is a word about it alone, and goes whoever else it was
//! said of. When that leaves too few, the minimum decides.

use super::{Exclusion, Prospect, candidates, exclude};

/// How far apart two readings of the same part can be, by rounding.
const ROUNDING: f64 = 1e-3;

/// Leaves out who is below the `threshold`, unless more than half are for other reasons than what was told: then says
/// how many. `enough` is the score from which on they are not below it any more.
pub(super) fn leave(all: &mut [Prospect<'_>], threshold: f64, enough: f64) -> usize {
    exclude(all, |prospect| {
        let worst_is_told = prospect.told <= prospect.score + ROUNDING;
        // Whatever it does that is worse still: that does not take back the word.
        let by_word = prospect.told < threshold || (prospect.told < enough && worst_is_told);
        (prospect.below_threshold && by_word).then_some(Exclusion::BelowThreshold)
    });
    let (mut below, mut present) = (0, 0);
    for prospect in candidates(all) {
        present += 1;
        below += usize::from(prospect.below_threshold);
    }
    if 2 * below > present {
        return below;
    }
    exclude(all, |prospect| {
        prospect.below_threshold.then_some(Exclusion::BelowThreshold)
    });
    0
}
