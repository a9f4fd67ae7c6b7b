//! The frame of a change: who may, what the path names, what the body says, the way to the one writer, and the answer.

use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body as Stream;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use evenkeel_config::read_body;
use evenkeel_core::{Effect, InstanceId, Operation, OperationError};
use evenkeel_runtime::{OperateError, Service};
use serde::de::DeserializeOwned;

use crate::audit::Audit;
use crate::problem::Problem;
use crate::{App, access, api, wire};

/// The largest body. The largest that is meant, an instance with labels, has a tenth of it.
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to come, and a change to be in force.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request of somebody who may change something.
pub(crate) struct Call<P> {
    app: Arc<App>,
    audit: Audit,
    path: P,
    body: Body,
}

/// Whose path names a service.
pub(crate) type OnService = Call<String>;
/// Whose path names a service and an instance.
pub(crate) type OnInstance = Call<(String, String)>;

impl<P: DeserializeOwned + Send> FromRequest<Arc<App>> for Call<P> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, stream) = request.into_parts();
        let audit = Audit::new(&parts);
        if let Err(refusal) = access::may_write(app.shared.token.as_ref(), &parts.headers) {
            audit.turned_away(refusal, &app.strangers, app.shared.balancer.clock().now());
            return Err(refusal.into_response());
        }
        let read = async {
            let body = Body::read(&parts.headers, stream).await?;
            let path = Path::from_request_parts(&mut parts, app).await;
            let Path(path) = path.map_err(api::bad_path)?;
            Ok((path, body))
        };
        match read.await {
            Ok((path, body)) => Ok(Self {
                app: Arc::clone(app),
                audit,
                path,
                body,
            }),
            Err(problem) => {
                let problem: Problem = problem;
                audit.refused(problem.detail());
                Err(problem.into_response())
            }
        }
    }
}

impl OnService {
    /// To write down what was done.
    pub(crate) fn audit(&self) -> Audit {
        self.audit.clone()
    }

    /// Answers by `change`, and writes down when it is refused.
    pub(crate) async fn told(
        self,
        change: impl AsyncFnOnce(&App, &Arc<Service>, &Body) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let result = async {
            let service = api::find_service(&self.app, &self.path)?;
            change(&self.app, &service, &self.body).await
        };
        result
            .await
            .inspect_err(|problem| self.audit.refused(problem.detail()))
    }

    /// Puts the operation in force that the body stands for, and shows the service after it.
    pub(crate) async fn operate(
        self,
        operation: impl FnOnce(&Service, &Body) -> Result<Operation, Problem>,
    ) -> Result<Response, Problem> {
        let audit = self.audit.clone();
        self.told(async |app, service, body| {
            let effect = operate(service, operation(service, body)?, audit).await?;
            Ok(Json(wire::ServiceWritten {
                effect: word(effect).to_owned(),
                service: api::describe_service(app, service),
            })
            .into_response())
        })
        .await
    }
}

impl OnInstance {
    /// Puts the operation in force that the id and the body stand for, and shows the instance after it, unless it is
    /// gone.
    pub(crate) async fn operate(
        self,
        operation: impl FnOnce(&App, InstanceId, &Body) -> Result<Operation, Problem>,
    ) -> Result<Response, Problem> {
        let audit = self.audit.clone();
        let result = async {
            let (service, id) = &self.path;
            let service = api::find_service(&self.app, service)?;
            let id = InstanceId::new(id).map_err(|error| Problem::field("id", error))?;
            let operation = operation(&self.app, id.clone(), &self.body)?;
            let removes = matches!(operation, Operation::Deregister(_));
            let effect = operate(&service, operation, audit).await?;
            if removes {
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            let status = match effect {
                Effect::Registered => StatusCode::CREATED,
                _ => StatusCode::OK,
            };
            let instance = api::describe_instance(&self.app, &service, id.as_str())?;
            let effect = word(effect).to_owned();
            Ok((status, Json(wire::InstanceWritten { effect, instance })).into_response())
        };
        result
            .await
            .inspect_err(|problem: &Problem| self.audit.refused(problem.detail()))
    }
}

/// What came with a request.
pub(crate) struct Body(String);

impl Body {
    async fn read(headers: &HeaderMap, stream: Stream) -> Result<Self, Problem> {
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
        let bytes = tokio::time::timeout(PATIENCE, axum::body::to_bytes(stream, MAX_BODY)).await;
        let bytes = bytes.map_err(|_| {
            let detail = format!("the body did not come within {PATIENCE:?}");
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
        })?;
        let bytes = bytes.map_err(|_| {
            let detail = format!("the body is larger than {MAX_BODY} bytes, or was cut off");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        })?;
        let text = String::from_utf8(bytes.into());
        let text = text.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
        Ok(Self(text))
    }

    /// As what it should be.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_body(&self.0).map_err(Problem::from)
    }

    /// As what it should be, or the default when there is none.
    pub(crate) fn parse_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        match self.0.trim_ascii() {
            "" => Ok(T::default()),
            _ => self.parse(),
        }
    }

    /// Nothing, or an empty object.
    pub(crate) fn is_absent(&self) -> Result<(), Problem> {
        match self.0.trim_ascii() {
            "" | "{}" => Ok(()),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "this takes no body; send the request without one",
            )),
        }
    }
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
            // It would be right in a service that has other instances.
            conflict @ (OperationError::IdTaken { .. }
            | OperationError::Unsuitable { .. }
            | OperationError::UnsuitableShadow { .. }) => {
                Problem::new(StatusCode::CONFLICT, conflict.to_string())
            }
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
