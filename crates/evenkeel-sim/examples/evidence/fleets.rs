//! Fleets that change, and places: S9, S10, S11, S13, S16.

use evenkeel_core::Nanos;
use evenkeel_sim::{Point, Run, Scenario};

use crate::runs::{Lines, Seeds, Unit, built_in, points, quantile, scenario, share, summaries, text};

/// Work of large fleets here: twice the usual, for half of the requests.
const LONGER: &str = "work: { exponential: 16ms }\nservers:\n";
/// Its mean, in seconds.
const WORK: f64 = 0.016;

/// Busy cores as a part of those of these servers, in these seconds; in percent.
fn used(run: &Run, servers: std::ops::Range<usize>, cores: f64, from: f64, until: f64) -> Option<f64> {
    let picks: u64 = points(run, from, until)
        .iter()
        .flat_map(|point| &point.picks[servers.clone()])
        .map(|picks| u64::from(*picks))
        .sum();
    let all = servers.len() as f64 * cores * (until - from);
    (all > 0.0).then(|| 100.0 * picks as f64 * WORK / all)
}

pub(crate) fn regions(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    for (load, reports) in [("0.45", false), ("0.6", false), ("0.45", true), ("0.6", true)] {
        let text = text(
            "region_loss",
            &[
                ("load: 0.6", &format!("load: {load}")),
                ("cores: 2,", &format!("cores: 2, reports: {reports},")),
                ("servers:\n", LONGER),
            ],
        );
        let case = format!(
            "load {load}{}",
            if reports { ", servers report theirs" } else { "" }
        );
        let [near, blind] = summaries(
            &scenario("region_loss", &text),
            ["geographical", "adaptive"],
            seeds,
        );
        for (name, servers) in [("us", 16..30), ("asia", 30..40)] {
            // From 5 s after the loss on, to its end.
            let figure = near.figure(|run| used(run, servers.clone(), 2.0, 45.0, 80.0));
            let what = format!("{case}: capacity used in `{name}` while `eu` is away");
            if load == "0.45" {
                lines.at_most(&what, figure, 80.0, Unit::Percent);
            } else {
                lines.plain(&what, figure, Unit::Percent);
            }
        }
        let failed = |run: &Run| Some(100.0 * run.during.errors() as f64 / run.during.requests() as f64);
        lines.at_most(
            &format!("{case}: failed while `eu` is away"),
            near.figure(failed),
            0.1,
            Unit::Percent,
        );
        if !reports {
            lines.plain(
                &format!("{case}: the same by `adaptive`, which minds no region"),
                blind.figure(failed),
                Unit::Percent,
            );
        }
        let more = near.figure(|run| Some(run.during.quantile(0.5)? - sound(run)?));
        // A round trip from `eu` to the next region, and 5 %.
        lines.at_most(
            &format!("{case}: median while `eu` is away, less before"),
            more,
            35.0 * 1.05,
            Unit::Ms,
        );
        lines.plain(
            &format!("{case}: `eu` at 0.8 of its share again after"),
            // Of the region, which has 40 %; any single server of it is below 0.8 for some seconds by chance.
            near.figure(|run| {
                let seconds = (0..39).map(f64::from);
                let back = |after: &f64| share(run, 0..16, 80.0 + after, 81.0 + after);
                let mut seconds = seconds.skip_while(|after| back(after).is_some_and(|part| part < 0.32));
                seconds.next()
            }),
            Unit::Seconds,
        );
    }
    let brown = text("region_brown_out", &[("servers:\n", LONGER)]);
    let [near] = summaries(&scenario("brown_out", &brown), ["geographical"], seeds);
    lines.at_most(
        "brown-out to half of the speed: failed",
        near.errors(),
        0.1,
        Unit::Percent,
    );
    lines.plain(
        "brown-out to half of the speed: p99",
        near.quantile(0.99),
        Unit::Ms,
    );
    lines
}

/// The median between 10 s and 40 s, before anything happens: the mean of those of the points.
fn sound(run: &Run) -> Option<f64> {
    let medians: Option<Vec<f64>> = points(run, 10.0, 40.0)
        .iter()
        .map(|point| point.latencies.quantile(0.5))
        .collect();
    let medians = medians?;
    Some(medians.iter().sum::<f64>() / medians.len() as f64)
}

