//! Who gets no requests for its score, and how it gets some again.

use evenkeel_core::{
    BreakerState, EventKind, Input, InstanceId, InstanceState, LoadReport, Nanos, Operation, Recovery, Rng,
    Score, ServiceSettings, Slot, StrategyName,
};

use super::clients::{Answer, Clients, broken, ok};

fn clients(n: usize, set: impl FnOnce(&mut ServiceSettings)) -> Clients {
    let mut settings = ServiceSettings::new("web");
    settings.strategy = StrategyName::round_robin.into();
    set(&mut settings);
    Clients::with(n, settings, 200.0, 3)
}

fn well(clients: &mut Clients, seconds: f64) {
    clients.run(seconds, &mut |_, _, _: &mut Rng| ok(8.0));
}

/// Says so of all these at the same instant.
fn say(clients: &mut Clients, of: std::ops::Range<usize>, score: f64) {
    let now = clients.now;
    let inputs = of.map(|i| {
        Input::Operation(Operation::ReportHealth {
            id: InstanceId::new(&format!("i{i}")).unwrap(),
            score: Score::new(score).unwrap(),
            observed: now,
        })
    });
    clients.state.take_in(inputs.collect::<Vec<_>>(), now);
    clients.events.extend(clients.state.take_events());
}

/// Of each instance, its share; 0 for no candidate.
fn shares(clients: &Clients, n: u32) -> Vec<f64> {
    let candidates = clients.state.view().candidates();
    let share = |slot| {
        let place = candidates
            .slots()
            .iter()
            .position(|candidate| *candidate == Slot(slot));
        place.map_or(0.0, |index| candidates.share(index).as_f64())
    };
    (0..n).map(share).collect()
}

fn times(clients: &Clients, kind: EventKind) -> Vec<f64> {
    let events = clients.events.iter().filter(|event| event.kind == kind);
    events
        .map(|event| event.at.since(Nanos::from_secs(1000)).as_secs_f64())
        .collect()
}

#[test]
fn those_whose_scores_are_back_together_return_one_after_the_other_and_by_the_ramp() {
    let mut clients = clients(10, |_| {});
    well(&mut clients, 2.0);
    say(&mut clients, 0..5, 0.2);
    assert_eq!(shares(&clients, 10)[..5], [0.0; 5]);
    well(&mut clients, 5.0);
    say(&mut clients, 0..5, 1.0);
    let found = shares(&clients, 10);
    assert_eq!(found[..5], [0.125, 0.0, 0.0, 0.0, 0.0]);
    let breaker = |clients: &Clients| clients.state.view().members().next().unwrap().2.breaker;
    assert_eq!(breaker(&clients), BreakerState::Recovering);
    well(&mut clients, 10.0);
    let at = times(&clients, EventKind::Strengthened);
    assert_eq!(at.len(), 5);
    for pair in at.windows(2) {
        assert!((0.49..0.6).contains(&(pair[1] - pair[0])), "{at:?}");
    }
    assert_eq!(shares(&clients, 10), [1.0; 10]);
    assert_eq!(breaker(&clients), BreakerState::Closed);
    let reason = clients
        .events
        .iter()
        .find(|event| event.kind == EventKind::Strengthened);
    let reason = &reason.unwrap().reason;
    assert!(reason.ends_with("its share begins at 12 %"), "{reason}");
    assert_eq!(clients.count(EventKind::Recovered), 5);
    assert_eq!(
        clients.count(EventKind::Recovering),
        0,
        "that is what strengthened says"
    );
}

#[test]
fn a_clock_that_jumps_does_not_bring_them_back_at_once_nor_keep_them_out() {
    for (jump, back) in [(3600, false), (3600, true)] {
        let mut clients = clients(10, |_| {});
        well(&mut clients, 2.0);
        say(&mut clients, 0..5, 0.2);
        say(&mut clients, 0..5, 1.0);
        let jump = Nanos::from_secs(jump);
        clients.now = if back {
            clients.now.since(Nanos::from_secs(900))
        } else {
            clients.now + jump
        };
        clients.state.tick(clients.now);
        assert!(clients.count(EventKind::Strengthened) <= 2, "{back}");
        well(&mut clients, 4.0);
        assert_eq!(clients.count(EventKind::Strengthened), 5, "{back}");
    }
}

