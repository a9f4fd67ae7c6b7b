//! Peak EWMA where such rules go wrong: magnets, long memories, cold instances.

use evenkeel_core::testing::{add_load, candidates, lease};
use evenkeel_core::{Candidates, Nanos, Outcome, PickContext, Picker, Slot, StrategyName};

use crate::conformance::{build, pick};
use crate::fleet::{Fault, Fleet, seconds};

struct Service {
    candidates: Candidates,
    picker: Box<dyn Picker>,
    cx: PickContext,
}

impl Service {
    /// All usually take 10 ms but the first `unknown`.
    fn new(weights: &[u32], unknown: usize) -> Self {
        let candidates = candidates(weights).unwrap();
        let picker = build(StrategyName::peak_ewma, &candidates, 1);
        let mut cx = PickContext::new(1);
        cx.now = Nanos::from_secs(100);
        let service = Self {
            candidates,
            picker,
            cx,
        };
        for slot in unknown..weights.len() {
            (0..60).for_each(|_| service.ended(slot as u32, &ok(10)));
        }
        service
    }

    fn ended(&self, slot: u32, outcome: &Outcome) {
        let lease = lease(&self.candidates, Slot(slot), self.cx.now).unwrap();
        let _ = lease.finish(outcome, self.cx.now);
    }

    /// Picks `count` times, each answered at once with `outcome(slot)`, `apart` between them.
    fn sequential(&mut self, count: u32, apart: Nanos, outcome: impl Fn(u32) -> Outcome) -> Vec<u32> {
        let mut counts = vec![0; self.candidates.len()];
        for _ in 0..count {
            self.cx.now = self.cx.now + apart;
            let slot = pick(&*self.picker, &mut self.cx).0;
            counts[slot as usize] += 1;
            self.ended(slot, &outcome(slot));
        }
        counts
    }
}

fn ok(ms: u64) -> Outcome {
    Outcome::from_status(200, Nanos::from_millis(ms))
}

const MS: Nanos = Nanos::from_millis(1);

#[test]
fn a_peak_of_two_seconds_is_forgiven_within_ten() {
    let mut service = Service::new(&[1, 1], 0);
    service.ended(0, &ok(2000));
    // A request each 10 ms: none for 6 s, its part again from the tenth on.
    let counts = service.sequential(600, Nanos::from_millis(10), |_| ok(10));
    assert_eq!(counts[0], 0, "{counts:?}");
    service.sequential(300, Nanos::from_millis(10), |_| ok(10));
    let counts = service.sequential(200, Nanos::from_millis(10), |_| ok(10));
    assert!(counts[0] > 60, "{counts:?}");
}

#[test]
fn a_cold_instance_gets_one_request_and_then_waits_for_its_answer() {
    let mut service = Service::new(&[1, 1, 1], 1);
    let mut pending = Vec::new();
    let mut cold = 0;
    for _ in 0..500 {
        service.cx.now = service.cx.now + MS;
        let slot = pick(&*service.picker, &mut service.cx);
        if slot == Slot(0) {
            cold += 1;
            pending.push(lease(&service.candidates, slot, service.cx.now).unwrap());
        } else {
            service.ended(slot.0, &ok(10));
        }
    }
    assert_eq!(cold, 1);
    // Once it has answered it is one of three.
    for lease in pending {
        let _ = lease.finish(&ok(10), service.cx.now);
    }
    let counts = service.sequential(300, MS, |_| ok(10));
    assert!(counts[0] > 50, "{counts:?}");
}

#[test]
fn an_answer_that_never_comes_starves_nobody_for_ever() {
    let mut service = Service::new(&[1, 1], 1);
    let _stream = lease(&service.candidates, Slot(0), service.cx.now).unwrap();
    let counts = service.sequential(1200, Nanos::from_millis(10), |_| ok(10));
    assert_eq!(counts[0], 0, "12 s");
    let counts = service.sequential(1000, Nanos::from_millis(10), |_| ok(10));
    assert!(counts[0] > 0, "{counts:?}");
}

#[test]
fn who_fails_at_once_attracts_nothing() {
    let broken = |slot| match slot {
        0 => Outcome::failed(Nanos(20_000)),
        _ => ok(10),
    };
    for unknown in [0, 1] {
        let mut service = Service::new(&[1; 5], unknown);
        // 60 s at 1000 a second: a trial every 9 s at the most.
        let counts = service.sequential(60_000, MS, broken);
        assert!((1..30).contains(&counts[0]), "{counts:?}");
    }
}

#[test]
fn requests_in_flight_and_weight_multiply_the_time() {
    let mut service = Service::new(&[1, 4], 0);
    let mut first = |load: [u32; 2]| {
        add_load(&service.candidates, Slot(0), load[0]);
        add_load(&service.candidates, Slot(1), load[1]);
        let picks: Vec<Slot> = (0..50).map(|_| pick(&*service.picker, &mut service.cx)).collect();
        assert!(picks.iter().all(|slot| *slot == picks[0]));
        picks[0]
    };
    assert_eq!(first([0, 0]), Slot(1), "10 / 4 < 10");
    assert_eq!(first([0, 2]), Slot(1), "30 / 4 < 10");
    assert_eq!(first([0, 2]), Slot(0), "10 < 50 / 4");
    assert_eq!(first([1, 0]), Slot(1), "50 / 4 < 20");
}

#[test]
fn clients_of_a_fleet_with_one_that_fails_at_once_do_not_see_it() {
    let mut fleet = Fleet::new(StrategyName::peak_ewma, 10, 0.7).with(0..1, 2, 99, Fault::FailsAtOnce);
    // Neither ejection nor retries help.
    (fleet.ejects_at, fleet.retries, fleet.length) = (0, 0, seconds(30));
    let report = fleet.run_all(0..4);
    assert!(report.error_share() < 0.001, "{}", report.error_share());
    assert!(
        report.fair_share(0, 4..30) < 0.005,
        "{}",
        report.fair_share(0, 4..30)
    );
}

#[test]
fn a_slow_instance_loses_its_share_within_two_seconds_and_has_it_back_within_ten() {
    let mut fleet = Fleet::new(StrategyName::peak_ewma, 11, 0.3).with(0..1, 5, 25, Fault::Slow(20.0));
    fleet.length = seconds(45);
    let report = fleet.run_all(0..4);
    assert!(
        report.fair_share(0, 7..25) < 0.2,
        "{}",
        report.fair_share(0, 7..25)
    );
    assert!(
        report.fair_share(0, 35..45) > 0.8,
        "{}",
        report.fair_share(0, 35..45)
    );
}
