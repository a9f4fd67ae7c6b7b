//! Finding the end of a head that arrives in pieces, reading each byte once.
//!
//! A head usually comes in one read and is parsed at once, without this scan. When it does not, the
//! scan remembers how far it came, and the parser runs again only when the blank line is there: a peer
//! that sends byte by byte costs time linear in what it sends.

use memchr::memchr;

/// What a parse of a head found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The head goes on beyond the buffer; call again with the same bytes and more behind them.
    Partial,
    /// The head is complete.
    Complete {
        /// Bytes from the start of the buffer to the end of the head's blank line.
        len: usize,
    },
}

/// How far a head that is not complete yet has been searched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    /// Everything before this offset has been searched.
    pos: usize,
    /// Start of the line that `pos` is in.
    line_start: usize,
    /// Complete lines seen.
    lines: usize,
}

/// A line that ends in LF without CR.
pub(crate) struct BareLf;

impl Scan {
    /// Nothing searched.
    pub(crate) const NEW: Self = Self {
        pos: 0,
        line_start: 0,
        lines: 0,
    };

    /// Whether an earlier call has seen part of this head.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.pos > 0
    }

    /// Whether the start line is complete.
    pub(crate) fn has_start_line(&self) -> bool {
        self.lines > 0
    }

    /// Searches on in `window`, whose head begins at `begin`; true when the blank line is there.
    pub(crate) fn advance(&mut self, window: &[u8], begin: usize) -> Result<bool, BareLf> {
        if self.pos == 0 {
            self.pos = begin;
            self.line_start = begin;
        }
        while let Some(found) = memchr(b'\n', &window[self.pos..]) {
            let lf = self.pos + found;
            if lf == self.line_start || window[lf - 1] != b'\r' {
                return Err(BareLf);
            }
            if lf == self.line_start + 1 {
                return Ok(true);
            }
            self.pos = lf + 1;
            self.line_start = lf + 1;
            self.lines += 1;
        }
        self.pos = window.len();
        Ok(false)
    }
}
