//! One page that needs nothing else: no script, no file beside it, no network.

use std::fmt::Write as _;

use super::chart::Chart;
use super::{Comparison, table};
use crate::record::{Point, Run};

const STYLE: &str = include_str!("style.css");
/// Most servers with a fault that have a line of their own.
const FAULTY: usize = 4;

/// The comparisons as a page. Time lines are those of the first run.
#[must_use]
pub fn html(comparisons: &[Comparison]) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>evenkeel sim</title><style>{STYLE}</style></head><body>\n<h1>evenkeel sim</h1>\n"
    );
    if comparisons.len() > 1 {
        page.push_str("<nav><ul>");
        for comparison in comparisons {
            let name = escape(comparison.scenario.name());
            let _ = write!(page, "<li><a href=\"#{name}\">{name}</a></li>");
        }
        page.push_str("</ul></nav>\n");
    }
    for comparison in comparisons {
        section(comparison, &mut page);
    }
    page.push_str("</body></html>\n");
    page
}

fn section(comparison: &Comparison, page: &mut String) {
    let scenario = &comparison.scenario;
    let name = escape(scenario.name());
    let _ = write!(
        page,
        "<section id=\"{name}\"><h2>{name}</h2>\n<p>{}</p>\n",
        escape(scenario.about())
    );
    let rows = table::rows(comparison);
    page.push_str("<table><thead><tr>");
    for (place, row) in rows.iter().enumerate() {
        let cell = if place == 0 { "th" } else { "td" };
        for text in row {
            let _ = write!(page, "<{cell}>{}</{cell}>", escape(text));
        }
        page.push_str(if place == 0 {
            "</tr></thead><tbody><tr>"
        } else {
            "</tr><tr>"
        });
    }
    page.push_str("</tr></tbody></table>\n");
    let _ = writeln!(page, "<p class=\"note\">{}</p>", escape(table::LEGEND));
    let marked = scenario.fault_spans();
    let firsts: Vec<(&str, &Run)> = comparison
        .summaries
        .iter()
        .filter_map(|summary| Some((summary.policy.as_str(), summary.runs.first()?)))
        .collect();
    let over_time = |of: &dyn Fn(&Point, f64) -> f64| -> Vec<(&str, Vec<(f64, f64)>)> {
        let line = |run: &Run| {
            let seconds = run.interval.as_secs_f64();
            let points = run.points.iter().enumerate();
            points
                .map(|(place, point)| (place as f64 * seconds, of(point, seconds)))
                .collect()
        };
        firsts.iter().map(|(name, run)| (*name, line(run))).collect()
    };
    let mut chart = |title: &str, y: &str, logarithmic: bool, lines: Vec<(&str, Vec<(f64, f64)>)>| {
        let chart = Chart {
            title,
            x: "seconds",
            y,
            logarithmic,
            marked: marked.clone(),
            lines,
        };
        page.push_str(&chart.svg());
    };
    let quantile =
        |part: f64| move |point: &Point, _: f64| point.latencies.quantile(part).unwrap_or(f64::NAN);
    chart(
        "99th percentile over time; a gap is where errors reach it",
        "ms",
        true,
        over_time(&quantile(0.99)),
    );
    chart("Median over time", "ms", true, over_time(&quantile(0.5)));
    let errors = over_time(&|point, seconds| point.latencies.errors() as f64 / seconds);
    if errors
        .iter()
        .any(|(_, points)| points.iter().any(|(_, y)| *y > 0.0))
    {
        chart("Failed requests per second", "1/s", false, errors);
    }
    for server in scenario.faulty_servers().into_iter().take(FAULTY) {
        let share = |point: &Point, _: f64| {
            let all: u32 = point.picks.iter().sum();
            f64::from(point.picks[server]) * point.picks.len() as f64 / f64::from(all.max(1))
        };
        let title = format!("Share of server-{server}, as a multiple of the fair one");
        chart(&title, "", false, over_time(&share));
        let scores = over_time(&|point, _| point.scores[server].into());
        let scores = scores
            .into_iter()
            .filter(|(_, points)| points.iter().any(|(_, y)| y.is_finite()));
        let title = format!("Score of server-{server}, as the first client has it");
        chart(&title, "", false, scores.collect());
    }
    steps(comparison, page);
    told(&firsts, page);
    page.push_str("</section>\n");
}

/// Quantiles over the load.
fn steps(comparison: &Comparison, page: &mut String) {
    let loads = comparison.scenario.loads();
    if loads.len() < 2 {
        return;
    }
    for part in [0.5, 0.99] {
        let lines = comparison.summaries.iter().map(|summary| {
            let points = loads.iter().enumerate();
            let points = points.map(|(step, load)| {
                let figure = summary.step_quantile(step, part);
                (*load, if figure.missing > 0 { f64::NAN } else { figure.mean })
            });
            (summary.policy.as_str(), points.collect())
        });
        let chart = Chart {
            title: &format!(
                "{} over the load; a line ends where errors reach it",
                if part == 0.5 { "Median" } else { "99th percentile" }
            ),
            x: "requests per second",
            y: "ms",
            logarithmic: true,
            marked: Vec::new(),
            lines: lines.collect(),
        };
        page.push_str(&chart.svg());
    }
}

/// What the balancers said of it.
fn told(firsts: &[(&str, &Run)], page: &mut String) {
    for (name, run) in firsts {
        if run.told.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "<details><summary>What {} told, the first {}</summary><ol class=\"told\">",
            escape(name),
            run.told.len()
        );
        for told in &run.told {
            let _ = write!(
                page,
                "<li><b>{:.2} s</b> client {}: {}</li>",
                told.at.as_secs_f64(),
                told.balancer,
                escape(&told.text)
            );
        }
        page.push_str("</ol></details>\n");
    }
}

/// As text of a page.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
