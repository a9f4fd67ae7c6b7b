//! Each rule of the state machine on its own, with injected time.

use std::net::SocketAddr;

use super::*;
use crate::{CheckFailure, InstanceState, NoPick, Outcome, PickContext, PickRequest, Slot, Weight};

fn settings() -> ServiceSettings {
    ServiceSettings {
        name: "web".into(),
        strategy: StrategyName::round_robin,
        checks: Some(CheckThresholds::default()),
        ejection: EjectionSettings::default(),
        min_healthy: 1,
    }
}

fn instance(id: &str, port: u16) -> Instance {
    Instance::new(id, SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
}

/// `n` instances a, b, c, …
fn fleet(n: u16) -> Vec<Instance> {
    (0..n)
        .map(|i| instance(&char::from(b'a' + i as u8).to_string(), 9000 + i))
        .collect()
}

/// A service and the time of its driver.
struct Rig {
    state: ServiceState,
    now: Nanos,
}

impl Rig {
    fn new(settings: ServiceSettings, instances: Vec<Instance>) -> Self {
        let now = Nanos::from_secs(1000);
        let state = ServiceState::new(settings, instances, 7, now).unwrap();
        Self { state, now }
    }

    fn of(n: u16) -> Self {
        Self::new(settings(), fleet(n))
    }

    fn member(&self, id: &str) -> Arc<crate::Member> {
        let view = self.state.view();
        let mut members = view.members();
        let found = members.find(|(_, m, _)| m.instance().id.as_str() == id);
        Arc::clone(found.unwrap().1)
    }

    fn slot(&self, id: &str) -> Slot {
        let mut members = self.state.view().members();
        let found = members.find(|(_, m, _)| m.instance().id.as_str() == id);
        found.unwrap().0
    }

    fn status(&self, id: &str) -> crate::Status {
        let mut members = self.state.view().members();
        let found = members.find(|(_, m, _)| m.instance().id.as_str() == id);
        found.unwrap().2.clone()
    }

    fn state(&self, id: &str) -> &'static str {
        self.status(id).state.as_str()
    }

    /// Ends `n` requests to `id`, and alarms like a worker would.
    fn outcomes(&mut self, id: &str, n: u32, outcome: Outcome) {
        for _ in 0..n {
            if self.member(id).stats().on_end(&outcome, self.now) {
                self.state.apply(Evidence::Alarm, self.now);
            }
        }
    }

    fn fail(&mut self, id: &str, n: u32) {
        self.outcomes(id, n, Outcome::failed(Nanos::from_millis(1)));
    }

    fn succeed(&mut self, id: &str, n: u32) {
        self.outcomes(id, n, Outcome::from_status(200, Nanos::from_millis(1)));
    }

    fn check(&mut self, id: &str, passed: bool) {
        let outcome = if passed {
            CheckOutcome::Passed
        } else {
            CheckOutcome::Failed(CheckFailure("connection refused".into()))
        };
        let id = InstanceId::new(id).unwrap();
        let observed = self.now;
        let evidence = Evidence::Check {
            id,
            observed,
            outcome,
        };
        self.state.apply(evidence, self.now);
    }

    fn wait(&mut self, time: Nanos) {
        self.now = self.now + time;
        self.state.tick(self.now);
    }

    /// Waits until an ejected instance returns.
    fn wait_for_return(&mut self, id: &str) {
        if let InstanceState::Ejected { until } = self.status(id).state {
            self.wait(until.since(self.now));
        }
    }

    fn replace(&mut self, settings: ServiceSettings, instances: Vec<Instance>) {
        self.state.replace(settings, instances, self.now).unwrap();
    }

    /// Ids of the candidates.
    fn candidates(&self) -> String {
        let candidates = self.state.view().candidates();
        let members = candidates.slots().iter().map(|s| candidates.member(*s).unwrap());
        members.map(|m| m.instance().id.to_string()).collect()
    }

    /// Events since the last call as "id kind" or "kind".
    fn events(&mut self) -> Vec<String> {
        let events = self.state.take_events();
        let words = events.iter().map(|e| match &e.instance {
            Some(id) => format!("{id} {}", e.kind.as_str()),
            None => e.kind.as_str().to_owned(),
        });
        words.collect()
    }
}

