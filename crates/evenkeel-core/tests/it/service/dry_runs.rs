//! Dry runs say what enforcing would do, and do nothing.

use evenkeel_core::{
    EventKind, Evidence, InstanceId, Mode, Nanos, Operation, Outcome, Rng, Score, ServiceSettings,
    StrategyName,
};

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

/// Ejections, and those that dry runs of detectors say there would be, of `n` instances of which `sick` fail `part`.
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
        // What a dry run of the score says would be no ejection.
        let reasons = traffic.reasons(kind).into_iter();
        let said = reasons.filter(|reason| !reason.contains("it keeps its share"));
        said.count() as u64
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

/// A fleet of which only scores and runs of failures are judged, both in dry run.
fn judged_dry(n: usize) -> Clients {
    let mut settings = ServiceSettings::new("web");
    dry_score(&mut settings);
    let ejection = &mut settings.ejection;
    ejection.on_consecutive = Mode::DryRun;
    for mode in [
        &mut ejection.on_burst,
        &mut ejection.on_error_rate,
        &mut ejection.on_slow,
        &mut ejection.on_silence,
    ] {
        *mode = Mode::Off;
    }
    Clients::with(n, settings, 100.0, 1)
}

fn end(clients: &mut Clients, i: usize, outcome: &Outcome) {
    let id = format!("i{i}");
    let stats = {
        let mut members = clients.state.view().members();
        let found = members.find(|(_, member, _)| member.instance().id.as_str() == id);
        std::sync::Arc::clone(found.unwrap().1.stats())
    };
    stats.on_start(clients.now);
    if stats.on_end(outcome, clients.now) {
        clients.state.apply(Evidence::Alarm, clients.now);
    }
}

/// Seconds in which each answers twenty requests, but for the `sick` one, which ends its requests like these, in turn.
fn seconds(clients: &mut Clients, n: usize, seconds: u32, sick: usize, like: &[bool]) {
    for _ in 0..seconds {
        for i in 0..n {
            for turn in 0..20 {
                let good = i != sick || like[turn % like.len()];
                let outcome = match good {
                    true => Outcome::from_status(200, Nanos::from_millis(1)),
                    false => Outcome::failed(Nanos::from_millis(1)),
                };
                end(clients, i, &outcome);
            }
        }
        clients.now = clients.now + Nanos::from_secs(1);
        clients.state.tick(clients.now);
        clients.events.extend(clients.state.take_events());
    }
}

fn reload(clients: &mut Clients, change: impl FnOnce(&mut ServiceSettings)) {
    let mut settings = clients.state.settings().clone();
    change(&mut settings);
    let members = clients.state.view().members();
    let instances = members.map(|(_, member, _)| member.instance().clone()).collect();
    clients.state.replace(settings, instances, clients.now).unwrap();
}

/// How often it was said since the last call that `id` would go for a run of failures.
fn runs_said(clients: &mut Clients, id: &str) -> usize {
    let said = would(clients);
    clients.events.clear();
    let runs = said.iter().filter(|text| text.contains("failed in a row"));
    runs.filter(|text| text.starts_with(id)).count()
}

#[test]
fn a_run_of_one_whose_score_spoke_first_is_said_and_said_again() {
    for weak in [false, true] {
        let mut clients = judged_dry(4);
        seconds(&mut clients, 4, 20, 0, &[true]);
        if weak {
            say(&mut clients, "i0", 0.2);
        }
        seconds(&mut clients, 4, 2, 0, &[true]);
        seconds(&mut clients, 4, 1, 0, &[false]);
        assert_eq!(runs_said(&mut clients, "i0"), 1, "weak: {weak}");
        say(&mut clients, "i0", 1.0);
        seconds(&mut clients, 4, 400, 0, &[true]);
        assert_eq!(runs_said(&mut clients, "i0"), 0, "weak: {weak}");
        seconds(&mut clients, 4, 1, 0, &[false]);
        assert_eq!(runs_said(&mut clients, "i0"), 1, "weak: {weak}");
    }
}

#[test]
fn what_a_dry_run_said_ends_with_it() {
    // Two of four that would be out by their scores are all that may be.
    let mut clients = judged_dry(4);
    seconds(&mut clients, 4, 5, 0, &[true]);
    say(&mut clients, "i0", 0.2);
    say(&mut clients, "i1", 0.2);
    seconds(&mut clients, 4, 2, 0, &[true]);
    assert_eq!(would(&clients).len(), 2);
    reload(&mut clients, |settings| settings.ejection.on_score = Mode::Off);
    say(&mut clients, "i0", 1.0);
    say(&mut clients, "i1", 1.0);
    seconds(&mut clients, 4, 300, 0, &[true]);
    seconds(&mut clients, 4, 1, 2, &[false]);
    assert_eq!(runs_said(&mut clients, "i2"), 1);
    // And it begins anew with the next one.
    for mode in [Mode::Off, Mode::DryRun] {
        reload(&mut clients, |settings| settings.ejection.on_consecutive = mode);
    }
    seconds(&mut clients, 4, 1, 2, &[false]);
    assert_eq!(runs_said(&mut clients, "i2"), 1);
}

#[test]
fn a_dry_run_of_the_score_counts_as_enforcement_does_whom_somebody_spoke_of() {
    for (mode, kind) in [
        (Mode::Enforce, EventKind::Weakened),
        (Mode::DryRun, EventKind::WouldEject),
    ] {
        // Two by word, a third one later by its requests: of the three others that is not most.
        for drained in [false, true] {
            let mut clients = judged_dry(5);
            reload(&mut clients, |settings| {
                settings.ejection.on_score = mode;
                settings.ejection.on_consecutive = Mode::Off;
                settings.ejection.max_ejected = 1.0;
            });
            seconds(&mut clients, 5, 20, 2, &[true]);
            say(&mut clients, "i0", 0.0);
            say(&mut clients, "i1", 0.0);
            seconds(&mut clients, 5, 1, 2, &[true]);
            let told = |clients: &Clients| clients.events.iter().filter(|event| event.kind == kind).count();
            assert_eq!(told(&clients), 2, "{mode:?}");
            if drained {
                let (id, why) = (InstanceId::new("i0").unwrap(), "moves".into());
                let now = clients.now;
                clients.state.operate(Operation::Drain { id, why }, now).unwrap();
            }
            seconds(&mut clients, 5, 8, 2, &[false, false, true]);
            assert_eq!(told(&clients), 3, "{mode:?}, drained: {drained}");
            let used = if mode == Mode::Enforce {
                2
            } else {
                5 - usize::from(drained)
            };
            assert_eq!(
                clients.state.view().candidates().len(),
                used,
                "{mode:?}, drained: {drained}"
            );
        }
    }
}
