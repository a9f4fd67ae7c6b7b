//! Keys that move from one secret to another, by and by.
//!
//! Another secret moves all keys, and caches behind the instances would be empty at once. So there are two
//! pickers for a while, each with the table of its secret, and a share of the keys that grows evenly asks the
//! new one. The key's hash under the new secret decides when it moves: each moves once, and all balancers that
//! have the same time move the same ones. What two instances then hold of a key that moved is theirs to forget.

use crate::hash::{HashedKey, Rotation, mix};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest, Picker};

use super::{Hashing, under_one_secret};

/// How often pickers look what has moved: a hundredth of a percent of the keys at a time, in three hours.
pub(super) const LOOK: Nanos = Nanos::from_secs(1);

/// Asks the picker of one secret or of the other.
#[derive(Debug)]
pub(super) struct Rotating {
    rotation: Rotation,
    old: Box<dyn Picker>,
    new: Box<dyn Picker>,
    /// The part of the keys that has moved, in 2^-32. Relaxed: an old one does.
    moved: AtomicU64,
}

impl Rotating {
    pub(super) fn new<S: Hashing>(
        strategy: &S,
        rotation: Rotation,
        before: Option<&dyn Picker>,
        candidates: &Candidates,
    ) -> Self {
        let (mut old, mut new) = (strategy.clone(), strategy.clone());
        new.hash_mut().rotation = None;
        *old.hash_mut() = super::HashSettings {
            secret: rotation.from,
            ..new.hash().clone()
        };
        let both = before.and_then(rotating);
        let of = |part: fn(&Self) -> &dyn Picker| both.map(part).or(before);
        Self {
            rotation,
            old: under_one_secret(&old, of(|both| &*both.old), candidates),
            new: under_one_secret(&new, of(|both| &*both.new), candidates),
            moved: AtomicU64::new(both.map_or(0, |both| both.moved.load(Relaxed))),
        }
    }
}

fn rotating(picker: &dyn Picker) -> Option<&Rotating> {
    let picker: &dyn std::any::Any = picker;
    picker.downcast_ref()
}

/// The picker whose tables stay when a rotation is over.
pub(super) fn settled(picker: &dyn Picker) -> &dyn Picker {
    rotating(picker).map_or(picker, |both| &*both.new)
}

impl Picker for Rotating {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let key = request.key.unwrap_or_else(|| cx.rng.next_u64().into());
        // Not the bits that choose the instance, nor those that choose its share.
        let (picker, hash) = if mix(key.hash().rotate_left(16)) >> 32 < self.moved.load(Relaxed) {
            (&self.new, key.hash())
        } else {
            (&self.old, key.before())
        };
        let key = Some(HashedKey::from(hash));
        picker.pick(&PickRequest { key, ..*request }, cx)
    }

    fn refresh(&self, now: Nanos) {
        self.moved.store(self.rotation.moved(now), Relaxed);
    }

    /// Both know the same.
    fn knows_region(&self, region: &str) -> bool {
        self.new.knows_region(region)
    }
}
