//! Who belongs to the service, in which slot, and when a view is built.

use super::*;

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
    other.strategy = crate::StrategyName::power_of_two.into();
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
    rig.succeed("b", 4);
    rig.state.apply(Evidence::Alarm, rig.now);
    rig.wait(AGE);
    rig.replace(settings(), fleet(3));
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
        connected: None,
    });
    let down: Vec<_> = down.collect();
    rig.state.apply_all(down, rig.now);
    assert_eq!(rig.state.view().version(), 2);
    assert_eq!(rig.state.counters().of(EventKind::CheckedDown), 9);
    assert!(rig.state.view().is_fallback());
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
