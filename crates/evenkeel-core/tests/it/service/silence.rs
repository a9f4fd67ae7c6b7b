//! An instance that hangs is found before any time-out: by those that wait, and by those whose clients lost patience.

use evenkeel_core::{EventKind, Nanos, Rng, StrategyName};

use super::clients::{Answer, Clients, exponential, hangs, ok};

/// A fleet whose first instance hangs after a minute, with clients that leave after `patience` ms.
fn hung(n: usize, strategy: StrategyName, rate: f64, patience: u64, seed: u64) -> Clients {
    let mut clients = Clients::of(n, strategy.into(), rate, seed);
    clients.patience = Nanos::from_millis(patience);
    let from = clients.now + Nanos::from_secs(60);
    let mut answer = |i: usize, now: Nanos, rng: &mut Rng| {
        if i == 0 && now >= from {
            hangs()
        } else {
            ok(exponential(rng, 8.0))
        }
    };
    clients.run(60.0, &mut answer);
    assert_eq!(clients.unserved, 0);
    clients.requests = 0;
    clients.run(300.0, &mut answer);
    clients
}

#[test]
fn one_that_hangs_is_found_though_clients_leave_first() {
    for strategy in [StrategyName::round_robin, StrategyName::adaptive] {
        for (n, rate, patience) in [
            (2, 20.0, 2000),
            (2, 2.0, 2000),
            (5, 2.0, 2000),
            (5, 100.0, 2000),
            (4, 60.0, 500),
            (4, 60.0, 300),
            (2, 2.0, 300),
        ] {
            let clients = hung(n, strategy, rate, patience, 3);
            let lost = clients.unserved as f64 / clients.requests as f64;
            let told = clients.told(EventKind::Ejected);
            println!(
                "{strategy:?} n={n} {rate}/s, {patience} ms: {:.2} % lost, {} ejections, out {:.0} s",
                100.0 * lost,
                told.len(),
                clients.seconds_out(0)
            );
            assert!(told.iter().all(|why| why.contains("does not answer")), "{told:?}");
            assert!(
                !told.is_empty() || lost < 0.02,
                "{strategy:?} n={n} {rate}/s, {patience} ms: {lost}"
            );
            assert!(
                patience > 1000 || rate < 10.0 || lost < 0.005,
                "{strategy:?}: {lost}"
            );
            assert!((1..n).all(|i| clients.seconds_out(i) == 0.0));
        }
    }
}

/// Who waits long on purpose, or leaves soon, says nothing.
#[test]
fn clients_that_leave_are_no_evidence() {
    type Nature = fn(usize, &mut Rng) -> Answer;
    let natures: [(&str, Nanos, Nature); 4] = [
        (
            "hedged at 30 ms, one instance takes 40",
            Nanos::from_millis(30),
            |i, rng| ok(if i == 0 { 40.0 } else { exponential(rng, 8.0) }),
        ),
        (
            "long polls of which clients tire",
            Nanos::from_secs(20),
            |_, rng| {
                if rng.unit() < 0.2 {
                    hangs()
                } else {
                    ok(exponential(rng, 8.0))
                }
            },
        ),
        ("nobody answers", Nanos::from_secs(2), |_, _| hangs()),
        ("streams without end", Nanos::MAX, |_, rng| {
            if rng.unit() < 0.05 {
                ok(1e9)
            } else {
                ok(exponential(rng, 8.0))
            }
        }),
    ];
    for (name, patience, nature) in natures {
        for strategy in [StrategyName::round_robin, StrategyName::adaptive] {
            for rate in [0.5, 3.0, 30.0] {
                let mut clients = Clients::of(3, strategy.into(), rate, 5);
                clients.patience = patience;
                clients.run(20_000.0 / rate.max(10.0), &mut |i, _, rng: &mut Rng| {
                    nature(i, rng)
                });
                let told = clients.told(EventKind::Ejected);
                let silent = told.iter().filter(|why| why.contains("does not answer"));
                assert_eq!(silent.count(), 0, "{name}, {strategy:?}, {rate}/s: {told:?}");
            }
        }
    }
}
