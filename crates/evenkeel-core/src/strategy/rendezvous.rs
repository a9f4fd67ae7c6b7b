//! The first candidate in an order that the request's key decides: rendezvous hashing, weighted (see
//! `keyed::rank`).
//!
//! There is no table: every pick ranks all candidates, and by that shares are as even as chance allows and a
//! change of members moves exactly the keys it must. What that costs grows with the candidates.

use super::{Picker, Strategy};
use crate::hash::RequestKey;
use crate::keyed::{HashSettings, Ranking, Usable};
use crate::view::{Candidates, Slot};
use crate::{NoPick, PickContext, PickRequest};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendezvous {
    /// What all strategies have that hash.
    pub hash: HashSettings,
}

impl Strategy for Rendezvous {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        Box::new(First {
            ranking: Ranking::new(candidates, &self.hash.secret),
            usable: Usable::new(candidates, &self.hash),
        })
    }

    fn request_key(&self) -> Option<RequestKey> {
        Some(self.hash.request_key(None))
    }
}

#[derive(Debug)]
struct First {
    ranking: Ranking,
    usable: Usable,
}

impl First {
    #[cold]
    fn overflow(&self, hash: u64, tried: &[Slot]) -> Option<Slot> {
        let limit = self.usable.limit();
        let free =
            |slot: Slot| self.usable.admits(slot, hash) && !tried.contains(&slot) && !limit.is_full(slot);
        self.ranking
            .first(hash, free)
            .or_else(|| limit.least_loaded(tried))
            .or_else(|| limit.least_loaded(&[]))
    }
}

impl Picker for First {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let hash = request.key.unwrap_or_else(|| cx.rng.next_u64());
        let first = self.ranking.first(hash, |_| true).ok_or(NoPick::NoneEligible)?;
        if self.usable.has_room(first, hash) && !request.tried.contains(&first) {
            return Ok(first);
        }
        self.overflow(hash, request.tried).ok_or(NoPick::NoneEligible)
    }
}
