//! The data plane's own counters in `/metrics`.

use std::sync::Arc;

use evenkeel_admin::{MetricKind, MetricsSource, MetricsText};
use evenkeel_proxy::Counters;

/// Writes them.
pub(crate) struct ProxyMetrics(pub(crate) Arc<Counters>);

impl MetricsSource for ProxyMetrics {
    fn write(&self, out: &mut MetricsText) {
        let Self(counters) = self;
        out.family(
            "evenkeel_client_connections",
            MetricKind::Gauge,
            "Client connections that are open.",
        );
        out.sample(&[], counters.open() as u64);
        let totals: [(&'static str, &str, u64); 7] = [
            (
                "evenkeel_client_connections_accepted_total",
                "Client connections accepted.",
                counters.accepted(),
            ),
            (
                "evenkeel_client_connections_refused_total",
                "Client connections refused because too many were open.",
                counters.refused(),
            ),
            (
                "evenkeel_accept_errors_total",
                "Failures to accept a client.",
                counters.accept_errors(),
            ),
            (
                "evenkeel_bad_requests_total",
                "Requests refused because of what the client sent.",
                counters.bad_requests(),
            ),
            (
                "evenkeel_unrouted_requests_total",
                "Requests that no route matched.",
                counters.unrouted(),
            ),
            (
                "evenkeel_access_log_lines_total",
                "Lines of the access log that were written.",
                counters.access_lines(),
            ),
            (
                "evenkeel_access_log_dropped_total",
                "Lines of the access log that were dropped, because they could not be written, or not soon enough.",
                counters.access_lines_dropped(),
            ),
        ];
        for (name, help, value) in totals {
            out.family(name, MetricKind::Counter, help);
            out.sample(&[], value);
        }
    }
}
