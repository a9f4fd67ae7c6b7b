//! The same bytes to this crate and to hyper, on both sides of a connection.
//!
//! hyper is a lenient endpoint, this crate a strict intermediary, so they disagree by design. Every
//! disagreement must belong to a class that is explained here in words; a message that both accept
//! must be the same message to both.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use evenkeel_h1::{BodyOut, Method};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connection::{Message, Side, Trace, read};
use crate::generate::{mutated, request, response};

/// Room for everything either side writes, so that nobody waits for the other to read.
const ROOM: usize = 1 << 16;

/// The class that must stay empty.
const UNEXPLAINED: &str = "unexplained";

/// What hyper made of the first message; `None` when it refused it or waits for the rest of it.
type Verdict = Option<Message>;

#[test]
fn requests() {
    let mut classes = BTreeMap::new();
    run(
        prop_oneof![1 => request().boxed(), 4 => mutated(request()).boxed()],
        |bytes| {
            compare(bytes, Side::Requests, block_on(hyper_serves(bytes)), &mut classes);
        },
    );
    report("requests", &classes);
}

#[test]
fn responses() {
    let mut classes = BTreeMap::new();
    run(
        prop_oneof![1 => response().boxed(), 4 => mutated(response()).boxed()],
        |bytes| {
            compare(
                bytes,
                Side::Responses(Method::Get),
                block_on(hyper_asks(bytes)),
                &mut classes,
            );
        },
    );
    report("responses", &classes);
}

/// Calls `test` with a few thousand messages, the same ones each time: a new class of disagreement is to
/// be met when the generator or hyper changes, not by chance.
fn run(strategy: impl Strategy<Value = Vec<u8>>, mut test: impl FnMut(&[u8])) {
    let config = Config {
        cases: 3000,
        failure_persistence: None,
        ..Config::default()
    };
    let test = RefCell::new(&mut test);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&strategy, |bytes| {
            (test.borrow_mut())(&bytes);
            Ok(())
        })
        .unwrap();
}

fn report(side: &str, classes: &BTreeMap<&'static str, usize>) {
    for (class, count) in classes {
        println!("{side}: {count:5} {class}");
    }
    assert_eq!(classes.get(UNEXPLAINED), None, "messages printed above");
    for class in ["both accept the same message", "both refuse"] {
        assert!(classes.contains_key(class), "the generator never led to: {class}");
    }
}

fn compare(bytes: &[u8], side: Side, theirs: Verdict, classes: &mut BTreeMap<&'static str, usize>) {
    let trace = read(side, bytes, &[], BodyOut::Plain);
    let ours = trace.messages.iter().find(|message| !is_informational(message));
    let class = match (ours, &theirs) {
        (None, None) => Some("both refuse"),
        (Some(ours), Some(theirs)) => same_message(ours, theirs),
        (Some(ours), None) => why_more_lenient(bytes, ours),
        (None, Some(_)) => why_stricter(&trace),
    };
    let Some(class) = class else {
        panic!(
            "unexplained:\n{}\nours: {trace:?}\ntheirs: {theirs:?}",
            bytes.escape_ascii()
        );
    };
    *classes.entry(class).or_default() += 1;
}

fn is_informational(message: &Message) -> bool {
    message.start.0.starts_with('1') && message.start.0 != "101"
}

fn same_message(ours: &Message, theirs: &Message) -> Option<&'static str> {
    let mut own = ours.fields.clone();
    own.sort();
    if own != theirs.fields || ours.body != theirs.body || ours.start.0 != theirs.start.0 {
        return None;
    }
    if ours.start.1 == theirs.start.1 {
        return Some("both accept the same message");
    }
    if ours.start.1.iter().any(|b| *b >= 0x80) && theirs.start.1.is_empty() {
        return Some("both accept; hyper forgets a reason phrase with bytes beyond ASCII");
    }
    if [b"/", &theirs.start.1[..]].concat() == ours.start.1 {
        return Some(
            "both accept; http://host?query has an empty path, which hyper leaves and we write as a slash",
        );
    }
    // OPTIONS http://host has an empty path, which RFC 9112 §3.2.4 has us forward as an asterisk.
    (ours.start == ("OPTIONS".into(), b"*".to_vec()) && theirs.start.1 == b"/")
        .then_some("both accept; OPTIONS of a whole server is * toward an origin server")
}

