//! Requests that are accepted, and every reason to refuse one.

use super::*;
use crate::RequestError as E;

fn parse(text: &str) -> Result<(RequestHead, usize), RequestError> {
    parse_limited(text, &Limits::default())
}

fn parse_limited(text: &str, limits: &Limits) -> Result<(RequestHead, usize), RequestError> {
    let mut head = RequestHead::new();
    match head.parse(text.as_bytes(), limits)? {
        Status::Complete { len } => Ok((head, len)),
        Status::Partial => panic!("{text:?} is incomplete"),
    }
}

fn get_with(fields: &str) -> Result<RequestHead, RequestError> {
    parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).map(|(head, _)| head)
}

#[test]
fn a_request_and_what_follows_it() {
    let text = "\r\nPOST /a?b HTTP/1.1\r\nHost: x:80\r\nContent-Length: 3\r\nX-A: \t b c \r\n\r\nabcGET";
    let (head, len) = parse(text).unwrap();
    let buf = text.as_bytes();
    assert_eq!(&buf[len..], b"abcGET");
    assert_eq!(
        (head.method, head.version, head.framing),
        (Method::Post, Version::Http11, Framing::Length(3))
    );
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade);
    assert_eq!(head.authority.of(buf), b"x:80");
    assert_eq!(head.target.of(buf), b"/a?b");
    let last = head.fields()[2];
    assert_eq!(last.name.of(buf), b"X-A");
    assert_eq!(last.value.of(buf), b"b c");
    assert_eq!(last.line.of(buf), b"X-A: \t b c \r\n");
    assert_eq!(head.field(FieldName::ContentLength).unwrap().value.of(buf), b"3");
}

#[test]
fn targets() {
    for (line, host, path, origin) in [
        ("GET /x?y", "h", "/x?y", "/x?y"),
        ("GET //x", "h", "//x", "//x"),
        ("GET /x?y#z#", "h", "/x?y", "/x?y"),
        ("GET /\u{e9}", "h", "/\u{e9}", "/\u{e9}"),
        ("GET http://o:81/x", "o:81", "/x", "/x"),
        ("GET HTTPS://o", "o", "", "/"),
        ("GET http://o?q", "o", "?q", "/?q"),
        ("OPTIONS *", "h", "*", "*"),
        ("OPTIONS http://o", "o", "", "*"),
        ("CONNECT o:443", "o:443", "", ""),
        ("CONNECT [::1]:443", "[::1]:443", "", ""),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
        let (head, _) = parse(&text).unwrap();
        let buf = text.as_bytes();
        assert_eq!(head.authority.of(buf), host.as_bytes(), "{line}");
        assert_eq!(head.path_and_query.of(buf), path.as_bytes(), "{line}");
        let (before, rest) = head.origin_target(buf);
        assert_eq!([before, rest].concat(), origin.as_bytes(), "{line}");
    }
}

#[test]
fn start_lines_refused() {
    for (line, error) in [
        ("GET  / HTTP/1.1", E::RequestLine),
        ("GET /  HTTP/1.1", E::RequestLine),
        ("GET / HTTP/1.1 ", E::Field(FieldError::BareCr)),
        ("GET\t/ HTTP/1.1", E::RequestLine),
        (" GET / HTTP/1.1", E::RequestLine),
        ("G(T / HTTP/1.1", E::RequestLine),
        ("GET /", E::RequestLine),
        ("GET", E::RequestLine),
        ("GET / HTTP/0.9", E::Version),
        ("GET / HTTP/1.2", E::Version),
        ("GET / HTTP/2.0", E::Version),
        ("GET / http/1.1", E::RequestLine),
        ("GET / HTTP/1.10", E::Field(FieldError::BareCr)),
        ("PRI * HTTP/2.0", E::Http2Preface),
        ("GET /\x01 HTTP/1.1", E::RequestLine),
        ("GET http://a/\u{e9} HTTP/1.1", E::TargetByte),
        ("GET http://a/#x HTTP/1.1", E::TargetByte),
        ("GET #x HTTP/1.1", E::TargetByte),
        ("GET /\x7f HTTP/1.1", E::RequestLine),
        ("GET x HTTP/1.1", E::TargetForm),
        ("GET * HTTP/1.1", E::TargetForm),
        ("GET ?x HTTP/1.1", E::TargetForm),
        ("GET ftp://a/ HTTP/1.1", E::TargetForm),
        ("GET a:80 HTTP/1.1", E::TargetForm),
        ("GET http:/a HTTP/1.1", E::TargetForm),
        ("GET http:///a HTTP/1.1", E::InvalidHost),
        ("GET http://u@a/ HTTP/1.1", E::InvalidHost),
        ("GET http://a\\b/ HTTP/1.1", E::InvalidHost),
        ("CONNECT a HTTP/1.1", E::TargetForm),
        ("CONNECT a: HTTP/1.1", E::TargetForm),
        ("CONNECT /a HTTP/1.1", E::TargetForm),
        ("CONNECT [::1] HTTP/1.1", E::TargetForm),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", E::MethodTooLong),
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(&text).map(|_| ()), Err(error), "{line:?}");
    }
}

