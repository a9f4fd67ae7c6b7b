//! Picks that were made, for whoever wants to see them: a ring of the last ones, beside the service.
//!
//! Off, a pick costs one relaxed load and a branch that is never taken. On, a share of the picks is written into a ring of
//! [`KEPT`] records of fixed size, without a lock, an allocation or a wait; the newest stay. Which picks are taken is
//! decided by a hash of how many the thread has seen, not by the strategies' own draws, so that recording changes no pick;
//! and not by every n-th, which would always meet the same instance of a service that goes in turns.
//!
//! A record is made of atomics between two reads of a sequence number, as in a seqlock: who reads while a record is
//! written passes over it. A writer that finds another in its place, because the ring went round meanwhile, gives up and
//! is counted. Sixty-four bytes a record: one cache line.
//!
//! Absent on purpose: who sent the request. Keys and addresses of clients belong to nobody's log.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use crossbeam_utils::CachePadded;
use evenkeel_core::{InstanceId, Lease, Nanos, PickRequest, StrategyName, View};

use crate::shard::{SHARDS, shard_of_thread};

/// Picks that are kept.
pub(crate) const KEPT: usize = 1024;

/// Words of a record.
const WORDS: usize = 6;

/// A pick that was made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedPick {
    /// When.
    pub at: Nanos,
    /// By which strategy.
    pub strategy: StrategyName,
    /// The version of the view that was picked from.
    pub version: u64,
    /// Who was chosen; `None` when it has left the service since.
    pub chosen: Option<InstanceId>,
    /// The score of its health then, 0 to 1.
    pub score: f32,
    /// Its requests in flight, this one among them.
    pub in_flight: u32,
    /// How many the strategy chose from.
    pub candidates: u32,
    /// How many instances were tried for the request before.
    pub tried: u32,
    /// Whether too few instances were healthy.
    pub fallback: bool,
}

/// What is recorded at present, and what was.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PickRecords {
    /// The part of the picks that is recorded now, 0 to 1.
    pub share: f64,
    /// When that ends and the configured share holds again; `None` when it is the configured one.
    pub until: Option<Nanos>,
    /// Picks that were made while recording was on.
    pub seen: u64,
    /// Picks that were taken for the record, whatever became of it.
    pub recorded: u64,
    /// Of those, how many made room for newer ones.
    pub overwritten: u64,
    /// And how many found another in their place, and were dropped.
    pub dropped: u64,
    /// Those that are kept, newest first.
    pub picks: Vec<RecordedPick>,
}

/// The recorder of a service.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// In 2^-32 of all picks, rounded up; 0 is off. Beside what a pick reads anyway, and hardly ever written.
    share: AtomicU32,
    /// What the configuration says.
    configured: AtomicU32,
    /// In ns; 0 for no end.
    until: AtomicU64,
    /// Made when it is first switched on.
    ring: OnceLock<Box<Ring>>,
}

#[derive(Debug)]
struct Ring {
    /// Picks seen, by thread.
    seen: [CachePadded<AtomicU64>; SHARDS],
    /// Records begun.
    next: CachePadded<AtomicU64>,
    dropped: AtomicU64,
    cells: Box<[Cell]>,
}

