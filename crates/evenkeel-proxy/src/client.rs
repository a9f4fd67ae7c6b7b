//! One client connection: reads requests one after the other and has each exchanged.

mod answer;
mod log;

pub(crate) use answer::refuse;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::{HashedKey, Nanos, SessionTag};
use evenkeel_h1::{BodyFilter, BodyOut, Framing, Method, RequestHead, Status, Version};
use tokio::net::TcpStream;

use crate::access::Entry;
use crate::buffer::{Buffer, SMALL};
use crate::reply::Reply;
use crate::request_key;
use crate::rewrite::{self, Origin, RequestId};
use crate::routes;
use crate::settings::ListenerSettings;
use crate::sticky;
use crate::timers::Timer;
use crate::worker::{Listener, Opened, Upstream, Worker};

/// How long a connection without a request still waits for one when it is to end. A client that is busy
/// has one on its way as likely as not: it gets its response, and is told with it that this was the last.
const LAST_CALL: Duration = Duration::from_millis(500);

/// A client connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<Listener>,
    pub(crate) stream: TcpStream,
    pub(crate) timer: Timer,
    /// Bytes that were read and belong to the current or a later request.
    pub(crate) inbox: Buffer,
    origin: Origin,
    /// A head that did not come in one piece.
    partial: Option<Box<RequestHead>>,
    /// What the access log will say of the request; absent until there is one to log.
    pub(crate) entry: Option<Box<Entry>>,
    /// Whether only one more request is waited for, and not long.
    last_call: bool,
    /// Last, so that the worker hears of the end when all else has been given back.
    _opened: Opened,
}

/// One request, its head rewritten for the instance.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) keep_alive: bool,
    pub(crate) upstream: Rc<Upstream>,
    /// The hash of what decides its instance, for a strategy that hashes.
    pub(crate) key: Option<HashedKey>,
    /// The instance that the client's cookie names.
    pub(crate) session: Option<SessionTag>,
    /// Whether that instance is there, so that the client keeps its cookie.
    pub(crate) keeps_session: bool,
    /// The head to send, and as much of the body as is kept for another try.
    pub(crate) out: Vec<u8>,
    pub(crate) body: BodyFilter,
    /// Whether all that was taken from the client's body is in `out`.
    pub(crate) replayable: bool,
    /// When its head was complete.
    pub(crate) received: Nanos,
}

/// What came from the client.
enum Next {
    Request(Request),
    /// Answer (with the body, unless to HEAD), then close if what follows cannot be told apart.
    Refused {
        reply: Reply,
        body: bool,
        close: bool,
    },
    /// A request about this proxy itself.
    Options {
        close: bool,
    },
    /// The client is done, or there is nobody to answer.
    End,
}

