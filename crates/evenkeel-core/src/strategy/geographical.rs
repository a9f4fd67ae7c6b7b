//! The candidates that are near first, the others by and by: region, zone, and whatever finer.
//!
//! Instances form *rings* around where a request comes from: those that share all levels with it, those that share
//! all but the last, and so on; then every other region, in the order of expected latency: the median response time of
//! its instances as seen from here, or, where no request was answered for a minute, the [time that connections
//! take](crate::Distance) by now, and the work: its own, of when it answered, or that of regions where both are known. A request goes outward from ring to ring; each keeps the part of it
//!
//! `keeps = available × offered × eased × spare` (0..=1), where
//!
//! - **available** = `min(1, 1.4 × h / best h)`: `h` is the health of the ring, the weight of its candidates times share
//!   and score over the weight of all its members, candidates or not. A ring that lost a quarter of its health loses
//!   nothing yet, as it can bear that; from there on, others help before what is left of it breaks down. It counts
//!   against the best ring, because when all are sick alike there is nowhere better to go. It falls at once and
//!   rises by [`RISE`], so that a region that comes back is not flooded. Who [fell](crate::trust) has no part in it, whether
//!   or not anybody ejects it; while one did, a ring keeps a twentieth at least, to see who is back;
//! - **offered** follows reported utilization: it falls while that is above `spill_at`, rises while it is a little
//!   below, and rests between, slowly, as reports are old;
//! - **eased** needs nobody's word: it falls while the usual response time of the ring is [four times](ring) that of its
//!   calmest hours, and twice that of the fastest ring further out, the way there included; it rises once the time is
//!   well below that, and rests between. Times grow without bound before a ring is full, so it hands on before that;
//! - **spare** follows requests in flight where `capacity_per_weight` says how many are enough: from 1 at `spill_at` of
//!   the capacity in a line to 0 at all of it. It is live, looked at every [`ring::LOOK`],
//!   and at every pick in small rings.
//!
//! Of requests that are at home elsewhere it keeps less, while [they take longer](ring) than in calm hours: who is left after a
//! region was lost is to be used evenly, and not up to the brink one after the other.
//!
//! What nobody keeps is shared by all candidates of all rings. Within a ring the strategy `within` decides. So load spills
//! over before a ring is full, and a region that is lost hands over to the next, which hands on what is too much for it.
//! Which requests a ring keeps, chance decides; their key where the strategy within hashes it, so that a key stays as long
//! as the part that is kept does not fall below its own place.
//!
//! A region of which nothing is known comes last; one request every ten seconds finds out, and one every thirty seconds
//! keeps what is known fresh and a connection warm ([`Geographical::probe`] switches that off); never a request with a
//! key, nor one that failed before. A request's own region
//! ([`PickRequest::region`]) comes before the setting; one where the service has no instance is as good as none. Where
//! nothing says where a request comes from, all candidates are one ring.
//!
//! When a region is lost, what is slow about the next one should be the way there and nothing else. So the instances of
//! the next [`STANDBY_RINGS`] rings outward are on [standby](Picker::standby): the proxy keeps connections open to them.
//! And a request that failed twice in a ring, with all of it, or once where most failed their last request, goes further out: it
//! would use up its tries, and all requests together the budget for them, on a region whose loss nobody has noticed yet.
//!
//! O(rings) a pick plus a pick of `within`; one pick in a millisecond sums up the loads of its ring, O(n). Measuring
//! is O(n) in the writer, every second, or as often as `within` wants to look. Absent on purpose: which regions are allowed at all, which is a stage.

use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::{Learned, Picker, Strategy};
use crate::hash::RequestKey;
use crate::math::Factor;
use crate::view::{Candidates, Slot};
use crate::{Instance, Nanos, NoPick, PickContext, PickRequest, Share, StrategySettings};

mod ring;

use ring::{Limit, Rate, Ring, host};

/// One level of where an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// Its region.
    Region,
    /// Its zone.
    Zone,
    /// The value of this key of its metadata.
    Label(Arc<str>),
}

impl Level {
    /// What `instance` says; nothing is a place of its own.
    fn of<'i>(&self, instance: &'i Instance) -> &'i str {
        match self {
            Self::Region => instance.region.as_deref(),
            Self::Zone => instance.zone.as_deref(),
            Self::Label(key) => instance.metadata.get(&**key).map(String::as_str),
        }
        .unwrap_or_default()
    }
}

