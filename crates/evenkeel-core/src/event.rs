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
    /// To which instance, if to exactly one.
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
    /// Weight, priority or labels of an instance changed.
    Changed,
    /// An instance gets no new requests, because somebody said so.
    Drained,
    /// Somebody ended a drain.
    Undrained,
    /// The service picks in another way.
    StrategyChanged,
    /// Another strategy is asked beside the one that picks, or none any more.
    ShadowChanged,
    /// The strategy that is asked beside the one that picks does not suit the service as it is, and is asked nothing.
    ShadowIdle,
    /// The strategy `auto` picks by another of its candidates.
    Switched,
    /// Something spoke for a change of the strategy `auto`, and then the state of the fleet did not allow one.
    SwitchVetoed,
    /// Active checks failed often enough.
    CheckedDown,
    /// Active checks succeeded often enough.
    CheckedUp,
    /// Its requests failed; it gets none for a while.
    Ejected,
    /// Its requests fail, but too few others work to do without it.
    EjectionWithheld,
    /// A dry run: for what a detector found it would have been ejected, or for its score it would get nothing.
    WouldEject,
    /// An ejection is over.
    Returned,
    /// An instance that came back answers.
    Recovering,
    /// It has its full share and all patience again.
    Recovered,
    /// Its score fell below the threshold; it gets no requests.
    Weakened,
    /// Its score is back at the recovery threshold.
    Strengthened,
    /// It is foreseen to be bad soon; its share is lowered.
    Predicted,
    /// That came true, or is not foreseen any more; of a service: too many are foreseen to be bad to go by it.
    PredictionEnded,
    /// Too few healthy instances: all that answer requests are used, whatever checks say.
    FallbackBegan,
    /// Enough healthy instances again.
    FallbackEnded,
    /// No instance is left that may be used: their regions are forbidden. Requests are refused.
    ShutOut,
    /// There is an instance again that may be used.
    LetIn,
}

impl EventKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Registered,
        Self::Deregistered,
        Self::Changed,
        Self::Drained,
        Self::Undrained,
        Self::StrategyChanged,
        Self::ShadowChanged,
        Self::ShadowIdle,
        Self::Switched,
        Self::SwitchVetoed,
        Self::CheckedDown,
        Self::CheckedUp,
        Self::Ejected,
        Self::EjectionWithheld,
        Self::WouldEject,
        Self::Returned,
        Self::Recovering,
        Self::Recovered,
        Self::Weakened,
        Self::Strengthened,
        Self::Predicted,
        Self::PredictionEnded,
        Self::FallbackBegan,
        Self::FallbackEnded,
        Self::ShutOut,
        Self::LetIn,
    ];

    /// A short past-tense word, also used as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Deregistered => "deregistered",
            Self::Changed => "changed",
            Self::Drained => "drained",
            Self::Undrained => "undrained",
            Self::StrategyChanged => "strategy_changed",
            Self::ShadowChanged => "shadow_changed",
            Self::ShadowIdle => "shadow_idle",
            Self::Switched => "switched",
            Self::SwitchVetoed => "switch_vetoed",
            Self::CheckedDown => "down",
            Self::CheckedUp => "up",
            Self::Ejected => "ejected",
            Self::EjectionWithheld => "ejection_withheld",
            Self::WouldEject => "would_eject",
            Self::Returned => "returned",
            Self::Recovering => "recovering",
            Self::Recovered => "recovered",
            Self::Weakened => "weakened",
            Self::Strengthened => "strengthened",
            Self::Predicted => "predicted",
            Self::PredictionEnded => "prediction_ended",
            Self::FallbackBegan => "fallback_began",
            Self::FallbackEnded => "fallback_ended",
            Self::ShutOut => "shut_out",
            Self::LetIn => "let_in",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_listed_in_order_under_distinct_names() {
        for (index, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index, "{kind:?}");
        }
        let mut names: Vec<_> = EventKind::ALL.iter().map(|k| k.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventKind::ALL.len());
    }

    #[test]
    fn an_event_reads_as_a_line() {
        let mut event = Event {
            at: Nanos::ZERO,
            service: "web".into(),
            instance: InstanceId::new("web-4").ok(),
            kind: EventKind::Ejected,
            reason: "5 requests failed in a row".into(),
        };
        assert_eq!(event.to_string(), "web-4 ejected: 5 requests failed in a row");
        event.instance = None;
        assert_eq!(event.to_string(), "web ejected: 5 requests failed in a row");
    }
}
