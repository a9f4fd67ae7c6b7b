//! What strangers may not do to the listener.

use std::io::{Read, Write};

use crate::client::{ask, connect, get};
use crate::fleet::{Fleet, TOKEN, usual};

#[test]
fn held_connections_do_not_keep_a_probe_from_its_answer() {
    let fleet = Fleet::new(usual());
    let mut held: Vec<_> = (0..200).map(|_| connect(fleet.address())).collect();
    for stream in &mut held {
        // Fails where the connection has given way already.
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: loc");
    }
    assert_eq!(get(fleet.address(), "/livez").status, 200);
    let mut first = held.swap_remove(0);
    assert!(
        matches!(first.read(&mut [0; 1]), Ok(0) | Err(_)),
        "the oldest gave way"
    );
}

#[test]
fn a_reader_that_never_reads_delays_nobody() {
    let fleet = Fleet::new(crate::metrics::many(5_000));
    let mut stuck: Vec<_> = (0..8).map(|_| connect(fleet.address())).collect();
    for stream in &mut stuck {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
    }
    assert_eq!(get(fleet.address(), "/livez").status, 200);
    assert_eq!(get(fleet.address(), "/metrics").status, 200);
}

#[test]
fn a_connection_is_kept_for_further_requests() {
    let fleet = Fleet::new(usual());
    let mut stream = connect(fleet.address());
    for _ in 0..3 {
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let fleet = Fleet::new(usual());
    let mut stream = connect(fleet.address());
    let head = format!(
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "a".repeat(20_000)
    );
    let _ = stream.write_all(head.as_bytes());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[test]
fn a_page_in_a_browser_cannot_read_a_loopback_listener() {
    let fleet = Fleet::new(usual());
    let with_host = |host: &str| {
        ask(
            fleet.address(),
            &format!("GET /api/v1/services HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
    };
    let port = fleet.address().port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(with_host(&format!("{host}:{port}")).status, 200, "{host}");
    }
    let refused = with_host(&format!("evil.example:{port}"));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("\"evil.example\"")
    );
    let absolute = "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(fleet.address(), absolute).status, 403);
}

#[test]
fn an_old_client_without_host_is_answered_and_its_body_ends_with_the_connection() {
    let fleet = Fleet::new(usual());
    let reply = ask(fleet.address(), "GET /metrics HTTP/1.0\r\n\r\n");
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("evenkeel_build_info"));
    let reply = ask(
        fleet.address(),
        "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(reply.status, 400, "HTTP/1.1 demands a Host");
}

#[test]
fn a_request_body_is_refused() {
    let fleet = Fleet::new(usual());
    let request =
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(ask(fleet.address(), request).status, 413);
}

/// Its own machine is no better known to it by a name that a page can have than other machines are.
#[test]
fn a_page_in_a_browser_cannot_read_an_open_listener_either() {
    let fleet = Fleet::open(usual());
    let status = |host: &str, path: &str, more: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        ask(fleet.address(), &request).status
    };
    let services = "/api/v1/services";
    for host in ["localhost:9901", "127.0.0.1", "[::1]:80"] {
        assert_eq!(status(host, services, ""), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:9901"] {
        assert_eq!(status(host, services, ""), 401, "{host}");
        assert_eq!(status(host, "/metrics", ""), 401, "{host}");
        assert_eq!(status(host, "/livez", ""), 200, "{host}");
        let token = format!("Authorization: Bearer {TOKEN}\r\n");
        assert_eq!(status(host, services, &token), 200, "{host}");
    }
}

#[test]
fn shutdown_closes_the_listener_and_ends_the_thread() {
    let fleet = Fleet::new(usual());
    let address = fleet.address();
    let mut idle = connect(address);
    assert!(fleet.admin.shutdown());
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(matches!(idle.read(&mut [0; 1]), Ok(0) | Err(_)));
}
