//! Who may read, who may change.
//!
//! Reading from this machine is open; from another one it takes the token, except for probes, which tell no topology. So
//! it does for who calls this one by a foreign name: a page in a browser here, that had its name point to loopback.
//! Changing takes the token from everywhere: a web page can make a visitor's browser send requests to loopback, and
//! other users of the machine can anyway. Without a token in the process, nobody changes anything.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::token::Token;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    /// Of the connection that a request came on. One without is taken for a stranger's.
    pub(crate) fn of(extensions: &axum::http::Extensions) -> Self {
        let unknown = Self(SocketAddr::from(([0, 0, 0, 0], 0)));
        extensions.get::<Self>().copied().unwrap_or(unknown)
    }

    fn is_local(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It brings no token.
    NoToken,
    /// It brings another token.
    WrongToken,
    /// The process has no token.
    Closed,
}

impl Refusal {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::WrongToken => "a wrong token",
            Self::Closed => "this process has no token",
        }
    }
}

/// Whether a request with these headers may read. `token` is that of the process, and `named` says whether the request
/// calls it by a name that can only be its own.
pub(crate) fn may_read(
    token: Option<&Token>,
    peer: Peer,
    named: bool,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    if (peer.is_local() && named) || matches!(path, "/livez" | "/readyz") {
        return Ok(());
    }
    may_write(token, headers)
}

/// Whether a request with these headers may change something.
pub(crate) fn may_write(token: Option<&Token>, headers: &HeaderMap) -> Result<(), Refusal> {
    let token = token.ok_or(Refusal::Closed)?;
    let given = bearer(headers).ok_or(Refusal::NoToken)?;
    if token.is(given) {
        Ok(())
    } else {
        Err(Refusal::WrongToken)
    }
}

/// What stands behind `Bearer` in the only `Authorization` field.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let (scheme, token) = field.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail, challenge) = match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "this takes the admin token: send it as `Authorization: Bearer TOKEN`; the log names its file at the \
                 start",
                Some("Bearer realm=\"evenkeel\""),
            ),
            Self::WrongToken => (
                StatusCode::UNAUTHORIZED,
                "this is not the admin token; the log names its file at the start",
                Some("Bearer realm=\"evenkeel\", error=\"invalid_token\""),
            ),
            Self::Closed => (
                StatusCode::FORBIDDEN,
                "this process has no admin token, so that nothing is changed here and other machines read nothing but \
                 probes; set `state_dir`, or `admin: { token_file: FILE }`, and start it again",
                None,
            ),
        };
        let mut response = Problem::new(status, detail).into_response();
        if let Some(challenge) = challenge {
            let value = HeaderValue::from_static(challenge);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_read_probes_and_the_rest_with_the_token() {
        let token = Token::new("0123456789abcdef").unwrap();
        let (mut with, without) = (HeaderMap::new(), HeaderMap::new());
        let field = HeaderValue::from_static("Bearer 0123456789abcdef");
        with.insert(header::AUTHORIZATION, field);
        let peer = |address: &str| Peer(address.parse().unwrap());
        let read =
            |from: &str, path, headers: &HeaderMap| may_read(Some(&token), peer(from), true, path, headers);
        for local in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(read(local, "/api/v1/services", &without), Ok(()), "{local}");
            assert_eq!(
                may_read(None, peer(local), true, "/metrics", &without),
                Ok(()),
                "{local}"
            );
        }
        for other in [
            "10.0.0.7:1",
            "[2001:db8::7]:1",
            "[::ffff:10.0.0.7]:1",
            "0.0.0.0:0",
        ] {
            for path in ["/livez", "/readyz"] {
                assert_eq!(read(other, path, &without), Ok(()), "{other}");
                assert_eq!(
                    may_read(None, peer(other), true, path, &without),
                    Ok(()),
                    "{other}"
                );
            }
            for path in ["/metrics", "/api/v1/services", "/api/v1/events", "/livez/x"] {
                assert_eq!(read(other, path, &without), Err(Refusal::NoToken), "{other}");
                assert_eq!(read(other, path, &with), Ok(()), "{other}");
                assert_eq!(
                    may_read(None, peer(other), true, path, &with),
                    Err(Refusal::Closed)
                );
            }
        }
        assert!(!Peer::of(&axum::http::Extensions::new()).is_local());
    }

    #[test]
    fn a_token_stands_behind_bearer_once() {
        let found = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(field).unwrap());
            }
            bearer(&headers).map(|token| String::from_utf8_lossy(token).into_owned())
        };
        for field in ["Bearer secret", "bearer secret", "BEARER  secret "] {
            assert_eq!(found(&[field]).as_deref(), Some("secret"), "{field}");
        }
        for fields in [
            &[][..],
            &["secret"],
            &["Bearer"],
            &["Bearer "],
            &["Basic c2VjcmV0"],
            &["Bearersecret"],
            &["Bearer secret", "Bearer secret"],
        ] {
            assert_eq!(found(fields), None, "{fields:?}");
        }
    }
}
