//! Who was taken out together does not come back together, and what was said counts at once.

use std::sync::Arc;

use evenkeel_core::{
    BreakerState, EventKind, Evidence, InstanceId, Nanos, Operation, Outcome, Recovery, Rng, Score,
    ServiceSettings, Slot, StrategyName,
};

use super::clients::{Answer, Clients, broken, ok};
use super::traffic::{Times, Traffic, fails};

fn clients(n: usize, recovery: Recovery) -> Clients {
    let mut settings = ServiceSettings::new("web");
    settings.strategy = StrategyName::round_robin.into();
    settings.ejection.recovery = recovery;
    Clients::with(n, settings, 200.0, 3)
}

/// Times at which instances came back.
fn returns(clients: &Clients) -> Vec<f64> {
    let returned = clients
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Returned);
    returned
        .map(|event| event.at.since(Nanos::from_secs(1000)).as_secs_f64())
        .collect()
}

/// Half of ten fail everything for two seconds.
fn burst(clients: &mut Clients) {
    let mut answer = |i: usize, _: Nanos, _: &mut Rng| -> Answer { if i < 5 { broken() } else { ok(8.0) } };
    clients.run(2.0, &mut answer);
    assert_eq!(clients.count(EventKind::Ejected), 5);
}

#[test]
fn they_return_one_after_the_other() {
    for recovery in [Recovery::Backoff, Recovery::Ramp] {
        let mut clients = clients(10, recovery);
        burst(&mut clients);
        clients.run(20.0, &mut |_, _, _: &mut Rng| ok(8.0));
        let at = returns(&clients);
        assert_eq!(at.len(), 5);
        for pair in at.windows(2) {
            assert!(pair[1] - pair[0] > 0.49, "{recovery:?}: {at:?}");
        }
        assert!(at[4] < 13.0, "{at:?}");
    }
}

#[test]
fn a_clock_that_jumps_ahead_brings_nobody_back_with_the_others() {
    let mut clients = clients(10, Recovery::Backoff);
    burst(&mut clients);
    clients.now = clients.now + Nanos::from_secs(3600);
    clients.state.tick(clients.now);
    assert_eq!(clients.count(EventKind::Returned), 1);
    clients.run(1.2, &mut |_, _, _: &mut Rng| ok(8.0));
    assert_eq!(clients.count(EventKind::Returned), 3);
}

/// A writer rests between its steps, the longer the more instances there are.
#[test]
fn a_writer_that_comes_late_lets_as_many_return() {
    let mut clients = clients(400, Recovery::Fixed);
    let view = Arc::clone(clients.state.view());
    for (_, member, _) in view.members().filter(|(slot, ..)| slot.0 % 2 == 0) {
        for _ in 0..5 {
            member.stats().on_start(clients.now);
            let failed = Outcome::failed(Nanos::from_millis(1));
            if member.stats().on_end(&failed, clients.now) {
                clients.state.apply(Evidence::Alarm, clients.now);
            }
        }
    }
    let kinds = |clients: &mut Clients, kind| {
        let events = clients.state.take_events();
        events.iter().filter(|event| event.kind == kind).count()
    };
    assert_eq!(kinds(&mut clients, EventKind::Ejected), 200);
    // All are due.
    clients.now = clients.now + Nanos::from_secs(400);
    let mut at_once = Vec::new();
    for _ in 0..40 {
        clients.state.tick(clients.now);
        at_once.push(kinds(&mut clients, EventKind::Returned));
        clients.now = clients.now + Nanos::from_millis(100);
    }
    // A fifth of them a second: eight in a tenth.
    assert_eq!(at_once[0], 1, "{at_once:?}");
    assert_eq!(at_once[1..25], [8; 24], "{at_once:?}");
    assert_eq!(at_once.iter().sum::<usize>(), 200, "{at_once:?}");
}

#[test]
fn a_word_on_its_health_counts_at_once_and_by_degrees() {
    let mut settings = ServiceSettings::new("web");
    settings.ejection.refresh = Nanos::from_secs(30);
    let mut clients = Clients::with(3, settings, 10.0, 3);
    clients.run(3.0, &mut |_, _, _: &mut Rng| ok(8.0));
    for (said, share) in [(1.0, 1.0), (0.9, 0.875), (0.75, 0.75), (0.1, 0.0)] {
        let operation = Operation::ReportHealth {
            id: InstanceId::new("i1").unwrap(),
            score: Score::new(said).unwrap(),
            observed: clients.now,
        };
        clients.state.operate(operation, clients.now).unwrap();
        let candidates = clients.state.view().candidates();
        let place = candidates.slots().iter().position(|slot| *slot == Slot(1));
        let found = place.map_or(0.0, |index| candidates.share(index).as_f64());
        assert_eq!(found, share, "{said}");
    }
}

#[test]
fn a_word_from_before_the_registration_is_about_another() {
    let mut clients = clients(3, Recovery::Ramp);
    clients.run(100.0, &mut |_, _, _: &mut Rng| ok(8.0));
    let id = InstanceId::new("i1").unwrap();
    let instance = evenkeel_core::Instance::new("i1", ([10, 9, 9, 9], 80).into()).unwrap();
    let now = clients.now;
    clients
        .state
        .operate(Operation::Deregister(id.clone()), now)
        .unwrap();
    clients.state.operate(Operation::Register(instance), now).unwrap();
    let before = Nanos(now.0 - 1_000_000_000);
    let health = |observed| Operation::ReportHealth {
        id: id.clone(),
        score: Score::new(0.0).unwrap(),
        observed,
    };
    let load = |observed| Operation::ReportLoad {
        id: id.clone(),
        report: evenkeel_core::LoadReport::default().with_cpu(1.0).unwrap(),
        observed,
    };
    for (operation, effect) in [
        (health(before), evenkeel_core::Effect::Stale),
        (load(before), evenkeel_core::Effect::Stale),
        (load(now), evenkeel_core::Effect::Changed),
        (health(now), evenkeel_core::Effect::Changed),
    ] {
        assert_eq!(clients.state.operate(operation, now).unwrap(), effect);
    }
    assert_eq!(clients.count(EventKind::Weakened), 1);
}

/// An ejection would only keep it from being found well. What the strategy does is told as what it is: half-open.
#[test]
fn who_is_left_alone_by_its_strategy_is_not_ejected_and_is_back_with_its_first_answer() {
    let mut traffic = Traffic::of(10, 1, 500.0, Times::Exponential(8.0), StrategyName::adaptive);
    traffic.run(30, |_, _| fails(0.0));
    traffic.clear();
    traffic.run(60, |i, _| fails(if i == 0 { 1.0 } else { 0.0 }));
    assert!((7..=20).contains(&traffic.asked[0]), "{:?}", traffic.asked);
    assert_eq!(traffic.count(EventKind::Ejected), 0);
    let told = traffic.reasons(EventKind::EjectionWithheld);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains(" requests failed in a row: by its strategy it is asked only now and then"),
        "{told:?}"
    );
    let breaker = |traffic: &Traffic| traffic.state.view().members().next().unwrap().2.breaker;
    assert_eq!(breaker(&traffic), BreakerState::HalfOpen);
    traffic.run(12, |_, _| fails(0.0));
    assert_eq!(breaker(&traffic), BreakerState::Closed);
    traffic.clear();
    traffic.run(5, |_, _| fails(0.0));
    assert!(traffic.asked[0] > 200, "{:?}", traffic.asked);
}
