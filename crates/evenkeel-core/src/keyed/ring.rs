//! Points on a ring, each owned by a member; a hash belongs to the first point at or after it.
//!
//! The ring is cut into chunks of at most about [`PARTS`] × [`PER_PART`] points, each of an equal part of the hash space. In
//! a chunk points are kept in order, hashes and owners apart, under an index of equal parts with about [`PER_PART`]
//! points each: hashes are uniform, so finding a point takes a few reads and a short walk, whatever the size. Where
//! points fall together, the one of the lowest slot counts.
//!
//! Chunks are the unit of all work. Building throws the points into their chunks and sorts each where the nearest caches
//! hold it; a hundred thousand instances have a hundred megabytes of points, which in one piece would miss them at
//! every step. A change copies the chunks that points come to or leave, what lies between those in one piece, and shares all
//! others with the ring before.

use std::sync::Arc;

use crate::view::Slot;

use super::Table;

/// Points in a part of the index on average, at most.
const PER_PART: usize = 2;
/// Parts of a chunk, at most: with their points 56 KB, which the second-nearest cache holds several times.
const PARTS: usize = 1 << 11;

/// A point: its hash and its owner's slot.
pub(crate) type Point = (u64, u32);

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    chunks: Box<[Arc<Chunk>]>,
    cut: Cut,
    /// How many points there are.
    len: usize,
}

/// How a ring is cut: into at least two chunks, all with the same number of parts.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    /// The chunk of a hash is what is left after shifting by this.
    chunk: u32,
    /// Its part of the whole ring is what is left after shifting by this.
    part: u32,
}

impl Cut {
    fn of(points: usize) -> Self {
        let parts = (points / PER_PART).next_power_of_two().max(2);
        let chunks = (parts / PARTS).max(2);
        Self {
            chunk: 64 - chunks.trailing_zeros(),
            part: 64 - parts.trailing_zeros(),
        }
    }

    /// Which chunk `hash` is in.
    #[inline]
    fn chunk_of(self, hash: u64) -> usize {
        (hash >> self.chunk) as usize
    }

    /// Which part of its chunk `hash` is in.
    #[inline]
    fn part_of(self, hash: u64) -> usize {
        (hash >> self.part) as usize & (self.parts() - 1)
    }

    /// Parts of a chunk.
    #[inline]
    fn parts(self) -> usize {
        1 << (self.chunk - self.part)
    }

    fn chunks(self) -> usize {
        1 << (64 - self.chunk)
    }
}

impl Ring {
    /// The ring of `points` in any order, which are gone through twice. O(points).
    pub(crate) fn new(points: impl Iterator<Item = Point> + Clone) -> Self {
        let cut = Cut::of(points.clone().count());
        let mut counts = vec![0; cut.chunks()];
        points
            .clone()
            .for_each(|(hash, _)| counts[cut.chunk_of(hash)] += 1);
        let mut of_chunk: Vec<Vec<Point>> = counts.iter().map(|count| Vec::with_capacity(*count)).collect();
        points.for_each(|point| of_chunk[cut.chunk_of(point.0)].push(point));
        let mut sorted = Vec::new();
        Self {
            // Each frees its points before the next one needs room.
            chunks: of_chunk
                .into_iter()
                .map(|points| Arc::new(Chunk::new(&points, cut, &mut sorted)))
                .collect(),
            cut,
            len: counts.iter().sum(),
        }
    }

    /// The same ring with the points of `add` and without those of `remove`, both in any order. Copies the chunks that
    /// these are in, and sorts what changes: O(chunks + their points + changes × log changes).
    pub(crate) fn change(&self, add: &[Point], remove: &[Point]) -> Self {
        let added = add.iter().map(|point| (point.0, point.1, false));
        let removed = remove.iter().map(|point| (point.0, point.1, true));
        let mut changes: Vec<Change> = added.chain(removed).collect();
        changes.sort_unstable();
        let mut chunks = self.chunks.clone();
        for changes in changes.chunk_by(|a, b| self.cut.chunk_of(a.0) == self.cut.chunk_of(b.0)) {
            let chunk = &mut chunks[self.cut.chunk_of(changes[0].0)];
            *chunk = Arc::new(chunk.change(changes, self.cut));
        }
        Self {
            chunks,
            cut: self.cut,
            len: self.len + add.len() - remove.len(),
        }
    }

