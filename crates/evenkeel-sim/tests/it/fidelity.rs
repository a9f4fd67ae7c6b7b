//! Published results, before any own number is trusted. Where ours differ from those, docs/evidence.md says by how much
//! and why. The figures are rounded and exact: a change of the simulator or of a rule is seen here.

use evenkeel_core::Nanos;
use evenkeel_sim::{Policy, Run, Scenario, built_in_text};

use crate::runs::ran;

/// Milliseconds of a quantile at each step; time-outs are 9999.
fn quantiles(scenario: &Scenario, name: &str, part: f64) -> Vec<u32> {
    let run = ran(scenario, &name.parse::<Policy>().unwrap(), 1);
    let steps = run.steps.iter();
    steps
        .map(|step| step.quantile(part).map_or(9999, |ms| ms as u32))
        .collect()
}

/// The order and the cliff of the Prequal paper's figure 6 and table: round robin is the worst, shares by processor
/// use break down from 1.03 times the promise on, the least loaded and YARP are between, C3 and Prequal are best.
#[test]
fn the_order_and_the_cliff_of_the_prequal_testbed() {
    let text = built_in_text("antagonists").unwrap();
    let steps = "[0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74]";
    assert!(text.contains(steps));
    let text = text.replace(steps, "[0.75, 0.93, 1.14]").replace("550s", "100s");
    let scenario = Scenario::from_str("testbed", &text).unwrap();
    let p99 = |name| quantiles(&scenario, name, 0.99);
    let round_robin = p99("round_robin");
    let by_use = p99("orca_weighted");
    let least_loaded = p99("least_connections");
    let (yarp, c3, prequal) = (p99("yarp"), p99("c3"), p99("prequal"));
    let all = [&round_robin, &by_use, &least_loaded, &yarp, &prequal, &c3];
    // At 0.93 and 1.14 each is worse than the next by more than chance.
    for step in 1..3 {
        for pair in all[..5].windows(2) {
            assert!(pair[0][step] >= pair[1][step], "{all:?}");
        }
        assert!(
            least_loaded[step] > 2 * yarp[step] && prequal[step] < yarp[step] && c3[step] < yarp[step],
            "{all:?}"
        );
    }
    assert!(
        by_use[0] < 9999 && by_use[2] == 9999 && round_robin[1] == 9999,
        "{all:?}"
    );
    assert!(
        [&yarp, &c3, &prequal].iter().all(|rule| rule[2] < 1500),
        "{all:?}"
    );
}

/// Nobody ejected in what was published: only what picks is compared.
const NO_EJECTION: &str = "service: { circuit_breaker: { on_consecutive_errors: off, on_error_rate: off, on_burst: off, on_slow: off } }\n";

/// A line for each policy with these figures, rounded.
fn lines(scenario: &Scenario, policies: &[&str], figures: impl Fn(&Run) -> Vec<f64>) -> Vec<String> {
    let line = |name: &&str| {
        let run = ran(scenario, &name.parse::<Policy>().unwrap(), 1);
        let figures = figures(&run).into_iter().map(|figure| figure.round().to_string());
        format!("{name} {}", figures.collect::<Vec<_>>().join(" "))
    };
    policies.iter().map(line).collect()
}

/// Linkerd, "Beyond Round Robin" (2016): within a second answered were about 95 % by turns, 99 % by least loaded and
/// 99.9 % by peak EWMA.
#[test]
fn the_slow_server_of_linkerd() {
    let text = built_in_text("slow_node").unwrap();
    assert!(text.contains("deadline: 1s"));
    // Clients waited, and what took longer than a second was counted afterwards.
    let text = text.replace("deadline: 1s", "deadline: 5s") + NO_EJECTION;
    let scenario = Scenario::from_str("linkerd", &text).unwrap();
    let policies = ["turns", "p2c_least_loaded", "least_connections", "p2c_peak_ewma"];
    // Of 100 000 requests those within a second.
    let found = lines(&scenario, &policies, |run| {
        vec![100_000.0 * (1.0 - run.all.beyond(Nanos::from_secs(1)))]
    });
    assert_eq!(
        found,
        [
            "turns 95470",
            "p2c_least_loaded 99491",
            "least_connections 99747",
            "p2c_peak_ewma 99920"
        ]
    );
}

