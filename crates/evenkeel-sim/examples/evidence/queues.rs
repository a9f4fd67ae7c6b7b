//! Which server: S1, S2, S4, S5, S15.

use evenkeel_sim::{Figure, Summary};

use crate::runs::{Lines, Seeds, Unit, at_step, built_in, quantile, scenario, summaries, text};

/// p99 of each policy at each step, and the ratio of the first to each other.
fn steps(lines: &mut Lines, loads: &[&str], all: &[&Summary]) {
    let [first, others @ ..] = all else { return };
    lines.header(
        ["p99".to_owned()]
            .into_iter()
            .chain(loads.iter().map(|load| (*load).to_owned())),
    );
    for summary in all {
        let cells = (0..loads.len()).map(|step| Unit::Ms.interval(summary.step_quantile(step, 0.99)));
        lines.row(&format!("`{}`", summary.policy), cells);
    }
    for other in others {
        let cells =
            (0..loads.len()).map(|step| Unit::Times.interval(first.ratio(other, at_step(step, 0.99))));
        lines.row(&format!("`{}` ÷ `{}`", first.policy, other.policy), cells);
    }
}

pub(crate) fn antagonists(seeds: Seeds) -> Lines {
    const LOADS: [&str; 9] = [
        "0.75", "0.83", "0.93", "1.03", "1.14", "1.27", "1.41", "1.57", "1.74",
    ];
    let policies = ["adaptive", "prequal", "c3"];
    let all = built_in("antagonists", policies, seeds);
    let [adaptive, prequal, _] = &all;
    let mut lines = Lines::default();
    for (step, load) in LOADS.iter().enumerate() {
        let ratio = adaptive.ratio(prequal, at_step(step, 0.99));
        lines.at_most(
            &format!("p99 at {load}, `adaptive` ÷ `prequal`"),
            ratio,
            1.0,
            Unit::Times,
        );
    }
    lines.at_most("failed requests to 1.74", adaptive.failed(), 0.0, Unit::Count);
    lines.plain("the same by `prequal`", prequal.failed(), Unit::Count);
    steps(&mut lines, &LOADS, &all.each_ref());
    lines
}

pub(crate) fn steady(seeds: Seeds) -> Lines {
    const LOADS: [&str; 4] = ["0.5", "0.7", "0.9", "1.05"];
    let all = built_in(
        "antagonists_steady",
        ["adaptive", "p2c_peak_ewma", "peak_ewma"],
        seeds,
    );
    let [adaptive, published, own] = &all;
    let mut lines = Lines::default();
    for (step, goal) in [(2, 0.6), (3, 0.45)] {
        for other in [published, own] {
            let what = format!("p99 at {}, `adaptive` ÷ `{}`", LOADS[step], other.policy);
            lines.at_most(
                &what,
                adaptive.ratio(other, at_step(step, 0.99)),
                goal,
                Unit::Times,
            );
        }
    }
    steps(&mut lines, &LOADS, &all.each_ref());
    lines
}

/// S2 where one knows all and where many know little.
pub(crate) fn clients(seeds: Seeds) -> Lines {
    const LOADS: [&str; 4] = ["0.5", "0.7", "0.9", "1.05"];
    let mut lines = Lines::default();
    lines.header(["p99".to_owned()].into_iter().chain(LOADS.map(str::to_owned)));
    for (count, name) in [("1", "one client"), ("200", "200 clients")] {
        let changes = [("130s", "90s"), ("count: 20,", &*format!("count: {count},"))];
        let text = text("antagonists_steady", &changes);
        let all = summaries(&scenario("clients", &text), ["adaptive", "p2c_peak_ewma"], seeds);
        let [adaptive, published] = &all;
        let ratio = |step| adaptive.ratio(published, at_step(step, 0.99));
        for (step, goal) in [(2, 0.6), (3, 0.45)] {
            let what = format!("{name}, p99 at {}, `adaptive` ÷ `p2c_peak_ewma`", LOADS[step]);
            lines.at_most(&what, ratio(step), goal, Unit::Times);
        }
        for summary in &all {
            let what = format!("{name}, failed by `{}`", summary.policy);
            lines.plain(&what, summary.errors(), Unit::Percent);
            let cells = (0..LOADS.len()).map(|step| Unit::Ms.interval(summary.step_quantile(step, 0.99)));
            lines.row(&format!("{name}, `{}`", summary.policy), cells);
        }
    }
    lines
}

