//! Offsets into the buffer that holds a head.
//!
//! A head keeps offsets instead of slices so that it can live beside its buffer in one connection
//! structure and be reused without a lifetime. Four bytes each: heads are limited far below 4 GiB.

/// A half-open range of bytes in the buffer a head was parsed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset one past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`. Heads are at most [`u32::MAX`] bytes; see [`crate::Limits`].
    #[inline]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Where `part` lies inside `whole`, of which it must be a subslice.
    #[inline]
    pub(crate) fn within(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        Self::new(start, start + part.len())
    }

    /// The bytes of this span in `buf`, the buffer (or an unchanged copy of it) that was parsed.
    ///
    /// # Panics
    /// When `buf` is shorter than the span's end: it is then not the buffer that was parsed.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }

    /// Number of bytes.
    #[inline]
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span holds no byte.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}
