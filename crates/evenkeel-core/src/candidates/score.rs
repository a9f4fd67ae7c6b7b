//! What a low score costs, short of the threshold.
//!
//! ```text
//! part = 1                                                       score ≥ recovery threshold
//!        1/2 + 1/2 × (score − threshold) / (recovery − threshold)    between
//!        1/2                                                     score ≤ threshold (and yet a candidate)
//! ```
//!
//! Gently, for three reasons: an instance about to be left out still needs requests to show that it is well;
//! one that is left out next must not have been all that was left; and a strategy that looks at scores itself
//! does so beside this. Steps of a sixteenth, so that a score that wavers does not build a view for every change.

/// What a score at the threshold leaves.
const LEAST: f64 = 0.5;
/// Steps from nothing to all.
const STEPS: f64 = 16.0;

/// The part of its share that `score` leaves.
pub(super) fn part(score: f64, threshold: f64, recovery: f64) -> f64 {
    let span = recovery - threshold;
    // Also when the score or a threshold is no number: what is not known speaks against nobody.
    if span.is_nan() || score.is_nan() || score >= recovery {
        return 1.0;
    }
    let place = if span > 0.0 {
        ((score - threshold) / span).max(0.0)
    } else {
        0.0
    };
    let part = LEAST + (1.0 - LEAST) * place;
    (part * STEPS).round() / STEPS
}

/// The part of its share that is left of one of which somebody says how healthy it is: as much, short of [`LEAST`]. Such a
/// word is not measured against a threshold to begin with.
pub(super) fn told(score: f64) -> f64 {
    match score.is_nan() {
        true => 1.0,
        false => (score.clamp(LEAST, 1.0) * STEPS).round() / STEPS,
    }
}

#[cfg(test)]
mod tests {
    use super::{part, told};

    #[test]
    fn a_word_counts_by_degrees() {
        for (score, expected) in [
            (1.0, 1.0),
            (0.9, 0.875),
            (0.75, 0.75),
            (0.1, 0.5),
            (f64::NAN, 1.0),
        ] {
            assert_eq!(told(score), expected, "{score}");
        }
    }

    #[test]
    fn a_score_costs_at_most_half() {
        for (score, expected) in [
            (1.0, 1.0),
            (0.8, 1.0),
            (0.65, 0.75),
            (0.5, 0.5),
            (0.1, 0.5),
            (f64::NAN, 1.0),
        ] {
            assert_eq!(part(score, 0.5, 0.8), expected, "{score}");
        }
        assert_eq!(part(0.4, 0.5, 0.5), 0.5, "thresholds may be one");
        assert_eq!(part(0.6, 0.5, 0.5), 1.0);
        assert_eq!(part(0.0, 0.0, 0.0), 1.0, "and none");
    }
}