/// A place for a record.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell {
    /// 0 before the first record; odd while one is written; else twice its number, plus two.
    turn: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Recorder {
    /// The share that holds unless another is asked for.
    pub(crate) fn configure(&self, share: f64) {
        let share = self.prepare(share);
        self.configured.store(share, Relaxed);
        if self.until.load(Relaxed) == 0 {
            self.share.store(share, Relaxed);
        }
    }

    /// Another share until a time.
    pub(crate) fn switch(&self, share: f64, until: Nanos) {
        let share = self.prepare(share);
        self.until.store(until.0.max(1), Relaxed);
        self.share.store(share, Relaxed);
    }

    /// The configured share from now on.
    pub(crate) fn end(&self) {
        self.until.store(0, Relaxed);
        self.share.store(self.configured.load(Relaxed), Relaxed);
    }

    /// Makes room before the first pick is recorded, so that no pick has to.
    fn prepare(&self, share: f64) -> u32 {
        if share.is_nan() || share <= 0.0 {
            return 0;
        }
        self.ring.get_or_init(Box::default);
        (share * f64::from(u32::MAX)).ceil().max(1.0) as u32
    }

    /// Looks at a pick. All there is while recording is off.
    #[inline]
    pub(crate) fn look(&self, view: &View, lease: &Lease, request: &PickRequest<'_>) {
        // Relaxed: whether a pick about now is recorded matters to nobody.
        let share = self.share.load(Relaxed);
        if share != 0 {
            self.consider(share, view, lease, request);
        }
    }

    #[cold]
    #[inline(never)]
    fn consider(&self, share: u32, view: &View, lease: &Lease, request: &PickRequest<'_>) {
        if self.is_over(lease.started()) {
            self.end();
            return;
        }
        let Some(ring) = self.ring.get() else { return };
        let shard = shard_of_thread();
        let seen = ring.seen[shard].fetch_add(1, Relaxed);
        if share != u32::MAX && spread(seen, shard as u64) >= share {
            return;
        }
        let member = lease.member();
        ring.write([
            lease.started().0,
            u64::from(lease.slot().0) << 32 | u64::from(member.stats().health().to_bits()),
            (view.candidates().len() as u64) << 32 | u64::from(member.load().get()),
            view.version(),
            (view.strategy() as u64) << 32
                | (request.tried.len() as u64) << 1
                | u64::from(view.is_fallback()),
            name(member.instance().id.as_str()),
        ]);
    }

    fn is_over(&self, now: Nanos) -> bool {
        let until = self.until.load(Relaxed);
        until != 0 && now.0 >= until
    }

    /// What was recorded, with the names of the instances of `view`.
    pub(crate) fn read(&self, view: &View, now: Nanos) -> PickRecords {
        if self.is_over(now) {
            self.end();
        }
        let until = self.until.load(Relaxed);
        let mut records = PickRecords {
            share: f64::from(self.share.load(Relaxed)) / f64::from(u32::MAX),
            until: (until != 0).then_some(Nanos(until)),
            seen: 0,
            recorded: 0,
            overwritten: 0,
            dropped: 0,
            picks: Vec::new(),
        };
        if let Some(ring) = self.ring.get() {
            records.seen = ring.seen.iter().map(|seen| seen.load(Relaxed)).sum();
            records.recorded = ring.next.load(Relaxed);
            records.overwritten = records.recorded.saturating_sub(KEPT as u64);
            records.dropped = ring.dropped.load(Relaxed);
            records.picks = ring
                .newest(records.recorded)
                .map(|words| told(words, view))
                .collect();
        }
        records
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            seen: Default::default(),
            next: CachePadded::default(),
            dropped: AtomicU64::new(0),
            cells: (0..KEPT).map(|_| Cell::default()).collect(),
        }
    }
}

impl Ring {
    fn write(&self, words: [u64; WORDS]) {
        let number = self.next.fetch_add(1, Relaxed);
        let cell = &self.cells[number as usize % KEPT];
        let turn = cell.turn.load(Relaxed);
        let (begun, written) = (2 * number + 1, 2 * number + 2);
        let free = turn.is_multiple_of(2) && turn < begun;
        // Acquire, with the release of the one before: its words do not come after ours.
        if !free || cell.turn.compare_exchange(turn, begun, Acquire, Relaxed).is_err() {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        // Who sees one of the words below sees also that the turn is odd.
        fence(Release);
        for (place, word) in cell.words.iter().zip(words) {
            place.store(word, Relaxed);
        }
        cell.turn.store(written, Release);
    }

    /// The records before `end` that are whole.
    fn newest(&self, end: u64) -> impl Iterator<Item = [u64; WORDS]> + '_ {
        let from = end.saturating_sub(KEPT as u64);
        (from..end).rev().filter_map(|number| {
            let cell = &self.cells[number as usize % KEPT];
            let written = 2 * number + 2;
            if cell.turn.load(Acquire) != written {
                return None;
            }
            let words = std::array::from_fn(|index| cell.words[index].load(Relaxed));
            // Pairs with the fence of a writer: words of its record are not read under the number of this one.
            fence(Acquire);
            (cell.turn.load(Relaxed) == written).then_some(words)
        })
    }
}

fn told([at, slot_score, candidates_load, version, rest, id]: [u64; WORDS], view: &View) -> RecordedPick {
    let slot = evenkeel_core::Slot((slot_score >> 32) as u32);
    let member = view.candidates().member(slot);
    let chosen = member.map(|member| &member.instance().id);
    let strategy = StrategyName::ALL.get((rest >> 32) as usize);
    RecordedPick {
        at: Nanos(at),
        strategy: strategy.copied().unwrap_or_default(),
        version,
        chosen: chosen.filter(|chosen| name(chosen.as_str()) == id).cloned(),
        score: f32::from_bits(slot_score as u32),
        in_flight: candidates_load as u32,
        candidates: (candidates_load >> 32) as u32,
        tried: (rest as u32) >> 1,
        fallback: rest & 1 == 1,
    }
}

/// Uniform over all numbers, in 2^-32: the finaliser of SplitMix64.
fn spread(number: u64, shard: u64) -> u32 {
    let word = (number << 8 | shard)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (word >> 32) as u32
}

/// Tells instances apart that stood at the same slot.
fn name(id: &str) -> u64 {
    crate::balancer::fnv1a(id)
}
