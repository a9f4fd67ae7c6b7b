//! Runs as a whole.

use evenkeel_core::Nanos;
use evenkeel_sim::{
    Comparison, Policy, RuleName, Run, Scenario, Summary, Told, built_in, json, read_trace, run, table,
};

fn policy(name: &str) -> Policy {
    name.parse().unwrap()
}

pub(crate) fn ran(scenario: &Scenario, policy: &Policy, seed: u64) -> Run {
    run(scenario, policy, seed, &mut |_| true).unwrap().unwrap()
}

fn small(more: &str) -> Scenario {
    let text = format!(
        "about: x\nduration: 20s\nwarm_up: 2s\narrivals: {{ load: 0.35 }}\nservers: [{{ count: 10, cores: 2, workers: 2 }}]\n{more}"
    );
    Scenario::from_str("small", &text).unwrap()
}

const FAULTS: &str = "
clients: { count: 3, deadline: 500ms }
faults:
  - { servers: 0, from: 5s, until: 15s, fault: { slow: 20 } }
  - { servers: 1, from: 5s, until: 15s, fault: { errors: 0.3 } }
  - { servers: 2, from: 5s, until: 15s, fault: crash }
  - { servers: 3, from: 5s, until: 15s, fault: hang }
  - { servers: 4, from: 5s, until: 8s, fault: restart }
";

#[test]
fn the_same_seed_gives_the_same_run_on_every_platform() {
    let sick = small(FAULTS);
    for name in ["adaptive", "hot_cold", "consistent_hash", "prequal"] {
        let traces = [7, 7, 8].map(|seed| ran(&sick, &policy(name), seed).trace);
        assert!(traces[0] == traces[1] && traces[0] != traces[2], "{name}");
    }
    // Whoever changes what the simulator does changes these; nothing else may, on any platform.
    let well = small("clients: { count: 2 }\n");
    let traces =
        ["random", "least_connections", "prequal", "c3"].map(|name| ran(&well, &policy(name), 7).trace);
    assert_eq!(traces.map(|trace| format!("{trace:016x}")), GOLDEN);
    let traces = [
        ("adaptive", &sick),
        ("resource_aware", &motley()),
        ("adaptive", &motley()),
        ("geographical", &motley()),
    ]
    .map(|(name, scenario)| ran(scenario, &policy(name), 7).trace);
    assert_eq!(traces.map(|trace| format!("{trace:016x}")), GOLDEN_SICK);
}

/// Tenants, caches, regions, reports, checks, and work of a heavy tail.
fn motley() -> Scenario {
    let text = "about: x
duration: 20s
warm_up: 2s
arrivals: { load: 0.6 }
clients: { count: 3, regions: { a: 0.6, b: 0.4 }, keys: { count: 5000, zipf: 1.1 } }
work: { pareto: { shape: 1.2, min: 2ms, max: 2s } }
network: { round_trip: 1ms, between: [{ regions: [a, b], round_trip: 30ms }] }
servers:
  - { count: 6, cores: 2, region: a, reports: true, cache: { entries: 500, miss: 2 } }
  - { count: 6, region: b, machine: { cores: 4, kept: 0.8, tenants: { drawn: { mean: 0.5, full: 0.1, quick: 1s, slow: 5s } } } }
faults: [{ servers: 0-2, from: 8s, until: 14s, fault: crash }]
service: { health_check: { tcp: {}, interval: 1s } }
";
    Scenario::from_str("motley", text).unwrap()
}

const GOLDEN: [&str; 4] = [
    "c42c016d59fcfab7",
    "e01c39e13b952a28",
    "4f81b1afb1d75f3f",
    "ff3b4b3664877b14",
];
const GOLDEN_SICK: [&str; 4] = [
    "dc441a19da9ab500",
    "fa613acca4a19e55",
    "6617e13d530fcfb7",
    "82897bc77e87ae91",
];

