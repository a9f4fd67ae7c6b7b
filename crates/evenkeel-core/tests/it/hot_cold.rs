//! Hot and cold: load comes first, then time; reports; failures.

use evenkeel_core::testing::{add_load, candidates, lease};
use evenkeel_core::{Candidates, LoadReport, Nanos, Outcome, PickContext, Picker, Slot, StrategyName};

use crate::conformance::{build, pick};
use crate::fleet::{Fault, Fleet, seconds};

struct Service {
    candidates: Candidates,
    picker: Box<dyn Picker>,
    cx: PickContext,
}

impl Service {
    /// Instances of weight 1 that usually take so many milliseconds; 0 for one that was never asked.
    fn new(times: &[u64]) -> Self {
        let candidates = candidates(&vec![1; times.len()]).unwrap();
        let picker = build(StrategyName::hot_cold, &candidates, 1);
        let mut cx = PickContext::new(1);
        cx.now = Nanos::from_secs(100);
        for (slot, time) in (0..).zip(times).filter(|(_, time)| **time > 0) {
            for _ in 0..60 {
                let lease = lease(&candidates, Slot(slot), cx.now).unwrap();
                let _ = lease.finish(&Outcome::from_status(200, Nanos::from_millis(*time)), cx.now);
            }
        }
        Self {
            candidates,
            picker,
            cx,
        }
    }

    fn load(&self, slot: u32, requests: u32) {
        add_load(&self.candidates, Slot(slot), requests);
    }

    fn report(&self, slot: u32, cpu: f64) {
        let report = LoadReport::default().with_cpu(cpu).unwrap();
        let stats = self.candidates.member(Slot(slot)).unwrap().stats();
        assert!(stats.reported().observe(&report, self.cx.now, self.cx.now));
    }

    /// Whom all of fifty picks name.
    fn always(&mut self) -> u32 {
        let first = pick(&*self.picker, &mut self.cx);
        assert!((0..50).all(|_| pick(&*self.picker, &mut self.cx) == first));
        first.0
    }
}

#[test]
fn the_hot_are_left_alone_however_fast() {
    let mut service = Service::new(&[1, 100, 100, 90, 100]);
    assert_eq!(service.always(), 0);
    (1..5).for_each(|slot| service.load(slot, 1));
    // Two against two at most: not strictly more than three of five.
    service.load(0, 1);
    assert_eq!(service.always(), 0);
    // Now it is the only one above the place of the quantile.
    service.load(0, 1);
    assert_eq!(service.always(), 3);
}

#[test]
fn among_the_cold_time_decides_and_grows_with_load() {
    let mut service = Service::new(&[10, 12, 50, 50, 50]);
    assert_eq!(service.always(), 0);
    service.load(0, 1);
    service.load(4, 5);
    assert_eq!(service.always(), 1, "12 < 20");
    service.load(1, 1);
    assert_eq!(service.always(), 0, "20 < 24");
}

#[test]
fn two_are_compared_by_load_first() {
    let mut service = Service::new(&[1, 500]);
    assert_eq!(service.always(), 0);
    service.load(0, 1);
    assert_eq!(service.always(), 1);
}

#[test]
fn who_was_never_asked_is_asked_once() {
    let mut service = Service::new(&[10, 0, 12, 14]);
    assert_eq!(service.always(), 1);
    let _pending = lease(&service.candidates, Slot(1), service.cx.now).unwrap();
    assert_ne!(service.always(), 1);
}

#[test]
fn a_busy_report_makes_hot_and_an_idle_one_attracts_nobody() {
    let mut service = Service::new(&[10, 12, 50, 60, 70]);
    service.report(0, 0.95);
    service.picker.refresh(service.cx.now);
    assert_eq!(service.always(), 1);
    // Half its worth: less than the four requests that are believed, and still hot. None when it has expired.
    service.picker.refresh(service.cx.now + Nanos::from_secs(95));
    assert_eq!(service.always(), 1);
    service.picker.refresh(service.cx.now + Nanos::from_secs(180));
    assert_eq!(service.always(), 0);
    // Says that it is idle, and is not.
    service.report(1, 0.0);
    service.load(1, 5);
    service.picker.refresh(service.cx.now);
    assert_ne!(service.always(), 1);
    // Above all it has.
    service.report(2, 40.0);
    service.picker.refresh(service.cx.now);
    assert_ne!(service.always(), 2);
}

#[test]
fn a_report_adds_what_others_sent_and_hides_nothing_of_ours() {
    let mut service = Service::new(&[10, 10, 11, 50, 60]);
    // What all have decides nothing, however much: the live count does.
    (0..5).for_each(|slot| service.report(slot, 0.95));
    service.picker.refresh(service.cx.now);
    service.load(0, 1);
    assert_eq!(service.always(), 1);
    service.load(1, 1);
    assert_eq!(service.always(), 2);
    // What we sent is no surplus; two of three at 0.75 are ours, and one is noise.
    let mut service = Service::new(&[10, 12, 50, 60, 70]);
    service.load(0, 2);
    service.report(0, 0.75);
    service.picker.refresh(service.cx.now);
    (1..5).for_each(|slot| service.load(slot, 2));
    assert_eq!(service.always(), 0);
    // What others sent is seen within some seconds.
    let mut service = Service::new(&[10, 12, 50, 60, 70]);
    service.report(0, 0.1);
    service.picker.refresh(service.cx.now);
    assert_eq!(service.always(), 0);
    service.cx.now = service.cx.now + Nanos::from_secs(1);
    service.report(0, 0.95);
    (0..16).for_each(|_| service.picker.refresh(service.cx.now));
    assert_eq!(service.always(), 1);
}

#[test]
fn who_fails_at_once_attracts_nothing() {
    for n in [4, 10, 40] {
        let mut fleet = Fleet::new(StrategyName::hot_cold, n, 0.5).with(0..1, 2, 15, Fault::FailsAtOnce);
        // Neither ejection nor retries help.
        (fleet.ejects_at, fleet.retries, fleet.length) = (0, 0, seconds(30));
        let report = fleet.run(1);
        assert!(
            report.fair_share(0, 4..15) < 0.02,
            "{n}: {}",
            report.fair_share(0, 4..15)
        );
        assert!(
            report.fair_share(0, 25..30) > 0.8,
            "{n}: {}",
            report.fair_share(0, 25..30)
        );
    }
}

#[test]
fn queues_stay_as_short_as_those_of_power_of_two() {
    for n in [3, 10, 40] {
        let p99 = |strategy| Fleet::new(strategy, n, 0.7).run_all(0..3).quantile(0.99);
        let (own, other) = (p99(StrategyName::hot_cold), p99(StrategyName::power_of_two));
        assert!(own < 1.05 * other, "{n}: {own} ms, {other} ms");
    }
}

#[test]
fn slow_instances_lose_their_share_and_get_it_back() {
    let mut fleet = Fleet::new(StrategyName::hot_cold, 10, 0.5).with(0..3, 5, 20, Fault::Slow(20.0));
    fleet.length = seconds(40);
    let report = fleet.run_all(0..3);
    assert!(
        report.fair_share(0, 7..20) < 0.1,
        "{}",
        report.fair_share(0, 7..20)
    );
    assert!(
        report.fair_share(0, 30..40) > 0.8,
        "{}",
        report.fair_share(0, 30..40)
    );
}
