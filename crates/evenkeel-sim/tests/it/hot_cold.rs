//! What `hot_cold` makes of reported utilization.

use evenkeel_sim::Scenario;

use crate::runs::ran;

/// The mean of p50 and of p99 over three seeds, in ms.
fn figures(fleet: &str, load: f64, clients: u32) -> [f64; 2] {
    let text = format!(
        "about: x\nduration: 30s\nwarm_up: 8s\narrivals: {{ load: {load} }}\nclients: {{ count: {clients} }}\n{fleet}"
    );
    let scenario = Scenario::from_str("hot_cold", &text).unwrap();
    let runs = (1..=3).map(|seed| ran(&scenario, &"hot_cold".parse().unwrap(), seed));
    let runs: Vec<_> = runs.collect();
    [0.5, 0.99].map(|part| {
        let quantiles = runs.iter().map(|run| run.all.quantile(part).unwrap());
        quantiles.sum::<f64>() / runs.len() as f64
    })
}

/// A report is late, and the mean of a second: when it stood for the requests in flight, everybody went to the same
/// instance until the next, and p50 was 30 times as long at 70 % load.
#[test]
fn honest_reports_cost_nothing() {
    const NONE: &str = "faults: [{ servers: all, fault: { reports: lost } }]\n";
    for (fleet, clients, loads) in [
        ("count: 10, cores: 2, workers: 2", 1, [0.3, 0.6, 0.9]),
        ("count: 10, cores: 2, workers: 2", 10, [0.3, 0.6, 0.9]),
        ("count: 12, cores: 1, workers: 1", 10, [0.4, 0.7, 0.85]),
        ("count: 20, cores: 2", 5, [0.5, 0.8, 0.95]),
    ] {
        for load in loads {
            let fleet = format!("servers: [{{ {fleet}, reports: true }}]\n");
            let with = figures(&fleet, load, clients);
            let without = figures(&format!("{fleet}{NONE}"), load, clients);
            for (with, without) in with.into_iter().zip(without) {
                assert!(
                    with < 1.1 * without,
                    "{clients} at {load}: {with} ms, {without} without; {fleet}"
                );
            }
        }
    }
}
