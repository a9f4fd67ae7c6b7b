//! How good predictions of health were, of the services that make any.

use evenkeel_core::{Calibration, Mode};

use super::Seen;
use crate::text::MetricKind::{Counter, Gauge};
use crate::text::{MetricValue, MetricsText};

/// The lower bounds of the rows.
const ROWS: [&str; 10] = ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"];

pub(super) fn write(services: &[Seen], text: &mut MetricsText) {
    let known: Vec<(&str, Calibration)> = services
        .iter()
        .filter(|seen| seen.view.on_prediction() != Mode::Off)
        .map(|seen| (&**seen.service.name(), seen.view.counters().calibration()))
        .collect();
    let mut rows = |name, help, of: fn(&Calibration, usize) -> u64| {
        text.family(name, Counter, help);
        for (service, calibration) in &known {
            for (row, from) in ROWS.iter().enumerate() {
                text.sample(&[("service", service), ("from", from)], of(calibration, row));
            }
        }
    };
    rows(
        "evenkeel_predictions_total",
        "Predictions of health of which it is known what came of them, by tenths of the probability that was said.",
        |calibration, row| calibration.bins[row].predictions,
    );
    rows(
        "evenkeel_predictions_true_total",
        "Of those, such of instances that were bad within the horizon.",
        |calibration, row| calibration.bins[row].came_true,
    );
    let mut single = |name, help, of: fn(&Calibration) -> Option<MetricValue>| {
        text.family(name, Gauge, help);
        for (service, calibration) in &known {
            if let Some(value) = of(calibration) {
                text.sample(&[("service", service)], value);
            }
        }
    };
    single(
        "evenkeel_prediction_brier_score",
        "Mean squared error of the predictions of health, since the start of the process.",
        |calibration| calibration.brier().map(Into::into),
    );
    single(
        "evenkeel_prediction_base_rate_brier_score",
        "What who always says how often predictions come true would have instead.",
        |calibration| calibration.base_brier().map(Into::into),
    );
    single(
        "evenkeel_predicted_instances",
        "Instances that get less than their share because they are foreseen to be bad.",
        |calibration| Some(calibration.lowered.into()),
    );
}
