//! All figures, for programs.

use evenkeel_core::{ShadowCounts, StrategyName};
use serde_json::{Value, json};

use super::{Comparison, paired};
use crate::record::{Latencies, Run, Told};
use crate::summary::{Figure, Summary};

/// Several comparisons as JSON: quantiles in milliseconds, `null` where errors reach them.
#[must_use]
pub fn json(comparisons: &[Comparison]) -> String {
    let all: Vec<Value> = comparisons.iter().map(comparison).collect();
    format!("{:#}", Value::Array(all))
}

fn comparison(comparison: &Comparison) -> Value {
    let summaries = comparison.summaries.iter().map(|summary| {
        let runs: Vec<Value> = summary.runs.iter().map(run).collect();
        json!({ "strategy": summary.policy, "runs": runs })
    });
    let beside: Vec<Value> = paired::pairs(comparison).map(beside).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "scenario": comparison.scenario.name(),
        "recorded": comparison.scenario.source().map(|source| json!({
            "file": source.file,
            "service": source.service,
            "requests": comparison.scenario.requests(),
        })),
        "about": comparison.scenario.about(),
        "seed": comparison.seed,
        "strategies": summaries.collect::<Vec<_>>(),
        "first_beside": beside,
    })
}

/// What the first policy's figures are to those of another, seed by seed.
fn beside((first, other): (&Summary, &Summary)) -> Value {
    let quantiles = |of: &dyn Fn(f64) -> Figure| -> Value {
        let all = paired::PARTS.map(|(name, part)| (name.replace('.', "_"), figure(of(part))));
        Value::Object(all.into_iter().collect())
    };
    let steps =
        (0..first.steps()).map(|step| quantiles(&|part| paired::step_ratio(first, other, step, part)));
    json!({
        "strategy": other.policy,
        "ratio": quantiles(&|part| paired::ratio(first, other, part)),
        "ratio_at_steps": steps.collect::<Vec<_>>(),
        "more_errors_percent": figure(paired::more_errors(first, other)),
    })
}

/// A mean with half of its 95 % interval; `null` when a seed has no figure.
fn figure(figure: Figure) -> Value {
    if figure.missing > 0 || figure.mean.is_nan() {
        return Value::Null;
    }
    json!({ "mean": figure.mean, "half_width": figure.half_width })
}

fn run(run: &Run) -> Value {
    let seconds = |time: Option<evenkeel_core::Nanos>| time.map(evenkeel_core::Nanos::as_secs_f64);
    let steps: Vec<Value> = run.steps.iter().map(latencies).collect();
    json!({
        "all": latencies(&run.all),
        "during_faults": latencies(&run.during),
        "steps": steps,
        "attempts_per_request": run.attempts,
        "max_over_mean": run.max_over_mean,
        "unevenness": run.account.unevenness,
        "core_seconds": run.account.core_seconds,
        "wasted_core_seconds": run.account.wasted_core_seconds,
        "served_elsewhere": run.account.elsewhere,
        "keys_moved": run.account.keys_moved,
        "in_flight_p99": run.in_flight_p99,
        "ejections": { "of_faulty": run.true_ejections, "of_sound": run.false_ejections },
        "avoided_after_seconds": seconds(run.detected_after),
        "back_after_seconds": seconds(run.recovered_after),
        "too_few_requests": { "avoided": run.too_few.0, "back": run.too_few.1 },
        "good_again_after_seconds": seconds(run.goodput_after),
        "cache_hits": run.cache_hits,
        "requests": run.requests,
        "events": run.events,
        "switches": run.switches.iter().map(told).collect::<Vec<_>>(),
        "shadow": run.shadow.as_ref().map(shadow),
        "trace": format!("{:016x}", run.trace),
    })
}

fn told(told: &Told) -> Value {
    json!({ "time_seconds": told.at.as_secs_f64(), "client": told.balancer, "text": told.text })
}

fn shadow((strategy, counts): &(StrategyName, ShadowCounts)) -> Value {
    let expected = counts.expected();
    json!({
        "strategy": strategy.as_str(),
        "picks": counts.asked,
        "other_choices": counts.differed,
        "compared": counts.compared,
        "expected_seconds": expected.map(|[_, shadow]| shadow),
        "actual_expected_seconds": expected.map(|[actual, _]| actual),
    })
}

fn latencies(latencies: &Latencies) -> Value {
    json!({
        "requests": latencies.requests(),
        "errors": latencies.errors(),
        "p50": latencies.quantile(0.5),
        "p90": latencies.quantile(0.9),
        "p99": latencies.quantile(0.99),
        "p99_9": latencies.quantile(0.999),
    })
}
