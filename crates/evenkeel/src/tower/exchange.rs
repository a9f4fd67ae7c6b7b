//! What the adapter knows of the protocol: what decides on a request, and what its end says.

use std::borrow::Cow;
use std::io;

use evenkeel_core::{HashedKey, KeySource, RequestKey, Verdict};
use evenkeel_runtime::is_shortage;
use http::HeaderMap;
use http::header::COOKIE;
use http_body::Body;
use tower::BoxError;

use super::body::TrackedBody;
use super::report;
use crate::Lease;

/// How requests and responses of a protocol are understood.
pub trait Exchange<Request, Response>: Clone {
    /// The response that callers get; it may hold the lease.
    type Response;

    /// The hash of what the strategy wants of the request; `None` when the request lacks it, and is then spread at
    /// random. Asked only for strategies that hash.
    fn key(&self, request: &Request, wanted: &RequestKey) -> Option<HashedKey> {
        let _ = (request, wanted);
        None
    }

    /// The region the request comes from, when that is known.
    fn region<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let _ = request;
        None
    }

    /// Ends the lease by what the response says, or puts it into the response, to end with that.
    fn respond(&self, lease: Lease, response: Response) -> Self::Response;

    /// What an error of the inner service says about the instance. A failure, unless it speaks of this machine.
    fn judge(&self, error: &BoxError) -> Verdict {
        judge(error)
    }
}

/// A failure, unless this machine is short of something.
fn judge(error: &BoxError) -> Verdict {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        cause = match error.downcast_ref::<io::Error>() {
            Some(error) if is_shortage(error) => return Verdict::Cancelled,
            // An I/O error that wraps another has the source of that, and not itself.
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    Verdict::Failure
}

/// Requests and responses of the `http` crate. Keys are taken from headers, cookies, query or path, as the strategy
/// says; a request's extension [`RoutingKey`] goes before all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http;

/// An extension of a request that decides on its instance with strategies that hash, whatever their `key` says: a
/// user, a session, a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingKey(pub Cow<'static, str>);

impl<A, B: Body> Exchange<http::Request<A>, http::Response<B>> for Http {
    type Response = http::Response<TrackedBody<B>>;

    fn key(&self, request: &http::Request<A>, wanted: &RequestKey) -> Option<HashedKey> {
        let own = request.extensions().get::<RoutingKey>();
        let bytes = match own {
            Some(key) => Some(key.0.as_bytes()),
            None => bytes(request, &wanted.source),
        };
        bytes
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| wanted.hash.hash(bytes))
    }

    fn respond(&self, mut lease: Lease, response: http::Response<B>) -> Self::Response {
        lease.head_arrived();
        let (head, body) = response.into_parts();
        report::take(&lease, &head.headers);
        let body = TrackedBody::new(body, lease, &head);
        http::Response::from_parts(head, body)
    }
}

/// What `source` names, as it was sent.
fn bytes<'a, A>(request: &'a http::Request<A>, source: &KeySource) -> Option<&'a [u8]> {
    match source {
        KeySource::Header(name) => request.headers().get(&**name).map(http::HeaderValue::as_bytes),
        KeySource::Cookie(name) => cookie(request.headers(), name.as_bytes()),
        KeySource::Query(name) => {
            let pairs = request.uri().query()?.split('&');
            let named = pairs.filter_map(|pair| pair.split_once('='));
            let mut values = named.filter_map(|(key, value)| (key == &**name).then_some(value));
            values.next().map(str::as_bytes)
        }
        KeySource::Path => Some(request.uri().path().as_bytes()),
        // A client has no other source than itself.
        KeySource::SourceAddress => None,
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs
        .filter_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((&pair[..equals], &pair[equals + 1..]))
        })
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Any protocol: a response is a success, an error a failure, and the lease ends with either.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl<Request, Response> Exchange<Request, Response> for Plain {
    type Response = Response;

    fn respond(&self, lease: Lease, response: Response) -> Response {
        lease.succeeded();
        response
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{HashedKey, KeyHash};

    use super::*;

    fn key(request: http::request::Builder, source: KeySource) -> Option<HashedKey> {
        let request = request.body(()).unwrap();
        let hash = KeyHash::Xxh64;
        let wanted = RequestKey { source, hash };
        <Http as Exchange<http::Request<()>, http::Response<String>>>::key(&Http, &request, &wanted)
    }

    #[test]
    fn keys_are_found_where_the_strategy_looks() {
        let alice = Some(KeyHash::Xxh64.hash(b"alice"));
        let request = || {
            http::Request::get("http://x/alice?a=1&user=alice&user=bob")
                .header("x-user", "alice")
                .header("cookie", "a=b; user=alice")
        };
        let sources = [
            KeySource::Header("X-User".into()),
            KeySource::Cookie("user".into()),
            KeySource::Query("user".into()),
        ];
        for source in sources {
            assert_eq!(key(request(), source.clone()), alice, "{source:?}");
            assert_eq!(key(http::Request::get("/"), source.clone()), None, "{source:?}");
            let own = http::Request::get("/").extension(RoutingKey("alice".into()));
            assert_eq!(key(own, source), alice);
        }
        assert_eq!(
            key(request(), KeySource::Path),
            Some(KeyHash::Xxh64.hash(b"/alice"))
        );
        assert_eq!(key(request(), KeySource::SourceAddress), None);
        let empty = http::Request::get("/?user=").header("x-user", "");
        assert_eq!(key(empty, KeySource::Query("user".into())), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_shortage_of_this_machine_says_nothing_about_the_instance() {
        let shortage = io::Error::from_raw_os_error(24);
        let wrapped = io::Error::other(shortage);
        assert_eq!(judge(&wrapped.into()), Verdict::Cancelled);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(judge(&refused.into()), Verdict::Failure);
        assert_eq!(judge(&"timed out".into()), Verdict::Failure);
    }
}
