//! Bodies in and out of the filter.

use super::*;

/// What the filter makes of `input` in one go: output, input left over, and whether the body is done.
fn run(framing: Framing, out: BodyOut, input: &str) -> Result<(String, String, bool), BodyError> {
    run_limited(framing, out, input, &Limits::default())
}

fn run_limited(
    framing: Framing,
    out: BodyOut,
    input: &str,
    limits: &Limits,
) -> Result<(String, String, bool), BodyError> {
    let mut buf = input.as_bytes().to_vec();
    let mut filter = BodyFilter::new(framing, out, limits);
    let progress = filter.filter(&mut buf)?;
    assert_eq!(progress.done, filter.is_done());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ok((
        text(&buf[..progress.produced]),
        text(&buf[progress.consumed..]),
        progress.done,
    ))
}

fn chunked(input: &str) -> Result<(String, String, bool), BodyError> {
    run(Framing::Chunked, BodyOut::Chunked, input)
}

#[test]
fn lengths_and_ends() {
    for (framing, input, out, left, done) in [
        (Framing::None, "abc", "", "abc", true),
        (Framing::Length(0), "abc", "", "abc", true),
        (Framing::Length(2), "abc", "ab", "c", true),
        (Framing::Length(4), "abc", "abc", "", false),
        (Framing::UntilClose, "abc", "abc", "", false),
    ] {
        assert_eq!(
            run(framing, BodyOut::Chunked, input),
            Ok((out.into(), left.into(), done)),
            "{framing:?}"
        );
    }
    let eof = |framing| BodyFilter::new(framing, BodyOut::Plain, &Limits::default()).on_eof();
    assert_eq!(eof(Framing::UntilClose), Ok(()));
    assert_eq!(eof(Framing::Length(0)), Ok(()));
    assert_eq!(eof(Framing::Length(1)), Err(BodyError::Truncated));
    assert_eq!(eof(Framing::Chunked), Err(BodyError::Truncated));
}

#[test]
fn canonical_chunks_pass_as_they_are() {
    let body = "3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(
        chunked(&format!("{body}next")),
        Ok((body.into(), "next".into(), true))
    );
}

#[test]
fn what_must_not_pass_is_squeezed_out() {
    for (input, out) in [
        ("3;a=b\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("003\r\nabc\r\n000;x\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        (
            "1 ;a=\"q;\\\"\"\r\nx\r\n1\r\ny\r\n0\r\n\r\n",
            "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n",
        ),
        (
            "0\r\nContent-Length: 5\r\nX: 1\r\nhost: a\r\nSet-Cookie: a\r\nX_Forwarded_For: b\r\nContent_Length: 1\r\nY:\r\n\r\n",
            "0\r\nX: 1\r\nY:\r\n\r\n",
        ),
    ] {
        assert_eq!(chunked(input), Ok((out.into(), String::new(), true)), "{input:?}");
    }
    let plain = run(
        Framing::Chunked,
        BodyOut::Plain,
        "3;a\r\nabc\r\n2\r\nde\r\n0\r\nX: 1\r\n\r\nnext",
    );
    assert_eq!(plain, Ok(("abcde".into(), "next".into(), true)));
}

#[test]
fn lines_are_taken_whole_or_not_at_all() {
    for (input, out, left) in [
        ("3", "", "3"),
        ("3\r", "", "3\r"),
        ("3;ext", "", "3;ext"),
        ("3\r\nab", "3\r\nab", ""),
        ("3\r\nabc\r", "3\r\nabc", "\r"),
        ("0\r\nX: ", "0\r\n", "X: "),
        ("0\r\nX: 1\r\n\r", "0\r\nX: 1\r\n", "\r"),
    ] {
        assert_eq!(chunked(input), Ok((out.into(), left.into(), false)), "{input:?}");
    }
}

#[test]
fn refused() {
    for (input, error) in [
        ("3\nabc\r\n", BodyError::ChunkSize),
        ("\r\n", BodyError::ChunkSize),
        ("3 \r\nabc\r\n", BodyError::ChunkSize),
        ("0x3\r\nabc\r\n", BodyError::ChunkSize),
        ("fffffffffffffffff\r\n", BodyError::ChunkSize),
        ("3;a\x01\r\nabc\r\n", BodyError::ChunkSize),
        ("3;\r\nabc\r\n", BodyError::ChunkExtension),
        ("3\r\nabcd\r\n", BodyError::ChunkEnd),
        ("3\r\nabc\n", BodyError::ChunkEnd),
        ("3\r\nabc\rx", BodyError::ChunkEnd),
        ("0\r\nX : 1\r\n\r\n", BodyError::Trailer(FieldError::Name)),
        ("0\r\n X: 1\r\n\r\n", BodyError::Trailer(FieldError::Name)),
        ("0\r\nX\r\n\r\n", BodyError::Trailer(FieldError::Name)),
        ("0\r\nX: \0\r\n\r\n", BodyError::Trailer(FieldError::Value)),
        ("0\r\nX: a\rb\r\n\r\n", BodyError::Trailer(FieldError::Value)),
        ("0\r\nX: 1\n\r\n", BodyError::Trailer(FieldError::BareLf)),
        ("0\r\n\n", BodyError::Trailer(FieldError::BareLf)),
    ] {
        assert_eq!(chunked(input), Err(error), "{input:?}");
    }
}

#[test]
fn limits_hold_before_a_line_is_complete() {
    let limits = Limits {
        max_chunk_line_bytes: 8,
        max_trailer_bytes: 12,
        ..Limits::default()
    };
    let run =
        |input| run_limited(Framing::Chunked, BodyOut::Chunked, input, &limits).map(|(_, _, done)| done);
    assert_eq!(run("1;aaaa\r\nx\r\n0\r\n\r\n"), Ok(true));
    assert_eq!(run("1;aaaaa\r\n"), Err(BodyError::ChunkLineTooLong));
    assert_eq!(run("1;aaaaaa"), Err(BodyError::ChunkLineTooLong));
    assert_eq!(run("0\r\nX: 1\r\nY: 2\r\n"), Err(BodyError::TrailersTooLong));
    assert_eq!(run("0\r\nX: 123456\r\n\r\n"), Err(BodyError::TrailersTooLong));
    assert_eq!(run("0\r\nX: 123\r\n\r\n"), Ok(true));
}

#[test]
fn trailers_are_shown_and_chosen() {
    let input = "2\r\nok\r\n0\r\nX-A: 1\r\nHost: x\r\nEndpoint-Load-Metrics:  TEXT eps=1 \r\nX-B: 2\r\n\r\n";
    for (out, expected) in [
        (BodyOut::Chunked, "2\r\nok\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"),
        (BodyOut::Plain, "ok"),
    ] {
        let mut filter = BodyFilter::new(Framing::Chunked, out, &Limits::default());
        let mut buf = input.as_bytes().to_vec();
        let mut seen = Vec::new();
        let progress = filter
            .filter_with(&mut buf, |name, value| {
                seen.push((name, String::from_utf8_lossy(value).into_owned()));
                !name.is_load_report()
            })
            .unwrap();
        assert!(progress.done);
        assert_eq!(&buf[..progress.produced], expected.as_bytes());
        assert_eq!(
            seen,
            [
                (FieldName::Other, "1".to_owned()),
                (FieldName::EndpointLoadMetrics, "TEXT eps=1".to_owned()),
                (FieldName::Other, "2".to_owned()),
            ]
        );
    }
}