/// Why we refuse, or wait for more of, what hyper accepts.
fn why_stricter(trace: &Trace) -> Option<&'static str> {
    let Some(error) = &trace.error else { return None };
    Some(match error.as_str() {
        "Field(BareLf)" => {
            "a line may end in LF for an endpoint (RFC 9112 §2.2); two hops must not see different lines"
        }
        "Field(Imitation)" => "a name that imitates a framing field is just a name to an endpoint",
        "Field(TwoFramings)" => {
            "CL and TE together: an endpoint may let TE win, an intermediary must not pass both on"
        }
        "Field(DuplicateLength)" => "equal Content-Length lines may be merged; we refuse to guess",
        "Field(InvalidLength)" => {
            "a list of equal Content-Length values, or one on a body that TE or the status overrides"
        }
        "Field(DuplicateCoding)" => {
            "chunked twice, or codings in several lines: hyper looks at the last one only"
        }
        "Field(UnsupportedCoding)" => {
            "hyper accepts codings before chunked, or reads an unknown one until the end; we would have to forward a coding we do not know"
        }
        "Field(InvalidCoding)" => {
            "white space or junk around chunked is trimmed by hyper; another recipient may not see chunked"
        }
        "Field(CodingInHttp10)" => {
            "HTTP/1.0 has no transfer codings; hyper ignores or honours the field by side"
        }
        "Field(InvalidConnection)" => "a Connection that is no list of tokens does not matter to an endpoint",
        "Field(NominatedEssential)" => "Connection naming Host or Content-Length would have us remove them",
        "MissingHost" | "DuplicateHost" | "InvalidHost" => {
            "hyper leaves Host to the application; an intermediary routes by it"
        }
        "Expectation" => "hyper ignores an expectation it does not know; RFC 9110 §10.1.1 lets us answer 417",
        "TargetForm" => "a target in a form the method does not allow is a URI to an endpoint",
        "TargetByte" => "bytes that do not belong in an absolute-form target",
        "UnexpectedBody" => "a 1xx or 204 (or TRACE, CONNECT) with a framing: an endpoint may ignore it",
        "LeadingEmptyLines" => "hyper skips any number of empty lines, we two",
        "MethodTooLong" => "hyper has no limit of its own on methods",
        "Field(BareCr)" | "StatusLine" | "Status" => {
            "empty lines before a status line, and statuses below 100, are skipped or passed on by hyper"
        }
        "a chunk-size line is longer than the limit" | "a chunk size is not a plain hexadecimal number" => {
            "hyper tolerates white space behind a size and digits beyond 16, and lets an LF end the line"
        }
        "a chunk extension is malformed" => "hyper does not read extensions",
        error if error.starts_with("a trailer") => {
            "a malformed trailer is dropped or never looked at by hyper"
        }
        _ => return None,
    })
}

/// Why we accept what hyper refuses.
fn why_more_lenient(bytes: &[u8], ours: &Message) -> Option<&'static str> {
    // Requests with such a line are refused by both.
    let white_space_before_colon = bytes
        .split(|b| *b == b'\r')
        .take_while(|line| *line != b"\n")
        .filter_map(|line| line.iter().position(|b| *b == b':').map(|colon| &line[..colon]))
        .any(|name| name.ends_with(b" ") || name.ends_with(b"\t"));
    if white_space_before_colon {
        return Some(
            "white space before a colon is ours to remove from responses (RFC 9112 §5.1); hyper refuses it",
        );
    }
    let target = String::from_utf8_lossy(&ours.start.1);
    let line = bytes
        .split(|b| *b == b'\r')
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let sent = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
    if Uri::try_from(sent).is_err() || target.parse::<Uri>().is_err() {
        return Some(
            "the target has bytes that the http crate's URI type refuses; servers differ, so we pass them on",
        );
    }
    None
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// The first request a hyper server sees when `bytes` arrive and the client then closes its side.
async fn hyper_serves(bytes: &[u8]) -> Verdict {
    let (mut client, server) = tokio::io::duplex(ROOM);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let seen: Rc<RefCell<Vec<Verdict>>> = Rc::default();
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let start = (
                parts.method.to_string(),
                parts
                    .uri
                    .path_and_query()
                    .map_or(Vec::new(), |path| path.as_str().as_bytes().to_vec()),
            );
            let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
            seen.borrow_mut()
                .push(body.map(|body| message(start, &parts.headers, &body)));
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service);
    // How the connection ends does not matter: the first request was seen or it was not.
    drop(connection.await);
    let mut seen = seen.take();
    if seen.is_empty() { None } else { seen.remove(0) }
}

/// The response a hyper client sees when `bytes` answer its GET and the server then closes.
async fn hyper_asks(bytes: &[u8]) -> Verdict {
    let (mut server, client) = tokio::io::duplex(ROOM);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client))
        .await
        .unwrap();
    let exchange = async move {
        let request = Request::builder()
            .uri("/")
            .header("host", "a")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
        let reason = parts
            .extensions
            .get::<hyper::ext::ReasonPhrase>()
            .map(|reason| reason.as_bytes().to_vec());
        let reason = reason.unwrap_or_else(|| parts.status.canonical_reason().unwrap_or("").into());
        let body = body.collect().await.ok()?.to_bytes();
        Some(message(
            (parts.status.as_str().to_owned(), reason),
            &parts.headers,
            &body,
        ))
    };
    let answer = async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            server.read_buf(&mut request).await.unwrap();
        }
        server.write_all(bytes).await.unwrap();
        server.shutdown().await.unwrap();
        server
    };
    tokio::join!(connection, exchange, answer).1
}

fn message(start: (String, Vec<u8>), headers: &hyper::HeaderMap, body: &[u8]) -> Message {
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    fields.sort();
    Message {
        start,
        fields,
        body: body.to_vec(),
        ..Message::default()
    }
}
