//! The scores of all instances, once a second and on alarms: what compares an instance with its peers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::Entry;
use super::headroom::Headroom;
use super::slots::Slots;
use crate::health::burst::{LEVELS, Level, level_for};
use crate::health::latency::Peers;
use crate::health::silence::needed;
use crate::health::vitals::Vitals;
use crate::{EjectionSettings, Mode, Nanos, ServiceSettings, Slot, Thresholds};

/// With fewer requests an instance has no say in what the fleet commonly fails.
const LEAST_REQUESTS: u64 = 20;

/// Fewer failures are chance.
const LEAST_FAILURES: u64 = 3;
/// A lower quartile is below what is common; by less than this factor from a hundred requests on.
const MARGIN: f32 = 1.25;
/// A rise to this rate is no rise: few requests waver so much.
const ORDINARY: f32 = 0.02;
/// A refusal counts for at least so many times what its answers take that are none. Not once: times that vary are picked
/// when they are low by chance, and one that never varies would win against most of them.
const OWN_FLOOR: f32 = 1.25;
/// And where nothing is known of those, for so many times what the others take.
const LENT_FLOOR: f32 = 2.0;
/// So many times the inverse of a rate of failures, and a row of successes is no chance: −ln 10⁻³.
const OUTDATED: f32 = 6.9;
/// Response times that are enough to say how many take long.
const ENOUGH_TIMES: u64 = 1000;
/// So long after a rise the latest counts are all from after it.
const KNOWN_AFTER: Nanos = Nanos::from_secs(2);

/// What the fleet has in common.
#[derive(Debug)]
pub(super) struct Scores {
    next: Nanos,
    level: Level,
    /// What the fleet commonly fails, by which that was chosen.
    usual: f32,
    pub(super) headroom: Headroom,
    /// What the fleet answered well so far.
    answered: u64,
    /// Requests without a failure since the last look that found one.
    good_run: u64,
    /// Everybody did nothing but fail, as of the last look at them.
    pub(super) all_fail: bool,
    /// Until when what the fleet commonly fails is not known, because it is on the rise.
    rising_until: Nanos,
}

impl Scores {
    pub(super) fn new() -> Self {
        Self {
            next: Nanos::ZERO,
            level: level_for(0.0),
            usual: 0.0,
            headroom: Headroom::default(),
            answered: 0,
            good_run: 0,
            all_fail: false,
            rising_until: Nanos::ZERO,
        }
    }

    /// What the fleet commonly fails, and what is more than that.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Runs of failures up to this are chance at that rate. At the lowest level the setting alone decides.
    pub(super) fn ordinary_run(&self) -> u32 {
        if self.level.rate > LEVELS[0].rate {
            self.level.run
        } else {
            0
        }
    }

    /// Whether the whole fleet has begun to fail more than before, so recently that nobody knows how much more.
    pub(super) fn is_rising(&self, now: Nanos) -> bool {
        now < self.rising_until
    }

    /// Takes in what the counters gained; when it is time, compares and publishes. O(n).
    pub(super) fn tick(&mut self, slots: &mut Slots, settings: &ServiceSettings, now: Nanos) {
        for (_, entry) in slots.iter_mut() {
            self.observe(entry, now);
        }
        set_floors(slots);
        self.find_level(slots, settings.ejection.adaptive, now);
        let due = now >= self.next;
        if due {
            self.next = now + settings.ejection.refresh;
        }
        let peers = if due { peers(slots, now) } else { BTreeMap::new() };
        for (_, entry) in slots.iter_mut() {
            if !due {
                break;
            }
            let own = entry.vitals.latency.known(now);
            let peers = peers.get(&entry.member.instance().region);
            let median = peers.and_then(|peers| peers.median_beside(own));
            let member = Arc::clone(&entry.member);
            entry
                .vitals
                .judge(median, member.stats(), &settings.ejection, now);
            let parts = entry.parts(settings.checks, &settings.ejection, now);
            entry.member.stats().set_health_parts(parts);
        }
        self.find_silent(slots, &settings.ejection);
        find_slow(slots, &settings.ejection, now);
    }

