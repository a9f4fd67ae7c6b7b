//! Heads on their way through, without a header map: runs of lines that stay are copied as they are,
//! lines that must not pass are skipped, ours are appended.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use evenkeel_core::{Rng, SessionTag};
use evenkeel_h1::{Field, FieldName, Framing, Method, RequestHead, ResponseHead, Span, Version};

use crate::sticky::StickyCookie;

/// Name under which this proxy appears in `Via` and `Proxy-Status`.
pub(crate) const PSEUDONYM: &str = "evenkeel";
/// Times a request may pass this very process before it counts as going round in circles. More than
/// one is legitimate: a backend behind one listener may be a proxy that calls another.
const MAX_PASSES: usize = 4;
const CRLF: &[u8] = b"\r\n";

/// What is the same for all requests of a client connection.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The client's address as text.
    peer: Box<str>,
    /// Whether its forwarding fields are believed.
    trusted: bool,
}

impl Origin {
    pub(crate) fn new(peer: IpAddr, trusted: bool) -> Self {
        Self {
            peer: peer.to_string().into(),
            trusted,
        }
    }

    /// The client's address as text.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Whether its forwarding fields are believed.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted
    }
}

/// The unique part of this process's `Via` entries, by which it recognises its own.
#[derive(Debug, Clone)]
pub(crate) struct Via {
    v11: Box<[u8]>,
    v10: Box<[u8]>,
    own: Box<[u8]>,
}

impl Via {
    /// `process` should be unique among the proxies a request may pass.
    pub(crate) fn new(process: u32) -> Self {
        let own = format!("{PSEUDONYM}-{process:08x}");
        let line = |version| format!("Via: {version} {own}\r\n").into_bytes().into();
        Self {
            v11: line("1.1"),
            v10: line("1.0"),
            own: own.into_bytes().into(),
        }
    }

    /// Whether the request has passed this process so often that it must be a loop.
    pub(crate) fn is_loop(&self, head: &RequestHead, buf: &[u8]) -> bool {
        let passes: usize = head
            .fields()
            .iter()
            .filter(|field| field.id == FieldName::Via)
            .map(|field| {
                field
                    .value
                    .of(buf)
                    .windows(self.own.len())
                    .filter(|w| **w == *self.own)
                    .count()
            })
            .sum();
        passes >= MAX_PASSES
    }
}

