//! Fleets that misbehave as nobody planned: they flap in turns, leak, brown out, restart as one, and their checks and
//! clocks say something else.

use evenkeel_core::{
    CheckFailure, CheckOutcome, CheckThresholds, EventKind, Evidence, InstanceId, Nanos, Operation, Rng,
    Score, ServiceSettings, StrategyName,
};

use super::clients::{Answer, Clients, broken, exponential, ok};

const STRATEGIES: [StrategyName; 2] = [StrategyName::round_robin, StrategyName::adaptive];

fn clients(n: usize, rate: f64, strategy: StrategyName) -> Clients {
    let mut clients = Clients::of(n, strategy.into(), rate, 5);
    clients.run(20.0, &mut well);
    (clients.requests, clients.unserved) = (0, 0);
    clients.asked.fill(0);
    clients.out.fill(0);
    clients.events.clear();
    clients
}

fn well(_: usize, _: Nanos, rng: &mut Rng) -> Answer {
    ok(exponential(rng, 8.0))
}

fn told(clients: &Clients) -> [u64; 4] {
    [
        EventKind::Ejected,
        EventKind::EjectionWithheld,
        EventKind::Weakened,
        EventKind::FallbackBegan,
    ]
    .map(|kind| clients.count(kind))
}

/// Each is three seconds well and fails everything for three, one half while the other does not. What all do half of the
/// time is nobody's fault; a second try meets one that is well as likely as not.
#[test]
fn those_that_flap_in_turns_are_not_taken_out_and_in_all_the_time() {
    for strategy in STRATEGIES {
        let mut clients = clients(20, 400.0, strategy);
        let mut minutes = Vec::new();
        for _ in 0..5 {
            (clients.requests, clients.unserved) = (0, 0);
            clients.run(60.0, &mut |i, now: Nanos, rng: &mut Rng| {
                let turn = (now.0 / 3_000_000_000).is_multiple_of(2);
                if turn == (i < 10) {
                    broken()
                } else {
                    well(i, now, rng)
                }
            });
            minutes.push(clients.unserved as f64 / clients.requests as f64);
        }
        let told = told(&clients);
        assert!(minutes[4] < 0.6, "{strategy}: {minutes:.3?}, {told:?}");
        assert!(told[0] < 20 * 12, "{strategy}: {told:?}");
        assert_eq!(told[3], 0, "{strategy}");
    }
}

/// One takes longer by the second, a hundred times in the end.
#[test]
fn one_that_leaks_slowly_loses_its_requests_and_nobody_else_does() {
    for strategy in STRATEGIES {
        let mut clients = clients(5, 200.0, strategy);
        let begin = clients.now;
        clients.run(120.0, &mut |i, now: Nanos, rng: &mut Rng| {
            let slower = 1.0 + now.since(begin).as_secs_f64();
            ok(exponential(rng, if i == 0 { 8.0 * slower } else { 8.0 }))
        });
        let out: Vec<f64> = (0..5).map(|i| clients.seconds_out(i)).collect();
        let least = clients.asked[1..].iter().min().unwrap();
        assert!(clients.asked[0] < least / 2, "{strategy}: {:?}", clients.asked);
        assert!(out[1..].iter().all(|out| *out == 0.0), "{strategy}: {out:.1?}");
    }
}

/// All, or one, need twice the time for a while.
#[test]
fn a_brown_out_to_a_half_ejects_nobody() {
    for strategy in STRATEGIES {
        for sick in [1, 5] {
            let mut clients = clients(5, 200.0, strategy);
            let begin = clients.now;
            clients.run(120.0, &mut |i, now: Nanos, rng: &mut Rng| {
                let slower = (1.0 + now.since(begin).as_secs_f64() / 30.0).min(2.0);
                ok(exponential(rng, if i < sick { 8.0 * slower } else { 8.0 }))
            });
            assert_eq!(told(&clients), [0; 4], "{strategy}, {sick}");
            assert!(
                clients.state.view().candidates().has_full_shares(),
                "{strategy}, {sick}"
            );
        }
    }
}

