//! The owner of the request's key on a ring of virtual nodes (Karger et al., 1997), with bounded load when
//! asked for (see [`crate::HashSettings`] and the picker in `keyed`).
//!
//! An instance has [`ConsistentHash::virtual_nodes`] points per unit of weight, at hashes that its id and
//! the secret decide: one keyed hash of the id starts a sequence, and the points are its words. Its share of
//! the keys deviates by about `1/√points` of itself (8 % at 160). When all points together would exceed a
//! cap, every instance has half as many, a quarter, …, which are the first ones of its sequence: only the
//! crossing of a power of two moves keys of others. The cap holds against weights that are meant to fill
//! the memory; below it one instance that comes moves its own keys and nobody else's.
//!
//! A view whose members are those of the view before shares its ring; one with other members shares those chunks of it
//! that no point comes to or leaves.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Picker, Strategy};
use crate::hash::{KeyHash, RequestKey, nth, xxh64};
use crate::keyed::{self, HashSettings, Hashing, Keyed, Point, Ring};
use crate::view::{Candidates, Member};
use crate::{InstanceId, Nanos, Weight};

/// Points of a ring, at most: of 12 bytes each, and for more than 4096 instances [`POINTS_EACH`].
const MAX_POINTS: u64 = 1 << 18;
/// Points per instance that a large ring may have.
const POINTS_EACH: u64 = 64;
/// Points of one server of weight 1 in nginx.
const KETAMA_POINTS: u32 = 160;
/// Points of a ring of nginx, at most: as many as Envoy has. nginx has as many as weights ask for; above this
/// [`Strategy::suits`] says no, and a ring that is built all the same has half as many instead of filling the memory.
const KETAMA_MOST: u64 = 1 << 23;

/// The strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistentHash {
    /// What all strategies have that hash.
    pub hash: HashSettings,
    /// Whose ring it is.
    pub ring: RingKind,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self {
            hash: HashSettings::default(),
            ring: RingKind::Keyed { virtual_nodes: 160 },
        }
    }
}

/// How the points of a ring are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingKind {
    /// From ids under the secret.
    Keyed {
        /// Points per unit of weight, at least 1.
        virtual_nodes: u32,
    },
    /// From addresses as nginx does it (`hash … consistent`): CRC-32, 160 points per unit of weight.
    Ketama,
    /// From addresses as Envoy does it (`RING_HASH` with XXH64 and its default sizes).
    Envoy,
}

impl Strategy for ConsistentHash {
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
        Some(self.hash.request_key(match self.ring {
            RingKind::Keyed { .. } => None,
            RingKind::Ketama => Some(KeyHash::Crc32),
            RingKind::Envoy => Some(KeyHash::Xxh64),
        }))
    }

    fn suits(&self, _instances: u64, weight: u64) -> Result<(), String> {
        let most = KETAMA_MOST / u64::from(KETAMA_POINTS);
        if self.ring == RingKind::Ketama && weight > most {
            return Err(format!(
                "weights add up to {weight}, and ketama has {KETAMA_POINTS} points in memory per unit of weight: divide \
                 the weights by a common number, so that they add up to {most} at most (nginx needs the same ones)"
            ));
        }
        Ok(())
    }
}

impl Hashing for ConsistentHash {
    type Local = Keyed<Self, Ring>;

    fn hash(&self) -> &HashSettings {
        &self.hash
    }

    fn hash_mut(&mut self) -> &mut HashSettings {
        &mut self.hash
    }

    fn is_compatible(&self) -> bool {
        !matches!(self.ring, RingKind::Keyed { .. })
    }

    fn local(&self, before: Option<&Self::Local>, candidates: &Candidates) -> Self::Local {
        Keyed::new(self, before, candidates, |before| {
            before
                .and_then(|before| self.change(&before.members, &before.table, candidates))
                .unwrap_or_else(|| self.ring_of(candidates.members()))
        })
    }
}

type Members<'m> = &'m [Option<Arc<Member>>];

fn at(members: Members<'_>, slot: usize) -> Option<&Member> {
    members.get(slot)?.as_deref()
}

