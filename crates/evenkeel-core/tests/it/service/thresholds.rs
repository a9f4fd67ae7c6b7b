//! What counts as too much follows the fleet, and can be read.

use evenkeel_core::{EventKind, Explanation, Nanos, Question, Rng, ServiceSettings, StrategyName};

use super::clients::{Answer, Clients, broken, ok};

fn fleet(n: usize, adaptive: bool) -> Clients {
    let mut settings = ServiceSettings::new("web");
    settings.strategy = StrategyName::round_robin.into();
    settings.ejection.adaptive = adaptive;
    Clients::with(n, settings, 50.0 * n as f64, 3)
}

/// Each instance fails its part of the requests.
fn failing(part: impl Fn(usize) -> f64) -> impl FnMut(usize, Nanos, &mut Rng) -> Answer {
    move |i, _, rng| if rng.unit() < part(i) { broken() } else { ok(8.0) }
}

#[test]
fn two_that_fail_alike_are_told_apart_only_where_thresholds_stand_still() {
    for adaptive in [true, false] {
        let mut clients = fleet(2, adaptive);
        clients.run(10.0, &mut failing(|_| 0.08));
        clients.events.clear();
        clients.run(120.0, &mut failing(|_| 0.08));
        let found = clients.count(EventKind::Ejected) + clients.count(EventKind::EjectionWithheld);
        let now = clients.state.counters().thresholds();
        assert!((0.08..0.2).contains(&now.usual_failures), "{now:?}");
        let explained = Explanation::new(clients.state.view(), &Question::default(), clients.now, 1);
        let noted = explained
            .notes
            .iter()
            .any(|note| note.starts_with("most instances fail "));
        assert_eq!(noted, adaptive, "{:?}", explained.notes);
        if adaptive {
            assert_eq!(found, 0, "{:?}", clients.events);
            assert!(now.burst[0] >= 0.08 && now.burst[1] > 0.4, "{now:?}");
            assert!(now.run >= 6 && now.error_rate >= 0.5, "{now:?}");
        } else {
            assert!(found > 0, "the test from 1 % on finds them again and again");
            assert_eq!((now.burst, now.run, now.error_rate), ([0.01, 0.1], 5, 0.5));
        }
        // When all is well again, so are the thresholds.
        clients.run(60.0, &mut failing(|_| 0.0));
        let now = clients.state.counters().thresholds();
        assert_eq!((now.burst[0], now.rising), (0.01, false));
    }
}

#[test]
fn four_of_ten_that_fail_alike_are_not_the_usual() {
    let mut clients = fleet(10, true);
    clients.run(20.0, &mut failing(|_| 0.01));
    clients.run(30.0, &mut failing(|i| if i < 4 { 0.3 } else { 0.01 }));
    let now = clients.state.counters().thresholds();
    assert!(now.burst[0] < 0.05, "{now:?}");
    let ejected = clients
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Ejected);
    let mut ejected: Vec<String> = ejected
        .map(|event| event.instance.as_ref().unwrap().to_string())
        .collect();
    ejected.sort_unstable();
    ejected.dedup();
    assert_eq!(ejected, ["i0", "i1", "i2", "i3"]);
}

#[test]
fn what_is_slow_is_told_in_milliseconds() {
    let mut clients = fleet(4, true);
    let fresh = clients.state.counters().thresholds();
    assert_eq!((fresh.slow, fresh.run, fresh.error_rate), (None, 5, 0.5));
    clients.run(20.0, &mut |i, _, _: &mut Rng| ok(if i == 0 { 16.0 } else { 8.0 }));
    let slow = clients.state.counters().thresholds().slow.unwrap();
    // Five times the peers and ten milliseconds.
    let [least, most] = slow.map(Nanos::as_secs_f64);
    assert!(
        (0.049..0.051).contains(&least) && (0.049..0.051).contains(&most),
        "{slow:?}"
    );
    clients.run(80.0, &mut |i, _, _: &mut Rng| ok(if i == 0 { 16.0 } else { 8.0 }));
    let slow = clients.state.counters().thresholds().slow.unwrap();
    // Its own past is above that of its peers by now.
    assert!((0.085..0.091).contains(&slow[1].as_secs_f64()), "{slow:?}");
}