/// The strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geographical {
    /// Chooses within a ring. `geographical` itself counts as what chooses within that.
    pub within: Box<StrategySettings>,
    /// From the widest to the finest. None is as good as one ring.
    pub levels: Vec<Level>,
    /// Where requests come from: values of the first of these levels. Empty when that is not known.
    pub from: Vec<Arc<str>>,
    /// Of its capacity, what a ring takes before it hands on, below 1.
    pub spill_at: Factor,
    /// Requests in flight that fill a unit of weight; `None` to go by reports alone.
    pub capacity_per_weight: Option<u32>,
    /// Whether other regions get a request now and then, to know their latency.
    pub probe: bool,
    /// Connections that each worker of the proxy keeps open to each instance of the next rings; none with 0.
    pub warm_connections: u32,
}

impl Default for Geographical {
    fn default() -> Self {
        Self {
            within: Box::default(),
            levels: vec![Level::Region, Level::Zone],
            from: Vec::new(),
            spill_at: Factor::clamped(0.8),
            capacity_per_weight: None,
            probe: true,
            warm_connections: 1,
        }
    }
}

/// How many rings after the nearest are on standby.
const STANDBY_RINGS: usize = 2;
/// Most instances on standby: a worker's share of its descriptors is not for connections without requests.
const STANDBY: usize = 64;
/// Failed tries in a ring after which a request goes further out.
const TRIES: usize = 2;

/// How often rings are measured at least.
const MEASURE: Nanos = Nanos::from_secs(1);
/// How fast a ring is believed that it is well again: all of it in five seconds.
const RISE: f32 = 0.2;
/// A region moves ahead of another when it is faster by more than this part, so that near equals stay in order…
const FASTER: f64 = 0.9;
/// …and, where one of the two was not measured, by more than both may be wrong, and than this in ns.
const APART: f64 = 2e6;
/// How often a request may go astray to learn a latency.
const PROBE: Nanos = Nanos::from_secs(1);
/// After this time a region that is not measured is tried again.
const PROBE_UNKNOWN: Nanos = Nanos::from_secs(10);
/// After this time one that is measured is.
const PROBE_KNOWN: Nanos = Nanos::from_secs(30);
/// After this time without an answer, what was measured gives way to what connections tell of the way now.
const STALE: Nanos = Nanos::from_secs(60);

impl Strategy for Geographical {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        Box::new(Rings::new(self, None, candidates, seed))
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let before: &dyn std::any::Any = before;
        let before = before.downcast_ref::<Rings>();
        let before = before.filter(|before| before.settings == *self);
        Box::new(Rings::new(self, before, candidates, seed))
    }

    fn suits(&self, instances: u64, weight: u64) -> Result<(), String> {
        self.inner().suits(instances, weight)
    }

    fn request_key(&self) -> Option<RequestKey> {
        self.inner().request_key()
    }

    fn refresh_every(&self) -> Option<Nanos> {
        let within = self.inner().refresh_every();
        Some(within.map_or(MEASURE, |within| within.min(MEASURE)))
    }
}

impl Geographical {
    fn inner(&self) -> &dyn Strategy {
        match &*self.within {
            StrategySettings::geographical(nested) => nested.inner(),
            other => other.strategy(),
        }
    }

    /// Where `instance` is, by the first level.
    fn region<'i>(&self, instance: &'i Instance) -> &'i str {
        self.levels.first().map_or("", |level| level.of(instance))
    }

    /// Levels that `instance` shares with where requests come from.
    fn shared(&self, instance: &Instance) -> usize {
        let levels = self.levels.iter().zip(&self.from);
        levels
            .take_while(|(level, from)| level.of(instance) == &***from)
            .count()
    }
}

/// The candidates that `holds` holds.
fn part(candidates: &Candidates, holds: &dyn Fn(&Instance) -> bool) -> Candidates {
    let all = candidates.slots().iter().enumerate();
    let kept = all.filter(|(_, slot)| {
        let member = candidates.member(**slot);
        member.is_some_and(|member| holds(member.instance()))
    });
    let (shares, slots): (Vec<Share>, Vec<Slot>) =
        kept.map(|(index, slot)| (candidates.share(index), *slot)).unzip();
    let members = Arc::clone(candidates.members());
    Candidates::new(members, slots.into(), candidates.loads().clone()).with_shares(&shares)
}

