//! What follows the fleet by itself: learned weights, predicted reports, thresholds.

use evenkeel_sim::{Run, Summary};

use crate::runs::{Lines, Seeds, Unit, quantile, scenario, summaries, text};

/// S5 with servers that report: unlike cores of which nobody told the balancer.
fn unlike(load: f64) -> String {
    format!(
        "about: x\nduration: 60s\nwarm_up: 20s\narrivals: {{ load: {load} }}\nclients: {{ count: 3 }}\n\
         servers: [{{ count: 4, cores: 1, reports: true }}, {{ count: 4, cores: 2, reports: true }}, \
         {{ count: 4, cores: 4, reports: true }}]\n"
    )
}

/// One strategy with this setting of the service.
fn with(text: &str, service: &str, strategy: &str, seeds: Seeds) -> Summary {
    let text = format!("{text}service: {{ {service} }}\n");
    let [summary] = summaries(&scenario("adaptation", &text), [strategy], seeds);
    summary
}

pub(crate) fn resources(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let header = ["p99", "neither", "`learn`", "`predict`", "both"];
    lines.header(header.map(str::to_owned));
    for (name, text) in [
        ("S5, load 0.6", unlike(0.6)),
        ("S5, load 0.8", unlike(0.8)),
        ("S5, load 0.9", unlike(0.9)),
        ("S13", text("telemetry_faults", &[])),
    ] {
        let run = |learn: bool, predict: bool| {
            let service = format!("strategy: {{ name: resource_aware, learn: {learn}, predict: {predict} }}");
            with(&text, &service, "resource_aware", seeds)
        };
        let neither = run(false, false);
        let others = [(true, false), (false, true), (true, true)].map(|(learn, predict)| {
            let more = run(learn, predict).difference(&neither, quantile(0.99));
            Unit::Ms.interval(more)
        });
        let first = Unit::Ms.interval(neither.quantile(0.99));
        lines.row(name, [first].into_iter().chain(others));
    }
    lines
}

/// Ten servers of which all come to fail 8 % within twenty seconds, and nobody tries again.
const ALIKE: &str = "about: x\nduration: 60s\nwarm_up: 10s\narrivals: { load: 0.5 }\nclients: { retries: 0 }\n\
                     servers: [{ count: 10, cores: 2, workers: 2 }]\n\
                     faults: [{ servers: all, from: 15s, over: 20s, fault: { errors: 0.08 } }]\n";

pub(crate) fn thresholds(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let ejected = |run: &Run| Some((run.true_ejections + run.false_ejections) as f64);
    let header = ["", "p99", "without", "ejections", "without", "failed", "without"];
    lines.header(header.map(str::to_owned));
    for (name, text) in [
        ("S5, `unlike_speeds`", text("unlike_speeds", &[])),
        ("S13, `telemetry_faults`", text("telemetry_faults", &[])),
        ("S7, `shared_dependency`", text("shared_dependency", &[])),
        ("all come to fail 8 %", ALIKE.to_owned()),
    ] {
        let run = |on: bool| {
            let service = format!("circuit_breaker: {{ adaptive_thresholds: {on} }}");
            with(&text, &service, "adaptive", seeds)
        };
        let (on, off) = (run(true), run(false));
        lines.row(
            name,
            [
                Unit::Ms.interval(on.quantile(0.99)),
                Unit::Ms.interval(off.difference(&on, quantile(0.99))),
                Unit::Count.interval(on.figure(ejected)),
                Unit::Count.interval(off.figure(ejected)),
                Unit::Percent.interval(on.errors()),
                Unit::Percent.interval(off.errors()),
            ],
        );
    }
    lines
}
