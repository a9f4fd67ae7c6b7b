//! Request heads.

use memchr::memchr;

use crate::authority::is_host_and_port;
use crate::field::{Facts, Fields, RawFields};
use crate::scan::Scan;
use crate::{
    Field, FieldError, FieldName, Framing, Limits, MAX_FIELDS, Method, RequestError, Span, Status, Version,
};

/// Longest method; the longest registered one (`UPDATEREDIRECTREF`) has 17 bytes.
const MAX_METHOD: usize = 32;
/// What a request line has besides its target, rounded up: method, two spaces, version, CRLF.
const LINE_OVERHEAD: usize = MAX_METHOD + 32;
/// Empty lines tolerated before a request (RFC 9112 §2.2 asks for at least one).
const MAX_EMPTY_LINES: usize = 2;

/// The head of one request, as offsets into the buffer it was parsed from.
///
/// Made once per connection and filled again for each request: parsing allocates nothing. About 4 KiB.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, as far as it matters.
    pub method: Method,
    /// The method as it was sent.
    pub method_span: Span,
    /// The target as it was sent.
    pub target: Span,
    /// Path and query of the target, without a fragment, which no client may send and whose meaning to
    /// a server is anyone's guess. Not always what to send; see [`RequestHead::origin_target`].
    pub path_and_query: Span,
    /// The effective host: the authority of an absolute-form or authority-form target, which replaces
    /// Host (RFC 9112 §3.2.2), else the value of Host; empty for an HTTP/1.0 request without any.
    pub authority: Span,
    /// The version of the message.
    pub version: Version,
    /// Where the body ends; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client wants the connection to persist. An HTTP/1.0 client does when it says so.
    pub keep_alive: bool,
    /// Whether the client waits for 100 (Continue); never for HTTP/1.0, which knows no 1xx.
    pub expect_continue: bool,
    /// Whether the client offers an upgrade: HTTP/1.1, `Upgrade`, and `Connection: upgrade`.
    pub upgrade: bool,
    /// Whether the client accepts trailers (`TE: trailers`).
    pub te_trailers: bool,
    fields: Fields,
    scan: Scan,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestHead {
    /// A head to parse into.
    pub const fn new() -> Self {
        const NOWHERE: Span = Span::new(0, 0);
        Self {
            method: Method::Get,
            method_span: NOWHERE,
            target: NOWHERE,
            path_and_query: NOWHERE,
            authority: NOWHERE,
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: false,
            expect_continue: false,
            upgrade: false,
            te_trailers: false,
            fields: Fields::new(),
            scan: Scan::NEW,
        }
    }

    /// The fields in the order they were sent.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        self.fields.as_slice()
    }

    /// The first field of this name. Cost: linear in the number of fields.
    pub fn field(&self, id: FieldName) -> Option<&Field> {
        self.fields().iter().find(|field| field.id == id)
    }

    /// The target in origin form, as two pieces to write one after the other: path and query for an
    /// origin server, `/` put before them where an absolute-form target has no path, and `*` for
    /// OPTIONS of a whole server (RFC 9112 §3.2.4). Empty for CONNECT, which has no origin form.
    pub fn origin_target<'b>(&self, buf: &'b [u8]) -> (&'static [u8], &'b [u8]) {
        let path = self.path_and_query.of(buf);
        match path.first() {
            Some(b'?') => (b"/", path),
            None if self.method == Method::Options => (b"*", path),
            None if self.method != Method::Connect => (b"/", path),
            _ => (b"", path),
        }
    }

    /// Forgets what a partial parse has seen. Needed only before a different stream of bytes.
    pub fn reset(&mut self) {
        self.scan = Scan::NEW;
    }

    /// Parses the head at the start of `buf`.
    ///
    /// After [`Status::Partial`] call again with the same bytes and more behind them: what was searched
    /// is not searched again. The fields are valid after [`Status::Complete`] only.
    ///
    /// # Errors
    /// The message must not be forwarded, and nothing behind it can be trusted: answer with
    /// [`RequestError::status`] and close. A head over a limit is refused before it is complete.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Status, RequestError> {
        let result = self.parse_next(buf, limits);
        if result != Ok(Status::Partial) {
            self.scan = Scan::NEW;
        }
        result
    }

    fn parse_next(&mut self, buf: &[u8], limits: &Limits) -> Result<Status, RequestError> {
        let window = &buf[..buf.len().min(limits.max_head_bytes)];
        let Some(begin) = skip_empty_lines(window)? else {
            return self.partial(buf, window, 0, limits);
        };
        if self.scan.has_begun() && !self.advance(window, begin)? {
            return self.partial(buf, window, begin, limits);
        }
        let mut raw: RawFields<'_> = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let head = &window[begin..];
        let room = &mut raw[..limits.max_fields.min(MAX_FIELDS)];
        let len = match request.parse_with_uninit_headers(head, room) {
            Ok(httparse::Status::Complete(len)) => len,
            // A blank line that httparse does not take for the end cannot be; refuse rather than wait.
            Ok(httparse::Status::Partial) if self.scan.has_begun() || self.advance(window, begin)? => {
                return Err(RequestError::RequestLine);
            }
            Ok(httparse::Status::Partial) => return self.partial(buf, window, begin, limits),
            Err(error) => return Err(explain(error, head)),
        };
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
        else {
            return Err(RequestError::RequestLine);
        };
        let end = begin + len - 2;
        let line_end = request
            .headers
            .first()
            .map_or(end, |h| Span::within(buf, h.name.as_bytes()).start as usize);
        if buf[line_end - 2] != b'\r' || buf[end] != b'\r' {
            return Err(FieldError::BareLf.into());
        }
        self.version = Version::from_minor(minor);
        self.method = Method::from_bytes(method.as_bytes());
        self.method_span = Span::within(buf, method.as_bytes());
        self.target = Span::within(buf, target.as_bytes());
        if method.len() > MAX_METHOD {
            return Err(RequestError::MethodTooLong);
        }
        if target.len() > limits.max_target_bytes {
            return Err(RequestError::TargetTooLong);
        }
        let facts = self.fields.fill(buf, request.headers, end)?;
        self.conclude(buf, &facts)?;
        Ok(Status::Complete { len: begin + len })
    }

    /// Decides everything that depends on several parts of the head.
    fn conclude(&mut self, buf: &[u8], facts: &Facts) -> Result<(), RequestError> {
        match facts.hosts {
            0 if self.version == Version::Http11 => return Err(RequestError::MissingHost),
            0 | 1 => self.authority = facts.host,
            _ => return Err(RequestError::DuplicateHost),
        }
        if facts.hosts == 1 && !is_host_and_port(facts.host.of(buf)) {
            return Err(RequestError::InvalidHost);
        }
        self.split_target(buf)?;
        self.framing = facts.framing(buf, self.version)?.unwrap_or_default();
        if facts
            .coding
            .is_some_and(|coding| !is_plainly_spaced(&coding, buf))
        {
            return Err(FieldError::InvalidCoding.into());
        }
        if self.framing != Framing::None && matches!(self.method, Method::Connect | Method::Trace) {
            return Err(RequestError::UnexpectedBody);
        }
        self.expect_continue = match facts.expects {
            0 => false,
            1 if facts.expect.of(buf).eq_ignore_ascii_case(b"100-continue") => {
                self.version == Version::Http11
            }
            _ => return Err(RequestError::Expectation),
        };
        self.keep_alive = facts.persists(self.version);
        self.upgrade = facts.upgrades(self.version);
        self.te_trailers = facts.te_trailers;
        Ok(())
    }

    /// Splits the target by its form and the method (RFC 9112 §3.2).
    fn split_target(&mut self, buf: &[u8]) -> Result<(), RequestError> {
        let target = self.target.of(buf);
        if self.method == Method::Connect {
            // The port is mandatory; the last colon of a bracketed address does not count.
            let has_port = target.last().is_some_and(u8::is_ascii_digit) && target.contains(&b':');
            if !has_port || !is_host_and_port(target) {
                return Err(RequestError::TargetForm);
            }
            self.authority = self.target;
            self.path_and_query = Span {
                start: self.target.end,
                end: self.target.end,
            };
            return Ok(());
        }
        self.path_and_query = self.target;
        if target.first() == Some(&b'/') {
            if let Some(fragment) = memchr(b'#', target) {
                self.path_and_query.end = self.target.start + fragment as u32;
            }
            return Ok(());
        }
        // Only a path may have raw bytes beyond ASCII: refusing them would break clients that every
        // other proxy serves, and no recipient ends a line or a target at one.
        if target.iter().any(|b| *b >= 0x80 || *b == b'#') {
            return Err(RequestError::TargetByte);
        }
        if target == b"*" && self.method == Method::Options {
            return Ok(());
        }
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|scheme| {
                target
                    .get(..scheme.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            })
            .ok_or(RequestError::TargetForm)?;
        let rest = &target[scheme.len()..];
        let end = rest
            .iter()
            .position(|b| matches!(b, b'/' | b'?'))
            .unwrap_or(rest.len());
        if !is_host_and_port(&rest[..end]) {
            return Err(RequestError::InvalidHost);
        }
        self.authority = Span::within(buf, &rest[..end]);
        self.path_and_query = Span::within(buf, &rest[end..]);
        Ok(())
    }

    fn advance(&mut self, window: &[u8], begin: usize) -> Result<bool, RequestError> {
        self.scan
            .advance(window, begin)
            .map_err(|_| FieldError::BareLf.into())
    }

    /// More bytes are needed, unless a limit says that they would not help.
    fn partial(
        &self,
        buf: &[u8],
        window: &[u8],
        begin: usize,
        limits: &Limits,
    ) -> Result<Status, RequestError> {
        let within_line = !self.scan.has_start_line();
        let seen = &window[begin..];
        if within_line && seen.len() > MAX_METHOD && memchr(b' ', &seen[..=MAX_METHOD]).is_none() {
            return Err(RequestError::MethodTooLong);
        }
        if within_line && seen.len() > limits.max_target_bytes.saturating_add(LINE_OVERHEAD) {
            return Err(RequestError::TargetTooLong);
        }
        if buf.len() >= limits.max_head_bytes {
            return Err(if within_line {
                RequestError::TargetTooLong
            } else {
                RequestError::HeadTooLong
            });
        }
        Ok(Status::Partial)
    }
}