#[test]
fn every_policy_answers_every_request_once() {
    let scenario = small(FAULTS);
    let strategies = evenkeel_core::StrategyName::ALL.iter().map(|name| name.as_str());
    let rules = RuleName::ALL.iter().map(|rule| rule.as_str());
    let counts: Vec<(u64, &str)> = strategies
        .chain(rules)
        .map(|name| {
            let run = ran(&scenario, &policy(name), 3);
            assert!(run.attempts >= 1.0, "{name}");
            // Rules know no health, and whoever fails at once has nothing to do.
            let errors = run.all.errors() as f64 / run.all.requests() as f64;
            let blind = RuleName::ALL.iter().any(|rule| rule.as_str() == name);
            assert!(blind || errors < 0.02, "{name}: {errors}");
            (run.all.requests(), name)
        })
        .collect();
    // All meet the same arrivals.
    assert!(
        counts.iter().all(|(count, _)| *count == counts[0].0),
        "{counts:?}"
    );
    // 18 s of 0.35 × 20 cores / 8 ms: 15 750, within six standard deviations.
    assert!((15_000..16_500).contains(&counts[0].0), "{counts:?}");
}

#[test]
fn queues_are_those_of_theory() {
    // M/M/1 at 0.5 by random choice: the time in the system is exponential with mean 8 / (1 − 0.5) = 16 ms, and its
    // 99th percentile 16 ln 100 = 73.7 ms; the network adds half a millisecond.
    let text = "about: x\nduration: 400s\nwarm_up: 10s\narrivals: { load: 0.5 }\nservers: [{ count: 4, workers: 1 }]\nclients: { retries: 0 }";
    let run = ran(&Scenario::from_str("queue", text).unwrap(), &policy("random"), 1);
    for (part, expected) in [(0.5, 11.6), (0.99, 74.2)] {
        let found = run.all.quantile(part).unwrap();
        assert!(
            (found / expected - 1.0).abs() < 0.05,
            "{part}: {found} and {expected}"
        );
    }
    // M/G/1 that shares its core: the mean is work / (1 − load), whatever the distribution of the work.
    let text = text.replace("workers: 1", "cores: 1").replace("400s", "100s");
    for (work, mean) in [
        ("exponential: 8ms", 8.0),
        ("fixed: 8ms", 8.0),
        ("mixture: { usual: 5ms, rare: 50ms, share: 0.1 }", 9.5),
    ] {
        for load in [0.5, 0.8] {
            let text = text.replace("load: 0.5", &format!("load: {load}"));
            let scenario = Scenario::from_str("queue", &format!("{text}\nwork: {{ {work} }}\n")).unwrap();
            const SEEDS: u64 = 16;
            let means = (1..=SEEDS).map(|seed| ran(&scenario, &policy("random"), seed).all.mean().unwrap());
            let means: Vec<f64> = means.collect();
            let found = means.iter().sum::<f64>() / SEEDS as f64;
            let squares: f64 = means.iter().map(|mean| (mean - found).powi(2)).sum();
            let error = (squares / (SEEDS * (SEEDS - 1)) as f64).sqrt();
            let expected = mean / (1.0 - load) + 0.5;
            // Four standard errors, which are small ones.
            assert!(
                (found - expected).abs() < 4.0 * error && error < 0.02 * expected,
                "{work} at {load}: {found} ± {error}, and {expected}"
            );
        }
    }
}

#[test]
fn a_slow_server_is_avoided_and_comes_back() {
    let scenario = small("faults: [{ servers: 2, from: 5s, until: 10s, fault: { slow: 20 } }]\n");
    let run = ran(&scenario, &policy("adaptive"), 1);
    assert_eq!(run.has_faults, (true, true));
    assert!(
        run.detected_after.unwrap() <= Nanos::from_secs(2),
        "{:?}",
        run.detected_after
    );
    assert!(
        run.recovered_after.unwrap() <= Nanos::from_secs(10),
        "{:?}",
        run.recovered_after
    );
}

