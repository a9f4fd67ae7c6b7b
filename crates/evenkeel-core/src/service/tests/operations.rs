//! Changes from outside the configuration.

use super::*;
use crate::{Effect, LoadReport, Mode, Operation, OperationError, Score, Source, StrategyName};

impl Rig {
    fn operate(&mut self, operation: Operation) -> Result<Effect, OperationError> {
        self.state.operate(operation, self.now)
    }

    fn register(&mut self, instance: Instance) -> Result<Effect, OperationError> {
        self.operate(Operation::Register(instance))
    }

    fn drain(&mut self, id: &str) -> Result<Effect, OperationError> {
        let why = "kernel update".into();
        self.operate(Operation::Drain { id: known(id), why })
    }

    fn undrain(&mut self, id: &str) -> Result<Effect, OperationError> {
        self.operate(Operation::Undrain(known(id)))
    }

    fn weigh(&mut self, id: &str, weight: u64) -> Result<Effect, OperationError> {
        let weight = Weight::new(weight).unwrap();
        self.operate(Operation::SetWeight {
            id: known(id),
            weight,
        })
    }
}

fn known(id: &str) -> InstanceId {
    InstanceId::new(id).unwrap()
}

#[test]
fn instances_come_and_go_one_by_one() {
    let mut rig = Rig::of(2);
    assert_eq!(rig.register(instance("c", 9002)), Ok(Effect::Registered));
    assert_eq!(rig.candidates(), "abc");
    assert_eq!(rig.status("c").source, Source::Registration);
    assert_eq!(rig.status("a").source, Source::Configuration);
    let before = Arc::clone(rig.state.view());
    assert_eq!(rig.register(instance("c", 9002)), Ok(Effect::Unchanged));
    assert!(Arc::ptr_eq(&before, rig.state.view()));

    rig.succeed("c", 3);
    let heavier = instance("c", 9002).with_weight(Weight::new(7).unwrap());
    assert_eq!(rig.register(heavier), Ok(Effect::Changed));
    assert_eq!(rig.member("c").stats().successes(), 3, "counters stay");
    assert_eq!(rig.member("c").instance().weight.get(), 7);

    assert_eq!(
        rig.operate(Operation::Deregister(known("a"))),
        Ok(Effect::Changed)
    );
    assert_eq!(rig.candidates(), "bc");
    assert_eq!(rig.events(), ["c registered", "c changed", "a deregistered"]);
    rig.fail("c", 5);
    assert_eq!(rig.state("c"), "ejected", "its alarm was armed");
}

#[test]
fn errors_name_the_field_and_change_nothing() {
    let mut rig = Rig::of(2);
    let before = Arc::clone(rig.state.view());
    let x = || known("x");
    let weight = Weight::ONE;
    let (observed, score) = (rig.now, Score::new(0.5).unwrap());
    let report = LoadReport::default();
    for operation in [
        Operation::Deregister(x()),
        Operation::SetWeight { id: x(), weight },
        Operation::Undrain(x()),
        Operation::ReportHealth {
            id: x(),
            score,
            observed,
        },
        Operation::ReportLoad {
            id: x(),
            report,
            observed,
        },
    ] {
        let error = rig.operate(operation).unwrap_err();
        assert_eq!(
            error.to_string(),
            "id: the service has no instance x; register it first"
        );
    }
    assert!(rig.drain("x").is_err());
    let error = rig.register(instance("a", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "id: a is registered at 127.0.0.1:9000; deregister it there before it moves"
    );
    assert!(Arc::ptr_eq(&before, rig.state.view()));
    assert_eq!(rig.events(), [""; 0]);
}

#[test]
fn a_weight_is_changed_and_told() {
    let mut rig = Rig::of(2);
    assert_eq!(rig.weigh("a", 5), Ok(Effect::Changed));
    assert_eq!(rig.weigh("a", 5), Ok(Effect::Unchanged));
    assert_eq!(rig.member("a").instance().weight.get(), 5);
    let told = rig.state.take_events();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].to_string(), "a changed: weight 1 to 5");
}