/// The offset behind the empty lines at the start; `None` when more bytes are needed to tell.
fn skip_empty_lines(buf: &[u8]) -> Result<Option<usize>, RequestError> {
    let mut begin = 0;
    loop {
        match &buf[begin..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if begin < 2 * MAX_EMPTY_LINES => begin += 2,
            [b'\r', b'\n', ..] => return Err(RequestError::LeadingEmptyLines),
            [b'\r', ..] => return Err(FieldError::BareCr.into()),
            [b'\n', ..] => return Err(FieldError::BareLf.into()),
            _ => return Ok(Some(begin)),
        }
    }
}

/// Whether only SP stands between the colon and the value, and nothing behind the value: a spelling of
/// `Transfer-Encoding` that no recipient is known to read differently.
fn is_plainly_spaced(field: &Field, buf: &[u8]) -> bool {
    let between = &buf[field.name.end as usize + 1..field.value.start as usize];
    between.iter().all(|b| *b == b' ') && field.value.end + 2 == field.line.end
}

/// Says in our words what httparse stumbled over.
#[cold]
fn explain(error: httparse::Error, head: &[u8]) -> RequestError {
    match error {
        httparse::Error::HeaderName => FieldError::Name.into(),
        httparse::Error::HeaderValue => FieldError::Value.into(),
        httparse::Error::NewLine => FieldError::BareCr.into(),
        httparse::Error::TooManyHeaders => FieldError::TooMany.into(),
        httparse::Error::Version if head.starts_with(b"PRI * HTTP/2.0") => RequestError::Http2Preface,
        httparse::Error::Version if names_a_version(head) => RequestError::Version,
        _ => RequestError::RequestLine,
    }
}

/// Whether the request line ends in something of the form of a version, but not one we speak (then the
/// fault lies before it).
fn names_a_version(head: &[u8]) -> bool {
    let line = head
        .split(|b| matches!(b, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let last = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    match last {
        b"HTTP/1.0" | b"HTTP/1.1" => false,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