#[derive(Debug)]
struct Rings {
    settings: Geographical,
    /// All candidates.
    everywhere: Box<dyn Picker>,
    /// The home region from the nearest ring outward, when it has several.
    near: Box<[Ring]>,
    /// By name.
    regions: Box<[Ring]>,
    /// The home region, when the service has instances there.
    home: Option<usize>,
    /// Indexes of `regions` from the fastest. Relaxed: who reads while it changes may see a region twice or miss one,
    /// for this pick.
    order: Box<[AtomicU32]>,
    limit: Option<Limit>,
    /// When the writer last looked, plus one; 0 for never.
    looked: AtomicU64,
    /// When a request last went astray.
    probed: AtomicU64,
    rate: Rate,
}

impl Rings {
    fn new(settings: &Geographical, before: Option<&Self>, candidates: &Candidates, seed: u64) -> Self {
        let strategy = settings.inner();
        // Members of a priority that nobody needs at present are not missing.
        let priorities = candidates
            .slots()
            .iter()
            .filter_map(|slot| candidates.member(*slot));
        let last = priorities
            .map(|member| member.instance().priority)
            .max()
            .unwrap_or(0);
        let in_use = || {
            let members = candidates.members().iter().flatten();
            members
                .map(|member| member.instance())
                .filter(move |instance| instance.priority <= last)
        };
        let ring = |name: &str, before: Option<&[Ring]>, holds: &dyn Fn(&Instance) -> bool| {
            let before = before.and_then(|rings| rings.iter().find(|ring| ring.name() == name));
            let members = in_use().filter(|instance| holds(instance));
            let weight = members.map(|instance| u64::from(instance.weight.get())).sum();
            let part = part(candidates, holds);
            Ring::new(name, &part, weight, strategy, before, seed)
        };
        let mut names: Vec<&str> = in_use().map(|instance| settings.region(instance)).collect();
        names.sort_unstable();
        names.dedup();
        let regions = names.iter().map(|name| {
            ring(name, before.map(|before| &*before.regions), &|instance| {
                settings.region(instance) == *name
            })
        });
        let regions: Box<[Ring]> = regions.collect();
        let home = settings
            .from
            .first()
            .and_then(|home| names.binary_search(&&**home).ok());
        let depths = if settings.from.len() > 1 && home.is_some() {
            1..settings.from.len().min(settings.levels.len()) + 1
        } else {
            1..1
        };
        let near = depths.rev().map(|depth| {
            let before = before.map(|before| &*before.near);
            ring(&depth.to_string(), before, &|instance| {
                settings.shared(instance) == depth
            })
        });
        let near = near.collect();
        let everywhere = match before {
            Some(before) => strategy.rebuild(&*before.everywhere, candidates, seed),
            None => strategy.build(candidates, seed),
        };
        // As before, whatever is expected by now: who moves, and by how much it takes, is for `refresh` to say. Those that are
        // new come last, by name.
        let rank = |ring: &Ring| {
            let before = before?;
            before
                .by_latency()
                .position(|index| before.regions[index].name() == ring.name())
        };
        let mut order: Vec<u32> = (0..regions.len() as u32).collect();
        order.sort_by_cached_key(|index| rank(&regions[*index as usize]).unwrap_or(usize::MAX));
        Self {
            everywhere,
            near,
            home,
            order: order.into_iter().map(AtomicU32::new).collect(),
            limit: settings
                .capacity_per_weight
                .map(|capacity| Limit::new(capacity, settings.spill_at)),
            looked: AtomicU64::new(before.map_or(0, |before| before.looked.load(Relaxed))),
            probed: AtomicU64::new(before.map_or(0, |before| before.probed.load(Relaxed))),
            rate: Rate::new(&regions, before.map(|before| (&before.rate, &*before.regions))),
            regions,
            settings: settings.clone(),
        }
    }

    /// The region that a request says it comes from, when the service has instances there.
    fn region_of(&self, request: &PickRequest<'_>) -> Option<usize> {
        self.find(request.region?)
    }

    fn find(&self, name: &str) -> Option<usize> {
        if name.is_empty() || self.settings.levels.first() != Some(&Level::Region) {
            return None;
        }
        self.regions.binary_search_by(|ring| ring.name().cmp(name)).ok()
    }

