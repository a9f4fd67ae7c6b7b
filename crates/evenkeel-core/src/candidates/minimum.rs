//! What happens when too few instances are healthy.
//!
//! With fewer than the minimum, evidence against so many is taken for an error, or the settings say that no
//! answer is better than a bad one. A minimum above the number of instances means all of them, and 0 means 1.

use std::collections::BTreeMap;

use super::{Exclusion, Prospect, candidates};
use crate::ServiceSettings;

/// What a service does with fewer healthy instances than its minimum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Panic {
    /// Uses all instances that are not ejected, whatever checks, scores and priorities say; and when none of
    /// those answers requests, the ejected ones too.
    #[default]
    All,
    /// Uses none: requests are refused at once, and those that depend on the service can do without.
    Fail,
    /// The minimum holds for each priority alone: one with fewer is passed over for the next. When every
    /// priority has fewer, as [`Self::All`].
    NextPriority,
}

impl Panic {
    /// The name users write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Fail => "fail",
            Self::NextPriority => "next_priority",
        }
    }
}

/// How many instances are healthy, and whether they are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Minimum {
    /// Instances that nothing speaks against, in all priorities.
    pub(crate) healthy: usize,
    /// Who may be used if it must be; of these the healthy ones are.
    pub(crate) permitted: usize,
    /// Who may not, because it drains.
    pub(crate) draining: usize,
    /// Who may not, because of its region.
    pub(crate) forbidden: usize,
    /// How many of those are wanted.
    pub(crate) wanted: usize,
    /// They are too few, so evidence and priorities have no say.
    pub(crate) fallback: bool,
    /// And nobody answers, so that ejections have none either.
    pub(crate) last_resort: bool,
    /// How many are wanted of one priority; `None` where that does not matter.
    pub(super) of_each: Option<usize>,
}

impl Minimum {
    /// Of instances that went through the stages before.
    fn count(all: &[Prospect<'_>], settings: &ServiceSettings) -> Self {
        let least = settings.min_healthy.max(1) as usize;
        let healthy = candidates(all).count();
        let permitted = permitted(all).count();
        let wanted = least.min(permitted);
        let left_out = |why| {
            all.iter()
                .filter(|prospect| prospect.excluded == Some(why))
                .count()
        };
        let of_each = (settings.panic == Panic::NextPriority).then_some(least);
        let fallback = match of_each {
            None => healthy < wanted,
            Some(least) => wanted > 0 && !tiers(all).values().any(|tier| tier.has(least)),
        };
        Self {
            healthy,
            permitted,
            draining: left_out(Exclusion::Draining),
            forbidden: left_out(Exclusion::Region),
            wanted,
            fallback,
            last_resort: fallback && !self::permitted(all).any(|prospect| prospect.answers),
            of_each,
        }
    }

    /// `2 of 3 instances are healthy`, of those that may be used; with how many more there are that may not be, which
    /// are mostly as healthy, and no help.
    pub(crate) fn census(&self) -> String {
        let of = |count: usize, one: &str, more: &str| match count {
            0 => None,
            1 => Some(format!("1 more {one}")),
            _ => Some(format!("{count} more {more}")),
        };
        let forbidden = of(
            self.forbidden,
            "is not permitted by `locality`",
            "are not permitted by `locality`",
        );
        let barred = [forbidden, of(self.draining, "drains", "drain")];
        let barred: Vec<String> = barred.into_iter().flatten().collect();
        let barred = match &barred[..] {
            [] => String::new(),
            barred => format!(" ({})", barred.join(", ")),
        };
        format!(
            "{} of {} instances are healthy{barred}",
            self.healthy, self.permitted
        )
    }
}

/// The instances of a priority.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tier {
    members: usize,
    healthy: usize,
}

impl Tier {
    /// Whether at least `least` of it are healthy, or all where they are fewer.
    pub(super) fn has(self, least: usize) -> bool {
        self.healthy >= least.min(self.members).max(1)
    }
}

/// By priority.
pub(super) fn tiers(all: &[Prospect<'_>]) -> BTreeMap<u8, Tier> {
    let mut tiers = BTreeMap::<u8, Tier>::new();
    for prospect in permitted(all) {
        let tier = tiers.entry(prospect.priority).or_default();
        tier.members += 1;
        tier.healthy += usize::from(prospect.excluded.is_none());
    }
    tiers
}

/// Who may be used if it must be.
fn permitted<'a, 'p>(all: &'a [Prospect<'p>]) -> impl Iterator<Item = &'a Prospect<'p>> {
    let forbidden = [Some(Exclusion::Draining), Some(Exclusion::Region)];
    all.iter()
        .filter(move |prospect| !forbidden.contains(&prospect.excluded))
}

/// Counts the healthy; where they are too few, takes back who is left out on evidence, or leaves out all.
pub(super) fn judge(all: &mut [Prospect<'_>], settings: &ServiceSettings) -> Minimum {
    let minimum = Minimum::count(all, settings);
    if minimum.fallback {
        for prospect in all {
            prospect.excluded = match prospect.excluded {
                Some(Exclusion::Draining | Exclusion::Region) => continue,
                _ if settings.panic == Panic::Fail => Some(Exclusion::Minimum),
                _ if prospect.ejected && !minimum.last_resort => Some(Exclusion::Ejected),
                _ => None,
            };
        }
    }
    minimum
}
