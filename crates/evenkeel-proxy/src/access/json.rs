//! A line of the access log: one JSON object (RFC 8259), in ASCII.
//!
//! Whatever a client sends stays within its string: quotes, backslashes and control characters are escaped, and bytes
//! beyond ASCII are percent-encoded, which in a URL means the same. So a line can neither end early nor begin another,
//! whatever reads it.

use evenkeel_core::Nanos;
use evenkeel_core::calendar::date_of;

use super::AccessLogSettings;
use super::entry::{Entry, Text};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A request with what its line needs beside.
pub(super) struct Line<'a> {
    pub(super) entry: &'a Entry,
    /// When it began, in microseconds of wall time.
    pub(super) time: u64,
    pub(super) client: &'a str,
    pub(super) listener: &'a str,
    /// When it ended.
    pub(super) now: Nanos,
    pub(super) settings: &'a AccessLogSettings,
}

impl Line<'_> {
    /// Appends it. Keys that mean nothing for this request are left out.
    pub(super) fn write(&self, out: &mut Vec<u8>, stamp: &mut Stamp) {
        let entry = self.entry;
        out.extend_from_slice(b"{\"time\":\"");
        stamp.write(out, self.time);
        out.extend_from_slice(b"\",\"listener\":\"");
        text(out, self.listener.as_bytes());
        out.extend_from_slice(b"\",\"client\":\"");
        text(out, self.client.as_bytes());
        out.push(b'"');
        let target = entry.text(Text::Target);
        let end = target.iter().position(|byte| *byte == b'?');
        let (path, query) = target.split_at(end.unwrap_or(target.len()));
        string(out, "method", entry.text(Text::Method));
        string(out, "host", entry.text(Text::Host));
        string(out, "path", path);
        if self.settings.query {
            string(out, "query", query.get(1..).unwrap_or_default());
        }
        string(out, "forwarded_for", entry.text(Text::ForwardedFor));
        number(out, "status", u64::from(entry.status));
        if let Some(error) = entry.error {
            string(out, "error", error.as_bytes());
        }
        if let Some(service) = &entry.service {
            string(out, "service", service.as_bytes());
            if let Some(instance) = &entry.instance {
                string(out, "instance", instance.as_str().as_bytes());
            }
            number(out, "tries", u64::from(entry.tries));
        }
        number(out, "bytes_in", entry.bytes_in);
        number(out, "bytes_out", entry.bytes_out);
        millis(out, "duration_ms", self.now.since(entry.begun));
        if let Some(time) = entry.at_instance {
            millis(out, "instance_ms", time);
        }
        string(out, "request_id", entry.text(Text::RequestId));
        if let Some(key) = entry.key {
            let mut digits = [0; 16];
            for (place, digit) in digits.iter_mut().rev().enumerate() {
                *digit = HEX[(key.id() >> (4 * place) & 15) as usize];
            }
            string(out, "key", &digits);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A string, unless it is empty.
fn string(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    key(out, name);
    out.push(b'"');
    text(out, value);
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, mut value: &[u8]) {
    loop {
        let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\');
        let end = value.iter().position(|byte| !plain(byte)).unwrap_or(value.len());
        out.extend_from_slice(&value[..end]);
        let Some(byte) = value.get(end).copied() else {
            return;
        };
        let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x80.. => out.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
            _ => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]),
        }
        value = &value[end + 1..];
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    digits(out, value);
}

/// Milliseconds with three places.
fn millis(out: &mut Vec<u8>, name: &str, value: Nanos) {
    let micros = value.0 / 1000;
    number(out, name, micros / 1000);
    out.push(b'.');
    out.extend_from_slice(&padded::<3>(micros % 1000));
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

fn padded<const N: usize>(mut value: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text
}

/// A time as RFC 3339 has it, of which all but the fraction is kept for the requests of the same second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: u64,
    text: Vec<u8>,
}

