//! Predictions of which it is not known yet what became of them.

/// Predictions that are open at most: one a second.
const OPEN: usize = 20;
/// A second in which nothing was known.
const NOTHING: u8 = u8::MAX;
/// The steps of a prediction, as it is remembered.
pub(super) const FINE: f32 = 250.0;

/// Predictions of which it is not known yet what became of them, the oldest first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pending {
    all: [u8; OPEN],
    len: u8,
}

impl Pending {
    /// One more; returns the oldest when its time is over.
    pub(super) fn push(&mut self, hazard: Option<f32>) -> Option<f32> {
        let mut over = None;
        if usize::from(self.len) == OPEN {
            over = hazard_of(self.all[0]);
            self.all.copy_within(1.., 0);
            self.len -= 1;
        }
        self.all[usize::from(self.len)] = hazard.map_or(NOTHING, |hazard| (hazard * FINE).round() as u8);
        self.len += 1;
        over
    }

    pub(super) fn all(self) -> impl Iterator<Item = f32> {
        self.all.into_iter().take(self.len.into()).filter_map(hazard_of)
    }
}

fn hazard_of(remembered: u8) -> Option<f32> {
    (remembered != NOTHING).then(|| f32::from(remembered) / FINE)
}
