//! What the strategies that hash have in common: their settings, and a picker that asks a table.
//!
//! A table is built over *members* and says who owns a hash. Whether the owner may be used now is asked at
//! the pick: it must be a candidate, not tried before and, with bounded load, not full. A flap of health
//! therefore rebuilds no table and moves no key but those of the instance that flaps.
//!
//! An owner that may not be used is replaced by the owner of another hash, the next of a sequence that the
//! key decides. The sequence is different for every key, so what one instance cannot take is spread over
//! all others by weight, where the next point of a ring would get all of it; and it does not depend on who
//! is a candidate, so that a second instance that goes moves only its own keys. When a few draws fail
//! (most instances are out), the candidates are ranked by the key instead, which takes O(n).
//!
//! A picker has two halves: whom a key belongs to, and who takes it instead ([`Local`]). One over all
//! candidates asks both ([`Plain`]); one by regions asks region by region ([`regions`]). While a secret is
//! replaced there is a picker for each of the two ([`rotation`]).

use std::sync::Arc;

use crate::hash::{HashSecret, HashedKey, KeyHash, KeySource, RequestKey, Rotation, mix, nth};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Member, Slot};
use crate::{LoadBlock, Loads, Nanos, NoPick, PickContext, PickRequest, Picker, Share};

mod rank;
mod regions;
mod ring;
mod rotation;

pub(crate) use rank::Ranking;
pub use regions::KeyRegions;
use regions::Regional;
pub(crate) use ring::{Point, Ring};
use rotation::Rotating;

/// Draws before the candidates are ranked: enough that half a fleet may be out (chance of a miss 2^-16).
const DRAWS: u64 = 16;

/// Settings that all strategies have that hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashSettings {
    /// What of a request is hashed.
    pub key: KeySource,
    /// Keys the hash of keys and of instances, but in compatible modes.
    pub secret: HashSecret,
    /// How far above the average an instance may be loaded; `None` without limit.
    pub bounded_load: Option<LoadFactor>,
    /// Whether keys stay in regions. Compatible modes have no regions.
    pub regions: KeyRegions,
    /// How [`Self::secret`] takes over from the one before, if it does.
    pub rotation: Option<Rotation>,
}

impl HashSettings {
    pub(crate) fn request_key(&self, compatible: Option<KeyHash>) -> RequestKey {
        RequestKey {
            source: self.key.clone(),
            hash: compatible.unwrap_or(match self.rotation {
                Some(rotation) => KeyHash::Rotating(self.secret, rotation.from),
                None => KeyHash::Keyed(self.secret),
            }),
        }
    }

    /// How often pickers look what has moved.
    pub(crate) fn refresh_every(&self) -> Option<Nanos> {
        self.rotation.map(|_| rotation::LOOK)
    }
}

/// How far above the average an instance may be loaded, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadFactor(u32);

impl LoadFactor {
    /// The least: at 1 hardly any request would find its own instance.
    pub const MIN: u32 = 101;
    /// The greatest.
    pub const MAX: u32 = 1000;