/// As the grid that the bar of S2 is from, as far as that is known: see the test of it.
pub(crate) fn grid(seeds: Seeds) -> Lines {
    const LOADS: [&str; 3] = ["0.7", "0.9", "1.05"];
    let text = text(
        "antagonists",
        &[
            (
                "[0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74]",
                "[0.7, 0.9, 1.05]",
            ),
            ("550s", "190s"),
            ("clients: { count: 100", "clients: { count: 20"),
            ("- count: 100", "- count: 20"),
        ],
    );
    let policies = [
        "adaptive",
        "p2c_peak_ewma",
        "peak_ewma",
        "prequal",
        "p2c_least_loaded",
    ];
    let all = summaries(&scenario("grid", &text), policies, seeds);
    let [adaptive, published, ..] = &all;
    let mut lines = Lines::default();
    for (step, goal) in [(1, 0.6), (2, 0.45)] {
        let what = format!("p99 at {}, `adaptive` ÷ `p2c_peak_ewma`", LOADS[step]);
        lines.at_most(
            &what,
            adaptive.ratio(published, at_step(step, 0.99)),
            goal,
            Unit::Times,
        );
    }
    steps(&mut lines, &LOADS, &all.each_ref());
    lines
}

pub(crate) fn slow_of_n(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let mut worst: Option<(Figure, String)> = None;
    let parts = [5usize, 10, 25, 50];
    lines.header(
        ["servers".to_owned(), "p99 with none slow".to_owned()]
            .into_iter()
            .chain(parts.map(|part| format!("{part} % slow"))),
    );
    for n in [4usize, 16, 64, 256] {
        let runs = |slow: usize| {
            let faults = format!(
                "faults: [{{ servers: 0-{}, fault: {{ delay: 5ms }} }}]",
                slow.max(1) - 1
            );
            let faults = if slow == 0 { "" } else { &faults };
            let count = format!("count: {n},");
            let changes = [
                ("count: 16,", count.as_str()),
                ("30s", "20s"),
                ("faults: [{ servers: 0-7, fault: { delay: 5ms } }]", faults),
            ];
            let [adaptive] = summaries(
                &scenario("slow", &text("slow_half", &changes)),
                ["adaptive"],
                seeds,
            );
            adaptive
        };
        let healthy = runs(0);
        let mut cells = vec![Unit::Ms.interval(healthy.quantile(0.99))];
        for part in parts {
            // At least one, and no more than the part.
            let slow = n * part / 100;
            if slow == 0 {
                cells.push("-".to_owned());
                continue;
            }
            let ratio = runs(slow).ratio(&healthy, quantile(0.99));
            cells.push(Unit::Times.interval(ratio));
            if worst.as_ref().is_none_or(|(most, _)| ratio.mean > most.mean) {
                worst = Some((ratio, format!("{slow} of {n}")));
            }
        }
        lines.row(&n.to_string(), cells);
    }
    if let Some((ratio, of)) = worst {
        let what = format!("p99 ÷ that of the sound fleet, the worst case ({of} slow)");
        lines.at_most(&what, ratio, 1.2, Unit::Times);
    }
    lines
}

pub(crate) fn unlike(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let tower = scenario(
        "tower_demo",
        &text("tower_demo", &[("duration: 20s", "duration: 15s")]),
    );
    let all = summaries(&tower, ["adaptive", "p2c_peak_ewma", "p2c_least_loaded"], seeds);
    let [adaptive, ..] = &all;
    let wall = |summary: &Summary| summary.figure(|run| Some(50_000.0 * 15.0 / run.all.requests() as f64));
    lines.at_most("demo of tower: p99.9", adaptive.quantile(0.999), 105.0, Unit::Ms);
    lines.at_most(
        "demo of tower: time of 50 000 requests",
        wall(adaptive),
        15.0,
        Unit::Seconds,
    );
    for other in &all[1..] {
        lines.plain(
            &format!("the same by `{}`: p99.9", other.policy),
            other.quantile(0.999),
            Unit::Ms,
        );
        lines.plain(
            &format!("the same by `{}`: time", other.policy),
            wall(other),
            Unit::Seconds,
        );
    }
    for name in ["unlike_speeds", "declared_speeds"] {
        let [adaptive, peak, least] =
            built_in(name, ["adaptive", "p2c_peak_ewma", "least_connections"], seeds);
        for other in [peak, least] {
            let what = format!("`{name}`: p99, `adaptive` ÷ `{}`", other.policy);
            lines.plain(&what, adaptive.ratio(&other, quantile(0.99)), Unit::Times);
        }
    }
    lines
}

pub(crate) fn heavy_tail(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    for name in ["heavy_tail", "long_polls"] {
        let [adaptive, peak, least] =
            built_in(name, ["adaptive", "p2c_peak_ewma", "least_connections"], seeds);
        for other in [peak, least] {
            let what = format!("`{name}`: p99, `adaptive` ÷ `{}`", other.policy);
            lines.plain(&what, adaptive.ratio(&other, quantile(0.99)), Unit::Times);
        }
        let wrongly = adaptive.figure(|run| Some(run.false_ejections as f64));
        lines.at_most(&format!("`{name}`: ejections"), wrongly, 0.0, Unit::Count);
    }
    lines
}
