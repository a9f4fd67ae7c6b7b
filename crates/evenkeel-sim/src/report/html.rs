//! One page that needs nothing else: no script, no file beside it, no network.

use std::fmt::Write as _;

use evenkeel_core::Nanos;

use super::chart::Chart;
use super::{Comparison, paired, recorded, table};
use crate::record::{AVOIDED, BACK, Point, Run, fair_part};

const STYLE: &str = include_str!("style.css");
/// Most servers with a fault that have charts of their own.
const FAULTY: usize = 4;

/// How values are laid out over an axis.
enum Axis {
    Logarithmic,
    /// From 0 on, with lines at these values.
    Linear(&'static [f64]),
}

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
    if let Some(recorded) = recorded(scenario) {
        let _ = writeln!(page, "<p>{}</p>", escape(&recorded));
    }
    rows(&table::rows(comparison), page);
    for line in table::shadows(comparison) {
        let _ = writeln!(page, "<p>{}</p>", escape(&line));
    }
    let _ = writeln!(page, "<p class=\"note\">{}</p>", escape(table::LEGEND));
    let beside = paired::rows(comparison);
    if !beside.is_empty() {
        rows(&beside, page);
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape(paired::LEGEND));
    }
    steps(comparison, page);
    let marked = scenario.fault_spans();
    let firsts: Vec<(&str, &Run)> = comparison
        .summaries
        .iter()
        .filter_map(|summary| Some((summary.policy.as_str(), summary.runs.first()?)))
        .collect();
    let over_time = |of: &dyn Fn(&Point, Nanos) -> f64| -> Vec<(&str, Vec<(f64, f64)>)> {
        let line = |run: &Run| {
            let seconds = run.interval.as_secs_f64();
            // Afterwards only what was under way still ends.
            let whole = (scenario.duration().as_secs_f64() / seconds) as usize;
            let points = run.points.iter().enumerate().take(whole);
            points
                .map(|(place, point)| {
                    let at = Nanos(place as u64 * run.interval.0);
                    (place as f64 * seconds, of(point, at))
                })
                .collect()
        };
        firsts.iter().map(|(name, run)| (*name, line(run))).collect()
    };
    let mut chart = |title: &str, y: &str, scale: Axis, lines: Vec<(&str, Vec<(f64, f64)>)>| {
        let (logarithmic, guides) = match scale {
            Axis::Logarithmic => (true, &[][..]),
            Axis::Linear(guides) => (false, guides),
        };
        let chart = Chart {
            title,
            x: "seconds",
            y,
            logarithmic,
            marked: marked.clone(),
            guides,
            lines,
        };
        page.push_str(&chart.svg());
    };
    let quantile =
        |part: f64| move |point: &Point, _: Nanos| point.latencies.quantile(part).unwrap_or(f64::NAN);
    chart(
        "99th percentile over time; a gap is where errors reach it",
        "ms",
        Axis::Logarithmic,
        over_time(&quantile(0.99)),
    );
    chart(
        "Median over time",
        "ms",
        Axis::Logarithmic,
        over_time(&quantile(0.5)),
    );
    // All runs of a scenario have the same.
    let seconds = firsts.first().map_or(1.0, |(_, run)| run.interval.as_secs_f64());
    let errors = over_time(&|point, _| point.latencies.errors() as f64 / seconds);
    if errors
        .iter()
        .any(|(_, points)| points.iter().any(|(_, y)| *y > 0.0))
    {
        chart("Failed requests per second", "1/s", Axis::Linear(&[]), errors);
    }
    let faulty = scenario.faulty_servers();
    let drawn = faulty.len().min(FAULTY);
    let faulty_lines = faulty.iter().copied().take(FAULTY).map(|server| (server, ""));
    // Beside the others, whom the load of the faulty meets. Where servers are listed by region, the first and the last
    // are in two.
    let sound = scenario.sound_servers();
    let mut beside: Vec<usize> = sound.first().into_iter().chain(sound.last()).copied().collect();
    beside.dedup();
    if faulty.is_empty() {
        beside.clear();
    }
    let sound_lines = beside.iter().map(|server| (*server, ", which has no fault"));
    for (server, mark) in faulty_lines.chain(sound_lines) {
        let share = |point: &Point, at: Nanos| {
            let all: u32 = point.picks.iter().sum();
            match fair_part(scenario, server, at) {
                // A gap.
                0.0 => f64::NAN,
                part => f64::from(point.picks[server]) / (f64::from(all.max(1)) * part),
            }
        };
        let title = format!(
            "Share of server-{server}{mark}, as a multiple of the fair one; avoided below the lower line, back from the upper one on"
        );
        chart(&title, "", Axis::Linear(&[AVOIDED, BACK]), over_time(&share));
        let scores = over_time(&|point, _| point.scores[server].into());
        let scores = scores
            .into_iter()
            .filter(|(_, points)| points.iter().any(|(_, y)| y.is_finite()));
        let title = format!("Score of server-{server}{mark}, as the first client has it");
        chart(&title, "", Axis::Linear(&[]), scores.collect());
        let title = format!("Requests in flight at server-{server}{mark}, of all clients");
        let in_flight = over_time(&|point, _| point.in_flight[server].into());
        chart(&title, "", Axis::Linear(&[]), in_flight);
    }
    if faulty.len() > drawn {
        let _ = writeln!(
            page,
            "<p class=\"note\">Drawn are {drawn} of {} servers with a fault, those whose faults begin first.</p>",
            faulty.len()
        );
    }
    if beside.len() < sound.len() && !beside.is_empty() {
        let _ = writeln!(
            page,
            "<p class=\"note\">Drawn are {} of {} servers without a fault, for comparison.</p>",
            beside.len(),
            sound.len()
        );
    }
    told(&firsts, page);
    page.push_str("</section>\n");
}

/// A table: the header, and a row for each policy.
fn rows(rows: &[Vec<String>], page: &mut String) {
    page.push_str("<table>");
    for (place, row) in rows.iter().enumerate() {
        let (part, cell) = if place == 0 {
            ("thead", "th")
        } else {
            ("tbody", "td")
        };
        if place < 2 {
            let _ = write!(page, "<{part}>");
        }
        page.push_str("<tr>");
        for text in row {
            let _ = write!(page, "<{cell}>{}</{cell}>", escape(text));
        }
        page.push_str("</tr>");
        if place == 0 || place + 1 == rows.len() {
            let _ = write!(page, "</{part}>");
        }
    }
    page.push_str("</table>\n");
}

/// Quantiles over the load.
fn steps(comparison: &Comparison, page: &mut String) {
    let loads = comparison.scenario.loads();
    if loads.len() < 2 {
        return;
    }
    for (name, part) in paired::PARTS {
        let lines = comparison.summaries.iter().map(|summary| {
            let points = loads.iter().enumerate();
            let points = points.map(|(step, load)| {
                let figure = summary.step_quantile(step, part);
                (*load, if figure.missing > 0 { f64::NAN } else { figure.mean })
            });
            (summary.policy.as_str(), points.collect())
        });
        let chart = Chart {
            title: &format!("{name} over the load; a line ends where errors reach it"),
            x: "requests per second",
            y: "ms",
            logarithmic: true,
            marked: Vec::new(),
            guides: &[],
            lines: lines.collect(),
        };
        page.push_str(&chart.svg());
    }
    let beside = paired::step_rows(comparison, 0.99);
    if !beside.is_empty() {
        page.push_str("<p>p99 at each step of the load, seed by seed:</p>\n");
        rows(&beside, page);
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
