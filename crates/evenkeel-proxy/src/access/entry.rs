//! What is kept of a request for its line.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_core::{HashedKey, InstanceId, Nanos};
use evenkeel_h1::{FieldName, RequestHead};

use crate::reply::Reply;

/// The longest target and list of addresses that a line holds, in bytes before escapes.
pub(super) const LONGEST: usize = 2048;

/// What is kept of a request. Belongs to its client's connection, which uses it again.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Whether there is a request whose line is not written yet.
    open: bool,
    pub(super) begun: Nanos,
    /// The texts of the request, one after the other, and where each ends.
    texts: Vec<u8>,
    ends: [usize; Text::COUNT],
    pub(crate) service: Option<Arc<str>>,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) key: Option<HashedKey>,
    /// Tries, each with a connection or an attempt at one.
    pub(crate) tries: u32,
    /// From the last pick to the response head, or to the failure.
    pub(crate) at_instance: Option<Nanos>,
    /// What the client got; 0 for nothing.
    pub(crate) status: u16,
    pub(crate) error: Option<&'static str>,
    /// Of the bodies.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// A text of the request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text {
    Method,
    Host,
    Target,
    ForwardedFor,
    RequestId,
}

impl Text {
    const COUNT: usize = 5;
}

impl Entry {
    /// Begins with a request at `now`, of which nothing is known yet.
    pub(crate) fn begin(&mut self, now: Nanos) {
        let mut texts = std::mem::take(&mut self.texts);
        texts.clear();
        *self = Self {
            open: true,
            begun: now,
            texts,
            ..Self::default()
        };
    }

    /// Takes note of a head; of the addresses it was forwarded for when its sender is trusted.
    pub(crate) fn head(&mut self, head: &RequestHead, buf: &[u8], trusted: bool) {
        self.add(Text::Method, head.method_span.of(buf));
        self.add(Text::Host, head.authority.of(buf));
        let (slash, target) = head.origin_target(buf);
        self.texts.extend_from_slice(slash);
        self.add(Text::Target, &target[..target.len().min(LONGEST)]);
        let forwarded = head
            .fields()
            .iter()
            .rfind(|field| trusted && field.id == FieldName::XForwardedFor && !field.hop_by_hop)
            .map_or(&[][..], |field| field.value.of(buf));
        // The last addresses are those that trusted proxies wrote.
        self.add(
            Text::ForwardedFor,
            &forwarded[forwarded.len().saturating_sub(LONGEST)..],
        );
        self.add(Text::RequestId, &[]);
    }

    /// The id that the request has for its instance; the last text.
    pub(crate) fn request_id(&mut self, id: &[u8]) {
        self.add(Text::RequestId, id);
    }

    fn add(&mut self, text: Text, bytes: &[u8]) {
        self.texts.extend_from_slice(bytes);
        for end in &mut self.ends[text as usize..] {
            *end = self.texts.len();
        }
    }

    pub(super) fn text(&self, text: Text) -> &[u8] {
        let at = text as usize;
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let range: Range<usize> = from..self.ends[at];
        self.texts.get(range).unwrap_or_default()
    }

    /// Takes note of an answer that is our own, with a body of this length.
    pub(crate) fn reply(&mut self, reply: &Reply, length: usize) {
        self.status = reply.status;
        self.error = Some(reply.error);
        self.bytes_out = length as u64;
    }

    /// Ends the request; false when its line is written already, or there is none.
    pub(crate) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }
}
