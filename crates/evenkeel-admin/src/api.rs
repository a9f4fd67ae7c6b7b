//! The read API: what each service and each instance is doing, from published views and counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use evenkeel_core::{
    HealthPart, HealthParts, InstanceSnapshot, InstanceState, Member, Nanos, Quantiles, ShadowCounts, Slot,
    Status, StrategyName, View,
};
use evenkeel_runtime::Service;

use crate::App;
use crate::auto;
use crate::chunks::{self, CHUNK_BYTES, ChunkWriter, Gone};
use crate::learned;
use crate::metrics::requests_by_class;
use crate::problem::Problem;
use crate::share::Shares;
use crate::time::Calendar;
use crate::wire;

pub(crate) async fn services(State(app): State<Arc<App>>) -> Json<wire::Services> {
    let mut services: Vec<_> = app
        .shared
        .balancer
        .services()
        .iter()
        .map(|service| describe_service(&app, service))
        .collect();
    services.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Json(wire::Services { services })
}

pub(crate) async fn service(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<wire::Service>, Problem> {
    let Path(name) = path.map_err(bad_path)?;
    Ok(Json(describe_service(&app, &*find_service(&app, &name)?)))
}

pub(crate) async fn instances(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(bad_path)?;
    let reader = Reader::new(&app, &*find_service(&app, &name)?);
    let body = chunks::body(async move |out: ChunkWriter| write_instances(&name, &reader, &out).await);
    let media = (header::CONTENT_TYPE, "application/json");
    Ok(([media], body).into_response())
}

pub(crate) async fn instance(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<wire::Instance>, Problem> {
    let Path((name, id)) = path.map_err(bad_path)?;
    Ok(Json(describe_instance(&app, &*find_service(&app, &name)?, &id)?))
}

/// The instance of this id, as it is now.
pub(crate) fn describe_instance(app: &App, service: &Service, id: &str) -> Result<wire::Instance, Problem> {
    let reader = Reader::new(app, service);
    let mut members = reader.view.members();
    let found = members.find(|(_, member, _)| member.instance().id.as_str() == id);
    match found {
        Some((slot, member, status)) => Ok(reader.describe(slot, member, status)),
        None => Err(unknown_instance(service, id)),
    }
}

/// 404 for an id that no instance of the service has.
pub(crate) fn unknown_instance(service: &Service, id: &str) -> Problem {
    let view = service.view_full();
    Problem::not_found(
        format!("the service {:?} has no instance {id:?}", service.name()),
        id,
        view.members().map(|(_, member, _)| member.instance().id.as_str()),
    )
}

pub(crate) async fn events(State(app): State<Arc<App>>) -> Json<wire::Events> {
    let calendar = calendar(&app);
    let events = app.shared.balancer.recent_events();
    Json(wire::Events {
        events: events
            .iter()
            .map(|event| wire::Event {
                time: calendar.date(event.at),
                service: event.service.to_string(),
                instance: event.instance.as_ref().map(ToString::to_string),
                kind: event.kind.as_str().to_owned(),
                reason: event.reason.to_string(),
            })
            .collect(),
    })
}

pub(crate) fn bad_path(rejection: PathRejection) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("the path cannot be read: {rejection}"),
    )
}

pub(crate) fn find_service(app: &App, name: &str) -> Result<Arc<Service>, Problem> {
    app.shared.balancer.service(name).ok_or_else(|| {
        let services = app.shared.balancer.services();
        Problem::not_found(
            format!("there is no service {name:?}"),
            name,
            services.iter().map(|service| &**service.name()),
        )
    })
}

pub(crate) fn calendar(app: &App) -> Calendar {
    Calendar::new(SystemTime::now(), app.shared.balancer.clock().now())
}