#[test]
fn hosts() {
    for (fields, error) in [
        ("", E::MissingHost),
        ("Host: a\r\nHost: a\r\n", E::DuplicateHost),
        ("Host:\r\n", E::InvalidHost),
        ("Host: a b\r\n", E::InvalidHost),
        ("Host: a,b\r\n", E::InvalidHost),
        ("Host: a/b\r\n", E::InvalidHost),
        ("Host: u@b\r\n", E::InvalidHost),
        ("Host: b\u{e9}\r\n", E::InvalidHost),
        ("Host : a\r\n", E::Field(FieldError::Name)),
    ] {
        assert_eq!(
            parse(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).map(|_| ()),
            Err(error),
            "{fields:?}"
        );
    }
    // Host must be valid even where an absolute-form target replaces it.
    assert_eq!(
        parse("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n").map(|_| ()),
        Err(E::InvalidHost)
    );
    let (old, _) = parse("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(old.authority.is_empty() && !old.keep_alive);
    assert_eq!(
        parse("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").map(|_| ()),
        Err(E::DuplicateHost)
    );
}

#[test]
fn framings() {
    for (fields, framing) in [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("content-length:12\r\n", Framing::Length(12)),
        ("Transfer-Encoding: Chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding:chunked\r\n", Framing::Chunked),
    ] {
        assert_eq!(get_with(fields).unwrap().framing, framing, "{fields:?}");
    }
    for (fields, error) in [
        (
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            FieldError::DuplicateLength,
        ),
        ("Content-Length: 1, 1\r\n", FieldError::InvalidLength),
        ("Content-Length: +1\r\n", FieldError::InvalidLength),
        ("Content-Length:\r\n", FieldError::InvalidLength),
        (
            "Content-Length: 99999999999999999999\r\n",
            FieldError::InvalidLength,
        ),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            FieldError::TwoFramings,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            FieldError::DuplicateCoding,
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            FieldError::UnsupportedCoding,
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            FieldError::UnsupportedCoding,
        ),
        ("Transfer-Encoding: identity\r\n", FieldError::UnsupportedCoding),
        ("Transfer-Encoding: xchunked\r\n", FieldError::UnsupportedCoding),
        ("Transfer-Encoding:\r\n", FieldError::InvalidCoding),
        ("Transfer-Encoding: \"chunked\"\r\n", FieldError::InvalidCoding),
        ("Transfer-Encoding:\tchunked\r\n", FieldError::InvalidCoding),
        ("Transfer-Encoding: chunked \r\n", FieldError::InvalidCoding),
        ("Transfer-Encoding: \x0bchunked\r\n", FieldError::Value),
        ("Content_Length: 1\r\n", FieldError::Imitation),
        ("Transfer_Encoding: chunked\r\n", FieldError::Imitation),
        ("Content-Length : 1\r\n", FieldError::Name),
    ] {
        assert_eq!(get_with(fields).map(|_| ()), Err(E::Field(error)), "{fields:?}");
    }
    let old = parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").map(|_| ());
    assert_eq!(old, Err(E::Field(FieldError::CodingInHttp10)));
    for line in ["TRACE /", "CONNECT a:1"] {
        let text = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
        assert_eq!(parse(&text).map(|_| ()), Err(E::UnexpectedBody));
    }
}

#[test]
fn bytes_that_end_lines_or_hide_in_them() {
    for (text, error) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", FieldError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", FieldError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", FieldError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n", FieldError::BareLf),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", FieldError::BareLf),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", FieldError::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", FieldError::Value),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", FieldError::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", FieldError::Value),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", FieldError::Value),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
            FieldError::Name,
        ),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", FieldError::Name),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", FieldError::Name),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", FieldError::Name),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", FieldError::Name),
    ] {
        let result = parse(text).map(|_| ());
        assert!(matches!(result, Err(E::Field(_))), "{text:?}: {result:?}");
        if error == FieldError::BareLf || error == FieldError::Name {
            assert_eq!(result, Err(E::Field(error)), "{text:?}");
        }
    }
    assert_eq!(
        parse("\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n").map(|_| ()),
        Err(E::LeadingEmptyLines)
    );
}

