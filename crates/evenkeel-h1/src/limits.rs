//! Limits a peer cannot exceed, whatever it sends and however slowly.

/// Hard cap on the fields of one head, whatever [`Limits::max_fields`] says: heads store their
/// fields inline so that parsing never allocates.
pub const MAX_FIELDS: usize = 128;

/// Sizes beyond which a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest head in bytes, from its first byte to the end of its blank line.
    pub max_head_bytes: usize,
    /// Most fields in a head; values above [`MAX_FIELDS`] mean [`MAX_FIELDS`].
    pub max_fields: usize,
    /// Longest request target in bytes.
    pub max_target_bytes: usize,
    /// Longest chunk-size line in bytes, extensions and CRLF included.
    pub max_chunk_line_bytes: usize,
    /// Longest trailer section in bytes.
    pub max_trailer_bytes: usize,
}

impl Default for Limits {
    /// What browsers and common servers stay below: 32 KiB of head, 100 fields, 16 KiB of target,
    /// 1 KiB of chunk line, 8 KiB of trailers.
    fn default() -> Self {
        Self {
            max_head_bytes: 32 * 1024,
            max_fields: 100,
            max_target_bytes: 16 * 1024,
            max_chunk_line_bytes: 1024,
            max_trailer_bytes: 8 * 1024,
        }
    }
}