pub(crate) fn describe_service(app: &App, service: &Service) -> wire::Service {
    let view = service.view_full();
    let mut instances = wire::InstanceTotals {
        candidates: view.candidates().len() as u64,
        ..wire::InstanceTotals::default()
    };
    let mut in_flight = 0;
    for (_, member, status) in view.members() {
        instances.total += 1;
        match status.state {
            InstanceState::Down => instances.down += 1,
            InstanceState::Ejected { .. } => instances.ejected += 1,
            InstanceState::Healthy => instances.healthy += 1,
            _ => {}
        }
        in_flight += u64::from(member.load().get());
    }
    let metrics = service.metrics().is_on();
    let counters = metrics.then(|| service.metrics().snapshot());
    let counters = counters.as_ref();
    wire::Service {
        name: service.name().to_string(),
        strategy: view.strategy().to_string(),
        view_version: view.version(),
        fallback: view.is_fallback(),
        instances,
        in_flight,
        metrics,
        requests: counters
            .into_iter()
            .flat_map(requests_by_class)
            .map(|(class, count)| (class.to_owned(), count))
            .collect(),
        retries: counters
            .into_iter()
            .flat_map(|counters| &counters.retries)
            .map(|(reason, count)| (reason.as_str().to_owned(), *count))
            .collect(),
        fallback_picks: counters.map(|counters| counters.fallback_picks),
        no_picks: counters.map(|counters| counters.no_picks),
        learned: learned::describe(&view),
        auto: view.auto().map(|auto| auto::describe(&auto, &calendar(app))),
        shadow: view
            .shadow()
            .map(|(strategy, counts)| shadow(strategy, &counts, view.shadow_idle())),
        prediction: wire::Prediction::of(&view),
        thresholds: wire::Thresholds::of(&view),
    }
}

fn shadow(strategy: StrategyName, counts: &ShadowCounts, idle: Option<&str>) -> wire::Shadow {
    let expected = counts.expected();
    wire::Shadow {
        strategy: strategy.to_string(),
        idle: idle.map(str::to_owned),
        picks: counts.asked,
        other_choices: counts.differed,
        other_choices_share: counts.differing(),
        compared: counts.compared,
        expected_seconds: expected.map(|[_, shadow]| shadow),
        actual_expected_seconds: expected.map(|[actual, _]| actual),
    }
}

/// One moment of one service.
struct Reader {
    view: Arc<View>,
    now: Nanos,
    shares: Shares,
    calendar: Calendar,
}

impl Reader {
    fn new(app: &App, service: &Service) -> Self {
        let view = service.view_full();
        let now = app.shared.balancer.clock().now();
        Self {
            shares: app.recent.shares(service.name(), &view, now),
            calendar: Calendar::new(SystemTime::now(), now),
            now,
            view,
        }
    }

    fn describe(&self, slot: Slot, member: &Member, status: &Status) -> wire::Instance {
        let known = InstanceSnapshot::of(&self.view, slot, member, status, self.now);
        let then = |age: Duration| self.now.since(age.into());
        let date = |age| self.calendar.date(then(age));
        let seconds = |age| self.calendar.seconds_since(then(age));
        let quantile =
            |q: fn(Quantiles) -> Duration| known.quantiles.map(|quantiles| q(quantiles).as_secs_f64());
        let reported = reported(&known);
        let instance = known.instance;
        wire::Instance {
            id: instance.id.to_string(),
            address: instance.address.to_string(),
            state: known.state.as_str().to_owned(),
            since: date(known.since),
            since_seconds: seconds(known.since),
            reason: known.reason.to_string(),
            ejected_until: known
                .ejected_for
                .map(|left| self.calendar.date(self.now + left.into())),
            candidate: known.excluded.is_none(),
            breaker: known.breaker.as_str().to_owned(),
            score: told_score(known.score),
            score_parts: score_parts(known.parts),
            limited_by: (known.score < 1.0).then(|| known.parts.worst().0.as_str().to_owned()),
            success_share: f64::from(known.success_share),
            weight: instance.weight.get(),
            priority: instance.priority,
            region: instance.region.as_deref().map(str::to_owned),
            zone: instance.zone.as_deref().map(str::to_owned),
            metadata: instance.metadata,
            predicted: known.predicted.map(wire::Predicted::of),
            in_flight: known.in_flight,
            reported,
            response_time_seconds: wire::ResponseTime {
                average: known.response_time.map(|time| time.as_secs_f64()),
                p50: quantile(|q| q.p50),
                p90: quantile(|q| q.p90),
                p99: quantile(|q| q.p99),
            },
            counts: wire::Counts {
                picks: known.counts.picks,
                successes: known.counts.successes,
                failures: known.counts.failures,
                throttled: known.counts.throttled,
                cancelled: known.counts.cancelled,
                consecutive_failures: known.counts.consecutive_failures,
            },
            share: self.shares.of(slot),
            last_used: known.last_used.map(date),
            last_used_seconds: known.last_used.map(seconds),
        }
    }
}

