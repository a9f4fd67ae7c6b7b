//! Who is taken out, for how long, and what is left to choose from.

use super::*;
use crate::{Mode, Operation};

#[test]
fn checks_take_out_and_bring_back() {
    let mut rig = Rig::of(2);
    rig.check("a", true);
    for expected in ["healthy", "healthy", "down", "down"] {
        rig.check("a", false);
        assert_eq!(rig.state("a"), expected);
    }
    assert_eq!(rig.candidates(), "b");
    assert_eq!(
        &*rig.status("a").reason,
        "3 checks failed in a row, last: connection refused"
    );
    rig.check("a", true);
    rig.check("a", true);
    assert_eq!(rig.candidates(), "ab");
    assert_eq!(&*rig.status("a").reason, "2 checks passed in a row");
    assert_eq!(rig.events(), ["a down", "a up"]);
    rig.check("nobody", false);
    assert_eq!(rig.events(), [""; 0]);
}

#[test]
fn failures_in_a_row_eject_and_time_returns_on_probation() {
    let mut settings = settings();
    settings.ejection.on_burst = Mode::Off;
    let mut rig = Rig::new(settings, fleet(3));
    rig.fail("a", 4);
    rig.succeed("a", 1);
    rig.fail("a", 4);
    assert_eq!(rig.candidates(), "abc");
    rig.fail("a", 1);
    assert_eq!(rig.candidates(), "bc");
    assert!(
        rig.status("a")
            .reason
            .starts_with("5 requests failed in a row; out for ")
    );
    assert!(rig.state.next_deadline() <= rig.now + LOOK);

    rig.check("a", true);
    rig.check("a", true);
    assert_eq!(
        rig.state("a"),
        "ejected",
        "a passed check says nothing about requests"
    );
    rig.wait_for_return("a");
    assert_eq!(rig.candidates(), "abc");
    rig.fail("a", 1);
    assert_eq!(rig.state("a"), "healthy");
    rig.fail("a", 1);
    assert_eq!(rig.state("a"), "ejected", "two failures end a probation");
    rig.wait_for_return("a");
    rig.succeed("a", 16);
    rig.wait(Nanos(1));
    rig.fail("a", 4);
    assert_eq!(rig.state("a"), "healthy", "sixteen successes ended the probation");
    assert_eq!(
        rig.events(),
        [
            "a ejected",
            "a returned",
            "a ejected",
            "a returned",
            "a recovered"
        ]
    );
}

#[test]
fn old_failures_do_not_count_after_checks_brought_it_back() {
    let mut rig = Rig::of(2);
    rig.check("a", false);
    rig.fail("a", 9);
    rig.check("a", true);
    rig.check("a", true);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "ab");
}

#[test]
fn an_ejection_goes_on_behind_a_failing_check() {
    let mut rig = Rig::of(3);
    rig.fail("a", 5);
    rig.check("a", false);
    assert_eq!(rig.state("a"), "down", "checks outrank ejection");
    rig.check("a", true);
    rig.check("a", true);
    assert_eq!(rig.state("a"), "ejected");
    let events = rig.state.take_events();
    assert!(
        events[2].reason.contains("passed in a row; still ejected for "),
        "{}",
        events[2]
    );
    rig.check("a", false);
    rig.check("a", false);
    rig.check("a", false);
    rig.wait(Nanos::from_secs(6));
    assert_eq!(rig.state("a"), "down");
    let events = rig.state.take_events();
    assert!(
        events[1].reason.ends_with("are over; its checks still fail"),
        "{}",
        events[1]
    );
}

