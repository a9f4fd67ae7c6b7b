//! What workers share, in every order that the memory model allows: `RUSTFLAGS="--cfg loom" cargo test -p
//! evenkeel-core --test loom --release`; `cargo xtask test` runs it.
#![cfg(loom)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use evenkeel_core::testing::{arm, candidates, lease};
use evenkeel_core::{LoadReport, Loads, Nanos, Outcome, ReportedLoad, Slot, Stats};
use loom::thread;

const NOW: Nanos = Nanos::from_secs(1);

#[test]
fn neighbours_in_one_word_count_exactly() {
    loom::model(|| {
        let loads = Loads::default().with_room_for(2);
        let (even, odd) = (loads.slot(0).unwrap(), loads.slot(1).unwrap());
        let other = thread::spawn(move || {
            odd.start();
            odd.start();
            odd.end();
        });
        even.start();
        even.end();
        other.join().unwrap();
        assert_eq!((loads.get(0), loads.get(1)), (0, 1));
    });
}

#[test]
fn exactly_one_worker_sees_the_run_complete() {
    loom::model(|| {
        let stats = Arc::new(Stats::default());
        stats.set_alarm_at(2);
        let fail = |stats: &Stats| u32::from(stats.on_end(&Outcome::failed(NOW), NOW));
        let shared = Arc::clone(&stats);
        let other = thread::spawn(move || fail(&shared));
        let alarms = fail(&stats) + other.join().unwrap();
        assert_eq!(
            (alarms, stats.failures(), stats.consecutive_failures()),
            (1, 2, 2)
        );
    });
}

#[test]
fn a_success_at_the_same_time_hides_no_alarm() {
    loom::model(|| {
        let stats = Arc::new(Stats::default());
        // Two failures are an alarm, the first of them was before.
        let is_over = arm(&stats, 4.0);
        stats.on_end(&Outcome::failed(NOW), NOW);
        let shared = Arc::clone(&stats);
        let other = thread::spawn(move || {
            shared.on_end(&Outcome::from_status(200, NOW), NOW);
        });
        let alarm = stats.on_end(&Outcome::failed(NOW), NOW);
        other.join().unwrap();
        // The writer that is told finds what it was told of.
        assert_eq!(alarm, is_over());
    });
}

#[test]
fn two_failures_at_the_same_time_raise_one_alarm() {
    loom::model(|| {
        let stats = Arc::new(Stats::default());
        let is_over = arm(&stats, 4.0);
        let fail = |stats: &Stats| u32::from(stats.on_end(&Outcome::failed(NOW), NOW));
        let shared = Arc::clone(&stats);
        let other = thread::spawn(move || fail(&shared));
        let alarms = fail(&stats) + other.join().unwrap();
        assert_eq!((alarms, is_over()), (1, true));
    });
}

#[test]
fn leases_of_two_workers_end_once_each() {
    loom::model(|| {
        let service = candidates(&[1]).unwrap();
        let (kept, dropped) = (
            lease(&service, Slot(0), NOW).unwrap(),
            lease(&service, Slot(0), NOW).unwrap(),
        );
        let other = thread::spawn(move || drop(dropped));
        let _ = kept.finish(&Outcome::from_status(200, NOW), NOW);
        other.join().unwrap();
        let member = service.member(Slot(0)).unwrap();
        let stats = member.stats();
        assert_eq!(member.load().get(), 0);
        assert_eq!((stats.picks(), stats.successes(), stats.cancelled()), (2, 1, 1));
    });
}

#[test]
fn an_older_report_never_overwrites_the_stamp_of_a_newer_one() {
    loom::model(|| {
        let reported = Arc::new(ReportedLoad::default());
        let of = |cpu| LoadReport::default().with_cpu(cpu).unwrap();
        let shared = Arc::clone(&reported);
        let other = thread::spawn(move || shared.observe(&of(0.1), Nanos::ZERO, NOW));
        assert!(reported.observe(&of(0.9), NOW, NOW));
        other.join().unwrap();
        assert_eq!(reported.observed(), Some(NOW));
    });
}
