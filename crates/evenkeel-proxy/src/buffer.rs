//! Read buffers, lent by the worker only while they hold something.
//!
//! A connection that waits owns no buffer: it takes one when bytes are there and gives it back when it
//! has passed them on. Ten thousand idle clients cost no buffer at all.

use std::cell::RefCell;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, mem};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Holds every common head and small body.
pub(crate) const SMALL: usize = 16 * 1024;
/// For bodies on their way: fewer system calls per byte, and still within the second-level cache.
pub(crate) const LARGE: usize = 64 * 1024;
/// Buffers kept for reuse; more are returned to the allocator.
const KEEP_SMALL: usize = 128;
const KEEP_LARGE: usize = 32;

/// Bytes that were read and not yet passed on: `data[start..end]`. Without storage when empty and
/// returned.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }

    /// The bytes in `range`, which counts from the first unconsumed byte.
    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes()[range]
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Whether no byte more can be read, not even after moving what is there to the front.
    pub(crate) fn is_full(&self) -> bool {
        !self.data.is_empty() && self.len() == self.data.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.data.len()
    }
}

/// A worker's stock.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Box<[u8]>>>,
    large: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// Gives `buffer` storage of at least `want` bytes, keeping what it holds.
    pub(crate) fn reserve(&self, buffer: &mut Buffer, want: usize) {
        if buffer.data.len() >= want {
            return;
        }
        let mut data = self.take(want);
        let len = buffer.len();
        data[..len].copy_from_slice(buffer.bytes());
        self.put(mem::replace(&mut buffer.data, data));
        buffer.start = 0;
        buffer.end = len;
    }

    /// Takes the storage of an empty buffer back.
    pub(crate) fn release(&self, buffer: &mut Buffer) {
        if buffer.is_empty() && !buffer.data.is_empty() {
            self.put(mem::take(&mut buffer.data));
            buffer.start = 0;
            buffer.end = 0;
        }
    }

    /// Reads once into `buffer`, which gets storage if it has none; takes it back when nothing came.
    /// `Ok(0)` is the end of the stream. The buffer must not be full.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        buffer: &mut Buffer,
        want: usize,
    ) -> Poll<io::Result<usize>> {
        self.reserve(buffer, want);
        if buffer.end == buffer.data.len() {
            buffer.data.copy_within(buffer.start..buffer.end, 0);
            buffer.end -= buffer.start;
            buffer.start = 0;
        }
        let mut space = ReadBuf::new(&mut buffer.data[buffer.end..]);
        debug_assert!(space.capacity() > 0);
        match Pin::new(stream).poll_read(cx, &mut space) {
            Poll::Ready(Ok(())) => {
                let read = space.filled().len();
                buffer.end += read;
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.release(buffer);
                Poll::Pending
            }
        }
    }

    fn take(&self, want: usize) -> Box<[u8]> {
        let (stock, size) = if want <= SMALL {
            (&self.small, SMALL)
        } else {
            (&self.large, LARGE)
        };
        if want <= size
            && let Some(data) = stock.borrow_mut().pop()
        {
            return data;
        }
        vec![0; want.max(size)].into_boxed_slice()
    }

    fn put(&self, data: Box<[u8]>) {
        let (stock, keep) = match data.len() {
            SMALL => (&self.small, KEEP_SMALL),
            LARGE => (&self.large, KEEP_LARGE),
            _ => return,
        };
        let mut stock = stock.borrow_mut();
        if stock.len() < keep {
            stock.push(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_without_losing_bytes_and_its_storage_is_used_again() {
        let stock = Buffers::default();
        let mut buffer = Buffer::default();
        stock.reserve(&mut buffer, SMALL);
        buffer.data[..3].copy_from_slice(b"abc");
        buffer.end = 3;
        buffer.consume(1);
        stock.reserve(&mut buffer, LARGE);
        assert_eq!(buffer.bytes(), b"bc");
        assert_eq!(buffer.capacity(), LARGE);
        assert_eq!(stock.small.borrow().len(), 1);
        stock.release(&mut buffer);
        assert_eq!(
            buffer.capacity(),
            LARGE,
            "a buffer that holds bytes keeps its storage"
        );
        buffer.consume(2);
        stock.release(&mut buffer);
        assert_eq!((buffer.capacity(), stock.large.borrow().len()), (0, 1));
    }
}
