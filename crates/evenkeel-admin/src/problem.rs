//! Errors as RFC 9457 problems: what, to what, and what to ask for instead.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use evenkeel_core::InstanceError;

use crate::wire;

/// The media type of a problem.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Names listed in a problem; the total is given beside them.
const LISTED: usize = 20;
/// Longer names get no suggestion: comparing takes the product of the lengths, for every name.
const COMPARED_BYTES: usize = 64;

/// An error on its way to the reader.
#[derive(Debug)]
pub(crate) struct Problem(Box<wire::Problem>);

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(wire::Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            did_you_mean: None,
            available: Vec::new(),
            available_total: None,
            errors: Vec::new(),
        }))
    }

    /// 400 for what stands in `field`.
    pub(crate) fn field(field: &str, detail: impl ToString) -> Self {
        let detail = detail.to_string();
        let mut problem = Self::new(StatusCode::BAD_REQUEST, detail.clone());
        problem.set_errors([wire::Fault {
            field: Some(field.to_owned()),
            detail,
            help: None,
        }]);
        problem
    }

    /// 400 for what cannot be an instance; the text of the error begins with the field.
    pub(crate) fn bad_instance(error: InstanceError) -> Self {
        let detail = error.to_string();
        // The API has the port in the address.
        let field = match detail.split_once(':') {
            Some(("port", _)) | None => "address",
            Some((field, _)) => field,
        };
        Self::field(field, &detail)
    }

    /// What is wrong with a body, one by one.
    pub(crate) fn set_errors(&mut self, errors: impl IntoIterator<Item = wire::Fault>) {
        self.0.errors = errors.into_iter().collect();
    }

    /// What is wrong and what to do.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// 404 for `asked`, which is none of `names`.
    pub(crate) fn not_found<'a>(
        detail: impl Into<String>,
        asked: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut problem = Self::new(StatusCode::NOT_FOUND, detail);
        let mut best = usize::MAX;
        let mut total = 0;
        for name in names {
            if let Some(distance) = typing_errors(asked, name)
                && distance < best
            {
                best = distance;
                problem.0.did_you_mean = Some(name.to_owned());
            }
            if total < LISTED {
                problem.0.available.push(name.to_owned());
            }
            total += 1;
        }
        problem.0.available_total = Some(total);
        problem
    }
}

/// How many characters were mistyped if `name` was meant; `None` when that is more than a third of
/// them, which makes it another name.
fn typing_errors(asked: &str, name: &str) -> Option<usize> {
    let longer = asked.len().max(name.len());
    if longer > COMPARED_BYTES {
        return None;
    }
    let distance = strsim::osa_distance(asked, name);
    (distance * 3 <= longer).then_some(distance)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
        response
    }
}
