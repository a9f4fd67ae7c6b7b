//! The first candidate in an order that the request's key decides: rendezvous hashing, weighted (see
//! `keyed::rank`).
//!
//! There is no table: every pick ranks all candidates, and by that shares are as even as chance allows and a
//! change of members moves exactly the keys it must. What that costs grows with the candidates.

use super::{Picker, Strategy};
use crate::Nanos;
use crate::hash::RequestKey;
use crate::keyed::{self, HashSettings, Hashing, KeyRegions, Local, Ranking, Usable};
use crate::view::{Candidates, Slot};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendezvous {
    /// What all strategies have that hash.
    pub hash: HashSettings,
}

impl Strategy for Rendezvous {
    fn build(&self, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        keyed::build(self, None, candidates)
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, _seed: u64) -> Box<dyn Picker> {
        keyed::build(self, Some(before), candidates)
    }

    fn refresh_every(&self) -> Option<Nanos> {
        self.hash.refresh_every()
    }

    fn request_key(&self) -> Option<RequestKey> {
        Some(self.hash.request_key(None))
    }
}

impl Hashing for Rendezvous {
    type Local = First;

    fn hash(&self) -> &HashSettings {
        &self.hash
    }

    fn hash_mut(&mut self) -> &mut HashSettings {
        &mut self.hash
    }

    fn local(&self, _before: Option<&First>, candidates: &Candidates) -> First {
        let secret = &self.hash.secret;
        First {
            ranking: match self.hash.regions {
                KeyRegions::Ignore => Ranking::of_candidates(candidates, secret),
                // Whether a key must leave its own instance decides whether it may leave its region.
                _ => Ranking::of_members(candidates, secret),
            },
            usable: Usable::new(candidates, &self.hash),
        }
    }
}

#[derive(Debug)]
pub(crate) struct First {
    ranking: Ranking,
    usable: Usable,
}

impl Local for First {
    #[inline]
    fn own(&self, hash: u64, tried: &[Slot], now: Nanos) -> Option<Slot> {
        let first = self.ranking.owner(hash)?;
        (self.usable.has_room(first, hash, now) && !tried.contains(&first)).then_some(first)
    }

    #[cold]
    fn other(&self, hash: u64, tried: &[Slot]) -> Option<Slot> {
        let limit = self.usable.limit();
        let free =
            |slot: Slot| self.usable.admits(slot, hash) && !tried.contains(&slot) && !limit.is_full(slot);
        self.ranking
            .first(hash, free)
            .or_else(|| limit.least_loaded(tried))
            .or_else(|| limit.least_loaded(&[]))
    }
}