    /// `percent` of the average, `None` outside [`Self::MIN`]..=[`Self::MAX`].
    #[must_use]
    pub const fn from_percent(percent: u32) -> Option<Self> {
        if percent >= Self::MIN && percent <= Self::MAX {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// In hundredths of the average.
    #[must_use]
    pub const fn percent(self) -> u32 {
        self.0
    }
}

/// A strategy that hashes.
pub(crate) trait Hashing: std::fmt::Debug + Clone + PartialEq + Send + Sync + 'static {
    /// Picks among candidates, wherever they are.
    type Local: Local;

    /// What it has in common with the others.
    fn hash(&self) -> &HashSettings;

    /// See [`Self::hash`].
    fn hash_mut(&mut self) -> &mut HashSettings;

    /// Whether it chooses as another proxy does, which knows neither regions nor secrets.
    fn is_compatible(&self) -> bool {
        false
    }

    /// A picker over `candidates`, which takes over from `before` what still holds.
    fn local(&self, before: Option<&Self::Local>, candidates: &Candidates) -> Self::Local;
}

/// The picker of a strategy that hashes, after `before` of the same service.
pub(crate) fn build<S: Hashing>(
    strategy: &S,
    before: Option<&dyn Picker>,
    candidates: &Candidates,
) -> Box<dyn Picker> {
    match strategy.hash().rotation {
        Some(rotation) if !strategy.is_compatible() => {
            Box::new(Rotating::new(strategy, rotation, before, candidates))
        }
        _ => under_one_secret(strategy, before.map(rotation::settled), candidates),
    }
}

fn under_one_secret<S: Hashing>(
    strategy: &S,
    before: Option<&dyn Picker>,
    candidates: &Candidates,
) -> Box<dyn Picker> {
    let before = before.map(|before| before as &dyn std::any::Any);
    if !strategy.is_compatible() && strategy.hash().regions.matter(candidates) {
        let before = before.and_then(|before| before.downcast_ref());
        return Box::new(Regional::new(strategy, before, candidates));
    }
    let before = before.and_then(|before| before.downcast_ref::<Plain<S::Local>>());
    Box::new(Plain(strategy.local(before.map(|before| &before.0), candidates)))
}

/// The halves of a pick by key, among the candidates that it was made for.
pub(crate) trait Local: std::fmt::Debug + Send + Sync + 'static {
    /// Whom `hash` belongs to, unless it may not be used `now`.
    fn own(&self, hash: u64, tried: &[Slot], now: Nanos) -> Option<Slot>;

    /// Who takes the key of `hash` instead: somebody `tried` only when all were. `None` without candidates.
    fn other(&self, hash: u64, tried: &[Slot]) -> Option<Slot>;
}

/// Picks among all candidates.
#[derive(Debug)]
struct Plain<L>(L);

impl<L: Local> Picker for Plain<L> {
    #[inline]
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let hash = request.key.map_or_else(|| cx.rng.next_u64(), HashedKey::hash);
        let own = self.0.own(hash, request.tried, cx.now);
        own.or_else(|| self.0.other(hash, request.tried))
            .ok_or(NoPick::NoneEligible)
    }
}

/// Says which member owns a hash. Depends on members only.
pub(crate) trait Table: std::fmt::Debug + Send + Sync + 'static {
    /// `None` when there are no members.
    fn owner(&self, hash: u64) -> Option<Slot>;
}

/// A table with what it was made of, so that the next view can tell whether it still holds.
#[derive(Debug)]
pub(crate) struct Tabled<S, T> {
    settings: S,
    pub(crate) members: Arc<[Option<Arc<Member>>]>,
    pub(crate) table: T,
}

/// Asks a table, and looks further when the owner may not be used.
#[derive(Debug)]
pub(crate) struct Keyed<S, T> {
    tabled: Arc<Tabled<S, T>>,
    usable: Usable,
    ranking: Ranking,
}

impl<S: Hashing, T: Table> Keyed<S, T> {
    /// With the table of `before` when it holds; else `make` makes one, with what there was before.
    pub(crate) fn new(
        strategy: &S,
        before: Option<&Self>,
        candidates: &Candidates,
        make: impl FnOnce(Option<&Tabled<S, T>>) -> T,
    ) -> Self {
        let before = before.map(|before| &before.tabled);
        let before = before.filter(|before| before.settings == *strategy);
        let tabled = match before {
            Some(before) if Arc::ptr_eq(&before.members, candidates.members()) => Arc::clone(before),
            _ => Arc::new(Tabled {
                settings: strategy.clone(),
                members: Arc::clone(candidates.members()),
                table: make(before.map(|before| &**before)),
            }),
        };
        let settings = strategy.hash();
        Self {
            tabled,
            usable: Usable::new(candidates, settings),
            ranking: Ranking::of_candidates(candidates, &settings.secret),
        }
    }
}

