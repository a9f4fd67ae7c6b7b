//! Which path is answered by whom, and what holds for every answer.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::problem::Problem;
use crate::{App, api, host, metrics, probes};

/// Every path, as a reader would write it.
const PATHS: [&str; 8] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/services",
    "/api/v1/services/{service}",
    "/api/v1/services/{service}/instances",
    "/api/v1/services/{service}/instances/{instance}",
    "/api/v1/events",
];

pub(crate) fn router(app: Arc<App>) -> Router {
    let [
        livez,
        readyz,
        metrics,
        services,
        service,
        instances,
        instance,
        events,
    ] = PATHS;
    Router::new()
        .route(livez, get(probes::livez))
        .route(readyz, get(probes::readyz))
        .route(metrics, get(metrics::metrics))
        .route(services, get(api::services))
        .route(service, get(api::service))
        .route(instances, get(api::instances))
        .route(instance, get(api::instance))
        .route(events, get(api::events))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&app), frame))
        .with_state(app)
}

async fn unknown_path(uri: Uri) -> Problem {
    let path = uri.path();
    Problem::not_found(format!("there is nothing at {path:?}"), path, PATHS.into_iter())
}

async fn wrong_method(method: Method) -> Response {
    let detail = format!("this path is only read: use GET or HEAD instead of {method}");
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    let allow = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// Checks before, and headers after, every request.
async fn frame(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if let Err(problem) = host::check(&request, app.local) {
        problem.into_response()
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
