//! Trend, failures and recovery, each where the score alone would decide otherwise.

use evenkeel_core::math::Factor;
use evenkeel_core::strategy::AdaptiveHealthAware;
use evenkeel_core::testing::{add_load, candidates, lease};
use evenkeel_core::{Candidates, Nanos, Outcome, PickContext, Picker, Slot, Strategy};

use crate::conformance::pick;
use crate::health_weighted_round_robin::score;

/// Ten instances, the first of which is looked at.
struct Service {
    candidates: Candidates,
    picker: Box<dyn Picker>,
    strategy: AdaptiveHealthAware,
    now: Nanos,
}

impl Service {
    fn new(strategy: AdaptiveHealthAware) -> Self {
        let candidates = candidates(&[1; 10]).unwrap();
        let picker = strategy.build(&candidates, 1);
        let now = Nanos::from_secs(100);
        picker.refresh(now);
        Self {
            candidates,
            picker,
            strategy,
            now,
        }
    }

    /// The first one's score is `first` for this many seconds.
    fn scored(&mut self, first: f32, seconds: u32) {
        score(&self.candidates, &[first]);
        self.picker.refresh(self.now);
        for _ in 0..seconds {
            self.now = self.now + Nanos::from_secs(1);
            self.picker.refresh(self.now);
        }
    }

    /// Its share of the picks while idle, as a multiple of the others'.
    fn share(&self) -> f64 {
        let mut cx = PickContext::new(1);
        let count = (0..50_000)
            .filter(|_| pick(&*self.picker, &mut cx) == Slot(0))
            .count();
        9.0 * count as f64 / (50_000 - count) as f64
    }

    fn ended(&self, outcome: &Outcome) {
        let lease = lease(&self.candidates, Slot(0), self.now).unwrap();
        let _ = lease.finish(outcome, self.now);
    }
}

fn close(value: f64, expected: f64) -> bool {
    // 50,000 picks: six standard deviations of a share near 0.1 are 8 % of it.
    (value / expected - 1.0).abs() < 0.1
}

#[test]
fn a_falling_score_loses_traffic_before_it_is_low() {
    let mut service = Service::new(AdaptiveHealthAware::default());
    service.scored(1.0, 5);
    assert!(close(service.share(), 1.0), "{}", service.share());
    service.scored(0.75, 0);
    // A fall in full: half of what the score alone would give.
    assert!(close(service.share(), 0.375), "{}", service.share());
    // What was low for a minute is not falling.
    service.scored(0.75, 60);
    assert!(close(service.share(), 0.75), "{}", service.share());
}

#[test]
fn one_that_recovers_gets_a_little_more_and_never_more_than_that() {
    let mut service = Service::new(AdaptiveHealthAware::default());
    service.scored(0.2, 60);
    assert!(close(service.share(), 0.2), "{}", service.share());
    service.scored(0.8, 0);
    assert!(close(service.share(), 1.0), "{}", service.share());
    // Not when it has enough to do, nor when its last request failed.
    service.ended(&Outcome::failed(Nanos(1)));
    assert!(service.share() < 0.5, "{}", service.share());
    service.ended(&Outcome::from_status(200, Nanos(1)));
    assert!(service.share() > 0.9, "{}", service.share());
    service.scored(0.8, 60);
    assert!(close(service.share(), 0.8), "{}", service.share());
}

#[test]
fn the_average_survives_rebuilds_and_an_absence() {
    let mut service = Service::new(AdaptiveHealthAware::default());
    service.scored(0.2, 60);
    let rebuilt = service.strategy.rebuild(&*service.picker, &service.candidates, 2);
    service.picker = rebuilt;
    service.scored(0.8, 0);
    assert!(close(service.share(), 1.0), "{}", service.share());
    // A picker of another strategy has no averages: nothing rises.
    let other = evenkeel_core::StrategyName::random
        .strategy()
        .build(&service.candidates, 1);
    service.picker = service.strategy.rebuild(&*other, &service.candidates, 2);
    assert!(close(service.share(), 0.8), "{}", service.share());
}

#[test]
fn both_terms_can_be_switched_off() {
    let off = AdaptiveHealthAware {
        trend_weight: Factor::ZERO,
        recovery_preference: Factor::ZERO,
        ..AdaptiveHealthAware::default()
    };
    let mut service = Service::new(off);
    service.scored(0.5, 0);
    assert!(close(service.share(), 0.5), "{}", service.share());
    service.scored(0.5, 60);
    service.scored(1.0, 0);
    assert!(close(service.share(), 1.0), "{}", service.share());
}

#[test]
fn a_run_of_failures_counts_at_once_and_no_longer_than_it_lasts() {
    let service = Service::new(AdaptiveHealthAware::default());
    (0..3).for_each(|_| service.ended(&Outcome::failed(Nanos(1))));
    // (15/16)^3 / 4, though its score is still perfect.
    assert!(close(service.share(), 0.206), "{}", service.share());
    service.ended(&Outcome::from_status(200, Nanos(1)));
    assert!(service.share() > 0.8, "{}", service.share());
}

#[test]
fn one_that_fails_at_once_gets_next_to_nothing() {
    let service = Service::new(AdaptiveHealthAware::default());
    let mut cx = PickContext::new(3);
    let mut open = std::collections::VecDeque::new();
    let mut sick = 0;
    for _ in 0..20_000 {
        let slot = pick(&*service.picker, &mut cx);
        if slot == Slot(0) {
            sick += 1;
            service.ended(&Outcome::failed(Nanos(1)));
        } else {
            open.push_back(lease(&service.candidates, slot, cx.now).unwrap());
        }
        // Thirty in flight at the others, none at the one that is done at once.
        if open.len() > 30 {
            let done = open.pop_front().unwrap();
            let _ = done.finish(&Outcome::from_status(200, Nanos(1)), cx.now);
        }
    }
    // A sixteenth of a tenth of the proposals; by requests in flight alone it would be nearly all.
    assert!(sick < 300, "{sick}");
}

#[test]
fn a_tenth_of_the_fleet_that_is_loaded_is_seldom_all_that_is_seen() {
    let strategy = AdaptiveHealthAware::default();
    let service = candidates(&[1; 100]).unwrap();
    (0..100).for_each(|slot| add_load(&service, Slot(slot), if slot < 10 { 50 } else { 1 }));
    let picker = strategy.build(&service, 1);
    let mut cx = PickContext::new(1);
    let bad = (0..20_000).filter(|_| pick(&*picker, &mut cx).0 < 10).count();
    // 0.1^4 of 20,000 is 2; two choices would give 200.
    assert!(bad < 15, "{bad}");
}
