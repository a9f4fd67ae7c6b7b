//! Nanoseconds per head and per body, on messages as common clients and servers send them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use evenkeel_h1::{BodyFilter, BodyOut, Framing, Limits, Method, RequestHead, ResponseHead};

const WRK: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
const CURL: &[u8] =
    b"GET /api/v1/items?limit=10 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
    X-Request-Id: 6f0c2f4e-8d1b-4f37-9a54-2f0f3c8c5b11\r\nConnection: keep-alive\r\n\r\n";
const BROWSER: &[u8] = b"GET /products/list?category=shoes&page=2 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n\
    Cache-Control: max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nReferer: https://shop.example.com/products\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Fri, 20 Nov 2026 10:00:00 GMT\r\nContent-Type: text/html\r\n\
    Content-Length: 100\r\nLast-Modified: Fri, 20 Nov 2026 09:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"673db5f0-64\"\r\n\
    Accept-Ranges: bytes\r\n\r\n";

fn heads(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("request_head");
    for (name, bytes) in [
        ("wrk_1_field", WRK),
        ("curl_5_fields", CURL),
        ("browser_17_fields", BROWSER),
    ] {
        let mut head = RequestHead::new();
        group.bench_function(name, |b| {
            b.iter(|| head.parse(black_box(bytes), &limits).unwrap());
        });
    }
    group.finish();
    let mut head = ResponseHead::new();
    c.bench_function("response_head/nginx_8_fields", |b| {
        b.iter(|| head.parse(black_box(RESPONSE), Method::Get, &limits).unwrap());
    });
}

fn bodies(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("body_64_kib_in_4_kib_chunks");
    for (name, extension, out) in [
        ("canonical", "", BodyOut::Chunked),
        ("extensions_dropped", ";a=b", BodyOut::Chunked),
        ("framing_dropped", "", BodyOut::Plain),
    ] {
        let mut body = Vec::new();
        for _ in 0..16 {
            body.extend_from_slice(format!("1000{extension}\r\n").as_bytes());
            body.resize(body.len() + 4096, b'x');
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(evenkeel_h1::LAST_CHUNK);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || body.clone(),
                |buf| {
                    BodyFilter::new(Framing::Chunked, out, &limits)
                        .filter(black_box(buf))
                        .unwrap()
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, heads, bodies);
criterion_main!(benches);
