//! Predictions lower shares before anything is out, within bounds, and say how good they were.

use evenkeel_core::{
    Calibration, EventKind, Explanation, InstanceId, InstanceSnapshot, LoadReport, Mode, Nanos, Operation,
    Question, Rng, Score, ServiceSettings, StrategyName, Weight,
};

use super::clients::{Answer, Clients, broken, exponential, ok};

fn fleet(n: usize, mode: Mode) -> Clients {
    let mut settings = ServiceSettings::new("web");
    settings.strategy = StrategyName::round_robin.into();
    settings.ejection.on_prediction = mode;
    Clients::with(n, settings, 50.0 * n as f64, 7)
}

fn reload(clients: &mut Clients, change: impl FnOnce(&mut ServiceSettings)) {
    let mut settings = clients.state.settings().clone();
    change(&mut settings);
    let members = clients.state.view().members();
    let instances = members.map(|(_, member, _)| member.instance().clone()).collect();
    clients.state.replace(settings, instances, clients.now).unwrap();
}

/// Second by second, each with the memory in use that it reports.
fn run(clients: &mut Clients, seconds: u64, memory: impl Fn(usize, u64) -> f64) {
    run_with(clients, seconds, |i, second| {
        LoadReport::default().with_memory(memory(i, second)).unwrap()
    });
}

/// The same with whatever each reports.
fn run_with(clients: &mut Clients, seconds: u64, report: impl Fn(usize, u64) -> LoadReport) {
    for second in 0..seconds {
        for (slot, member, _) in clients.state.view().members() {
            let report = report(slot.0 as usize, second);
            let reported = member.stats().reported();
            assert!(reported.observe(&report, clients.now, clients.now));
        }
        clients.run(1.0, &mut |_, _, rng: &mut Rng| ok(exponential(rng, 8.0)));
    }
}

/// The first `of` fill from 40 % on, by one in a hundred a second; the others stay.
fn filling(of: usize) -> impl Fn(usize, u64) -> f64 {
    move |i, second| if i < of { 0.4 + 0.01 * second as f64 } else { 0.4 }
}

fn told(clients: &Clients) -> Vec<String> {
    let kinds = [EventKind::Predicted, EventKind::PredictionEnded];
    let events = clients.events.iter().filter(|event| kinds.contains(&event.kind));
    events.map(ToString::to_string).collect()
}

/// 256ths of the share of each.
fn shares(clients: &Clients) -> Vec<u32> {
    let candidates = clients.state.view().candidates();
    (0..candidates.len())
        .map(|i| candidates.share(i).units())
        .collect()
}

fn calibration(clients: &Clients) -> Calibration {
    clients.state.counters().calibration()
}

#[test]
fn memory_that_fills_costs_a_share_before_it_is_full_and_nobody_goes_for_it() {
    let mut clients = fleet(10, Mode::Enforce);
    run(&mut clients, 30, |_, _| 0.4);
    assert_eq!((told(&clients).len(), shares(&clients)), (0, vec![256; 10]));
    run(&mut clients, 54, filling(1));
    let before = clients.asked.clone();
    run(&mut clients, 4, |i, second| filling(1)(i, 54 + second));
    let [first, second] = [0, 1].map(|i| clients.asked[i] - before[i]);
    let part = first as f64 / second as f64;
    assert!((0.2..0.42).contains(&part), "{first} beside {second}");
    let events = told(&clients);
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(
        events[0].starts_with("i0 predicted: with ")
            && events[0].contains("% it is bad within 20 s: it uses "),
        "{events:?}"
    );
    assert_eq!(shares(&clients)[1..], [256; 9]);
    let explained = Explanation::new(clients.state.view(), &Question::default(), clients.now, 1);
    let stage = &explained.instances[0].stages[0];
    assert_eq!(stage.stage, "predicted");
    assert!((0.3..0.35).contains(&stage.left), "{stage:?}");
    assert!(stage.reason.contains("of its share are left"), "{stage:?}");
    assert!(explained.instances[1].stages.is_empty());
    assert_eq!(
        clients.count(EventKind::Ejected) + clients.count(EventKind::Weakened),
        0
    );
    assert_eq!(calibration(&clients).lowered, 1);

    // It was swept: nothing is foreseen any more, and nothing came of what was.
    run(&mut clients, 60, |_, _| 0.4);
    let events = told(&clients);
    assert!(
        events.len() == 2 && events[1].contains("it has its share again"),
        "{events:?}"
    );
    assert_eq!(shares(&clients), [256; 10]);
    let all = calibration(&clients);
    assert_eq!((all.lowered, all.came_true()), (0, 0));
    assert!(
        all.bins[9].predictions > 5 && all.brier().unwrap() > 0.0,
        "{all:?}"
    );
    let explained = Explanation::new(clients.state.view(), &Question::default(), clients.now, 1);
    assert!(explained.instances[0].stages.is_empty());
}

