//! Instances that begin with part of their share.

use super::Prospect;
use crate::{Nanos, Share};

/// How an instance begins: caches, pools and compilers of a fresh process are cold.
///
/// `share = max(min_share, t / window)` with `t` the time since it was registered, or since its checks first
/// passed or passed again where there are checks. Shares count beside the greatest, so a fleet that begins as a
/// whole begins in full: nobody is there to take the rest. The same for every strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    /// How long it lasts; 0 switches it off.
    pub window: Nanos,
    /// The share it begins with.
    pub min_share: Share,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self {
            window: Nanos::from_secs(10),
            min_share: Share::of(0.1),
        }
    }
}

impl SlowStart {
    /// Every instance begins in full.
    pub const OFF: Self = Self {
        window: Nanos::ZERO,
        min_share: Share::FULL,
    };

    /// The part of its share that an instance gets which began at `began`, and whether that grows.
    pub(super) fn part(&self, prospect: &Prospect<'_>, now: Nanos) -> (f64, bool) {
        if self.window == Nanos::ZERO {
            return (1.0, false);
        }
        let age = prospect.began.map_or(Nanos::ZERO, |began| now.since(began));
        if age >= self.window {
            return (1.0, false);
        }
        let part = age.0 as f64 / self.window.0 as f64;
        (part.max(self.min_share.as_f64()), prospect.began.is_some())
    }
}
