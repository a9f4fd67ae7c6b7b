//! Candidates that are equally near, and how much they can take.

use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::{APART, FASTER, PROBE_KNOWN, PROBE_UNKNOWN, RISE, STALE, TRIES};
use crate::hash::{HashedKey, mix, xxh64};
use crate::math::Factor;
use crate::view::{Candidates, Slot};
use crate::{
    Learned, LoadBlock, Loads, Nanos, NoPick, PickContext, PickRequest, Picker, Share, Stats, Strategy,
};

mod guests;

use guests::Guests;
pub(super) use guests::{Rate, host};

/// How often requests in flight are summed up…
pub(super) const LOOK: Nanos = Nanos::from_millis(1);
/// …except in rings of at most so many candidates, where that is done at every pick: they have room for few, and more
/// come by chance between two looks than a large ring would notice.
const FEW: usize = 8;
/// A ring needs `1 / OVERPROVISION` of its health to serve its traffic: Envoy's factor for priorities and localities.
const OVERPROVISION: f32 = 1.4;
/// How often the strategy within a ring is asked again when it names who was tried.
const REDRAWS: usize = 3;
/// Utilization between `spill_at − CALM` and `spill_at` changes nothing.
const CALM: f32 = 0.05;
/// By how much what is offered changes in a second, per utilization too much or too little. What it does shows in reports
/// some seconds later; traffic settles while their delay times this is well below 1.6, so up to about ten seconds.
const GAIN: f32 = 0.1;
/// Fastest change in a second: everything in ten seconds, however great the overload…
const FALL: f32 = 0.1;
/// …and back in twenty, also without reports.
const RETURN: f32 = 0.05;

/// What requests in flight may fill.
#[derive(Debug)]
pub(super) struct Limit {
    per_weight: f64,
    spill_at: f64,
}

impl Limit {
    pub(super) fn new(per_weight: u32, spill_at: Factor) -> Self {
        Self {
            per_weight: f64::from(per_weight.max(1)),
            // Something is left to spill gradually in.
            spill_at: spill_at.get().min(0.99),
        }
    }

    /// The part that a ring in this state of use takes.
    fn spare(&self, used: f64) -> f32 {
        ((1.0 - used) / (1.0 - self.spill_at)).clamp(0.0, 1.0) as f32
    }
}

/// A ring is crowded when its usual time is so many times that of its calmest hours…
///
/// Queues let times grow without bound before a ring is full: with one worker an instance, exponential times and the
/// strategies that look at the load, 1.6 times at 70 % of what it can do, 2.6 at 90 % and 4 at about 95 %. By pure chance
/// (`random`) it is 3.3 times at 70 %. So no fleet of ours gets there at 70 %, and all do before their queues grow for ever.
const GROWTH: f32 = 4.0;
/// …and so many times that of the fastest ring further out, the way there included: else nobody gains by going.
const WORTH: f32 = 2.0;
/// What is known of calm hours counts for this many times the time of the fastest ring further out at most: so a process
/// that starts amid a crowd does not take it for calm.
const FAR: f32 = 4.0;
/// Least that a crowded ring keeps, or nobody would see that it is no longer.
const SEEN: f32 = 0.1;
/// Least that a ring keeps whose candidates all fell: who is never asked never answers.
const TRIALS: f32 = 0.05;
/// So many candidates of a ring are looked at to see whether most of it fails.
const ASKED: usize = 64;
/// Seconds in which what is calm follows a shorter time, and those in which it doubles after a longer one. What is new and
/// slower for good is calm after two hours.
const CALMER: f32 = 30.0;
const DOUBLES: f32 = 3600.0;

/// An atomic f32. Relaxed: each stands alone, and an old one does.
#[derive(Debug)]
struct Part(AtomicU32);

impl Part {
    fn new(value: f32) -> Self {
        Self(AtomicU32::new(value.to_bits()))
    }

    fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// Connections that tell how far away a ring is.
const SAMPLES: u32 = 3;

/// Not measured.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Ring {
    name: Box<str>,
    /// What places of keys here are made with: those in other rings are independent of them.
    salt: u64,
    picker: Box<dyn Picker>,
    /// The candidates and their weight times share.
    candidates: Box<[(Arc<Stats>, f32)]>,
    /// Sum of those weights.
    weight: f32,
    /// Weight of all members.
    whole: f32,
    loads: Loads,
    /// The candidates' slots, a word per block of counters.
    masks: Box<[u64]>,
    /// The same once more where they are [`FEW`], else nothing.
    few: Box<[Slot]>,
    available: Part,
    offered: Part,
    /// What is kept so that times do not grow.
    eased: Part,
    guests: Guests,
    /// Usual time in ns, of late and in calm hours; 0 when it is not known.
    time: Part,
    calm: Part,
    /// Requests in flight, as of when they were summed up last.
    in_flight: Part,
    /// When that was.
    looked: AtomicU64,
    /// Median response time in ns.
    latency: AtomicU64,
    /// By how much that may be wrong, in ns.
    latency_error: Part,
    /// When the newest of these answers came.
    answered: AtomicU64,
    /// Whether that was of late.
    measured: AtomicBool,
    /// What of that latency was not the way, in ns; below 0 when it is not known.
    work: Part,
    /// Median time to connect in ns, and by how much it may be wrong; 0 when nobody connected.
    distance: Part,
    distance_error: Part,
    /// The response time that is expected in ns, [`UNKNOWN`] when nothing is known, and by how much it may be wrong.
    expected: AtomicU64,
    error: Part,
    /// When a request came here to learn that.
    probed: AtomicU64,
}

