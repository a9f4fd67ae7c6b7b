//! Runs of scenarios, and lines of tables.

use std::fmt::Write as _;

use evenkeel_sim::{Figure, Run, Scenario, Summary, built_in_text, run};

/// How many.
#[derive(Clone, Copy)]
pub(crate) struct Seeds(pub(crate) u64);

/// The text of a scenario that comes with the simulator, with some of it replaced; what is replaced must be there.
pub(crate) fn text(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = built_in_text(name).unwrap().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    text
}

/// Of this text.
pub(crate) fn scenario(name: &str, text: &str) -> Scenario {
    Scenario::from_str(name, text).unwrap_or_else(|error| panic!("{error}"))
}

/// The runs of each policy, with the seeds from 1 on.
pub(crate) fn summaries<const N: usize>(
    scenario: &Scenario,
    policies: [&str; N],
    seeds: Seeds,
) -> [Summary; N] {
    policies.map(|name| {
        let policy = name.parse().unwrap_or_else(|error| panic!("{error}"));
        let ran = |seed| run(scenario, &policy, seed, &mut |_| true).unwrap().unwrap();
        Summary {
            policy: name.to_owned(),
            runs: (1..=seeds.0).map(ran).collect(),
        }
    })
}

/// Of a scenario that comes with the simulator.
pub(crate) fn built_in<const N: usize>(name: &str, policies: [&str; N], seeds: Seeds) -> [Summary; N] {
    summaries(&scenario(name, &text(name, &[])), policies, seeds)
}

/// What a part of the page consists of.
#[derive(Default)]
pub(crate) struct Lines {
    goals: Vec<[String; 4]>,
    table: Vec<Vec<String>>,
}

impl Lines {
    /// A figure that must be at most `goal`.
    pub(crate) fn at_most(&mut self, what: &str, figure: Figure, goal: f64, unit: Unit) {
        self.goal(
            what,
            &format!("≤ {}", unit.of(goal)),
            figure,
            figure.mean <= goal,
            unit,
        );
    }

    /// A figure that must be at least `goal`.
    pub(crate) fn at_least(&mut self, what: &str, figure: Figure, goal: f64, unit: Unit) {
        self.goal(
            what,
            &format!("≥ {}", unit.of(goal)),
            figure,
            figure.mean >= goal,
            unit,
        );
    }

    fn goal(&mut self, what: &str, goal: &str, figure: Figure, met: bool, unit: Unit) {
        let met = met && figure.missing == 0;
        let verdict = if met { "met" } else { "**missed**" };
        self.goals
            .push([what, goal, &unit.interval(figure), verdict].map(str::to_owned));
    }

    /// A figure without a goal.
    pub(crate) fn plain(&mut self, what: &str, figure: Figure, unit: Unit) {
        let cells = [what, "", &unit.interval(figure), ""];
        self.goals.push(cells.map(str::to_owned));
    }

    /// The header of a table below the goals.
    pub(crate) fn header(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.push(cells.into_iter().collect());
    }

    /// A row of it.
    pub(crate) fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.table
            .push([name.to_owned()].into_iter().chain(cells).collect());
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.goals.is_empty() {
            text.push_str("| What | Goal | Found | |\n|---|--:|--:|---|\n");
            for cells in &self.goals {
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
        let mut rows = self.table.iter();
        if let Some(header) = rows.next() {
            if !self.goals.is_empty() {
                text.push('\n');
            }
            let rule = "--:|".repeat(header.len() - 1);
            let _ = writeln!(text, "| {} |\n|---|{rule}", header.join(" | "));
            for cells in rows {
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
        text
    }
}

/// How a figure is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Two digits.
    Times,
    /// Milliseconds, one digit.
    Ms,
    /// Seconds, two digits.
    Seconds,
    /// Percent, three digits.
    Percent,
    /// Whole numbers, one digit for means.
    Count,
}

impl Unit {
    fn of(self, value: f64) -> String {
        match self {
            Self::Times => format!("{value:.2}"),
            Self::Ms => format!("{value:.1} ms"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Percent => format!("{value:.3} %"),
            Self::Count => format!("{value:.1}"),
        }
    }

    /// A mean and half of its interval.
    pub(crate) fn interval(self, figure: Figure) -> String {
        if figure.mean.is_nan() {
            return "never".to_owned();
        }
        let width = self.of(figure.half_width);
        let width = width.split(' ').next().unwrap_or_default();
        let mut text = self.of(figure.mean);
        if figure.half_width > 0.0 {
            let at = text.find(' ').unwrap_or(text.len());
            text.insert_str(at, &format!(" ±{width}"));
        }
        if figure.missing > 0 {
            let _ = write!(text, ", never in {}", figure.missing);
        }
        text
    }
}

/// A quantile of all requests, in ms.
pub(crate) fn quantile(part: f64) -> impl Fn(&Run) -> Option<f64> {
    move |run| run.all.quantile(part)
}

/// A quantile of a step of the load, in ms.
pub(crate) fn at_step(step: usize, part: f64) -> impl Fn(&Run) -> Option<f64> {
    move |run| run.steps[step].quantile(part)
}

/// Attempts at these servers in these seconds, as a part of all then.
pub(crate) fn share(run: &Run, servers: std::ops::Range<usize>, from: f64, until: f64) -> Option<f64> {
    let (mut own, mut all) = (0u64, 0u64);
    for point in points(run, from, until) {
        own += point.picks[servers.clone()]
            .iter()
            .map(|picks| u64::from(*picks))
            .sum::<u64>();
        all += point.picks.iter().map(|picks| u64::from(*picks)).sum::<u64>();
    }
    (all > 0).then(|| own as f64 / all as f64)
}

/// The time line between these seconds.
pub(crate) fn points(run: &Run, from: f64, until: f64) -> &[evenkeel_sim::Point] {
    let place =
        |seconds: f64| ((seconds / run.interval.as_secs_f64()).round() as usize).min(run.points.len());
    &run.points[place(from)..place(until)]
}
