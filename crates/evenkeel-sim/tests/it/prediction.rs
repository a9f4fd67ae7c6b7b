//! What predictive health gains, what it costs, and that thresholds follow the fleet: the whole balancer in virtual time.

use evenkeel_core::Calibration;
use evenkeel_sim::{Run, Scenario, built_in, built_in_text};

use crate::runs::ran;

/// The scenario with this setting, which must not be there yet.
fn with(name: &str, setting: &str) -> Scenario {
    let text = built_in_text(name).unwrap();
    let text = match text.contains("\nservice: {") {
        true => text.replace("\nservice: {", &format!("\nservice: {{ {setting},")),
        false => format!("{text}\nservice: {{ {setting} }}\n"),
    };
    Scenario::from_str(name, &text).unwrap()
}

fn runs(scenario: &Scenario, strategy: &str, seeds: u64) -> Vec<Run> {
    let policy = strategy.parse().unwrap();
    (1..=seeds).map(|seed| ran(scenario, &policy, seed)).collect()
}

fn mean(runs: &[Run], part: f64) -> f64 {
    let times = runs.iter().map(|run| run.all.quantile(part).unwrap());
    times.sum::<f64>() / runs.len() as f64
}

const ON: &str = "health: { on_prediction: enforce }";

/// Where the strategy does not look at response times itself.
#[test]
fn servers_that_fill_their_memory_hurt_less_where_that_is_foreseen() {
    let foreseen = runs(&with("memory_leak", ON), "round_robin", 3);
    let surprised = runs(&built_in("memory_leak").unwrap().unwrap(), "round_robin", 3);
    for (part, most) in [(0.99, 0.93), (0.999, 0.5)] {
        let ratio = mean(&foreseen, part) / mean(&surprised, part);
        assert!(ratio < most, "{part}: {ratio}");
    }
    let all = foreseen
        .iter()
        .fold(Calibration::default(), |all, run| all.with(&run.calibration));
    let skill = all.skill().unwrap();
    assert!(skill > 0.8, "{skill}: {all:?}");
    assert!(foreseen.iter().all(|run| run.false_ejections == 0));
    assert!(surprised.iter().all(|run| run.calibration.predictions() == 0));
}

#[test]
fn a_fleet_that_is_well_is_served_as_if_nobody_looked_ahead() {
    for (name, strategy) in [
        ("healthy", "adaptive"),
        ("healthy", "round_robin"),
        ("unlike_speeds", "adaptive"),
    ] {
        let usual = runs(&built_in(name).unwrap().unwrap(), strategy, 2);
        let on = runs(&with(name, ON), strategy, 2);
        assert!(on.iter().all(|run| run.calibration.predictions() > 0), "{name}");
        let [usual, on] = [&usual, &on].map(|runs| runs.iter().map(|run| run.trace).collect::<Vec<_>>());
        assert_eq!(usual, on, "{name}, {strategy}");
    }
}

/// Ejections of servers without a fault, and of those with one.
fn ejections(runs: &[Run]) -> [u64; 2] {
    let of = |count: fn(&Run) -> u64| runs.iter().map(count).sum();
    [of(|run| run.false_ejections), of(|run| run.true_ejections)]
}

/// S13 and S5: what reports say, and how unlike servers are, is no reason to take one out.
#[test]
fn lies_and_unlike_servers_eject_nobody() {
    for name in ["telemetry_faults", "unlike_speeds"] {
        let all = ejections(&runs(&built_in(name).unwrap().unwrap(), "adaptive", 2));
        assert_eq!(all, [0, 0], "{name}");
    }
}

#[test]
fn thresholds_follow_what_all_fail_and_not_what_four_of_ten_do() {
    let fleet = |setting: &str, faults: &str| {
        let text = format!(
            "about: x\nduration: 60s\nwarm_up: 10s\narrivals: {{ load: 0.5 }}\nclients: {{ retries: 0 }}\n\
             servers: [{{ count: 10, cores: 2, workers: 2 }}]\nfaults: [{faults}]\n\
             service: {{ circuit_breaker: {{ {setting} }} }}\n"
        );
        ejections(&runs(&Scenario::from_str("alike", &text).unwrap(), "adaptive", 2))
    };
    let all = "{ servers: all, from: 15s, over: 20s, fault: { errors: 0.08 } }";
    let (follows, stands) = (fleet("", all), fleet("adaptive_thresholds: false", all));
    assert!(
        follows[1] <= 1 && follows[1] < stands[1],
        "{follows:?} beside {stands:?}"
    );
    let four = fleet("", "{ servers: 0-3, from: 15s, fault: { errors: 0.3 } }");
    assert!(four[0] == 0 && four[1] >= 8, "{four:?}");
}
