//! What must hold for any bytes at all. Shared by the fuzz targets and by the test that replays their
//! corpora, so it uses the public API only.

use evenkeel_h1::{
    BodyFilter, BodyOut, Field, FieldName, Framing, Limits, Method, RequestHead, ResponseHead, Span, Status,
};

/// An accepted request head is unambiguous, survives being written again, and what a proxy makes of it
/// has the same meaning.
pub(crate) fn request_head(data: &[u8]) {
    let limits = Limits::default();
    let mut head = RequestHead::new();
    let result = head.parse(data, &limits);
    let mut dribbled = RequestHead::new();
    let mut dribble = Ok(Status::Partial);
    for len in (0..=data.len()).step_by(data.len() / 256 + 1).chain([data.len()]) {
        dribble = dribbled.parse(&data[..len], &limits);
        if dribble != Ok(Status::Partial) {
            break;
        }
    }
    let Ok(Status::Complete { len }) = result else {
        assert!(
            !matches!(dribble, Ok(Status::Complete { .. })),
            "accepted in pieces only"
        );
        return;
    };
    assert_eq!(dribble, result);
    assert_eq!(dribbled.fields(), head.fields());
    let text = &data[..len];
    check_lines(text);
    check_fields(head.fields(), text, head.target);
    let framings = head.fields().iter().filter(|field| is_framing(field)).count();
    assert_eq!(framings, usize::from(head.framing != Framing::None));
    assert_ne!(head.framing, Framing::UntilClose);

    // Written again line by line it is the same request.
    let version = format!("{:?}", head.version).replace("Http1", "HTTP/1.");
    let mut again = [
        head.method_span.of(text),
        b" ",
        head.target.of(text),
        b" ",
        version.as_bytes(),
        b"\r\n",
    ]
    .concat();
    write_fields(&mut again, head.fields(), text, |_| true);
    let copy = parse_request(&again);
    assert_eq!(facts(&copy, &again), facts(&head, text));

    // Written as a proxy forwards it, it is that request for the effective host.
    if head.method == Method::Connect {
        return;
    }
    let (before, path) = head.origin_target(text);
    let host: &[u8] = if head.authority.is_empty() {
        b"a"
    } else {
        head.authority.of(text)
    };
    let mut forwarded = [
        head.method_span.of(text),
        b" ",
        before,
        path,
        b" HTTP/1.1\r\nHost: ",
        host,
        b"\r\n",
    ]
    .concat();
    if head.framing == Framing::Chunked {
        forwarded.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    write_fields(&mut forwarded, head.fields(), text, |field| {
        !field.hop_by_hop && field.id != FieldName::Host
    });
    let next = parse_request(&forwarded);
    assert_eq!(next.framing, head.framing);
    assert_eq!(next.method_span.of(&forwarded), head.method_span.of(text));
    assert_eq!(next.authority.of(&forwarded), host);
    assert_eq!(
        next.origin_target(&forwarded),
        (&b""[..], &[before, path].concat()[..])
    );
}

/// An accepted response head is unambiguous and survives being written again.
pub(crate) fn response_head(data: &[u8]) {
    let Some((selector, data)) = data.split_first() else {
        return;
    };
    let method = [Method::Get, Method::Head, Method::Connect, Method::Other][usize::from(selector % 4)];
    let limits = Limits::default();
    let mut head = ResponseHead::new();
    let Ok(Status::Complete { len }) = head.parse(data, method, &limits) else {
        return;
    };
    let text = &data[..len];
    check_lines(text);
    check_fields(head.fields(), text, head.reason);
    assert!((100..=999).contains(&head.status));
    let bodiless = head.status < 200 || matches!(head.status, 204 | 304) || method == Method::Head;
    assert!(!bodiless || head.framing == Framing::None);
    assert!(!head.keep_alive || head.framing != Framing::UntilClose);

    let version = format!("{:?}", head.version).replace("Http1", "HTTP/1.");
    let mut again = format!("{version} {} ", head.status).into_bytes();
    again.extend_from_slice(head.reason.of(text));
    again.extend_from_slice(b"\r\n");
    write_fields(&mut again, head.fields(), text, |_| true);
    let mut copy = ResponseHead::new();
    assert_eq!(
        copy.parse(&again, method, &limits),
        Ok(Status::Complete { len: again.len() })
    );
    assert_eq!(
        (
            copy.status,
            copy.version,
            copy.framing,
            copy.keep_alive,
            copy.upgrade
        ),
        (
            head.status,
            head.version,
            head.framing,
            head.keep_alive,
            head.upgrade
        )
    );
}

/// A body gives the same output in any pieces; filtered output is canonical; both outputs carry one body.
pub(crate) fn body_filter(data: &[u8]) {
    let [selector, step, data @ ..] = data else { return };
    let framing = match selector % 4 {
        0 => Framing::Length(u64::from(*step)),
        1 => Framing::UntilClose,
        _ => Framing::Chunked,
    };
    let mut plain = None;
    for out in [BodyOut::Plain, BodyOut::Chunked] {
        let whole = filter(framing, out, data, data.len().max(1));
        let pieces = filter(framing, out, data, usize::from(step % 16) + 1);
        let Some(result) = whole else {
            assert!(pieces.is_none(), "refused in one piece only");
            assert!(plain.is_none(), "refused for one output only");
            continue;
        };
        assert_eq!(Some(&result), pieces.as_ref());
        assert!(result.output.len() <= result.consumed && result.consumed <= data.len());
        if out == BodyOut::Plain {
            plain = Some(result);
            continue;
        }
        let again = filter(framing, BodyOut::Chunked, &result.output, usize::MAX).expect("output is a body");
        assert_eq!((&again.output, again.done), (&result.output, result.done));
        let stripped = filter(framing, BodyOut::Plain, &result.output, usize::MAX).expect("output is a body");
        let plain = plain.as_ref().expect("accepted for both outputs");
        assert_eq!((&stripped.output, stripped.done), (&plain.output, plain.done));
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Filtered {
    output: Vec<u8>,
    consumed: usize,
    done: bool,
}

/// The body offered `step` bytes more at a time; `None` when it is refused.
fn filter(framing: Framing, out: BodyOut, data: &[u8], step: usize) -> Option<Filtered> {
    let mut filter = BodyFilter::new(framing, out, &Limits::default());
    let mut result = Filtered {
        output: Vec::new(),
        consumed: 0,
        done: filter.is_done(),
    };
    let mut end = 0;
    while end < data.len() && !result.done {
        end = end.saturating_add(step).min(data.len());
        let mut buf = data[result.consumed..end].to_vec();
        let progress = filter.filter(&mut buf).ok()?;
        assert!(progress.produced <= progress.consumed);
        result.output.extend_from_slice(&buf[..progress.produced]);
        result.consumed += progress.consumed;
        result.done = progress.done;
    }
    Some(result)
}

fn parse_request(text: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    let limits = Limits {
        max_head_bytes: usize::MAX,
        max_fields: 128,
        ..Limits::default()
    };
    let result = head.parse(text, &limits);
    assert_eq!(
        result,
        Ok(Status::Complete { len: text.len() }),
        "{}",
        String::from_utf8_lossy(text)
    );
    head
}

/// Everything a request head says, apart from where.
fn facts(head: &RequestHead, text: &[u8]) -> impl PartialEq + std::fmt::Debug {
    let fields: Vec<_> = head
        .fields()
        .iter()
        .map(|field| {
            (
                field.id,
                field.hop_by_hop,
                field.name.of(text).to_vec(),
                field.value.of(text).to_vec(),
            )
        })
        .collect();
    let flags = [
        head.keep_alive,
        head.expect_continue,
        head.upgrade,
        head.te_trailers,
    ];
    let path = head.path_and_query.of(text).to_vec();
    (
        head.method,
        head.version,
        head.framing,
        flags,
        path,
        head.authority.of(text).to_vec(),
        fields,
    )
}

fn write_fields(to: &mut Vec<u8>, fields: &[Field], text: &[u8], wanted: impl Fn(&Field) -> bool) {
    for field in fields.iter().filter(|field| wanted(field)) {
        to.extend_from_slice(field.line.of(text));
    }
    to.extend_from_slice(b"\r\n");
}

/// Every line ends in CRLF, and no line has a control byte other than HTAB.
fn check_lines(text: &[u8]) {
    assert!(text.ends_with(b"\r\n\r\n"));
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\n' => assert_eq!(text[at - 1], b'\r'),
            b'\r' => assert_eq!(text[at + 1], b'\n'),
            _ => assert!(*byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)),
        }
    }
}

/// The field lines are adjacent and fill the head between its first line and its blank line.
fn check_fields(fields: &[Field], text: &[u8], in_first_line: Span) {
    let mut next = fields
        .first()
        .map_or(text.len() - 2, |first| first.line.start as usize);
    assert!(in_first_line.end as usize <= next - 2);
    for field in fields {
        assert_eq!(field.line.start as usize, next);
        assert!(field.name.start == field.line.start && field.value.end + 2 <= field.line.end);
        assert_eq!(text[field.name.end as usize], b':');
        assert_eq!(FieldName::classify(field.name.of(text)), field.id);
        next = field.line.end as usize;
    }
    assert_eq!(next, text.len() - 2);
}

fn is_framing(field: &Field) -> bool {
    matches!(field.id, FieldName::ContentLength | FieldName::TransferEncoding)
}
