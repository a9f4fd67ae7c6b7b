//! Which path is answered by whom, and what holds for every answer.
//!
//! One table, [`OPERATIONS`], makes the router, the methods that a 405 names, the paths that a 404 suggests and the
//! OpenAPI document, so that none of them can differ from the others.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use evenkeel_config::{
    DrainRequest, HealthRequest, InstanceRequest, LoadRequest, PickBody, RecordRequest, ServicePatch,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::access::Peer;
use crate::problem::Problem;
use crate::{App, access, api, explain, host, metrics, openapi, picks, probes, wire, write};

/// The schema of a type.
pub(crate) type Schemed = fn(&mut SchemaGenerator) -> Schema;

/// What a request brings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    Nothing,
    /// It may be left out.
    Perhaps(Schemed),
    Json(Schemed),
}

/// What an answer brings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    Nothing,
    Text,
    /// Any JSON.
    Document,
    Json(Schemed),
}

/// A method of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) method: Verb,
    pub(crate) path: &'static str,
    /// One sentence.
    pub(crate) summary: &'static str,
    pub(crate) body: Body,
    /// The answers that are no problems.
    pub(crate) replies: &'static [(u16, Reply)],
    handler: fn() -> MethodRouter<Arc<App>>,
}

/// The methods there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
    Post,
    Patch,
    Delete,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Something that is read.
