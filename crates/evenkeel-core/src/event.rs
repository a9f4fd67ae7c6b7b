//! What happened to a service, for logs, the event stream and the terminal.

use std::fmt;
use std::sync::Arc;

use crate::{InstanceId, Nanos};

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Nanos,
    /// In which service.
    pub service: Arc<str>,
    /// To which instance, if to one.
    pub instance: Option<InstanceId>,
    /// What.
    pub kind: EventKind,
    /// Why, in words and numbers.
    pub reason: Arc<str>,
}

/// The kinds of transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// An instance was registered.
    Registered,
    /// An instance was deregistered.
    Deregistered,
    /// Active checks failed often enough.
    CheckedDown,
    /// Active checks succeeded often enough.
    CheckedUp,
    /// Its requests failed; it gets none for a while.
    Ejected,
    /// The time of an ejection is over.
    Returned,
    /// Too few healthy instances: all are used.
    FallbackBegan,
    /// Enough healthy instances again.
    FallbackEnded,
}

impl EventKind {
    /// A short past-tense word, also used as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Deregistered => "deregistered",
            Self::CheckedDown => "down",
            Self::CheckedUp => "up",
            Self::Ejected => "ejected",
            Self::Returned => "returned",
            Self::FallbackBegan => "fallback_began",
            Self::FallbackEnded => "fallback_ended",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(id) => write!(f, "{id} {}: {}", self.kind.as_str(), self.reason),
            None => write!(f, "{} {}: {}", self.service, self.kind.as_str(), self.reason),
        }
    }
}
