//! Field names: the few a proxy acts upon, recognised by length and first byte.
//!
//! Names outside the list are [`FieldName::Other`] after one comparison of a length and a byte; the
//! full comparison runs only for a candidate. There is no table of all registered names on purpose.

/// A field name with a meaning to the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum FieldName {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    Upgrade,
    Http2Settings,
    Expect,
    Via,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XForwardedPort,
    XRealIp,
    XRequestId,
    MaxForwards,
    Date,
    Server,
    Authorization,
    ProxyAuthorization,
    ProxyAuthenticate,
    WwwAuthenticate,
    ProxyStatus,
    ContentType,
    ContentEncoding,
    ContentRange,
    CacheControl,
    Cookie,
    SetCookie,
    EndpointLoadMetrics,
    EndpointLoadMetricsBin,
    /// Any other name.
    #[default]
    Other,
}

use FieldName as N;

impl FieldName {
    /// Classifies `name` without regard to case. Cost: one match, at most three comparisons.
    #[inline]
    pub fn classify(name: &[u8]) -> Self {
        let Some(first) = name.first() else {
            return N::Other;
        };
        let candidates: &[(&[u8], N)] = match (name.len(), first | 0x20) {
            (2, b't') => &[(b"te", N::Te)],
            (3, b'v') => &[(b"via", N::Via)],
            (4, b'h') => &[(b"host", N::Host)],
            (4, b'd') => &[(b"date", N::Date)],
            (6, b'e') => &[(b"expect", N::Expect)],
            (6, b's') => &[(b"server", N::Server)],
            (6, b'c') => &[(b"cookie", N::Cookie)],
            (7, b't') => &[(b"trailer", N::Trailer)],
            (7, b'u') => &[(b"upgrade", N::Upgrade)],
            (9, b'f') => &[(b"forwarded", N::Forwarded)],
            (9, b'x') => &[(b"x-real-ip", N::XRealIp)],
            (10, b'c') => &[(b"connection", N::Connection)],
            (10, b'k') => &[(b"keep-alive", N::KeepAlive)],
            (10, b's') => &[(b"set-cookie", N::SetCookie)],
            (12, b'c') => &[(b"content-type", N::ContentType)],
            (12, b'x') => &[(b"x-request-id", N::XRequestId)],
            (12, b'm') => &[(b"max-forwards", N::MaxForwards)],
            (12, b'p') => &[(b"proxy-status", N::ProxyStatus)],
            (13, b'c') => &[
                (b"cache-control", N::CacheControl),
                (b"content-range", N::ContentRange),
            ],
            (13, b'a') => &[(b"authorization", N::Authorization)],
            (14, b'c') => &[(b"content-length", N::ContentLength)],
            (14, b'h') => &[(b"http2-settings", N::Http2Settings)],
            (15, b'x') => &[(b"x-forwarded-for", N::XForwardedFor)],
            (16, b'x') => &[
                (b"x-forwarded-host", N::XForwardedHost),
                (b"x-forwarded-port", N::XForwardedPort),
            ],
            (16, b'p') => &[(b"proxy-connection", N::ProxyConnection)],
            (16, b'c') => &[(b"content-encoding", N::ContentEncoding)],
            (16, b'w') => &[(b"www-authenticate", N::WwwAuthenticate)],
            (17, b't') => &[(b"transfer-encoding", N::TransferEncoding)],
            (17, b'x') => &[(b"x-forwarded-proto", N::XForwardedProto)],
            (18, b'p') => &[(b"proxy-authenticate", N::ProxyAuthenticate)],
            (19, b'p') => &[(b"proxy-authorization", N::ProxyAuthorization)],
            (21, b'e') => &[(b"endpoint-load-metrics", N::EndpointLoadMetrics)],
            (25, b'e') => &[(b"endpoint-load-metrics-bin", N::EndpointLoadMetricsBin)],
            _ => return N::Other,
        };
        candidates
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map_or(N::Other, |(_, id)| *id)
    }

    /// Whether the field concerns one connection only, named by `Connection` or not
    /// (RFC 9110 §7.6.1; `HTTP2-Settings` is RFC 7540 §3.2.1).
    #[inline]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            N::Connection
                | N::KeepAlive
                | N::ProxyConnection
                | N::Te
                | N::TransferEncoding
                | N::Upgrade
                | N::Http2Settings
        )
    }

    /// Whether an instance reports its load in the field (ORCA).
    #[inline]
    pub const fn is_load_report(self) -> bool {
        matches!(self, N::EndpointLoadMetrics | N::EndpointLoadMetricsBin)
    }
}

