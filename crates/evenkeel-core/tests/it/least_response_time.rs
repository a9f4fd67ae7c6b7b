//! Least response time where such rules go wrong.

use evenkeel_core::testing::{add_load, candidates, lease};
use evenkeel_core::{Candidates, Nanos, Outcome, PickContext, Picker, Slot, StrategyName};

use crate::conformance::{build, pick};

struct Service {
    candidates: Candidates,
    picker: Box<dyn Picker>,
    cx: PickContext,
}

impl Service {
    fn new(weights: &[u32]) -> Self {
        let candidates = candidates(weights).unwrap();
        let picker = build(StrategyName::least_response_time, &candidates, 1);
        let mut cx = PickContext::new(1);
        cx.now = Nanos::from_secs(100);
        Self {
            candidates,
            picker,
            cx,
        }
    }

    fn pick(&mut self) -> u32 {
        pick(&*self.picker, &mut self.cx).0
    }

    /// One request at `slot` ends now with `outcome`.
    fn ended(&self, slot: u32, outcome: &Outcome) {
        let lease = lease(&self.candidates, Slot(slot), self.cx.now).unwrap();
        let _ = lease.finish(outcome, self.cx.now);
    }

    fn measured(&self, slot: u32, time: Nanos) {
        (0..60).for_each(|_| self.ended(slot, &Outcome::from_status(200, time)));
    }

    /// Picks `count` times, each answered at once after `time(slot)`, `apart` between them.
    fn sequential(&mut self, count: u32, apart: Nanos, outcome: impl Fn(u32) -> Outcome) -> Vec<u32> {
        let mut counts = vec![0; self.candidates.len()];
        for _ in 0..count {
            self.cx.now = self.cx.now + apart;
            let slot = self.pick();
            counts[slot as usize] += 1;
            self.ended(slot, &outcome(slot));
        }
        counts
    }
}

fn ok(time: Nanos) -> Outcome {
    Outcome::from_status(200, time)
}

#[test]
fn an_untried_instance_gets_one_request_and_then_waits_for_its_answer() {
    let mut service = Service::new(&[1, 1, 1]);
    service.measured(0, Nanos::from_millis(10));
    service.measured(1, Nanos::from_millis(12));
    assert_eq!(service.pick(), 2);
    let _pending = lease(&service.candidates, Slot(2), service.cx.now).unwrap();
    // Its cost is now that of an average instance with a request in flight: the idle ones come first.
    let counts = service.sequential(100, Nanos(1000), |_| ok(Nanos::from_millis(10)));
    assert_eq!(counts[2], 0, "{counts:?}");
    // When the others are busier than that, it is used again.
    add_load(&service.candidates, Slot(0), 5);
    add_load(&service.candidates, Slot(1), 5);
    assert_eq!(service.pick(), 2);
}

#[test]
fn a_new_service_tries_everyone_once_before_anyone_twice() {
    let mut service = Service::new(&[1, 5, 2, 9, 1, 1]);
    let counts = service.sequential(6, Nanos(0), |_| ok(Nanos(50_000)));
    assert_eq!(counts, [1; 6]);
}

#[test]
fn sub_millisecond_times_are_told_apart() {
    let mut service = Service::new(&[1, 1]);
    service.measured(0, Nanos(90_000));
    service.measured(1, Nanos(30_000));
    let counts = service.sequential(100, Nanos(100_000), |slot| {
        ok(Nanos(90_000 - 60_000 * u64::from(slot)))
    });
    assert_eq!(counts, [0, 100]);
}

#[test]
fn requests_in_flight_and_weight_multiply_the_time() {
    let mut service = Service::new(&[1, 1, 4]);
    service.measured(0, Nanos::from_millis(10));
    service.measured(1, Nanos::from_millis(29));
    service.measured(2, Nanos::from_millis(44));
    assert_eq!(service.pick(), 0, "10 < 11 < 29");
    add_load(&service.candidates, Slot(0), 1);
    assert_eq!(service.pick(), 2, "44 / 4 < 20");
    add_load(&service.candidates, Slot(2), 1);
    assert_eq!(service.pick(), 0, "20 < 22");
    add_load(&service.candidates, Slot(0), 1);
    assert_eq!(service.pick(), 2, "22 < 29 < 30");
    add_load(&service.candidates, Slot(2), 1);
    assert_eq!(service.pick(), 1, "29 < 30 < 33");
}

