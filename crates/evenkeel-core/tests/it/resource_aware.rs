//! Reported resources: the formula, and what stale, frozen and false reports may do.

use evenkeel_core::strategy::ResourceAware;
use evenkeel_core::testing::{add_load, candidates, lease};
use evenkeel_core::{
    Candidates, LoadReport, Nanos, Outcome, PickContext, Picker, Rng, Slot, Strategy as _, StrategyName,
};

use crate::conformance::{build, pick};
use crate::health_weighted_round_robin::score;
use crate::statistics::assert_by_weight;

const START: Nanos = Nanos::from_secs(1000);

fn report(service: &Candidates, slot: u32, cpu: f64, memory: f64, at: Nanos) {
    let report = LoadReport::default()
        .with_cpu(cpu)
        .and_then(|report| report.with_memory(memory))
        .unwrap();
    let stats = service.member(Slot(slot)).unwrap().stats();
    assert!(stats.reported().observe(&report, at, at));
}

fn counts(picker: &dyn Picker, service: &Candidates, now: Nanos, picks: u32) -> Vec<u32> {
    let mut cx = PickContext::new(now.0);
    cx.now = now;
    picker.refresh(now);
    let mut counts = vec![0; service.len()];
    (0..picks).for_each(|_| counts[pick(picker, &mut cx).0 as usize] += 1);
    counts
}

fn built(weights: &[u32]) -> (Candidates, Box<dyn Picker>) {
    let service = candidates(weights).unwrap();
    let picker = build(StrategyName::resource_aware, &service, 1);
    (service, picker)
}

#[test]
fn idle_traffic_is_inverse_to_the_formula() {
    let (service, picker) = built(&[1, 2]);
    report(&service, 0, 0.9, 0.8, START);
    score(&service, &[0.5, 1.0]);
    // (0.9 × 0.4 + 0.8 × 0.3) / 0.5 = 1.2 against 0.5 × 0.7 = 0.35, and half the weight.
    assert_by_weight(&counts(&*picker, &service, START, 30_000), &[35, 240], "formula");
}

#[test]
fn nothing_reported_is_the_fewest_requests_by_weight() {
    let (service, picker) = built(&[3, 1]);
    assert_by_weight(&counts(&*picker, &service, START, 20_000), &[3, 1], "idle");
    add_load(&service, Slot(0), 30);
    add_load(&service, Slot(1), 10);
    assert_by_weight(&counts(&*picker, &service, START, 20_000), &[3, 1], "alike");
    add_load(&service, Slot(0), 10);
    assert_eq!(counts(&*picker, &service, START, 1000), [0, 1000]);
}

#[test]
fn a_liar_gets_little_more_than_twice_its_share() {
    let (service, picker) = built(&[1; 10]);
    (1..10).for_each(|slot| report(&service, slot, 0.6, 0.6, START));
    report(&service, 0, 0.0, 0.0, START);
    let counts = counts(&*picker, &service, START, 10_000);
    // 0.42 / 0.175 = 2.4 times the others'. The least score of all would be picked every time.
    assert!((1900..=2350).contains(&counts[0]), "{counts:?}");
}

#[test]
fn a_frozen_report_loses_its_say() {
    let (service, picker) = built(&[1; 4]);
    report(&service, 0, 1.0, 1.0, START);
    let at = |seconds| counts(&*picker, &service, START + Nanos::from_secs(seconds), 20_000);
    assert_by_weight(&at(5), &[1, 2, 2, 2], "fresh");
    assert_by_weight(&at(95), &[2, 3, 3, 3], "halfway");
    assert_by_weight(&at(180), &[1; 4], "expired");
    // Before it was made, by a clock that went back, it is as good as new.
    assert!(counts(&*picker, &service, Nanos::ZERO, 20_000)[0] < 3300);
}

#[test]
fn requests_in_flight_count_between_reports() {
    let (service, picker) = built(&[1, 1]);
    report(&service, 0, 0.25, 0.25, START);
    report(&service, 1, 0.5, 0.5, START);
    assert_by_weight(&counts(&*picker, &service, START, 6000), &[2, 1], "idle");
    // Whoever has half the score takes a little less than twice the requests, and then no more.
    add_load(&service, Slot(1), 10);
    add_load(&service, Slot(0), 15);
    assert_eq!(counts(&*picker, &service, START, 100), [100, 0]);
    add_load(&service, Slot(0), 10);
    assert_eq!(counts(&*picker, &service, START, 100), [0, 100]);
}

/// Reports come every ten seconds and say what the traffic of those ten seconds did.
#[test]
fn traffic_does_not_swing_between_reports() {
    for n in [2, 3, 10] {
        let (service, picker) = built(&vec![1; n]);
        let mut shares = vec![1.0; n];
        shares[0] = 1.3;
        let mut swing = 0.0;
        for round in 0..30 {
            let now = START + Nanos::from_secs(10 * round);
            for (slot, share) in (0..).zip(&shares) {
                report(&service, slot, (0.6f64 * share).min(1.0), 0.5, now);
            }
            let counts = counts(&*picker, &service, now, 10_000);
            shares = counts
                .iter()
                .map(|count| f64::from(*count) * n as f64 / 10_000.0)
                .collect();
            if round >= 10 {
                swing = shares
                    .iter()
                    .fold(swing, |worst: f64, share| worst.max((share - 1.0).abs()));
            }
        }
        // Chance alone makes a few percent; the least of all would swing between 0 and n.
        assert!(swing < 0.2, "{n}: {swing}");
    }
}

#[test]
fn health_0_and_the_greatest_numbers_are_safe() {
    let (service, picker) = built(&[10, 1, 1]);
    score(&service, &[0.0, 0.0, 1.0]);
    report(&service, 0, 100.0, 1.0, START);
    report(&service, 1, 0.0, 0.0, START);
    add_load(&service, Slot(2), 100_000);
    let counts = counts(&*picker, &service, START, 5000);
    assert!(counts[1] > 0 && counts[0] > 0, "{counts:?}");
}

#[test]
fn what_is_switched_off_stays_as_configured_and_as_reported() {
    for (learn, predict) in [(false, false), (true, false), (false, true), (true, true)] {
        let (service, _) = built(&[1; 8]);
        let settings = ResourceAware {
            learn,
            predict,
            ..ResourceAware::default()
        };
        let picker = settings.build(&service, 1);
        let mut rng = Rng::new(3);
        let mut now = Nanos::ZERO;
        for second in 0..120u32 {
            now = Nanos::from_secs(100 + u64::from(second));
            for slot in 0..8 {
                let used = rng.unit();
                // Memory fills, here more and there less; processors tell the time.
                let more = if slot == 0 { 0.0 } else { 0.1 * rng.unit() };
                let memory = 0.3 + 0.004 * f64::from(second) + more;
                report(&service, slot, 0.2 + 0.6 * used, memory, now);
                let time = Nanos((1e6 * (1.0 + 4.0 * used)) as u64);
                for _ in 0..40 {
                    let lease = lease(&service, Slot(slot), now).unwrap();
                    let _ = lease.finish(&Outcome::from_status(200, time), now);
                }
            }
            picker.refresh(now);
        }
        // It was 0.776 when it was reported last.
        now = now + Nanos::from_secs(3);
        picker.refresh(now);
        let why = picker.appraise(Slot(0), now).unwrap().why;
        assert_eq!(why.contains("× 0.40, memory"), !learn, "{why}");
        assert!(
            why.contains(if predict {
                "memory 0.79 ×"
            } else {
                "memory 0.78 ×"
            }),
            "{why}"
        );
    }
}
