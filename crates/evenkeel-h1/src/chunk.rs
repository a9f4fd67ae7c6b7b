//! Chunk-size lines (RFC 9112 §7.1): reading them strictly, writing them plainly.

use std::ops::Deref;

use crate::BodyError;
use crate::field::is_token_byte;

/// What ends the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Most hexadecimal digits in a size.
const MAX_DIGITS: usize = 16;

/// A chunk-size line to write before `len` bytes of data and [`CHUNK_END`].
#[derive(Clone, Copy, Debug)]
pub struct ChunkHeader {
    bytes: [u8; MAX_DIGITS + 2],
    start: u8,
}

impl Deref for ChunkHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// The chunk-size line for `len` bytes of data. `len` should not be zero: that would end the body.
pub fn encode_chunk_header(len: usize) -> ChunkHeader {
    let mut header = ChunkHeader {
        bytes: [0; MAX_DIGITS + 2],
        start: MAX_DIGITS as u8,
    };
    header.bytes[MAX_DIGITS..].copy_from_slice(CHUNK_END);
    let mut rest = len;
    loop {
        header.start -= 1;
        header.bytes[usize::from(header.start)] = b"0123456789abcdef"[rest & 0xf];
        rest >>= 4;
        if rest == 0 {
            return header;
        }
    }
}

/// A chunk-size line that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkLine {
    /// Bytes of data in the chunk; zero for the last chunk.
    pub(crate) size: u64,
    /// Leading zeros, which are not forwarded.
    pub(crate) zeros: usize,
    /// Digits, leading zeros included.
    pub(crate) digits: usize,
}

/// Reads a chunk-size line without its CRLF.
pub(crate) fn parse_line(line: &[u8]) -> Result<ChunkLine, BodyError> {
    let mut size = 0u64;
    let mut digits = 0;
    for byte in line {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => break,
        };
        if digits == MAX_DIGITS {
            return Err(BodyError::ChunkSize);
        }
        size = size << 4 | u64::from(value);
        digits += 1;
    }
    // Sizes from 2^63 on are refused: some recipient counts in a signed integer.
    if digits == 0 || size > i64::MAX as u64 {
        return Err(BodyError::ChunkSize);
    }
    check_extensions(&line[digits..])?;
    let zeros = line[..digits - 1].iter().take_while(|b| **b == b'0').count();
    Ok(ChunkLine { size, zeros, digits })
}

/// Checks `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
fn check_extensions(mut rest: &[u8]) -> Result<(), BodyError> {
    while !rest.is_empty() {
        rest = expect(skip_space(rest), b';')?;
        rest = skip_space(take_token(skip_space(rest))?);
        if rest.first() == Some(&b'=') {
            rest = skip_space(&rest[1..]);
            rest = if rest.first() == Some(&b'"') {
                take_quoted(&rest[1..])?
            } else {
                take_token(rest)?
            };
        }
    }
    Ok(())
}

fn skip_space(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

fn expect(rest: &[u8], byte: u8) -> Result<&[u8], BodyError> {
    match rest {
        [first, tail @ ..] if *first == byte => Ok(tail),
        // White space or junk directly behind the digits: the size itself is in doubt.
        _ => Err(BodyError::ChunkSize),
    }
}

fn take_token(rest: &[u8]) -> Result<&[u8], BodyError> {
    match rest.iter().take_while(|b| is_token_byte(**b)).count() {
        0 => Err(BodyError::ChunkExtension),
        len => Ok(&rest[len..]),
    }
}

fn take_quoted(mut rest: &[u8]) -> Result<&[u8], BodyError> {
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., tail @ ..] => tail,
            [b'\\', ..] => return Err(BodyError::ChunkExtension),
            [b'\t' | b' '..=b'~' | 0x80.., tail @ ..] => tail,
            _ => return Err(BodyError::ChunkExtension),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (line, size) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("fF", Some(255)),
            ("0000000000000010", Some(16)),
            ("7fffffffffffffff", Some(i64::MAX as u64)),
            ("8000000000000000", None),
            ("00000000000000010", None),
            ("", None),
            ("+5", None),
            ("-5", None),
            ("0x5", None),
            ("5_0", None),
            (" 5", None),
            ("5 ", None),
            ("5\t", None),
            ("g", None),
            ("5,5", None),
        ] {
            assert_eq!(
                parse_line(line.as_bytes()).ok().map(|line| line.size),
                size,
                "{line:?}"
            );
        }
    }

    #[test]
    fn extensions() {
        for good in [
            "5;a",
            "5;a=b",
            "5 ; a = b",
            "5;a=\"x y\\\"z\"",
            "5;a;b=c",
            "5;a=\"\"",
        ] {
            assert_eq!(
                parse_line(good.as_bytes()).map(|line| (line.size, line.digits)),
                Ok((5, 1)),
                "{good:?}"
            );
        }
        for bad in [
            "5;",
            "5;a=",
            "5;=b",
            "5;a\0",
            "5;a=\"x",
            "5;a=\"x\r\"",
            "5;a\r",
            "5;a b",
            "5;;",
            "5;a=\"x\\",
            "5;a\x7f",
            "5;a\x0b",
        ] {
            assert!(parse_line(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn encoded_headers_read_back() {
        for len in [0usize, 1, 9, 10, 15, 16, 255, 4096, 65_536, i64::MAX as usize] {
            let header = encode_chunk_header(len);
            let line = header.strip_suffix(CHUNK_END).expect("ends in CRLF");
            assert_eq!(
                parse_line(line),
                Ok(ChunkLine {
                    size: len as u64,
                    zeros: 0,
                    digits: line.len()
                })
            );
        }
    }
}
