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
//! A view whose members are those of the view before shares its ring; one with other members copies it with
//! the points that come and go.

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
                .unwrap_or_else(|| Ring::new(&self.all_points(candidates)))
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

impl ConsistentHash {
    fn all_points(&self, candidates: &Candidates) -> Vec<Point> {
        let members = candidates.members();
        let mut points = Vec::new();
        match self.ring {
            RingKind::Keyed { virtual_nodes } => {
                let halvings = halvings(members, virtual_nodes);
                for (slot, member) in present(members) {
                    self.points_of(slot, member, halvings, &mut points);
                }
            }
            RingKind::Ketama => ketama(members, &mut points),
            RingKind::Envoy => envoy(members, &mut points),
        }
        points
    }

    /// Puts the points of one member of a keyed ring behind `points`.
    fn points_of(&self, slot: u32, member: &Member, halvings: u32, points: &mut Vec<Point>) {
        let RingKind::Keyed { virtual_nodes } = self.ring else {
            return;
        };
        let instance = member.instance();
        let start = self.hash.secret.hash(instance.id.as_str().as_bytes());
        let count = (u64::from(virtual_nodes) * u64::from(instance.weight.get())) >> halvings;
        points.extend((0..count.max(1)).map(|index| (nth(start, index), slot)));
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
            if let Some(old) = old {
                self.points_of(slot as u32, old, count, &mut remove);
            }
            if let Some(new) = new {
                self.points_of(slot as u32, new, count, &mut add);
            }
        }
        let points = ring.len() + add.len() - remove.len();
        // Most of it new: sorting the changes would cost more than all.
        let much = add.len() + remove.len() > points / 4;
        (!much && !ring.is_outgrown_by(points)).then(|| ring.change(&add, &remove))
    }
}

/// How often the number of points is halved.
fn halvings(members: Members<'_>, virtual_nodes: u32) -> u32 {
    let (mut n, mut weight) = (0u64, 0u64);
    for (_, member) in present(members) {
        n += 1;
        weight += u64::from(member.instance().weight.get());
    }
    let most = MAX_POINTS.max(POINTS_EACH * n.next_power_of_two());
    let wanted = weight.saturating_mul(virtual_nodes.into());
    (0..48).find(|halvings| wanted >> halvings <= most).unwrap_or(48)
}

/// The points of nginx: for each server a chain of CRC-32 over host, zero byte, port and the hash before.
fn ketama(members: Members<'_>, points: &mut Vec<Point>) {
    let halvings = halvings(members, KETAMA_POINTS);
    for (slot, member) in present(members) {
        let instance = member.instance();
        let mut base = crc32fast::Hasher::new();
        base.update(instance.address.ip().to_string().as_bytes());
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
