//! The owner of the request's key in a table of prime size (Eisenbud et al., "Maglev", NSDI 2016).
//!
//! Every instance has its own permutation of the table's places, `(offset + i × skip) mod M`. In turns, and
//! the more turns the heavier it is, each takes the first of its places that is still free, until none is. A
//! pick is one read. Shares are even to within `n/M`, far better than a ring's; the price is that a change
//! of members moves about twice the keys it must, and costs a new table.
//!
//! Where there are fewer than [`PLACES_EACH`] places for each instance the table is of a greater size: with fewer
//! places than instances some would get nothing for ever. The number of instances alone decides, so all
//! balancers agree; all keys move when it crosses such a limit. Envoy's table has the size that it is given.
//!
//! A view whose members are those of the view before shares its table.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Picker, Strategy};
use crate::Nanos;
use crate::hash::{KeyHash, RequestKey, mix, xxh64};
use crate::keyed::{self, HashSettings, Hashing, Keyed, Table};
use crate::math::Divisor;
use crate::view::{Candidates, Slot};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maglev {
    /// What all strategies have that hash.
    pub hash: HashSettings,
    /// Places in the table; more, if there are many instances.
    pub table_size: TableSize,
    /// Whether the table is Envoy's: from addresses, with XXH64.
    pub envoy: bool,
}

/// How many places a table has: a prime, well above the number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize(u32);

impl TableSize {
    /// Those to choose from: the largest prime below each power of two, the sizes of the paper, and the
    /// largest that Envoy takes.
    pub const ALL: [u32; 14] = [
        1021, 2039, 4093, 8191, 16_381, 32_749, 65_537, 131_071, 262_139, 524_287, 655_373, 1_048_573,
        2_097_143, 5_000_011,
    ];

    /// `None` unless in [`Self::ALL`].
    #[must_use]
    pub fn new(size: u32) -> Option<Self> {
        Self::ALL.contains(&size).then_some(Self(size))
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The size for so many `instances`: this one, or the least of [`Self::ALL`] in which each has its places; the
    /// greatest where none is enough.
    #[must_use]
    pub fn for_instances(self, instances: u64) -> Self {
        let mut greater = Self::ALL.into_iter().filter(|size| *size >= self.0);
        let enough = greater.find(|size| u64::from(*size) >= PLACES_EACH * instances);
        enough.or(Self::ALL.last().copied()).map_or(self, Self)
    }
}

/// Places per instance, at least: shares are then even to a tenth.
const PLACES_EACH: u64 = 10;

impl Default for TableSize {
    fn default() -> Self {
        Self(65_537)
    }
}

impl Strategy for Maglev {
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
        Some(self.hash.request_key(self.envoy.then_some(KeyHash::Xxh64)))
    }

    fn suits(&self, instances: u64, _weight: u64) -> Result<(), String> {
        let size = self.table_size.get();
        if self.envoy && instances > u64::from(size) {
            return Err(format!(
                "{instances} instances share a table of {size} places, and those that find none free would never be \
                 chosen: make `table_size` at least ten times as great (here and in Envoy)"
            ));
        }
        Ok(())
    }
}

impl Hashing for Maglev {
    type Local = Keyed<Self, Places>;

    fn hash(&self) -> &HashSettings {
        &self.hash
    }

    fn hash_mut(&mut self) -> &mut HashSettings {
        &mut self.hash
    }

    fn is_compatible(&self) -> bool {
        self.envoy
    }

    fn local(&self, before: Option<&Self::Local>, candidates: &Candidates) -> Self::Local {
        Keyed::new(self, before, candidates, |_| self.places(candidates, ALIKE))
    }
}

/// Iterations over the mean of turns, up to which asking everybody each time is cheaper than a heap.
const ALIKE: f64 = 4.0;

/// An instance that takes places.
struct Entry {
    place: u32,
    skip: u32,
    /// Share of all weights.
    weight: f64,
    /// A turn is due when the iteration's number times the weight reaches this.
    due: f64,
    slot: u32,
}

