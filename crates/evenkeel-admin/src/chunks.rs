//! A response body that is made while it is read: a long exposition or listing is rendered in chunks,
//! and the admin thread answers others in between. At most two chunks per reader exist at a time,
//! however slowly it reads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use tokio::sync::mpsc;

/// When a chunk is full and is sent.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// The longest a reader may take. Longer than any scrape timeout in use; a reader that is slower
/// loses its connection and does not see a clean end.
const DEADLINE: Duration = Duration::from_secs(60);

enum Piece {
    Data(String),
    /// Everything was written. A body without it is cut short.
    End,
}

/// Where a body is written to.
pub(crate) struct ChunkWriter(mpsc::Sender<Piece>);

/// The reader went away.
#[derive(Debug)]
pub(crate) struct Gone;

impl ChunkWriter {
    /// Sends `text`, waiting until the reader wants it.
    pub(crate) async fn send(&self, text: String) -> Result<(), Gone> {
        self.0.send(Piece::Data(text)).await.map_err(|_| Gone)
    }
}

/// A body that `write` writes. It ends cleanly only when `write` returns `Ok` in time.
pub(crate) fn body<F, W>(write: F) -> Body
where
    F: FnOnce(ChunkWriter) -> W,
    W: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(1);
    let write = write(ChunkWriter(sender.clone()));
    tokio::spawn(async move {
        let whole = async {
            if write.await.is_ok() {
                let _ = sender.send(Piece::End).await;
            }
        };
        // Past the deadline the sender is dropped without an end.
        let _ = tokio::time::timeout(DEADLINE, whole).await;
    });
    Body::new(Chunks { pieces, ended: false })
}

struct Chunks {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        Poll::Ready(match piece {
            Some(Piece::Data(text)) => Some(Ok(Frame::data(text.into()))),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(io::Error::other("the body was not written to its end")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: Body) -> Result<String, axum::Error> {
        let bytes = axum::body::to_bytes(body, usize::MAX).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn pieces_arrive_in_order_and_the_body_ends() {
        let body = body(async |out: ChunkWriter| {
            for piece in ["a", "b", "c"] {
                out.send(piece.to_owned()).await?;
            }
            Ok(())
        });
        assert_eq!(read(body).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_body_that_was_not_finished_is_an_error() {
        let body = body(async |out: ChunkWriter| {
            out.send("a".to_owned()).await?;
            Err(Gone)
        });
        assert!(read(body).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_too_long_sees_no_clean_end() {
        let body = body(async |out: ChunkWriter| {
            out.send("a".to_owned()).await?;
            std::future::pending().await
        });
        assert!(read(body).await.is_err());
    }
}
