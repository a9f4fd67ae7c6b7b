//! The four backends: a program that answers fixed paths as fast as one core can.
//!
//! One blocking thread per connection is two system calls per request, less than any event loop needs, and
//! the proxies keep few connections. A request body is read to its end before the answer, so that no proxy
//! has to deal with an early response. Absent on purpose: correctness beyond what the proxies send.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use super::process::{self, Process};

/// Answered with 100 bytes.
pub(super) const SMALL: &str = "/small";
/// Answered with 64 KiB.
pub(super) const LARGE: &str = "/large";
/// Takes a body, answers with two bytes.
pub(super) const POST: &str = "/post";
const BACKENDS: usize = 4;
/// Larger than any head that is sent here.
const BUFFER: usize = 64 << 10;

/// The running backends; they end with this value.
pub(super) struct Backends {
    pub(super) addresses: Vec<String>,
    _process: Process,
}

/// Starts the backends as one process on the core of the load generator.
pub(super) fn start(program: &Path) -> Result<Backends> {
    let addresses = (0..BACKENDS)
        .map(|_| process::free_address())
        .collect::<Result<Vec<_>>>()?;
    let mut command = Command::new(program);
    command.args(["bench", "backend"]).args(&addresses);
    let process = Process::start("backend", process::LOAD_CORE, &command)?;
    for address in &addresses {
        process.wait_until_ready(address, SMALL)?;
    }
    Ok(Backends {
        addresses,
        _process: process,
    })
}

/// Serves the given addresses for ever.
pub(crate) fn serve(addresses: &[String]) -> Result<bool> {
    let listeners = addresses
        .iter()
        .map(|address| TcpListener::bind(address).with_context(|| format!("cannot listen on {address}")))
        .collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    // A connection that breaks ends its thread; the proxy sees that.
                    thread::spawn(move || answer(stream));
                }
            });
        }
    });
    Ok(true)
}

/// Answers requests on one connection until it ends.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let response = |length: usize| {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes();
        bytes.resize(bytes.len() + length, b'x');
        bytes
    };
    let (small, large, post) = (response(100), response(64 << 10), response(2));
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        let (body_at, body) = loop {
            if let Some(end) = head_end(&buffer[..filled]) {
                break (end, content_length(&buffer[..end]));
            }
            match stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                count => filled += count,
            }
        };
        let response = match buffer
            .get(..body_at)
            .and_then(|head| head.split(|&b| b == b' ').nth(1))
        {
            Some(path) if path == SMALL.as_bytes() => &small,
            Some(path) if path == LARGE.as_bytes() => &large,
            Some(path) if path == POST.as_bytes() => &post,
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        let mut missing = (body_at + body).saturating_sub(filled);
        while missing > 0 {
            match stream.read(&mut buffer[..])? {
                0 => return Ok(()),
                count => missing = missing.saturating_sub(count),
            }
            filled = body_at + body;
        }
        stream.write_all(response)?;
        // What came after the message belongs to the next one. After a body that had to be read on, there
        // is nothing: no proxy here pipelines.
        let used = body_at + body;
        if filled > used && used < buffer.len() {
            buffer.copy_within(used..filled, 0);
            filled -= used;
        } else {
            filled = 0;
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    head.split(|&b| b == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_after_their_bodies() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let server = thread::spawn(move || answer(stream));
        let head = format!("POST {POST} HTTP/1.1\r\ncontent-length: 100000\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&vec![b'a'; 100_000]).unwrap();
        client
            .write_all(format!("GET {SMALL} HTTP/1.1\r\n\r\n").as_bytes())
            .ok();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(
            said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("Content-Length: 2\r\n\r\nxx"),
            "{said}"
        );
        server.join().unwrap().unwrap();
    }
}
