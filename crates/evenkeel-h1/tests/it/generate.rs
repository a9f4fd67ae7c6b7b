//! Messages for the property tests: valid ones, unusual ones, and mutations of both.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Field lines that are legal on both sides, some of them unusual.
const FIELDS: &[&str] = &[
    "Accept: */*\r\n",
    "User-Agent: curl/7.88.1\r\n",
    "X-Empty:\r\n",
    "x-spaces: \t a  b \t\r\n",
    "X-Bytes: \u{e9}\u{80}\r\n",
    "X!#$%&'*+-.^_`|~9: y\r\n",
    "Connection: keep-alive\r\n",
    "Connection: x-spaces, , Accept\r\n",
    "Keep-Alive: timeout=5\r\n",
    "TE: trailers\r\n",
    "Trailer: X-Sum\r\n",
    "Via: 1.1 a\r\n",
    "X-Forwarded-For: 1.2.3.4\r\n",
    "X_Forwarded_For: 1.2.3.4\r\n",
    "Cookie: a=b\r\n",
];

/// Lines that change framing or routing, or should be refused.
const ODD_FIELDS: &[&str] = &[
    "Host: b\r\n",
    "Host: a b\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: +3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding:\tchunked\r\n",
    "Transfer-Encoding: chunked \r\n",
    "Content_Length: 3\r\n",
    "Connection: close\r\n",
    "Connection: Host\r\n",
    "Connection: a b\r\n",
    "Expect: 100-continue\r\n",
    "Expect: tea\r\n",
    "Upgrade: websocket\r\n",
    "X-Fold: a\r\n b\r\n",
    "X-Space : a\r\n",
    "X-Lf: a\n",
    "X-Cr: a\rb\r\n",
    "X-Nul: \0\r\n",
    "No colon\r\n",
];

/// The data of a body in chunks, with everything the chunk grammar allows.
fn chunked_body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (
        vec(any::<u8>(), 1..40),
        select(vec!["", ";a", ";a=b", " ; a = \"q\\\"\"", ";a;b"]),
        0..3usize,
    );
    let trailers = select(vec![
        "",
        "X-Sum: 1\r\n",
        "Content-Length: 9\r\nX-Sum: 1\r\n",
        "Host: z\r\n",
    ]);
    (vec(chunk, 0..4), select(vec!["", "00", ";x=y"]), trailers).prop_map(|(chunks, last, trailers)| {
        let mut body = Vec::new();
        for (data, extension, zeros) in chunks {
            body.extend_from_slice(
                format!("{}{:x}{extension}\r\n", "0".repeat(zeros), data.len()).as_bytes(),
            );
            body.extend_from_slice(&data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("0{last}\r\n{trailers}\r\n").as_bytes());
        body
    })
}

/// A framing field (or none) with its body.
fn framed_body() -> impl Strategy<Value = (String, Vec<u8>)> {
    prop_oneof![
        Just((String::new(), Vec::new())),
        vec(any::<u8>(), 0..60).prop_map(|data| (format!("Content-Length: {}\r\n", data.len()), data)),
        chunked_body().prop_map(|data| ("Transfer-Encoding: chunked\r\n".to_owned(), data)),
    ]
}

fn message(start: String, first: &str, fields: &[&str], framing: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{start}\r\n{first}").into_bytes();
    // One char, one byte: the field tables spell bytes beyond ASCII as chars below U+0100.
    for line in fields {
        bytes.extend(line.chars().map(|char| char as u8));
    }
    bytes.extend_from_slice(framing.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A valid request with its body.
pub(crate) fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "GET / HTTP/1.1",
        "POST /a/b?c=d%20e HTTP/1.1",
        "HEAD //x HTTP/1.1",
        "PUT http://other:81/p HTTP/1.1",
        "GET http://other HTTP/1.1",
        "GET http://other?q HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "DELETE /x#frag HTTP/1.1",
        "M-SEARCH /~`|^{}\"<> HTTP/1.1",
    ]);
    (line, vec(select(FIELDS), 0..6), framed_body()).prop_map(|(line, fields, (framing, body))| {
        message(line.into(), "Host: a:80\r\n", &fields, &framing, &body)
    })
}

/// A valid response with its body; the method it answers is GET.
pub(crate) fn response() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "200 OK",
        "200",
        "404 Not Found",
        "500 ",
        "302 a \u{e9}",
        "599 x",
        "999 y",
    ]);
    let early = select(vec![
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n",
    ]);
    (early, line, vec(select(FIELDS), 0..6), framed_body()).prop_map(
        |(early, line, fields, (framing, body))| {
            let mut bytes = early.as_bytes().to_vec();
            bytes.extend(message(format!("HTTP/1.1 {line}"), "", &fields, &framing, &body));
            bytes
        },
    )
}

/// What is done to a valid message.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
    /// A field line of the odd ones before the one that starts nearest to the position.
    Line(usize, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let byte = prop_oneof![any::<u8>(), select(b"\r\n\0\t :;,#/0x+_aA\x0b\x7f\xff".to_vec())];
    prop_oneof![
        2 => (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        2 => (any::<usize>(), byte).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => any::<usize>().prop_map(Mutation::Remove),
        1 => any::<usize>().prop_map(Mutation::Truncate),
        5 => (any::<usize>(), select(ODD_FIELDS)).prop_map(|(at, line)| Mutation::Line(at, line)),
    ]
}

/// `message` with one to three mutations.
pub(crate) fn mutated(message: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (message, vec(mutation(), 1..4)).prop_map(|(mut bytes, mutations)| {
        for mutation in mutations {
            let len = bytes.len().max(1);
            match mutation {
                Mutation::Replace(at, byte) => {
                    bytes.iter_mut().skip(at % len).take(1).for_each(|to| *to = byte);
                }
                Mutation::Insert(at, byte) => bytes.insert(at % len, byte),
                Mutation::Remove(at) => {
                    drop(bytes.drain((at % len).min(bytes.len())..(at % len + 1).min(bytes.len())));
                }
                Mutation::Truncate(at) => bytes.truncate(at % len),
                Mutation::Line(at, line) => {
                    let head = bytes
                        .windows(4)
                        .position(|w| w == b"\r\n\r\n")
                        .map_or(0, |end| end + 2);
                    let starts: Vec<usize> = (2..=head).filter(|i| &bytes[i - 2..*i] == b"\r\n").collect();
                    if let Some(start) = starts.get(at % starts.len().max(1)) {
                        bytes.splice(*start..*start, line.bytes());
                    }
                }
            }
        }
        bytes
    })
}
