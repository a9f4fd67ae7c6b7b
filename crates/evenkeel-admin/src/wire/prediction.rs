//! How good predictions of health were.

use evenkeel_core::{CalibrationBin, Mode, Outlook, PREDICTION_HORIZON, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::told_score;

/// What predictions of health do, and how good they were since the start of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// `enforce` or `dry_run`.
    pub mode: String,
    /// How far they look ahead.
    pub horizon_seconds: f64,
    /// How many instances get less than their share now, by prediction.
    pub lowered: u64,
    /// How many were made of which it is known what came of them.
    pub predictions: u64,
    /// How many instances of those were bad within the horizon.
    pub came_true: u64,
    /// Mean squared error, `0..=1`; `null` before the first.
    pub brier_score: Option<f64>,
    /// That of who always says how often it comes true.
    pub base_rate_brier_score: Option<f64>,
    /// By what part the first is better than the second, at most 1; `null` while nothing came true.
    pub skill: Option<f64>,
    /// What was said beside what came of it, by tenths.
    pub reliability: Vec<Reliability>,
}

/// What is foreseen of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Predicted {
    /// The probability that it is bad within the horizon; `null` while it is where it was foreseen to be.
    pub probability: Option<f64>,
    /// What is left of its share for that, `0..=1`: 1 in a dry run.
    pub share_left: f64,
}

/// One row of the reliability table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reliability {
    /// Predictions from this probability on…
    pub from: f64,
    /// …and below this.
    pub to: f64,
    /// How many.
    pub predictions: u64,
    /// What they said on average; `null` without any.
    pub said: Option<f64>,
    /// What part of them came true.
    pub came_true: Option<f64>,
}

impl Predicted {
    pub(crate) fn of(outlook: Outlook) -> Self {
        Self {
            probability: outlook.probability.map(told_score),
            share_left: told_score(outlook.share_left),
        }
    }
}

impl Prediction {
    /// `None` while it is off.
    pub(crate) fn of(view: &View) -> Option<Self> {
        let mode = match view.on_prediction() {
            Mode::Enforce => "enforce",
            Mode::DryRun => "dry_run",
            Mode::Off => return None,
        };
        let seen = view.counters().calibration();
        let rows = seen.bins.iter().enumerate();
        Some(Self {
            mode: mode.to_owned(),
            horizon_seconds: PREDICTION_HORIZON.as_secs_f64(),
            lowered: seen.lowered,
            predictions: seen.predictions(),
            came_true: seen.came_true(),
            brier_score: seen.brier(),
            base_rate_brier_score: seen.base_brier(),
            skill: seen.skill(),
            reliability: rows.map(|(row, bin)| Reliability::of(row, bin)).collect(),
        })
    }
}

impl Reliability {
    fn of(row: usize, bin: &CalibrationBin) -> Self {
        let n = bin.predictions;
        let part = |sum: f64| (n > 0).then(|| sum / n as f64);
        Self {
            from: row as f64 / 10.0,
            to: (row + 1) as f64 / 10.0,
            predictions: n,
            said: part(bin.said),
            came_true: part(bin.came_true as f64),
        }
    }
}
