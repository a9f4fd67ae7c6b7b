//! The write API: what operators, registrants and instances change in a running service.
//!
//! A change goes to the one writer of its service and is answered when it is in force. It lives in memory: what is
//! registered stays over reloads of the configuration, and not over a restart.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use evenkeel_config::{
    BadRequest, DrainRequest, HealthRequest, InstanceRequest, LoadRequest, ServicePatch, read_body,
};
use evenkeel_core::{Effect, InstanceId, Nanos, Operation, OperationError, Score};
use evenkeel_runtime::{OperateError, Service};
use serde::de::DeserializeOwned;

use crate::audit::Audit;
use crate::problem::Problem;
use crate::{App, access, api, wire};

/// The largest body. The largest that is meant, an instance with labels, has a tenth of it.
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to come, and a change to be in force.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far ahead of this machine's clock an observation may lie and still be taken for one of now: clocks differ.
const SKEW: Duration = Duration::from_secs(60);
/// The longest reason of a drain, in bytes.
const MAX_REASON: usize = 256;

/// A request of somebody who may change something, with its body.
pub(crate) struct Write {
    audit: Audit,
    body: String,
}

impl FromRequest<Arc<App>> for Write {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let audit = Audit::new(&parts);
        if let Err(refusal) = access::may_write(app.shared.token.as_ref(), &parts.headers) {
            audit.turned_away(refusal, &app.strangers, app.shared.balancer.clock().now());
            return Err(refusal.into_response());
        }
        match read(&parts.headers, body).await {
            Ok(body) => Ok(Self { audit, body }),
            Err(problem) => {
                audit.refused(problem.detail());
                Err(problem.into_response())
            }
        }
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = |media: &[u8]| {
        let end = media.iter().position(|byte| *byte == b';').unwrap_or(media.len());
        media[..end]
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    };
    if media.is_some_and(|media| !is_json(media)) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be JSON: send it with `Content-Type: application/json`",
        ));
    }
    let bytes = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, MAX_BODY)).await;
    let bytes = bytes.map_err(|_| {
        let detail = format!("the body did not come within {PATIENCE:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    })?;
    let bytes = bytes.map_err(|_| {
        let detail = format!("the body is larger than {MAX_BODY} bytes, or was cut off");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })?;
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

impl Write {
    /// The body as what it should be.
    fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_body(&self.body).map_err(Problem::from)
    }

    /// Without a body, or with an empty object.
    fn no_body(&self) -> Result<(), Problem> {
        match self.body.trim_ascii() {
            "" | "{}" => Ok(()),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "this takes no body; send the request without one",
            )),
        }
    }

    /// Runs `change`, and writes down what came of it.
    async fn audited<F>(self, change: impl FnOnce(Self) -> F) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Response, Problem>>,
    {
        let audit = self.audit.clone();
        let result = change(self).await;
        if let Err(problem) = &result {
            audit.refused(problem.detail());
        }
        result
    }
}

/// What an instance's path names.
type OnInstance = Result<Path<(String, String)>, PathRejection>;

/// The service and the id that a path names.
fn find(app: &App, path: OnInstance) -> Result<(Arc<Service>, InstanceId), Problem> {
    let Path((service, id)) = path.map_err(api::bad_path)?;
    let service = api::find_service(app, &service)?;
    let id = InstanceId::new(&id).map_err(|error| Problem::field("id", error))?;
    Ok((service, id))
}

pub(crate) async fn put_instance(
    State(app): State<Arc<App>>,
    path: OnInstance,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let (service, id) = find(&app, path)?;
            let request: InstanceRequest = write.parse()?;
            let instance = request.instance(id.as_str()).map_err(Problem::bad_instance)?;
            let operation = Operation::Register(instance);
            let effect = operate(&service, operation, write.audit).await?;
            let mut response = written(&app, &service, &id, effect)?;
            if effect == Effect::Registered {
                *response.status_mut() = StatusCode::CREATED;
            }
            Ok(response)
        })
        .await
}

pub(crate) async fn delete_instance(
    State(app): State<Arc<App>>,
    path: OnInstance,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let (service, id) = find(&app, path)?;
            write.no_body()?;
            operate(&service, Operation::Deregister(id), write.audit).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

pub(crate) async fn put_health(
    State(app): State<Arc<App>>,
    path: OnInstance,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let (service, id) = find(&app, path)?;
            let request: HealthRequest = write.parse()?;
            let operation = Operation::ReportHealth {
                id: id.clone(),
                score: Score::new(request.score).map_err(|error| Problem::field("score", error))?,
                observed: observed(&app, request.observed_at())?,
            };
            let effect = operate(&service, operation, write.audit).await?;
            written(&app, &service, &id, effect)
        })
        .await
}

