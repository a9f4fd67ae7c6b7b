//! What changes: S14.

use evenkeel_core::Rng;
use evenkeel_sim::{Figure, Run, Told, run};

use crate::runs::{Lines, Seeds, Unit, quantile, summaries};
use crate::segments::{Order, SEGMENTS, in_order, shuffled, turned};

/// `auto`, and its candidates but round robin, which loses most of the requests of the uneven segment.
const POLICIES: [&str; 4] = ["auto", "adaptive", "least_connections", "peak_ewma"];

/// p99 of each policy by segment, in ms; infinite where more than a hundredth failed.
type Times = [[f64; POLICIES.len()]; SEGMENTS.len()];

/// Of `auto`, at all clients.
fn changes(run: &Run) -> impl Iterator<Item = &Told> {
    run.told.iter().filter(|told| told.text.contains(" switched: "))
}

/// Of one order; with it how often `auto` changed, at all clients together.
fn outcome(order: Order, seed: u64) -> (Times, usize) {
    let scenario = in_order(order);
    let runs = POLICIES.map(|name| -> Run {
        let policy = name.parse().unwrap();
        run(&scenario, &policy, seed, &mut |_| true).unwrap().unwrap()
    });
    let mut times = Times::default();
    for (place, segment) in order.into_iter().enumerate() {
        times[segment] = [0, 1, 2, 3].map(|of| runs[of].steps[place].quantile(0.99).unwrap_or(f64::INFINITY));
    }
    let names = order.map(|segment| SEGMENTS[segment].0).join(", ");
    eprintln!("seed {seed}: {names}");
    for change in changes(&runs[0]) {
        let seconds = change.at.as_secs_f64();
        eprintln!("  {seconds:.0} s, client {}: {}", change.balancer, change.text);
    }
    eprintln!("  {times:.0?}");
    (times, changes(&runs[0]).count())
}

/// Twice as many orders as seeds, each with a seed of its own.
pub(crate) fn orders(seeds: Seeds) -> Lines {
    let mut rng = Rng::new(14);
    let outcomes: Vec<(Times, usize)> = (1..=2 * seeds.0)
        .map(|seed| outcome(shuffled(&mut rng), seed))
        .collect();
    let mut lines = Lines::default();
    lines.header(
        ["", "worst", "compared"]
            .into_iter()
            .chain(POLICIES[1..].iter().copied())
            .map(|cell| match cell {
                "" => "segment".to_owned(),
                "worst" | "compared" => cell.to_owned(),
                name => format!("best was `{name}`"),
            }),
    );
    for (segment, (name, _)) in SEGMENTS.iter().enumerate() {
        // Where too many requests failed with each, there is nothing to compare.
        let of_segment = || {
            outcomes.iter().filter_map(|(times, _)| {
                let [auto, fixed @ ..] = times[segment];
                let best = fixed.into_iter().fold(f64::INFINITY, f64::min);
                best.is_finite()
                    .then(|| (100.0 * (auto / best - 1.0), fixed, best))
            })
        };
        let regret = Figure::of(of_segment().map(|(regret, ..)| Some(regret)));
        lines.at_most(
            &format!("{name}: p99 of `auto` above that of the best"),
            regret,
            5.0,
            Unit::Percent,
        );
        let worst = of_segment().map(|(regret, ..)| regret).fold(0.0, f64::max);
        let mut cells = vec![format!("{worst:.1} %"), of_segment().count().to_string()];
        for place in 0..POLICIES.len() - 1 {
            let bests = of_segment().filter(|(_, fixed, best)| fixed[place] == *best);
            cells.push(bests.count().to_string());
        }
        lines.row(name, cells);
    }
    let changes = Figure::of(outcomes.iter().map(|(_, changes)| Some(*changes as f64)));
    lines.plain("changes of four clients in 310 s", changes, Unit::Count);
    let changes = turns(&mut lines, seeds);
    lines.plain(
        "by turns until then: changes of two clients",
        changes,
        Unit::Count,
    );
    lines
}

/// From turns to the strategy that suits what changed.
fn turns(lines: &mut Lines, seeds: Seeds) -> Figure {
    let [auto] = summaries(
        &turned("{ name: auto, candidates: [round_robin, adaptive] }"),
        ["auto"],
        seeds,
    );
    let [adaptive, turns] = summaries(&turned("adaptive"), ["adaptive", "round_robin"], seeds);
    for (what, other, goal) in [
        ("by turns until then: p99 of `auto` ÷ `adaptive`", &adaptive, 1.05),
        ("by turns until then: p99 of `auto` ÷ `round_robin`", &turns, 0.8),
    ] {
        lines.at_most(what, auto.ratio(other, quantile(0.99)), goal, Unit::Times);
    }
    auto.figure(|run| Some(changes(run).count() as f64))
}