impl Stamp {
    fn write(&mut self, out: &mut Vec<u8>, micros: u64) {
        let second = micros / 1_000_000;
        if second != self.second || self.text.is_empty() {
            self.second = second;
            let (year, month, day) = date_of(second / 86_400);
            self.text.clear();
            self.text.extend_from_slice(&padded::<4>(year));
            let of_day = second % 86_400;
            for (mark, value) in [
                (b'-', month),
                (b'-', day),
                (b'T', of_day / 3600),
                (b':', of_day / 60 % 60),
                (b':', of_day % 60),
            ] {
                self.text.push(mark);
                self.text.extend_from_slice(&padded::<2>(value));
            }
            self.text.push(b'.');
        }
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&padded::<6>(micros % 1_000_000));
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_h1::{Limits, RequestHead};

    use super::*;

    fn line(request: &[u8], settings: &AccessLogSettings, set: impl FnOnce(&mut Entry)) -> String {
        let mut entry = Entry::default();
        entry.begin(Nanos::from_millis(5));
        let mut head = RequestHead::new();
        head.parse(request, &Limits::default()).unwrap();
        entry.head(&head, request, true);
        set(&mut entry);
        let mut out = Vec::new();
        Line {
            entry: &entry,
            time: 1_795_252_443_000_017,
            client: "192.0.2.7",
            listener: "web",
            now: Nanos(7_034_567),
            settings,
        }
        .write(&mut out, &mut Stamp::default());
        String::from_utf8(out).unwrap()
    }

    const PLAIN: AccessLogSettings = AccessLogSettings {
        file: None,
        sample: 1.0,
        query: false,
    };

    #[test]
    fn a_line_holds_what_is_known_and_no_query_unless_asked() {
        let request = b"GET /a?token=secret HTTP/1.1\r\nHost: x\r\nCookie: s=1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";
        let full = |entry: &mut Entry| {
            entry.request_id(b"r-1");
            entry.status = 200;
            entry.service = Some("web".into());
            entry.instance = InstanceId::new("web-1").ok();
            entry.tries = 2;
            entry.bytes_out = 12;
            entry.at_instance = Some(Nanos::from_millis(1));
            entry.key = Some(HashedKey::from(0x0123_4567_89ab_cdef));
        };
        assert_eq!(
            line(request, &PLAIN, full),
            "{\"time\":\"2026-11-21T09:14:03.000017Z\",\"listener\":\"web\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
             \"host\":\"x\",\"path\":\"/a\",\"forwarded_for\":\"198.51.100.1\",\"status\":200,\"service\":\"web\",\
             \"instance\":\"web-1\",\"tries\":2,\"bytes_in\":0,\"bytes_out\":12,\"duration_ms\":2.034,\
             \"instance_ms\":1.000,\"request_id\":\"r-1\",\"key\":\"0123456789abcdef\"}\n"
        );
        let query = AccessLogSettings { query: true, ..PLAIN };
        assert!(line(request, &query, full).contains("\"path\":\"/a\",\"query\":\"token=secret\""));
    }

    #[test]
    fn what_a_client_sends_stays_within_its_string() {
        let mut all: Vec<u8> = (0..=255).collect();
        all.extend_from_slice(b"\"}\n{\"status\":200");
        let mut out = b"{\"v\":\"".to_vec();
        text(&mut out, &all);
        out.extend_from_slice(b"\"}");
        assert!(out.iter().all(|byte| matches!(byte, 0x20..=0x7e)));
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let high: String = (128..256).map(|byte| format!("%{byte:02X}")).collect();
        let low: String = all[..128].iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(read["v"], format!("{low}{high}\"}}\n{{\"status\":200"));
    }

    #[test]
    fn long_targets_are_cut() {
        let request = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000));
        let line = line(request.as_bytes(), &PLAIN, |_| {});
        assert!((2048..2400).contains(&line.len()), "{}", line.len());
    }

    use evenkeel_core::{HashedKey, InstanceId};
}
