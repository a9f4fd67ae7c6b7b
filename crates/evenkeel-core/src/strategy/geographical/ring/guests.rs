//! Guests: requests that are at home elsewhere, and how many of them a ring takes.
//!
//! A region that is lost hands over what it had, which may be more than the next one can do, and who comes from elsewhere
//! cannot know what is asked there besides. What tells is the **work**: the time that requests take, less the way. Once it is
//! [`GROWTH`] times that of calm hours, guests give way, in two steps:
//!
//! - the **share** of them that is kept falls while the work is longer than that by more than elsewhere, and rises once it is
//!   shorter again. It makes for evenly used survivors within seconds, too late for queues that grow by a second each;
//! - there is **room**, meanwhile, for as many in flight as a balancer has in the whole time that they may take: all requests
//!   that it has answered a second times way and work, this as much longer as it is elsewhere, and what chance adds to that. It
//!   is live. Whoever finds no room goes on, in the end to whom the strategy within thinks best of all.
//!
//! What grows everywhere alike, another mix of requests say, is no reason to go elsewhere; and while nothing takes longer, nobody
//! counts what is in flight, which uploads and streams are for longer than answers take to begin.
//!
//! Why [`GROWTH`]: with one worker an instance and exponential times that is a load of 70 %. Instances that do many requests at once
//! are fuller before it shows. Calm work is that of the ring itself, or that of the region that answered most requests if this
//! is longer: where nobody was a guest yet, little is known. The way is known of connections; without them nothing
//! of this happens.
//!
//! Absent on purpose: those at home. They have nowhere better to go before it is [much worse](super::Ring::ease).

use super::{Part, RETURN, Ring, SEEN};
use crate::Nanos;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// So many times that of calm hours work may take for guests to come.
const GROWTH: f32 = 1.6;
/// Of the way's error: what connections take is estimated below its middle.
const BELOW: f32 = 0.5;
/// Of the part that work takes longer than it may, so much is taken off the share in a second…
const YIELD: f32 = 0.15;
/// …and no more than this, however long it takes.
const YIELDS: f32 = 0.5;
/// Work that is shorter than it may be by so much lets the share rise.
const REST: f32 = 0.1;
/// Where work takes longer elsewhere, too, it is alike up to this part more.
const ALIKE: f32 = 0.25;
/// Standard deviations of what is in flight by chance.
const CHANCE: f32 = 3.0;

#[derive(Debug)]
pub(super) struct Guests {
    share: Part,
    room: Part,
    /// Most answers that its candidates had.
    heard: AtomicU64,
}

impl Guests {
    pub(super) fn new(before: Option<&Self>) -> Self {
        Self {
            share: Part::new(before.map_or(1.0, |before| before.share.get())),
            room: Part::new(before.map_or(f32::INFINITY, |before| before.room.get())),
            heard: AtomicU64::new(before.map_or(0, |before| before.heard.load(Relaxed))),
        }
    }

    /// The part of them that is kept.
    #[inline]
    pub(super) fn share(&self) -> f32 {
        self.share.get()
    }

    /// As many in flight are too many; infinite while nobody counts them.
    #[inline]
    pub(super) fn room(&self) -> f32 {
        self.room.get()
    }
}

impl Ring {
    /// Answers up to now.
    fn answers(&self) -> u64 {
        let answers = self.candidates.iter().map(|(stats, _)| stats.successes());
        answers.sum()
    }

    /// What of the calm time is not the way, in ns, where both are known.
    fn calm_work(&self) -> Option<f32> {
        let (way, calm) = (self.distance.get(), self.calm.get());
        (way > 0.0 && calm > 0.0).then(|| (calm - way).max(0.0))
    }

    /// The calm work of the region that is known best, 0 when there is none.
    fn usual_work(regions: &[Self]) -> f32 {
        let known = regions.iter().filter_map(|ring| {
            let heard = ring.answers();
            let before = ring.guests.heard.fetch_max(heard, Relaxed);
            Some((before.max(heard), ring.calm_work()?))
        });
        known
            .max_by_key(|(heard, _)| *heard)
            .map_or(0.0, |(_, work)| work)
    }