/// Appends the request head to send to an instance.
///
/// Origin-form target, HTTP/1.1, one Host, no hop-by-hop field, our forwarding fields last. A client that
/// names no host means `local`, where it connected (RFC 9112 §3.3). Returns the id that the request has.
pub(crate) fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    buf: &[u8],
    local: Option<SocketAddr>,
    origin: &Origin,
    via: &Via,
    rng: &mut Rng,
) -> RequestId {
    let (slash, target) = head.origin_target(buf);
    out.extend_from_slice(head.method_span.of(buf));
    out.push(b' ');
    out.extend_from_slice(slash);
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");

    let authority = head.authority.of(buf);
    let mut host_follows = false;
    let mut request_id = None;
    let mut forwarded_proto = false;
    let mut forwarded_host = false;
    // A field that Connection names does not pass, so it stands for nothing either.
    for field in head.fields().iter().filter(|field| !field.hop_by_hop) {
        match field.id {
            FieldName::Host => host_follows = field.value == head.authority,
            FieldName::XRequestId if request_id.is_none() && is_usable_id(field.value.of(buf)) => {
                request_id = Some(field);
            }
            FieldName::XForwardedProto => forwarded_proto = origin.trusted,
            FieldName::XForwardedHost => forwarded_host = origin.trusted,
            _ => {}
        }
    }
    if !host_follows {
        // Absolute-form replaces Host (RFC 9112 §3.2.2); an HTTP/1.0 client may have sent none.
        match local {
            Some(local) if authority.is_empty() => {
                let _ = write!(out, "Host: {local}\r\n");
            }
            _ => line(out, b"Host", authority),
        }
    }
    copy_lines(out, head.fields(), buf, |field| {
        !field.hop_by_hop
            && match field.id {
                FieldName::Host => host_follows,
                FieldName::XForwardedFor => false,
                FieldName::XForwardedProto => forwarded_proto,
                FieldName::XForwardedHost => forwarded_host,
                FieldName::Forwarded | FieldName::XForwardedPort | FieldName::XRealIp => origin.trusted,
                FieldName::XRequestId => request_id.is_some_and(|id| id.line == field.line),
                FieldName::MaxForwards => !counts_forwards(head.method),
                _ => true,
            }
    });
    if let Some(left) = max_forwards(head, buf) {
        let _ = write!(out, "Max-Forwards: {}\r\n", left.saturating_sub(1));
    }
    if head.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if head.te_trailers {
        out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    out.extend_from_slice(b"X-Forwarded-For: ");
    if origin.trusted {
        let chain = head
            .fields()
            .iter()
            .filter(|field| field.id == FieldName::XForwardedFor && !field.hop_by_hop)
            .map(|field| field.value.of(buf))
            .filter(|value| !value.is_empty());
        for value in chain {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(origin.peer.as_bytes());
    out.extend_from_slice(CRLF);
    if !forwarded_proto {
        out.extend_from_slice(b"X-Forwarded-Proto: http\r\n");
    }
    if !forwarded_host && !authority.is_empty() {
        line(out, b"X-Forwarded-Host", authority);
    }
    let request_id = match request_id {
        Some(field) => RequestId::Given(field.value),
        None => {
            out.extend_from_slice(b"X-Request-Id: ");
            let id = request_id_from(rng.next_u64(), rng.next_u64());
            out.extend_from_slice(&id);
            out.extend_from_slice(CRLF);
            RequestId::Made(id)
        }
    };
    out.extend_from_slice(if head.version == Version::Http10 {
        &via.v10
    } else {
        &via.v11
    });
    out.extend_from_slice(CRLF);
    request_id
}

/// The id of a request.
#[derive(Debug)]
pub(crate) enum RequestId {
    /// Its sender's.
    Given(Span),
    /// Ours.
    Made([u8; 36]),
}

/// What is ours in a response head.
#[derive(Debug, Default)]
pub(crate) struct Passing<'a> {
    /// Whether its body gets chunk framing.
    pub(crate) chunked: bool,
    /// Whether the client's connection ends with it.
    pub(crate) close: bool,
    /// The session that begins with it.
    pub(crate) session: Option<(&'a StickyCookie, SessionTag)>,
    /// Whether a report of the instance's load does not pass.
    pub(crate) strip_load_report: bool,
    /// For a response without `Date`.
    pub(crate) date: &'a [u8],
}

/// Appends the response head to send to the client.
pub(crate) fn response(out: &mut Vec<u8>, head: &ResponseHead, buf: &[u8], passing: &Passing<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let status = head.status;
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(head.reason.of(buf));
    out.extend_from_slice(CRLF);
    let strip = head.load_report && passing.strip_load_report;
    let announces = |field: &Field| {
        passing.strip_load_report
            && field.id == FieldName::Trailer
            && names(field.value.of(buf)).any(is_load_report)
    };
    copy_lines(out, head.fields(), buf, |field| {
        !(field.hop_by_hop || strip && field.id.is_load_report() || announces(field))
    });
    // What is taken out of the trailers is not announced either (RFC 9110 §6.6.2).
    for field in head
        .fields()
        .iter()
        .filter(|field| !field.hop_by_hop && announces(field))
    {
        let mut left = names(field.value.of(buf)).filter(|name| !is_load_report(name));
        if let Some(first) = left.next() {
            out.extend_from_slice(b"Trailer: ");
            out.extend_from_slice(first);
            for name in left {
                out.extend_from_slice(b", ");
                out.extend_from_slice(name);
            }
            out.extend_from_slice(CRLF);
        }
    }
    if !head.is_informational() {
        if head.field(FieldName::Date).is_none() {
            // RFC 9110 §6.6.1: who forwards a response without Date adds it.
            line(out, b"Date", passing.date);
        }
        if let Some((cookie, tag)) = passing.session {
            cookie.write(out, tag);
        }
        if passing.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if passing.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
    }
    out.extend_from_slice(CRLF);
}

/// Forwards left to an OPTIONS or TRACE request (RFC 9110 §7.6.2); `None` when it sets no limit.
pub(crate) fn max_forwards(head: &RequestHead, buf: &[u8]) -> Option<u64> {
    if !counts_forwards(head.method) {
        return None;
    }
    let value = head.field(FieldName::MaxForwards)?.value.of(buf);
    std::str::from_utf8(value).ok()?.parse().ok()
}

const fn counts_forwards(method: Method) -> bool {
    matches!(method, Method::Options | Method::Trace)
}

/// The names in a list of them.
fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names = list.split(|byte| *byte == b',');
    names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

fn is_load_report(name: &[u8]) -> bool {
    FieldName::classify(name).is_load_report()
}

const fn digit(number: u16) -> u8 {
    b'0' + (number % 10) as u8
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// Copies the lines for which `keep` holds, neighbours in one go.
fn copy_lines(out: &mut Vec<u8>, fields: &[Field], buf: &[u8], keep: impl Fn(&Field) -> bool) {
    let mut run = 0..0;
    for field in fields {
        let line = field.line.start as usize..field.line.end as usize;
        if !keep(field) {
            continue;
        }
        if buf[field.name.end as usize] != b':' {
            // White space before the colon, which a response may have: it must not pass (RFC 9112 §5.1).
            out.extend_from_slice(&buf[std::mem::take(&mut run)]);
            self::line(out, field.name.of(buf), field.value.of(buf));
            continue;
        }
        if line.start != run.end {
            out.extend_from_slice(&buf[run]);
            run = line;
        } else {
            run.end = line.end;
        }
    }
    out.extend_from_slice(&buf[run]);
}

/// A request id is passed on when it is short and plain enough to stand in any log.
fn is_usable_id(value: &[u8]) -> bool {
    (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

/// 128 random bits in the form of a UUID version 4 (RFC 9562).
fn request_id_from(high: u64, low: u64) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0xc << 60)) | 0x8 << 60;
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_h1::{Limits, Status};

    fn rewrite(text: &str, trusted: bool) -> String {
        let mut head = RequestHead::new();
        let status = head.parse(text.as_bytes(), &Limits::default()).unwrap();
        assert!(matches!(status, Status::Complete { .. }));
        let origin = Origin::new("192.0.2.7".parse().unwrap(), trusted);
        let mut out = Vec::new();
        request(
            &mut out,
            &head,
            text.as_bytes(),
            Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            &origin,
            &Via::new(1),
            &mut Rng::new(0),
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hop_by_hop_lines_go_and_ours_come() {
        let out = rewrite(
            "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nAccept: */*\r\n\
             X-Forwarded-For: 6.6.6.6\r\nX-Request-Id: abc\r\nX-Forwarded-Proto: https\r\n\r\n",
            false,
        );
        assert_eq!(
            out,
            "GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nX-Request-Id: abc\r\n\
             X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\
             Via: 1.1 evenkeel-00000001\r\n\r\n"
        );
    }

    #[test]
    fn a_trusted_peer_is_believed_and_appended_to() {
        let out = rewrite(
            "GET / HTTP/1.0\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 3.3.3.3\r\n\
             X-Forwarded-Proto: https\r\nX-Request-Id: r\r\nX-Forwarded-Host: h\r\n\r\n",
            true,
        );
        assert_eq!(
            out,
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nX-Request-Id: r\r\n\
             X-Forwarded-Host: h\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7\r\n\
             Via: 1.0 evenkeel-00000001\r\n\r\n"
        );
        for given in [
            "X-Forwarded-For:",
            "Connection: X-Forwarded-For\r\nX-Forwarded-For: 1.1.1.1",
        ] {
            let out = rewrite(&format!("GET / HTTP/1.1\r\nHost: x\r\n{given}\r\n\r\n"), true);
            assert!(out.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{out}");
        }
    }

    #[test]
    fn absolute_form_replaces_host() {
        let out = rewrite(
            "GET http://real:81/p HTTP/1.1\r\nHost: other\r\nX-Request-Id: r\r\n\r\n",
            false,
        );
        assert!(
            out.starts_with("GET /p HTTP/1.1\r\nHost: real:81\r\nX-Request-Id: r\r\n"),
            "{out}"
        );
        assert!(out.contains("X-Forwarded-Host: real:81\r\n"));
    }

    #[test]
    fn forwards_are_counted_down() {
        let out = rewrite("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 3\r\n\r\n", false);
        assert!(out.starts_with("OPTIONS * HTTP/1.1\r\n"));
        assert!(out.contains("Max-Forwards: 2\r\n"));
        assert_eq!(out.matches("Max-Forwards").count(), 1);
    }

    #[test]
    fn made_request_ids_are_version_4_uuids() {
        let id = String::from_utf8(request_id_from(u64::MAX, 0).to_vec()).unwrap();
        assert_eq!(id, "ffffffff-ffff-4fff-8000-000000000000");
    }

    #[test]
    fn a_request_that_keeps_coming_back_is_a_loop() {
        let via = Via::new(7);
        let text = |times: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                "Via: 1.1 evenkeel-00000007, 1.1 nginx\r\n".repeat(times)
            )
        };
        for (times, expected) in [(0, false), (3, false), (4, true)] {
            let text = text(times);
            let mut head = RequestHead::new();
            head.parse(text.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(via.is_loop(&head, text.as_bytes()), expected, "{times}");
        }
    }
}
