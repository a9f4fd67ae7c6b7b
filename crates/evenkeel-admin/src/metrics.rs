//! `/metrics`: everything that is counted, read from published views and atomics while it is sent.
//!
//! A family's samples stand together, so the instances are walked once per family. Between chunks the
//! thread answers other requests; the views are those of the beginning, the counters are read as they
//! are passed. A service whose metrics are off is absent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use evenkeel_core::{EventKind, View};
use evenkeel_runtime::{MetricsSnapshot, Service};

use crate::App;
use crate::auto;
use crate::chunks::{self, CHUNK_BYTES, ChunkWriter, Gone};
use crate::learned;
use crate::problem::Problem;
use crate::text::{self, MetricKind, MetricValue, MetricsText};
use MetricKind::{Counter, Gauge, Histogram};
use instance::Sight;

mod instance;
mod prediction;
mod shadow;

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    if !app.shared.metrics {
        let detail = "there are no metrics: the configuration has `admin: { metrics: false }`; take that out and start \
                      the process again";
        return Problem::new(StatusCode::NOT_FOUND, detail).into_response();
    }
    let body = chunks::body(async move |out: ChunkWriter| write(&app, &out).await);
    ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], body).into_response()
}

/// One service at the beginning of the scrape.
struct Seen {
    service: Arc<Service>,
    view: Arc<View>,
    counters: MetricsSnapshot,
}

async fn write(app: &App, out: &ChunkWriter) -> Result<(), Gone> {
    let mut text = MetricsText::default();
    app.shared.process.write(&mut text);
    for source in &app.shared.sources {
        source.write(&mut text);
    }
    let now = app.shared.balancer.clock().now();
    let services: Vec<Seen> = app
        .shared
        .balancer
        .services()
        .into_iter()
        .filter(|service| service.metrics().is_on())
        .map(|service| Seen {
            view: service.view_full(),
            counters: service.metrics().snapshot(),
            service,
        })
        .collect();
    write_services(&services, &mut text);
    let views: Vec<_> = services
        .iter()
        .map(|seen| (&*seen.service, &*seen.view))
        .collect();
    learned::write(&views, &mut text);
    send_if_full(&mut text, out).await?;

    text.family(
        "evenkeel_picks_total",
        Counter,
        "Times the instance was picked; the strategy is the one in force.",
    );
    for Seen { service, view, .. } in &services {
        for (_, member, _) in view.members() {
            let labels = [
                ("service", &**service.name()),
                ("strategy", view.strategy().as_str()),
                ("instance", member.instance().id.as_str()),
            ];
            text.sample(&labels, member.stats().picks());
            send_if_full(&mut text, out).await?;
        }
    }
    for family in instance::FAMILIES {
        text.family(family.name, family.kind, family.help);
        for Seen { service, view, .. } in &services {
            for (slot, member, status) in view.members() {
                let sight = Sight {
                    view,
                    slot,
                    member,
                    status,
                    now,
                };
                if let Some(value) = (family.value)(&sight) {
                    let id = member.instance().id.as_str();
                    text.sample(&[("service", service.name()), ("instance", id)], value);
                    send_if_full(&mut text, out).await?;
                }
            }
        }
    }
    out.send(text.take()).await
}

async fn send_if_full(text: &mut MetricsText, out: &ChunkWriter) -> Result<(), Gone> {
    if text.len() >= CHUNK_BYTES {
        out.send(text.take()).await?;
    }
    Ok(())
}