#[test]
fn fast_failures_do_not_look_fast() {
    // Known and good before.
    let mut service = Service::new(&[1, 1, 1]);
    (0..3).for_each(|slot| service.measured(slot, Nanos::from_millis(10)));
    let broken = |slot| match slot {
        0 => Outcome::failed(Nanos(20_000)),
        _ => ok(Nanos::from_millis(10)),
    };
    let counts = service.sequential(3000, Nanos::from_millis(10), broken);
    assert!(counts[0] < 60, "{counts:?}");

    // Never anything but broken.
    let mut service = Service::new(&[1, 1, 1]);
    let counts = service.sequential(3000, Nanos::from_millis(10), broken);
    assert!(counts[0] < 60, "{counts:?}");
}

#[test]
fn an_instance_that_was_slow_returns() {
    let mut service = Service::new(&[1, 1, 1]);
    service.measured(0, Nanos::from_secs(2));
    service.measured(1, Nanos::from_millis(10));
    service.measured(2, Nanos::from_millis(10));
    // Ten requests a second for half a minute: nobody tries it, the memory is too fresh.
    let good = |_| ok(Nanos::from_millis(10));
    let counts = service.sequential(300, Nanos::from_millis(100), good);
    assert_eq!(counts[0], 0, "{counts:?}");
    // Two minutes on it has its part again.
    service.sequential(1200, Nanos::from_millis(100), good);
    let counts = service.sequential(300, Nanos::from_millis(100), good);
    assert!(counts[0] > 50, "{counts:?}");
}

#[test]
fn one_that_stays_slow_is_tried_seldom() {
    let mut service = Service::new(&[1, 1]);
    let times = |slot| {
        ok(if slot == 0 {
            Nanos::from_secs(2)
        } else {
            Nanos::from_millis(10)
        })
    };
    let counts = service.sequential(10_000, Nanos::from_millis(100), times);
    assert!((10..60).contains(&counts[0]), "{counts:?} in 1000 s");
}

#[test]
fn cancelled_trials_do_not_attract_more() {
    let mut service = Service::new(&[1, 1]);
    service.measured(1, Nanos::from_millis(10));
    let hangs = |slot| {
        if slot == 0 {
            Outcome::CANCELLED
        } else {
            ok(Nanos::from_millis(10))
        }
    };
    let counts = service.sequential(1000, Nanos::from_millis(1), hangs);
    assert!(counts[0] < 600, "{counts:?}");
}

#[test]
fn one_slow_answer_does_not_starve_a_sound_instance() {
    let mut service = Service::new(&[1, 1]);
    for slot in [0, 1] {
        service.measured(slot, Nanos::from_millis(10));
    }
    service.ended(0, &ok(Nanos::from_secs(3)));
    // For ten seconds at ten requests a second, and for the next ten.
    let mut parts = [(); 2].map(|()| {
        let apart = Nanos::from_millis(100);
        service.sequential(100, apart, |_| ok(Nanos::from_millis(10)))[0]
    });
    assert!(parts[0] > 10 && parts[1] > 35, "{parts:?}");
    // Even one that is a thousand times slower is asked within half a minute.
    service.measured(0, Nanos::from_secs(10));
    parts[0] = service.sequential(310, Nanos::from_millis(100), |_| ok(Nanos::from_millis(10)))[0];
    assert!(parts[0] > 0);
}

/// In a fleet of any size: what stands in for the time of who never succeeded follows the times of the others.
#[test]
fn who_never_answered_is_no_magnet_when_the_others_get_slower() {
    for n in [16, 17, 40] {
        let mut service = Service::new(&vec![1; n]);
        let broken = service.pick();
        let answer = |micros: f64| {
            move |slot: u32| match slot == broken {
                true => Outcome::from_status(500, Nanos::from_millis(1)),
                false => Outcome::from_status(200, Nanos((micros * 1e3) as u64)),
            }
        };
        service.ended(broken, &answer(1.0)(broken));
        // So slowly that no look at all of them is called for: from a millisecond to half a second.
        let mut micros = 1000.0;
        while micros < 500_000.0 {
            service.sequential(2 * n as u32, Nanos::from_millis(5), answer(micros));
            micros *= 1.05;
        }
        let counts = service.sequential(5000, Nanos::from_millis(5), answer(micros));
        let share = f64::from(counts[broken as usize]) / 5000.0;
        assert!(share < 0.01, "{n}: {share}");
    }
}
