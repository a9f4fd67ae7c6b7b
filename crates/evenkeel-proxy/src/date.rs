//! The `Date` of responses, formatted once a second.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

/// The current date in IMF-fixdate (RFC 9110 §5.6.7).
#[derive(Debug, Default)]
pub(crate) struct Date {
    second: Cell<u64>,
    text: RefCell<Box<[u8]>>,
}

impl Date {
    /// Takes note of the time.
    pub(crate) fn set(&self, now: SystemTime) {
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if second != self.second.get() || self.text.borrow().is_empty() {
            self.second.set(second);
            *self.text.borrow_mut() = httpdate::fmt_http_date(now).into_bytes().into();
        }
    }

    /// The text of the last [`Self::set`].
    pub(crate) fn text(&self) -> std::cell::Ref<'_, [u8]> {
        std::cell::Ref::map(self.text.borrow(), |text| &**text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_form_is_imf_fixdate() {
        let date = Date::default();
        date.set(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(&*date.text(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
