//! What a strategy could not choose among is refused, and changes nothing.

use super::*;
use crate::strategy::{ConsistentHash, Geographical, Maglev, RingKind, TableSize};
use crate::{Effect, Operation, OperationError};

/// Weights may add up to 52428.
fn ketama() -> StrategySettings {
    StrategySettings::consistent_hash(ConsistentHash {
        ring: RingKind::Ketama,
        ..ConsistentHash::default()
    })
}

fn of(strategy: StrategySettings) -> ServiceSettings {
    ServiceSettings {
        strategy,
        ..settings()
    }
}

fn weighing(id: &str, port: u16, weight: u64) -> Instance {
    instance(id, port).with_weight(Weight::new(weight).unwrap())
}

fn register(rig: &mut Rig, instance: Instance) -> Result<Effect, OperationError> {
    rig.state.operate(Operation::Register(instance), rig.now)
}

fn weigh(rig: &mut Rig, id: &str, weight: u64) -> Result<Effect, OperationError> {
    let (id, weight) = (InstanceId::new(id).unwrap(), Weight::new(weight).unwrap());
    rig.state.operate(Operation::SetWeight { id, weight }, rig.now)
}

fn deregister(rig: &mut Rig, id: &str) -> Result<Effect, OperationError> {
    let id = InstanceId::new(id).unwrap();
    rig.state.operate(Operation::Deregister(id), rig.now)
}

#[track_caller]
fn assert_refused(outcome: Result<Effect, OperationError>, part: &str) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, OperationError::Unsuitable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("strategy: ") && text.contains(part), "{text}");
}

/// What the weights add up to, as the refusal of far too much tells it. Nothing is built for that.
fn total(rig: &mut Rig) -> u64 {
    let error = register(rig, weighing("z", 1, 65_535)).unwrap_err().to_string();
    let sum = error
        .split("add up to ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    sum.parse::<u64>().unwrap() - 65_535
}

#[test]
fn weights_that_are_too_much_for_the_strategy_are_refused() {
    let mut rig = Rig::new(of(ketama()), fleet(2));
    let before = Arc::clone(rig.state.view());
    assert_refused(weigh(&mut rig, "b", 52_428), "add up to 52429");
    assert_refused(
        register(&mut rig, weighing("c", 9002, 52_427)),
        "divide the weights",
    );
    assert_refused(register(&mut rig, weighing("b", 9001, 52_429)), "add up to 52430");
    assert!(Arc::ptr_eq(&before, rig.state.view()) && rig.events().is_empty());
    assert_eq!(rig.member("b").instance().weight.get(), 1);

    // Each way by which weight comes and goes counts.
    assert_eq!(total(&mut rig), 2);
    assert_eq!(weigh(&mut rig, "a", 20), Ok(Effect::Changed));
    assert_eq!(total(&mut rig), 21);
    assert_eq!(
        register(&mut rig, weighing("c", 9002, 300)),
        Ok(Effect::Registered)
    );
    assert_eq!(total(&mut rig), 321);
    assert_eq!(weigh(&mut rig, "c", 200), Ok(Effect::Changed));
    assert_eq!(total(&mut rig), 221);
    assert_eq!(deregister(&mut rig, "a"), Ok(Effect::Changed));
    assert_eq!(total(&mut rig), 201);
    rig.replace(
        of(ketama()),
        vec![weighing("b", 9001, 5), weighing("d", 9003, 40)],
    );
    assert_eq!(total(&mut rig), 245, "b is another, d is new, c stays");
    rig.replace(of(ketama()), vec![weighing("d", 7003, 9)]);
    assert_eq!(total(&mut rig), 209, "b is gone, d is elsewhere");
}

/// There may be 1021 instances.
fn maglev() -> StrategySettings {
    StrategySettings::maglev(Maglev {
        envoy: true,
        table_size: TableSize::new(1021).unwrap(),
        ..Maglev::default()
    })
}

fn many(n: u16) -> Vec<Instance> {
    (0..n).map(|n| instance(&format!("i{n}"), 9000 + n)).collect()
}

#[test]
fn more_instances_than_the_strategy_has_places_for_are_refused() {
    let within = StrategySettings::geographical(Geographical {
        within: Box::new(maglev()),
        ..Geographical::default()
    });
    for strategy in [maglev(), within] {
        let mut rig = Rig::new(of(strategy), many(1021));
        assert_refused(
            register(&mut rig, instance("x", 80)),
            "1022 instances share a table",
        );
        assert_eq!(weigh(&mut rig, "i7", 65_535), Ok(Effect::Changed));
        assert_eq!(deregister(&mut rig, "i9"), Ok(Effect::Changed));
        assert_eq!(register(&mut rig, instance("x", 80)), Ok(Effect::Registered));
    }
}

#[test]
fn a_strategy_that_does_not_suit_the_instances_is_refused() {
    let mut rig = Rig::new(settings(), vec![weighing("a", 9000, 60_000)]);
    let before = Arc::clone(rig.state.view());
    let switch = |rig: &mut Rig| rig.state.operate(Operation::SetStrategy(ketama()), rig.now);
    assert_refused(switch(&mut rig), "consistent_hash does not suit");
    assert!(Arc::ptr_eq(&before, rig.state.view()) && rig.events().is_empty());
    assert_eq!(rig.state.settings().strategy, settings().strategy);
    assert_eq!(weigh(&mut rig, "a", 10), Ok(Effect::Changed));
    assert_eq!(switch(&mut rig), Ok(Effect::Changed));
}

/// Whoever replaces has the last word, and can ask afterwards; whoever makes it better is not refused.
#[test]
fn where_it_does_not_suit_already_less_is_taken() {
    let mut rig = Rig::new(of(maglev()), many(1021));
    assert_eq!(rig.state.suits(), Ok(()));
    rig.replace(of(maglev()), many(1023));
    assert_refused(register(&mut rig, instance("x", 80)), "1024 instances");
    for id in ["i1", "i2"] {
        assert!(rig.state.suits().is_err());
        assert_eq!(deregister(&mut rig, id), Ok(Effect::Changed));
    }
    assert_eq!(rig.state.suits(), Ok(()));
}
