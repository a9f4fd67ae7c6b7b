//! The four backends: a program that answers fixed paths as fast as one core can.
//!
//! One event loop serves them all. Threads that block on their connections make fewer system calls, but then most
//! sends of a proxy wake one up on the other core, and the kernel counts that work as the proxy's; the faster the
//! proxy, the more of it. A request body is read to its end before the answer, so that no proxy has to deal with
//! an early response. Absent on purpose: correctness beyond what the proxies send.

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::process::{self, Process};

/// Answered with 100 bytes.
pub(super) const SMALL: &str = "/small";
/// Answered with 64 KiB.
pub(super) const LARGE: &str = "/large";
/// Takes a body, answers with two bytes.
pub(super) const POST: &str = "/post";
const BACKENDS: usize = 4;
/// Larger than any head that is sent here.
const BUFFER: usize = 16 << 10;

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
    let mut poll = Poll::new()?;
    let mut listeners = addresses
        .iter()
        .map(|address| {
            TcpListener::bind(address.parse()?).with_context(|| format!("cannot listen on {address}"))
        })
        .collect::<Result<Vec<_>>>()?;
    for (index, listener) in listeners.iter_mut().enumerate() {
        poll.registry()
            .register(listener, Token(index), Interest::READABLE)?;
    }
    let responses = Responses::new();
    let mut connections: Vec<Option<Connection<'_, TcpStream>>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(token) = event.token();
            if let Some(listener) = listeners.get(token) {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let index = connections
                        .iter()
                        .position(Option::is_none)
                        .unwrap_or(connections.len());
                    poll.registry().register(
                        &mut stream,
                        Token(listeners.len() + index),
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    if index == connections.len() {
                        connections.push(None);
                    }
                    connections[index] = Some(Connection::new(stream, &responses));
                }
                continue;
            }
            let place = &mut connections[token - listeners.len()];
            if let Some(connection) = place
                && !connection.advance(event.is_read_closed())
            {
                *place = None;
            }
        }
    }
}

/// What is answered, ready to be sent.
struct Responses {
    small: Vec<u8>,
    large: Vec<u8>,
    post: Vec<u8>,
}

impl Responses {
    fn new() -> Self {
        let response = |length: usize| {
            let mut bytes =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")
                    .into_bytes();
            bytes.resize(bytes.len() + length, b'x');
            bytes
        };
        Self {
            small: response(100),
            large: response(64 << 10),
            post: response(2),
        }
    }

    fn to(&self, head: &[u8]) -> Option<&[u8]> {
        match head.split(|&b| b == b' ').nth(1)? {
            path if path == SMALL.as_bytes() => Some(&self.small),
            path if path == LARGE.as_bytes() => Some(&self.large),
            path if path == POST.as_bytes() => Some(&self.post),
            _ => None,
        }
    }
}

struct Connection<'a, S> {
    stream: S,
    responses: &'a Responses,
    inbox: Vec<u8>,
    filled: usize,
    /// What is left to read of the current request's body.
    body: usize,
    /// What is left to send of the current response.
    answer: &'a [u8],
}

impl<'a, S: Read + Write> Connection<'a, S> {
    fn new(stream: S, responses: &'a Responses) -> Self {
        Self {
            stream,
            responses,
            inbox: vec![0; BUFFER],
            filled: 0,
            body: 0,
            answer: &[],
        }
    }

    /// Does what can be done without waiting; false when the connection has ended. `closed` says that
    /// nothing comes behind what is there to read.
    fn advance(&mut self, closed: bool) -> bool {
        match self.answer_all(closed) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    fn answer_all(&mut self, closed: bool) -> io::Result<()> {
        let mut drained = false;
        loop {
            self.answer_next()?;
            if drained {
                return Ok(());
            }
            let room = self.inbox.len() - self.filled;
            let count = self.stream.read(&mut self.inbox[self.filled..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.filled += count;
            // Less than there was room for is all there was: more would be a new event.
            drained = count < room && !closed;
        }
    }

    /// Answers the requests that are here.
    fn answer_next(&mut self) -> io::Result<()> {
        loop {
            let taken = self.body.min(self.filled);
            self.drop_front(taken);
            self.body -= taken;
            if self.body > 0 {
                return Ok(());
            }
            while !self.answer.is_empty() {
                let sent = self.stream.write(self.answer)?;
                self.answer = &self.answer[sent..];
            }
            let Some(end) = head_end(&self.inbox[..self.filled]) else {
                return Ok(());
            };
            let head = &self.inbox[..end];
            self.answer = self.responses.to(head).ok_or(ErrorKind::InvalidData)?;
            self.body = content_length(head);
            self.drop_front(end);
        }
    }

    fn drop_front(&mut self, count: usize) {
        self.inbox.copy_within(count..self.filled, 0);
        self.filled -= count;
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
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn requests_are_answered_after_their_bodies() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let head = format!("POST {POST} HTTP/1.1\r\ncontent-length: 100000\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&vec![b'a'; 100_000]).unwrap();
        let get = format!("GET {SMALL} HTTP/1.1\r\n\r\n");
        client.write_all(get.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let responses = Responses::new();
        assert!(!Connection::new(stream, &responses).advance(true));
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(
            said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("Content-Length: 2\r\n\r\nxxHTTP"),
            "{said}"
        );
        assert!(said.contains("Content-Length: 100\r\n\r\nxxx"), "{said}");
    }
}