impl<S: Hashing, T: Table> Local for Keyed<S, T> {
    #[inline]
    fn own(&self, hash: u64, tried: &[Slot], now: Nanos) -> Option<Slot> {
        let owner = self.tabled.table.owner(hash)?;
        (self.usable.has_room(owner, hash, now) && !tried.contains(&owner)).then_some(owner)
    }

    #[cold]
    fn other(&self, hash: u64, tried: &[Slot]) -> Option<Slot> {
        let limit = self.usable.limit();
        let free =
            |slot: Slot| self.usable.admits(slot, hash) && !tried.contains(&slot) && !limit.is_full(slot);
        (1..=DRAWS)
            .filter_map(|draw| self.tabled.table.owner(nth(hash, draw)))
            .find(|slot| free(*slot))
            .or_else(|| self.ranking.first(hash, free))
            .or_else(|| limit.least_loaded(tried))
            .or_else(|| limit.least_loaded(&[]))
    }
}

/// The share of a candidate.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Units of [`Share`].
    units: u32,
    /// The hash of its id.
    id: u64,
}

/// Who may be used.
#[derive(Debug)]
pub(crate) struct Usable {
    /// By slot; 0 where there is no candidate.
    weights: Box<[u32]>,
    /// By slot; empty when all shares are full.
    parts: Box<[Part]>,
    /// The candidates as bits, for [`Loads::sum`].
    masks: Box<[u64]>,
    total: u64,
    slots: Arc<[Slot]>,
    loads: Loads,
    factor: Option<LoadFactor>,
    /// What [`Self::loads`] came to lately.
    lately: Lately,
}

/// How old a sum of requests in flight may be before it is made anew: a request that ends meanwhile makes the
/// limits too wide for this long.
const LATELY: Nanos = Nanos::from_millis(1);
/// A sum is made anew after this part of it has been picked, too.
const PICKED: u64 = 64;

/// A sum of requests in flight, made now and then. Relaxed throughout, and changed by loads and stores: two workers
/// who count at once may count as one, which [`LATELY`] makes good.
#[derive(Debug, Default)]
struct Lately {
    sum: AtomicU64,
    at: AtomicU64,
    /// Picks until it is made anew.
    left: AtomicU64,
}

impl Usable {
    pub(crate) fn new(candidates: &Candidates, settings: &HashSettings) -> Self {
        let mut weights = vec![0; candidates.members().len()].into_boxed_slice();
        let mut masks = vec![0; candidates.members().len().div_ceil(LoadBlock::LEN)].into_boxed_slice();
        let mut total = 0;
        for (slot, weight) in candidates.slots().iter().zip(candidates.base_weights()) {
            weights[slot.0 as usize] = weight;
            masks[slot.0 as usize / LoadBlock::LEN] |= 1 << (slot.0 as usize % LoadBlock::LEN);
            total += u64::from(weight);
        }
        let mut parts = Box::default();
        if !candidates.has_full_shares() {
            parts = vec![Part::default(); weights.len()].into_boxed_slice();
            for (slot, units) in candidates.slots().iter().zip(candidates.shares()) {
                let id = candidates.member(*slot).map_or("", |m| m.instance().id.as_str());
                let id = settings.secret.hash(id.as_bytes());
                parts[slot.0 as usize] = Part { units, id };
            }
        }
        Self {
            weights,
            parts,
            masks,
            total,
            slots: Arc::clone(candidates.slots()),
            loads: candidates.loads().clone(),
            factor: settings.bounded_load,
            lately: Lately::default(),
        }
    }

