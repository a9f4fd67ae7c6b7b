//! Responses that are accepted, and every reason to refuse one.

use super::*;
use crate::ResponseError as E;

fn parse(text: &str, method: Method) -> Result<ResponseHead, ResponseError> {
    let mut head = ResponseHead::new();
    match head.parse(text.as_bytes(), method, &Limits::default())? {
        Status::Complete { .. } => Ok(head),
        Status::Partial => panic!("{text:?} is incomplete"),
    }
}

#[test]
fn framings_by_status_method_and_fields() {
    let none = Framing::None;
    for (line, fields, method, framing, keep_alive) in [
        (
            "1.1 200 OK",
            "Content-Length: 3\r\n",
            Method::Get,
            Framing::Length(3),
            true,
        ),
        (
            "1.1 200 OK",
            "Transfer-Encoding: chunked\r\n",
            Method::Get,
            Framing::Chunked,
            true,
        ),
        (
            "1.1 200 OK",
            "Transfer-Encoding:  Chunked\r\n",
            Method::Get,
            Framing::Chunked,
            true,
        ),
        ("1.1 200 OK", "", Method::Get, Framing::UntilClose, false),
        (
            "1.1 200 OK",
            "Content-Length: 3\r\nConnection: close\r\n",
            Method::Get,
            Framing::Length(3),
            false,
        ),
        (
            "1.0 200 OK",
            "Content-Length: 3\r\n",
            Method::Get,
            Framing::Length(3),
            false,
        ),
        (
            "1.0 200 OK",
            "Content-Length: 3\r\nConnection: keep-alive\r\n",
            Method::Get,
            Framing::Length(3),
            true,
        ),
        ("1.1 200 OK", "Content-Length: 3\r\n", Method::Head, none, true),
        (
            "1.1 200 OK",
            "Transfer-Encoding: chunked\r\n",
            Method::Head,
            none,
            true,
        ),
        (
            "1.1 304 Not Modified",
            "Content-Length: 3\r\n",
            Method::Get,
            none,
            true,
        ),
        ("1.1 204 No Content", "", Method::Get, none, true),
        (
            "1.1 204 No Content",
            "Content-Length: 0\r\n",
            Method::Get,
            none,
            true,
        ),
        ("1.1 100 Continue", "", Method::Post, none, true),
        (
            "1.1 101 Switching Protocols",
            "Upgrade: x\r\nConnection: upgrade\r\n",
            Method::Get,
            none,
            false,
        ),
        (
            "1.1 200 OK",
            "Content-Length: 3\r\n",
            Method::Connect,
            none,
            false,
        ),
        (
            "1.1 403 No",
            "Content-Length: 3\r\n",
            Method::Connect,
            Framing::Length(3),
            true,
        ),
        (
            "1.1 999 ?",
            "Content-Length: 3\r\n",
            Method::Get,
            Framing::Length(3),
            true,
        ),
    ] {
        let head = parse(&format!("HTTP/{line}\r\n{fields}\r\n"), method).unwrap();
        assert_eq!(
            (head.framing, head.keep_alive),
            (framing, keep_alive),
            "{line} {fields:?} {method:?}"
        );
    }
}

#[test]
fn status_line_and_marks() {
    let text = "HTTP/1.1 200 All right\r\nContent-Length: 1\r\n\r\n";
    let head = parse(text, Method::Head).unwrap();
    assert_eq!(
        (head.status, head.reason.of(text.as_bytes())),
        (200, &b"All right"[..])
    );
    assert!(!head.fields()[0].hop_by_hop, "HEAD keeps the length");
    for line in ["HTTP/1.1 200", "HTTP/1.1 200 "] {
        let head = parse(&format!("{line}\r\nContent-Length: 1\r\n\r\n"), Method::Get).unwrap();
        assert!(head.reason.is_empty(), "{line:?}");
    }
    let none = parse("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", Method::Get).unwrap();
    assert!(none.fields()[0].hop_by_hop, "204 has no length");
    let early = parse("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", Method::Get).unwrap();
    assert!(early.is_informational() && !early.upgrade);
    let switched = parse("HTTP/1.1 101 Go\r\n\r\n", Method::Get).unwrap();
    assert!(!switched.is_informational() && switched.upgrade);
}

#[test]
fn refused() {
    for (text, error) in [
        ("HTTP/1.1 099 Low\r\n\r\n", E::Status),
        ("HTTP/1.1 20 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", E::StatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", E::Version),
        ("ICY 200 OK\r\n\r\n", E::Version),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", E::Field(FieldError::BareLf)),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", E::Field(FieldError::BareLf)),
        ("HTTP/1.1 200 OK\r\nA: b\r\n\n", E::Field(FieldError::BareLf)),
        ("HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", E::Field(FieldError::Name)),
        ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", E::Field(FieldError::Name)),
        (
            "HTTP/1.1 200 OK\r\nX: y\r\n : b\r\n\r\n",
            E::Field(FieldError::Name),
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            E::Field(FieldError::Name),
        ),
        ("HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", E::Field(FieldError::Value)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            E::Field(FieldError::DuplicateLength),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            E::Field(FieldError::InvalidLength),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::Field(FieldError::TwoFramings),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            E::Field(FieldError::UnsupportedCoding),
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::Field(FieldError::CodingInHttp10),
        ),
        (
            "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n",
            E::UnexpectedBody,
        ),
        (
            "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::UnexpectedBody,
        ),
    ] {
        assert_eq!(parse(text, Method::Get).map(|_| ()), Err(error), "{text:?}");
    }
}

#[test]
fn white_space_before_a_colon_is_seen_and_means_nothing() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length \t: 3\r\nConnection : close\r\nA: b\r\n\r\n";
    let head = parse(text, Method::Get).unwrap();
    assert_eq!((head.framing, head.keep_alive), (Framing::Length(3), false));
    let loose: Vec<bool> = head
        .fields()
        .iter()
        .map(|field| text.as_bytes()[field.name.end as usize] != b':')
        .collect();
    assert_eq!(loose, [true, true, false]);
}

#[test]
fn a_head_over_the_limit_is_refused_before_it_ends() {
    let limits = Limits {
        max_head_bytes: 64,
        ..Limits::default()
    };
    let text = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(64));
    let mut head = ResponseHead::new();
    assert_eq!(
        head.parse(&text.as_bytes()[..60], Method::Get, &limits),
        Ok(Status::Partial)
    );
    assert_eq!(
        head.parse(text.as_bytes(), Method::Get, &limits),
        Err(E::HeadTooLong)
    );
}
