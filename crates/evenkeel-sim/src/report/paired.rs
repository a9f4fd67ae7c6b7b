//! The first policy beside each of the others, seed by seed: both met the same requests, so what differs is theirs.
//! Intervals of such ratios are much narrower than those of the figures themselves, which vary with the requests.

use super::Comparison;
use super::table::digits;
use crate::record::Run;
use crate::summary::{Figure, Summary, percent_failed};

/// What the figures mean.
pub(super) const LEGEND: &str = "The first strategy's figure divided by that of the row, seed by seed, with half of the 95 % interval of the mean: below 1 \
it is the better one. errors: its percentage less that of the row, in points. - where errors reach either in some seed.";

/// The quantiles that are compared.
pub(super) const PARTS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The first policy and each other; nothing unless there are several seeds and policies.
pub(super) fn pairs(comparison: &Comparison) -> impl Iterator<Item = (&Summary, &Summary)> {
    let first = comparison.summaries.first();
    let first = first.filter(|first| first.runs.len() > 1);
    let others = comparison.summaries.iter().skip(1);
    first
        .into_iter()
        .flat_map(move |first| others.clone().map(move |other| (first, other)))
}

/// The ratio of a quantile of all requests.
pub(super) fn ratio(first: &Summary, other: &Summary, part: f64) -> Figure {
    first.ratio(other, |run| run.all.quantile(part))
}

/// The ratio of a quantile of one step of the load.
pub(super) fn step_ratio(first: &Summary, other: &Summary, step: usize, part: f64) -> Figure {
    let of = |run: &Run| run.steps.get(step).and_then(|step| step.quantile(part));
    first.ratio(other, of)
}

/// How many points of percent more requests of the first failed.
pub(super) fn more_errors(first: &Summary, other: &Summary) -> Figure {
    first.difference(other, percent_failed)
}

/// A header and a row for each other policy; empty when there is nothing to compare.
pub(super) fn rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = pairs(comparison)
        .map(|(first, other)| {
            let ratios = PARTS.map(|(_, part)| interval(ratio(first, other, part), 2));
            let mut row = vec![other.policy.clone()];
            row.extend(ratios);
            row.push(interval(more_errors(first, other), 3));
            row
        })
        .collect();
    if let Some(first) = comparison.summaries.first().filter(|_| !rows.is_empty()) {
        let names = PARTS.map(|(name, _)| name.to_owned());
        let mut header = vec![format!("{} to", first.policy)];
        header.extend(names);
        header.push("errors".to_owned());
        rows.insert(0, header);
    }
    rows
}

/// The same of one quantile at each step of the load.
pub(super) fn step_rows(comparison: &Comparison, part: f64) -> Vec<Vec<String>> {
    let steps = comparison.summaries.first().map_or(0, Summary::steps);
    let of = |(first, other): (&Summary, &Summary)| {
        let ratios = (0..steps).map(|step| interval(step_ratio(first, other, step, part), 2));
        [other.policy.clone()].into_iter().chain(ratios).collect()
    };
    let mut rows: Vec<Vec<String>> = pairs(comparison).map(of).collect();
    if let Some(first) = comparison.summaries.first().filter(|_| !rows.is_empty()) {
        let names = (1..=steps).map(|step| step.to_string());
        rows.insert(
            0,
            [format!("{} to", first.policy)]
                .into_iter()
                .chain(names)
                .collect(),
        );
    }
    rows
}

fn interval(figure: Figure, decimals: usize) -> String {
    let text = digits(figure, decimals);
    if text == "-" {
        text
    } else {
        format!("{text} ±{:.decimals$}", figure.half_width)
    }
}
