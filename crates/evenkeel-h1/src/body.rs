//! One body on its way through the proxy, validated and canonicalised in place.
//!
//! The filter works on the read buffer itself. A body in canonical form passes without one byte moved;
//! what must not pass (chunk extensions, leading zeros, forbidden trailers, or the whole chunk framing
//! toward an HTTP/1.0 recipient) is squeezed out, so the output is never longer than the input.
//!
//! Lines are taken whole or not at all: a chunk-size or trailer line that is not complete stays with the
//! caller, which offers it again with more bytes. That keeps the filter's state to a few words.
//!
//! Absent on purpose: adding chunk framing, which makes a body longer; see [`crate::encode_chunk_header`].

use memchr::memchr;

use crate::chunk::parse_line;
use crate::field::{is_token_byte, is_value_byte, trim};
use crate::name::is_forbidden_trailer;
use crate::{BodyError, FieldError, FieldName, Framing, Limits};

/// What the receiver of a chunked body gets. Bodies of other framings pass as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOut {
    /// Chunks, and the trailers that may be forwarded.
    Chunked,
    /// The data alone, for an HTTP/1.0 receiver; the trailers are lost.
    Plain,
}

/// What one call of [`BodyFilter::filter`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are dealt with; the rest must be offered again, before newer bytes.
    pub consumed: usize,
    /// Bytes at the start of the buffer to forward.
    pub produced: usize,
    /// Whether the body is complete; what is not consumed belongs to the next message.
    pub done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes are left of a body with a length.
    Length(u64),
    UntilClose,
    /// At a chunk-size line.
    Size,
    /// This many bytes are left of a chunk.
    Data(u64),
    /// At the CRLF behind the data of a chunk.
    DataEnd,
    Trailers,
    Done,
}

/// The state of one body.
#[derive(Clone, Debug)]
pub struct BodyFilter {
    state: State,
    out: BodyOut,
    max_line: usize,
    /// Bytes the trailer section may still have.
    trailer_budget: usize,
    data_bytes: u64,
}