impl Maglev {
    /// The table. On average O(M log M).
    fn places(&self, candidates: &Candidates, alike: f64) -> Places {
        let members = (0..).zip(candidates.members().iter());
        // The order in which they take their turns must be anything but that of registration.
        let mut order: Vec<(String, u64, u64, u32, u32)> = members
            .filter_map(|(slot, member)| Some((slot, member.as_ref()?.instance())))
            .map(|(slot, instance)| {
                let weight = instance.weight.get();
                if self.envoy {
                    let address = instance.address.to_string();
                    let hash = |seed| xxh64(address.as_bytes(), seed);
                    let (offset, skip) = (hash(0), hash(1));
                    (address, offset, skip, weight, slot)
                } else {
                    let hash = self.hash.secret.hash(instance.id.as_str().as_bytes());
                    (String::new(), hash, mix(hash), weight, slot)
                }
            })
            .collect();
        if self.envoy {
            order.sort_unstable();
        } else {
            // The same order, without asking for each pair which of two empty texts comes first: half of the work else.
            order.sort_unstable_by_key(|(_, offset, skip, weight, slot)| (*offset, *skip, *weight, *slot));
        }
        let size = match self.envoy {
            true => self.table_size.0,
            false => self.table_size.for_instances(order.len() as u64).0,
        };
        let total: f64 = order.iter().map(|(.., weight, _)| f64::from(*weight)).sum();
        let most = order
            .iter()
            .map(|(.., weight, _)| f64::from(*weight) / total)
            .fold(0.0, f64::max);
        let mut entries: Vec<Entry> = order
            .iter()
            .map(|(_, offset, skip, weight, slot)| Entry {
                place: (offset % u64::from(size)) as u32,
                skip: (skip % u64::from(size - 1)) as u32 + 1,
                weight: f64::from(*weight) / total,
                due: 0.0,
                slot: *slot,
            })
            .collect();
        let mut filling = Filling::new(if entries.is_empty() { 0 } else { size });
        let mut take = |entry: &mut Entry| {
            filling.take(entry);
            entry.due += most;
            filling.left > 0
        };
        if most * entries.len() as f64 <= alike {
            // Hardly anybody is asked in vain.
            let mut iteration = 0.0;
            'full: while !entries.is_empty() {
                iteration += 1.0;
                for entry in &mut entries {
                    if iteration * entry.weight >= entry.due && !take(entry) {
                        break 'full;
                    }
                }
            }
        } else {
            // The same turns by a heap: by iteration, and within one in order.
            let mut turns: BinaryHeap<_> = (0..entries.len()).map(|index| Reverse((1, index))).collect();
            while let Some(mut turn) = turns.peek_mut() {
                let Reverse((iteration, index)) = *turn;
                let entry = &mut entries[index];
                if !take(entry) {
                    break;
                }
                *turn = Reverse((entry.next_turn(iteration), index));
            }
        }
        Places {
            size: filling.size,
            owners: filling.owners.into(),
        }
    }
}

/// A table that is being filled.
struct Filling {
    size: Divisor,
    owners: Vec<u32>,
    left: usize,
    /// Most looks find a place taken: a bit each, so that all of them stay in the nearest cache.
    taken: Vec<u64>,
    /// The places that are left, once they are [few](Self::are_few).
    few: Vec<u32>,
}

impl Filling {
    fn new(size: u32) -> Self {
        Self {
            size: Divisor::new(size.into()),
            owners: vec![FREE; size as usize],
            left: size as usize,
            taken: vec![0; (size as usize).div_ceil(64)],
            few: Vec::new(),
        }
    }

    /// Whether so few are left that comparing all of them takes fewer steps than walking to the next, which finds one of
    /// `left` in `M / left` looks. Of all `M ln M` looks that would be, those of the last `√M` places are half.
    fn are_few(&self) -> bool {
        self.left * self.left <= self.owners.len()
    }

    /// Gives the first place of `entry` that is free to it. There is one.
    #[inline]
    fn take(&mut self, entry: &mut Entry) {
        let size = self.owners.len() as u32;
        let place = if self.are_few() {
            self.nearest(entry)
        } else {
            let mut place = entry.place;
            while self.is_taken(place) {
                place = entry.after(place, size);
            }
            place
        };
        self.taken[place as usize / 64] |= 1 << (place % 64);
        self.owners[place as usize] = entry.slot;
        self.left -= 1;
        entry.place = entry.after(place, size);
    }

    #[inline]
    fn is_taken(&self, place: u32) -> bool {
        self.taken[place as usize / 64] >> (place % 64) & 1 != 0
    }

    /// The same place that walking would find: of those left, the one that `entry` comes to first.
    #[cold]
    fn nearest(&mut self, entry: &Entry) -> u32 {
        let size = self.owners.len() as u32;
        if self.few.is_empty() {
            self.few = (0..size).filter(|place| !self.is_taken(*place)).collect();
        }
        let each = self.inverse(entry.skip);
        let steps = |place: u32| self.modulo(u64::from(place + size - entry.place) * each);
        let places = (0..).zip(&self.few);
        let first = places.min_by_key(|(_, place)| steps(**place));
        self.few.swap_remove(first.map_or(0, |(index, _)| index))
    }

