//! What is known of a request when an instance is selected for it.

use evenkeel_core::{Question, Slot};

/// What may decide on the instance of a request. All of it is optional: without anything, the strategy alone
/// decides.
///
/// ```
/// use evenkeel::Selection;
///
/// let selection = Selection::new().key("alice").region("eu-west");
/// # let _ = selection;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) region: Option<&'a str>,
    pub(crate) tried: &'a [Slot],
}

impl<'a> Selection<'a> {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The user, session or object whose requests belong together. Strategies that hash
    /// (`consistent_hash`, `maglev`, `rendezvous`) give equal keys the same instance; others ignore it. A request
    /// without a key, or with an empty one, is spread at random by these, and counted.
    #[must_use]
    pub fn key(mut self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.key = Some(key.as_ref()).filter(|key| !key.is_empty());
        self
    }

    /// Where the client is, for strategies that know of places.
    #[must_use]
    pub fn region(mut self, region: &'a str) -> Self {
        self.region = Some(region);
        self
    }

    /// The slots of instances that were tried for this request already ([`Lease::slot`](crate::Lease::slot)): avoided
    /// while there is another candidate.
    #[must_use]
    pub fn avoiding(mut self, tried: &'a [Slot]) -> Self {
        self.tried = tried;
        self
    }

    pub(crate) fn question(&self) -> Question<'a> {
        Question {
            key: self.key,
            region: self.region,
            tried: self.tried,
        }
    }
}