/// Families with a few samples per service.
fn write_services(services: &[Seen], text: &mut MetricsText) {
    let mut single = |name, kind, help, value: fn(&Seen) -> MetricValue| {
        text.family(name, kind, help);
        for seen in services {
            text.sample(&[("service", seen.service.name())], value(seen));
        }
    };
    single(
        "evenkeel_instances",
        Gauge,
        "Registered instances of the service.",
        |s| s.view.members().count().into(),
    );
    single(
        "evenkeel_candidates",
        Gauge,
        "Instances of the service that the strategy chooses from.",
        |s| s.view.candidates().len().into(),
    );
    single(
        "evenkeel_fallback_active",
        Gauge,
        "1 while too few instances of the service are healthy: checks and priorities have no say.",
        |s| s.view.is_fallback().into(),
    );
    single(
        "evenkeel_fallback_picks_total",
        Counter,
        "Picks made while too few instances were healthy: checks and priorities had no say.",
        |s| s.counters.fallback_picks.into(),
    );
    single(
        "evenkeel_no_picks_total",
        Counter,
        "Requests that found no instance to send them to.",
        |s| s.counters.no_picks.into(),
    );
    single(
        "evenkeel_absent_keys_total",
        Counter,
        "Requests without what the strategy hashes, decided by their source address instead.",
        |s| s.counters.absent_keys.into(),
    );
    single(
        "evenkeel_unknown_regions_total",
        Counter,
        "Requests from regions in which the service has no instance, sent as if they came from nowhere.",
        |s| s.counters.unknown_regions.into(),
    );
    single(
        "evenkeel_bad_load_reports_total",
        Counter,
        "Load reports of instances that were not acceptable, and therefore said nothing.",
        |s| s.counters.bad_load_reports.into(),
    );
    single(
        "evenkeel_ejections_total",
        Counter,
        "Ejections of instances because their requests failed.",
        |s| s.view.counters().of(EventKind::Ejected).into(),
    );
    single(
        "evenkeel_usual_failure_share",
        Gauge,
        "What part of their requests three quarters of the instances fail at least, with a margin; thresholds follow it.",
        |s| f64::from(s.view.counters().thresholds().usual_failures).into(),
    );
    text.family(
        "evenkeel_events_total",
        Counter,
        "Transitions of the service and its instances, by kind.",
    );
    for seen in services {
        for (kind, count) in seen.view.counters().iter() {
            text.sample(
                &[("service", seen.service.name()), ("kind", kind.as_str())],
                count,
            );
        }
    }
    let views: Vec<(&str, &View)> = services
        .iter()
        .map(|seen| (&**seen.service.name(), &*seen.view))
        .collect();
    auto::write(&views, text);
    shadow::write(services, text);
    prediction::write(services, text);
    text.family(
        "evenkeel_requests_total",
        Counter,
        "Requests by the class of the status the client got, errors made by the balancer included.",
    );
    for seen in services {
        for (class, count) in requests_by_class(&seen.counters) {
            text.sample(&[("service", seen.service.name()), ("code_class", class)], count);
        }
    }
    text.family(
        "evenkeel_local_errors_total",
        Counter,
        "Error responses made by the balancer, by status.",
    );
    for seen in services {
        for (status, count) in seen.counters.local_errors {
            let code = local_error_code(status);
            text.sample(&[("service", seen.service.name()), ("code", &code)], count);
        }
    }
    text.family(
        "evenkeel_retries_total",
        Counter,
        "Requests that were sent again, by reason.",
    );
    for seen in services {
        for (reason, count) in seen.counters.retries {
            text.sample(
                &[("service", seen.service.name()), ("reason", reason.as_str())],
                count,
            );
        }
    }
    text.family(
        "evenkeel_retries_refused_total",
        Counter,
        "Requests that were not sent again, though another instance could have had them, by reason.",
    );
    for seen in services {
        for (reason, count) in seen.counters.refused_retries {
            text.sample(
                &[("service", seen.service.name()), ("reason", reason.as_str())],
                count,
            );
        }
    }
    text.family(
        "evenkeel_checks_total",
        Counter,
        "Active checks of instances, by result.",
    );
    for seen in services {
        for (result, count) in [
            ("passed", seen.counters.checks_passed),
            ("failed", seen.counters.checks_failed),
        ] {
            text.sample(&[("service", seen.service.name()), ("result", result)], count);
        }
    }
    text.family(
        "evenkeel_request_duration_seconds",
        Histogram,
        "Time from the arrival of a request to the end of the response that was relayed.",
    );
    for seen in services {
        let durations = &seen.counters.durations;
        text.histogram(
            &[("service", seen.service.name())],
            &durations.buckets,
            durations.sum_seconds,
            durations.count,
        );
    }
}

fn local_error_code(status: u16) -> String {
    match status {
        0 => "other".to_owned(),
        status => status.to_string(),
    }
}

/// What clients got: relayed responses and errors made here. `1xx` (a switch of protocols) and
/// `other` (a local error that is not counted by its status) only when there were any.
pub(crate) fn requests_by_class(counters: &MetricsSnapshot) -> Vec<(&'static str, u64)> {
    const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
    let mut counts = [0; CLASSES.len()];
    counts[..5].copy_from_slice(&counters.responses);
    for (status, count) in counters.local_errors {
        let class = match status {
            400..=499 => 3,
            500..=599 => 4,
            _ => 5,
        };
        counts[class] += count;
    }
    CLASSES
        .into_iter()
        .zip(counts)
        .filter(|(class, count)| *count > 0 || !matches!(*class, "1xx" | "other"))
        .collect()
}