    /// What times `skip` is 1, by Fermat's little theorem: the size is prime.
    fn inverse(&self, skip: u32) -> u64 {
        let (mut power, mut exponent, mut inverse) = (u64::from(skip), self.owners.len() - 2, 1);
        while exponent > 0 {
            if exponent % 2 == 1 {
                inverse = self.modulo(inverse * power);
            }
            power = self.modulo(power * power);
            exponent /= 2;
        }
        inverse
    }

    fn modulo(&self, number: u64) -> u64 {
        self.size.div_rem(number).1
    }
}

impl Entry {
    /// The place after `place` in its order.
    #[inline]
    fn after(&self, place: u32, size: u32) -> u32 {
        // Both below the size, which is far below 2^31: the lesser is the one that did not wrap around. Without a branch,
        // which would be guessed wrong every other time.
        let next = place + self.skip;
        next.min(next.wrapping_sub(size))
    }

    /// The first iteration after `last` in which a turn is due: `iteration × weight ≥ due`, in just these
    /// operations, whose rounding decides.
    fn next_turn(&self, last: u32) -> u32 {
        let mut next = (last + 1).max((self.due / self.weight) as u32);
        while f64::from(next) * self.weight < self.due {
            next += 1;
        }
        while next > last + 1 && f64::from(next - 1) * self.weight >= self.due {
            next -= 1;
        }
        next
    }
}

/// No slot has this number.
const FREE: u32 = u32::MAX;

/// Owners by place.
#[derive(Debug)]
pub(crate) struct Places {
    size: Divisor,
    owners: Box<[u32]>,
}

impl Table for Places {
    #[inline]
    fn owner(&self, hash: u64) -> Option<Slot> {
        let (_, place) = self.size.div_rem(hash);
        self.owners.get(place as usize).map(|slot| Slot(*slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strategy;
    use crate::testing::candidates;
    use crate::{PickContext, PickRequest};

    #[test]
    fn sizes_are_prime() {
        for size in TableSize::ALL {
            assert!(
                (2..).take_while(|d| d * d <= size).all(|d| size % d != 0),
                "{size}"
            );
        }
        assert_eq!(TableSize::new(65_536), None);
        assert!(TableSize::new(TableSize::default().get()).is_some());
    }

    /// Each in turn walks to its next free place, as the paper has it.
    #[test]
    fn the_last_places_go_to_whom_they_would_by_walking() {
        let maglev = Maglev {
            table_size: TableSize(1021),
            ..Maglev::default()
        };
        let service = candidates(&[1; 30]).unwrap();
        let mut order: Vec<(u64, u32)> = (0..30)
            .map(|slot| (maglev.hash.secret.hash(format!("i{slot}").as_bytes()), slot))
            .collect();
        order.sort_unstable();
        let mut owners = vec![FREE; 1021];
        let mut steps = [0; 30];
        for turn in 0..1021 {
            let (hash, slot) = order[turn % 30];
            let (offset, skip) = (hash % 1021, mix(hash) % 1020 + 1);
            let mut walk = (steps[turn % 30]..).map(|step| (step, ((offset + step * skip) % 1021) as usize));
            let (step, place) = walk.find(|(_, place)| owners[*place] == FREE).unwrap();
            steps[turn % 30] = step;
            owners[place] = slot;
        }
        assert_eq!(*maglev.places(&service, f64::INFINITY).owners, *owners);
    }

    /// And both ways of taking turns are the same.
    #[test]
    fn places_are_taken_by_weight() {
        for weights in [
            vec![1; 30],
            vec![1, 2, 3, 4, 5],
            vec![1000, 1, 1, 7, 1, 1, 1, 1],
            vec![65_535, 3],
        ] {
            let maglev = Maglev {
                table_size: TableSize(1021),
                ..Maglev::default()
            };
            let service = candidates(&weights).unwrap();
            let places = maglev.places(&service, f64::INFINITY);
            assert_eq!(places.owners, maglev.places(&service, 0.0).owners);
            let total: u32 = weights.iter().sum();
            let mut counts = vec![0u32; weights.len()];
            places.owners.iter().for_each(|slot| counts[*slot as usize] += 1);
            for (count, weight) in counts.iter().zip(&weights) {
                let share = 1021.0 * f64::from(*weight) / f64::from(total);
                assert!(
                    (f64::from(*count) - share).abs() <= 1.0 + weights.len() as f64,
                    "{counts:?}"
                );
            }
        }
        let none = Maglev::default().build(&candidates(&[]).unwrap(), 1);
        assert!(
            none.pick(&PickRequest::default(), &mut PickContext::new(1))
                .is_err()
        );
    }
}
