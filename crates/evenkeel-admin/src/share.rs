//! Each instance's share of its service's picks, since the start and lately.
//!
//! "Lately" needs a past to compare with: every [`INTERVAL`] the counters of all instances are noted,
//! and the last but one note is the baseline, so that the window is one to two intervals long. A note
//! of 10,000 instances is 240 KB. The hot path takes no part in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{Nanos, Slot, Stats, View};
use evenkeel_runtime::Balancer;
use tokio::sync::watch;

use crate::wire;

/// Between two notes.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Picks of one instance at the time of a note. The counters themselves tell whether the slot still
/// belongs to the same instance.
type Noted = (Slot, Arc<Stats>, u64);

#[derive(Debug)]
struct Note {
    at: Nanos,
    services: HashMap<Arc<str>, Vec<Noted>>,
}

impl Note {
    fn take(balancer: &Balancer) -> Arc<Self> {
        let note = |view: &View| {
            view.members()
                .map(|(slot, member, _)| (slot, Arc::clone(member.stats()), member.stats().picks()))
                .collect()
        };
        Arc::new(Self {
            at: balancer.clock().now(),
            services: balancer
                .services()
                .iter()
                .map(|service| (Arc::clone(service.name()), note(&service.view_full())))
                .collect(),
        })
    }

    fn picks(&self, service: &str, slot: Slot, stats: &Arc<Stats>) -> u64 {
        let Some(noted) = self.services.get(service) else {
            return 0;
        };
        match noted.binary_search_by_key(&slot, |(slot, ..)| *slot) {
            Ok(index) if Arc::ptr_eq(&noted[index].1, stats) => noted[index].2,
            _ => 0,
        }
    }
}

/// The two last notes: baseline first.
#[derive(Debug)]
pub(crate) struct RecentPicks(watch::Sender<[Arc<Note>; 2]>);

impl RecentPicks {
    pub(crate) fn new(balancer: &Balancer) -> Self {
        let note = Note::take(balancer);
        Self(watch::Sender::new([Arc::clone(&note), note]))
    }

    /// Takes a note. To be called every [`INTERVAL`].
    pub(crate) fn advance(&self, balancer: &Balancer) {
        let note = Note::take(balancer);
        self.0.send_modify(|notes| {
            notes.swap(0, 1);
            notes[1] = note;
        });
    }

    /// The shares of all instances of `view` now.
    pub(crate) fn shares(&self, service: &str, view: &View, now: Nanos) -> Shares {
        let baseline = Arc::clone(&self.0.borrow()[0]);
        let by_slot: Vec<_> = view
            .members()
            .map(|(slot, member, _)| {
                let picks = member.stats().picks();
                let before = baseline.picks(service, slot, member.stats());
                (slot, picks, picks.saturating_sub(before))
            })
            .collect();
        Shares {
            total: by_slot.iter().map(|(_, picks, _)| picks).sum(),
            recent: by_slot.iter().map(|(.., recent)| recent).sum(),
            window: now.since(baseline.at),
            by_slot,
        }
    }
}

/// Picks of the instances of one service, read once so that shares add up to one.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    total: u64,
    recent: u64,
    window: Nanos,
    by_slot: Vec<(Slot, u64, u64)>,
}

impl Shares {
    pub(crate) fn of(&self, slot: Slot) -> wire::Share {
        let (picks, recent) = match self.by_slot.binary_search_by_key(&slot, |(slot, ..)| *slot) {
            Ok(index) => (self.by_slot[index].1, self.by_slot[index].2),
            Err(_) => (0, 0),
        };
        let part = |of: u64, all: u64| (all > 0).then(|| of as f64 / all as f64);
        wire::Share {
            total: part(picks, self.total),
            recent: part(recent, self.recent),
            recent_window_seconds: (self.window.0 / 1_000_000) as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{Instance, PickContext, PickRequest, ServiceSettings, StrategyName};
    use evenkeel_runtime::{Clock, ServiceSpec};

    use super::*;

    fn web(ids: &[&str]) -> ServiceSpec {
        let instance = |id: &&str| Instance::new(id, ([127, 0, 0, 1], 80).into()).unwrap();
        ServiceSpec {
            settings: ServiceSettings {
                strategy: StrategyName::round_robin.into(),
                ..ServiceSettings::new("web")
            },
            instances: ids.iter().map(instance).collect(),
            check: None,
        }
    }

    fn pick(balancer: &Balancer, times: u32) {
        let service = balancer.service("web").unwrap();
        let mut cx = PickContext::new(1);
        for _ in 0..times {
            drop(service.pick(&PickRequest::default(), &mut cx).unwrap());
        }
    }

    fn shares(recent: &RecentPicks, balancer: &Balancer) -> Vec<wire::Share> {
        let view = balancer.service("web").unwrap().view_full();
        let shares = recent.shares("web", &view, balancer.clock().now());
        view.members().map(|(slot, ..)| shares.of(slot)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn recent_shares_look_back_to_the_last_note_but_one() {
        let balancer = Balancer::new(Clock::start(), 1);
        balancer.apply(vec![web(&["a"])]).await.unwrap();
        let recent = RecentPicks::new(&balancer);
        assert_eq!(shares(&recent, &balancer)[0].total, None, "no picks, no share");
        pick(&balancer, 8);
        assert_eq!(shares(&recent, &balancer)[0].recent, Some(1.0));

        balancer.apply(vec![web(&["a", "b"])]).await.unwrap();
        for _ in 0..2 {
            tokio::time::advance(INTERVAL).await;
            recent.advance(&balancer);
        }
        let quiet = shares(&recent, &balancer);
        assert_eq!((quiet[0].total, quiet[1].total), (Some(1.0), Some(0.0)));
        assert_eq!((quiet[0].recent, quiet[1].recent), (None, None));
        assert!((quiet[0].recent_window_seconds - INTERVAL.as_secs_f64()).abs() < 0.01);

        pick(&balancer, 8);
        let busy = shares(&recent, &balancer);
        assert_eq!((busy[0].total, busy[1].total), (Some(0.75), Some(0.25)));
        assert_eq!((busy[0].recent, busy[1].recent), (Some(0.5), Some(0.5)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_in_the_slot_of_another_starts_from_nothing() {
        let balancer = Balancer::new(Clock::start(), 1);
        balancer.apply(vec![web(&["a"])]).await.unwrap();
        pick(&balancer, 8);
        let recent = RecentPicks::new(&balancer);
        balancer.apply(vec![web(&["b"])]).await.unwrap();
        pick(&balancer, 2);
        let share = &shares(&recent, &balancer)[0];
        assert_eq!((share.total, share.recent), (Some(1.0), Some(1.0)));
    }
}
