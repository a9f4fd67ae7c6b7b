//! The fields of a head: one pass over what httparse found.
//!
//! The pass checks what httparse tolerates (LF-only line ends), recognises names, gathers the facts
//! that framing and connection handling need, and marks what must not be forwarded. It works for both
//! directions; what only one of them demands (Host, the status) is decided by the caller from the facts.

use std::mem::MaybeUninit;

use crate::name::{imitates_framing, imitates_vouched};
use crate::{FieldError, FieldName, MAX_FIELDS, Span, Version};

/// Most options in the Connection fields of one head. A handful is usual; the bound keeps the search
/// for nominated fields below `MAX_FIELDS * 32` comparisons.
const MAX_OPTIONS: usize = 32;

/// One field line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// What the name means to the proxy.
    pub id: FieldName,
    /// The line must not be forwarded: it is hop-by-hop by definition, or named by Connection, or an
    /// imitation (`X_Forwarded_For`) of a field by which the proxy vouches for something.
    pub hop_by_hop: bool,
    /// The name as it was sent.
    pub name: Span,
    /// The value without the white space around it.
    pub value: Span,
    /// The whole line with its CRLF; the next field's line starts where this one ends.
    pub line: Span,
}

/// Where the body of a message ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// The body has this many bytes.
    Length(u64),
    /// The body is chunked.
    Chunked,
    /// The body ends with the connection (responses only).
    UntilClose,
}

/// Room for httparse's view of the fields; never initialised, so it costs nothing.
pub(crate) type RawFields<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

/// The fields of a head, stored inline.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    list: [Field; MAX_FIELDS],
    len: usize,
}

/// What the pass over the fields found out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// The first Host value, and how many there are.
    pub(crate) host: Span,
    pub(crate) hosts: u32,
    /// The first Expect value, and how many there are.
    pub(crate) expect: Span,
    pub(crate) expects: u32,
    pub(crate) length: Option<u64>,
    pub(crate) coding: Option<Field>,
    pub(crate) te_trailers: bool,
    pub(crate) load_report: bool,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
    /// How many options Connection lists, and whether one of them may be the name of a field.
    options: usize,
    nominates: bool,
}

impl Facts {
    /// Whether the sender wants the connection to persist (RFC 9112 §9.3); `close` wins.
    pub(crate) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// Whether the sender offers or confirms an upgrade.
    pub(crate) fn upgrades(&self, version: Version) -> bool {
        version == Version::Http11 && self.upgrade_option && self.upgrade_field
    }

    /// The framing the fields announce: `None` when they announce none.
    pub(crate) fn framing(&self, buf: &[u8], version: Version) -> Result<Option<Framing>, FieldError> {
        let Some(coding) = self.coding else {
            return Ok(self.length.map(Framing::Length));
        };
        if self.length.is_some() {
            return Err(FieldError::TwoFramings);
        }
        if version == Version::Http10 {
            return Err(FieldError::CodingInHttp10);
        }
        let value = coding.value.of(buf);
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(Some(Framing::Chunked));
        }
        let well_formed = !value.is_empty() && value.iter().all(|b| is_token_byte(*b) || b", ;=".contains(b));
        Err(if well_formed {
            FieldError::UnsupportedCoding
        } else {
            FieldError::InvalidCoding
        })
    }
}

