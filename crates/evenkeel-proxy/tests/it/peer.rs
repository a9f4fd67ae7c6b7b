//! One end of a connection, and what comes over it.

use std::future::Future;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::within;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status(), status, "{self:?}");
        self
    }

    /// Checks an error of the proxy's own.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, error: &str) {
        self.expect(status);
        assert!(
            field(&self.head, "proxy-status")
                .unwrap()
                .starts_with(&format!("evenkeel; error={error}; details=\"")),
            "{self:?}"
        );
        assert_eq!(
            field(&self.head, "content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(field(&self.head, "date").is_some());
        assert!(self.body.starts_with(&status.to_string()), "{self:?}");
    }
}

/// The value of the only field with this name.
#[track_caller]
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let all = fields(head, name);
    assert!(all.len() < 2, "{name} more than once: {head}");
    all.first().copied()
}

/// All values of the fields with this name.
pub(crate) fn fields<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|line| line.0.eq_ignore_ascii_case(name))
        .map(|line| line.1)
        .collect()
}

/// One end of a connection, moved by hand.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    inbox: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            inbox: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let sent = within(async move { self.stream.write_all(text.as_ref()).await });
        async { sent.await.unwrap() }
    }

    /// Ends the sending side.
    pub(crate) async fn finish(&mut self) {
        // The other side may have closed already.
        let _ = self.stream.shutdown().await;
    }

    /// Breaks the connection off.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> std::io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.inbox).await? > 0)
    }

    fn take(&mut self, len: usize) -> String {
        String::from_utf8(self.inbox.drain(..len).collect()).unwrap()
    }

    pub(crate) async fn try_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.inbox.windows(4).position(|w| w == b"\r\n\r\n") {
                return Some(self.take(at + 4));
            }
            if !self.more().await.ok()? {
                return None;
            }
        }
    }

    /// The next head, with its blank line.
    #[track_caller]
    pub(crate) fn head(&mut self) -> impl Future<Output = String> {
        let head = within(self.try_head());
        async { head.await.expect("a head, not the end") }
    }

    /// The next `len` bytes.
    #[track_caller]
    pub(crate) fn bytes(&mut self, len: usize) -> impl Future<Output = String> {
        within(async move {
            while self.inbox.len() < len {
                assert!(
                    self.more().await.unwrap(),
                    "ended early: {:?}",
                    String::from_utf8_lossy(&self.inbox)
                );
            }
            self.take(len)
        })
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let read = self.bytes(text.len());
        async move { assert_eq!(read.await, text) }
    }

    /// A response whose body has a length, is chunked (left as it is) or ends with the connection.
    #[track_caller]
    pub(crate) fn response(&mut self) -> impl Future<Output = Response> {
        within(async move {
            let head = self.try_head().await.expect("a head, not the end");
            let body = if let Some(length) = field(&head, "content-length") {
                self.bytes(length.parse().unwrap()).await
            } else if field(&head, "transfer-encoding").is_some() {
                let end = loop {
                    if let Some(at) = self.inbox.windows(5).position(|w| w == b"0\r\n\r\n") {
                        break at + 5;
                    }
                    assert!(self.more().await.unwrap(), "the chunks ended early");
                };
                self.take(end)
            } else {
                self.rest().await.unwrap()
            };
            Response { head, body }
        })
    }

    /// A response to HEAD, or one that has no body.
    #[track_caller]
    pub(crate) fn bodiless(&mut self) -> impl Future<Output = Response> {
        let head = self.head();
        async {
            Response {
                head: head.await,
                body: String::new(),
            }
        }
    }

    /// Everything up to the end, or the error that stands in its place.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> impl Future<Output = std::io::Result<String>> {
        within(async move {
            while self.more().await? {}
            Ok(self.take(self.inbox.len()))
        })
    }

    /// Waits for the end, by FIN or reset, and checks that nothing came before it.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> impl Future<Output = ()> {
        within(async move {
            while matches!(self.more().await, Ok(true)) {}
            assert_eq!(String::from_utf8_lossy(&self.inbox), "");
        })
    }
}
