//! Response heads.

use crate::field::{Facts, Fields, RawFields};
use crate::scan::Scan;
use crate::{
    Field, FieldError, FieldName, Framing, Limits, MAX_FIELDS, Method, ResponseError, Span, Status, Version,
};

/// The head of one response, as offsets into the buffer it was parsed from.
///
/// Made once per connection and filled again for each response: parsing allocates nothing.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: Span,
    /// The version of the message.
    pub version: Version,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection can carry another request after this message; never when the body ends
    /// with the connection or the protocol is switched.
    pub keep_alive: bool,
    /// Whether the server switches protocols (101) or the tunnel stands (2xx to CONNECT): what follows
    /// the head is no longer HTTP.
    pub upgrade: bool,
    /// Whether a field reports the load of the instance ([`FieldName::is_load_report`]).
    pub load_report: bool,
    fields: Fields,
    scan: Scan,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseHead {
    /// A head to parse into.
    pub const fn new() -> Self {
        Self {
            status: 0,
            reason: Span::new(0, 0),
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: false,
            upgrade: false,
            load_report: false,
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

    /// Whether another response to the same request follows: 1xx other than 101.
    #[inline]
    pub const fn is_informational(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Forgets what a partial parse has seen. Needed only before a different stream of bytes.
    pub fn reset(&mut self) {
        self.scan = Scan::NEW;
    }

    /// Parses the head at the start of `buf`, the response to a request with `request_method`.
    ///
    /// After [`Status::Partial`] call again with the same bytes and more behind them. The fields are
    /// valid after [`Status::Complete`] only.
    ///
    /// # Errors
    /// The message must not be forwarded: answer 502 and close the connection to the server.
    pub fn parse(
        &mut self,
        buf: &[u8],
        request_method: Method,
        limits: &Limits,
    ) -> Result<Status, ResponseError> {
        let result = self.parse_next(buf, request_method, limits);
        if result != Ok(Status::Partial) {
            self.scan = Scan::NEW;
        }
        result
    }

    fn parse_next(&mut self, buf: &[u8], method: Method, limits: &Limits) -> Result<Status, ResponseError> {
        let window = &buf[..buf.len().min(limits.max_head_bytes)];
        if matches!(window.first(), Some(b'\r' | b'\n')) {
            return Err(ResponseError::StatusLine);
        }
        if self.scan.has_begun() && !self.advance(window)? {
            return partial(buf, limits);
        }
        let mut raw: RawFields<'_> = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let room = &mut raw[..limits.max_fields.min(MAX_FIELDS)];
        // White space before a colon is to be removed by whoever forwards the response (RFC 9112 §5.1): a
        // field whose `name` is not followed by a colon has some.
        let mut config = httparse::ParserConfig::default();
        config.allow_spaces_after_header_name_in_responses(true);
        let parsed = config.parse_response_with_uninit_headers(&mut response, window, room);
        let len = match parsed {
            Ok(httparse::Status::Complete(len)) => len,
            // A blank line that httparse does not take for the end cannot be; refuse rather than wait.
            Ok(httparse::Status::Partial) if self.scan.has_begun() || self.advance(window)? => {
                return Err(ResponseError::StatusLine);
            }
            Ok(httparse::Status::Partial) => return partial(buf, limits),
            Err(error) => return Err(explain(error)),
        };
        let (Some(status), Some(minor)) = (response.code, response.version) else {
            return Err(ResponseError::StatusLine);
        };
        if status < 100 {
            return Err(ResponseError::Status);
        }
        let end = len - 2;
        let line_end = response
            .headers
            .first()
            .map_or(end, |h| Span::within(buf, h.name.as_bytes()).start as usize);
        if buf[line_end - 2] != b'\r' || buf[end] != b'\r' {
            return Err(FieldError::BareLf.into());
        }
        self.version = Version::from_minor(minor);
        self.status = status;
        // "HTTP/1.1 200" has 12 bytes; a space and the reason may follow.
        self.reason = Span::new((line_end - 2).min(13), line_end - 2);
        let facts = self.fields.fill(buf, response.headers, end)?;
        self.conclude(buf, method, &facts)?;
        Ok(Status::Complete { len })
    }

    /// Decides where the body ends (RFC 9112 §6.3) and what becomes of the connection.
    fn conclude(&mut self, buf: &[u8], method: Method, facts: &Facts) -> Result<(), ResponseError> {
        let announced = facts.framing(buf, self.version)?;
        self.upgrade = self.status == 101 || (method == Method::Connect && matches!(self.status, 200..=299));
        self.framing = match self.status {
            100..=199 | 204 => {
                // No body may be announced (RFC 9110 §8.6, RFC 9112 §6.1). A length of zero is a common
                // slip and says nothing untrue; it is not forwarded.
                if !matches!(announced, None | Some(Framing::Length(0))) {
                    return Err(ResponseError::UnexpectedBody);
                }
                self.withhold_length();
                Framing::None
            }
            _ if self.upgrade => {
                self.withhold_length();
                Framing::None
            }
            304 => Framing::None,
            _ if method == Method::Head => Framing::None,
            _ => announced.unwrap_or(Framing::UntilClose),
        };
        self.load_report = facts.load_report;
        self.keep_alive =
            facts.persists(self.version) && self.framing != Framing::UntilClose && !self.upgrade;
        Ok(())
    }

    /// Marks Content-Length as not to be forwarded, where RFC 9110 §8.6 forbids to send it.
    fn withhold_length(&mut self) {
        for field in self.fields.as_mut_slice() {
            field.hop_by_hop |= field.id == FieldName::ContentLength;
        }
    }

    fn advance(&mut self, window: &[u8]) -> Result<bool, ResponseError> {
        self.scan
            .advance(window, 0)
            .map_err(|_| FieldError::BareLf.into())
    }
}

/// More bytes are needed, unless the limit says that they would not help.
fn partial(buf: &[u8], limits: &Limits) -> Result<Status, ResponseError> {
    if buf.len() >= limits.max_head_bytes {
        Err(ResponseError::HeadTooLong)
    } else {
        Ok(Status::Partial)
    }
}

/// Says in our words what httparse stumbled over.
#[cold]
fn explain(error: httparse::Error) -> ResponseError {
    match error {
        httparse::Error::HeaderName => FieldError::Name.into(),
        httparse::Error::HeaderValue => FieldError::Value.into(),
        httparse::Error::NewLine => FieldError::BareCr.into(),
        httparse::Error::TooManyHeaders => FieldError::TooMany.into(),
        httparse::Error::Version => ResponseError::Version,
        httparse::Error::Status | httparse::Error::Token => ResponseError::StatusLine,
    }
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
