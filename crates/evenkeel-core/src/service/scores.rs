//! The scores of all instances, once a second and on alarms: what compares an instance with its peers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::slots::Slots;
use crate::health::burst::{Level, level_for};
use crate::health::latency::Peers;
use crate::{Nanos, ServiceSettings};

/// With fewer requests in ten seconds an instance has no say in what the fleet commonly fails.
const LEAST_REQUESTS: u64 = 20;

/// What the fleet has in common.
#[derive(Debug)]
pub(super) struct Scores {
    next: Nanos,
    level: Level,
}

impl Scores {
    pub(super) fn new() -> Self {
        Self {
            next: Nanos::ZERO,
            level: level_for(0.0),
        }
    }

    /// What the fleet commonly fails, and what is more than that.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Takes in what the counters gained; when it is time, compares and publishes. O(n).
    pub(super) fn tick(&mut self, slots: &mut Slots, settings: &ServiceSettings, now: Nanos) {
        for (_, entry) in slots.iter_mut() {
            entry.vitals.observe(entry.member.stats(), now);
        }
        self.level = level_for(common_rate(slots));
        let due = now >= self.next;
        if due {
            self.next = now + settings.ejection.refresh;
        }
        let peers = if due { peers(slots, now) } else { BTreeMap::new() };
        for (_, entry) in slots.iter_mut() {
            let stats = entry.member.stats();
            stats.suspicion().set_level(self.level);
            if !due {
                continue;
            }
            let own = entry.vitals.latency.known(now);
            let peers = peers.get(&entry.member.instance().region);
            let median = peers.and_then(|peers| peers.median_beside(own));
            entry.vitals.judge(median, &settings.ejection, now);
            let parts = entry.parts(settings.checks, &settings.ejection, now);
            entry.member.stats().set_health_parts(parts);
        }
    }

    /// Takes in failures since, and publishes their scores. O(n), a load each where nothing failed.
    pub(super) fn alarm(&self, slots: &mut Slots, settings: &ServiceSettings, now: Nanos) {
        for (_, entry) in slots.iter_mut() {
            let stats = entry.member.stats();
            if entry.vitals.has_news(stats) {
                entry.vitals.observe(stats, now);
                let parts = entry.parts(settings.checks, &settings.ejection, now);
                entry.member.stats().set_health_parts(parts);
            }
        }
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        self.next = self.next.since(back);
    }
}

/// What three quarters of the instances with enough requests fail at least: a lower quartile, and not the median,
/// so that two bad ones of three are still the exception. 0 below two instances, because nobody compares.
fn common_rate(slots: &Slots) -> f32 {
    let rates = slots.iter().filter_map(|(_, entry)| {
        let (bad, all) = entry.vitals.window.failures_of();
        (all >= LEAST_REQUESTS).then_some(bad as f32 / all as f32)
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