#[test]
fn how_many_of_n_dead_instances_are_ejected() {
    // (instances, dead, ejected): one that works always stays, and at most half rounded up go.
    for (n, dead, ejected) in [
        (1, 1, 0),
        (2, 1, 1),
        (2, 2, 1),
        (3, 1, 1),
        (3, 2, 2),
        (4, 2, 2),
        (4, 3, 2),
        (5, 3, 3),
        (6, 6, 3),
    ] {
        let mut rig = Rig::of(n);
        for i in 0..dead {
            rig.fail(&char::from(b'a' + i).to_string(), 5);
        }
        let out = rig.state.counters().of(EventKind::Ejected);
        assert_eq!(out, ejected, "{dead} of {n} dead");
        let withheld = rig.state.counters().of(EventKind::EjectionWithheld);
        assert_eq!(withheld, u64::from(dead) - ejected, "{dead} of {n} dead");
        rig.wait(LOOK);
        let again = rig.state.counters().of(EventKind::EjectionWithheld);
        assert_eq!(again, withheld, "said once");
        assert!(!rig.state.view().is_fallback());
    }
}

#[test]
fn a_withheld_ejection_happens_when_another_works_again() {
    let mut rig = Rig::of(2);
    rig.fail("b", 1);
    rig.fail("a", 5);
    assert_eq!(rig.candidates(), "ab", "the last request to b failed too");
    rig.succeed("b", 1);
    rig.wait(LOOK);
    rig.fail("a", 4);
    assert_eq!(
        rig.candidates(),
        "ab",
        "both failed of late: five more are needed"
    );
    rig.fail("a", 1);
    assert_eq!(rig.candidates(), "b");
    assert_eq!(rig.events(), ["a ejection_withheld", "a ejected"]);
}

#[test]
fn the_longest_run_of_failures_goes_first() {
    let mut rig = Rig::of(4);
    for id in ["a", "b", "c", "d"] {
        rig.fail(id, 1);
    }
    // Nobody works, so nobody goes.
    for (id, more) in [("a", 9), ("b", 13), ("c", 11)] {
        rig.fail(id, more);
    }
    assert_eq!(rig.candidates(), "abcd");
    rig.succeed("d", 1);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "ad", "of three, the two that fail longest");
    assert_eq!(rig.events()[3..], ["b ejected", "c ejected"], "in this order");
}

#[test]
fn one_on_probation_does_not_count_as_working() {
    let mut rig = Rig::of(2);
    rig.fail("a", 5);
    rig.wait_for_return("a");
    rig.fail("b", 5);
    assert_eq!(rig.candidates(), "ab");
    rig.succeed("a", 5);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "a");
}

#[test]
fn priorities_take_over_in_order_even_beyond_half() {
    let mut instances = fleet(4);
    instances[3].priority = 7;
    let mut rig = Rig::new(settings(), instances);
    assert_eq!(rig.candidates(), "abc");
    for id in ["a", "b", "c"] {
        rig.fail(id, 5);
    }
    assert_eq!(rig.candidates(), "d");
    rig.fail("d", 5);
    assert_eq!(rig.candidates(), "d", "the last that is left stays");
    for _ in 0..5 {
        rig.wait(Nanos::from_secs(2));
    }
    assert_eq!(rig.candidates(), "abc", "one after the other");
}

#[test]
fn failures_of_one_without_traffic_are_forgotten() {
    let mut instances = fleet(2);
    instances[1].priority = 1;
    let mut rig = Rig::new(settings(), instances);
    rig.fail("a", 5);
    assert_eq!(rig.candidates(), "b");
    rig.fail("b", 5);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "b", "nobody else works");
    rig.wait(Nanos::from_secs(6));
    assert_eq!(rig.candidates(), "a");
    rig.succeed("a", 5);
    for _ in 0..10 {
        rig.wait(LOOK);
    }
    rig.fail("a", 5);
    assert_eq!(rig.candidates(), "b", "what was against b is long ago");
}

/// Nobody asks b because it is busy with long requests, say, and a fails too fast ever to be busy.
#[test]
fn a_failure_long_ago_does_not_keep_others_in() {
    for before in [1, 5] {
        let mut rig = Rig::of(2);
        rig.fail("a", 1);
        rig.fail("b", before);
        for _ in 0..20 {
            rig.succeed("a", 1);
            rig.wait(LOOK);
        }
        rig.fail("a", 5);
        assert_eq!(rig.candidates(), "b", "{before}");
    }
}