impl Client {
    pub(crate) fn new(opened: Opened, listener: Rc<Listener>, stream: TcpStream, origin: Origin) -> Self {
        let worker = Rc::clone(&opened.0);
        let timer = worker.timers.add();
        Self {
            worker,
            listener,
            stream,
            timer,
            inbox: Buffer::default(),
            origin,
            partial: None,
            entry: None,
            last_call: false,
            _opened: opened,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(&mut self) {
        let mut wait = self.settings().client_header;
        loop {
            match self.next_request(wait).await {
                Next::Request(mut request) => {
                    // Boxed, so that the many clients without a request do not hold room for one.
                    let go_on = Box::pin(self.exchange(&mut request)).await;
                    self.log_end();
                    self.worker.give_vec(request.out);
                    if !go_on {
                        return;
                    }
                }
                Next::Options { close } => {
                    let sent = self.answer_options(close).await;
                    if let Some(entry) = &mut self.entry {
                        entry.status = 200;
                    }
                    self.log_end();
                    if sent.is_err() || close {
                        return;
                    }
                }
                Next::Refused { reply, body, close } => {
                    self.worker.counters.on_bad_request();
                    let sent = self.send_reply(&reply, close, body).await;
                    self.log_end();
                    if sent.is_ok() && close {
                        self.linger().await;
                    }
                    if sent.is_err() || close {
                        return;
                    }
                }
                Next::End => return,
            }
            wait = self.settings().client_idle;
        }
    }

    pub(crate) fn settings(&self) -> Rc<ListenerSettings> {
        Rc::clone(&self.listener.settings.borrow())
    }

    /// Whether the connection should end after the current request.
    pub(crate) fn is_closing(&self) -> bool {
        self.worker.draining.get() || self.listener.closed.get()
    }

    async fn next_request(&mut self, wait: Duration) -> Next {
        self.timer.arm(&self.worker.timers, wait);
        let mut begun = false;
        loop {
            if !begun && self.inbox.bytes() == b"\r\n" {
                // Some clients end a request with an empty line too many (RFC 9112 §2.2).
                self.inbox.consume(2);
            }
            if !self.inbox.is_empty() {
                if !begun {
                    begun = true;
                    self.timer.arm(&self.worker.timers, self.settings().client_header);
                }
                if let Some(next) = self.parse() {
                    return next;
                }
            }
            match poll_fn(|cx| self.poll_more(cx, begun)).await {
                Ok(0) if begun => {
                    return self.refused(400, "the request head ended early");
                }
                Ok(0) => return Next::End,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return self.refused(408, "the request head did not arrive in time");
                }
                Err(_) => return Next::End,
            }
        }
    }

    /// Reads more of a head. `Ok(0)` when there will be no more.
    fn poll_more(&mut self, cx: &mut Context<'_>, begun: bool) -> Poll<io::Result<usize>> {
        let want = self.room_wanted();
        let read = self
            .worker
            .buffers
            .poll_read(cx, &mut self.stream, &mut self.inbox, want);
        let expired = self.timer.poll_expired(cx);
        if read.is_ready() {
            // A request that is here already is served, even if the connection was about to end.
            return read;
        }
        if expired {
            return Poll::Ready(if begun {
                Err(io::ErrorKind::TimedOut.into())
            } else {
                Ok(0)
            });
        }
        if !begun && !self.last_call && self.is_closing() {
            self.last_call = true;
            self.timer.arm(&self.worker.timers, LAST_CALL);
        }
        Poll::Pending
    }

    /// Capacity the inbox needs so that more can be read.
    pub(crate) fn room_wanted(&self) -> usize {
        if self.inbox.is_full() {
            self.inbox.capacity() * 2
        } else {
            SMALL
        }
    }

    /// Takes a head out of the inbox; `None` when it is not all there.
    fn parse(&mut self) -> Option<Next> {
        let worker = Rc::clone(&self.worker);
        let routing = Rc::clone(&worker.routing.borrow());
        let limits = &routing.settings.limits;
        let mut scratch = worker.request_head.borrow_mut();
        let mut own = self.partial.take();
        let head = own.as_deref_mut().unwrap_or(&mut scratch);
        let body = !self.inbox.bytes().starts_with(b"HEAD ");
        match head.parse(self.inbox.bytes(), limits) {
            Err(error) => {
                self.log_begin(None);
                Some(Next::Refused {
                    reply: Reply::refusing(error.status(), error.to_string()),
                    body,
                    close: true,
                })
            }
            Ok(Status::Partial) => {
                if own.is_none() {
                    own = Some(Box::new(scratch.clone()));
                    scratch.reset();
                }
                self.partial = own;
                None
            }
            Ok(Status::Complete { len }) => {
                self.log_begin(Some(head));
                let next = self.accept(head, &routing);
                self.inbox.consume(len);
                let stays = head.keep_alive && head.version == Version::Http11 && !self.is_closing();
                // What follows a CONNECT or a body that is not read is no request.
                let close = !stays || head.framing != Framing::None || head.method == Method::Connect;
                let next = next.and_then(|request| match request {
                    Some(mut request) => {
                        self.take_body(&mut request, routing.settings.max_body)?;
                        Ok(Next::Request(request))
                    }
                    None => Ok(Next::Options { close }),
                });
                Some(next.unwrap_or_else(|reply| Next::Refused { reply, body, close }))
            }
        }
    }

    /// Routes and rewrites a complete head; `None` when the request is for ourselves.
    fn accept(
        &mut self,
        head: &RequestHead,
        routing: &crate::worker::Routing,
    ) -> Result<Option<Request>, Reply> {
        let buf = self.inbox.bytes();
        let worker = &self.worker;
        if head.method == Method::Connect {
            return Err(Reply::new(
                501,
                "http_request_denied",
                "CONNECT is not offered here",
            ));
        }
        if rewrite::max_forwards(head, buf) == Some(0) {
            if head.method == Method::Options && head.framing == Framing::None {
                return Ok(None);
            }
            return Err(Reply::new(
                501,
                "http_request_denied",
                "the request is to go no further, and only OPTIONS without a body is answered here",
            ));
        }
        if worker.via.is_loop(head, buf) {
            return Err(Reply::new(
                502,
                "proxy_loop_detected",
                "the request goes round in a loop of proxies",
            ));
        }
        if let (Framing::Length(length), Some(max)) = (head.framing, routing.settings.max_body)
            && length > max
        {
            return Err(Reply::too_large());
        }
        let settings = self.listener.settings.borrow();
        let (slash, target) = head.origin_target(buf);
        let path = if slash.is_empty() { target } else { slash };
        let Some(index) = routes::find(&settings.routes, head.authority.of(buf), path) else {
            worker.counters.on_unrouted();
            return Err(Reply::new(
                404,
                "destination_not_found",
                "no route matches this host and path",
            ));
        };
        let upstream = Rc::clone(&routing.upstreams[index]);
        let key = request_key::hash(&upstream, head, buf, path, self.origin.peer());
        let session = sticky::session(&upstream, head, buf);
        let unnamed = head.authority.of(buf).is_empty();
        let local = unnamed.then(|| self.stream.local_addr().ok()).flatten();
        let mut out = worker.take_vec();
        let rng = &mut worker.picks.borrow_mut().rng;
        let id = rewrite::request(&mut out, head, buf, local, &self.origin, &worker.via, rng);
        if let Some(entry) = self.entry.as_mut().filter(|entry| entry.is_open()) {
            entry.service = Some(Arc::clone(upstream.settings.service.name()));
            entry.key = key;
            entry.request_id(match &id {
                RequestId::Given(span) => span.of(buf),
                RequestId::Made(id) => id,
            });
        }
        Ok(Some(Request {
            method: head.method,
            version: head.version,
            keep_alive: head.keep_alive && head.version == Version::Http11,
            upstream,
            key,
            session,
            keeps_session: false,
            out,
            body: BodyFilter::new(head.framing, BodyOut::Chunked, &routing.settings.limits),
            replayable: true,
            received: worker.read_clock(),
        }))
    }

    /// The refusal of a head that never came whole.
    fn refused(&mut self, status: u16, details: &'static str) -> Next {
        self.log_begin(None);
        Next::Refused {
            reply: Reply::refusing(status, details),
            body: true,
            close: true,
        }
    }

    /// Puts what is here of the body behind the head, so that both leave in one write.
    fn take_body(&mut self, request: &mut Request, max: Option<u64>) -> Result<(), Reply> {
        if request.body.is_done() || self.inbox.is_empty() {
            return Ok(());
        }
        let progress = request
            .body
            .filter(self.inbox.bytes_mut())
            .map_err(|error| Reply::refusing(400, error.to_string()))?;
        request
            .out
            .extend_from_slice(self.inbox.slice(0..progress.produced));
        self.inbox.consume(progress.consumed);
        if max.is_some_and(|max| request.body.data_bytes() > max) {
            return Err(Reply::too_large());
        }
        Ok(())
    }
}
