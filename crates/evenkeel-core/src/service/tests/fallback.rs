//! What is left to choose from when checks call too many down, and what requests decide then.

use super::*;

/// `n` instances whose checks all fail.
fn all_down(n: u16) -> Rig {
    let mut rig = Rig::of(n);
    for (_, member, _) in Arc::clone(rig.state.view()).members() {
        rig.check(member.instance().id.as_str(), false);
    }
    assert!(rig.state.view().is_fallback());
    rig.events();
    rig
}

#[test]
fn one_whose_requests_fail_is_left_out_and_both_reasons_show() {
    let mut rig = all_down(3);
    assert_eq!(rig.candidates(), "abc");
    rig.fail("b", 4);
    assert_eq!(rig.candidates(), "abc");
    rig.fail("b", 1);
    assert_eq!(rig.candidates(), "ac");
    assert_eq!(rig.state("b"), "down", "checks outrank ejection");
    let reason = rig.status("b").reason;
    assert!(
        reason
            .starts_with("the first check failed: connection refused; 5 requests failed in a row; out for "),
        "{reason}"
    );
    let until = rig.status("b").ejected_until;
    assert!(until > Some(rig.now) && rig.status("a").ejected_until.is_none());
    assert_eq!(rig.events(), ["b ejected"]);
    rig.wait(Nanos::from_secs(6));
    assert_eq!(rig.candidates(), "abc", "it returns in time, on probation");
    assert_eq!(
        &*rig.status("b").reason,
        "the first check failed: connection refused"
    );
    rig.fail("b", 2);
    assert_eq!(rig.candidates(), "ac");
    rig.wait(Nanos::from_secs(6));
    assert_eq!(rig.candidates(), "ac", "the second ejection is twice as long");
}

#[test]
fn who_was_ejected_before_stays_out() {
    let mut rig = Rig::of(3);
    rig.fail("a", 5);
    for id in ["a", "b", "c"] {
        rig.check(id, false);
    }
    assert!(rig.state.view().is_fallback());
    assert_eq!(rig.candidates(), "bc");
}

#[test]
fn a_run_from_before_the_fallback_counts() {
    let mut rig = Rig::of(3);
    rig.check("a", false);
    rig.fail("a", 9);
    rig.wait(LOOK);
    assert_eq!(
        rig.state.counters().of(EventKind::Ejected),
        0,
        "it gets no traffic"
    );
    rig.check("b", false);
    rig.check("c", false);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "bc");
}

#[test]
fn when_nobody_answers_all_are_used_until_somebody_does() {
    let mut rig = all_down(4);
    for id in ["a", "b", "c", "d"] {
        rig.fail(id, 60);
    }
    assert_eq!(rig.candidates(), "abcd", "nobody answers");
    let ejected = rig.state.counters().of(EventKind::Ejected);
    assert!(
        (1..=3).contains(&ejected),
        "as long as others had not failed yet: {ejected}"
    );
    rig.events();
    for _ in 0..400 {
        rig.wait(LOOK);
        for id in ["a", "b", "c", "d"] {
            rig.fail(id, 10);
        }
        assert_eq!(rig.candidates(), "abcd");
    }
    // Each ejection ended, and there were no further ones.
    assert_eq!(rig.state.counters().of(EventKind::Ejected), ejected);
    let events = rig.events();
    assert!(events.len() <= 2 * ejected as usize, "{events:?}");

    rig.succeed("c", 1);
    rig.wait(LOOK);
    assert!(rig.candidates().contains('c'));
    rig.succeed("c", 20);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "c");
    rig.fail("c", 5);
    assert_eq!(rig.candidates(), "abcd", "again nobody answers");
}

#[test]
fn an_ejected_one_that_answers_in_the_last_resort_returns_at_once() {
    let mut rig = all_down(2);
    rig.fail("a", 5);
    assert_eq!(rig.candidates(), "b");
    rig.fail("b", 5);
    assert_eq!(rig.candidates(), "ab");
    rig.events();
    rig.succeed("a", 1);
    rig.wait(LOOK);
    let events = rig.state.take_events();
    assert_eq!(
        events[0].to_string(),
        "a returned: it answers again, and nobody else does; its checks still fail"
    );
    assert_eq!(
        rig.candidates(),
        "ab",
        "a failed as often, and one answer is no proof"
    );
    rig.succeed("a", 1);
    rig.fail("b", 9);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "a", "fourteen failures in a row are");
    assert_eq!(rig.events(), ["a recovering", "b ejected"]);
}

#[test]
fn one_that_returns_in_time_has_to_answer_before_it_is_used_alone() {
    let mut rig = all_down(2);
    rig.fail("a", 5);
    rig.fail("b", 50);
    rig.wait(Nanos::from_secs(6));
    assert_eq!(rig.state.counters().of(EventKind::Returned), 1);
    assert_eq!(rig.candidates(), "ab");
    rig.succeed("a", 1);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "a");
}

#[test]
fn an_ejection_behind_failing_checks_ends_with_them() {
    let mut rig = all_down(3);
    rig.fail("a", 5);
    rig.events();
    rig.check("a", true);
    rig.check("a", true);
    assert_eq!(rig.state("a"), "healthy");
    assert_eq!(rig.candidates(), "a");
    assert_eq!(rig.events(), ["a up", "fallback_ended"]);
    rig.check("b", true);
    rig.check("b", true);
    rig.fail("a", 2);
    assert_eq!(rig.candidates(), "b", "on probation");
}

#[test]
fn a_healthy_one_that_fails_gives_way_to_down_ones_that_answer() {
    let mut settings = settings();
    settings.min_healthy = 2;
    let mut rig = Rig::new(settings, fleet(3));
    rig.check("b", false);
    rig.check("c", false);
    assert_eq!(rig.candidates(), "abc");
    rig.fail("a", 5);
    assert_eq!(rig.candidates(), "bc");
}

#[test]
fn more_than_half_go_only_on_hopeless_runs_beside_sound_ones() {
    for checked in [true, false] {
        let mut rig = if checked { all_down(6) } else { Rig::of(6) };
        rig.succeed("f", 20);
        for id in ["a", "b", "c", "d", "e"] {
            rig.fail(id, 49);
        }
        assert_eq!(rig.candidates(), "def", "half may go at five failures");
        rig.fail("d", 1);
        assert_eq!(rig.candidates(), "ef", "an alarm tells of the fiftieth");
        for _ in 0..8 {
            rig.fail("f", 4);
            rig.succeed("f", 1);
        }
        rig.fail("e", 1);
        assert_eq!(rig.candidates(), "ef", "f fails too often to be left alone");
        rig.succeed("f", 20);
        rig.wait(LOOK);
        assert_eq!(rig.candidates(), "f");
    }
}

#[test]
fn without_ejection_all_are_used() {
    let mut rig = all_down(3);
    rig.fail("a", 5);
    rig.fail("b", 5);
    rig.fail("c", 5);
    assert_eq!(rig.candidates(), "abc");
    let mut off = settings();
    off.ejection.consecutive_failures = 0;
    rig.replace(off, fleet(3));
    rig.fail("a", 50);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "abc");
    assert!(rig.state.view().is_fallback());
}
