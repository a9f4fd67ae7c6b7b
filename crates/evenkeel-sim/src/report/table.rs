//! Lines for a terminal.

use std::fmt::Write as _;

use evenkeel_core::Nanos;

use super::{Comparison, paired, recorded};
use crate::record::Run;
use crate::summary::{Figure, percent_failed};

/// What the columns mean.
pub(super) const LEGEND: &str = "Times are milliseconds within which that part of all requests was answered well; - where errors \
reach it. attempts: per request. max/mean: attempts at the busiest server as a multiple of its fair share, by weight among those registered. uneven: coefficient of variation of attempts per weight \
over servers that were up. in flight: 99th percentile over servers and time. wasted: core time of servers that nobody had a good \
answer of. elsewhere: answered in another region than the client's. keys moved: to another server than before. ejected, wrongly: ejections of servers with and without a fault, by all clients. avoided: until servers with a fault had less \
than a fifth of the fair share; back: until they had 80 % of it again; the slowest of them, - where one never was, ? where too few requests came to tell. switches: of auto \
to another strategy, by all clients.";

/// The comparison as a table. Times are in milliseconds, after them half of the 95 % interval where there are
/// several runs.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    let scenario = &comparison.scenario;
    let runs = comparison
        .summaries
        .first()
        .map_or(0, |summary| summary.runs.len());
    let _ = writeln!(text, "{}: {}", scenario.name(), scenario.about());
    if let Some(recorded) = recorded(scenario) {
        let _ = writeln!(text, "{recorded}");
    }
    let requests = comparison
        .summaries
        .first()
        .and_then(|summary| summary.runs.first())
        .map_or(0, |run| run.all.requests());
    let seeds = match runs {
        1 => format!("seed {}", comparison.seed),
        n => format!(
            "{n} runs, seeds {} to {}",
            comparison.seed,
            comparison.seed + n as u64 - 1
        ),
    };
    let _ = writeln!(text, "{requests} requests counted in the first run; {seeds}\n");
    align(&rows(comparison), &mut text);
    for line in shadows(comparison) {
        let _ = writeln!(text, "\n{line}");
    }
    let beside = paired::rows(comparison);
    if !beside.is_empty() {
        text.push_str("\nseed by seed, 95 % intervals; below 1 the first is the better one\n");
        align(&beside, &mut text);
    }
    let steps = comparison.summaries.first().map_or(0, crate::Summary::steps);
    if steps > 1 {
        for part in [0.5, 0.9, 0.99, 0.999] {
            let _ = writeln!(text, "\np{} at each step of the load, ms", part * 100.0);
            let mut rows = vec![vec!["strategy".to_owned()]];
            rows[0].extend((1..=steps).map(|step| step.to_string()));
            for summary in &comparison.summaries {
                let mut row = vec![summary.policy.clone()];
                row.extend((0..steps).map(|step| digits(summary.step_quantile(step, part), 0)));
                rows.push(row);
            }
            align(&rows, &mut text);
        }
        let beside = paired::step_rows(comparison, 0.99);
        if !beside.is_empty() {
            text.push_str("\np99 at each step, seed by seed\n");
            align(&beside, &mut text);
        }
    }
    text
}

/// The header and a row for each policy.
pub(super) fn rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let runs = || comparison.summaries.iter().flat_map(|summary| &summary.runs);
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| runs().any(column.shown)).collect();
    let names = columns.iter().map(|column| column.name);
    let mut rows = vec![["strategy"].into_iter().chain(names).map(str::to_owned).collect()];
    rows.extend(comparison.summaries.iter().map(|summary| {
        let figures = columns.iter().map(|column| {
            let missing = || summary.runs.iter().filter(|run| (column.of)(run).is_none());
            let unknown = missing().next().is_some() && missing().all(column.unknown);
            let text = (column.text)(summary.figure(column.of));
            if unknown { "?".to_owned() } else { text }
        });
        [summary.policy.clone()].into_iter().chain(figures).collect()
    }));
    rows
}

struct Column {
    name: &'static str,
    of: fn(&Run) -> Option<f64>,
    text: fn(Figure) -> String,
    /// Whether a run has anything to show in it.
    shown: fn(&Run) -> bool,
    /// Whether it has no figure because too little happened, and a `?` says so.
    unknown: fn(&Run) -> bool,
}

const KNOWN: fn(&Run) -> bool = |_| false;