/// All refuse for four seconds and are back together.
#[test]
fn a_restart_of_all_at_once_ejects_hardly_anybody_and_leaves_no_trace() {
    for strategy in STRATEGIES {
        for n in [2, 3, 10] {
            let mut clients = clients(n, 40.0 * n as f64, strategy);
            clients.run(4.0, &mut |_, _, _: &mut Rng| broken());
            let during = told(&clients);
            (clients.requests, clients.unserved) = (0, 0);
            clients.run(15.0, &mut well);
            assert!(
                during[0] <= 1 && during[2] == 0 && during[3] == 0,
                "{strategy}, {n}: {during:?}"
            );
            assert!(clients.unserved <= 1, "{strategy}, {n}: {}", clients.unserved);
            let after = told(&clients)[0];
            assert!(after <= 1, "{strategy}, {n}: {after} ejected afterwards");
            let view = clients.state.view();
            assert!(view.candidates().len() == n, "{strategy}, {n}");
            assert!(
                view.candidates().has_full_shares(),
                "{strategy}, {n}: fifteen seconds after"
            );
        }
    }
}

/// One of two is dead, and somebody asks every ten seconds.
#[test]
fn the_dead_one_of_two_costs_a_quiet_service_few_requests() {
    for strategy in STRATEGIES {
        let mut clients = clients(2, 0.1, strategy);
        clients.run(4.0 * 3600.0, &mut |i, now, rng: &mut Rng| {
            if i == 0 { broken() } else { well(i, now, rng) }
        });
        assert!(
            clients.unserved <= 90,
            "{strategy}: {} of {}",
            clients.unserved,
            clients.requests
        );
        clients.run(3600.0, &mut well);
        assert!(
            clients.asked[0] > 60,
            "{strategy}: it works again: {:?}",
            clients.asked
        );
    }
}

fn check(clients: &mut Clients, i: usize, passes: bool) {
    let outcome = match passes {
        true => CheckOutcome::Passed,
        false => CheckOutcome::Failed(CheckFailure("connection refused".into())),
    };
    let evidence = Evidence::Check {
        id: InstanceId::new(&format!("i{i}")).unwrap(),
        observed: clients.now,
        outcome,
        connected: None,
    };
    clients.state.apply(evidence, clients.now);
}

/// One passes all checks and fails all requests, another the other way round, and a third has checks that come and go.
#[test]
fn checks_that_disagree_with_requests_bring_nobody_back_that_fails() {
    for strategy in STRATEGIES {
        let mut settings = ServiceSettings::new("web");
        settings.strategy = strategy.into();
        settings.checks = Some(CheckThresholds::default());
        let mut clients = Clients::with(6, settings, 200.0, 5);
        for second in 0..120 {
            for i in 0..6 {
                check(
                    &mut clients,
                    i,
                    second < 5 || (i != 1 && !(i == 2 && second % 2 == 0)),
                );
            }
            clients.run(1.0, &mut |i, now, rng: &mut Rng| {
                if i == 0 { broken() } else { well(i, now, rng) }
            });
        }
        assert!(clients.unserved <= 25, "{strategy}: {}", clients.unserved);
        assert!(clients.asked[1] < 500, "{strategy}: {:?}", clients.asked);
        // Every second check of it fails, so that no three do in a row.
        assert!(clients.asked[2] > 1000, "{strategy}: {:?}", clients.asked);
    }
}

/// An hour ahead, an hour back, with one out, one weak, and one on its way back.
#[test]
fn steps_of_the_clock_neither_keep_anybody_out_nor_let_everybody_in() {
    for strategy in STRATEGIES {
        for steps in [[1, -1], [-1, 1], [-1, -1], [1, 1]] {
            let mut clients = clients(6, 200.0, strategy);
            let dead = |i, now, rng: &mut Rng| if i == 0 { broken() } else { well(i, now, rng) };
            clients.now = clients.now + Nanos::from_secs(7200);
            clients.state.tick(clients.now);
            clients.run(10.0, &mut dead.clone());
            let now = clients.now;
            let operation = Operation::ReportHealth {
                id: InstanceId::new("i1").unwrap(),
                score: Score::new(0.1).unwrap(),
                observed: now,
            };
            clients.state.operate(operation, now).unwrap();
            let before = clients.unserved;
            for step in steps {
                let hour = Nanos::from_secs(3600);
                clients.now = if step > 0 {
                    clients.now + hour
                } else {
                    clients.now.since(hour)
                };
                clients.state.tick(clients.now);
                clients.run(20.0, &mut dead.clone());
            }
            let failed = clients.unserved - before;
            assert!(failed <= 12, "{strategy}, {steps:?}: {failed}");
            clients.run(200.0, &mut well);
            let view = clients.state.view();
            let reasons: Vec<_> = view.members().map(|(.., status)| status.reason.clone()).collect();
            assert!(view.candidates().len() == 6, "{strategy}, {steps:?}: {reasons:?}");
            assert!(
                view.candidates().has_full_shares(),
                "{strategy}, {steps:?}: {reasons:?}"
            );
        }
    }
}