#[test]
fn a_service_without_instances_says_so() {
    let mut rig = Rig::of(0);
    let mut cx = PickContext::new(1);
    let picked = rig.state.view().pick(&PickRequest::default(), &mut cx);
    assert_eq!(picked.err(), Some(NoPick::Empty));
    assert!(!rig.state.view().is_fallback());
    assert_eq!(rig.state.next_deadline(), Nanos::MAX);
    rig.replace(settings(), fleet(1));
    assert_eq!(rig.candidates(), "a");
    assert!(rig.state.next_deadline() < Nanos::MAX);
}

#[test]
fn two_instances_with_one_id_change_nothing() {
    let twice = || vec![instance("a", 1), instance("b", 2), instance("a", 3)];
    let duplicate = InstanceError::DuplicateId(InstanceId::new("a").unwrap());
    let new = ServiceState::new(settings(), twice(), 1, Nanos::ZERO);
    assert_eq!(new.err(), Some(duplicate.clone()));

    let mut rig = Rig::of(2);
    let before = Arc::clone(rig.state.view());
    let mut other = settings();
    other.strategy = StrategyName::power_of_two;
    assert_eq!(rig.state.replace(other, twice(), rig.now), Err(duplicate));
    assert!(Arc::ptr_eq(&before, rig.state.view()));
    assert_eq!(rig.state.settings(), &settings());
    assert_eq!(rig.events(), [""; 0]);
}

#[test]
fn what_stays_keeps_slot_counters_and_health() {
    let mut rig = Rig::of(3);
    rig.succeed("b", 7);
    rig.fail("b", 5);
    rig.check("c", false);
    rig.events();
    let before = rig.member("b");
    let until = rig.status("b").state;

    let heavier = instance("b", 9001).with_weight(Weight::new(9).unwrap());
    rig.replace(
        settings(),
        vec![instance("c", 9002), heavier, instance("d", 9003)],
    );
    assert_eq!(rig.events(), ["a deregistered", "d registered", "b changed"]);
    assert_eq!(rig.slot("b"), Slot(1));
    assert!(Arc::ptr_eq(before.stats(), rig.member("b").stats()));
    assert_eq!(rig.member("b").instance().weight.get(), 9);
    assert_eq!(rig.status("b").state, until);
    assert_eq!(rig.state("c"), "down");
    assert_eq!(
        rig.slot("d"),
        Slot(3),
        "the slot of a is still in a view that was published"
    );
}

#[test]
fn a_changed_address_is_another_instance() {
    let mut rig = Rig::of(2);
    rig.succeed("a", 3);
    rig.check("a", false);
    rig.events();
    rig.replace(settings(), vec![instance("a", 1234), instance("b", 9001)]);
    let events = rig.state.take_events();
    assert_eq!(
        events[0].to_string(),
        "a deregistered: moved from 127.0.0.1:9000 to 127.0.0.1:1234"
    );
    assert_eq!(events[1].to_string(), "a registered: at 127.0.0.1:1234");
    assert_eq!(rig.member("a").stats().successes(), 0);
    assert_eq!(rig.state("a"), "healthy");
}

#[test]
fn a_slot_is_reused_only_when_its_last_view_and_lease_are_gone() {
    let mut rig = Rig::of(2);
    let old_view = Arc::clone(rig.state.view());
    let mut cx = PickContext::new(1);
    let mut pick = |view: &View| view.pick(&PickRequest::default(), &mut cx).unwrap();
    let lease = [pick(&old_view), pick(&old_view)]
        .into_iter()
        .find(|lease| lease.slot() == Slot(0))
        .unwrap();
    // A change of weight makes a new member; the lease holds the old one.
    let heavier = instance("a", 9000).with_weight(Weight::new(2).unwrap());
    rig.replace(settings(), vec![heavier, instance("b", 9001)]);
    rig.replace(settings(), vec![instance("b", 9001)]);
    rig.wait(LOOK);
    rig.replace(settings(), vec![instance("b", 9001), instance("c", 1)]);
    assert_eq!(rig.slot("c"), Slot(2), "view and lease hold slot 0");
    drop(old_view);
    rig.wait(LOOK);
    rig.replace(
        settings(),
        vec![instance("b", 9001), instance("c", 1), instance("d", 2)],
    );
    assert_eq!(rig.slot("d"), Slot(3), "the lease holds slot 0");
    assert_eq!(rig.state.view().candidates().loads().get(0), 1);
    assert_eq!(lease.finish(&Outcome::CANCELLED, rig.now), None);
    rig.wait(LOOK);
    let with_e = ["b", "c", "d", "e"].into_iter().zip([9001, 1, 2, 3]);
    rig.replace(settings(), with_e.map(|(id, port)| instance(id, port)).collect());
    assert_eq!(rig.slot("e"), Slot(0));
}

