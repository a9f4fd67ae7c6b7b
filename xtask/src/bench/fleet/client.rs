//! Open-loop clients: requests are sent when they are due, whatever became of those before.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::report::Turn;

/// What a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pseudo-random numbers (SplitMix64): the same for the same seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// In (0, 1].
    pub(super) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Exponentially distributed with mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }
}

/// Sends `rate` requests a second to `proxy` for `length`, and waits for the last answer.
pub(super) async fn load(proxy: SocketAddr, rate: f64, length: Duration, seed: u64) -> Result<Turn> {
    let mut random = Random::new(seed.rotate_left(32));
    let idle: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
    let mut requests = JoinSet::new();
    let begin = Instant::now();
    let mut due = begin;
    loop {
        due += Duration::from_secs_f64(random.exponential() / rate);
        if due - begin > length {
            break;
        }
        tokio::time::sleep_until(due).await;
        let idle = Rc::clone(&idle);
        requests.spawn_local(async move {
            let answered = tokio::time::timeout_at(due + PATIENCE, ask(proxy, &idle)).await;
            (due.elapsed(), matches!(answered, Ok(Ok(200))))
        });
    }
    let mut turn = Turn::default();
    while let Some(ended) = requests.join_next().await {
        let (latency, ok) = ended?;
        turn.record(latency, ok);
    }
    Ok(turn)
}

/// One request; its status.
async fn ask(proxy: SocketAddr, idle: &RefCell<Vec<TcpStream>>) -> io::Result<u16> {
    let kept = idle.borrow_mut().pop();
    if let Some(mut stream) = kept
        && let Ok(status) = exchange(&mut stream).await
    {
        return keep(stream, status, idle);
    }
    // A kept connection may have been closed meanwhile: any client tries a new one.
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let status = exchange(&mut stream).await?;
    keep(stream, status, idle)
}

fn keep(stream: TcpStream, (status, stays): (u16, bool), idle: &RefCell<Vec<TcpStream>>) -> io::Result<u16> {
    if stays {
        idle.borrow_mut().push(stream);
    }
    Ok(status)
}

/// The status of the answer, and whether the connection stays open.
async fn exchange(stream: &mut TcpStream) -> io::Result<(u16, bool)> {
    stream
        .write_all(b"GET /work HTTP/1.1\r\nHost: fleet\r\n\r\n")
        .await?;
    let mut bytes = Vec::with_capacity(1024);
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let (Some(status), Some(length)) = (status, length) else {
        // Nobody here answers without a length, but with a broken body.
        return Err(io::ErrorKind::InvalidData.into());
    };
    let whole = head + length;
    while bytes.len() < whole {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((status, !text.contains("\r\nconnection: close\r\n")))
}
