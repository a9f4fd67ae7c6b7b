//! Shares over time, and what the settings of the stages change.

use super::*;
use crate::{Operation, Panic, Share, SlowStart};

impl Rig {
    /// Shares of the candidates in percent.
    fn shares(&self) -> Vec<u32> {
        let candidates = self.state.view().candidates();
        (0..candidates.len())
            .map(|index| (100.0 * candidates.share(index).as_f64()).round() as u32)
            .collect()
    }

    fn join(&mut self, id: &str) {
        let register = Operation::Register(instance(id, 7000));
        self.state.operate(register, self.now).unwrap();
    }

    /// Time goes on, with all deadlines met.
    fn live(&mut self, time: Nanos) {
        let end = self.now + time;
        while self.state.next_deadline() <= end {
            self.now = self.state.next_deadline();
            self.state.tick(self.now);
        }
        self.now = end;
    }
}

fn unchecked() -> ServiceSettings {
    ServiceSettings {
        checks: None,
        ..settings()
    }
}

#[test]
fn a_new_instance_ramps_up_in_steps_and_the_first_ones_do_not() {
    let mut rig = Rig::new(unchecked(), fleet(2));
    assert_eq!(rig.shares(), [100, 100]);
    rig.live(Nanos::from_secs(9));
    assert_eq!(
        rig.state.view().version(),
        1,
        "all began together: no view is built"
    );
    rig.live(Nanos::from_secs(51));
    rig.join("r");
    assert_eq!(rig.shares(), [100, 100, 10]);
    let version = rig.state.view().version();
    let mut last = 0;
    for quarter in 1..=40 {
        rig.live(Nanos::from_millis(250));
        let share = rig.shares()[2];
        assert!(share >= last, "{share} after {last}");
        let due = (10.0f64).max(2.5 * f64::from(quarter));
        assert!((f64::from(share) - due).abs() <= 3.0, "{share} for {due}");
        last = share;
    }
    assert_eq!(rig.shares(), [100, 100, 100]);
    let views = rig.state.view().version() - version;
    assert!((30..=40).contains(&views), "{views} views in ten seconds");
    let version = rig.state.view().version();
    rig.live(Nanos::from_secs(60));
    assert_eq!(rig.state.view().version(), version, "and then no more");
}

#[test]
fn with_checks_a_new_instance_begins_when_it_passes() {
    let mut rig = Rig::of(2);
    rig.live(Nanos::from_secs(60));
    rig.join("r");
    rig.live(Nanos::from_secs(30));
    assert_eq!(rig.shares(), [100, 100, 10], "nothing is known of it");
    rig.check("r", true);
    rig.live(Nanos::from_secs(5));
    assert_eq!(rig.shares(), [100, 100, 50]);
    rig.live(Nanos::from_secs(5));
    assert_eq!(rig.shares(), [100, 100, 100]);

    rig.check("a", true);
    for _ in 0..3 {
        rig.check("a", false);
    }
    for _ in 0..2 {
        rig.check("a", true);
    }
    assert_eq!(rig.shares(), [10, 100, 100], "it was restarted as likely as not");
    let mut off = settings();
    off.slow_start = SlowStart::OFF;
    rig.join("s");
    rig.replace(off, fleet(2));
    assert_eq!(rig.shares(), [100; 4]);
}

#[test]
fn when_checks_are_switched_off_who_waited_for_one_begins() {
    let mut rig = Rig::of(2);
    rig.live(Nanos::from_secs(60));
    rig.join("r");
    rig.live(Nanos::from_secs(60));
    rig.replace(unchecked(), fleet(2));
    assert_eq!(rig.shares(), [100, 100, 10]);
    rig.live(Nanos::from_secs(10));
    assert_eq!(rig.shares(), [100, 100, 100]);
}

#[test]
fn a_ramp_follows_a_clock_that_steps_back() {
    let mut rig = Rig::new(unchecked(), fleet(2));
    rig.live(Nanos::from_secs(60));
    rig.join("r");
    rig.live(Nanos::from_secs(5));
    rig.now = rig.now.since(Nanos::from_secs(30));
    rig.state.tick(rig.now);
    assert_eq!(rig.shares(), [100, 100, 50]);
    rig.live(Nanos::from_secs(5));
    assert_eq!(rig.shares(), [100, 100, 100]);
}

#[test]
fn a_low_score_costs_a_share_at_the_next_look() {
    let mut rig = Rig::of(3);
    rig.member("b").stats().set_health(0.65);
    assert_eq!(rig.shares(), [100, 100, 100]);
    rig.wait(LOOK);
    if rig.member("b").stats().health() < 0.7 {
        assert_eq!(rig.shares(), [100, 75, 100]);
    }
}