    /// Takes in what the counters of `entry` gained. True when that were failures, too.
    fn observe(&mut self, entry: &mut Entry, now: Nanos) -> bool {
        let (before, seen) = (entry.vitals.good(), entry.vitals.seen());
        let failed = entry.vitals.observe(entry.member.stats(), now);
        let new = entry.vitals.seen()[1].saturating_sub(seen[1]);
        self.good_run = if failed { 0 } else { self.good_run + new };
        self.answered += entry.vitals.good().saturating_sub(before);
        let silence = &mut entry.vitals.silence;
        silence.observe(entry.member.stats(), self.answered, now);
        failed
    }

    /// Finds who is asked and does not answer while the others do. O(n), and a look at the response times of some
    /// others for each that is suspected.
    fn find_silent(&self, slots: &mut Slots, settings: &EjectionSettings) {
        if settings.is_off() || settings.on_silence == Mode::Off {
            return;
        }
        let suspects = slots.iter().filter_map(|(slot, entry)| {
            let silence = &entry.vitals.silence;
            let waited = silence.waited(entry.member.stats());
            let (limit, bar) = entry.patience(settings);
            (waited >= limit.into() && entry.ejection.until().is_none()).then(|| {
                let share = share_beyond(slots, slot, silence.patience(entry.member.stats()));
                let needed = needed(limit, share, bar);
                let found = waited.min(silence.answered_elsewhere(self.answered)) >= needed;
                (slot, found.then_some(waited))
            })
        });
        for (slot, found) in suspects.collect::<Vec<_>>() {
            if let Some(entry) = slots.get_mut(slot) {
                entry.vitals.silence.set_found(found);
            }
        }
    }

    /// Takes in what happened since, and publishes the scores of those that failed. O(n).
    pub(super) fn alarm(&mut self, slots: &mut Slots, settings: &ServiceSettings, now: Nanos) {
        for (_, entry) in slots.iter_mut() {
            if !entry.vitals.has_news(entry.member.stats()) {
                continue;
            }
            if self.observe(entry, now) {
                let parts = entry.parts(settings.checks, &settings.ejection, now);
                entry.member.stats().set_health_parts(parts);
            }
        }
        self.find_level(slots, settings.ejection.adaptive, now);
    }

    /// Finds what the fleet commonly fails, and reckons suspicions by that from now on.
    fn find_level(&mut self, slots: &mut Slots, adaptive: bool, now: Nanos) {
        let latest = common_rate(slots, |vitals| by_window(vitals.window.latest()));
        // What was common is so for ten seconds more, or a failure that comes and goes would be news each time.
        let rate = latest.max(common_rate(slots, |vitals| {
            by_window(vitals.window.failures_of())
        }));
        // With a few requests a second nobody has enough in ten seconds; then the last ones speak, however old, until as
        // many succeeded in a row as chance would give once in a thousand.
        let remembered = common_rate(slots, by_memory);
        if self.good_run as f32 * remembered > OUTDATED {
            slots
                .iter_mut()
                .for_each(|(_, entry)| entry.vitals.forget_memory());
        }
        self.usual = rate.max(remembered);
        let level = level_for(if adaptive { self.usual } else { 0.0 });
        for (_, entry) in slots.iter_mut() {
            entry.member.stats().suspicion().set_level(level);
        }
        if level.rate > self.level.rate.max(ORDINARY) {
            self.rising_until = now + KNOWN_AFTER;
        }
        self.level = level;
    }

    /// What counts as too much now. O(n).
    pub(super) fn thresholds(&self, slots: &Slots, settings: &EjectionSettings, now: Nanos) -> Thresholds {
        let slow = slots
            .iter()
            .filter_map(|(_, entry)| entry.vitals.latency.slow_from(settings));
        let slow = slow.fold(None, |slow: Option<[Nanos; 2]>, from| match slow {
            Some([least, most]) => Some([least.min(from), most.max(from)]),
            None => Some([from, from]),
        });
        Thresholds {
            usual_failures: self.usual,
            burst: [self.level.rate, self.level.high],
            error_rate: settings.error_rate.max(self.level.high),
            run: settings.consecutive_failures.max(self.ordinary_run()),
            rising: self.is_rising(now),
            slow,
        }
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        self.next = self.next.since(back);
        self.headroom.shift(back);
        self.rising_until = self.rising_until.since(back);
    }
}

/// What part of these failures and all requests failed, with a margin; `None` when they are too few to say.
fn by_window((bad, all): (u64, u64)) -> Option<f32> {
    let rate = if bad < LEAST_FAILURES {
        0.0
    } else {
        MARGIN * bad as f32 / all as f32
    };
    (all >= LEAST_REQUESTS).then_some(rate)
}

