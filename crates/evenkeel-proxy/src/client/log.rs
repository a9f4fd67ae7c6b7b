//! The request of a client in the access log: begun when its head is there, or will never be, and ended once.

use evenkeel_h1::RequestHead;

use super::{Client, Request};

impl Client {
    /// Begins with a request; without a head when it was none. Costs a look at a flag when there is no log.
    #[inline]
    pub(super) fn log_begin(&mut self, head: Option<&RequestHead>) {
        if self.worker.lines.is_on() {
            self.begin(head);
        }
    }

    fn begin(&mut self, head: Option<&RequestHead>) {
        if !self.worker.lines.wants() {
            return;
        }
        let entry = self.entry.get_or_insert_default();
        entry.begin(self.worker.read_clock());
        if let Some(head) = head {
            entry.head(head, self.inbox.bytes(), self.origin.is_trusted());
        }
    }

    /// Writes the line of the request, if it is to have one and has none yet.
    #[inline]
    pub(crate) fn log_end(&mut self) {
        if self.entry.is_some() {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(entry) = self.entry.as_mut().filter(|entry| entry.is_open()) else {
            return;
        };
        entry.close();
        let now = self.worker.read_clock();
        let listener = self.listener.settings.borrow();
        self.worker
            .lines
            .push(entry, self.origin.peer(), &listener.name, now);
    }

    /// Writes the line of a request whose client got nothing.
    pub(crate) fn log_broken(&mut self, request: &Request, error: &'static str) {
        if let Some(entry) = &mut self.entry {
            entry.error = Some(error);
            entry.bytes_in = request.body.data_bytes();
        }
        self.log_end();
    }
}

/// A request that is cut off, by the end of the process or by a panic, has its line as well.
impl Drop for Client {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.as_mut().filter(|entry| entry.is_open()) {
            entry.error = Some("cut_off");
            self.log_end();
        }
    }
}