const fn read(
    path: &'static str,
    summary: &'static str,
    replies: &'static [(u16, Reply)],
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Operation {
    Operation {
        method: Verb::Get,
        path,
        summary,
        body: Body::Nothing,
        replies,
        handler,
    }
}

/// A change of an instance, which is answered with the instance.
const fn change(
    method: Verb,
    path: &'static str,
    summary: &'static str,
    body: Body,
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Operation {
    Operation {
        method,
        path,
        summary,
        body,
        replies: &[(200, Reply::Json(of::<wire::InstanceWritten>))],
        handler,
    }
}

const SERVICE: &str = "/api/v1/services/{service}";
const PICKS: &str = "/api/v1/services/{service}/picks";
const INSTANCE: &str = "/api/v1/services/{service}/instances/{instance}";
const GONE: &[(u16, Reply)] = &[(204, Reply::Nothing)];

/// Everything there is.
pub(crate) const OPERATIONS: &[Operation] = &[
    read(
        "/livez",
        "Whether the process is alive",
        &[(200, Reply::Text)],
        || get(probes::livez),
    ),
    read(
        "/readyz",
        "Whether it should get traffic; else 503",
        &[(200, Reply::Text)],
        || get(probes::readyz),
    ),
    read(
        "/metrics",
        "Metrics for Prometheus; 404 when they are off",
        &[(200, Reply::Text)],
        || get(metrics::metrics),
    ),
    read(
        "/openapi.json",
        "This document",
        &[(200, Reply::Document)],
        || get(openapi::document),
    ),
    read(
        "/api/v1/services",
        "All services",
        &[(200, Reply::Json(of::<wire::Services>))],
        || get(api::services),
    ),
    read(
        SERVICE,
        "A service",
        &[(200, Reply::Json(of::<wire::Service>))],
        || get(api::service),
    ),
    Operation {
        method: Verb::Patch,
        path: SERVICE,
        summary: "Picks by another strategy, or asks another one beside it, until the configuration is loaded again",
        body: Body::Json(of::<ServicePatch>),
        replies: &[(200, Reply::Json(of::<wire::ServiceWritten>))],
        handler: || patch(write::patch_service),
    },
    read(
        openapi::EXPLAIN,
        "Every instance with what each stage made of it, whom a pick would choose and why not the others",
        &[(200, Reply::Json(of::<wire::Explanation>))],
        || get(explain::explain),
    ),
    Operation {
        method: Verb::Post,
        path: "/api/v1/services/{service}/pick",
        summary: "Picks for who sends the request himself; takes the strategy's next turn, and counts nothing",
        body: Body::Perhaps(of::<PickBody>),
        replies: &[(200, Reply::Json(of::<wire::Picked>))],
        handler: || post(explain::pick),
    },
    read(
        PICKS,
        "The picks that were recorded last",
        &[(200, Reply::Json(of::<wire::Picks>))],
        || get(picks::picks),
    ),
    Operation {
        method: Verb::Put,
        path: PICKS,
        summary: "Records picks for a time",
        body: Body::Json(of::<RecordRequest>),
        replies: &[(200, Reply::Json(of::<wire::Picks>))],
        handler: || put(picks::record),
    },
    Operation {
        method: Verb::Delete,
        path: PICKS,
        summary: "Records picks as configured from now on",
        body: Body::Nothing,
        replies: GONE,
        handler: || delete(picks::stop),
    },
    read(
        "/api/v1/services/{service}/instances",
        "The instances of a service",
        &[(200, Reply::Json(of::<wire::Instances>))],
        || get(api::instances),
    ),
    read(
        INSTANCE,
        "An instance",
        &[(200, Reply::Json(of::<wire::Instance>))],
        || get(api::instance),
    ),
    Operation {
        replies: &[
            (200, Reply::Json(of::<wire::InstanceWritten>)),
            (201, Reply::Json(of::<wire::InstanceWritten>)),
        ],
        ..change(
            Verb::Put,
            INSTANCE,
            "Registers an instance, or changes its weight, priority and labels",
            Body::Json(of::<InstanceRequest>),
            || put(write::put_instance),
        )
    },
    Operation {
        replies: GONE,
        ..change(
            Verb::Delete,
            INSTANCE,
            "Removes an instance",
            Body::Nothing,
            || delete(write::delete_instance),
        )
    },
    change(
        Verb::Put,
        "/api/v1/services/{service}/instances/{instance}/health",
        "Says how well an instance is",
        Body::Json(of::<HealthRequest>),
        || put(write::put_health),
    ),
    change(
        Verb::Put,
        "/api/v1/services/{service}/instances/{instance}/load",
        "Says how busy an instance is, in the numbers of ORCA",
        Body::Json(of::<LoadRequest>),
        || put(write::put_load),
    ),
    change(
        Verb::Post,
        "/api/v1/services/{service}/instances/{instance}/drain",
        "Gives an instance no new requests",
        Body::Perhaps(of::<DrainRequest>),
        || post(write::drain),
    ),
    change(
        Verb::Post,
        "/api/v1/services/{service}/instances/{instance}/undrain",
        "Ends a drain",
        Body::Nothing,
        || post(write::undrain),
    ),
    read(
        "/api/v1/events",
        "The last 1024 events",
        &[(200, Reply::Json(of::<wire::Events>))],
        || get(api::events),
    ),
];

/// The paths, each once.
fn paths() -> impl Iterator<Item = &'static str> {
    let firsts = OPERATIONS.iter().enumerate();
    firsts
        .filter(|(index, one)| OPERATIONS[..*index].iter().all(|before| before.path != one.path))
        .map(|(_, one)| one.path)
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let router = Router::new();
    OPERATIONS
        .iter()
        .fold(router, |router, one| router.route(one.path, (one.handler)()))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&app), frame))
        .with_state(app)
}

async fn unknown_path(uri: Uri) -> Problem {
    let path = uri.path();
    Problem::not_found(format!("there is nothing at {path:?}"), path, paths())
}

async fn wrong_method(method: Method, matched: MatchedPath) -> Response {
    let here = OPERATIONS.iter().filter(|one| one.path == matched.as_str());
    let allowed = here.map(|one| match one.method {
        Verb::Get => "GET, HEAD",
        other => other.as_str(),
    });
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let detail = format!(
        "{method} means nothing here: use {}",
        allowed.replace(", ", " or ")
    );
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    if let Ok(allow) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Checks before, and headers after, every request.
async fn frame(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (peer, token) = (Peer::of(request.extensions()), app.shared.token.as_ref());
    let named = host::names_us(&request, app.local);
    let mut response = if let Err(problem) = host::check(&request, app.local) {
        problem.into_response()
    } else if reads
        && let Err(refusal) = access::may_read(token, peer, named, request.uri().path(), request.headers())
    {
        refusal.into_response()
    } else if reads && !request.body().is_end_stream() {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "nothing here takes a request body; send the request without one",
        )
        .into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