    /// Whether a ring of `points` made anew would have a finer or coarser index than this: time for that.
    pub(crate) fn is_outgrown_by(&self, points: usize) -> bool {
        let parts = self.chunks.len() * self.cut.parts();
        self.chunks.is_empty()
            || points > 4 * PER_PART * parts
            || (parts > 2 && points < PER_PART * parts / 4)
    }

    /// How many points there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first point behind a chunk; behind the last one comes the first.
    #[cold]
    fn behind(&self, chunk: usize) -> Option<u32> {
        let (before, after) = self.chunks.split_at(chunk + 1);
        let mut next = after.iter().chain(before);
        next.find_map(|chunk| chunk.owners.first().copied())
    }
}

impl Table for Ring {
    #[inline]
    fn owner(&self, hash: u64) -> Option<Slot> {
        let index = self.cut.chunk_of(hash);
        let chunk = self.chunks.get(index)?;
        let owner = chunk.owners.get(chunk.first_from(hash, self.cut)).copied();
        owner.or_else(|| self.behind(index)).map(Slot)
    }
}

/// A point that comes, or one that leaves: hash, owner, and whether it leaves.
type Change = (u64, u32, bool);

/// The points of a part of the ring.
#[derive(Debug)]
struct Chunk {
    hashes: Box<[u64]>,
    owners: Box<[u32]>,
    /// Where each part begins, and where the last one ends.
    starts: Box<[u32]>,
}

impl Chunk {
    /// Of `points` in any order; `sorted` is room to sort them in.
    fn new(points: &[Point], cut: Cut, sorted: &mut Vec<Point>) -> Self {
        let mut starts = vec![0u32; cut.parts() + 1].into_boxed_slice();
        for (hash, _) in points {
            starts[cut.part_of(*hash)] += 1;
        }
        // Where each part ends; filled from there, each place is left where its part begins.
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        sorted.clear();
        sorted.resize(points.len(), (0, 0));
        for point in points {
            let place = &mut starts[cut.part_of(point.0)];
            *place -= 1;
            sorted[*place as usize] = *point;
        }
        for part in starts.windows(2) {
            let part = &mut sorted[part[0] as usize..part[1] as usize];
            if part.len() > 1 {
                part.sort_unstable();
            }
        }
        Self {
            hashes: sorted.iter().map(|(hash, _)| *hash).collect(),
            owners: sorted.iter().map(|(_, owner)| *owner).collect(),
            starts,
        }
    }

    /// The same with `changes`, which are in order.
    fn change(&self, changes: &[Change], cut: Cut) -> Self {
        let leaving = changes.iter().filter(|(.., leaves)| *leaves).count();
        let room = self.hashes.len() + changes.len() - 2 * leaving;
        let (mut hashes, mut owners) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut from = 0;
        // Where parts begin moves by what came and went before them.
        let mut starts = Vec::with_capacity(self.starts.len());
        let mut moved = 0u32;
        let mut shift_to = |part: usize, moved: u32| {
            let next = starts.len();
            let parts = self.starts[next..part.max(next)].iter();
            starts.extend(parts.map(|start| start.wrapping_add(moved)));
        };
        for (hash, owner, leaves) in changes {
            // Of several equal points that leave, each is the next one.
            let at = self.position(&(*hash, *owner), cut).max(from);
            // A point counts in all parts behind its own.
            shift_to(cut.part_of(*hash) + 1, moved);
            moved = if *leaves {
                moved.wrapping_sub(1)
            } else {
                moved.wrapping_add(1)
            };
            hashes.extend_from_slice(&self.hashes[from..at]);
            owners.extend_from_slice(&self.owners[from..at]);
            from = at + usize::from(*leaves);
            if !leaves {
                hashes.push(*hash);
                owners.push(*owner);
            }
        }
        hashes.extend_from_slice(&self.hashes[from..]);
        owners.extend_from_slice(&self.owners[from..]);
        shift_to(self.starts.len(), moved);
        Self {
            hashes: hashes.into(),
            owners: owners.into(),
            starts: starts.into(),
        }
    }

