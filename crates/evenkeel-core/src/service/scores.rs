//! The scores of all instances, once a second and on alarms: what compares an instance with its peers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::headroom::Headroom;
use super::slots::Slots;
use crate::health::burst::{LEVELS, Level, level_for};
use crate::health::latency::Peers;
use crate::health::window::Window;
use crate::{Nanos, ServiceSettings};

/// With fewer requests an instance has no say in what the fleet commonly fails.
const LEAST_REQUESTS: u64 = 20;

/// Fewer failures are chance.
const LEAST_FAILURES: u64 = 3;
/// A lower quartile is below what is common; by less than this factor from a hundred requests on.
const MARGIN: f32 = 1.25;
/// A rise to this rate is no rise: few requests waver so much.
const ORDINARY: f32 = 0.02;
/// So long after a rise the latest counts are all from after it.
const KNOWN_AFTER: Nanos = Nanos::from_secs(2);

/// What the fleet has in common.
#[derive(Debug)]
pub(super) struct Scores {
    next: Nanos,
    level: Level,
    pub(super) headroom: Headroom,
    /// Until when what the fleet commonly fails is not known, because it is on the rise.
    rising_until: Nanos,
}

impl Scores {
    pub(super) fn new() -> Self {
        Self {
            next: Nanos::ZERO,
            level: level_for(0.0),
            headroom: Headroom::default(),
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
            entry.vitals.observe(entry.member.stats(), now);
        }
        self.find_level(slots, now);
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
            entry.vitals.judge(median, &settings.ejection, now);
            let parts = entry.parts(settings.checks, &settings.ejection, now);
            entry.member.stats().set_health_parts(parts);
        }
    }

    /// Takes in what happened since, and publishes the scores of those that failed. O(n).
    pub(super) fn alarm(&mut self, slots: &mut Slots, settings: &ServiceSettings, now: Nanos) {
        for (_, entry) in slots.iter_mut() {
            let stats = entry.member.stats();
            if !entry.vitals.has_news(stats) {
                continue;
            }
            if entry.vitals.observe(stats, now) {
                let parts = entry.parts(settings.checks, &settings.ejection, now);
                entry.member.stats().set_health_parts(parts);
            }
        }
        self.find_level(slots, now);
    }

    /// Finds what the fleet commonly fails, and reckons suspicions by that from now on.
    fn find_level(&mut self, slots: &mut Slots, now: Nanos) {
        let latest = common_rate(slots, Window::latest);
        // What was common is so for ten seconds more, or a failure that comes and goes would be news each time.
        let rate = latest.max(common_rate(slots, Window::failures_of));
        let level = level_for(rate);
        for (_, entry) in slots.iter_mut() {
            entry.member.stats().suspicion().set_level(level);
        }
        if level.rate > self.level.rate.max(ORDINARY) {
            self.rising_until = now + KNOWN_AFTER;
        }
        self.level = level;
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        self.next = self.next.since(back);
        self.headroom.shift(back);
        self.rising_until = self.rising_until.since(back);
    }
}

/// What three quarters of the instances with enough requests fail at least: a lower quartile, and not the median,
/// so that two bad ones of three are still the exception. 0 below two instances, because nobody compares.
fn common_rate(slots: &Slots, counts: impl Fn(&Window) -> (u64, u64)) -> f32 {
    let rates = slots.iter().filter_map(|(_, entry)| {
        let (bad, all) = counts(&entry.vitals.window);
        let rate = if bad < LEAST_FAILURES {
            0.0
        } else {
            MARGIN * bad as f32 / all as f32
        };
        (all >= LEAST_REQUESTS).then_some(rate)
    });
    let mut rates: Vec<f32> = rates.collect();
    if rates.len() < 2 {
        return 0.0;
    }
    let quartile = (rates.len() - 1) / 4;
    *rates.select_nth_unstable_by(quartile, f32::total_cmp).1
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