/// What it says of its load.
pub(crate) fn reported(known: &InstanceSnapshot) -> Option<wire::Reported> {
    let ((report, worth), ago) = known.reported.zip(known.reported_ago)?;
    Some(wire::Reported {
        cpu_utilization: report.cpu(),
        mem_utilization: report.memory(),
        application_utilization: report.application(),
        rps_fractional: report.requests_per_second(),
        eps: report.errors_per_second(),
        age_seconds: ago.as_secs_f64(),
        worth,
    })
}

/// By name.
pub(crate) fn score_parts(parts: HealthParts) -> BTreeMap<String, f64> {
    let all = HealthPart::ALL.into_iter();
    all.map(|part| (part.as_str().to_owned(), told_score(parts.get(part))))
        .collect()
}

/// Three digits: 0.2 is no 0.20000000298, which is what a double makes of it.
pub(crate) fn told_score(score: f32) -> f64 {
    (f64::from(score) * 1e3).round() / 1e3
}

/// Writes [`wire::Instances`] without holding all of them at once.
async fn write_instances(name: &str, reader: &Reader, out: &ChunkWriter) -> Result<(), Gone> {
    let mut text = format!(
        "{{\"service\":{},\"view_version\":{},\"instances\":[",
        serde_json::Value::from(name),
        reader.view.version()
    );
    let mut separator = "";
    for (slot, member, status) in reader.view.members() {
        text.push_str(separator);
        separator = ",";
        let item = serde_json::to_string(&reader.describe(slot, member, status)).map_err(|_| Gone)?;
        text.push_str(&item);
        if text.len() >= CHUNK_BYTES {
            out.send(std::mem::take(&mut text)).await?;
        }
    }
    text.push_str("]}");
    out.send(text).await
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{Instance, LoadReport, Mode, ServiceSettings, ServiceState};

    use super::*;

    #[test]
    fn scores_are_told_as_they_are_written() {
        for (score, told) in [(0.2, "0.2"), (1.0, "1.0"), (0.650_06, "0.65"), (0.0, "0.0")] {
            assert_eq!(serde_json::Value::from(told_score(score)).to_string(), told);
        }
    }

    #[test]
    fn what_is_foreseen_of_an_instance_is_told() {
        let mut settings = ServiceSettings::new("web");
        settings.ejection.on_prediction = Mode::Enforce;
        let instance =
            |i: u16| Instance::new(&format!("web-{i}"), ([127, 0, 0, 1], 9000 + i).into()).unwrap();
        let mut now = Nanos::from_secs(1);
        let mut state = ServiceState::new(settings, (0..10).map(instance).collect(), 1, now).unwrap();
        let predicted = |state: &ServiceState, now| -> Vec<Option<wire::Predicted>> {
            let view = Arc::clone(state.view());
            let reader = Reader {
                shares: Shares::default(),
                calendar: Calendar::new(SystemTime::now(), now),
                now,
                view,
            };
            let members = reader.view.members();
            let told = |(slot, member, status): (Slot, &Arc<Member>, &Status)| {
                reader.describe(slot, member, status).predicted
            };
            members.map(told).collect()
        };
        assert_eq!(predicted(&state, now), [None; 10]);
        // The first fills up by a hundredth a second.
        for second in 0..58 {
            now = now + Nanos::from_secs(1);
            for (slot, member, _) in state.view().members() {
                let used = if slot.0 == 0 {
                    0.4 + 0.01 * f64::from(second)
                } else {
                    0.4
                };
                let report = LoadReport::default().with_memory(used).unwrap();
                assert!(member.stats().reported().observe(&report, now, now));
            }
            state.tick(now);
        }
        let all = predicted(&state, now);
        let (first, second) = (all[0].unwrap(), all[1].unwrap());
        assert!(first.probability.unwrap() > 0.85, "{first:?}");
        assert!((0.3..0.4).contains(&first.share_left), "{first:?}");
        assert!(
            second.probability.unwrap() < 0.05 && second.share_left == 1.0,
            "{second:?}"
        );
    }
}
