//! One check of one address.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::shortage::is_shortage;
use crate::spec::{CheckKind, CheckSettings};

/// The largest response head that is read.
const HEAD_LIMIT: usize = 16 * 1024;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As expected.
    Passed,
    /// Not; in words.
    Failed(String),
    /// Not within the time.
    TimedOut(String),
    /// It could not be made, for a reason on this side.
    Hindered(String),
}

/// Checks `address`, or the configured port on it. Takes at most the configured time. Says in `connected` when it was
/// connected.
pub(crate) async fn probe(
    settings: &CheckSettings,
    mut address: SocketAddr,
    connected: &mut Option<Instant>,
) -> Answer {
    if let Some(port) = settings.port {
        address.set_port(port);
    }
    let attempt = async {
        let stream = TcpStream::connect(address).await.map_err(|e| connect_error(&e))?;
        *connected = Some(Instant::now());
        match &settings.kind {
            CheckKind::Tcp => Ok(()),
            CheckKind::Http { path, host, expected } => {
                let host = host.clone().unwrap_or_else(|| address.to_string());
                let status = status(stream, path, &host).await.map_err(Answer::Failed)?;
                if expected.iter().any(|range| range.contains(&status.as_u16())) {
                    Ok(())
                } else {
                    Err(Answer::Failed(unexpected(status, expected)))
                }
            }
        }
    };
    match timeout(settings.timeout, attempt).await {
        Ok(Ok(())) => Answer::Passed,
        Ok(Err(answer)) => answer,
        Err(_) => Answer::TimedOut(format!("no answer within {:?}", settings.timeout)),
    }
}

/// The status of `GET path`. The body is not read; the connection ends with the check.
async fn status(stream: TcpStream, path: &str, host: &str) -> Result<StatusCode, String> {
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "evenkeel-check")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the check's request is not valid: {error}"))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| http_error(&error))?;
    let mut response = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut response => answer,
        // The connection is done: whatever it read has been handed over.
        _ = connection => response.await,
    };
    answer
        .map(|answer| answer.status())
        .map_err(|error| http_error(&error))
}

fn unexpected(status: StatusCode, expected: &[RangeInclusive<u16>]) -> String {
    let ranges: Vec<_> = expected
        .iter()
        .map(|range| match (range.start(), range.end()) {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}-{end}"),
        })
        .collect();
    format!("status {}, expected {}", status.as_u16(), ranges.join(", "))
}

fn connect_error(error: &io::Error) -> Answer {
    if is_shortage(error) {
        Answer::Hindered(io_error(error))
    } else {
        Answer::Failed(io_error(error))
    }
}

fn io_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".into(),
        io::ErrorKind::HostUnreachable => "host unreachable".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        io::ErrorKind::AddrNotAvailable => "no local address or port to connect from".into(),
        io::ErrorKind::TimedOut => "connecting timed out".into(),
        _ => error.to_string(),
    }
}

fn http_error(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error);
    if let Some(io) = source.and_then(|source| source.downcast_ref::<io::Error>()) {
        return format!("{} before the response", io_error(io));
    }
    if error.is_parse() {
        return format!("unusable answer: {error}");
    }
    "connection closed before the response".into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Checks a server that reads a request and answers with `bytes`.
    async fn answer_to(bytes: Vec<u8>) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            let _ = stream.write_all(&bytes).await;
            // Waits for the other side to close.
            let _ = stream.read(&mut head).await;
        });
        let settings = CheckSettings {
            kind: CheckKind::Http {
                path: "/".into(),
                host: Some("web.example".into()),
                expected: vec![200..=200, 404..=404],
            },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            jitter: 0.1,
            port: Some(address.port()),
        };
        let answer = probe(&settings, SocketAddr::from(([127, 0, 0, 1], 1)), &mut None).await;
        let served = timeout(Duration::from_secs(30), server).await;
        let served = served.unwrap_or_else(|_| panic!("the server was not asked: {answer:?}"));
        served.unwrap();
        answer
    }

    /// Nobody takes the connection, which the system makes all the same.
    #[tokio::test(start_paused = true)]
    async fn silence_is_told_from_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = CheckSettings {
            kind: CheckKind::Http {
                path: "/".into(),
                host: None,
                expected: vec![CheckKind::EXPECTED],
            },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            jitter: 0.1,
            port: None,
        };
        let answer = probe(&settings, listener.local_addr().unwrap(), &mut None).await;
        assert_eq!(answer, Answer::TimedOut("no answer within 2s".into()));
    }

    #[tokio::test]
    async fn only_the_final_status_counts() {
        let head = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(answer_to(head.to_vec()).await, Answer::Passed);
        let answer = answer_to(b"HTTP/1.0 204 No Content\r\n\r\n".to_vec()).await;
        assert_eq!(answer, Answer::Failed("status 204, expected 200, 404".into()));
    }

    #[tokio::test]
    async fn a_body_is_not_read() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        assert_eq!(answer_to(head.to_vec()).await, Answer::Passed);
    }

    #[tokio::test]
    async fn a_head_without_end_is_not_collected() {
        let mut head = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        head.resize(4 * HEAD_LIMIT, b'x');
        let answer = answer_to(head).await;
        assert_eq!(
            answer,
            Answer::Failed("unusable answer: message head is too large".into())
        );
    }

    #[test]
    fn a_shortage_on_this_side_is_not_held_against_the_instance() {
        let no_port = connect_error(&io::ErrorKind::AddrNotAvailable.into());
        assert_eq!(
            no_port,
            Answer::Hindered("no local address or port to connect from".into())
        );
        let unreachable = connect_error(&io::ErrorKind::HostUnreachable.into());
        assert_eq!(unreachable, Answer::Failed("host unreachable".into()));
    }
}