pub(crate) async fn put_load(
    State(app): State<Arc<App>>,
    path: OnInstance,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let (service, id) = find(&app, path)?;
            let request: LoadRequest = write.parse()?;
            let report = request.report();
            let report = report.map_err(|error| Problem::field(error.field, error))?;
            if report.is_empty() {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "the report says nothing: give one of cpu_utilization, mem_utilization, application_utilization, \
                     rps_fractional, eps",
                ));
            }
            let operation = Operation::ReportLoad {
                id: id.clone(),
                report,
                observed: observed(&app, request.observed_at())?,
            };
            let effect = operate(&service, operation, write.audit).await?;
            written(&app, &service, &id, effect)
        })
        .await
}

pub(crate) async fn drain(
    State(app): State<Arc<App>>,
    path: OnInstance,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let (service, id) = find(&app, path)?;
            let request = match write.body.trim_ascii() {
                "" => DrainRequest::default(),
                _ => write.parse()?,
            };
            let why = request
                .reason
                .unwrap_or_else(|| "an operator drains it".to_owned());
            if why.len() > MAX_REASON || why.contains(char::is_control) {
                let detail = format!("reason: write at most {MAX_REASON} bytes on one line");
                return Err(Problem::field("reason", detail));
            }
            let operation = Operation::Drain {
                id: id.clone(),
                why: why.into(),
            };
            let effect = operate(&service, operation, write.audit).await?;
            written(&app, &service, &id, effect)
        })
        .await
}

pub(crate) async fn undrain(
    State(app): State<Arc<App>>,
    path: OnInstance,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let (service, id) = find(&app, path)?;
            write.no_body()?;
            let effect = operate(&service, Operation::Undrain(id.clone()), write.audit).await?;
            written(&app, &service, &id, effect)
        })
        .await
}

pub(crate) async fn patch_service(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    write: Write,
) -> Result<Response, Problem> {
    write
        .audited(async |write| {
            let Path(name) = path.map_err(api::bad_path)?;
            let service = api::find_service(&app, &name)?;
            let patch: ServicePatch = write.parse()?;
            let strategy = patch.strategy(&name)?;
            let effect = operate(&service, Operation::SetStrategy(strategy), write.audit).await?;
            Ok(Json(wire::ServiceWritten {
                effect: word(effect).to_owned(),
                service: api::describe_service(&service),
            })
            .into_response())
        })
        .await
}

/// Sends a change to its writer, and writes down that it is in force. Whoever asked may go away meanwhile.
async fn operate(service: &Arc<Service>, operation: Operation, audit: Audit) -> Result<Effect, Problem> {
    let sent = Arc::clone(service);
    let change = tokio::spawn(async move {
        let effect = sent.operate(operation).await;
        if let Ok(effect) = effect {
            audit.done(word(effect));
        }
        effect
    });
    let failed = |detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    match tokio::time::timeout(PATIENCE, change).await {
        Ok(Ok(effect)) => effect.map_err(|error| refused(service, error)),
        Ok(Err(_)) => Err(failed("the change failed unexpectedly; the log says where")),
        Err(_) => Err(failed(
            "the service is busy; the change will be in force later, and then be logged",
        )),
    }
}

fn refused(service: &Service, error: OperateError) -> Problem {
    match error {
        OperateError::Refused { source, .. } => match source {
            OperationError::UnknownInstance(id) => api::unknown_instance(service, id.as_str()),
            taken @ OperationError::IdTaken { .. } => Problem::new(StatusCode::CONFLICT, taken.to_string()),
            other => Problem::new(StatusCode::BAD_REQUEST, other.to_string()),
        },
        gone => Problem::new(StatusCode::NOT_FOUND, gone.to_string()),
    }
}

const fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Registered => "registered",
        Effect::Changed => "changed",
        Effect::Unchanged => "unchanged",
        Effect::Stale => "stale",
    }
}

/// The instance as it is after a change.
fn written(app: &App, service: &Service, id: &InstanceId, effect: Effect) -> Result<Response, Problem> {
    let instance = api::describe_instance(app, service, id.as_str())?;
    let effect = word(effect).to_owned();
    Ok(Json(wire::InstanceWritten { effect, instance }).into_response())
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
