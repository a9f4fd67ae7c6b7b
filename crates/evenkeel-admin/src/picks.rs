//! Picks that were recorded, and for how long some are.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use evenkeel_config::RecordRequest;
use evenkeel_runtime::Service;

use crate::App;
use crate::api;
use crate::problem::Problem;
use crate::wire;
use crate::write::OnService;

pub(crate) async fn picks(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<wire::Picks>, Problem> {
    let Path(name) = path.map_err(api::bad_path)?;
    Ok(Json(describe(&app, &*api::find_service(&app, &name)?)))
}

fn describe(app: &App, service: &Service) -> wire::Picks {
    let records = service.recorded_picks(app.shared.balancer.clock().now());
    let calendar = api::calendar(app);
    let picks = records.picks.into_iter().map(|pick| wire::RecordedPick {
        time: calendar.date(pick.at),
        seconds_ago: calendar.seconds_since(pick.at),
        strategy: pick.strategy.to_string(),
        view_version: pick.version,
        chosen: pick.chosen.map(|id| id.to_string()),
        score: api::told_score(pick.score),
        in_flight: pick.in_flight,
        candidates: pick.candidates,
        tried: pick.tried,
        fallback: pick.fallback,
    });
    wire::Picks {
        service: service.name().to_string(),
        // As it was written: shares are kept in 2^-32.
        share: (records.share * 1e6).round() / 1e6,
        until: records.until.map(|until| calendar.date(until)),
        seen: records.seen,
        recorded: records.recorded,
        overwritten: records.overwritten,
        dropped: records.dropped,
        picks: picks.collect(),
    }
}

/// Records for a time.
pub(crate) async fn record(call: OnService) -> Result<Response, Problem> {
    let audit = call.audit();
    call.told(async |app, service, body| {
        let request: RecordRequest = body.parse()?;
        let lasts = request.lasts()?;
        let now = app.shared.balancer.clock().now();
        service.record_picks(request.share(), now + lasts.into());
        audit.done(format_args!(
            "records {} of the picks for {lasts:?}",
            request.share()
        ));
        Ok(Json(describe(app, service)).into_response())
    })
    .await
}

/// Ends that.
pub(crate) async fn stop(call: OnService) -> Result<Response, Problem> {
    let audit = call.audit();
    call.told(async |_, service, body| {
        body.is_absent()?;
        service.stop_recording();
        audit.done("records picks as configured");
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