    /// Where `point` stands, or would.
    fn position(&self, point: &Point, cut: Cut) -> usize {
        let mut at = self.first_from(point.0, cut);
        while self.hashes.get(at) == Some(&point.0) && self.owners[at] < point.1 {
            at += 1;
        }
        at
    }

    /// The first point at or after `hash`, which is in this chunk; the end when there is none.
    #[inline]
    fn first_from(&self, hash: u64, cut: Cut) -> usize {
        let start = self
            .starts
            .get(cut.part_of(hash))
            .map_or(0, |start| *start as usize);
        let walk = self.hashes.get(start..).unwrap_or_default().iter();
        start + walk.take_while(|point| **point < hash).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn points(rng: &mut Rng, n: usize, owner: u32, mask: u64) -> Vec<Point> {
        (0..n).map(|_| (rng.next_u64() & mask, owner)).collect()
    }

    fn all(ring: &Ring) -> Vec<Point> {
        let chunks = ring.chunks.iter();
        let points = chunks.flat_map(|chunk| chunk.hashes.iter().copied().zip(chunk.owners.iter().copied()));
        points.collect()
    }

    #[test]
    fn lookups_and_changes_agree_with_a_sorted_list() {
        let mut rng = Rng::new(1);
        // The mask makes some points fall together, or leaves chunks without any.
        for (n, mask) in [
            (0, !0),
            (1, !0),
            (2, !0),
            (7, !0),
            (1000, !0),
            (500, 0xFF << 56),
            (5000, !0),
            (5000, !(7 << 60)),
        ] {
            let each: Vec<Vec<Point>> = (0..8).map(|owner| points(&mut rng, n, owner, mask)).collect();
            let ring = Ring::new(each[..6].concat().into_iter());
            let changed = ring.change(&each[6..].concat(), &each[..2].concat());
            for (ring, mut list) in [(ring, each[..6].concat()), (changed, each[2..].concat())] {
                list.sort_unstable();
                assert_eq!((all(&ring), ring.len()), (list.clone(), list.len()));
                let ends = list
                    .iter()
                    .flat_map(|(hash, _)| [*hash, hash.wrapping_add(1), hash.wrapping_sub(1)]);
                for hash in ends.chain([0, u64::MAX, rng.next_u64()]) {
                    let at = list.partition_point(|point| point.0 < hash);
                    let owner = list.get(at).or(list.first());
                    assert_eq!(ring.owner(hash), owner.map(|point| Slot(point.1)));
                }
            }
        }
        assert_eq!(Ring::default().owner(7), None);
    }

    /// What a change of a large ring costs is what it changes.
    #[test]
    fn chunks_that_nothing_comes_to_are_shared() {
        let mut rng = Rng::new(2);
        let ring = Ring::new(points(&mut rng, 100_000, 1, !0).into_iter());
        let changed = ring.change(&points(&mut rng, 3, 2, !0), &all(&ring)[70_000..70_001]);
        let pairs = ring.chunks.iter().zip(&changed.chunks);
        let copied = pairs
            .filter(|(before, after)| !Arc::ptr_eq(before, after))
            .count();
        assert!((1..=4).contains(&copied), "{copied} of {}", ring.chunks.len());
        assert!(ring.chunks.len() >= 16);
        assert_eq!(changed.len(), 100_002);
    }
}
