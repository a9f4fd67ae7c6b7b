//! Dry runs say what enforcing would do, and do nothing.

use evenkeel_core::{EventKind, InstanceId, Mode, Operation, Rng, Score, ServiceSettings, StrategyName};

use super::clients::{Clients, broken, ok};
use super::traffic::{Times, Traffic, fails};

fn dry_score(settings: &mut ServiceSettings) {
    settings.strategy = StrategyName::round_robin.into();
    settings.ejection.on_score = Mode::DryRun;
}

fn say(clients: &mut Clients, id: &str, score: f64) {
    let operation = Operation::ReportHealth {
        id: InstanceId::new(id).unwrap(),
        score: Score::new(score).unwrap(),
        observed: clients.now,
    };
    clients.state.operate(operation, clients.now).unwrap();
    clients.events.extend(clients.state.take_events());
}

fn would(clients: &Clients) -> Vec<String> {
    let events = clients.events.iter();
    let told = events.filter(|event| event.kind == EventKind::WouldEject);
    told.map(ToString::to_string).collect()
}

#[test]
fn a_dry_run_of_the_score_tells_and_costs_no_share() {
    let mut settings = ServiceSettings::new("web");
    dry_score(&mut settings);
    let mut clients = Clients::with(4, settings, 100.0, 1);
    clients.run(2.0, &mut |_, _, _: &mut Rng| ok(8.0));
    for (score, times) in [
        (0.9, 0),
        (0.6, 0),
        (0.2, 1),
        (0.1, 1),
        (0.6, 1),
        (1.0, 1),
        (0.3, 2),
    ] {
        say(&mut clients, "i1", score);
        clients.run(3.0, &mut |_, _, _: &mut Rng| ok(8.0));
        assert_eq!(would(&clients).len(), times, "{score}: {:?}", would(&clients));
        let view = clients.state.view();
        assert_eq!(view.candidates().len(), 4);
        assert!(view.candidates().has_full_shares(), "{score}");
    }
    assert_eq!(
        would(&clients)[0],
        "i1 would_eject: its score is below 0.50: reported 0.20: 0.20 was reported; it keeps its share: a dry run"
    );
    let others = [EventKind::Weakened, EventKind::Strengthened].map(|kind| clients.count(kind));
    assert_eq!(others, [0, 0]);
}

#[test]
fn a_dry_run_of_the_score_asks_the_same_rules() {
    // By requests: one of four fails everything, and no detector is there to eject it.
    let mut settings = ServiceSettings::new("web");
    dry_score(&mut settings);
    let ejection = &mut settings.ejection;
    (ejection.on_consecutive, ejection.on_burst, ejection.on_error_rate) = (Mode::Off, Mode::Off, Mode::Off);
    for (sick, times) in [(1, 1), (4, 0)] {
        let mut clients = Clients::with(4, settings.clone(), 200.0, 1);
        clients.run(5.0, &mut |_, _, _: &mut Rng| ok(8.0));
        clients.run(20.0, &mut |i, _, _: &mut Rng| {
            if i < sick { broken() } else { ok(8.0) }
        });
        assert_eq!(would(&clients).len(), times, "{sick}: {:?}", would(&clients));
        assert!(
            clients.asked.iter().all(|asked| *asked > 1000),
            "{:?}",
            clients.asked
        );
    }
    // By what is said: that counts however many it is said of, but not when nobody is left.
    for (said, times) in [(4, 0), (3, 3)] {
        let mut clients = Clients::with(4, settings.clone(), 200.0, 1);
        let now = clients.now;
        let inputs = (0..said).map(|i| {
            evenkeel_core::Input::Operation(Operation::ReportHealth {
                id: InstanceId::new(&format!("i{i}")).unwrap(),
                score: Score::new(0.2).unwrap(),
                observed: now,
            })
        });
        clients.state.take_in(inputs.collect::<Vec<_>>(), now);
        clients.run(5.0, &mut |_, _, _: &mut Rng| ok(8.0));
        assert_eq!(would(&clients).len(), times, "{said}: {:?}", would(&clients));
    }
}

#[test]
fn a_score_that_is_switched_off_takes_nobody_out_and_lets_go_of_whom_it_took() {
    let mut settings = ServiceSettings::new("web");
    settings.strategy = StrategyName::round_robin.into();
    let mut clients = Clients::with(4, settings.clone(), 100.0, 1);
    say(&mut clients, "i1", 0.2);
    assert_eq!(clients.state.view().candidates().len(), 3);
    settings.ejection.on_score = Mode::Off;
    let instances = clients.state.view().members();
    let instances = instances
        .map(|(_, member, _)| member.instance().clone())
        .collect();
    let now = clients.now;
    clients.state.replace(settings, instances, now).unwrap();
    clients.run(3.0, &mut |_, _, _: &mut Rng| ok(8.0));
    assert_eq!(clients.state.view().candidates().len(), 4);
    assert!(clients.state.view().candidates().has_full_shares());
    let counts = [EventKind::Weakened, EventKind::Strengthened].map(|kind| clients.count(kind));
    assert_eq!(counts, [1, 1]);
    assert_eq!(would(&clients), [""; 0]);
}

/// Ejections, and those that a dry run says there would be, of `n` instances of which `sick` fail `part`.
fn both(n: usize, sick: usize, part: f64) -> [u64; 2] {
    [
        (Mode::Enforce, EventKind::Ejected),
        (Mode::DryRun, EventKind::WouldEject),
    ]
    .map(|(mode, kind)| {
        let mut traffic = Traffic::with(n, 1, 50.0 * n as f64, Times::Exponential(8.0), |settings| {
            settings.strategy = StrategyName::round_robin.into();
            let ejection = &mut settings.ejection;
            ejection.on_consecutive = mode;
            ejection.on_burst = mode;
            ejection.on_error_rate = mode;
            ejection.on_score = mode;
        });
        traffic.run(30, |_, _| fails(0.001));
        traffic.run(120, |i, _| fails(if i < sick { part } else { 0.001 }));
        traffic.count(kind)
    })
}

#[test]
fn a_dry_run_of_the_detectors_says_as_much_as_would_be_done() {
    for (n, sick, part) in [
        (10, 10, 0.1),
        (10, 10, 0.3),
        (10, 10, 1.0),
        (40, 40, 0.6),
        (3, 3, 0.5),
    ] {
        let [done, said] = both(n, sick, part);
        assert!(
            said <= done + 1,
            "{sick} of {n} fail {part}: {done} done, {said} said"
        );
    }
    for (n, sick, part) in [(10, 1, 1.0), (10, 4, 0.2), (10, 8, 1.0), (3, 1, 0.5)] {
        let [done, said] = both(n, sick, part);
        let told = format!("{sick} of {n} fail {part}: {done} done, {said} said");
        assert!(done > 0 && 2 * said >= done && said <= 3 * done, "{told}");
    }
}
