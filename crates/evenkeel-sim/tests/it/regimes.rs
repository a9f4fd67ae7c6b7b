//! S14: a quiet fleet, a hot key, a slow server, tenants, and hardly any load, a minute each, in any order. How far `auto` is from the
//! best of its candidates in each is a part of the example `evidence`.

use evenkeel_core::Rng;
use evenkeel_sim::{Run, Scenario};

use crate::runs::ran;
use crate::segments::{in_order, shuffled, turned};

/// Changes, by client, in seconds.
fn changes(run: &Run) -> Vec<Vec<f64>> {
    let mut changes = vec![Vec::new(); 4];
    for told in &run.told {
        if told.text.contains(" switched: ") {
            changes[told.balancer].push(told.at.as_secs_f64());
        }
    }
    changes
}

/// Nothing in them is a reason to change: then it is its first candidate, request for request.
#[test]
fn auto_stays_with_its_first_candidate_without_a_reason_to_change() {
    let mut rng = Rng::new(14);
    for seed in 1..=2 {
        let order = shuffled(&mut rng);
        let scenario = in_order(order);
        let [auto, adaptive] = ["auto", "adaptive"].map(|name| ran(&scenario, &name.parse().unwrap(), seed));
        assert_eq!(changes(&auto), vec![Vec::<f64>::new(); 4], "{order:?}");
        assert_eq!(auto.trace, adaptive.trace, "{order:?}");
    }
}

/// In all runs of a fleet in which turns overwhelm two slow servers of eight from the start, `auto` leaves turns once, within
/// so many seconds.
fn leaves_turns(more: &str, seeds: std::ops::RangeInclusive<u64>, within: f64) {
    let text = format!(
        "about: x\nduration: {}s\narrivals: {{ load: 0.6 }}\n\
         servers: [{{ count: 6, cores: 2 }}, {{ count: 2, cores: 2, speed: 0.3 }}]\n\
         service: {{ strategy: {{ name: auto, candidates: [round_robin, adaptive] }}{more} }}\n",
        within + 30.0
    );
    let scenario = Scenario::from_str("overwhelmed", &text).unwrap();
    for seed in seeds {
        let auto = ran(&scenario, &"auto".parse().unwrap(), seed);
        let changes = &changes(&auto)[0];
        assert!(
            changes.len() == 1 && changes[0] <= within,
            "{changes:?} {:?}",
            auto.told
        );
    }
}

/// Nobody ejects them. That is no full fleet, however long all requests take in the mean.
#[test]
fn auto_leaves_turns_that_overwhelm_some_within_a_minute() {
    leaves_turns(", circuit_breaker: { on_slow: off }", 1..=2, 60.0);
}

/// They are ejected over and over: that is what the fleet is like, and holds no veto for ever.
#[test]
fn auto_leaves_turns_though_slow_servers_come_and_go() {
    leaves_turns("", 1..=3, 120.0);
}

/// From turns it goes over to a strategy that looks, once, and is far better for it.
#[test]
fn auto_leaves_turns_once() {
    let run = |strategy: &str, name: &str| ran(&turned(strategy), &name.parse().unwrap(), 1);
    let auto = run("{ name: auto, candidates: [round_robin, adaptive] }", "auto");
    let of_clients = changes(&auto);
    assert!(of_clients[..2].iter().all(|one| one.len() == 1), "{of_clients:?}");
    let p99 = |run: &Run| run.all.quantile(0.99).unwrap_or(f64::INFINITY);
    let (turns, adaptive) = (run("round_robin", "round_robin"), run("adaptive", "adaptive"));
    assert!(
        p99(&auto) <= 1.05 * p99(&adaptive),
        "{} and {}",
        p99(&auto),
        p99(&adaptive)
    );
    assert!(
        p99(&auto) < 0.8 * p99(&turns),
        "{} and {}",
        p99(&auto),
        p99(&turns)
    );
}