#[test]
fn connection_marks_what_is_not_forwarded() {
    let head = get_with(
        "Connection: X-Secret, close\r\nX-Secret: 1\r\nX-Other: 2\r\nKeep-Alive: 5\r\nTE: trailers, gzip\r\nX_Forwarded_For: 6\r\n",
    )
    .unwrap();
    let marked: Vec<bool> = head.fields().iter().map(|field| field.hop_by_hop).collect();
    assert_eq!(marked, [false, true, true, false, true, true, true]);
    assert!(!head.keep_alive && head.te_trailers);
    for (fields, error) in [
        ("Connection: Host\r\n", FieldError::NominatedEssential),
        ("Connection: content-length\r\n", FieldError::NominatedEssential),
        ("Connection: a b\r\n", FieldError::InvalidConnection),
        ("Connection: \"close\"\r\n", FieldError::InvalidConnection),
    ] {
        assert_eq!(get_with(fields).map(|_| ()), Err(E::Field(error)), "{fields:?}");
    }
    let many = format!("Connection: {}\r\n", "a,".repeat(33));
    assert_eq!(
        get_with(&many).map(|_| ()),
        Err(E::Field(FieldError::TooManyOptions))
    );
}

#[test]
fn persistence_upgrade_and_expectation() {
    assert!(
        parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            .unwrap()
            .0
            .keep_alive
    );
    assert!(
        !parse("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n")
            .unwrap()
            .0
            .keep_alive
    );
    assert!(
        get_with("Connection: Upgrade\r\nUpgrade: websocket\r\n")
            .unwrap()
            .upgrade
    );
    assert!(!get_with("Upgrade: websocket\r\n").unwrap().upgrade);
    assert!(get_with("Expect: 100-Continue\r\n").unwrap().expect_continue);
    assert!(
        !parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")
            .unwrap()
            .0
            .expect_continue
    );
    for fields in [
        "Expect: tea\r\n",
        "Expect:\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    ] {
        assert_eq!(
            get_with(fields).map(|_| ()).map_err(RequestError::status),
            Err(417),
            "{fields:?}"
        );
    }
}

#[test]
fn limits_hold_before_the_head_is_complete() {
    let limits = Limits {
        max_head_bytes: 256,
        max_fields: 3,
        max_target_bytes: 100,
        ..Limits::default()
    };
    let fields = "Host: a\r\nA: 1\r\nB: 2\r\n";
    assert!(parse_limited(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), &limits).is_ok());
    let many = format!("GET / HTTP/1.1\r\n{fields}C: 3\r\n\r\n");
    assert_eq!(
        parse_limited(&many, &limits)
            .map(|_| ())
            .map_err(RequestError::status),
        Err(431)
    );
    let exact = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
        "x".repeat(256 - 16 - 9 - 3 - 4)
    );
    assert_eq!(parse_limited(&exact, &limits).unwrap().1, 256);
    let statuses = |text: &str| {
        parse_limited(text, &limits)
            .map(|_| ())
            .map_err(RequestError::status)
    };
    assert_eq!(statuses(&exact.replace("A: ", "A: x")), Err(431));
    assert_eq!(
        statuses(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100))),
        Err(414)
    );
    // Incomplete heads: each is refused for what is there already.
    assert_eq!(statuses(&format!("GET /{}", "x".repeat(200))), Err(414));
    assert_eq!(
        statuses(&format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(300))),
        Err(431)
    );
    assert_eq!(statuses(&"A".repeat(40)), Err(400));
}

#[test]
fn a_dribbled_head_is_searched_once_and_then_parsed() {
    let text = b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxyGET";
    let end = text.len() - 5;
    let mut head = RequestHead::new();
    for len in 0..end {
        assert_eq!(
            head.parse(&text[..len], &Limits::default()),
            Ok(Status::Partial),
            "{len}"
        );
    }
    assert_eq!(
        head.parse(text, &Limits::default()),
        Ok(Status::Complete { len: end })
    );
    assert_eq!(head.framing, Framing::Length(2));
    // A dribbled LF-only line is refused at once, not when a time-out strikes.
    assert_eq!(
        head.parse(b"GET / HTTP/1.1", &Limits::default()),
        Ok(Status::Partial)
    );
    assert_eq!(
        head.parse(b"GET / HTTP/1.1\nHost", &Limits::default()),
        Err(E::Field(FieldError::BareLf))
    );
}