#[test]
fn many_replacements_take_no_more_slots() {
    let mut rig = Rig::of(8);
    for round in 0..500 {
        let moved = (0..8).map(|i| instance(&format!("i{i}"), 1000 + round * 8 + i));
        rig.replace(settings(), moved.collect());
        rig.wait(LOOK);
    }
    let highest = rig.state.view().members().map(|(slot, ..)| slot.0).max();
    assert!(highest < Some(24), "{highest:?}");
}

#[test]
fn the_view_changes_only_when_readers_see_a_difference() {
    let mut rig = Rig::of(3);
    let first = Arc::clone(rig.state.view());
    assert_eq!(first.version(), 1);
    rig.check("a", true);
    rig.fail("b", 4);
    rig.state.apply(Evidence::Alarm, rig.now);
    rig.wait(AGE);
    let mut same = settings();
    same.ejection.max = Nanos::from_secs(9);
    rig.replace(same, fleet(3));
    assert!(Arc::ptr_eq(&first, rig.state.view()));
    rig.check("c", false);
    assert_eq!(rig.state.view().version(), 2);
}

#[test]
fn a_batch_of_evidence_builds_one_view() {
    let mut rig = Rig::of(9);
    let down = rig.state.view().members().map(|(_, member, _)| Evidence::Check {
        id: member.instance().id.clone(),
        observed: rig.now,
        outcome: CheckOutcome::Failed(CheckFailure("refused".into())),
    });
    let down: Vec<_> = down.collect();
    rig.state.apply_all(down, rig.now);
    assert_eq!(rig.state.view().version(), 2);
    assert_eq!(rig.state.counters().of(EventKind::CheckedDown), 9);
    assert!(rig.state.view().is_fallback());
}

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
fn switching_a_judge_off_releases_what_it_took_out() {
    let mut rig = Rig::of(4);
    rig.check("a", false);
    rig.fail("b", 5);
    assert_eq!(rig.candidates(), "cd");
    rig.events();
    let mut off = settings();
    off.checks = None;
    off.ejection.consecutive_failures = 0;
    rig.replace(off, fleet(4));
    assert_eq!(rig.candidates(), "abcd");
    assert_eq!(rig.events(), ["a up", "b returned"]);
    rig.check("a", false);
    rig.fail("b", 50);
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "abcd", "nobody judges any more");
}

#[test]
fn failures_in_a_row_eject_and_time_returns_on_probation() {
    let mut rig = Rig::of(3);
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
    rig.succeed("a", 5);
    rig.wait(Nanos(1));
    rig.fail("a", 4);
    assert_eq!(rig.state("a"), "healthy", "five successes ended the probation");
    assert_eq!(
        rig.events(),
        ["a ejected", "a returned", "a ejected", "a returned"]
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
    assert_eq!(rig.candidates(), "b");
    assert_eq!(rig.events(), ["a ejection_withheld", "a ejected"]);
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
    rig.wait(Nanos::from_secs(6));
    assert_eq!(rig.candidates(), "abc");
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
        "b",
        "two of three are healthy in all priorities"
    );
    rig.check("b", false);
    assert_eq!(rig.candidates(), "abc");
    assert!(rig.state.view().is_fallback());
    for _ in 0..2 {
        rig.check("a", true);
    }
    assert_eq!(rig.candidates(), "a");
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
fn response_times_are_forgotten_every_ten_seconds() {
    let mut rig = Rig::of(1);
    rig.succeed("a", 8);
    for (seconds, remembered) in [(9, 8), (1, 4), (1, 4), (9, 2), (10, 1), (10, 0)] {
        rig.wait(Nanos::from_secs(seconds));
        assert_eq!(rig.member("a").stats().response_times().count(), remembered);
    }
}

#[test]
fn large_changes_are_told_in_one_event_and_counted_one_by_one() {
    let mut rig = Rig::of(0);
    let many = (0..1000).map(|i| instance(&format!("i{i}"), 1000 + i));
    rig.replace(settings(), many.collect());
    let events = rig.state.take_events();
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].to_string(),
        "web registered: 1000 instances: i0, i1 … i999"
    );
    assert_eq!(rig.state.counters().of(EventKind::Registered), 1000);
}