    /// The rings around a balancer or client with these ones in its region `home`, from the nearest outward.
    /// And whether they are at home in them.
    fn outward<'r>(
        &'r self,
        near: &'r [Ring],
        home: Option<usize>,
    ) -> impl Iterator<Item = (&'r Ring, bool)> {
        let first = home.filter(|_| near.is_empty()).map(|home| &self.regions[home]);
        let others = self.by_latency().filter(move |index| Some(*index) != home);
        let others = others.map(|index| (&self.regions[index], false));
        near.iter().chain(first).map(|ring| (ring, true)).chain(others)
    }

    /// The regions, from the fastest.
    fn by_latency(&self) -> impl Iterator<Item = usize> {
        self.order.iter().map(|index| index.load(Relaxed) as usize)
    }

    /// Compares the times of all rings with those further out.
    fn ease(&self, passed: Option<Nanos>) {
        let times: Vec<Option<f32>> = self.regions.iter().map(Ring::measure).collect();
        let known = times
            .iter()
            .enumerate()
            .filter_map(|(index, time)| Some((index, (*time)?)));
        let least = |but: Option<usize>| {
            let others = known.clone().filter(|(index, _)| Some(*index) != but);
            others.min_by(|(_, one), (_, other)| one.total_cmp(other))
        };
        let first = least(None);
        let second = first.and_then(|(index, _)| least(Some(index)));
        // The fastest of the regions but this one.
        let fastest = |but: Option<usize>| {
            let other = first.filter(|(index, _)| Some(*index) != but).or(second);
            other.map(|(_, time)| time)
        };
        for (index, ring) in self.regions.iter().enumerate() {
            ring.ease(fastest(Some(index)), passed);
        }
        // From the outermost ring of the home region inward.
        let mut next = fastest(self.home);
        for ring in self.near.iter().rev() {
            let time = ring.measure();
            ring.ease(next, passed);
            next = [next, time].into_iter().flatten().min_by(f32::total_cmp);
        }
    }

    /// Expects response times of regions that nobody measured: the way there, which connections tell, and the work of
    /// those where both are known. Where that is known of none, those that were measured come first.
    fn expect(&self, now: Nanos) {
        let mut works: Vec<u64> = self
            .regions
            .iter()
            .filter_map(Ring::work)
            .map(|work| work as u64)
            .collect();
        let (work, error) = if works.is_empty() {
            let measured = self.regions.iter().map(Ring::latency);
            let slowest = measured.filter(|latency| *latency != u64::MAX).max();
            slowest.map_or((0, 0.0), |slowest| (slowest, slowest as f32))
        } else {
            ring::median(&mut works)
        };
        for ring in &self.regions {
            ring.expect(work as f32, error, now);
        }
    }

    /// A region other than `home` whose latency is to be learnt, and nobody else is about to.
    fn astray(&self, home: Option<usize>, now: Nanos) -> Option<&Ring> {
        if !self.settings.probe {
            return None;
        }
        let last = self.probed.load(Relaxed);
        // A clock that steps back is a long time, too.
        if now.0.abs_diff(last) < PROBE.0 {
            return None;
        }
        // One of the workers that see it due goes astray. Relaxed: only who wins matters.
        let won = self.probed.compare_exchange(last, now.0, Relaxed, Relaxed);
        won.ok()?;
        let mut others = self
            .regions
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != home);
        others
            .find(|(_, ring)| ring.take_probe(now))
            .map(|(_, ring)| ring)
    }
}

