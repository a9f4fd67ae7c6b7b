//! One side of a connection as a proxy reads it: heads, then bodies, from bytes that come in pieces.

use evenkeel_h1::{BodyFilter, BodyOut, Field, Limits, Method, RequestHead, ResponseHead, Status};

/// A message as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Method or status, then the target toward an origin server or the reason.
    pub(crate) start: (String, Vec<u8>),
    pub(crate) authority: Vec<u8>,
    /// Names in lower case, and values.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// Framing, persistence and the like.
    pub(crate) facts: String,
}

/// What came of a stream of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// The complete messages.
    pub(crate) messages: Vec<Message>,
    /// The message that was under way when the bytes ended.
    pub(crate) unfinished: Option<Message>,
    /// Bytes of a head that is not complete.
    pub(crate) pending: usize,
    /// Why the stream was refused.
    pub(crate) error: Option<String>,
}

impl Trace {
    /// Whether every byte belongs to a complete message.
    pub(crate) fn is_clean(&self) -> bool {
        self.error.is_none() && self.unfinished.is_none() && self.pending == 0
    }
}

/// Which heads to expect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Requests,
    /// Responses to requests with this method.
    Responses(Method),
}

/// Reads `stream`, delivered in pieces that end at `cuts`, until its end or the first error.
pub(crate) fn read(side: Side, stream: &[u8], cuts: &[usize], out: BodyOut) -> Trace {
    let mut cuts: Vec<usize> = cuts
        .iter()
        .map(|cut| cut % (stream.len() + 1))
        .chain([stream.len()])
        .collect();
    cuts.sort_unstable();
    let mut reader = Reader::new(side, out);
    let mut from = 0;
    for cut in cuts {
        if let Err(error) = reader.feed(&stream[from..cut]) {
            reader.trace.error = Some(error);
            reader.trace.unfinished = None;
            return reader.trace;
        }
        from = cut;
    }
    reader.finish()
}

struct Reader {
    side: Side,
    out: BodyOut,
    request: RequestHead,
    response: ResponseHead,
    body: Option<BodyFilter>,
    buf: Vec<u8>,
    trace: Trace,
}

impl Reader {
    fn new(side: Side, out: BodyOut) -> Self {
        let (request, response) = (RequestHead::new(), ResponseHead::new());
        Self {
            side,
            out,
            request,
            response,
            body: None,
            buf: Vec::new(),
            trace: Trace::default(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.buf.extend_from_slice(bytes);
        loop {
            if let Some(filter) = &mut self.body {
                let progress = filter.filter(&mut self.buf).map_err(|error| error.to_string())?;
                let message = self.trace.unfinished.as_mut().unwrap();
                message.body.extend_from_slice(&self.buf[..progress.produced]);
                self.buf.drain(..progress.consumed);
                if !progress.done {
                    return Ok(());
                }
                self.complete();
            } else if !self.head()? {
                return Ok(());
            }
        }
    }

    /// Reads a head; false when more bytes are needed.
    fn head(&mut self) -> Result<bool, String> {
        let limits = Limits::default();
        let parsed = match self.side {
            Side::Requests => self
                .request
                .parse(&self.buf, &limits)
                .map_err(|error| format!("{error:?}"))?,
            Side::Responses(method) => self
                .response
                .parse(&self.buf, method, &limits)
                .map_err(|error| format!("{error:?}"))?,
        };
        let Status::Complete { len } = parsed else {
            return Ok(false);
        };
        let (message, framing) = match self.side {
            Side::Requests => (request_message(&self.request, &self.buf), self.request.framing),
            Side::Responses(_) => (response_message(&self.response, &self.buf), self.response.framing),
        };
        self.trace.unfinished = Some(message);
        self.buf.drain(..len);
        self.body = Some(BodyFilter::new(framing, self.out, &limits));
        Ok(true)
    }

    fn complete(&mut self) {
        self.body = None;
        self.trace.messages.extend(self.trace.unfinished.take());
    }

    fn finish(mut self) -> Trace {
        if let Some(Ok(())) = self.body.as_mut().map(BodyFilter::on_eof) {
            self.complete();
        }
        self.trace.pending = self.buf.len();
        self.trace
    }
}

fn named_values(fields: &[Field], buf: &[u8]) -> Vec<(String, Vec<u8>)> {
    let name = |field: &Field| String::from_utf8(field.name.of(buf).to_ascii_lowercase()).unwrap();
    fields
        .iter()
        .map(|field| (name(field), field.value.of(buf).to_vec()))
        .collect()
}

fn request_message(head: &RequestHead, buf: &[u8]) -> Message {
    let (before, path) = head.origin_target(buf);
    Message {
        start: (
            String::from_utf8(head.method_span.of(buf).to_vec()).unwrap(),
            [before, path].concat(),
        ),
        authority: head.authority.of(buf).to_vec(),
        fields: named_values(head.fields(), buf),
        body: Vec::new(),
        facts: format!(
            "{:?} {:?} {} {} {} {}",
            head.version, head.framing, head.keep_alive, head.expect_continue, head.upgrade, head.te_trailers
        ),
    }
}

fn response_message(head: &ResponseHead, buf: &[u8]) -> Message {
    Message {
        start: (head.status.to_string(), head.reason.of(buf).to_vec()),
        authority: Vec::new(),
        fields: named_values(head.fields(), buf),
        body: Vec::new(),
        facts: format!(
            "{:?} {:?} {} {}",
            head.version, head.framing, head.keep_alive, head.upgrade
        ),
    }
}
