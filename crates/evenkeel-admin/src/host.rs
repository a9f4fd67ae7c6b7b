//! Who a request says it talks to. A page in a browser can point a name of its own at 127.0.0.1 and
//! read what answers there (DNS rebinding); the `Host` header still carries that name. A listener on
//! loopback therefore answers only to loopback names. One that is open to other machines has names that nobody can list,
//! and whoever calls it by one is no better than another machine: see [`names_us`].

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header, uri::Authority};

use crate::problem::Problem;

/// Refuses a request that a browser was tricked into. `local` is where the listener is bound; one
/// that is open to other machines answers to every name, because nobody can list its names.
pub(crate) fn check(request: &Request, local: SocketAddr) -> Result<(), Problem> {
    let Some(host) = single_host(request.headers())? else {
        // Only HTTP/1.0 may leave it out, and no browser does.
        return if request.version() < axum::http::Version::HTTP_11 {
            Ok(())
        } else {
            Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the request has no Host header; HTTP/1.1 demands one",
            ))
        };
    };
    let authority: Authority = host.parse().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "the Host header is not a host with an optional port",
        )
    })?;
    let target = request.uri().authority();
    if local.ip().to_canonical().is_loopback() {
        for name in std::iter::once(&authority).chain(target) {
            if !is_local(name.host(), local) {
                return Err(refused(name.host()));
            }
        }
    }
    Ok(())
}

fn refused(name: &str) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        format!(
            "this listener is bound to loopback and does not answer to the name {name:?}; \
             ask for localhost, 127.0.0.1 or [::1], or bind it to an address of this machine"
        ),
    )
}

fn single_host(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the request has more than one Host header",
        ));
    }
    first
        .map(|value| {
            value
                .to_str()
                .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the Host header is not ASCII"))
        })
        .transpose()
}

/// Whether a request calls the listener by a name that nobody can give to a page of his own: loopback, or where it is
/// bound. Without a `Host` no browser sent it.
pub(crate) fn names_us(request: &Request, local: SocketAddr) -> bool {
    let Ok(host) = single_host(request.headers()) else {
        return false;
    };
    let named = host.is_none_or(|host| {
        let authority = host.parse::<Authority>();
        authority.is_ok_and(|authority| is_local(authority.host(), local))
    });
    let target = request.uri().authority();
    named && target.is_none_or(|target| is_local(target.host(), local))
}

/// Loopback by name or number, or the bound address itself. The port is left out of the matter: a
/// forwarded port has another number and is as local.
fn is_local(host: &str, local: SocketAddr) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip == local.ip(),
        Err(_) => {
            let name = bare.strip_suffix('.').unwrap_or(bare);
            name.eq_ignore_ascii_case("localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn status(local: &str, hosts: &[&str]) -> u16 {
        use axum::response::IntoResponse;
        let mut request = Request::builder().uri("/livez");
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Body::empty()).unwrap();
        check(&request, local.parse().unwrap())
            .map_or_else(|problem| problem.into_response().status().as_u16(), |()| 200)
    }

    #[test]
    fn loopback_answers_to_loopback_names_only() {
        for host in [
            "localhost",
            "LOCALHOST:9901",
            "localhost.",
            "127.0.0.1:9901",
            "127.8.8.8",
            "[::1]:9901",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(status("127.0.0.1:9901", &[host]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9901",
            "10.0.0.1",
            "[2001:db8::1]:9901",
            "localhost@evil.example",
        ] {
            assert_eq!(status("127.0.0.1:9901", &[host]), 403, "{host}");
        }
        assert_eq!(status("[::1]:9901", &["evil.example"]), 403);
    }

    #[test]
    fn host_is_there_once_and_well_formed() {
        assert_eq!(status("127.0.0.1:1", &[]), 400);
        assert_eq!(status("127.0.0.1:1", &["localhost", "localhost"]), 400);
        assert_eq!(status("127.0.0.1:1", &["local host"]), 400);
        assert_eq!(status("127.0.0.1:1", &["a/b"]), 400);
    }

    #[test]
    fn names_that_a_page_can_have_are_not_ours() {
        let request = |host: Option<&str>, target: &str| {
            let request = Request::builder().uri(target);
            let request = match host {
                Some(host) => request.header("host", host),
                None => request,
            };
            request.body(Body::empty()).unwrap()
        };
        let any: SocketAddr = "0.0.0.0:9901".parse().unwrap();
        for host in ["localhost:9901", "127.0.0.1", "[::1]:9901"] {
            assert!(names_us(&request(Some(host), "/"), any), "{host}");
        }
        assert!(names_us(&request(None, "/"), any));
        assert!(names_us(
            &request(Some("10.0.0.7:9901"), "/"),
            "10.0.0.7:9901".parse().unwrap()
        ));
        for host in ["evil.example", "localhost.evil.example", "10.0.0.7:9901", "a/b"] {
            assert!(!names_us(&request(Some(host), "/"), any), "{host}");
        }
        assert!(!names_us(
            &request(Some("localhost"), "http://evil.example/"),
            any
        ));
    }

    #[test]
    fn an_open_listener_answers_to_every_name() {
        assert_eq!(status("0.0.0.0:9901", &["evenkeel.prod.svc:9901"]), 200);
        assert_eq!(status("10.0.0.7:9901", &["evenkeel"]), 200);
    }
}