#[test]
fn who_crashes_as_foreseen_fails_fewer_requests() {
    let mut failed = [0, 0];
    for (place, mode) in [Mode::Off, Mode::Enforce].into_iter().enumerate() {
        for seed in 1..5 {
            let mut settings = ServiceSettings::new("web");
            settings.strategy = StrategyName::round_robin.into();
            settings.ejection.on_prediction = mode;
            let mut clients = Clients::with(10, settings, 500.0, seed);
            run(&mut clients, 60, filling(1));
            // Nobody refuses: whoever is sent there before it is known to be away has lost.
            clients.run(10.0, &mut |i, _, _: &mut Rng| match i {
                0 => Answer {
                    takes: Nanos::from_millis(500),
                    ..broken()
                },
                _ => ok(8.0),
            });
            assert!(clients.count(EventKind::Ejected) > 0);
            failed[place] += clients.unserved;
            if mode == Mode::Off {
                assert_eq!(
                    (told(&clients).len(), calibration(&clients).predictions()),
                    (0, 0)
                );
                continue;
            }
            let events = told(&clients);
            assert!(
                events.iter().any(|text| text.contains("it came true after ")),
                "{events:?}"
            );
            let all = calibration(&clients);
            assert!(all.skill().unwrap() > 0.5, "{all:?}");
            assert!(all.bins[9].came_true > 5 && all.bins[9].came_true == all.bins[9].predictions);
        }
    }
    // Five in a row eject either way; what hurts is what was on its way, and of that there is a third.
    assert!(3 * failed[1] < 2 * failed[0], "{failed:?}");
}

#[test]
fn what_most_have_in_common_lowers_nobody() {
    let mut clients = fleet(10, Mode::Enforce);
    run(&mut clients, 58, filling(3));
    assert_eq!(shares(&clients), [256; 10]);
    let events = told(&clients);
    assert!(
        events
            .iter()
            .any(|text| text.starts_with("web prediction_ended: 3 of 10 ")),
        "{events:?}"
    );
    assert_eq!(calibration(&clients).lowered, 0);
    // Two are a fifth.
    let mut clients = fleet(10, Mode::Enforce);
    run(&mut clients, 58, filling(2));
    assert!(
        shares(&clients)[..2].iter().all(|share| *share < 100),
        "{:?}",
        shares(&clients)
    );
}

#[test]
fn small_fleets_lose_little_and_a_single_one_nothing() {
    for (n, least, most) in [(1, 256, 256), (2, 170, 190), (3, 130, 150), (5, 75, 85)] {
        let mut clients = fleet(n, Mode::Enforce);
        run(&mut clients, 58, filling(1));
        let share = shares(&clients)[0];
        assert!((least..=most).contains(&share), "{n}: {share}");
        assert_eq!(told(&clients).len(), usize::from(n > 1), "{n}");
    }
}

#[test]
fn it_can_be_switched_at_run_time() {
    let mut clients = fleet(10, Mode::DryRun);
    run(&mut clients, 58, filling(1));
    assert_eq!(shares(&clients), [256; 10]);
    let events = told(&clients);
    assert!(
        events.len() == 1 && events[0].ends_with("; it keeps its share: a dry run"),
        "{events:?}"
    );
    assert!(calibration(&clients).predictions() > 100);
    reload(&mut clients, |settings| {
        settings.ejection.on_prediction = Mode::Enforce;
    });
    run(&mut clients, 1, |i, second| filling(1)(i, 58 + second));
    assert!(shares(&clients)[0] < 100, "{:?}", shares(&clients));
    reload(&mut clients, |settings| {
        settings.ejection.on_prediction = Mode::Off;
    });
    run(&mut clients, 1, |i, second| filling(1)(i, 59 + second));
    assert_eq!(shares(&clients), [256; 10]);
    let before = calibration(&clients);
    assert_eq!(before.lowered, 0);
    run(&mut clients, 30, filling(1));
    assert_eq!(calibration(&clients), before);
}

