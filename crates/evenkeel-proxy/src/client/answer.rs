//! What the proxy itself tells a client, and how it ends a connection so that the client reads it.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::Nanos;
use socket2::SockRef;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::Client;
use crate::buffer::SMALL;
use crate::reply::{self, Reply};
use crate::worker::Worker;

/// After our last response, how long we still read, in all and without hearing anything, so that the client
/// gets to see the response before its unread bytes make the kernel reset the connection (RFC 9112 §9.6).
/// Many clients read only when they have written everything; the times are those of nginx.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(5);

impl Client {
    /// Sends a reply of our own. `close` announces the end.
    pub(crate) async fn send_reply(&mut self, reply: &Reply, close: bool, body: bool) -> io::Result<()> {
        let mut out = self.worker.take_vec();
        let length = reply.write(&mut out, close, body, &self.worker.date.text());
        if let Some(entry) = &mut self.entry {
            entry.reply(reply, length);
        }
        let sent = self.send(&out).await;
        self.worker.give_vec(out);
        sent
    }

    pub(super) async fn answer_options(&mut self, close: bool) -> io::Result<()> {
        let mut out = self.worker.take_vec();
        reply::options(&mut out, close, &self.worker.date.text());
        let sent = self.send(&out).await;
        self.worker.give_vec(out);
        sent
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.timer.arm(&self.worker.timers, self.settings().body_idle);
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < bytes.len() {
                if self.timer.poll_expired(cx) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                match Pin::new(&mut self.stream).poll_write(cx, &bytes[sent..])? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(n) => sent += n,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ends our side and reads what the client still sends, within bounds.
    pub(crate) async fn linger(&mut self) {
        let worker = Rc::clone(&self.worker);
        let end = worker.timers.now() + Nanos::from(LINGER);
        self.timer.arm(&worker.timers, LINGER_IDLE);
        poll_fn(|cx| {
            if Pin::new(&mut self.stream).poll_shutdown(cx).is_pending() {
                return Poll::Pending;
            }
            while !self.timer.poll_expired(cx) && worker.timers.now() < end {
                self.inbox.consume(self.inbox.len());
                match worker
                    .buffers
                    .poll_read(cx, &mut self.stream, &mut self.inbox, SMALL)
                {
                    Poll::Ready(Ok(n)) if n > 0 => self.timer.arm(&worker.timers, LINGER_IDLE),
                    Poll::Ready(_) => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// Answers a connection that is one too many, as far as its socket takes it at once.
pub(crate) fn refuse(stream: TcpStream, worker: &Worker) {
    let mut out = worker.take_vec();
    Reply::new(503, "connection_limit_reached", "too many connections are open").write(
        &mut out,
        true,
        true,
        &worker.date.text(),
    );
    // Past the event loop, which has not heard yet that the socket takes bytes.
    let socket = SockRef::from(&stream);
    let _ = socket.send(&out);
    let _ = socket.shutdown(Shutdown::Write);
    worker.give_vec(out);
}
