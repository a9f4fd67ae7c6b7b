//! Why a message is refused.
//!
//! Every error is `Copy` and short: it ends in a log line and a status code, on a path an attacker can
//! take as often as he likes.

use thiserror::Error;

/// A field, or a combination of fields, that must not be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldError {
    /// A line ends in LF alone.
    #[error("a line ends in LF without CR")]
    BareLf,
    /// A CR that is not followed by LF.
    #[error("a CR without LF in a line")]
    BareCr,
    /// The name is empty or not a token, or white space precedes the colon, or the line is folded.
    #[error("a field name is not a token (white space before the colon and folded lines are refused too)")]
    Name,
    /// The value has a control byte.
    #[error("a field value has a control byte")]
    Value,
    /// A name that careless recipients take for Content-Length or Transfer-Encoding.
    #[error("a field name imitates Content-Length or Transfer-Encoding")]
    Imitation,
    /// More fields than the limit.
    #[error("more fields than the limit")]
    TooMany,
    /// Content-Length twice, even with one value.
    #[error("Content-Length more than once")]
    DuplicateLength,
    /// Content-Length is not a plain decimal number below 2^63.
    #[error("Content-Length is not a plain number")]
    InvalidLength,
    /// Content-Length and Transfer-Encoding together.
    #[error("Content-Length and Transfer-Encoding together")]
    TwoFramings,
    /// Transfer-Encoding twice.
    #[error("Transfer-Encoding more than once")]
    DuplicateCoding,
    /// Transfer-Encoding is malformed or has white space where a recipient could stumble.
    #[error("Transfer-Encoding is malformed")]
    InvalidCoding,
    /// A transfer coding other than chunked.
    #[error("a transfer coding other than chunked")]
    UnsupportedCoding,
    /// Transfer-Encoding in an HTTP/1.0 message.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    CodingInHttp10,
    /// Connection is not a list of tokens.
    #[error("Connection is not a list of tokens")]
    InvalidConnection,
    /// Connection lists more names than anyone needs.
    #[error("Connection lists more than 32 names")]
    TooManyOptions,
    /// Connection names a field every recipient needs (Host, Content-Length).
    #[error("Connection names Host or Content-Length")]
    NominatedEssential,
}

/// Why a request head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A field is at fault.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The request line is not `method SP target SP version CRLF`.
    #[error("the request line is malformed")]
    RequestLine,
    /// The method is longer than any in use.
    #[error("the method is longer than 32 bytes")]
    MethodTooLong,
    /// A version other than 1.0 and 1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// The client speaks HTTP/2 with prior knowledge.
    #[error("this is the HTTP/2 preface; the listener speaks HTTP/1.1 only")]
    Http2Preface,
    /// Too many empty lines before the request line.
    #[error("more than two empty lines before the request line")]
    LeadingEmptyLines,
    /// A target other than a path has a byte that is not visible ASCII, or a fragment.
    #[error("the request target has a byte that does not belong there")]
    TargetByte,
    /// The target is in no form the method allows.
    #[error("the request target is in no form this method allows")]
    TargetForm,
    /// The target is longer than the limit.
    #[error("the request target is longer than the limit")]
    TargetTooLong,
    /// The head is longer than the limit.
    #[error("the head is longer than the limit")]
    HeadTooLong,
    /// An HTTP/1.1 request without Host.
    #[error("Host is missing")]
    MissingHost,
    /// Host twice.
    #[error("Host more than once")]
    DuplicateHost,
    /// Host, or the target's authority, is not `host[:port]`.
    #[error("Host is not host[:port]")]
    InvalidHost,
    /// Expect asks for something other than `100-continue`, or twice.
    #[error("Expect asks for something other than 100-continue")]
    Expectation,
    /// CONNECT or TRACE with content.
    #[error("a CONNECT or TRACE request announces a body")]
    UnexpectedBody,
}

impl RequestError {
    /// The status code to answer with; the connection is closed after it.
    pub const fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLong | Self::Field(FieldError::TooMany) => 431,
            Self::Field(FieldError::UnsupportedCoding) => 501,
            Self::Version | Self::Http2Preface => 505,
            _ => 400,
        }
    }
}

/// Why a response head is refused; toward the client each is a 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A field is at fault.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The status line is not `version SP status [SP reason] CRLF`.
    #[error("the status line is malformed")]
    StatusLine,
    /// A version other than 1.0 and 1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// The status is not in 100..=999.
    #[error("the status is not a number from 100 to 999")]
    Status,
    /// The head is longer than the limit.
    #[error("the head is longer than the limit")]
    HeadTooLong,
    /// A 1xx or 204 response announces a body.
    #[error("a 1xx or 204 response announces a body")]
    UnexpectedBody,
}

/// Why a body is refused; what was forwarded of it must not end cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The chunk size is not 1 to 16 hexadecimal digits below 2^63.
    #[error("a chunk size is not a plain hexadecimal number")]
    ChunkSize,
    /// The extension has a control byte or is malformed.
    #[error("a chunk extension is malformed")]
    ChunkExtension,
    /// The chunk-size line is longer than the limit.
    #[error("a chunk-size line is longer than the limit")]
    ChunkLineTooLong,
    /// The data of a chunk is not followed by CRLF.
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    /// A trailer line is malformed.
    #[error("a trailer: {0}")]
    Trailer(FieldError),
    /// The trailer section is longer than the limit.
    #[error("the trailer section is longer than the limit")]
    TrailersTooLong,
    /// The connection ended within the body.
    #[error("the connection ended within the body")]
    Truncated,
}