/// What the points of a member are made of.
fn place(member: Option<&Member>) -> Option<(&InstanceId, Weight)> {
    let instance = member?.instance();
    Some((&instance.id, instance.weight))
}

fn present(members: Members<'_>) -> impl Iterator<Item = (u32, &Member)> {
    let slots = (0..).zip(members);
    slots.filter_map(|(slot, member)| Some((slot, &**member.as_ref()?)))
}

/// The points of one member of a keyed ring: the first words of a sequence.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    slot: u32,
    start: u64,
    count: u64,
}

impl Sequence {
    fn points(self) -> impl Iterator<Item = Point> + Clone {
        (0..self.count).map(move |index| (nth(self.start, index), self.slot))
    }
}

impl ConsistentHash {
    /// The ring of `members`, made anew.
    fn ring_of(&self, members: Members<'_>) -> Ring {
        let mut points = Vec::new();
        match self.ring {
            RingKind::Keyed { virtual_nodes } => {
                let sequences = self.sequences(members, virtual_nodes);
                return Ring::new(sequences.iter().flat_map(|sequence| sequence.points()));
            }
            RingKind::Ketama => ketama(members, &mut points),
            RingKind::Envoy => envoy(members, &mut points),
        }
        Ring::new(points.into_iter())
    }

    /// The points of all members of a keyed ring.
    fn sequences(&self, members: Members<'_>, virtual_nodes: u32) -> Vec<Sequence> {
        let halvings = halvings(members, virtual_nodes);
        let present = present(members);
        present
            .map(|(slot, member)| self.sequence(slot, member, virtual_nodes, halvings))
            .collect()
    }

    /// The points of one member of a keyed ring.
    fn sequence(&self, slot: u32, member: &Member, virtual_nodes: u32, halvings: u32) -> Sequence {
        let instance = member.instance();
        let count = (u64::from(virtual_nodes) * u64::from(instance.weight.get())) >> halvings;
        Sequence {
            slot,
            start: self.hash.secret.hash(instance.id.as_str().as_bytes()),
            count: count.max(1),
        }
    }

    /// The ring after members changed; `None` when it is better made anew.
    fn change(&self, before: Members<'_>, ring: &Ring, candidates: &Candidates) -> Option<Ring> {
        let RingKind::Keyed { virtual_nodes } = self.ring else {
            return None;
        };
        let now = candidates.members();
        let count = halvings(now, virtual_nodes);
        if count != halvings(before, virtual_nodes) {
            return None;
        }
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for slot in 0..before.len().max(now.len()) {
            let (old, new) = (at(before, slot), at(now, slot));
            if place(old) == place(new) {
                continue;
            }
            let points = |member| self.sequence(slot as u32, member, virtual_nodes, count).points();
            remove.extend(old.into_iter().flat_map(points));
            add.extend(new.into_iter().flat_map(points));
        }
        let points = ring.len() + add.len() - remove.len();
        // Most of it new: sorting the changes would cost more than all.
        let much = add.len() + remove.len() > points / 4;
        (!much && !ring.is_outgrown_by(points)).then(|| ring.change(&add, &remove))
    }
}

/// How many members there are, and the sum of their weights.
fn sums(members: Members<'_>) -> (u64, u64) {
    let weights = present(members).map(|(_, member)| u64::from(member.instance().weight.get()));
    weights.fold((0, 0), |(n, sum), weight| (n + 1, sum + weight))
}

/// How often the number of points of a keyed ring is halved.
fn halvings(members: Members<'_>, virtual_nodes: u32) -> u32 {
    let (n, weight) = sums(members);
    let most = MAX_POINTS.max(POINTS_EACH * n.next_power_of_two());
    halvings_to(most, weight.saturating_mul(virtual_nodes.into()))
}

/// How often `wanted` must be halved to be `most` or less.
fn halvings_to(most: u64, wanted: u64) -> u32 {
    (0..48).find(|halvings| wanted >> halvings <= most).unwrap_or(48)
}

