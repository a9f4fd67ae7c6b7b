//! What an instance says of its load with a response (ORCA), on its way to the strategies.

use evenkeel_core::LoadReport;
use http::HeaderMap;

use crate::Lease;

/// Takes in the report in a head or in trailers, if there is one. A bad one says nothing, and is counted.
pub(super) fn take(lease: &Lease, fields: &HeaderMap) {
    let plain = fields.get_all("endpoint-load-metrics").iter();
    let binary = fields.get_all("endpoint-load-metrics-bin").iter();
    let plain = plain.map(|value| LoadReport::from_orca(value.as_bytes()));
    let mut reports = plain.chain(binary.map(|value| LoadReport::from_orca_binary(value.as_bytes())));
    match (reports.next(), reports.next()) {
        (None, _) => {}
        (Some(Ok(report)), None) => lease.reported(report),
        (Some(Err(error)), None) => refuse(lease, &error),
        (Some(_), Some(_)) => refuse(lease, &"more than one field reports it"),
    }
}

#[cold]
fn refuse(lease: &Lease, why: &dyn std::fmt::Display) {
    lease.metrics().record_bad_load_report();
    tracing::debug!(
        instance = %lease.instance().id,
        "the load report is not acceptable: {why}"
    );
}