#[test]
fn a_drain_keeps_new_requests_away_and_its_own_reach_it() {
    let mut rig = Rig::of(3);
    assert_eq!(rig.drain("b"), Ok(Effect::Changed));
    assert_eq!(rig.drain("b"), Ok(Effect::Unchanged));
    assert_eq!(rig.candidates(), "ac");
    let status = rig.status("b");
    assert_eq!(
        (status.state.as_str(), &*status.reason),
        ("draining", "kernel update")
    );
    assert_eq!(status.since, rig.now);
    let slot = rig.slot("b");
    assert!(rig.state.view().takes_its_own(slot));
    assert!(rig.state.view().takes_its_own(rig.slot("a")));

    rig.check("b", false);
    assert!(!rig.state.view().takes_its_own(slot), "checks failed");
    let reason = rig.status("b").reason;
    assert!(
        reason.starts_with("kernel update; ") && reason.contains("check"),
        "{reason}"
    );
    rig.check("b", true);
    rig.check("b", true);
    rig.wait(Nanos::from_secs(2));
    rig.events();
    assert_eq!(rig.undrain("b"), Ok(Effect::Changed));
    assert_eq!(rig.undrain("b"), Ok(Effect::Unchanged));
    assert_eq!(rig.candidates(), "abc");
    assert_eq!(&*rig.status("b").reason, "after 2.0 s of draining");
    assert_eq!(rig.events(), ["b undrained"]);
}

#[test]
fn a_drained_instance_gets_no_requests_in_fallback_or_when_all_drain() {
    let mut rig = Rig::of(3);
    rig.drain("a").unwrap();
    rig.check("b", false);
    rig.check("c", false);
    assert!(rig.state.view().is_fallback());
    assert_eq!(rig.candidates(), "bc");
    rig.drain("b").unwrap();
    rig.drain("c").unwrap();
    assert_eq!(rig.candidates(), "");
    let mut cx = PickContext::new(1);
    let picked = rig.state.view().pick(&PickRequest::default(), &mut cx);
    assert_eq!(picked.err(), Some(NoPick::NoneEligible));
}

#[test]
fn a_drained_instance_is_not_counted_on_by_others() {
    let mut rig = Rig::of(2);
    rig.drain("b").unwrap();
    rig.fail("a", 50);
    assert_eq!(rig.state("a"), "healthy", "nobody else may take over");
    rig.undrain("b").unwrap();
    rig.wait(LOOK);
    assert_eq!(rig.state("a"), "ejected");
}

#[test]
fn a_reload_decides_over_what_it_declares_and_leaves_the_rest() {
    let mut rig = Rig::of(3);
    rig.weigh("a", 5).unwrap();
    rig.drain("b").unwrap();
    rig.operate(Operation::Deregister(known("c"))).unwrap();
    rig.register(instance("r", 1)).unwrap();
    rig.register(instance("s", 2)).unwrap();
    rig.weigh("r", 3).unwrap();
    rig.operate(Operation::SetStrategy(StrategyName::random.into()))
        .unwrap();
    rig.succeed("s", 4);
    rig.events();

    let mut declared = fleet(3);
    declared.push(instance("s", 2));
    rig.replace(settings(), declared);
    assert_eq!(
        rig.candidates(),
        "arsc",
        "c is back, b still drains, r was never the file's"
    );
    assert_eq!(rig.member("a").instance().weight.get(), 1);
    assert_eq!(rig.member("r").instance().weight.get(), 3);
    assert_eq!(rig.status("r").source, Source::Registration);
    assert_eq!(rig.status("s").source, Source::Configuration, "adopted");
    assert_eq!(rig.member("s").stats().successes(), 4);
    assert_eq!(rig.state.view().strategy(), StrategyName::round_robin);

    rig.replace(settings(), fleet(3));
    assert_eq!(rig.candidates(), "arc", "s belonged to the configuration");
}

#[test]
fn readers_see_the_settings_of_a_reload_at_once() {
    let mut rig = Rig::of(2);
    let mut changed = settings();
    changed.ejection.adaptive = !changed.ejection.adaptive;
    changed.ejection.on_prediction = Mode::DryRun;
    rig.replace(changed.clone(), fleet(2));
    assert_eq!(rig.state.view().settings, changed);
    let version = rig.state.view().version();
    rig.replace(changed, fleet(2));
    assert_eq!(rig.state.view().version(), version, "nothing changed");
}