pub(crate) fn joining(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let all = built_in("scale_out", ["adaptive", "least_connections", "turns"], seeds);
    for summary in &all {
        // While they are cold, of each server the mean of ten seconds: of single looks the greatest of 180 is chance.
        let figure = summary.figure(|run| {
            let of = [(30.0, 40.0), (40.0, 50.0), (50.0, 60.0)].map(|(from, until)| crowd(run, from, until));
            of.into_iter().flatten().reduce(f64::max)
        });
        let what = format!(
            "20 → 200: requests at the fullest new server ÷ mean of all, `{}`",
            summary.policy
        );
        if summary.policy == "adaptive" {
            lines.at_most(&what, figure, 2.0, Unit::Times);
        } else {
            lines.plain(&what, figure, Unit::Times);
        }
    }
    lines.at_most("20 → 200: failed", all[0].errors(), 0.0, Unit::Percent);
    lines.plain(
        "20 → 200: p99, `adaptive` ÷ `least_connections`",
        all[0].ratio(&all[1], quantile(0.99)),
        Unit::Times,
    );
    let [rolling] = built_in("rolling_restart", ["adaptive"], seeds);
    lines.at_most(
        "restart of all, two at a time: failed",
        rolling.failed(),
        0.0,
        Unit::Count,
    );
    lines.plain(
        "restart of all, two at a time: p99",
        rolling.quantile(0.99),
        Unit::Ms,
    );
    let leaving = text(
        "scale_out",
        &[
            (
                "{ count: 180, joins: 30s, cold_start: { speed: 0.2, over: 30s } }",
                "{ count: 20, leaves: 30s }",
            ),
            ("load: 0.8", "load: 0.35"),
        ],
    );
    let [leaving] = summaries(&scenario("scale_in", &leaving), ["adaptive"], seeds);
    lines.at_most("40 → 20, drained: failed", leaving.failed(), 0.0, Unit::Count);
    lines
}

/// Requests in flight at the fullest of the new servers, as a multiple of the mean of all: their median is none where most are idle
/// for most of the time, and so no measure.
fn crowd(run: &Run, from: f64, until: f64) -> Option<f64> {
    let points = points(run, from, until);
    let servers = points.first()?.in_flight.len();
    let mean = |server: usize| {
        let sum: f32 = points.iter().map(|point| point.in_flight[server]).sum();
        f64::from(sum) / points.len() as f64
    };
    let all: Vec<f64> = (0..servers).map(mean).collect();
    let fullest = all[20..].iter().copied().reduce(f64::max)?;
    Some(fullest * servers as f64 / all.iter().sum::<f64>())
}

pub(crate) fn hot_key(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let with = |setting: &str| -> Scenario {
        let text = text(
            "hot_key",
            &[
                ("{ name: consistent_hash, bounded_load: 1.25 }", setting),
                ("180s", "120s"),
                ("rate: 4000", "rate: 2000"),
            ],
        );
        scenario("hot_key", &text)
    };
    let hits = |run: &Run| run.cache_hits.map(|part| 100.0 * part);
    let hot = |run: &Run| {
        let points = points(run, 95.0, 120.0);
        let servers = points.first()?.picks.len();
        let mut picks = vec![0u64; servers];
        for point in points {
            picks
                .iter_mut()
                .zip(&point.picks)
                .for_each(|(sum, picks)| *sum += u64::from(*picks));
        }
        let all: u64 = picks.iter().sum();
        Some(*picks.iter().max()? as f64 * servers as f64 / all as f64)
    };
    let fullest = |run: &Run| {
        let over_mean = |point: &Point| {
            let all: f32 = point.in_flight.iter().sum();
            let most = point.in_flight.iter().copied().fold(0.0, f32::max);
            f64::from(most * point.in_flight.len() as f32 / all)
        };
        let points = points(run, 95.0, 120.0);
        Some(points.iter().map(over_mean).sum::<f64>() / points.len() as f64)
    };
    // Requests enough that parts of one do not count: 2000 at a time.
    let busy = |setting: &str| {
        let changes = [
            ("{ name: consistent_hash, bounded_load: 1.25 }", setting),
            ("180s", "120s"),
            ("count: 4", "count: 1"),
            ("fixed: 1ms", "fixed: 500ms"),
            ("cores: 2, cache: { entries: 5000, miss: 10 }", "cores: 200"),
        ];
        scenario("hot_key", &text("hot_key", &changes))
    };
    let settings = ["consistent_hash", "maglev"].map(|name| {
        [
            format!("{{ name: {name} }}"),
            format!("{{ name: {name}, bounded_load: 1.25 }}"),
        ]
        .map(|setting| (name, setting))
    });
    for [(name, unbounded), (_, bounded)] in settings {
        let [without] = summaries(&with(&unbounded), [name], seeds);
        let [bound] = summaries(&with(&bounded), [name], seeds);
        let [busy_without] = summaries(&busy(&unbounded), [name], seeds);
        let [busy] = summaries(&busy(&bounded), [name], seeds);
        lines.at_most(
            &format!("`{name}`: in flight at the fullest ÷ mean while the key is hot, bound 1.25"),
            busy.figure(fullest),
            // In whole requests: ⌈1.25 × 2001 ÷ 20⌉ = 126 of a mean of 100.
            1.26,
            Unit::Times,
        );
        lines.plain(
            "the same without a bound",
            busy_without.figure(fullest),
            Unit::Times,
        );
        lines.at_least(
            &format!("`{name}`: hits with the bound ÷ without"),
            bound.ratio(&without, hits),
            0.95,
            Unit::Times,
        );
        lines.plain(
            &format!("`{name}`: requests at the busiest ÷ mean while the key is hot, bound 1.25"),
            bound.figure(hot),
            Unit::Times,
        );
        lines.plain("the same without a bound", without.figure(hot), Unit::Times);
        lines.plain(
            &format!("`{name}`: p99 with the bound ÷ without"),
            bound.ratio(&without, quantile(0.99)),
            Unit::Times,
        );
    }
    lines
}

