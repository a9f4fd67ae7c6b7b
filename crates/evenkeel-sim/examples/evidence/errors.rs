//! Servers that fail some of their requests.

use evenkeel_sim::{Figure, Run, Summary};

use crate::faults::avoided;
use crate::runs::{Lines, Seeds, Unit, built_in, scenario, summaries, text};

/// Seconds of the scenario in which the fault begins.
const BEGIN: f64 = 30.0;
/// How many servers there are.
const SERVERS: usize = 10;

pub(crate) fn errors(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    found(&mut lines, seeds);
    let [adaptive] = built_in("gray_errors", ["adaptive"], seeds);
    // Of what was sent to the four while each client found out: a fifth of it fails.
    lines.plain(
        "20 % on 4 of 10: below 0.2 of the fair share after",
        avoided(&adaptive),
        Unit::Seconds,
    );
    lines.plain(
        "20 % on 4 of 10: failed, beside the usual 1 %",
        adaptive.errors(),
        Unit::Percent,
    );
    let [blind] = built_in("gray_errors", ["p2c_peak_ewma"], seeds);
    lines.plain("the same by `p2c_peak_ewma`", blind.errors(), Unit::Percent);
    let wrongly = |summary: &Summary| summary.figure(|run| Some(run.false_ejections as f64));
    lines.plain(
        "20 % on 4 of 10: ejections of the others",
        wrongly(&adaptive),
        Unit::Count,
    );
    let [adaptive] = built_in("shared_dependency", ["adaptive"], seeds);
    let ejected = adaptive.figure(|run| Some((run.true_ejections + run.false_ejections) as f64));
    lines.at_most("30 % everywhere for 3 s: ejections", ejected, 0.0, Unit::Count);
    let [adaptive] = built_in("bursts", ["adaptive"], seeds);
    lines.plain("five in a row in turn: failed", adaptive.errors(), Unit::Percent);
    let longest = adaptive.figure(|run| Some(out(run)));
    lines.plain(
        "five in a row in turn: longest with less than 0.2 of the fair share",
        longest,
        Unit::Seconds,
    );
    lines
}

/// The longest time, in seconds, that any server had less than a fifth of its share after the warm-up.
fn out(run: &Run) -> f64 {
    let servers = run.points.first().map_or(0, |point| point.picks.len());
    let mut longest = 0u32;
    for server in 0..servers {
        let mut now = 0;
        for point in &run.points {
            let all: u32 = point.picks.iter().sum();
            let avoided = f64::from(point.picks[server]) * (servers as f64) < 0.2 * f64::from(all);
            now = if avoided { now + 1 } else { 0 };
            longest = longest.max(now);
        }
    }
    f64::from(longest) * run.interval.as_secs_f64()
}

/// How soon one balancer finds who fails so many, where the others have room for the work.
fn found(lines: &mut Lines, seeds: Seeds) {
    let failing = [10usize, 20, 50];
    lines.header(
        ["requests to each until it is out".to_owned()]
            .into_iter()
            .chain(failing.map(|part| format!("{part} % fail"))),
    );
    for bad in [1, 2, 4] {
        let cells = failing.map(|part| {
            let figure = with(part, bad, seeds).figure(|run| requests_until_out(run, bad));
            if part == 20 && bad != 2 {
                let what = format!("20 % on {bad} of {SERVERS}: requests to each until it is out");
                lines.at_most(&what, figure, 40.0, Unit::Count);
            }
            Unit::Count.interval(figure)
        });
        lines.row(&format!("{bad} of {SERVERS}"), cells);
    }
    let sound = text(
        "gray_errors",
        &[
            ("count: 4", "count: 1"),
            (
                "  - { servers: 0-3, from: 30s, until: 90s, fault: { errors: 0.2 } }\n",
                "",
            ),
            ("duration: 120s", "duration: 510s"),
        ],
    );
    let [sound] = summaries(&scenario("sound", &sound), ["adaptive"], seeds);
    // Of all seeds together: there are few.
    let ejected: u64 = sound.runs.iter().map(|run| run.false_ejections).sum();
    let requests: u64 = sound.runs.iter().map(|run| run.requests).sum();
    let rate = Figure {
        mean: ejected as f64 / requests as f64 * 1e6,
        half_width: 0.0,
        missing: 0,
    };
    lines.at_most(
        &format!(
            "1 % everywhere: ejections in a million requests ({:.1} million)",
            requests as f64 / 1e6
        ),
        rate,
        1.0,
        Unit::Times,
    );
}

/// With one balancer, and so many of the servers that fail this percentage.
fn with(part: usize, bad: usize, seeds: Seeds) -> Summary {
    let fault = format!(
        "servers: 0-{}, from: 30s, until: 90s, fault: {{ errors: 0.{part:02} }}",
        bad - 1
    );
    let changes = [
        ("count: 4", "count: 1"),
        ("load: 0.6", "load: 0.4"),
        (
            "servers: 0-3, from: 30s, until: 90s, fault: { errors: 0.2 }",
            fault.as_str(),
        ),
    ];
    let [adaptive] = summaries(
        &scenario("errors", &text("gray_errors", &changes)),
        ["adaptive"],
        seeds,
    );
    adaptive
}

/// Requests that each of the first so many servers got from the begin of the fault until its first ejection, on average;
/// `None` when one was not ejected.
fn requests_until_out(run: &Run, bad: usize) -> Option<f64> {
    let mut all = 0.0;
    for server in 0..bad {
        let begins = format!("server-{server} ejected");
        let told = run
            .told
            .iter()
            .find(|told| told.at.as_secs_f64() >= BEGIN && told.text.starts_with(&begins))?;
        let (interval, until) = (run.interval.as_secs_f64(), told.at.as_secs_f64());
        for (place, point) in run.points.iter().enumerate() {
            let from = place as f64 * interval;
            let part = (until.min(from + interval) - from.max(BEGIN)) / interval;
            all += f64::from(point.picks[server]) * part.max(0.0);
        }
    }
    Some(all / bad as f64)
}
