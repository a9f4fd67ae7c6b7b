//! The write API: what operators, registrants and instances change in a running service.
//!
//! A change goes to the one writer of its service and is answered when it is in force. It lives in memory: what is
//! registered stays over reloads of the configuration, and not over a restart.

use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use axum::response::Response;
use evenkeel_config::{BadRequest, DrainRequest, HealthRequest, InstanceRequest, LoadRequest, ServicePatch};
use evenkeel_core::{Nanos, Operation, Score};

use crate::problem::Problem;
use crate::{App, wire};

mod call;

pub(crate) use call::{OnInstance, OnService};

/// How far ahead of this machine's clock an observation may lie and still be taken for one of now: clocks differ.
const SKEW: Duration = Duration::from_secs(60);
/// The longest reason of a drain, in bytes.
const MAX_REASON: usize = 256;

pub(crate) async fn put_instance(call: OnInstance) -> Result<Response, Problem> {
    call.operate(|app, id, body| {
        let request: InstanceRequest = body.parse()?;
        let instance = request.instance(id.as_str()).map_err(Problem::bad_instance)?;
        let (weight, most) = (instance.weight.get(), app.shared.max_weight);
        if weight > most {
            let detail = format!(
                "weight: {weight} is more than {most}, the most that may be registered (`admin.max_weight`)"
            );
            return Err(Problem::field("weight", detail));
        }
        Ok(Operation::Register(instance))
    })
    .await
}

pub(crate) async fn delete_instance(call: OnInstance) -> Result<Response, Problem> {
    call.operate(|_, id, body| body.is_absent().map(|()| Operation::Deregister(id)))
        .await
}

pub(crate) async fn put_health(call: OnInstance) -> Result<Response, Problem> {
    call.operate(|app, id, body| {
        let request: HealthRequest = body.parse()?;
        Ok(Operation::ReportHealth {
            id,
            // A zero without a sign: what was said is told again in words.
            score: Score::new(request.score + 0.0).map_err(|error| Problem::field("score", error))?,
            observed: observed(app, request.observed_at())?,
        })
    })
    .await
}

pub(crate) async fn put_load(call: OnInstance) -> Result<Response, Problem> {
    call.operate(|app, id, body| {
        let request: LoadRequest = body.parse()?;
        let report = request.report()?;
        if report.is_empty() {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the report says nothing: give one of cpu_utilization, mem_utilization, application_utilization, \
                 rps_fractional, eps",
            ));
        }
        Ok(Operation::ReportLoad {
            id,
            report,
            observed: observed(app, request.observed_at())?,
        })
    })
    .await
}

pub(crate) async fn drain(call: OnInstance) -> Result<Response, Problem> {
    call.operate(|_, id, body| {
        let request: DrainRequest = body.parse_or_default()?;
        let why = request
            .reason
            .unwrap_or_else(|| "an operator drains it".to_owned());
        if why.len() > MAX_REASON || why.contains(char::is_control) {
            let detail = format!("reason: write at most {MAX_REASON} bytes on one line");
            return Err(Problem::field("reason", detail));
        }
        if why.trim().is_empty() {
            let detail = "reason: it is empty; leave it out, or write one";
            return Err(Problem::field("reason", detail));
        }
        Ok(Operation::Drain { id, why: why.into() })
    })
    .await
}

pub(crate) async fn undrain(call: OnInstance) -> Result<Response, Problem> {
    call.operate(|_, id, body| body.is_absent().map(|()| Operation::Undrain(id)))
        .await
}

pub(crate) async fn patch_service(call: OnService) -> Result<Response, Problem> {
    call.operate(|service, body| {
        let patch: ServicePatch = body.parse()?;
        Ok(patch.operation(service.name())?)
    })
    .await
}

/// An observation's time by the balancer's clock; now, when none is given.
fn observed(app: &App, at: Option<SystemTime>) -> Result<Nanos, Problem> {
    let now = app.shared.balancer.clock().now();
    let Some(at) = at else { return Ok(now) };
    match SystemTime::now().duration_since(at) {
        // What was seen before this process began is as old as anything can be.
        Ok(age) => Ok(now.since(age.into())),
        Err(ahead) if ahead.duration() <= SKEW => Ok(now),
        Err(ahead) => Err(Problem::field(
            "observed_at",
            format!(
                "observed_at: it lies {:.0} s ahead of this machine's clock; set the clocks, or leave it out for now",
                ahead.duration().as_secs_f64()
            ),
        )),
    }
}

impl From<BadRequest> for Problem {
    fn from(bad: BadRequest) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, bad.to_string());
        problem.set_errors(bad.faults.into_iter().map(|fault| wire::Fault {
            field: fault.field,
            detail: fault.message,
            help: fault.help,
        }));
        problem
    }
}
