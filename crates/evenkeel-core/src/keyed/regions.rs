//! Keys that stay in a region.
//!
//! Two levels. The key ranks the regions, by rendezvous with the weight of all their instances (see
//! [`super::rank`]), or after the region that the request comes from; and the strategy's own table, one for
//! each region, says which instance there. So a region that is lost hands its keys to all others, each by its
//! weight, instead of flooding one of them; the same keys come back when it does; and no other key moves.
//!
//! An instance that is out leaves its keys to the others of its region as long as those can bear it. With
//!
//! - `h`: weight times share of the region's candidates, over the weight of its instances in use,
//! - `c`: the same over the weight of all its instances, which is the part of its keys whose own instance takes
//!   them,
//!
//! the region keeps of the keys that cannot be where they belong the part
//!
//! `stay = (1.4 h / best h − c) / (1 − c)`, within 0..=1,
//!
//! and so has 1.4 times its share of the keys at most: with five of seven instances it keeps everything, with half
//! of them four displaced keys of ten. Which keys stay, the key decides. A key that has its own instance never
//! moves. `h` counts against the best region's: when all are sick alike there is nowhere better to go.
//!
//! O(r) a pick for r regions, besides the pick within one. Absent on purpose: load. Bounded load is per region; a
//! region that is full of requests spills over with `geographical` (and one of the strategies here within it).

use std::sync::Arc;

use crate::hash::{HashSecret, HashedKey, mix, nth};
use crate::view::{Candidates, Member, Slot};
use crate::{NoPick, PickContext, PickRequest, Picker, Share};

use super::rank::Ranking;
use super::{Hashing, Local};

/// How much more than its share of the keys a region takes before they leave it: as for priorities.
const OVERPROVISION: f64 = 1.4;
/// Regions that a key tries before it takes the first that has anybody.
const HOPS: usize = 4;

/// Whether keys stay in regions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyRegions {
    /// Regions do not matter.
    #[default]
    Ignore,
    /// Every key has a home region, which the key decides, by weight: the same wherever a request comes from.
    Spread,
    /// First the region of the request ([`PickRequest::region`]), else this one; then as for [`Self::Spread`].
    Nearest(Option<Arc<str>>),
}

impl KeyRegions {
    /// Whether there is more than one region, and they matter. O(n).
    pub(super) fn matter(&self, candidates: &Candidates) -> bool {
        let mut regions = candidates.members().iter().flatten().map(|member| region(member));
        let first = regions.next();
        *self != Self::Ignore && regions.any(|region| Some(region) != first)
    }
}

/// Where a member is; those that do not say are together.
fn region(member: &Member) -> &str {
    member.instance().region.as_deref().unwrap_or_default()
}

/// Picks region by region.
#[derive(Debug)]
pub(super) struct Regional<S: Hashing> {
    settings: S,
    /// By name.
    regions: Box<[Region<S::Local>]>,
    /// By index in `regions`.
    ranking: Ranking,
    /// The balancer's own, when the service has instances there.
    home: Option<usize>,
}

#[derive(Debug)]
struct Region<L> {
    name: Box<str>,
    /// By slot, without those of other regions.
    members: Arc<[Option<Arc<Member>>]>,
    picker: L,
    /// A hash of its name.
    id: u64,
    /// Whether it has candidates.
    open: bool,
    /// The part of its displaced keys that it keeps, in 2^-32.
    stay: u64,
}

impl<L> Region<L> {
    /// Whether the key of `hash` stays when it cannot be where it belongs.
    fn keeps(&self, hash: u64) -> bool {
        (mix(hash.rotate_left(32) ^ self.id) >> 32) < self.stay
    }
}

