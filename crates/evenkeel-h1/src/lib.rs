//! Strict sans-I/O HTTP/1.1 message framing for an intermediary.
//!
//! Three parts, none of which reads a socket, a clock or a random number:
//!
//! * [`RequestHead`] and [`ResponseHead`] parse one head out of a buffer the caller owns. They keep
//!   offsets ([`Span`]), never copies, so that a proxy can forward runs of header lines verbatim.
//! * [`Framing`] says where the body ends. It is decided in one place, and a message whose end two
//!   recipients could place differently is refused, never repaired.
//! * [`BodyFilter`] walks a body in place: it validates the chunk framing, drops what must not be
//!   forwarded, and leaves the rest where it is.
//!
//! Token syntax is checked by `httparse`; this crate adds what an intermediary owes beyond it
//! (RFC 9110 §7.6, RFC 9112 §3.2, §5, §6): line ends are CRLF only, one framing per message, one
//! valid host, hop-by-hop fields marked, limits enforced before a head is complete.
//!
//! Absent on purpose: buffers, timers, connection state, header maps, and any leniency switch.

mod authority;
mod body;
mod chunk;
mod error;
mod field;
mod limits;
mod name;
mod request;
mod response;
mod scan;
mod span;
mod start_line;

pub use body::{BodyFilter, BodyOut, Progress};
pub use chunk::{CHUNK_END, ChunkHeader, LAST_CHUNK, encode_chunk_header};
pub use error::{BodyError, FieldError, RequestError, ResponseError};
pub use field::{Field, Framing};
pub use limits::{Limits, MAX_FIELDS};
pub use name::FieldName;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use scan::Status;
pub use span::Span;
pub use start_line::{Method, Version};