const COLUMNS: &[Column] = &[
    always("p50 ms", |run| run.all.quantile(0.5), |figure| digits(figure, 1)),
    always("p90", |run| run.all.quantile(0.9), |figure| digits(figure, 1)),
    always("p99", |run| run.all.quantile(0.99), spread),
    always("p99.9", |run| run.all.quantile(0.999), spread),
    always("errors %", percent_failed, percent),
    always("attempts", |run| Some(run.attempts), |figure| digits(figure, 3)),
    always(
        "max/mean",
        |run| Some(run.max_over_mean),
        |figure| digits(figure, 2),
    ),
    always("uneven", |run| run.account.unevenness, |figure| digits(figure, 3)),
    always(
        "in flight",
        |run| Some(run.in_flight_p99.into()),
        |figure| digits(figure, 0),
    ),
    Column {
        name: "wasted %",
        of: |run| Some(100.0 * run.account.wasted()),
        text: |figure| digits(figure, 2),
        shown: |run| run.account.wasted_core_seconds > 0.0,
        unknown: KNOWN,
    },
    Column {
        name: "elsewhere %",
        of: |run| run.account.elsewhere.map(|part| 100.0 * part),
        text: |figure| digits(figure, 1),
        shown: |run| run.account.elsewhere.is_some(),
        unknown: KNOWN,
    },
    Column {
        name: "keys moved %",
        of: |run| run.account.keys_moved.map(|part| 100.0 * part),
        text: |figure| digits(figure, 1),
        shown: |run| run.account.keys_moved.is_some(),
        unknown: KNOWN,
    },
    always(
        "ejected",
        |run| Some(run.true_ejections as f64),
        |figure| digits(figure, 0),
    ),
    always(
        "wrongly",
        |run| Some(run.false_ejections as f64),
        |figure| digits(figure, 0),
    ),
    Column {
        name: "avoided s",
        of: |run| run.detected_after.map(Nanos::as_secs_f64),
        text: |figure| digits(figure, 1),
        shown: |run| run.has_faults.0,
        unknown: |run| run.too_few.0,
    },
    Column {
        name: "back s",
        of: |run| run.recovered_after.map(Nanos::as_secs_f64),
        text: |figure| digits(figure, 1),
        shown: |run| run.has_faults.1,
        unknown: |run| run.too_few.1,
    },
    Column {
        name: "switches",
        of: |run| Some(run.switches.len() as f64),
        text: |figure| digits(figure, 1),
        shown: |run| !run.switches.is_empty(),
        unknown: KNOWN,
    },
];

const fn always(name: &'static str, of: fn(&Run) -> Option<f64>, text: fn(Figure) -> String) -> Column {
    let shown = |_: &Run| true;
    Column {
        name,
        of,
        text,
        shown,
        unknown: KNOWN,
    }
}

/// What came of asking the shadow strategy, for each policy that has one.
pub(super) fn shadows(comparison: &Comparison) -> Vec<String> {
    let of_all_runs = |summary: &crate::Summary| {
        let runs = summary.runs.iter().filter_map(|run| run.shadow);
        runs.reduce(|(strategy, all), (_, one)| (strategy, all + one))
    };
    let summaries = comparison.summaries.iter();
    let shadows = summaries.filter_map(|summary| Some((&summary.policy, of_all_runs(summary)?)));
    shadows
        .map(|(policy, (strategy, counts))| {
            let other = 100.0 * counts.differing().unwrap_or(0.0);
            let times = counts.expected().map_or_else(String::new, |[actual, shadow]| {
                format!(
                    ", with an expected time of {:.1} ms instead of {:.1} ms",
                    shadow * 1e3,
                    actual * 1e3
                )
            });
            format!(
                "shadow of {policy}: {strategy}, asked in {} picks, would have chosen otherwise in {other:.1} %{times}",
                counts.asked
            )
        })
        .collect()
}

/// A quantile that errors reach has no value.
pub(super) fn digits(figure: Figure, digits: usize) -> String {
    if figure.missing > 0 || figure.mean.is_nan() {
        "-".to_owned()
    } else {
        format!("{:.digits$}", figure.mean)
    }
}

fn spread(figure: Figure) -> String {
    let text = digits(figure, 1);
    if figure.half_width > 0.0 && text != "-" {
        format!("{text} ±{:.1}", figure.half_width)
    } else {
        text
    }
}

fn percent(figure: Figure) -> String {
    if figure.mean == 0.0 {
        "0".to_owned()
    } else {
        format!("{:.3}", figure.mean)
    }
}

/// The first column to the left, the others to the right.
fn align(rows: &[Vec<String>], text: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 {
                write!(text, "{cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    }
}
