//! Responses made here: refusals of what a client sent, and what it learns when no instance answered.

use std::borrow::Cow;
use std::io::Write as _;

use crate::rewrite::PSEUDONYM;

/// A response of our own. `error` is a type registered for `Proxy-Status` (RFC 9209 §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    /// What happened, for the person who reads it; names no instance.
    pub(crate) details: Cow<'static, str>,
}

impl Reply {
    pub(crate) fn new(status: u16, error: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        let mut details = details.into();
        if details.contains(['"', '\\']) {
            // A structured field's string would need escapes; nobody needs these characters.
            details = details.replace(['"', '\\'], "'").into();
        }
        Self {
            status,
            error,
            details,
        }
    }

    /// Refuses what a client sent.
    pub(crate) fn refusing(status: u16, details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, "http_request_error", details)
    }

    pub(crate) fn too_large() -> Self {
        Self::refusing(413, "the request body is longer than allowed here")
    }

    /// Appends the response. `close` announces the end of the connection; without `body` the same head
    /// is sent as for HEAD. Returns the length of the body that is sent.
    pub(crate) fn write(&self, out: &mut Vec<u8>, close: bool, body: bool, date: &[u8]) -> usize {
        let reason = reason(self.status);
        let text = format!("{} {reason}: {}\n", self.status, self.details);
        let length = text.len();
        let _ = write!(out, "HTTP/1.1 {} {reason}\r\nDate: ", self.status);
        out.extend_from_slice(date);
        let _ = write!(
            out,
            "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
             Proxy-Status: {PSEUDONYM}; error={}; details=\"{}\"\r\n",
            self.error, self.details
        );
        if self.status == 503 {
            out.extend_from_slice(b"Retry-After: 1\r\n");
        }
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if body {
            out.extend_from_slice(text.as_bytes());
            length
        } else {
            0
        }
    }
}

/// The answer to OPTIONS with `Max-Forwards: 0`, whose final recipient we are.
pub(crate) fn options(out: &mut Vec<u8>, close: bool, date: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\nContent-Length: 0\r\n");
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

const fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_a_whole_response() {
        let mut out = Vec::new();
        Reply::new(503, "destination_unavailable", "no instance").write(&mut out, true, true, b"now");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 503 Service Unavailable\r\nDate: now\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 37\r\nProxy-Status: evenkeel; error=destination_unavailable; \
             details=\"no instance\"\r\nRetry-After: 1\r\nConnection: close\r\n\r\n\
             503 Service Unavailable: no instance\n"
        );
    }
}