#[test]
fn a_word_stays_in_force_when_what_all_failed_is_forgiven() {
    let mut clients = clients(4, |_| {});
    well(&mut clients, 2.0);
    clients.run(2.0, &mut |_, _, _: &mut Rng| broken());
    say(&mut clients, 0..1, 0.2);
    say(&mut clients, 0..1, 0.5);
    well(&mut clients, 5.0);
    let view = clients.state.view();
    let states: Vec<_> = view
        .members()
        .map(|(_, member, status)| (status.state, member.stats().consecutive_failures()))
        .collect();
    assert_eq!(states[0].0, InstanceState::Weak);
    assert_eq!(states[1..], [(InstanceState::Healthy, 0); 3]);
    assert_eq!(shares(&clients, 4), [0.0, 1.0, 1.0, 1.0]);
    say(&mut clients, 0..1, 0.9);
    well(&mut clients, 1.0);
    assert_eq!(clients.count(EventKind::Strengthened), 1);
}

#[test]
fn who_is_needed_returns_at_once_and_whole() {
    // All are weak, so the threshold is put aside, and they have requests anyway.
    let mut all = clients(4, |_| {});
    say(&mut all, 0..4, 0.2);
    assert_eq!(shares(&all, 4), [1.0; 4]);
    say(&mut all, 0..4, 1.0);
    assert_eq!(all.count(EventKind::Strengthened), 4);
    assert_eq!(shares(&all, 4), [1.0; 4]);
    // Two of four are a half: those get nothing, and come back alone.
    let mut half = clients(4, |settings| settings.min_healthy = 4);
    say(&mut half, 0..2, 0.2);
    assert_eq!(shares(&half, 4), [1.0; 4], "fallback");
    say(&mut half, 0..2, 1.0);
    assert_eq!(half.count(EventKind::Strengthened), 2);
}

#[test]
fn without_a_ramp_they_return_whole_and_one_after_the_other() {
    let mut clients = clients(10, |settings| settings.ejection.recovery = Recovery::Backoff);
    say(&mut clients, 0..3, 0.2);
    say(&mut clients, 0..3, 1.0);
    assert_eq!(shares(&clients, 3), [1.0, 0.0, 0.0]);
    well(&mut clients, 3.0);
    assert_eq!(shares(&clients, 3), [1.0; 3]);
}

#[test]
fn being_busy_takes_nobody_out_whatever_the_threshold() {
    for threshold in [0.5, 0.6, 0.75, 0.9] {
        let mut clients = clients(4, |settings| {
            (settings.ejection.threshold, settings.ejection.recovery_threshold) = (threshold, 0.95);
        });
        // One says it is overloaded.
        let report = LoadReport::default().with_application(1.5).unwrap();
        let operation = Operation::ReportLoad {
            id: InstanceId::new("i0").unwrap(),
            report,
            observed: clients.now,
        };
        clients.state.operate(operation, clients.now).unwrap();
        well(&mut clients, 5.0);
        let (_, member, status) = clients.state.view().members().next().unwrap();
        assert_eq!(status.state, InstanceState::Healthy, "{threshold}");
        assert!(
            (member.stats().health() - threshold).abs() < 1e-3,
            "{threshold}: {}",
            member.stats().health()
        );
        assert_eq!(
            shares(&clients, 4),
            [0.5, 1.0, 1.0, 1.0],
            "{threshold}: it costs share"
        );
    }
    for threshold in [0.5, 0.76, 0.9, 1.0] {
        for busy in [1, 4] {
            let mut clients = clients(4, |settings| {
                (settings.ejection.threshold, settings.ejection.recovery_threshold) = (threshold, 1.0);
            });
            let refuses = Answer {
                status: Some(429),
                takes: Nanos::from_millis(1),
            };
            clients.run(30.0, &mut |i, _, _: &mut Rng| {
                if i < busy { refuses } else { ok(8.0) }
            });
            let out = [EventKind::Weakened, EventKind::Ejected].map(|kind| clients.count(kind));
            assert_eq!(out, [0, 0], "{busy} of 4 at {threshold}");
            let score = clients.state.view().members().next().unwrap().1.stats().health();
            assert!((score - threshold.max(0.75)).abs() < 0.02, "{threshold}: {score}");
        }
    }
}

/// What is said of an instance changes how often it is picked, whatever the strategy: no threshold, and no step.
#[test]
fn a_word_on_its_health_counts_by_degrees_in_every_strategy() {
    for name in StrategyName::ALL {
        let asked = |score: f64| {
            let mut clients = clients(4, |settings| settings.strategy = (*name).into());
            well(&mut clients, 5.0);
            clients.rate = 2000.0;
            clients.asked.fill(0);
            for _ in 0..4 {
                say(&mut clients, 0..1, score);
                clients.run(5.0, &mut |_, _, rng: &mut Rng| {
                    ok(super::clients::exponential(rng, 8.0))
                });
            }
            clients.asked[0] as f64 / clients.asked.iter().sum::<u64>() as f64
        };
        let parts = [1.0, 0.9, 0.7, 0.5].map(asked);
        for pair in parts.windows(2) {
            assert!(pair[1] < pair[0], "{name}: {parts:.3?}");
        }
    }
}
