//! What `resource_aware` gains by learning its weights and by looking ahead, and what lies do to it.

use evenkeel_sim::{Run, Scenario, built_in_text};

use crate::runs::ran;

/// Two-sided 95 % of Student's t with as many degrees of freedom less one as there are seeds.
fn t95(seeds: usize) -> f64 {
    match seeds {
        4 => 3.182,
        _ => unreachable!("no other number is used"),
    }
}

/// The mean of the differences and half of its 95 % interval.
fn paired(one: &[f64], other: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, t95(differences.len()) * (variance / n).sqrt())
}

fn p99s(scenario: &str, settings: &str, seeds: u64) -> Vec<f64> {
    let strategy = format!("service: {{ strategy: {{ name: resource_aware{settings} }} }}\n");
    let scenario = Scenario::from_str("resources", &format!("{scenario}{strategy}")).unwrap();
    let policy = "resource_aware".parse().unwrap();
    let p99 = |run: &Run| run.all.quantile(0.99).unwrap_or(f64::INFINITY);
    (1..=seeds)
        .map(|seed| p99(&ran(&scenario, &policy, seed)))
        .collect()
}

/// S5 with servers that report: unlike cores that nobody told the balancer.
fn unlike(load: f64) -> String {
    format!(
        "about: x\nduration: 60s\nwarm_up: 20s\narrivals: {{ load: {load} }}\nclients: {{ count: 3 }}\n\
         servers: [{{ count: 4, cores: 1, reports: true }}, {{ count: 4, cores: 2, reports: true }}, \
         {{ count: 4, cores: 4, reports: true }}]\n"
    )
}

/// Requests go by what servers report, and evenly where they report nothing.
#[test]
fn who_reports_nothing_is_known_by_nothing() {
    let uneven = |reports: bool| {
        let text = unlike(0.3).replace("reports: true", &format!("reports: {reports}"));
        let scenario = Scenario::from_str("resources", &text).unwrap();
        let run = ran(&scenario, &"orca_weighted".parse().unwrap(), 1);
        run.account.unevenness.unwrap()
    };
    let (told, silent) = (uneven(true), uneven(false));
    assert!(told > 0.3 && silent < 0.02, "{told} {silent}");
}

/// Lies, S13.
fn lies() -> String {
    built_in_text("telemetry_faults").unwrap().to_owned()
}

const VARIANTS: [(&str, &str); 3] = [
    ("learn", ", learn: true, predict: false"),
    ("predict", ", learn: false, predict: true"),
    ("both", ", learn: true, predict: true"),
];
const NEITHER: &str = ", learn: false, predict: false";

fn table(seeds: u64, scenarios: &[(&str, String)]) -> Vec<(String, f64, f64, f64)> {
    let mut rows = Vec::new();
    for (name, scenario) in scenarios {
        let neither = p99s(scenario, NEITHER, seeds);
        let usual = neither.iter().sum::<f64>() / neither.len() as f64;
        for (variant, settings) in VARIANTS {
            let (mean, half) = paired(&p99s(scenario, settings, seeds), &neither);
            rows.push((format!("{name}, {variant}"), usual, mean, half));
        }
    }
    rows
}

/// As `-- resources` of the example `evidence`, with fewer seeds, so that it runs with all tests.
#[test]
fn what_is_learnt_and_predicted_gains_and_lies_do_not_turn_it() {
    let rows = table(4, &[("S5", unlike(0.6)), ("S13", lies())]);
    for (name, usual, mean, half) in rows {
        // Never worse by more than chance and a percent.
        assert!(
            mean < half + 0.01 * usual,
            "{name}: {mean:+.2} ± {half:.2} of {usual:.2} ms"
        );
        if name == "S5, both" {
            assert!(
                mean + half < 0.0,
                "{name}: {mean:+.2} ± {half:.2} of {usual:.2} ms"
            );
        }
    }
}