#[test]
fn words_on_health_are_taken_in_the_order_of_their_times() {
    let mut rig = Rig::of(1);
    let mut tell = |score: f64, seconds: u64, now: Nanos| {
        let observed = Nanos::from_secs(seconds);
        let (id, score) = (known("a"), Score::new(score).unwrap());
        let operation = Operation::ReportHealth { id, score, observed };
        rig.state.operate(operation, now)
    };
    let now = Nanos::from_secs(1000);
    assert_eq!(tell(0.4, 900, now), Ok(Effect::Changed));
    assert_eq!(tell(0.9, 899, now), Ok(Effect::Stale));
    assert_eq!(tell(0.4, 900, now), Ok(Effect::Unchanged));
    assert_eq!(
        tell(0.2, 5000, now),
        Ok(Effect::Changed),
        "from the future: of now"
    );
    assert_eq!(tell(0.3, 999, now), Ok(Effect::Stale));
    // The clock stepped back by 500 s: what was told at 1000 counts as told at 500.
    assert_eq!(tell(0.3, 500, Nanos::from_secs(500)), Ok(Effect::Changed));
}

#[test]
fn reports_of_load_reach_the_counters() {
    let mut rig = Rig::of(1);
    let mut tell = |cpu: f64, observed: Nanos| {
        let (id, report) = (known("a"), LoadReport::default().with_cpu(cpu).unwrap());
        rig.state
            .operate(Operation::ReportLoad { id, report, observed }, rig.now)
    };
    assert_eq!(tell(0.5, Nanos::from_secs(990)), Ok(Effect::Changed));
    assert_eq!(tell(0.7, Nanos::from_secs(980)), Ok(Effect::Stale));
    let (report, _) = rig.member("a").stats().reported().get(rig.now).unwrap();
    assert_eq!(report.cpu(), Some(0.5));
    assert_eq!(
        rig.state.view().version(),
        1,
        "strategies read it beside the instance"
    );
}

#[test]
fn a_switch_of_strategy_is_told() {
    let mut rig = Rig::of(2);
    let random = || Operation::SetStrategy(StrategyName::random.into());
    assert_eq!(rig.operate(random()), Ok(Effect::Changed));
    assert_eq!(rig.operate(random()), Ok(Effect::Unchanged));
    assert_eq!(rig.state.view().strategy(), StrategyName::random);
    let told = rig.state.take_events();
    assert_eq!(told[0].to_string(), "web strategy_changed: round_robin to random");
}

#[test]
fn a_name_alone_brings_back_what_the_configuration_declares() {
    use crate::strategy::Maglev;
    let declared = StrategySettings::maglev(Maglev {
        table_size: crate::strategy::TableSize::new(1021).unwrap(),
        ..Maglev::default()
    });
    let settings = ServiceSettings {
        strategy: declared,
        ..settings()
    };
    let mut rig = Rig::new(settings.clone(), fleet(2));
    let declared = rig.state.settings().strategy.clone();
    for name in [StrategyName::random, StrategyName::maglev, StrategyName::hot_cold] {
        assert_eq!(
            rig.operate(Operation::SetStrategyByName(name)),
            Ok(Effect::Changed)
        );
        assert_eq!(rig.state.view().strategy(), name);
        if name == StrategyName::maglev {
            assert_eq!(rig.state.settings().strategy, declared);
        }
    }
    assert_eq!(rig.state.settings().strategy, StrategyName::hot_cold.into());
    // Another configuration declares another.
    let strategy = StrategyName::maglev.into();
    rig.replace(ServiceSettings { strategy, ..settings }, fleet(2));
    let plain = rig.state.settings().strategy.clone();
    assert_ne!(plain, declared);
    rig.operate(Operation::SetStrategyByName(StrategyName::random))
        .unwrap();
    rig.operate(Operation::SetStrategyByName(StrategyName::maglev))
        .unwrap();
    assert_eq!(rig.state.settings().strategy, plain);
}

#[test]
fn a_switch_of_strategy_judges_nobody_anew() {
    let mut rig = Rig::of(4);
    rig.drain("a").unwrap();
    rig.check("b", false);
    let before = Arc::clone(rig.state.view());
    for name in StrategyName::ALL {
        let switch = Operation::SetStrategy((*name).into());
        rig.operate(switch).unwrap();
        let view = rig.state.view();
        assert_eq!(view.strategy(), *name);
        assert_eq!(view.settings.strategy.name(), *name);
        assert_eq!(
            view.request_key.is_some(),
            name.strategy().request_key().is_some()
        );
        assert!(Arc::ptr_eq(&view.statuses, &before.statuses), "{name}");
        assert!(Arc::ptr_eq(
            view.candidates().slots(),
            before.candidates().slots()
        ));
        for n in 0..20 {
            let request = PickRequest {
                key: Some(n.into()),
                ..PickRequest::default()
            };
            let slot = view.choose(&request, &mut PickContext::new(n)).unwrap();
            assert!(view.is_candidate(slot), "{name}");
        }
    }
    let (switches, view) = (StrategyName::ALL.len() as u64, rig.state.view());
    // One of them was in force already.
    assert_eq!(view.version(), before.version() + switches - 1);
    rig.check("b", true);
    rig.check("b", true);
    assert_eq!(rig.candidates(), "bcd", "who comes back later is chosen from");
}

