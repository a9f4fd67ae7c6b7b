//! Why an exchange has no whole response, and what the client is told.

use std::io;

use evenkeel_h1::{BodyError, ResponseError};

use crate::reply::Reply;

/// Why there is no whole response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client's connection ended or broke.
    ClientGone,
    /// The client did not send its body, or did not read the response, in time.
    ClientStalled,
    /// The client's body is malformed.
    ClientBody(BodyError),
    /// The client's body is longer than allowed.
    TooLarge,
    /// No connection.
    Connect(io::ErrorKind),
    /// The connection ended before a byte of the response.
    NoResponse,
    /// It ended within the response head.
    HeadBroken,
    /// The response head is malformed.
    BadHead(ResponseError),
    /// The instance switched protocols without being asked to.
    Unasked,
    /// This machine has no file or port left for a connection: not the instance's fault.
    Shortage,
    /// The instance did not read the request in time.
    SendTimeout,
    /// The response head did not come in time.
    ResponseTimeout,
    /// The response body is malformed, ended early or stalled.
    BodyBroken,
}

impl Failure {
    /// Whether it says nothing about the instance.
    pub(crate) fn is_clients(&self) -> bool {
        matches!(
            self,
            Self::ClientGone | Self::ClientStalled | Self::ClientBody(_) | Self::TooLarge
        )
    }

    /// What the access log says of a response that broke off after its head.
    pub(crate) fn after_head(&self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::ClientStalled => "client_stalled",
            Self::ClientBody(_) | Self::TooLarge => "http_request_error",
            _ => "http_response_incomplete",
        }
    }

    /// What to tell the client; `None` when there is nobody to tell.
    pub(crate) fn into_reply(self) -> Option<Reply> {
        Some(match self {
            Self::ClientGone => return None,
            Self::ClientStalled => Reply::refusing(408, "the request body did not arrive in time"),
            Self::ClientBody(error) => Reply::refusing(400, error.to_string()),
            Self::TooLarge => Reply::too_large(),
            Self::Connect(io::ErrorKind::TimedOut) => {
                Reply::new(504, "connection_timeout", "no connection to an instance in time")
            }
            Self::Connect(io::ErrorKind::ConnectionRefused) => {
                Reply::new(502, "connection_refused", "the instance refuses connections")
            }
            Self::Shortage => Reply::new(
                503,
                "connection_limit_reached",
                "no file or port is left for a connection to an instance",
            ),
            Self::Connect(kind) => Reply::new(
                502,
                "destination_unavailable",
                format!("the instance cannot be reached: {kind}"),
            ),
            Self::NoResponse => Reply::new(
                502,
                "connection_terminated",
                "the instance closed without a response",
            ),
            Self::HeadBroken => Reply::new(
                502,
                "http_response_incomplete",
                "the response head of the instance broke off",
            ),
            Self::BadHead(error) => Reply::new(502, "http_protocol_error", error.to_string()),
            Self::Unasked => Reply::new(
                502,
                "http_upgrade_failed",
                "the instance switched protocols without being asked",
            ),
            Self::SendTimeout => Reply::new(
                504,
                "connection_write_timeout",
                "the instance did not read the request in time",
            ),
            Self::ResponseTimeout => Reply::new(
                504,
                "http_response_timeout",
                "the instance did not answer in time",
            ),
            Self::BodyBroken => Reply::new(
                502,
                "http_response_incomplete",
                "the response of the instance broke off",
            ),
        })
    }
}
