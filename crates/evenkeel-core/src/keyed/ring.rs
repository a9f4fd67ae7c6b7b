//! Points on a ring, each owned by a member; a hash belongs to the first point at or after it.
//!
//! Points are kept in order, hashes and owners apart, under an index of equal parts of the hash space with
//! about [`PER_PART`] points each: hashes are uniform, so finding a point takes two reads and a short walk,
//! whatever the size. Building is a distribution into the parts; a change copies what lies between the
//! points that come and go. Where points fall together, the one of the lowest slot counts.

use crate::view::Slot;

use super::Table;

/// Points in a part of the index on average, at most.
const PER_PART: usize = 2;

/// A point: its hash and its owner's slot.
pub(crate) type Point = (u64, u32);

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    hashes: Vec<u64>,
    owners: Vec<u32>,
    /// Where each part begins, and where the last one ends; at least two parts.
    starts: Vec<u32>,
    /// The part of a hash is what is left after shifting by this.
    shift: u32,
}

impl Ring {
    /// The ring of `points` in any order. O(points).
    pub(crate) fn new(points: &[Point]) -> Self {
        let parts = (points.len() / PER_PART).next_power_of_two().max(2);
        let shift = 64 - parts.trailing_zeros();
        let mut next = vec![0u32; parts + 1];
        for (hash, _) in points {
            next[(hash >> shift) as usize + 1] += 1;
        }
        for i in 1..=parts {
            next[i] += next[i - 1];
        }
        let starts = next.clone();
        let mut sorted = vec![(0, 0); points.len()];
        for point in points {
            let place = &mut next[(point.0 >> shift) as usize];
            sorted[*place as usize] = *point;
            *place += 1;
        }
        for part in starts.windows(2) {
            sorted[part[0] as usize..part[1] as usize].sort_unstable();
        }
        let (hashes, owners) = sorted.into_iter().unzip();
        Self {
            hashes,
            owners,
            starts,
            shift,
        }
    }

    /// The same ring with the points of `add` and without those of `remove`, both in any order. Copies once
    /// and sorts what changes: O(points + changes × log changes).
    pub(crate) fn change(&self, add: &[Point], remove: &[Point]) -> Self {
        let added = add.iter().map(|point| (self.position(point), false, *point));
        let removed = remove.iter().map(|point| (self.position(point), true, *point));
        let mut cuts: Vec<(usize, bool, Point)> = added.chain(removed).collect();
        cuts.sort_unstable();
        let room = self.hashes.len() + add.len();
        let (mut hashes, mut owners) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut from = 0;
        // Where parts begin moves by what came and went before them.
        let mut starts = Vec::with_capacity(self.starts.len());
        let mut moved = 0u32;
        let mut shift_to = |part: usize, moved: u32| {
            let next = starts.len();
            starts.extend(
                self.starts[next..part.max(next)]
                    .iter()
                    .map(|start| start.wrapping_add(moved)),
            );
        };
        for (at, leaves, (hash, owner)) in cuts {
            // Of several equal points that leave, each is the next one.
            let at = at.max(from);
            // A point counts in all parts behind its own.
            shift_to((hash >> self.shift) as usize + 1, moved);
            moved = if leaves {
                moved.wrapping_sub(1)
            } else {
                moved.wrapping_add(1)
            };
            hashes.extend_from_slice(&self.hashes[from..at]);
            owners.extend_from_slice(&self.owners[from..at]);
            from = at + usize::from(leaves);
            if !leaves {
                hashes.push(hash);
                owners.push(owner);
            }
        }
        hashes.extend_from_slice(&self.hashes[from..]);
        owners.extend_from_slice(&self.owners[from..]);
        shift_to(self.starts.len(), moved);
        Self {
            hashes,
            owners,
            starts,
            shift: self.shift,
        }
    }

    /// Whether a ring of `points` made anew would have a finer or coarser index than this: time for that.
    pub(crate) fn is_outgrown_by(&self, points: usize) -> bool {
        let parts = self.starts.len().saturating_sub(1);
        parts == 0 || points > 4 * PER_PART * parts || (parts > 2 && points < PER_PART * parts / 4)
    }

    /// How many points there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Where `point` stands, or would.
    fn position(&self, point: &Point) -> usize {
        let mut at = self.first_from(point.0);
        while self.hashes.get(at) == Some(&point.0) && self.owners[at] < point.1 {
            at += 1;
        }
        at
    }

    /// The first point at or after `hash`.
    #[inline]
    fn first_from(&self, hash: u64) -> usize {
        let Some(start) = self.starts.get((hash >> self.shift) as usize) else {
            return 0;
        };
        let walk = self.hashes[*start as usize..].iter();
        *start as usize + walk.take_while(|point| **point < hash).count()
    }
}

impl Table for Ring {
    #[inline]
    fn owner(&self, hash: u64) -> Option<Slot> {
        let owner = self.owners.get(self.first_from(hash));
        // Behind the last point comes the first.
        owner.or_else(|| self.owners.first()).map(|slot| Slot(*slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn points(rng: &mut Rng, n: usize, owner: u32, mask: u64) -> Vec<Point> {
        (0..n).map(|_| (rng.next_u64() & mask, owner)).collect()
    }

    #[test]
    fn lookups_and_changes_agree_with_a_sorted_list() {
        let mut rng = Rng::new(1);
        // The mask makes some points fall together.
        for (n, mask) in [(0, !0), (1, !0), (2, !0), (7, !0), (1000, !0), (500, 0xFF << 56)] {
            let all: Vec<Vec<Point>> = (0..8).map(|owner| points(&mut rng, n, owner, mask)).collect();
            let ring = Ring::new(&all[..6].concat());
            let changed = ring.change(&all[6..].concat(), &all[..2].concat());
            for (ring, mut list) in [(ring, all[..6].concat()), (changed, all[2..].concat())] {
                list.sort_unstable();
                assert_eq!(
                    ring.hashes
                        .iter()
                        .copied()
                        .zip(ring.owners.iter().copied())
                        .collect::<Vec<_>>(),
                    list
                );
                let ends = list
                    .iter()
                    .flat_map(|(hash, _)| [*hash, hash.wrapping_add(1), hash.wrapping_sub(1)]);
                for hash in ends.chain([0, u64::MAX, rng.next_u64()]) {
                    let owner = list.iter().find(|point| point.0 >= hash).or(list.first());
                    assert_eq!(ring.owner(hash), owner.map(|point| Slot(point.1)));
                }
            }
        }
        assert_eq!(Ring::default().owner(7), None);
    }
}