#[test]
fn a_switch_at_an_empty_service_waits_for_its_first_instance() {
    let mut rig = Rig::of(0);
    let switch = Operation::SetStrategy(StrategyName::maglev.into());
    assert_eq!(rig.operate(switch), Ok(Effect::Changed));
    let choose = |rig: &Rig| {
        rig.state
            .view()
            .choose(&PickRequest::default(), &mut PickContext::new(1))
    };
    assert_eq!(choose(&rig), Err(NoPick::Empty));
    rig.register(instance("a", 9000)).unwrap();
    assert_eq!(choose(&rig), Ok(rig.slot("a")));
}

#[test]
fn a_switch_keeps_the_time_of_the_new_strategy() {
    let mut rig = Rig::of(2);
    assert_eq!(rig.state.next_refresh, Nanos::MAX, "turns need no look");
    let switch = |rig: &mut Rig, name: StrategyName| {
        assert_eq!(
            rig.operate(Operation::SetStrategy(name.into())),
            Ok(Effect::Changed)
        );
    };
    for name in StrategyName::ALL
        .iter()
        .filter(|name| name.strategy().refresh_every().is_some())
    {
        switch(&mut rig, *name);
        let due = rig.now + name.strategy().refresh_every().unwrap();
        assert_eq!(rig.state.next_refresh, due, "{name}");
        assert!(rig.state.next_deadline() <= due, "{name}");
        switch(&mut rig, StrategyName::round_robin);
        assert_eq!(rig.state.next_refresh, Nanos::MAX, "after {name}");
    }
}

#[test]
fn a_batch_keeps_the_order_of_evidence_and_operations_in_one_view() {
    let mut rig = Rig::of(1);
    let failed = Evidence::Check {
        id: known("r"),
        observed: rig.now,
        outcome: CheckOutcome::Failed(CheckFailure("refused".into())),
        connected: None,
    };
    let register = || crate::Input::from(Operation::Register(instance("r", 1)));
    let deregister = || crate::Input::from(Operation::Deregister(known("r")));
    let inputs = [
        failed.clone().into(),
        register(),
        failed.into(),
        deregister(),
        deregister(),
        register(),
    ];
    let outcomes = rig.state.take_in(inputs, rig.now);
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes[2].is_err());
    assert_eq!(rig.state.view().version(), 2);
    assert_eq!(
        rig.events(),
        ["r registered", "r down", "r deregistered", "r registered"]
    );
    assert_eq!(rig.state("r"), "healthy");
}

/// What is forgiven is what it did. Whoever is said to be out of order gets nothing until somebody says otherwise.
#[test]
fn neither_an_end_of_a_drain_nor_checks_take_back_a_word() {
    let report = |rig: &mut Rig, score: f64| {
        let (id, observed) = (known("a"), rig.now);
        let score = Score::new(score).unwrap();
        rig.operate(Operation::ReportHealth { id, score, observed })
            .unwrap();
    };
    let mut rig = Rig::of(3);
    report(&mut rig, 0.2);
    assert_eq!(rig.candidates(), "bc");
    rig.drain("a").unwrap();
    rig.undrain("a").unwrap();
    assert_eq!((rig.state("a"), rig.candidates().as_str()), ("weak", "bc"));
    assert_eq!(
        rig.events(),
        ["a weakened", "a drained", "a undrained", "a weakened"]
    );
    rig.check("a", false);
    rig.check("a", true);
    rig.check("a", true);
    assert_eq!((rig.state("a"), rig.candidates().as_str()), ("weak", "bc"));
    assert_eq!(rig.events(), ["a down", "a up", "a weakened"]);
    rig.check("a", false);
    rig.check("a", false);
    rig.check("a", false);
    assert_eq!(rig.state("a"), "down");
    let unchecked = ServiceSettings {
        checks: None,
        ..settings()
    };
    rig.replace(unchecked, fleet(3));
    assert_eq!((rig.state("a"), rig.candidates().as_str()), ("weak", "bc"));
    report(&mut rig, 1.0);
    assert_eq!(rig.candidates(), "abc");
}
