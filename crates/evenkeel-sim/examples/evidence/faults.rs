//! What goes wrong: S3, S6, S7, S8, S12.

use evenkeel_core::Nanos;
use evenkeel_sim::{Figure, Summary};

use crate::runs::{Lines, Seeds, Unit, built_in, scenario, share, summaries, text};

/// Seconds until the slowest server of a fault had less than a fifth of its fair share.
pub(crate) fn avoided(summary: &Summary) -> Figure {
    summary.figure(|run| run.detected_after.map(Nanos::as_secs_f64))
}

/// Seconds until the slowest had four fifths again.
fn back(summary: &Summary) -> Figure {
    summary.figure(|run| run.recovered_after.map(Nanos::as_secs_f64))
}

pub(crate) fn slow_node(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let within =
        |summary: &Summary| summary.figure(|run| Some(100.0 * (1.0 - run.all.beyond(Nanos::from_secs(1)))));
    let all = built_in(
        "slow_node",
        ["adaptive", "p2c_peak_ewma", "p2c_least_loaded", "turns"],
        seeds,
    );
    lines.at_least(
        "Linkerd's: answered within a second",
        within(&all[0]),
        99.95,
        Unit::Percent,
    );
    lines.at_most(
        "Linkerd's: below 0.2 of the fair share after",
        avoided(&all[0]),
        2.0,
        Unit::Seconds,
    );
    lines.at_most("Linkerd's: back at 0.8 after", back(&all[0]), 10.0, Unit::Seconds);
    let patient = text("slow_node", &[("deadline: 1s", "deadline: 5s")]);
    let [patient] = summaries(&scenario("patient", &patient), ["adaptive"], seeds);
    lines.at_most(
        "the same with clients that wait: below 0.2 after",
        avoided(&patient),
        2.0,
        Unit::Seconds,
    );
    lines.at_most(
        "the same with clients that wait: back at 0.8 after",
        back(&patient),
        10.0,
        Unit::Seconds,
    );
    for other in &all[1..] {
        lines.plain(
            &format!("the same by `{}`: within a second", other.policy),
            within(other),
            Unit::Percent,
        );
        lines.plain(
            &format!("the same by `{}`: back after", other.policy),
            back(other),
            Unit::Seconds,
        );
    }
    let [gray] = built_in("gray_node", ["adaptive"], seeds);
    lines.at_most(
        "ten times slower: below 0.2 of the fair share after",
        avoided(&gray),
        2.0,
        Unit::Seconds,
    );
    lines.at_most(
        "ten times slower: back at 0.8 after",
        back(&gray),
        10.0,
        Unit::Seconds,
    );
    let more = text("slow_node", &[("delay: 1833ms", "delay: 50ms")]);
    let [little] = summaries(&scenario("little", &more), ["adaptive"], seeds);
    let part = little.figure(|run| share(run, 3..4, 20.0, 45.0).map(|share| 11.0 * share));
    lines.plain("+50 ms, 30 % more: its part of the fair share", part, Unit::Times);
    lines.plain("+50 ms: back at 0.8 after", back(&little), Unit::Seconds);
    lines
}

pub(crate) fn fail_fast(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let all = built_in(
        "fail_fast",
        ["adaptive", "round_robin", "prequal", "p2c_peak_ewma"],
        seeds,
    );
    let [adaptive, others @ ..] = &all;
    lines.at_most(
        "failed requests of 20 clients, none retried",
        adaptive.failed(),
        200.0,
        Unit::Count,
    );
    lines.at_most(
        "back at 0.8 of the fair share after",
        back(adaptive),
        10.0,
        Unit::Seconds,
    );
    for other in others {
        lines.plain(
            &format!("failed by `{}`", other.policy),
            other.failed(),
            Unit::Count,
        );
    }
    let retried = text("fail_fast", &[("count: 20, retries: 0 }", "count: 20 }")]);
    let [retried] = summaries(&scenario("retried", &retried), ["adaptive"], seeds);
    lines.at_most(
        "with retries as by default: failed requests",
        retried.failed(),
        0.0,
        Unit::Count,
    );
    lines
}

pub(crate) fn flapping(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let [adaptive, turns] = built_in("flapping", ["adaptive", "turns"], seeds);
    lines.plain("failed, retries included", adaptive.errors(), Unit::Percent);
    lines.plain("the same by `turns`", turns.errors(), Unit::Percent);
    let ejections = adaptive.figure(|run| Some((run.true_ejections + run.false_ejections) as f64));
    lines.plain(
        "ejections in 80 s of two servers in turns",
        ejections,
        Unit::Count,
    );
    lines
}

pub(crate) fn retry_storm(seeds: Seeds) -> Lines {
    let mut lines = Lines::default();
    let good = |summary: &Summary| summary.figure(|run| run.goodput_after.map(Nanos::as_secs_f64));
    let attempts = |summary: &Summary| summary.figure(|run| Some(run.attempts));
    let [with] = built_in("retry_storm", ["adaptive"], seeds);
    lines.at_most(
        "budget of 20 %: attempts per request",
        attempts(&with),
        1.2,
        Unit::Times,
    );
    lines.at_most(
        "budget of 20 %: 99 % good after",
        good(&with),
        10.0,
        Unit::Seconds,
    );
    let [without] = built_in("retry_storm_without_budget", ["adaptive"], seeds);
    lines.plain("no budget: attempts per request", attempts(&without), Unit::Times);
    lines.plain("no budget: 99 % good after", good(&without), Unit::Seconds);
    let none = text("retry_storm", &[("retries: 3", "retries: 0")]);
    let [none, turns] = summaries(&scenario("none", &none), ["adaptive", "turns"], seeds);
    lines.plain("no retries at all: 99 % good after", good(&none), Unit::Seconds);
    lines.plain(
        "no retries and no ejection (`turns`): 99 % good after",
        good(&turns),
        Unit::Seconds,
    );
    let [turns] = built_in("retry_storm", ["turns"], seeds);
    lines.plain(
        "budget of 20 % and no ejection (`turns`): 99 % good after",
        good(&turns),
        Unit::Seconds,
    );
    lines
}