#[test]
fn what_is_foreseen_of_each_is_shown() {
    let mut clients = fleet(10, Mode::DryRun);
    let predicted = |clients: &Clients, slot: usize| {
        let mut all = InstanceSnapshot::all(clients.state.view(), clients.now);
        all.nth(slot).unwrap().predicted
    };
    assert_eq!(predicted(&clients, 0), None, "nothing is known");
    run(&mut clients, 58, filling(1));
    let (first, second) = (predicted(&clients, 0).unwrap(), predicted(&clients, 1).unwrap());
    assert!(first.probability.unwrap() > 0.85, "{first:?}");
    assert!(second.probability.unwrap() < 0.05, "{second:?}");
    assert_eq!((first.share_left, second.share_left), (1.0, 1.0), "a dry run");
    reload(&mut clients, |settings| {
        settings.ejection.on_prediction = Mode::Enforce;
    });
    run(&mut clients, 1, |i, second| filling(1)(i, 58 + second));
    let left = f64::from(predicted(&clients, 0).unwrap().share_left);
    assert!(
        (left - f64::from(shares(&clients)[0]) / 256.0).abs() < 0.01,
        "{left}"
    );
    let (id, why) = (InstanceId::new("i0").unwrap(), "moves".into());
    let now = clients.now;
    clients.state.operate(Operation::Drain { id, why }, now).unwrap();
    run(&mut clients, 2, filling(0));
    assert_eq!(predicted(&clients, 0), None, "nobody will see what becomes of it");
    reload(&mut clients, |settings| {
        settings.ejection.on_prediction = Mode::Off;
    });
    run(&mut clients, 1, filling(0));
    assert_eq!(predicted(&clients, 1), None, "it is off");
}

#[test]
fn who_is_drained_was_right_about_nothing_and_a_clock_may_step_back() {
    let mut clients = fleet(10, Mode::Enforce);
    run(&mut clients, 58, filling(1));
    let before = calibration(&clients);
    let (id, why) = (InstanceId::new("i0").unwrap(), "moves".into());
    let now = clients.now;
    clients.state.operate(Operation::Drain { id, why }, now).unwrap();
    run(&mut clients, 40, |_, _| 0.4);
    let after = calibration(&clients);
    assert_eq!((after.came_true(), after.lowered), (0, 0));
    assert_eq!(after.bins[9].predictions, before.bins[9].predictions);

    let mut clients = fleet(10, Mode::Enforce);
    run(&mut clients, 50, filling(1));
    let slow = shares(&clients)[0];
    clients.now = Nanos::from_secs(400);
    clients.state.tick(clients.now);
    run(&mut clients, 8, |i, second| filling(1)(i, 50 + second));
    let later = shares(&clients)[0];
    assert!(slow < 256 && later < 100 && later <= slow, "{slow}, then {later}");
}

#[test]
fn what_may_be_taken_is_a_part_of_the_weight() {
    let mut clients = fleet(10, Mode::Enforce);
    let members = clients.state.view().members();
    let instances = members.map(|(_, member, _)| {
        let mut instance = member.instance().clone();
        if instance.id.as_str() == "i0" {
            instance.weight = Weight::new(10).unwrap();
        }
        instance
    });
    let settings = clients.state.settings().clone();
    let instances = instances.collect();
    clients.state.replace(settings, instances, clients.now).unwrap();
    run(&mut clients, 58, filling(1));
    // 15 % of 19 are 2.85 of its 10.
    let share = shares(&clients)[0];
    assert!((170..200).contains(&share), "{share}");
}

#[test]
fn who_has_a_single_peer_is_measured_beside_that() {
    let mut clients = fleet(2, Mode::Enforce);
    run_with(&mut clients, 58, |i, second| {
        let used = 0.5 + if i == 0 { 0.011 * second as f64 } else { 0.0 };
        LoadReport::default().with_cpu(used).unwrap()
    });
    let events = told(&clients);
    assert!(
        events.len() == 1 && events[0].contains("where its peers have 0.50"),
        "{events:?}"
    );
    // What both have in common is nobody's.
    let mut clients = fleet(2, Mode::Enforce);
    run_with(&mut clients, 58, |_, second| {
        LoadReport::default()
            .with_cpu(0.5 + 0.011 * second as f64)
            .unwrap()
    });
    assert_eq!(told(&clients).len(), 0);
}

#[test]
fn a_prediction_came_true_when_the_instance_is_bad_though_it_is_not_out() {
    let mut clients = fleet(10, Mode::Enforce);
    run(&mut clients, 58, filling(1));
    assert_eq!(calibration(&clients).came_true(), 0);
    reload(&mut clients, |settings| settings.ejection.threshold = 0.2);
    let (id, observed) = (InstanceId::new("i0").unwrap(), clients.now);
    let score = Score::new(0.4).unwrap();
    let reported = Operation::ReportHealth { id, score, observed };
    clients.state.operate(reported, clients.now).unwrap();
    run(&mut clients, 2, |i, second| filling(1)(i, 58 + second));
    let all = calibration(&clients);
    assert!(all.came_true() > 15 && all.bins[9].came_true > 5, "{all:?}");
    assert_eq!(
        clients.count(EventKind::Ejected) + clients.count(EventKind::Weakened),
        0
    );
}