/// The same of the last requests, however old: as much as it may be, where it is by one standard error more than it seems.
fn by_memory(vitals: &Vitals) -> Option<f32> {
    let [bad, all] = vitals.memory();
    let rate = if bad < LEAST_FAILURES as f32 {
        0.0
    } else {
        (bad + bad.sqrt()) / all
    };
    (all >= LEAST_REQUESTS as f32).then_some(rate.min(1.0))
}

/// What three quarters of the instances with enough requests fail at least: a lower quartile, and not the median,
/// so that two bad ones of three are still the exception. 0 below two instances, because nobody compares.
fn common_rate(slots: &Slots, of: impl Fn(&Vitals) -> Option<f32>) -> f32 {
    let rates = slots.iter().filter_map(|(_, entry)| of(&entry.vitals));
    let mut rates: Vec<f32> = rates.collect();
    if rates.len() < 2 {
        return 0.0;
    }
    let quartile = (rates.len() - 1) / 4;
    *rates.select_nth_unstable_by(quartile, f32::total_cmp).1
}

/// Finds for whom it is no chance that requests take long. O(n), and a look at the response times of some others for each
/// that is suspected.
fn find_slow(slots: &mut Slots, settings: &EjectionSettings, now: Nanos) {
    if settings.is_off() || settings.on_slow == Mode::Off {
        return;
    }
    let suspects = slots.iter().filter_map(|(slot, entry)| {
        let should_take = entry.vitals.latency.suspected(now)?;
        Some((
            slot,
            share_beyond(slots, slot, should_take),
            entry.patience(settings).1,
        ))
    });
    for (slot, share, bar) in suspects.collect::<Vec<_>>() {
        if let Some(entry) = slots.get_mut(slot) {
            entry.vitals.latency.convict(share, bar);
        }
    }
}

/// What part of the requests to others than `slot` takes longer than `patience`: of the last thousand or so that ended, and
/// of those that are open, whose time nobody knows. All when there is nothing to go by.
fn share_beyond(slots: &Slots, slot: Slot, patience: Nanos) -> f64 {
    let (mut beyond, mut all) = (0, 0);
    for (_, entry) in slots.iter().filter(|(other, _)| *other != slot) {
        let times = entry.member.stats().response_times();
        let (ended, open) = (times.count(), u64::from(entry.member.load().get()));
        beyond += ended.saturating_sub(times.count_at_most(patience)) + open;
        all += ended + open;
        if all >= ENOUGH_TIMES {
            break;
        }
    }
    if all == 0 { 1.0 } else { beyond as f64 / all as f64 }
}

/// Tells every instance what its answers take that are no refusals, and those that never gave such what the others' do: who
/// begins by refusing everything at once must not look fast. O(n).
pub(super) fn set_floors(slots: &mut Slots) {
    let known = slots.iter().filter_map(|(_, entry)| entry.vitals.floors());
    let mut known: Vec<[f32; 2]> = known.collect();
    let middle = known.len() / 2;
    let lent = match known.is_empty() {
        true => [0.0; 2],
        false => {
            *known
                .select_nth_unstable_by(middle, |a, b| a[1].total_cmp(&b[1]))
                .1
        }
    };
    for (_, entry) in slots.iter_mut() {
        let stats = entry.member.stats();
        let own = entry
            .vitals
            .floors()
            .map(|floors| floors.map(|floor| floor * OWN_FLOOR));
        let floors = own.unwrap_or(lent.map(|floor| floor * LENT_FLOOR));
        if floors != stats.floors() {
            stats.set_floors(floors);
        }
    }
}

/// Response times by region.
fn peers(slots: &Slots, now: Nanos) -> BTreeMap<Option<Arc<str>>, Peers> {
    let mut times: BTreeMap<Option<Arc<str>>, Vec<f64>> = BTreeMap::new();
    for (_, entry) in slots.iter() {
        if let Some(time) = entry.vitals.latency.known(now) {
            let region = &entry.member.instance().region;
            match times.get_mut(region) {
                Some(times) => times.push(time),
                None => {
                    times.insert(region.clone(), vec![time]);
                }
            }
        }
    }
    let peers = times
        .into_iter()
        .map(|(region, times)| (region, Peers::of(times)));
    peers.collect()
}