impl Fields {
    pub(crate) const fn new() -> Self {
        const EMPTY: Field = Field {
            id: FieldName::Other,
            hop_by_hop: false,
            name: Span::new(0, 0),
            value: Span::new(0, 0),
            line: Span::new(0, 0),
        };
        Self {
            list: [EMPTY; MAX_FIELDS],
            len: 0,
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Field] {
        &self.list[..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Field] {
        &mut self.list[..self.len]
    }

    /// Takes over `raw`, the fields httparse found in `buf`; `end` is the offset of the blank line.
    pub(crate) fn fill(
        &mut self,
        buf: &[u8],
        raw: &[httparse::Header<'_>],
        end: usize,
    ) -> Result<Facts, FieldError> {
        self.len = 0;
        let mut facts = Facts::default();
        let mut start = raw.first().map_or(end, |first| {
            Span::within(buf, first.name.as_bytes()).start as usize
        });
        for (index, header) in raw.iter().enumerate() {
            let next = raw
                .get(index + 1)
                .map_or(end, |next| Span::within(buf, next.name.as_bytes()).start as usize);
            // httparse has seen the LF, and lets a CR stand only before one.
            if buf[next - 2] != b'\r' {
                return Err(FieldError::BareLf);
            }
            let name = header.name.as_bytes();
            let id = FieldName::classify(name);
            let mut field = Field {
                id,
                hop_by_hop: id.is_hop_by_hop(),
                name: Span::new(start, start + name.len()),
                value: Span::within(buf, header.value),
                line: Span::new(start, next),
            };
            facts.note(&mut field, name, header.value)?;
            self.list[index] = field;
            self.len = index + 1;
            start = next;
        }
        if facts.nominates {
            self.mark_nominated(buf)?;
        }
        Ok(facts)
    }

    /// Marks the fields that Connection names.
    #[cold]
    fn mark_nominated(&mut self, buf: &[u8]) -> Result<(), FieldError> {
        for index in 0..self.len {
            let Field {
                id: FieldName::Connection,
                value,
                ..
            } = self.list[index]
            else {
                continue;
            };
            for option in elements(value.of(buf)) {
                if matches!(
                    FieldName::classify(option),
                    FieldName::Host | FieldName::ContentLength
                ) {
                    return Err(FieldError::NominatedEssential);
                }
                for field in &mut self.list[..self.len] {
                    field.hop_by_hop |= field.name.of(buf).eq_ignore_ascii_case(option);
                }
            }
        }
        Ok(())
    }
}

impl Facts {
    /// Takes note of one field.
    #[inline]
    fn note(&mut self, field: &mut Field, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        match field.id {
            FieldName::Other => {
                if imitates_framing(name) {
                    return Err(FieldError::Imitation);
                }
                field.hop_by_hop = imitates_vouched(name);
            }
            FieldName::Host => {
                if self.hosts == 0 {
                    self.host = field.value;
                }
                self.hosts += 1;
            }
            FieldName::ContentLength => {
                let length = decimal(value).ok_or(FieldError::InvalidLength)?;
                if self.length.replace(length).is_some() {
                    return Err(FieldError::DuplicateLength);
                }
            }
            FieldName::TransferEncoding if self.coding.is_some() => return Err(FieldError::DuplicateCoding),
            FieldName::TransferEncoding => self.coding = Some(*field),
            FieldName::Connection => self.note_connection(value)?,
            FieldName::Upgrade => self.upgrade_field = true,
            FieldName::Te => {
                self.te_trailers |= elements(value).any(|te| te.eq_ignore_ascii_case(b"trailers"));
            }
            FieldName::Expect => {
                self.expect = field.value;
                self.expects += 1;
            }
            FieldName::EndpointLoadMetrics | FieldName::EndpointLoadMetricsBin => self.load_report = true,
            _ => {}
        }
        Ok(())
    }

    /// Reads one Connection field: the options we act upon, and whether it names fields not to forward.
    fn note_connection(&mut self, value: &[u8]) -> Result<(), FieldError> {
        for option in elements(value) {
            self.options += 1;
            if self.options > MAX_OPTIONS {
                return Err(FieldError::TooManyOptions);
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_option = true;
            } else if option.iter().all(|b| is_token_byte(*b)) {
                self.nominates = true;
            } else {
                return Err(FieldError::InvalidConnection);
            }
        }
        Ok(())
    }
}

/// The elements of a comma-separated list, without white space around them; empty ones are skipped
/// as RFC 9110 §5.6.1.2 asks.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// `bytes` without SP and HTAB at its ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Whether `byte` may stand in a field value (RFC 9110 §5.5).
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// A plain decimal number below 2^63: bytes that some recipient counts in a signed integer.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_is_plain_digits_below_two_to_the_63() {
        for (text, number) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("00000000000000000001", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1 ", None),
            ("1,1", None),
            ("0x1", None),
            ("1_0", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn list_elements() {
        let all: Vec<&[u8]> = elements(b", a ,\tb\t,,c").collect();
        assert_eq!(all, [b"a", b"b", b"c"]);
        assert_eq!(elements(b"").count(), 0);
        assert_eq!(elements(b" , ").count(), 0);
    }

    #[test]
    fn token_bytes_are_those_of_the_grammar() {
        let token: Vec<u8> = (0..=255).filter(|b| is_token_byte(*b)).collect();
        assert_eq!(token.len(), 26 + 26 + 10 + 15);
        assert!(b"!#$%&'*+-.^_`|~".iter().all(|b| is_token_byte(*b)));
    }
}
