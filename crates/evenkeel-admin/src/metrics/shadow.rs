//! What came of asking shadow strategies. A service without one is absent.

use evenkeel_core::ShadowCounts;

use super::Seen;
use crate::text::MetricKind::Counter;
use crate::text::{MetricValue, MetricsText};

type Family = (&'static str, &'static str, fn(&ShadowCounts) -> MetricValue);

const FAMILIES: [Family; 5] = [
    (
        "evenkeel_shadow_picks_total",
        "Picks that the shadow strategy was asked about: one in 64. The strategy is the shadow.",
        |counts| counts.asked.into(),
    ),
    (
        "evenkeel_shadow_other_choices_total",
        "Of these, picks in which the shadow strategy would have chosen another instance.",
        |counts| counts.differed.into(),
    ),
    (
        "evenkeel_shadow_compared_picks_total",
        "Of these, picks in which the expected times of both choices were known.",
        |counts| counts.compared.into(),
    ),
    (
        "evenkeel_shadow_expected_seconds_total",
        "Expected times to a successful response by the choices of the shadow strategy, in compared picks.",
        |counts| counts.shadow.as_secs_f64().into(),
    ),
    (
        "evenkeel_shadow_actual_expected_seconds_total",
        "Expected times to a successful response by the choices that were made, in the same picks.",
        |counts| counts.actual.as_secs_f64().into(),
    ),
];

pub(super) fn write(services: &[Seen], text: &mut MetricsText) {
    for (name, help, value) in FAMILIES {
        text.family(name, Counter, help);
        for Seen { service, view, .. } in services {
            if let Some((strategy, counts)) = view.shadow() {
                let labels = [("service", &**service.name()), ("strategy", strategy.as_str())];
                text.sample(&labels, value(&counts));
            }
        }
    }
}