#[test]
fn joining_and_leaving_loses_no_request() {
    let text = "about: x\nduration: 20s\narrivals: { rate: 500 }\nservers: [{ count: 5, cores: 2 }, { count: 5, cores: 2, joins: 5s }, { count: 5, cores: 2, leaves: 10s }]";
    let scenario = Scenario::from_str("members", text).unwrap();
    for name in ["adaptive", "least_connections", "consistent_hash", "yarp"] {
        let run = ran(&scenario, &policy(name), 1);
        assert_eq!(
            (run.all.errors(), run.attempts),
            (0, 1.0),
            "{name}: {} left",
            run.points.len()
        );
        // Of the last three seconds, when whoever was to go has gone.
        let mut picks = [0; 15];
        for point in run.points.iter().rev().take(36) {
            picks
                .iter_mut()
                .zip(&point.picks)
                .for_each(|(sum, picks)| *sum += picks);
        }
        assert!(picks[..10].iter().all(|picks| *picks > 20), "{name}: {picks:?}");
        assert!(picks[10..].iter().all(|picks| *picks == 0), "{name}: {picks:?}");
    }
}

#[test]
fn clients_that_wait_for_answers_ask_again_when_there_is_nobody() {
    for (name, servers, rest) in [
        ("all leave", "{ count: 2, leaves: 2s }", ""),
        (
            "all restart",
            "{ count: 2 }",
            "faults: [{ servers: all, from: 2s, until: 3s, fault: restart }]",
        ),
        (
            "all refuse at once",
            "{ count: 2 }",
            "network: { round_trip: 0s }\nfaults: [{ servers: all, from: 2s, until: 3s, fault: refuse }]",
        ),
    ] {
        let text =
            format!("about: x\nduration: 4s\narrivals: {{ concurrency: 5 }}\nservers: [{servers}]\n{rest}\n");
        let scenario = Scenario::from_str(name, &text).unwrap();
        for policy in ["adaptive", "random"].map(policy) {
            let run = run(&scenario, &policy, 1, &mut |_| true).unwrap().unwrap();
            // Five clients, each once in a millisecond at most while there is nobody.
            let seconds = if name == "all leave" { 2 } else { 1 };
            let most = 5 * 1000 * seconds + 50;
            let errors = run.all.errors();
            assert!((100..=most).contains(&errors), "{name}: {errors} of {most}");
            assert!(
                run.all.requests() > errors + 100,
                "{name}: {}",
                run.all.requests()
            );
        }
    }
}

#[test]
fn recorded_requests_come_as_they_were_recorded() {
    let text = "time,work_ms\n".to_owned()
        + &(0..1000)
            .map(|i| format!("{},5\n", f64::from(i) / 100.0))
            .collect::<String>();
    let scenario = built_in("healthy")
        .unwrap()
        .unwrap()
        .with_trace(read_trace("t", &text, None).unwrap());
    let run = ran(&scenario, &policy("adaptive"), 1);
    assert_eq!(run.all.requests(), 1000);
    let median = run.all.quantile(0.5).unwrap();
    assert!((5.4..5.6).contains(&median), "{median}");
}

#[test]
fn a_run_that_is_not_wanted_any_more_ends() {
    let scenario = small("");
    let mut calls = 0;
    let ended = run(&scenario, &policy("random"), 1, &mut |_| {
        calls += 1;
        calls < 5
    });
    assert!(ended.unwrap().is_none());
    assert_eq!(calls, 5);
}

#[test]
fn a_report_counts_switches_where_there_are_any() {
    let scenario = small("");
    let auto = policy("auto");
    let mut comparison = Comparison {
        seed: 1,
        summaries: vec![Summary {
            policy: "auto".to_owned(),
            runs: vec![ran(&scenario, &auto, 1)],
        }],
        scenario,
    };
    comparison.summaries[0].runs[0].switches.clear();
    assert!(
        !table(&comparison).contains("switches") && json(&[comparison.clone()]).contains("\"switches\": []")
    );
    let told = Told {
        at: Nanos::from_millis(1500),
        balancer: 2,
        text: "from a to b".to_owned(),
    };
    comparison.summaries[0].runs[0].switches = vec![told.clone(), told];
    assert!(table(&comparison).contains("  switches\n") && table(&comparison).contains("       2.0\n"));
    let json = json(&[comparison]);
    assert!(
        json.contains("\"time_seconds\": 1.5") && json.contains("from a to b"),
        "{json}"
    );
}