impl Ring {
    /// The ring of `candidates`, out of members of the weight `whole`; what is known of it is that of `before`.
    pub(super) fn new(
        name: &str,
        candidates: &Candidates,
        whole: u64,
        within: &dyn Strategy,
        before: Option<&Self>,
        seed: u64,
    ) -> Self {
        let mut masks = vec![0; candidates.loads().blocks().len()];
        for slot in candidates.slots().iter() {
            let slot = slot.0 as usize;
            if let Some(mask) = masks.get_mut(slot / LoadBlock::LEN) {
                *mask |= 1u64 << (slot % LoadBlock::LEN);
            }
        }
        let full = if candidates.has_full_shares() {
            1.0
        } else {
            Share::UNITS as f32
        };
        let weights = candidates.weights().map(|weight| weight as f32 / full);
        let slots = candidates.slots().iter().zip(weights);
        let list: Box<[(Arc<Stats>, f32)]> = slots
            .filter_map(|(slot, weight)| Some((Arc::clone(candidates.member(*slot)?.stats()), weight)))
            .collect();
        Self {
            name: name.into(),
            salt: xxh64(name.as_bytes(), 0),
            picker: match before {
                Some(before) => within.rebuild(&*before.picker, candidates, seed),
                None => within.build(candidates, seed),
            },
            weight: list.iter().map(|(_, weight)| weight).sum(),
            candidates: list,
            whole: whole.max(1) as f32,
            loads: candidates.loads().clone(),
            masks: masks.into(),
            few: match candidates.len() {
                ..=FEW => candidates.slots()[..].into(),
                _ => Box::default(),
            },
            available: Part::new(before.map_or(0.0, |before| before.available.get())),
            offered: Part::new(before.map_or(1.0, |before| before.offered.get())),
            eased: Part::new(before.map_or(1.0, |before| before.eased.get())),
            guests: Guests::new(before.map(|before| &before.guests)),
            time: Part::new(before.map_or(0.0, |before| before.time.get())),
            calm: Part::new(before.map_or(0.0, |before| before.calm.get())),
            in_flight: Part::new(0.0),
            looked: AtomicU64::new(UNKNOWN),
            latency: AtomicU64::new(before.map_or(UNKNOWN, Self::latency)),
            latency_error: Part::new(before.map_or(0.0, |before| before.latency_error.get())),
            answered: AtomicU64::new(before.map_or(0, |before| before.answered.load(Relaxed))),
            measured: AtomicBool::new(before.is_some_and(Self::is_measured)),
            work: Part::new(before.map_or(-1.0, |before| before.work.get())),
            distance: Part::new(before.map_or(0.0, |before| before.distance.get())),
            distance_error: Part::new(before.map_or(0.0, |before| before.distance_error.get())),
            expected: AtomicU64::new(before.map_or(UNKNOWN, Self::expected)),
            error: Part::new(before.map_or(0.0, |before| before.error.get())),
            probed: AtomicU64::new(before.map_or(0, |before| before.probed.load(Relaxed))),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// In ns; the greatest number when it is not known.
    pub(super) fn latency(&self) -> u64 {
        self.latency.load(Relaxed)
    }

    /// The response time that is expected here, in ns; the greatest number when nothing is known of it.
    pub(super) fn expected(&self) -> u64 {
        self.expected.load(Relaxed)
    }

    /// Whether it answers requests of late, so that nothing has to be inferred.
    fn is_measured(&self) -> bool {
        self.measured.load(Relaxed)
    }

    /// Expected response time and its error in seconds, and whether it was measured; `None` when nothing is known.
    pub(super) fn outlook(&self) -> Option<(f64, f64, bool)> {
        let expected = self.expected();
        let seconds = |ns: f64| ns / 1e9;
        (expected != UNKNOWN).then(|| {
            let error = seconds(f64::from(self.error.get()));
            (seconds(expected as f64), error, self.is_measured())
        })
    }

    /// Whether this ring is to come before `other`: it is expected to answer sooner, and that is more than noise.
    pub(super) fn is_nearer(&self, other: &Self) -> bool {
        let (own, others) = (self.expected() as f64, other.expected() as f64);
        if own >= others * FASTER {
            return false;
        }
        let guessed = !self.is_measured() || !other.is_measured();
        let square = |ring: &Self| f64::from(ring.error.get()) * f64::from(ring.error.get());
        let error = (square(self) + square(other)).sqrt();
        !guessed || other.expected() == UNKNOWN || others - own > error.max(APART)
    }

    /// What of the response time is not the way, in ns, where both are known.
    pub(super) fn work(&self) -> Option<f32> {
        Some(self.work.get()).filter(|work| *work >= 0.0)
    }

    /// Expects what was measured of late; else the way as it is now, which connections tell, and the work here when it was
    /// measured, or `work`, which may be wrong by `error`, if that is known of others. What was measured once stands where
    /// nobody connects.
    pub(super) fn expect(&self, work: f32, error: f32, now: Nanos) {
        let (latency, distance) = (self.latency(), self.distance.get());
        let fresh = now.since(Nanos(self.answered.load(Relaxed))) < STALE;
        self.measured.store(latency != UNKNOWN && fresh, Relaxed);
        let (expected, error) = if latency != UNKNOWN && (fresh || distance == 0.0) {
            (latency, self.latency_error.get())
        } else if distance > 0.0 {
            let own = self.work().map(|work| (work, self.latency_error.get()));
            let (work, error) = own.unwrap_or((work, error));
            let way = self.distance_error.get();
            ((distance + work) as u64, (way * way + error * error).sqrt())
        } else {
            (UNKNOWN, 0.0)
        };
        self.expected.store(expected, Relaxed);
        self.error.set(error);
    }

    /// What its picker found out.
    pub(super) fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        self.picker.learned(each);
    }

    /// Those of its candidates, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.masks.iter().enumerate().flat_map(|(block, mask)| {
            let set = (0..LoadBlock::LEN).filter(move |bit| mask >> bit & 1 == 1);
            set.map(move |bit| Slot((block * LoadBlock::LEN + bit) as u32))
        })
    }

    /// Whether a request that `tried` these in vain has no business here: enough of them, or all there are, are of this
    /// ring, or one is and most others fail as well.
    #[inline]
    pub(super) fn has_failed(&self, tried: &[Slot]) -> bool {
        !tried.is_empty() && self.failed_for(tried)
    }

    #[cold]
    fn failed_for(&self, tried: &[Slot]) -> bool {
        let holds = |slot: &&Slot| {
            let slot = slot.0 as usize;
            let mask = self.masks.get(slot / LoadBlock::LEN).copied().unwrap_or(0);
            mask >> (slot % LoadBlock::LEN) & 1 == 1
        };
        match tried.iter().filter(holds).count() {
            0 => self.candidates.is_empty(),
            tries => tries >= self.candidates.len().min(TRIES) || self.most_fail(),
        }
    }

    /// Whether more than half of its candidates failed their last request, by [`ASKED`] of them.
    fn most_fail(&self) -> bool {
        let every = self.candidates.len().div_ceil(ASKED).max(1);
        let asked = self.candidates.iter().step_by(every);
        let failing = asked
            .clone()
            .filter(|(stats, _)| stats.consecutive_failures() > 0);
        2 * failing.count() > asked.count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// An untried candidate of this ring, while there is one.
    #[inline]
    pub(super) fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let slot = self.picker.pick(request, cx)?;
        if request.tried.contains(&slot) {
            return Ok(self.untried(request, cx).unwrap_or(slot));
        }
        Ok(slot)
    }

    /// Asks the strategy again a few times, then draws one.
    #[cold]
    fn untried(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Option<Slot> {
        for _ in 0..REDRAWS {
            let slot = self.picker.pick(request, cx).ok()?;
            if !request.tried.contains(&slot) {
                return Some(slot);
            }
        }
        let untried = || self.slots().filter(|slot| !request.tried.contains(slot));
        match untried().count() as u32 {
            0 => None,
            n => untried().nth(cx.rng.below(n) as usize),
        }
    }

    /// Where a key stands among those that this ring keeps, 0..1.
    #[inline]
    pub(super) fn place_of(&self, key: HashedKey) -> f32 {
        (mix(key.hash() ^ self.salt) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// The part of the requests that come here that stay, 0..=1; whether they are at home here.
    #[inline]
    pub(super) fn keeps(&self, is_home: bool, limit: Option<&Limit>, now: Nanos) -> f32 {
        let mut kept = self.available.get() * self.offered.get() * self.eased.get();
        if !is_home {
            kept *= self.guests.share();
        }
        match limit {
            Some(limit) if kept > 0.0 => {
                let capacity = limit.per_weight * f64::from(self.weight);
                kept * limit.spare(f64::from(self.in_flight(now)) / capacity)
            }
            None if !is_home && kept > 0.0 && self.is_full(now) => 0.0,
            _ => kept,
        }
    }

    /// Whether there is no room for one more guest.
    #[inline]
    fn is_full(&self, now: Nanos) -> bool {
        let room = self.guests.room();
        room < f32::INFINITY && self.in_flight(now) >= room
    }

    /// Requests in flight.
    #[inline]
    fn in_flight(&self, now: Nanos) -> f32 {
        if !self.few.is_empty() {
            let in_flight: u32 = self.few.iter().map(|slot| self.loads.get(slot.0)).sum();
            return in_flight as f32;
        }
        let last = self.looked.load(Relaxed);
        // A clock that steps back is a long time, too. Relaxed: only who wins matters.
        if now.0.abs_diff(last) >= LOOK.0
            && self
                .looked
                .compare_exchange(last, now.0, Relaxed, Relaxed)
                .is_ok()
        {
            self.in_flight.set(self.loads.sum(&self.masks) as f32);
        }
        self.in_flight.get()
    }

    /// Whether a request may come here to learn the latency; counts as if it did.
    pub(super) fn take_probe(&self, now: Nanos) -> bool {
        let every = if self.latency() == UNKNOWN {
            PROBE_UNKNOWN
        } else {
            PROBE_KNOWN
        };
        let due = !self.candidates.is_empty() && now.0.abs_diff(self.probed.load(Relaxed)) >= every.0;
        if due {
            self.probed.store(now.0, Relaxed);
        }
        due
    }

    /// What of its members' weight is in use and well, 0..=1.
    pub(super) fn health(&self) -> f32 {
        let well: f32 = self
            .candidates
            .iter()
            .filter(|(stats, _)| !has_fallen(stats))
            .map(|(stats, weight)| weight * stats.health())
            .sum();
        (well / self.whole).min(1.0)
    }

    /// Makes the picker ready, and measures nothing.
    pub(super) fn settle(&self, now: Nanos) {
        self.picker.settle(now);
    }

    /// Measures everything, `passed` after the last time (`None` for the first). For the writer.
    pub(super) fn refresh(&self, best: f32, spill_at: f32, passed: Option<Nanos>, now: Nanos) {
        self.picker.refresh(now);
        let seconds = passed.map(|passed| passed.as_secs_f64().min(2.0) as f32);
        let target = if self.candidates.is_empty() {
            0.0
        } else if best > 0.0 {
            let fell = self.candidates.iter().any(|(stats, _)| has_fallen(stats));
            let least = if fell { TRIALS } else { 0.0 };
            (OVERPROVISION * self.health() / best).clamp(least, 1.0)
        } else {
            1.0
        };
        let risen = seconds.map_or(target, |seconds| self.available.get() + RISE * seconds);
        self.available.set(target.min(risen));

        let change = self.utilization(now).map_or(RETURN, |(used, known)| {
            let error = spill_at - used;
            let rate = GAIN * (error.min(0.0) + (error - CALM).max(0.0));
            known * rate.clamp(-FALL, RETURN)
        });
        let offered = self.offered.get() + change * seconds.unwrap_or(0.0);
        self.offered.set(offered.clamp(0.0, 1.0));

        let known = self
            .candidates
            .iter()
            .filter_map(|(stats, _)| stats.response_time());
        let (mut times, mut answered) = (Vec::new(), Nanos::ZERO);
        for (time, at) in known {
            times.push(time.0);
            answered = answered.max(at);
        }
        if !times.is_empty() {
            let (median, spread) = median(&mut times);
            self.latency.store(median, Relaxed);
            // Of the median itself: the more there are, the better it is known.
            self.latency_error.set(spread / (times.len() as f32).sqrt());
        }
        let known = self.candidates.iter().map(|(stats, _)| stats.distance());
        let (mut ways, mut error, mut samples) = (Vec::new(), 0.0, 0);
        for distance in known {
            if let Some((time, wrong)) = distance.get() {
                ways.push(time);
                error += wrong;
                samples += distance.samples();
            }
        }
        if samples >= SAMPLES {
            let count = ways.len();
            let (_, way, _) = ways.select_nth_unstable_by((count - 1) / 2, f32::total_cmp);
            self.distance.set(*way);
            // They have the way in common, and what is wrong about it: it does not even out.
            self.distance_error.set(error / count as f32);
        }
        if !times.is_empty() && answered.0 != self.answered.swap(answered.0, Relaxed) {
            let distance = self.distance.get();
            let work = (self.latency() as f32 - distance).max(0.0);
            self.work.set(if distance > 0.0 { work } else { -1.0 });
        }
    }

    /// What its candidates usually take, in ns: the lower median, as the time of one sick instance is no crowd.
    pub(super) fn measure(&self) -> Option<f32> {
        let times = self.candidates.iter().map(|(stats, _)| stats.steady_time());
        let mut times: Vec<f32> = times.filter(|time| *time > 0.0).collect();
        let middle = times.len().checked_sub(1)? / 2;
        let (_, median, _) = times.select_nth_unstable_by(middle, f32::total_cmp);
        self.time.set(*median);
        Some(*median)
    }

    /// Keeps less while its time has grown and those further out, of which the fastest takes `next`, are worth the way.
    pub(super) fn ease(&self, next: Option<f32>, passed: Option<Nanos>) {
        let time = self.time.get();
        if time == 0.0 {
            return;
        }
        let seconds = passed.map_or(0.0, |passed| passed.as_secs_f64().min(2.0) as f32);
        let calm = self.calm.get();
        let calm = if calm == 0.0 {
            time
        } else if time < calm {
            calm + (time - calm) * (seconds / CALMER).min(1.0)
        } else {
            time.min(calm * (1.0 + seconds * std::f32::consts::LN_2 / DOUBLES))
        };
        self.calm.set(calm);
        let change = match next {
            Some(next) => {
                let most = (GROWTH * calm.min(FAR * next)).max(WORTH * next);
                let over = time / most - 1.0;
                // A little below the mark it rests; every 10 % above count for a second of the greatest speed.
                if over > 0.0 {
                    -FALL * (over * 2.0).clamp(0.2, 1.0)
                } else if over < -0.3 {
                    RETURN
                } else {
                    0.0
                }
            }
            None => RETURN,
        };
        let eased = self.eased.get() + change * seconds;
        self.eased.set(eased.clamp(SEEN, 1.0));
    }

    /// The mean of what the candidates report, by weight and by what the reports are worth, and the part of the weight
    /// that it speaks for. `None` without reports.
    fn utilization(&self, now: Nanos) -> Option<(f32, f32)> {
        let (mut sum, mut known) = (0.0, 0.0);
        for (stats, weight) in &self.candidates {
            if let Some((report, worth)) = stats.reported().get(now)
                && let Some(used) = report.utilization()
            {
                sum += weight * worth * used;
                known += weight * worth;
            }
        }
        (known > 0.0).then(|| (sum / known, known / self.weight))
    }
}

/// Whether it is gone for those that asked last, and nobody has said otherwise since.
fn has_fallen(stats: &Stats) -> bool {
    stats.trust().has_fallen() && stats.consecutive_failures() > 0
}

/// The median, and by how much another one may be off it, at two standard deviations: by the median deviation of the
/// others from it, and by half when there are no others. Not for nothing.
pub(super) fn median(times: &mut [u64]) -> (u64, f32) {
    let middle = times.len() / 2;
    let (before, median, after) = times.select_nth_unstable(middle);
    let median = *median;
    // Its own is none.
    let others = before.iter().chain(&*after);
    let mut off: Vec<u64> = others.map(|time| time.abs_diff(median)).collect();
    if off.is_empty() {
        return (median, median as f32 / 2.0);
    }
    let middle = off.len() / 2;
    let (_, deviation, _) = off.select_nth_unstable(middle);
    // 1.4826 median deviations are a standard one, of a normal distribution.
    (median, 2.0 * 1.4826 * *deviation as f32)
}
