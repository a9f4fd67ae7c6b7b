//! When regions that are forbidden leave nobody, that is told.

use super::*;
use crate::{Operation, Regions};

fn of(allowed: &[&str]) -> ServiceSettings {
    ServiceSettings {
        regions: Regions {
            allow: allowed.iter().map(|name| Arc::from(*name)).collect(),
            ..Regions::default()
        },
        ..settings()
    }
}

fn at(id: &str, region: &str) -> Instance {
    Instance {
        region: Some(region.into()),
        ..instance(id, 9000)
    }
}

#[test]
fn a_service_that_is_left_with_nobody_it_may_use_says_so_once() {
    let mut rig = Rig::new(
        of(&["eu"]),
        vec![at("a", "eu"), at("b", "us"), instance("c", 9002)],
    );
    let a = || InstanceId::new("a").unwrap();
    let operate = |rig: &mut Rig, operation| rig.state.operate(operation, rig.now).unwrap();
    operate(&mut rig, Operation::Deregister(a()));
    let told = rig.state.take_events();
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "a deregistered: was at 127.0.0.1:9000",
            "web shut_out: `locality` allows none of its 2 instances, which are in `us`, no region: requests are refused \
             until one is elsewhere"
        ]
    );
    operate(&mut rig, Operation::Register(at("d", "us")));
    rig.wait(Nanos::from_secs(3));
    assert_eq!(rig.events(), ["d registered"], "told once");
    operate(&mut rig, Operation::Register(at("a", "eu")));
    assert_eq!(rig.events(), ["a registered", "let_in"]);
    let why = "moves".into();
    operate(&mut rig, Operation::Drain { id: a(), why });
    assert_eq!(rig.events(), ["a drained", "shut_out"], "a drain can do it too");
    operate(&mut rig, Operation::Undrain(a()));
    assert_eq!(rig.events(), ["a undrained", "let_in"]);
    rig.replace(of(&["asia"]), vec![]);
    assert_eq!(rig.events(), ["b deregistered", "c deregistered", "shut_out"]);
    rig.replace(of(&[]), vec![]);
    assert_eq!(rig.events(), ["let_in"]);
}

#[test]
fn it_says_who_is_elsewhere_and_who_is_allowed_and_drains() {
    let texts = |rig: &mut Rig| -> Vec<String> {
        let events = rig.state.take_events();
        let ours = [EventKind::ShutOut, EventKind::LetIn];
        let ours = events.iter().filter(|event| ours.contains(&event.kind));
        ours.map(|event| event.reason.to_string()).collect()
    };
    let id = |id: &str| InstanceId::new(id).unwrap();
    let operate = |rig: &mut Rig, operation| rig.state.operate(operation, rig.now).unwrap();
    let drain = |which| Operation::Drain {
        id: id(which),
        why: "moves".into(),
    };
    let mut rig = Rig::new(of(&["eu"]), vec![at("a", "eu"), at("b", "us")]);
    operate(&mut rig, drain("a"));
    assert_eq!(
        texts(&mut rig),
        [
            "`locality` does not allow 1 of its 2 instances, in `us`, and 1 that it allows drains: requests are refused \
             until one that it allows is undrained or registered"
        ]
    );
    operate(&mut rig, Operation::Deregister(id("b")));
    assert_eq!(texts(&mut rig), [""; 0], "nobody is let in");
    operate(&mut rig, Operation::Register(at("c", "us")));
    assert_eq!(texts(&mut rig), [""; 0], "it has been told");
    operate(&mut rig, Operation::Deregister(id("c")));
    operate(&mut rig, Operation::Undrain(id("a")));
    assert_eq!(
        texts(&mut rig),
        ["an instance that `locality` allows takes requests"]
    );
    // Who is elsewhere and drains is elsewhere.
    let mut rig = Rig::new(
        of(&["eu"]),
        vec![at("a", "eu"), at("b", "us"), at("c", "us"), at("d", "eu")],
    );
    for which in ["a", "b", "d"] {
        operate(&mut rig, drain(which));
    }
    assert_eq!(
        texts(&mut rig),
        [
            "`locality` does not allow 2 of its 4 instances, in `us`, and 2 that it allows drain: requests are refused \
             until one that it allows is undrained or registered"
        ]
    );
}

/// The other reasons have events of their own.
#[test]
fn nobody_left_for_another_reason_is_not_told_as_a_border() {
    let mut rig = Rig::new(of(&["eu"]), vec![at("a", "eu"), at("b", "us")]);
    rig.check("a", false);
    assert_eq!(rig.events(), ["a down", "fallback_began"]);
    let mut rig = Rig::new(of(&["eu"]), vec![at("a", "eu")]);
    let (id, why) = (InstanceId::new("a").unwrap(), "moves".into());
    rig.state.operate(Operation::Drain { id, why }, rig.now).unwrap();
    assert_eq!(rig.events(), ["a drained"]);
    let id = InstanceId::new("a").unwrap();
    rig.state.operate(Operation::Deregister(id), rig.now).unwrap();
    assert_eq!(rig.events(), ["a deregistered"]);
}

#[test]
fn a_replacement_that_brings_another_strategy_is_told() {
    let mut rig = Rig::of(2);
    let other = ServiceSettings {
        strategy: crate::StrategyName::random.into(),
        ..settings()
    };
    rig.replace(other, fleet(2));
    let told = rig.state.take_events();
    assert_eq!(told[0].to_string(), "web strategy_changed: round_robin to random");
    assert_eq!(rig.state.view().strategy(), crate::StrategyName::random);
    let operation = Operation::SetStrategy(crate::StrategyName::least_connections.into());
    rig.state.operate(operation, rig.now).unwrap();
    rig.replace(settings(), fleet(2));
    rig.replace(settings(), fleet(2));
    assert_eq!(
        rig.events(),
        ["strategy_changed", "strategy_changed"],
        "and back, once"
    );
}