impl BodyFilter {
    /// A filter for a body with this framing.
    pub fn new(framing: Framing, out: BodyOut, limits: &Limits) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            out,
            max_line: limits.max_chunk_line_bytes,
            trailer_budget: limits.max_trailer_bytes,
            data_bytes: 0,
        }
    }

    /// Bytes of data so far, without the framing.
    #[inline]
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Whether the body is complete.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes that are certain to follow: the rest of the body when it has a length, or of the chunk.
    #[inline]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) | State::Data(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The connection has ended: completes a body that ends with it.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] when the body is not complete; the receiver must see that, too.
    pub fn on_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BodyError::Truncated),
        }
    }

    /// Takes the input in `buf` and leaves at its start what to forward.
    ///
    /// Afterwards `buf[..produced]` is output and `buf[consumed..]` is input still to be offered;
    /// `produced <= consumed`. Cost: proportional to the number of lines, plus a move of the bytes
    /// behind the first one that was dropped.
    ///
    /// # Errors
    /// The body is malformed: neither it nor anything behind it can be trusted. What was produced by
    /// earlier calls is out already; end the receiver's connection without ending the body.
    pub fn filter(&mut self, buf: &mut [u8]) -> Result<Progress, BodyError> {
        self.filter_with(buf, |_, _| true)
    }

    /// As [`Self::filter`]; `trailer` is given the name and the value of each trailer that may be forwarded,
    /// and says whether it is. Trailers that the receiver cannot get are shown to it, too.
    ///
    /// # Errors
    /// As for [`Self::filter`].
    pub fn filter_with(
        &mut self,
        buf: &mut [u8],
        mut trailer: impl FnMut(FieldName, &[u8]) -> bool,
    ) -> Result<Progress, BodyError> {
        let mut cursor = Cursor {
            buf,
            read: 0,
            written: 0,
        };
        while self.step(&mut cursor, &mut trailer)? {}
        Ok(Progress {
            consumed: cursor.read,
            produced: cursor.written,
            done: self.is_done(),
        })
    }

    /// One piece of the body; false when the input has no whole piece left or the body is complete.
    #[inline]
    fn step(
        &mut self,
        cursor: &mut Cursor<'_>,
        trailer: &mut impl FnMut(FieldName, &[u8]) -> bool,
    ) -> Result<bool, BodyError> {
        let available = cursor.rest().len();
        match self.state {
            State::Length(left) => {
                let take = available.min(usize::try_from(left).unwrap_or(usize::MAX));
                cursor.keep(take);
                self.data_bytes += take as u64;
                let left = left - take as u64;
                self.state = if left == 0 {
                    State::Done
                } else {
                    State::Length(left)
                };
                Ok(false)
            }
            State::UntilClose => {
                cursor.keep(available);
                self.data_bytes += available as u64;
                Ok(false)
            }
            State::Size => {
                let Some(line) = whole_line(cursor.rest(), self.max_line, BodyError::ChunkLineTooLong)?
                else {
                    return Ok(false);
                };
                let text = crlf_stripped(&cursor.rest()[..line]).ok_or(BodyError::ChunkSize)?;
                let parsed = parse_line(text)?;
                if self.out == BodyOut::Chunked {
                    cursor.drop_input(parsed.zeros);
                    cursor.keep(parsed.digits - parsed.zeros);
                    cursor.drop_input(line - 2 - parsed.digits);
                    cursor.keep(2);
                } else {
                    cursor.drop_input(line);
                }
                self.state = if parsed.size == 0 {
                    State::Trailers
                } else {
                    State::Data(parsed.size)
                };
                Ok(true)
            }
            State::Data(left) => {
                let take = available.min(usize::try_from(left).unwrap_or(usize::MAX));
                cursor.keep(take);
                self.data_bytes += take as u64;
                let left = left - take as u64;
                self.state = if left == 0 {
                    State::DataEnd
                } else {
                    State::Data(left)
                };
                Ok(left == 0)
            }
            State::DataEnd => match cursor.rest() {
                [b'\r', b'\n', ..] => {
                    cursor.keep_or_drop(2, self.out == BodyOut::Chunked);
                    self.state = State::Size;
                    Ok(true)
                }
                [] | [b'\r'] => Ok(false),
                _ => Err(BodyError::ChunkEnd),
            },
            State::Trailers => {
                let Some(line) = whole_line(cursor.rest(), self.trailer_budget, BodyError::TrailersTooLong)?
                else {
                    return Ok(false);
                };
                self.trailer_budget -= line;
                let text =
                    crlf_stripped(&cursor.rest()[..line]).ok_or(BodyError::Trailer(FieldError::BareLf))?;
                let last = text.is_empty();
                let wanted = last || {
                    let (name, value) = split_trailer(text).map_err(BodyError::Trailer)?;
                    !is_forbidden_trailer(name) && trailer(FieldName::classify(name), trim(value))
                };
                cursor.keep_or_drop(line, wanted && self.out == BodyOut::Chunked);
                if last {
                    self.state = State::Done;
                }
                Ok(!last)
            }
            State::Done => Ok(false),
        }
    }
}

/// The length of the line at the start of `input` with its LF, or `None` when it is not all there.
fn whole_line(input: &[u8], limit: usize, error: BodyError) -> Result<Option<usize>, BodyError> {
    let window = &input[..input.len().min(limit)];
    match memchr(b'\n', window) {
        Some(lf) => Ok(Some(lf + 1)),
        None if input.len() >= limit => Err(error),
        None => Ok(None),
    }
}

/// `line`, which ends in LF, without its CRLF; `None` when the CR is missing.
fn crlf_stripped(line: &[u8]) -> Option<&[u8]> {
    line.strip_suffix(b"\r\n")
}

/// Checks a trailer line as strictly as a field, and gives its name and its value.
fn split_trailer(line: &[u8]) -> Result<(&[u8], &[u8]), FieldError> {
    let colon = line.iter().position(|b| !is_token_byte(*b)).unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    let [b':', value @ ..] = rest else {
        return Err(FieldError::Name);
    };
    if name.is_empty() {
        return Err(FieldError::Name);
    }
    if !value.iter().all(|b| is_value_byte(*b)) {
        return Err(FieldError::Value);
    }
    Ok((name, value))
}

/// A buffer that is read ahead of where it is written.
struct Cursor<'b> {
    buf: &'b mut [u8],
    read: usize,
    written: usize,
}

impl Cursor<'_> {
    #[inline]
    fn rest(&self) -> &[u8] {
        &self.buf[self.read..]
    }

    /// Passes `len` bytes of input on; moves them only when something before them was dropped.
    #[inline]
    fn keep(&mut self, len: usize) {
        if self.written != self.read {
            self.buf.copy_within(self.read..self.read + len, self.written);
        }
        self.read += len;
        self.written += len;
    }

    #[inline]
    fn drop_input(&mut self, len: usize) {
        self.read += len;
    }

    #[inline]
    fn keep_or_drop(&mut self, len: usize, keep: bool) {
        if keep {
            self.keep(len);
        } else {
            self.drop_input(len);
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