/// The points of nginx: for each server a chain of CRC-32 over host, zero byte, port and the hash before. The host is
/// what nginx's configuration calls it: an address, that of IPv6 in brackets.
fn ketama(members: Members<'_>, points: &mut Vec<Point>) {
    let (_, weight) = sums(members);
    let halvings = halvings_to(KETAMA_MOST, weight * u64::from(KETAMA_POINTS));
    for (slot, member) in present(members) {
        let instance = member.instance();
        let host = match instance.address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let mut base = crc32fast::Hasher::new();
        base.update(host.as_bytes());
        base.update(&[0]);
        base.update(instance.address.port().to_string().as_bytes());
        let mut hash = 0u32;
        let count = (u64::from(KETAMA_POINTS) * u64::from(instance.weight.get())) >> halvings;
        points.extend((0..count.max(1)).map(|_| {
            let mut next = base.clone();
            next.update(&hash.to_le_bytes());
            hash = next.finalize();
            (u64::from(hash) << 32, slot)
        }));
    }
}

/// The points of Envoy with `minimum_ring_size` 1024 and `maximum_ring_size` 8 Mi: the lightest host has a
/// whole number of them, at least as many as bring the ring to the minimum.
fn envoy(members: Members<'_>, points: &mut Vec<Point>) {
    const MINIMUM: f64 = 1024.0;
    const MAXIMUM: f64 = 8_388_608.0;
    let weight = |member: &Member| f64::from(member.instance().weight.get());
    let total: f64 = present(members).map(|(_, member)| weight(member)).sum();
    let least = present(members)
        .map(|(_, member)| weight(member))
        .fold(total, f64::min)
        / total;
    let scale = ((least * MINIMUM).ceil() / least).min(MAXIMUM);
    let (mut target, mut count) = (0.0, 0.0);
    for (slot, member) in present(members) {
        target += scale * (weight(member) / total);
        let address = member.instance().address.to_string();
        let mut index = 0;
        while count < target {
            points.push((xxh64(format!("{address}_{index}").as_bytes(), 0), slot));
            index += 1;
            count += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::candidates;

    fn counts(weights: &[u32]) -> Vec<u64> {
        let candidates = candidates(weights).unwrap();
        let sequences = ConsistentHash::default().sequences(candidates.members(), 160);
        assert!(
            sequences
                .iter()
                .map(|sequence| sequence.slot)
                .eq(0..weights.len() as u32)
        );
        sequences.iter().map(|sequence| sequence.count).collect()
    }

    /// Weights that are meant to fill the memory do not.
    #[test]
    fn points_are_capped_and_stay_in_proportion() {
        // 2^18 / 160 = 1638.4.
        assert_eq!(counts(&[1638]), [262_080]);
        assert_eq!(counts(&[1639]), [131_120]);
        assert_eq!(counts(&[1000, 638, 1]), [80_000, 51_040, 80]);
        assert_eq!(counts(&[65_535, 1000, 1]), [163_837, 2500, 2]);
        for weights in [vec![65_535; 40], vec![65_535; 300]] {
            let counts = counts(&weights);
            assert!(counts.iter().all(|count| *count == counts[0]));
            let sum: u64 = counts.iter().sum();
            assert!((MAX_POINTS / 2..=MAX_POINTS).contains(&sum), "{sum}");
        }
        // Each of very many has its points even so.
        let counts = counts(&[1; 20_000]);
        assert!(counts.iter().all(|count| *count == 80), "{:?}", counts[0]);
    }

    #[test]
    fn compatible_rings_have_bounds_of_their_own() {
        let of = |ring, weights: &[u32]| {
            let strategy = ConsistentHash {
                ring,
                ..ConsistentHash::default()
            };
            strategy.ring_of(candidates(weights).unwrap().members()).len() as u64
        };
        assert_eq!(of(RingKind::Ketama, &[1700]), 272_000, "as many as nginx");
        assert_eq!(of(RingKind::Ketama, &[52_428]), 8_388_480);
        assert_eq!(
            of(RingKind::Ketama, &[65_535]),
            5_242_800,
            "half, where `suits` refused"
        );
        assert_eq!(
            of(RingKind::Envoy, &[1, 1, 1]),
            1026,
            "as many each as reach 1024"
        );
        assert_eq!(of(RingKind::Envoy, &[1, 65_535]), 65_536);
    }
}
