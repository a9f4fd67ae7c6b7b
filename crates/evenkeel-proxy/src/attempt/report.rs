//! What an instance says of its load with a response, on its way to the strategies.

use evenkeel_core::{Lease, LoadReport, Nanos};
use evenkeel_h1::{FieldName, ResponseHead};

use crate::worker::Upstream;

/// Takes in the report in `head`, which has one.
pub(super) fn from_head(head: &ResponseHead, buf: &[u8], lease: &Lease, upstream: &Upstream, now: Nanos) {
    let mut fields = head.fields().iter().filter(|field| field.id.is_load_report());
    match (fields.next(), fields.next()) {
        (Some(field), None) => observe(field.id, field.value.of(buf), lease, upstream, now),
        (Some(_), Some(_)) => {
            refuse(lease, upstream, &"more than one field reports it");
        }
        _ => {}
    }
}

/// Takes in the report in a field or trailer.
pub(super) fn observe(id: FieldName, value: &[u8], lease: &Lease, upstream: &Upstream, now: Nanos) {
    let report = if id == FieldName::EndpointLoadMetricsBin {
        LoadReport::from_orca_binary(value)
    } else {
        LoadReport::from_orca(value)
    };
    match report {
        // One without a number that matters here does not take back what others said.
        Ok(report) if report.is_empty() => {}
        Ok(report) => {
            lease.member().stats().reported().observe(&report, now, now);
        }
        Err(error) => refuse(lease, upstream, &error),
    }
}

/// A bad report is the instance's affair: its client does not hear of it.
#[cold]
fn refuse(lease: &Lease, upstream: &Upstream, why: &dyn std::fmt::Display) {
    let service = &upstream.settings.service;
    service.metrics().record_bad_load_report();
    tracing::debug!(
        service = %service.name(),
        instance = %lease.member().instance().id,
        "the load report is not acceptable: {why}"
    );
}
