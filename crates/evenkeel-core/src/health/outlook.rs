//! What is foreseen of an instance, for whoever looks at it: it changes every second, and no view is made for that.

use crate::sync::{AtomicU32, Ordering::Relaxed};

/// What is foreseen of an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Outlook {
    /// The probability that it is bad within [`PREDICTION_HORIZON`](crate::PREDICTION_HORIZON); `None` while it is where it
    /// was foreseen to be, which is no prediction any more.
    pub probability: Option<f32>,
    /// What is left of its share for that: 1 in a dry run.
    pub share_left: f32,
}

impl Outlook {
    pub(crate) const fn new(probability: Option<f32>, share_left: f32) -> Self {
        Self {
            probability,
            share_left,
        }
    }
}

/// An outlook, or none: 0. The upper half is the probability, from 1 on, or 0 for none; the lower what is left, never 0.
#[derive(Debug, Default)]
pub(crate) struct OutlookCell(AtomicU32);

/// A probability of 1, and a whole share.
const ONE: f32 = 65_534.0;

impl OutlookCell {
    pub(crate) fn set(&self, outlook: Option<Outlook>) {
        let step = |part: f32| 1 + (part.clamp(0.0, 1.0) * ONE).round() as u32;
        let word = outlook.map_or(0, |outlook| {
            outlook.probability.map_or(0, step) << 16 | step(outlook.share_left)
        });
        self.0.store(word, Relaxed);
    }

    pub(crate) fn get(&self) -> Option<Outlook> {
        let word = self.0.load(Relaxed);
        let part = |half: u32| half.checked_sub(1).map(|steps| steps as f32 / ONE);
        let share_left = part(word & 0xFFFF)?;
        Some(Outlook::new(part(word >> 16), share_left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlook_is_what_was_set() {
        let cell = OutlookCell::default();
        assert_eq!(cell.get(), None);
        for (probability, left) in [
            (Some(0.0), 1.0),
            (Some(1.0), 0.0),
            (None, 0.3125),
            (Some(0.25), 0.5),
        ] {
            cell.set(Some(Outlook::new(probability, left)));
            let found = cell.get().unwrap();
            assert_eq!(found.probability.is_some(), probability.is_some());
            let off = found.probability.unwrap_or(0.0) - probability.unwrap_or(0.0);
            assert!(
                off.abs() < 1e-4 && (found.share_left - left).abs() < 1e-4,
                "{found:?}"
            );
        }
        cell.set(None);
        assert_eq!(cell.get(), None);
    }
}