impl Picker for Rings {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let (near, home) = match self.region_of(request) {
            Some(region) if Some(region) != self.home => (&[][..], Some(region)),
            // Nobody said where from.
            None if self.settings.from.is_empty() => return self.everywhere.pick(request, cx),
            _ => (&*self.near, self.home),
        };
        // A key has its place, and a request that failed has had its share of bad luck.
        if request.key.is_none()
            && request.tried.is_empty()
            && let Some(astray) = self.astray(home, cx.now)
        {
            return astray.pick(request, cx);
        }
        // One draw serves all rings: what is left of it is uniform again among what is handed on.
        let mut place = if request.key.is_none() {
            cx.rng.unit() as f32
        } else {
            0.0
        };
        for (ring, is_home) in self.outward(near, home) {
            if ring.has_failed(request.tried) {
                continue;
            }
            let keeps = ring.keeps(is_home, self.limit.as_ref(), cx.now);
            let place_here = request.key.map_or(place, |key| ring.place_of(key));
            if place_here < keeps {
                return ring.pick(request, cx);
            }
            place = (place - keeps) / (1.0 - keeps);
        }
        self.everywhere.pick(request, cx)
    }

    fn refresh(&self, now: Nanos) {
        self.everywhere.refresh(now);
        let before = self.looked.swap(now.0.saturating_add(1), Relaxed);
        let passed = before.checked_sub(1).map(|before| now.since(Nanos(before)));
        if passed.is_none() {
            self.probed.store(now.0, Relaxed);
        }
        let rings = || self.near.iter().chain(&self.regions);
        let best = rings().map(Ring::health).fold(0.0, f32::max);
        for ring in rings() {
            ring.refresh(best, self.settings.spill_at.get() as f32, passed, now);
        }
        self.ease(passed);
        host(&self.regions, &self.rate, passed);
        self.expect(now);
        // Insertion by latency, as long as it is worth it.
        let mut order: Vec<usize> = self.by_latency().collect();
        for end in 1..order.len() {
            let mut at = end;
            while at > 0 && self.regions[order[at]].is_nearer(&self.regions[order[at - 1]]) {
                order.swap(at, at - 1);
                at -= 1;
            }
        }
        for (place, index) in self.order.iter().zip(order) {
            place.store(index as u32, Relaxed);
        }
    }
    fn settle(&self, now: Nanos) {
        // What is known of the rings themselves was handed on.
        self.everywhere.settle(now);
        self.near
            .iter()
            .chain(&self.regions)
            .for_each(|ring| ring.settle(now));
    }

    fn standby(&self, each: &mut dyn FnMut(Slot, u32)) {
        let connections = self.settings.warm_connections;
        if connections == 0 || self.settings.from.is_empty() {
            return;
        }
        let later = self.outward(&self.near, self.home).skip(1);
        let next = later.map(|(ring, _)| ring).filter(|ring| !ring.is_empty());
        let slots = next.take(STANDBY_RINGS).flat_map(Ring::slots).take(STANDBY);
        slots.for_each(|slot| each(slot, connections));
    }
    fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        // What is known of instances, all of them are there; the weights of each ring are its own.
        self.everywhere.learned(each);
        let mut of_ring = |ring: &Ring, name: &str| {
            ring.learned(&mut |learned| {
                if let Learned::ResourceWeight {
                    resource,
                    weight,
                    trust,
                    ..
                } = learned
                {
                    each(Learned::ResourceWeight {
                        resource,
                        weight,
                        trust,
                        place: Some(name),
                    });
                }
            });
        };
        // The last of these is the home region but for the nearer ones.
        for (ring, depth) in self.near.iter().rev().zip(1..) {
            of_ring(ring, &self.settings.from[..depth].join("/"));
        }
        let whole = |index: &usize| self.near.is_empty() || Some(*index) != self.home;
        for index in (0..self.regions.len()).filter(whole) {
            of_ring(&self.regions[index], self.regions[index].name());
        }
        for (rank, index) in self.by_latency().enumerate() {
            let ring = &self.regions[index];
            if let Some((seconds, error, measured)) = ring.outlook() {
                each(Learned::RegionTime {
                    region: ring.name(),
                    seconds,
                    error,
                    measured,
                    rank,
                });
            }
        }
    }

    fn knows_region(&self, region: &str) -> bool {
        self.settings.levels.first() != Some(&Level::Region) || self.find(region).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StrategyName;

    #[test]
    fn it_looks_as_often_as_the_strategy_within_wants_and_once_a_second_at_least() {
        let every = |within: StrategySettings| {
            let within = Box::new(within);
            let strategy = Geographical {
                within,
                ..Geographical::default()
            };
            let nested = Geographical {
                within: Box::new(StrategySettings::geographical(strategy.clone())),
                ..Geographical::default()
            };
            assert_eq!(strategy.refresh_every(), nested.refresh_every());
            strategy.refresh_every()
        };
        for name in StrategyName::ALL {
            let own = name.strategy().refresh_every();
            let wanted = own.map_or(MEASURE, |own| own.min(MEASURE));
            assert_eq!(every((*name).into()), Some(wanted), "{name}");
        }
        let hot_cold = every(StrategyName::hot_cold.into());
        assert_eq!(hot_cold, Some(Nanos::from_millis(250)));
        assert_eq!(every(StrategyName::round_robin.into()), Some(MEASURE));
    }
}
