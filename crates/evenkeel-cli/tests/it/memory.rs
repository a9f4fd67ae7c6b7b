//! A body passes through; it is never kept.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::backend::Backend;
use crate::support::process::Server;
use crate::support::{one_service, raw, until};

const BODY: u64 = 100 << 20;
/// All the memory the process may ever have had, but for its code: how much of a binary is in memory is the compiler's and
/// the kernel's choice, and a debug build's is most of what there is.
const PEAK: u64 = 8 << 20;

async fn start(backend: &Backend) -> (Server, SocketAddr) {
    let config = one_service("", [backend.instance("one")]);
    let server = Server::start(&config).await;
    let address = server.address("web").await;
    (server, address)
}

fn assert_small(server: &Server, what: &str) {
    let (all, code) = (server.memory("VmHWM"), server.memory("RssFile"));
    let peak = all.saturating_sub(code);
    println!(
        "{what}: peak of resident memory {:.1} MiB, and {:.1} MiB of code",
        peak as f64 / 1048576.0,
        code as f64 / 1048576.0
    );
    assert!(peak < PEAK, "{what}: {peak} bytes");
}

async fn discard(stream: &mut TcpStream, bytes: u64) {
    let mut piece = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        let want = piece.len().min(left as usize);
        let n = stream.read(&mut piece[..want]).await.unwrap();
        assert!(n > 0, "{left} bytes are missing");
        left -= n as u64;
    }
}

#[tokio::test]
async fn a_hundred_megabytes_down_to_fast_and_slow_readers() {
    let backend = Backend::start("one");
    let (server, address) = start(&backend).await;
    let request = format!("GET /download/{BODY} HTTP/1.1\r\nHost: a\r\n\r\n");

    let mut fast = raw::send(address, &request).await;
    let head = raw::through(&mut fast, "\r\n\r\n").await;
    assert!(
        head.to_ascii_lowercase()
            .contains(&format!("content-length: {BODY}")),
        "{head}"
    );
    discard(&mut fast, BODY).await;
    assert_small(&server, "fast reader");

    // One that reads a little, lets everything before it fill up, and only then goes on.
    let mut slow = raw::send(address, &request).await;
    raw::through(&mut slow, "\r\n\r\n").await;
    discard(&mut slow, 1 << 20).await;
    let mut beside = raw::send(address, &request).await;
    raw::through(&mut beside, "\r\n\r\n").await;
    discard(&mut beside, BODY).await;
    discard(&mut slow, BODY - (1 << 20)).await;
    assert_small(&server, "slow reader");
}

#[tokio::test]
async fn a_hundred_megabytes_up_with_a_length_and_in_chunks() {
    let backend = Backend::start("one");
    let (server, address) = start(&backend).await;
    let piece = vec![b'x'; 1 << 20];

    let mut stream = raw::send(
        address,
        &format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n"),
    )
    .await;
    for _ in 0..BODY >> 20 {
        stream.write_all(&piece).await.unwrap();
    }
    let answer = raw::to_length(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = raw::send(address, head).await;
    for _ in 0..BODY >> 20 {
        stream.write_all(b"100000\r\n").await.unwrap();
        stream.write_all(&piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = raw::to_length(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(&BODY.to_string()), "{answer}");
    assert_eq!(backend.state.received.load(Relaxed), 2 * BODY);
    assert_small(&server, "uploads");
}

#[tokio::test]
async fn a_backend_that_does_not_read_holds_the_client_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = format!("      - {{ address: {} }}\n", listener.local_addr().unwrap());
    let config = format!(
        "admin: {{ listen: 127.0.0.1:0 }}\nlisteners: [{{ name: web, bind: 127.0.0.1:0 }}]\nservices:\n  - name: web\n    instances:\n{backend}"
    );
    let server = Server::start(&config).await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n");
    let mut client = raw::send(server.address("web").await, &head).await;
    let (mut instance, _) = listener.accept().await.unwrap();
    raw::through(&mut instance, "\r\n\r\n").await;
    let piece = vec![0; 1 << 20];
    // Until nothing more fits into the buffers of the sockets on the way.
    let mut sent = 0;
    while sent < BODY as usize {
        let part = &piece[..piece.len().min(BODY as usize - sent)];
        match tokio::time::timeout(std::time::Duration::from_millis(300), client.write(part)).await {
            Ok(n) => sent += n.unwrap(),
            Err(_) => break,
        }
    }
    assert!(sent < BODY as usize, "all of it went somewhere");
    assert_small(&server, "held back");
    // Once the instance reads, everything flows.
    let reader = tokio::spawn(async move {
        discard(&mut instance, BODY).await;
        instance
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        instance
    });
    while sent < BODY as usize {
        let part = &piece[..piece.len().min(BODY as usize - sent)];
        sent += client.write(part).await.unwrap();
    }
    let answer = raw::through(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(reader.await.unwrap());
    until("the connection is counted", || async {
        (server.metric("evenkeel_client_connections").await == 1.0).then_some(())
    })
    .await;
}