#[test]
fn a_share_that_changes_rebuilds_no_table_of_hashes() {
    let mut hashing = unchecked();
    hashing.strategy = crate::StrategyName::consistent_hash.into();
    let mut rig = Rig::new(hashing, fleet(20));
    rig.live(Nanos::from_secs(60));
    let owners = |rig: &Rig| {
        let mut cx = PickContext::new(1);
        let owner = |key: u64| {
            let request = PickRequest {
                key: Some(key.wrapping_mul(0x9E37_79B9_7F4A_7C15).into()),
                ..PickRequest::default()
            };
            rig.state.view().choose(&request, &mut cx).unwrap()
        };
        (0..5000).map(owner).collect::<Vec<_>>()
    };
    rig.join("new");
    let slot = rig.slot("new");
    let mut before = owners(&rig);
    for _ in 0..45 {
        rig.live(Nanos::from_millis(250));
        let after = owners(&rig);
        for (before, after) in before.iter().zip(&after) {
            assert!(
                before == after || *after == slot,
                "a key moved to another than the new one"
            );
        }
        before = after;
    }
    let mine = before.iter().filter(|owner| **owner == slot).count();
    // A 21st of 5000 keys is 238; a ring of 160 points deviates by 8 %, the draw of keys by 6.5 %.
    assert!((120..=380).contains(&mine), "{mine} keys");
}

#[test]
fn a_service_that_fails_in_panic_refuses_and_says_so() {
    let mut failing = settings();
    failing.panic = Panic::Fail;
    let mut rig = Rig::new(failing, fleet(2));
    rig.check("a", false);
    rig.check("b", false);
    assert!(rig.state.view().is_fallback());
    let mut cx = PickContext::new(1);
    let picked = rig.state.view().pick(&PickRequest::default(), &mut cx);
    assert_eq!(picked.err(), Some(NoPick::NoneEligible));
    assert_eq!(rig.status("a").excluded, Some(crate::Exclusion::Minimum));
    let told = rig.state.take_events().pop().unwrap();
    assert_eq!(told.kind, EventKind::FallbackBegan);
    assert!(told.reason.contains("refused"), "{}", told.reason);
    rig.check("a", true);
    rig.check("a", true);
    assert_eq!(rig.candidates(), "a");
}

#[test]
fn a_border_holds_in_the_last_resort_and_is_told_per_instance() {
    let mut bordered = settings();
    bordered.regions.deny = ["us".into()].into();
    let mut instances = fleet(3);
    instances[2].region = Some("us".into());
    let mut rig = Rig::new(bordered, instances);
    assert_eq!(rig.candidates(), "ab");
    assert_eq!(rig.status("c").excluded, Some(crate::Exclusion::Region));
    let (id, why) = (InstanceId::new("c").unwrap(), "moves".into());
    rig.state.operate(Operation::Drain { id, why }, rig.now).unwrap();
    let slot = rig.slot("c");
    assert!(
        !rig.state.view().takes_its_own(slot),
        "not even its own requests cross it"
    );
    for id in ["a", "b"] {
        rig.check(id, false);
    }
    for _ in 0..30 {
        rig.fail("a", 1);
        rig.fail("b", 1);
    }
    rig.wait(LOOK);
    assert_eq!(rig.candidates(), "ab");
}

#[test]
fn a_fallback_counts_those_that_may_be_used() {
    let mut bordered = settings();
    bordered.regions.deny = ["us".into()].into();
    let mut instances = fleet(5);
    for far in &mut instances[2..] {
        far.region = Some("us".into());
    }
    let mut rig = Rig::new(bordered, instances);
    rig.check("a", false);
    rig.check("b", false);
    let told = rig.state.take_events().pop().unwrap();
    assert_eq!(told.kind, EventKind::FallbackBegan);
    assert_eq!(
        &*told.reason,
        "0 of 2 instances are healthy (3 more are not permitted by `locality`), at least 1 must be: all that answer \
         requests are used, whatever checks say"
    );
    rig.check("a", true);
    rig.check("a", true);
    let events = rig.state.take_events();
    let told = events.iter().find(|event| event.kind == EventKind::FallbackEnded);
    assert_eq!(
        &*told.unwrap().reason,
        "1 of 2 instances are healthy (3 more are not permitted by `locality`)"
    );
}

#[test]
fn who_may_not_be_used_is_not_counted_on() {
    let mut bordered = settings();
    bordered.regions.deny = ["us".into()].into();
    let mut instances = fleet(2);
    instances[1].region = Some("us".into());
    let mut rig = Rig::new(bordered, instances);
    rig.fail("a", 60);
    rig.wait(LOOK);
    assert_eq!(rig.state("a"), "healthy", "b works, and cannot take over");
    rig.replace(settings(), fleet(2));
    rig.wait(LOOK);
    assert_eq!(rig.state("a"), "ejected");
}

#[test]
fn shares_of_a_priority_spill() {
    let mut instances = fleet(6);
    for later in &mut instances[4..] {
        later.priority = 1;
    }
    let mut rig = Rig::new(unchecked(), instances);
    assert_eq!(rig.candidates(), "abcd");
    let drain = |id: &str| Operation::Drain {
        id: InstanceId::new(id).unwrap(),
        why: "moves".into(),
    };
    for id in ["a", "b"] {
        rig.state.operate(drain(id), rig.now).unwrap();
    }
    assert_eq!(rig.candidates(), "cdef");
    let candidates = rig.state.view().candidates();
    let weights: Vec<u32> = candidates.weights().collect();
    let later = f64::from(weights[2] + weights[3]) / f64::from(weights.iter().sum::<u32>());
    assert!((later - 0.3).abs() < 0.01, "{later}");
    assert_eq!(candidates.share(0), Share::FULL);
}