#[test]
fn failures_of_one_with_little_traffic_are_not() {
    let mut rig = Rig::of(2);
    for _ in 0..5 {
        rig.fail("a", 1);
        rig.wait(Nanos::from_secs(60));
    }
    assert_eq!(rig.events(), ["a ejected"]);
    let Some(until) = rig.status("a").ejected_until else {
        panic!("it is out");
    };
    let left = until.since(rig.now).as_secs_f64();
    assert!(
        (150.0..=300.0).contains(&left),
        "as long as five requests take: {left}"
    );
}

#[test]
fn too_few_healthy_means_all_are_used() {
    let mut settings = settings();
    settings.min_healthy = 2;
    let mut instances = fleet(3);
    instances[2].priority = 1;
    let mut rig = Rig::new(settings.clone(), instances.clone());
    assert_eq!(rig.candidates(), "ab");
    rig.check("a", false);
    assert_eq!(
        rig.candidates(),
        "bc",
        "two of three are healthy in all priorities, and b is half of the first"
    );
    rig.check("b", false);
    assert_eq!(rig.candidates(), "abc");
    assert!(rig.state.view().is_fallback());
    for _ in 0..2 {
        rig.check("a", true);
    }
    assert_eq!(rig.candidates(), "ac");
    assert_eq!(
        rig.events(),
        ["a down", "b down", "fallback_began", "a up", "fallback_ended"]
    );
    settings.min_healthy = 3;
    rig.replace(settings, instances);
    assert!(rig.state.view().is_fallback());
    assert_eq!(rig.state.view().counters().of(EventKind::FallbackBegan), 2);
}

#[test]
fn a_minimum_beyond_the_instances_means_all_of_them() {
    for (min_healthy, fallback_at) in [(0, 2), (1, 2), (2, 1), (99, 1)] {
        let mut settings = settings();
        settings.min_healthy = min_healthy;
        let mut rig = Rig::new(settings, fleet(2));
        assert!(!rig.state.view().is_fallback());
        rig.check("a", false);
        assert_eq!(rig.state.view().is_fallback(), fallback_at == 1, "{min_healthy}");
        rig.check("b", false);
        assert!(rig.state.view().is_fallback(), "{min_healthy}");
    }
}

#[test]
fn a_clock_that_steps_back_loses_nothing() {
    let mut rig = Rig::of(3);
    rig.fail("a", 5);
    rig.check("b", false);
    let InstanceState::Ejected { until } = rig.status("a").state else {
        panic!("a is ejected");
    };
    let left = until.since(rig.now);
    rig.now = Nanos::from_secs(10);
    rig.state.tick(rig.now);
    assert_eq!(
        rig.status("a").state,
        InstanceState::Ejected {
            until: rig.now + left
        }
    );
    rig.check("b", true);
    rig.check("b", true);
    assert_eq!(rig.state("b"), "healthy", "results count on the new clock");
    assert!(rig.state.next_deadline() <= rig.now + LOOK);
    rig.wait(left);
    assert_eq!(rig.state("a"), "healthy");
}

#[test]
fn reports_of_load_count_on_a_clock_that_stepped_back() {
    let mut rig = Rig::of(1);
    let mut tell = |cpu: f64, now: Nanos| {
        let report = crate::LoadReport::default().with_cpu(cpu).unwrap();
        let id = InstanceId::new("a").unwrap();
        let report = Operation::ReportLoad {
            id,
            report,
            observed: now,
        };
        assert_eq!(rig.state.operate(report, now), Ok(crate::Effect::Changed));
        let stats = Arc::clone(rig.member("a").stats());
        stats.reported().get(now).unwrap().0.cpu()
    };
    assert_eq!(tell(0.5, Nanos::from_secs(1000)), Some(0.5));
    assert_eq!(tell(0.75, Nanos::from_secs(10)), Some(0.75));
}