impl<S: Hashing> Regional<S> {
    /// O(n × regions).
    pub(super) fn new(strategy: &S, before: Option<&Self>, candidates: &Candidates) -> Self {
        let members = candidates.members();
        let before = before.filter(|before| before.settings == *strategy);
        let mut names: Vec<&str> = members.iter().flatten().map(|member| region(member)).collect();
        names.sort_unstable();
        names.dedup();
        let health: Vec<Health> = names.iter().map(|name| Health::of(candidates, name)).collect();
        let best = health.iter().map(Health::in_use).fold(0.0, f64::max);
        let regions: Box<[_]> = names
            .iter()
            .zip(&health)
            .map(|(name, health)| {
                let before = before.and_then(|before| before.find(name).map(|index| &before.regions[index]));
                let part = part(candidates, name, before.map(|before| &before.members));
                Region {
                    name: (*name).into(),
                    members: Arc::clone(part.members()),
                    id: id(&strategy.hash().secret, name),
                    open: !part.is_empty(),
                    stay: (health.stay(best) * (1u64 << 32) as f64) as u64,
                    picker: strategy.local(before.map(|before| &before.picker), &part),
                }
            })
            .collect();
        let ranked = (0..).zip(regions.iter().zip(&health));
        Self {
            settings: strategy.clone(),
            ranking: Ranking::new(
                ranked.map(|(index, (region, health))| (Slot(index), region.id, health.all)),
            ),
            home: match &strategy.hash().regions {
                KeyRegions::Nearest(Some(home)) => names.binary_search(&&**home).ok(),
                _ => None,
            },
            regions,
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.regions
            .binary_search_by(|region| (*region.name).cmp(name))
            .ok()
    }

    /// The region that comes first whatever the key.
    fn nearest(&self, request: &PickRequest<'_>) -> Option<usize> {
        if !matches!(self.settings.hash().regions, KeyRegions::Nearest(_)) {
            return None;
        }
        let named = request.region.filter(|name| !name.is_empty());
        let index = named.and_then(|name| self.find(name)).or(self.home)?;
        self.regions[index].open.then_some(index)
    }

    /// Regions in the order of `hash`, at most [`HOPS`].
    fn order(&self, hash: u64, nearest: Option<usize>) -> impl Iterator<Item = &Region<S::Local>> {
        let mut seen = [None; HOPS];
        (0..HOPS).map_while(move |hop| {
            let next = nearest.filter(|_| hop == 0).or_else(|| {
                let free = |slot: Slot| {
                    let index = slot.0 as usize;
                    self.regions[index].open && !seen[..hop].contains(&Some(index))
                };
                self.ranking.first(hash, free).map(|slot| slot.0 as usize)
            });
            seen[hop] = next;
            next.map(|index| &self.regions[index])
        })
    }
}

impl<S: Hashing> Picker for Regional<S> {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let hash = request.key.map_or_else(|| cx.rng.next_u64(), HashedKey::hash);
        let tried = request.tried;
        let order = || self.order(hash, self.nearest(request));
        let other = |region: &Region<S::Local>| {
            let other = region.picker.other(hash, tried);
            other.filter(|slot| !tried.contains(slot))
        };
        let kept = order().find_map(|region| {
            let own = region.picker.own(hash, tried, cx.now);
            own.or_else(|| region.keeps(hash).then(|| other(region)).flatten())
        });
        // Nobody keeps it: there is no better place than the first.
        kept.or_else(|| order().find_map(other))
            .or_else(|| order().find_map(|region| region.picker.other(hash, tried)))
            .ok_or(NoPick::NoneEligible)
    }

    /// Where the key decides the region, it makes no difference which one a request names.
    fn knows_region(&self, region: &str) -> bool {
        !matches!(self.settings.hash().regions, KeyRegions::Nearest(_)) || self.find(region).is_some()
    }
}

/// What hashes a region's name: nothing that hashes an instance's id, which may be the same text.
fn id(secret: &HashSecret, name: &str) -> u64 {
    nth(secret.hash(name.as_bytes()), 0)
}

/// The weights of a region.
#[derive(Debug)]
struct Health {
    /// Of all members.
    all: f64,
    /// Of those whose priority is in use.
    used: f64,
    /// Weight times share, of the candidates.
    candidates: f64,
}

impl Health {
    fn of(candidates: &Candidates, name: &str) -> Self {
        let within = |member: &Member| region(member) == name;
        let slots = || {
            let slots = candidates.slots().iter().zip(candidates.weights());
            slots.filter_map(|(slot, weight)| Some((candidates.member(*slot)?.as_ref(), weight)))
        };
        // Members of a priority that nobody needs at present are not missing.
        let last = slots().map(|(member, _)| member.instance().priority).max();
        let members = candidates.members().iter().flatten();
        let mut health = Self {
            all: 0.0,
            used: 0.0,
            candidates: 0.0,
        };
        for member in members.filter(|member| within(member)) {
            let weight = f64::from(member.instance().weight.get());
            health.all += weight;
            if Some(member.instance().priority) <= last {
                health.used += weight;
            }
        }
        let full = if candidates.has_full_shares() {
            1.0
        } else {
            f64::from(Share::UNITS)
        };
        let weights = slots().filter(|(member, _)| within(member));
        health.candidates = weights.map(|(_, weight)| f64::from(weight) / full).sum();
        health
    }

    /// 0..=1.
    fn in_use(&self) -> f64 {
        if self.used > 0.0 {
            self.candidates / self.used
        } else {
            0.0
        }
    }

    /// The part of its displaced keys that it keeps, beside a region with `best` in use.
    fn stay(&self, best: f64) -> f64 {
        let own = self.candidates / self.all;
        let bears = if best > 0.0 {
            OVERPROVISION * self.in_use() / best
        } else {
            1.0
        };
        // Nothing is displaced when all are in.
        if bears >= 1.0 {
            1.0
        } else {
            ((bears - own) / (1.0 - own)).clamp(0.0, 1.0)
        }
    }
}

/// The candidates and members of the region `name`; the members are `before` if they are the same.
fn part(candidates: &Candidates, name: &str, before: Option<&Arc<[Option<Arc<Member>>]>>) -> Candidates {
    let within = |slot: &Slot| {
        let member = candidates.member(*slot);
        member.is_some_and(|member| region(member) == name)
    };
    let members = candidates.members().iter();
    let members = members.map(|member| member.as_ref().filter(|member| region(member) == name));
    let same = before.filter(|before| {
        let mut pairs = before.iter().map(Option::as_ref).zip(members.clone());
        before.len() == members.len()
            && pairs.all(|pair| match pair {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                _ => false,
            })
    });
    let members = same.map_or_else(
        || members.map(Option::<&Arc<Member>>::cloned).collect(),
        Arc::clone,
    );
    let all = candidates.slots().iter().enumerate();
    let (shares, slots): (Vec<Share>, Vec<Slot>) = all
        .filter(|(_, slot)| within(slot))
        .map(|(index, slot)| (candidates.share(index), *slot))
        .unzip();
    Candidates::new(members, slots.into(), candidates.loads().clone()).with_shares(&shares)
}
