//! Which candidate of `auto` is in force, and how often that changed. A service with another strategy is absent.

use evenkeel_core::EventKind;

use super::Seen;
use crate::text::MetricKind::{Counter, Gauge};
use crate::text::MetricsText;

pub(super) fn write(services: &[Seen], text: &mut MetricsText) {
    text.family(
        "evenkeel_auto_choice",
        Gauge,
        "1 for the candidate of the strategy auto that is in force, 0 for the others.",
    );
    for Seen { service, view, .. } in services {
        let Some(auto) = view.auto() else { continue };
        for candidate in &auto.candidates {
            let labels = [
                ("service", &**service.name()),
                ("strategy", candidate.strategy.as_str()),
            ];
            text.sample(&labels, candidate.strategy == auto.current);
        }
    }
    text.family(
        "evenkeel_auto_switches_total",
        Counter,
        "Changes of the strategy auto from one candidate to another.",
    );
    for Seen { service, view, .. } in services {
        if view.auto().is_some() {
            let switches = view.counters().of(EventKind::Switched);
            text.sample(&[("service", service.name())], switches);
        }
    }
}