/// Names without a meaning to the proxy that a recipient might act upon when it merges trailers into the
/// head: request modifiers and response controls.
const CONTROLS: &[&[u8]] = &[
    b"age",
    b"expires",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"location",
    b"pragma",
    b"range",
    b"retry-after",
    b"vary",
];

/// Whether a trailer of this name must not be forwarded: framing, routing, authentication, request
/// modifiers, response controls and content format (RFC 9110 §6.5.1), what concerns one connection only,
/// what the proxy vouches for itself, and imitations of these.
pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    match FieldName::classify(name) {
        N::Other => {
            imitates_framing(name)
                || imitates_vouched(name)
                || CONTROLS.iter().any(|control| name.eq_ignore_ascii_case(control))
        }
        N::Date | N::Server | N::ProxyStatus | N::EndpointLoadMetrics | N::EndpointLoadMetricsBin => false,
        _ => true,
    }
}

/// Whether an unknown name would be taken for a framing field by a recipient that is careless about
/// separators: `Content_Length`, `Transfer.Encoding`, `ContentLength`, `Content-Length-`.
///
/// Some recipients (CGI, WSGI and their kin) map `-` and `_` to one character, others strip what they
/// do not know; both have been used to smuggle a second framing past a proxy.
#[inline]
pub(crate) fn imitates_framing(name: &[u8]) -> bool {
    (13..=32).contains(&name.len())
        && (squashes_to(name, b"contentlength") || squashes_to(name, b"transferencoding"))
}

/// Whether `name` without its non-alphanumeric characters is `letters`, which is lower case.
fn squashes_to(name: &[u8], letters: &[u8]) -> bool {
    let mut kept = name
        .iter()
        .filter(|b| b.is_ascii_alphanumeric())
        .map(u8::to_ascii_lowercase);
    letters.iter().all(|letter| kept.next() == Some(*letter)) && kept.next().is_none()
}

/// Whether `name`, with `_` read as `-`, is a field by which the proxy vouches for something
/// (`X_Forwarded_For`). Such a line is not forwarded: a recipient that maps both characters to one
/// could take the client's line for the proxy's.
#[inline]
pub(crate) fn imitates_vouched(name: &[u8]) -> bool {
    if !(9..=17).contains(&name.len()) || (name[0] | 0x20) != b'x' || memchr::memchr(b'_', name).is_none() {
        return false;
    }
    let mut copy = [0u8; 17];
    let copy = &mut copy[..name.len()];
    for (to, from) in copy.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    FieldName::classify(copy) != N::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for (name, id) in [
            ("Host", N::Host),
            ("hOST", N::Host),
            ("CONTENT-LENGTH", N::ContentLength),
            ("transfer-Encoding", N::TransferEncoding),
            ("TE", N::Te),
            ("content-range", N::ContentRange),
            ("X-Forwarded-Port", N::XForwardedPort),
            ("Endpoint-Load-Metrics", N::EndpointLoadMetrics),
            ("endpoint-load-metrics-BIN", N::EndpointLoadMetricsBin),
            ("endpoint-load-metrics-txt", N::Other),
            ("Hosts", N::Other),
            ("Content-Lengthy", N::Other),
            ("", N::Other),
        ] {
            assert_eq!(FieldName::classify(name.as_bytes()), id, "{name}");
        }
    }

    #[test]
    fn imitations_of_framing_names() {
        for name in [
            "Content_Length",
            "CONTENT.LENGTH",
            "ContentLength",
            "Content-Length-",
            "Transfer_Encoding",
            "'Transfer-Encoding",
        ] {
            assert!(imitates_framing(name.as_bytes()), "{name}");
        }
        for name in [
            "Content-Lengths",
            "X-Content-Length",
            "Content-Location",
            "Transfer-Encodin",
        ] {
            assert!(!imitates_framing(name.as_bytes()), "{name}");
        }
        assert!(imitates_vouched(b"X_Forwarded_For"));
        assert!(imitates_vouched(b"x-request_id"));
        assert!(!imitates_vouched(b"x_request_ids"));
        assert!(!imitates_vouched(b"x-forwarded-for"));
    }

    #[test]
    fn trailers_keep_only_what_is_harmless() {
        for name in [
            "X-Checksum",
            "Digest",
            "Server-Timing",
            "grpc-status",
            "Date",
            "endpoint-load-metrics",
        ] {
            assert!(!is_forbidden_trailer(name.as_bytes()), "{name}");
        }
        for name in [
            "Content-Length",
            "host",
            "Trailer",
            "Set-Cookie",
            "X-Forwarded-For",
            "x_forwarded_for",
            "TE",
            "Expect",
            "If-Range",
            "Content_Length",
            "Authorization",
            "Content-Type",
        ] {
            assert!(is_forbidden_trailer(name.as_bytes()), "{name}");
        }
    }
}