pub(crate) fn telemetry(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let wrong = text(
        "telemetry_faults",
        &[("servers: [{", "work: { exponential: 16ms }\nservers: [{")],
    );
    let sound = wrong.split("faults:").next().unwrap_or_default();
    for policy in ["adaptive", "orca_weighted"] {
        let [with] = summaries(&scenario("wrong", &wrong), [policy], seeds);
        let [without] = summaries(&scenario("sound", sound), [policy], seeds);
        lines.plain(
            &format!("`{policy}`: p99 ÷ that with sound reports"),
            with.ratio(&without, quantile(0.99)),
            Unit::Times,
        );
        let what = format!("`{policy}`: ejections of servers that only report wrongly");
        let ejected = with.figure(|run| Some((run.true_ejections + run.false_ejections) as f64));
        lines.at_most(&what, ejected, 0.0, Unit::Count);
    }
    lines
}

pub(crate) fn small(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    // One of ten more is gone every 5 s from 20 s on; Envoy's table: 140 % of what is sound, at most all.
    const TABLE: [(usize, f64); 5] = [(2, 100.0), (3, 98.0), (5, 70.0), (8, 28.0), (10, 0.0)];
    lines.header(
        ["part of the first priority, % of requests".to_owned()]
            .into_iter()
            .chain(TABLE.map(|(gone, _)| format!("{gone} of 10 gone"))),
    );
    lines.row("Envoy's table", TABLE.map(|(_, part)| format!("{part:.0}")));
    let all = built_in(
        "priorities",
        ["round_robin", "random", "least_connections", "adaptive"],
        seeds,
    );
    for summary in &all {
        let cells = TABLE.map(|(gone, _)| {
            let from = 20.0 + 5.0 * (gone as f64 - 1.0) + 2.5;
            let figure = summary.figure(|run| Some(100.0 * share(run, 0..10, from, from + 2.5)?));
            format!("{:.1} ±{:.1}", figure.mean, figure.half_width)
        });
        lines.row(&format!("`{}`", summary.policy), cells);
    }
    for (gone, goal) in [(5, 70.0)] {
        let from = 20.0 + 5.0 * (f64::from(gone) - 1.0) + 2.5;
        for summary in &all {
            let off = summary.figure(|run| Some((100.0 * share(run, 0..10, from, from + 2.5)? - goal).abs()));
            let what = format!("5 of 10 gone: points off 70 %, `{}`", summary.policy);
            lines.at_most(&what, off, 2.0, Unit::Percent);
        }
    }
    lines.at_most(
        "all ten gone one by one: failed, `adaptive`",
        all[3].errors(),
        0.1,
        Unit::Percent,
    );
    let [two] = built_in("two_servers", ["adaptive"], seeds);
    lines.plain(
        "one of two fails half: failed, retries included",
        two.errors(),
        Unit::Percent,
    );
    for n in [2, 3, 5] {
        let changes = [
            ("count: 2, cores: 4", format!("count: {n}, cores: 4")),
            ("fault: { errors: 0.5 }", "fault: { slow: 10 }".to_owned()),
        ];
        let changes = changes.each_ref().map(|(from, to)| (*from, to.as_str()));
        let [slow] = summaries(
            &scenario("small", &text("two_servers", &changes)),
            ["adaptive"],
            seeds,
        );
        let after = slow.figure(|run| run.detected_after.map(Nanos::as_secs_f64));
        lines.plain(
            &format!("one of {n} ten times slower: below 0.2 of the fair share after"),
            after,
            Unit::Seconds,
        );
    }
    lines
}