#[test]
fn the_end_of_time_is_reached_without_harm() {
    let mut rig = Rig::of(3);
    rig.fail("a", 5);
    for now in [Nanos::MAX, Nanos::ZERO, Nanos::MAX, Nanos(1)] {
        rig.now = now;
        rig.state.tick(now);
        rig.fail("b", 5);
        rig.check("c", now == Nanos::ZERO);
    }
    assert!(!rig.candidates().is_empty());
}

#[test]
fn response_times_are_forgotten_every_ten_seconds_but_for_the_last_few() {
    let mut rig = Rig::of(1);
    rig.succeed("a", 64);
    for (seconds, remembered) in [(9, 64), (1, 32), (1, 32), (9, 16), (10, 8), (10, 8), (3600, 8)] {
        rig.wait(Nanos::from_secs(seconds));
        assert_eq!(rig.member("a").stats().response_times().count(), remembered);
    }
}

/// Every response took another time, so that each is alone in its bucket.
#[test]
fn a_quiet_instance_keeps_its_quantiles() {
    for verdict in [Outcome::failed, |time| Outcome::from_status(200, time)] {
        for n in [1, 7, 20, 100] {
            let mut rig = Rig::of(1);
            for i in 1..=n {
                rig.outcomes("a", 1, verdict(Nanos::from_millis(i * i)));
            }
            for _ in 0..100 {
                rig.wait(AGE);
            }
            let stats = rig.member("a");
            let times = stats.stats().response_times();
            assert!(
                (n.min(8)..16).contains(&times.count()),
                "{} of {n}",
                times.count()
            );
            let median = times.quantile(0.5).unwrap().as_secs_f64() * 1e3;
            let true_median = (n as f64 / 2.0).powi(2);
            assert!(
                n == 1 || (0.5..2.0).contains(&(median / true_median)),
                "{n}: {median}"
            );
        }
    }
}

#[test]
fn what_checks_say_is_in_the_score_at_once_however_rarely_that_is_looked_at() {
    let mut settings = settings();
    settings.ejection.refresh = Nanos::from_secs(30);
    let mut rig = Rig::new(settings.clone(), fleet(3));
    rig.state.tick(rig.now);
    let score = |rig: &Rig| rig.member("a").stats().health();
    for _ in 0..3 {
        rig.check("a", false);
    }
    assert_eq!((rig.state("a"), score(&rig)), ("down", 0.0));
    // The score is looked at while it is down, and not again before it is up for long.
    rig.wait(Nanos::from_secs(31));
    for _ in 0..2 {
        rig.check("a", true);
    }
    assert_eq!(score(&rig), 1.0);
    for _ in 0..20 {
        rig.wait(Nanos::from_secs(1));
        assert_eq!(rig.candidates(), "abc");
    }
    assert_eq!(rig.events(), ["a down", "a up"]);
    // The same when checks end.
    for _ in 0..3 {
        rig.check("a", false);
    }
    settings.checks = None;
    rig.state.replace(settings, fleet(3), rig.now).unwrap();
    assert_eq!(score(&rig), 1.0);
    rig.wait(Nanos::from_secs(1));
    assert_eq!(rig.candidates(), "abc");
    assert_eq!(rig.events(), ["a down", "a up"]);
}

#[test]
fn who_has_to_stay_is_told_of_once_a_minute_however_often_it_fails_anew() {
    let mut rig = Rig::of(4);
    let mut withheld = Vec::new();
    for second in 0..125 {
        for id in ["a", "b", "c", "d"] {
            rig.fail(id, 10);
            rig.succeed(id, 4);
        }
        rig.wait(Nanos::from_secs(1));
        let events = rig.state.take_events().into_iter();
        let held = events.filter(|event| event.kind == EventKind::EjectionWithheld);
        withheld.extend(held.map(|event| (event.instance.unwrap().to_string(), second)));
    }
    for id in ["a", "b", "c", "d"] {
        let told: Vec<_> = withheld.iter().filter(|(whose, _)| whose == id).collect();
        assert!((1..=3).contains(&told.len()), "{withheld:?}");
    }
}