/// The demo of tower's pull request 76 (2018). Published were, in this order, p50, p90, p95, p99 and p99.9 in ms and the
/// seconds that 50 000 requests took:
///
/// | peak EWMA | 5 | 56 | 78 | 96 | 105 | 15 |
/// | least loaded | 5 | 57 | 80 | 98 | 857 | 18 |
/// | round robin | 9 | 98 | 496 | 906 | 988 | 72 |
#[test]
fn the_demo_of_tower() {
    let text = built_in_text("tower_demo").unwrap();
    assert!(text.contains("duration: 20s"));
    let mut found = Vec::new();
    // As long as each took there, so that each meets about 50 000 requests.
    for (name, seconds) in [("p2c_peak_ewma", 15), ("p2c_least_loaded", 18), ("turns", 72)] {
        let text = text.replace("duration: 20s", &format!("duration: {seconds}s")) + NO_EJECTION;
        let scenario = Scenario::from_str("tower", &text).unwrap();
        found.extend(lines(&scenario, &[name], |run| {
            let quantiles = [0.5, 0.9, 0.95, 0.99, 0.999].map(|part| run.all.quantile(part).unwrap());
            let wall = 50_000.0 * f64::from(seconds) / run.all.requests() as f64;
            quantiles.into_iter().chain([wall]).collect()
        }));
    }
    let expected = [
        "p2c_peak_ewma 5 56 78 96 100 15",
        "p2c_least_loaded 5 57 80 99 866 17",
        "turns 9 98 502 903 989 72",
    ];
    assert_eq!(found, expected);
}

/// brpc's pull request 3367 (2026): four servers, none, one or two of them 5 ms slower, 4000 requests a second. p99 in µs
/// was 387, 337 and 7676 by the best of two, 539, 334 and 307 by the best of four, and 410, 6474 and 7696 by turns.
#[test]
fn two_choices_and_four_of_brpc() {
    let mut found = Vec::new();
    for slow in [
        "",
        "faults: [{ servers: 0, fault: { delay: 5ms } }]",
        "faults: [{ servers: 0-1, fault: { delay: 5ms } }]",
    ] {
        let text = format!(
            "about: x\nduration: 15s\narrivals: {{ rate: 4000 }}\nclients: {{ retries: 0 }}\n\
             work: {{ normal: {{ mean: 200us, deviation: 30us }} }}\nnetwork: {{ round_trip: 60us }}\n\
             servers: [{{ count: 4, cores: 4 }}]\n{slow}\n{NO_EJECTION}"
        );
        let scenario = Scenario::from_str("brpc", &text).unwrap();
        found.extend(lines(
            &scenario,
            &["p2c_peak_ewma", "p4c_peak_ewma", "turns"],
            |run| {
                [0.99, 0.999]
                    .map(|part| 1000.0 * run.all.quantile(part).unwrap())
                    .to_vec()
            },
        ));
    }
    let expected = [
        "p2c_peak_ewma 330 353",
        "p4c_peak_ewma 330 353",
        "turns 330 353",
        "p2c_peak_ewma 330 354",
        "p4c_peak_ewma 330 353",
        "turns 5315 5343",
        "p2c_peak_ewma 5307 5339",
        "p4c_peak_ewma 330 354",
        "turns 5323 5347",
    ];
    assert_eq!(found, expected);
}

/// prequal-rs' grid (2026): 20 servers and 20 clients at 0.7, 0.9 and 1.05 of the capacity. Of its two seeds p99 in ms was
/// 1038 to 1873, 600 to 1479 and 3053 to 4894 by two choices of the fewest requests, 283 to 441, 349 to 708 and 475 to 1091 by
/// two of the least peak EWMA, 280 to 406, 260 to 493 and 282 to 760 by forms of Prequal. What slowed its servers is not
/// told; here other tenants do, as in the testbed of the paper.
#[test]
fn the_order_of_the_grid_of_prequal_rs() {
    let mut text = built_in_text("antagonists").unwrap().to_owned();
    for (from, to) in [
        (
            "[0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74]",
            "[0.7, 0.9, 1.05]",
        ),
        ("550s", "100s"),
        ("clients: { count: 100", "clients: { count: 20"),
        ("- count: 100", "- count: 20"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let scenario = Scenario::from_str("grid", &text).unwrap();
    // Means of ten seeds: machines that are full are few, and of unlike luck.
    let means = ["p2c_least_loaded", "p2c_peak_ewma", "prequal"].map(|name| {
        let all = (1..=10).map(|seed| ran(&scenario, &name.parse().unwrap(), seed));
        let p99 = all.map(|run| [0, 1, 2].map(|step| run.steps[step].quantile(0.99).unwrap()));
        let sum = p99.reduce(|sum, next| [0, 1, 2].map(|step| sum[step] + next[step]));
        sum.unwrap().map(|sum| (sum / 10.0).round())
    });
    assert_eq!(
        means,
        [
            [963.0, 1482.0, 1920.0],
            [611.0, 776.0, 1126.0],
            [740.0, 861.0, 887.0]
        ]
    );
}

/// What the simulator does for a request is bounded, whatever a machine makes of it: a tick or a sample too many for each
/// would show here.
#[test]
fn a_request_is_a_handful_of_events() {
    let scenario = Scenario::from_str("healthy", built_in_text("healthy").unwrap()).unwrap();
    // Prequal sends three probes with each.
    for (name, most) in [("adaptive", 7.0), ("round_robin", 7.0), ("prequal", 13.0)] {
        let run = ran(&scenario, &name.parse::<Policy>().unwrap(), 1);
        let each = run.events as f64 / run.requests as f64;
        assert!((5.0..most).contains(&each), "{name}: {each}");
    }
}
