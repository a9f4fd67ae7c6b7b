//! From what the writer knows of its instances to what the stages ask.

use std::sync::Arc;

use super::slots::Slots;
use crate::candidates::{self, Minimum, Prospect, Staged};
use crate::{HealthPart, Nanos, NoPick, PickContext, PickRequest, Picker, ServiceSettings, Slot};

/// Runs all stages. O(n).
pub(super) fn stage(slots: &Slots, settings: &ServiceSettings, now: Nanos) -> Staged {
    let mut staged = candidates::stage(prospects(slots, now), settings, now);
    let predictions = slots.iter().filter_map(|(slot, entry)| {
        let foresight = entry
            .foresight
            .as_ref()
            .filter(|foresight| foresight.left() < 1.0)?;
        Some((slot, Arc::clone(foresight.told()?)))
    });
    staged.findings.predictions = predictions.collect();
    staged
}

/// Whether enough instances are healthy. O(n).
pub(super) fn minimum(slots: &Slots, settings: &ServiceSettings, now: Nanos) -> Minimum {
    Minimum::of(prospects(slots, now), settings)
}

fn prospects(slots: &Slots, now: Nanos) -> Vec<Prospect<'_>> {
    let mut prospects = Vec::with_capacity(slots.len());
    prospects.extend(slots.iter().map(|(slot, entry)| {
        let instance = entry.member.instance();
        Prospect {
            slot,
            weight: instance.weight.get(),
            priority: instance.priority,
            region: instance.region.as_deref(),
            drains: entry.drain.is_some(),
            down: entry.checks.down().is_some(),
            ejected: entry.ejection.until().is_some(),
            answers: entry.answers(),
            below_threshold: entry.is_below_threshold(),
            score: f64::from(entry.score()),
            told: f64::from(entry.member.stats().health_parts().get(HealthPart::Reported)),
            recovery: entry.recovery_share(now),
            predicted: f64::from(entry.predicted_share()),
            began: entry.began,
            excluded: None,
        }
    }));
    prospects
}

/// The picker of a service without instances: says so.
#[derive(Debug)]
pub(super) struct NoInstances;

impl Picker for NoInstances {
    fn pick(&self, _request: &PickRequest<'_>, _cx: &mut PickContext) -> Result<Slot, NoPick> {
        Err(NoPick::Empty)
    }
}
