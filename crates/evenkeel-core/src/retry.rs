//! What is tried again on another instance; the [budget](crate::RetryBudget) says how much of it.

use std::ops::RangeInclusive;

/// Why a request was sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryReason {
    /// The connection could not be made.
    Connect,
    /// A kept connection turned out to be closed before anything was answered on it.
    StaleConnection,
    /// Nothing of a response came: the connection ended, or the time for it was over.
    NoResponse,
    /// The response had a status to try again for.
    Status,
}

impl RetryReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [
        Self::Connect,
        Self::StaleConnection,
        Self::NoResponse,
        Self::Status,
    ];

    /// A word for metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::StaleConnection => "stale_connection",
            Self::NoResponse => "no_response",
            Self::Status => "status",
        }
    }
}

/// What is tried again on another instance, where that is safe.
///
/// A request lost on a kept connection that its instance closed just then is always sent again: that is
/// nobody's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// A connection that cannot be made.
    pub connect: bool,
    /// A connection that ends, or a time-out, before a byte of the response.
    pub no_response: bool,
    /// Responses with these statuses.
    pub statuses: StatusSet,
}

impl Default for RetryOn {
    /// Everything that another instance may do better, 500 included: a load balancer's users want the answer.
    fn default() -> Self {
        Self {
            connect: true,
            no_response: true,
            statuses: [500, 502, 503, 504].into_iter().collect(),
        }
    }
}

impl RetryOn {
    /// Whether a request may have another try that failed for `reason` and had `retries` of `attempts` further tries, the
    /// budget apart. A response is here for a status of [`Self::statuses`]. `has_others` says whether another instance is
    /// left: the same one again would only get more load.
    #[must_use]
    pub fn allows(
        &self,
        reason: RetryReason,
        retries: u32,
        attempts: u32,
        has_others: impl FnOnce() -> bool,
    ) -> bool {
        let is_given = match reason {
            RetryReason::Connect => self.connect,
            RetryReason::NoResponse => self.no_response,
            RetryReason::StaleConnection | RetryReason::Status => true,
        };
        is_given && retries < attempts && has_others()
    }
}

/// A set of failure statuses, 400 to 599.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 4]);

impl StatusSet {
    /// What can be in a set.
    pub const RANGE: RangeInclusive<u16> = 400..=599;

    /// Whether `status` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        Self::place(status).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }

    fn place(status: u16) -> Option<(usize, u64)> {
        let index = Self::RANGE.contains(&status).then(|| usize::from(status - 400))?;
        Some((index / 64, 1 << (index % 64)))
    }
}

impl FromIterator<u16> for StatusSet {
    /// Statuses outside [`Self::RANGE`] are left out: they are no failures.
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut set = Self::default();
        for (word, bit) in statuses.into_iter().filter_map(Self::place) {
            set.0[word] |= bit;
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_failures_alone() {
        let set: StatusSet = [200, 399, 400, 463, 464, 500, 599, 600, 999]
            .into_iter()
            .collect();
        let held: Vec<u16> = (0..1200).filter(|status| set.contains(*status)).collect();
        assert_eq!(held, [400, 463, 464, 500, 599]);
        let usual = RetryOn::default().statuses;
        let usual: Vec<u16> = StatusSet::RANGE
            .filter(|status| usual.contains(*status))
            .collect();
        assert_eq!(usual, [500, 502, 503, 504]);
    }
}