    #[inline]
    fn weight(&self, slot: Slot) -> u32 {
        self.weights.get(slot.0 as usize).copied().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn is_candidate(&self, slot: Slot) -> bool {
        self.weight(slot) > 0
    }

    /// Whether `slot` is a candidate whose share has room for the key of `hash`. The key and the instance's id
    /// decide from which share on: a share that grows takes keys back one by one, all balancers agree on which, and
    /// what two reduced instances take does not depend on each other.
    #[inline]
    pub(crate) fn admits(&self, slot: Slot, hash: u64) -> bool {
        self.is_candidate(slot)
            && self.parts.get(slot.0 as usize).is_none_or(|part| {
                // The upper bits choose the owner; a mixed copy keeps both choices apart.
                part.units > mix(hash.rotate_left(32) ^ part.id) as u32 % Share::UNITS
            })
    }

    /// Whether `slot` is a candidate for the key of `hash` and not full. With bounded load and an instance that is not
    /// idle, O(n) for one pick in [`PICKED`] of `m`, and for an instance that is full or not by what began since.
    #[inline]
    pub(crate) fn has_room(&self, slot: Slot, hash: u64, now: Nanos) -> bool {
        if !self.admits(slot, hash) {
            return false;
        }
        // An idle instance is never full, whatever the average is.
        if self.factor.is_none() || self.loads.get(slot.0) == 0 {
            return true;
        }
        let lately = self.limit_lately(now);
        // Requests that began meanwhile widen the limits.
        !lately.is_full(slot) || !(lately.widened().is_full(slot) || self.limit().is_full(slot))
    }

    /// The limit at this moment. O(n) with bounded load.
    pub(crate) fn limit(&self) -> Limit<'_> {
        Limit {
            of: self,
            with_this: 1 + self.factor.map_or(0, |_| self.loads.sum(&self.masks)),
        }
    }

    /// The limit a moment ago: [`LATELY`] at most, and so many picks ago as are `1/`[`PICKED`] of `m`.
    #[inline]
    fn limit_lately(&self, now: Nanos) -> Limit<'_> {
        let left = self.lately.left.load(Relaxed);
        let fresh = now.0.abs_diff(self.lately.at.load(Relaxed)) < LATELY.0;
        let sum = if left > 0 && fresh {
            self.lately.left.store(left - 1, Relaxed);
            self.lately.sum.load(Relaxed)
        } else {
            self.sum_anew(now)
        };
        Limit {
            of: self,
            with_this: 1 + sum,
        }
    }

    #[cold]
    fn sum_anew(&self, now: Nanos) -> u64 {
        let sum = self.loads.sum(&self.masks);
        self.lately.sum.store(sum, Relaxed);
        self.lately.at.store(now.0, Relaxed);
        self.lately.left.store(sum / PICKED, Relaxed);
        sum
    }
}

/// How many requests an instance may have: `⌈c (m + 1) w / W⌉`, with `c` the factor, `m` requests in flight
/// over all candidates, `w` its weight and `W` the sum of weights (Mirrokni, Thorup, Zadimoghaddam,
/// "Consistent hashing with bounded loads", 2018). The limits add up to more than `m`, so somebody has room.
#[derive(Debug)]
pub(crate) struct Limit<'u> {
    of: &'u Usable,
    /// `m + 1`.
    with_this: u64,
}

impl Limit<'_> {
    /// With more requests than can have begun since a sum that is still used: one in [`PICKED`], and some more of several
    /// workers that count at once.
    fn widened(&self) -> Self {
        Self {
            of: self.of,
            with_this: self.with_this + self.with_this / 8 + 8,
        }
    }

    pub(crate) fn is_full(&self, slot: Slot) -> bool {
        let Some(factor) = self.of.factor else {
            return false;
        };
        // Below 2^10 × 2^32 × 2^16.
        let share = u64::from(factor.0) * self.with_this * u64::from(self.of.weight(slot));
        u64::from(self.of.loads.get(slot.0)) >= share.div_ceil(100 * self.of.total.max(1))
    }

    /// The candidate with the fewest requests per weight, but those `tried`. O(n).
    pub(crate) fn least_loaded(&self, tried: &[Slot]) -> Option<Slot> {
        let untried = self.of.slots.iter().filter(|slot| !tried.contains(slot));
        let load = |slot: Slot| u64::from(self.of.loads.get(slot.0));
        untried.copied().reduce(|best, slot| {
            let less =
                load(slot) * u64::from(self.of.weight(best)) < load(best) * u64::from(self.of.weight(slot));
            if less { slot } else { best }
        })
    }
}