    /// By what part work takes longer than it may, where it `usual`ly takes so long; `None` when that is not known.
    fn growth(&self, usual: f32) -> Option<f32> {
        let (way, time) = (self.distance.get(), self.time.get());
        let longest = self.longest(usual);
        let known = !self.candidates.is_empty() && way > 0.0 && time > 0.0 && longest > 0.0;
        known.then(|| (time - way) / (longest + BELOW * self.distance_error.get()) - 1.0)
    }

    /// What work may take.
    fn longest(&self, usual: f32) -> f32 {
        GROWTH * self.calm_work().unwrap_or(0.0).max(usual)
    }

    /// Finds out how many guests are welcome, of so many requests a second, where work takes longer than it may by this part,
    /// `over`, and `elsewhere` by that part at least. For the writer.
    fn host(&self, usual: f32, rate: f32, over: Option<f32>, elsewhere: f32, passed: Option<Nanos>) {
        let guests = &self.guests;
        // What grows everywhere alike, as far as one can tell, is no reason to go.
        let more = over.map_or(-1.0, |over| {
            (1.0 + over) / (1.0 + elsewhere) - 1.0 - elsewhere.min(ALIKE)
        });
        let whole = self.distance.get() + self.longest(usual) * (1.0 + elsewhere);
        let enough = rate * whole / 1e9;
        guests
            .room
            .set(if enough > 0.0 && over.is_some_and(|over| over > 0.0) {
                enough + CHANCE * enough.sqrt() + 1.0
            } else {
                f32::INFINITY
            });
        let change = if more > 0.0 {
            -(YIELD * more).min(YIELDS)
        } else if more < -REST {
            RETURN
        } else {
            0.0
        };
        let seconds = passed.map_or(0.0, |passed| passed.as_secs_f64().min(2.0) as f32);
        let share = guests.share.get() + change * seconds;
        guests.share.set(share.clamp(SEEN, 1.0));
    }
}

/// Finds out how many guests each of the `regions` takes. For the writer.
pub(in super::super) fn host(regions: &[Ring], rate: &Rate, passed: Option<Nanos>) {
    let usual = Ring::usual_work(regions);
    let rate = rate.measure(regions, passed);
    let growth: Vec<Option<f32>> = regions.iter().map(|ring| ring.growth(usual)).collect();
    for (index, ring) in regions.iter().enumerate() {
        let others = growth.iter().enumerate().filter(|(other, _)| *other != index);
        let least = others.filter_map(|(_, growth)| *growth).min_by(f32::total_cmp);
        ring.host(usual, rate, growth[index], least.unwrap_or(0.0).max(0.0), passed);
    }
}

/// How many requests all regions answer in a second.
#[derive(Debug)]
pub(in super::super) struct Rate {
    /// All up to when it was measured last.
    answers: AtomicU64,
    per_second: AtomicU32,
}

impl Rate {
    fn counted(regions: &[Ring]) -> u64 {
        regions.iter().map(Ring::answers).fold(0, u64::wrapping_add)
    }

    /// That of `before`: who is no candidate any more, or one again, answered nothing since it was measured.
    pub(in super::super) fn new(regions: &[Ring], before: Option<(&Self, &[Ring])>) -> Self {
        let since = before.map_or(0, |(rate, regions)| {
            Self::counted(regions).wrapping_sub(rate.answers.load(Relaxed))
        });
        Self {
            answers: AtomicU64::new(Self::counted(regions).wrapping_sub(since)),
            per_second: AtomicU32::new(before.map_or(0, |(rate, _)| rate.per_second.load(Relaxed))),
        }
    }

    /// Of late, `passed` after it was measured last.
    fn measure(&self, regions: &[Ring], passed: Option<Nanos>) -> f32 {
        let rate = f32::from_bits(self.per_second.load(Relaxed));
        let seconds = passed.map_or(0.0, |passed| passed.as_secs_f64() as f32);
        if seconds == 0.0 {
            return rate;
        }
        let answers = Self::counted(regions);
        let before = self.answers.swap(answers, Relaxed);
        let now = answers.wrapping_sub(before) as f32 / seconds;
        let rate = rate + (now - rate) * seconds.min(1.0) / 2.0;
        self.per_second.store(rate.to_bits(), Relaxed);
        rate
    }
}
