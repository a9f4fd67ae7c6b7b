//! Which path is answered by whom, and what holds for every answer.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use crate::access::Peer;
use crate::problem::Problem;
use crate::{App, access, api, explain, host, metrics, probes, write};

/// Every path as a reader would write it, and its methods.
const PATHS: [(&str, &str); 14] = [
    ("/livez", READ),
    ("/readyz", READ),
    ("/metrics", READ),
    ("/api/v1/services", READ),
    ("/api/v1/services/{service}", "GET, HEAD, PATCH"),
    ("/api/v1/services/{service}/explain", READ),
    ("/api/v1/services/{service}/pick", "POST"),
    ("/api/v1/services/{service}/instances", READ),
    (
        "/api/v1/services/{service}/instances/{instance}",
        "GET, HEAD, PUT, DELETE",
    ),
    ("/api/v1/services/{service}/instances/{instance}/health", "PUT"),
    ("/api/v1/services/{service}/instances/{instance}/load", "PUT"),
    ("/api/v1/services/{service}/instances/{instance}/drain", "POST"),
    ("/api/v1/services/{service}/instances/{instance}/undrain", "POST"),
    ("/api/v1/events", READ),
];
const READ: &str = "GET, HEAD";

pub(crate) fn router(app: Arc<App>) -> Router {
    let [
        livez,
        readyz,
        metrics,
        services,
        service,
        explain,
        pick,
        instances,
        instance,
        health,
        load,
        drain,
        undrain,
        events,
    ] = PATHS.map(|(path, _)| path);
    Router::new()
        .route(livez, get(probes::livez))
        .route(readyz, get(probes::readyz))
        .route(metrics, get(metrics::metrics))
        .route(services, get(api::services))
        .route(service, get(api::service).patch(write::patch_service))
        .route(explain, get(explain::explain))
        .route(pick, post(explain::pick))
        .route(instances, get(api::instances))
        .route(
            instance,
            get(api::instance)
                .put(write::put_instance)
                .delete(write::delete_instance),
        )
        .route(health, put(write::put_health))
        .route(load, put(write::put_load))
        .route(drain, post(write::drain))
        .route(undrain, post(write::undrain))
        .route(events, get(api::events))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&app), frame))
        .with_state(app)
}

async fn unknown_path(uri: Uri) -> Problem {
    let path = uri.path();
    Problem::not_found(
        format!("there is nothing at {path:?}"),
        path,
        PATHS.iter().map(|(path, _)| *path),
    )
}

async fn wrong_method(method: Method, matched: MatchedPath) -> Response {
    let row = PATHS.iter().find(|(path, _)| *path == matched.as_str());
    let allowed = row.map_or(READ, |(_, methods)| *methods);
    let detail = format!(
        "{method} means nothing here: use {}",
        allowed.replace(", ", " or ")
    );
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    let allow = HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// Checks before, and headers after, every request.
async fn frame(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (peer, token) = (Peer::of(request.extensions()), app.shared.token.as_ref());
    let mut response = if let Err(problem) = host::check(&request, app.local) {
        problem.into_response()
    } else if reads
        && let Err(refusal) = access::may_read(token, peer, request.uri().path(), request.headers())
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
