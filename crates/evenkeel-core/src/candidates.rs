//! From instances to candidates, and what part of its weight each gets.
//!
//! Strategies choose among candidates and never judge them; who is one is decided here, by stages that all
//! strategies share. Each is a small rule over [`Prospect`]s, in this order:
//!
//! | stage | leaves out |
//! |---|---|
//! | [`permitted`] | who drains, and who is in a region that the service may not use |
//! | [`breaker`] | whose checks or requests took it out |
//! | [`threshold`] | whose score is below the threshold, unless most are for what they did |
//! | [`minimum`] | nobody, or everybody: what to do when too few are left |
//! | [`priority`] | later priorities, while those before can take all |
//! | [`shares`] | nobody; says who gets less than its weight |
//!
//! What is permitted comes first, because it is somebody's will rather than evidence: no shortage brings back
//! whom it leaves out. Evidence can be wrong about many at once, and then the minimum puts it aside.
//!
//! Two promises. **Floor**: a candidate's share is at least 1/256 of the greatest. A strategy that goes by shares gives
//! it as much; one that measures gives it less for as long as what it measured speaks against it, and tries it again
//! when that has faded; one that hashes gives it the keys that it owns, of which there may be none. **Cap**, whatever
//! the strategy: an instance that nothing is known of is picked while it has no
//! more in flight than its ramped share ([`SlowStart`]) of what the busiest has, and beyond that gets at most its
//! ramped share of the picks.
//!
//! Absent on purpose: which region is near. That is a strategy's choice; here is only which are allowed.

use std::sync::Arc;

use crate::levels::Part;
use crate::{HealthParts, Nanos, ServiceSettings, Share, Slot};

mod breaker;
mod findings;
mod minimum;
mod permitted;
mod priority;
mod score;
mod shares;
mod slow_start;
#[cfg(test)]
mod tests;
mod threshold;

pub(crate) use findings::{Findings, Parts};
pub(crate) use minimum::Minimum;
pub use minimum::Panic;
pub use permitted::Regions;
pub use slow_start::SlowStart;

/// What the stages know of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Prospect<'a> {
    pub(crate) slot: Slot,
    pub(crate) weight: u32,
    pub(crate) priority: u8,
    pub(crate) region: Option<&'a str>,
    /// Somebody wants it to get no new requests.
    pub(crate) drains: bool,
    /// Checks took it out.
    pub(crate) down: bool,
    /// Its requests took it out.
    pub(crate) ejected: bool,
    /// Requests do not speak against it, as of the last look at them.
    pub(crate) answers: bool,
    /// Its score fell below the threshold, and has not come back to the recovery threshold.
    pub(crate) below_threshold: bool,
    /// The score of its health, 0 to 1.
    pub(crate) score: f64,
    /// How healthy somebody says it is, 0 to 1.
    pub(crate) told: f64,
    /// The part it gets because it came back from an ejection.
    pub(crate) recovery: Share,
    /// The part that is left to it because it is foreseen to be bad.
    pub(crate) predicted: f64,
    /// Since when it may be used; `None` while that is not proven.
    pub(crate) began: Option<Nanos>,
    /// Why it is no candidate, as far as the stages have come.
    pub(crate) excluded: Option<Exclusion>,
}

/// Why an instance is no candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exclusion {
    /// It drains.
    Draining,
    /// Its service may not use its region.
    Region,
    /// Its checks failed.
    Down,
    /// Its requests failed.
    Ejected,
    /// Its health score is below the threshold.
    BelowThreshold,
    /// Earlier priorities can take all requests.
    Priority,
    /// Too few instances of its priority, or of its service, are healthy, and the settings say that they
    /// get nothing then.
    Minimum,
}

impl Exclusion {
    /// A word for tables and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Region => "region",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::BelowThreshold => "below_threshold",
            Self::Priority => "priority",
            Self::Minimum => "minimum",
        }
    }
}

/// What the stages left.
#[derive(Debug)]
pub(crate) struct Staged {
    /// The candidates, ascending.
    pub(crate) slots: Arc<[Slot]>,
    /// Their registered weights.
    pub(crate) weights: Arc<[u32]>,
    /// Their shares.
    pub(crate) shares: Vec<Share>,
    /// Where several priorities get requests, what each gets.
    pub(crate) levels: Vec<Part>,
    /// Of all instances, in slot order, why they are no candidates.
    pub(crate) excluded: Vec<(Slot, Exclusion)>,
    /// The numbers behind all that.
    pub(crate) findings: Findings,
    /// A share changes with time alone.
    pub(crate) ramps: bool,
}

/// Runs all stages. O(n), and O(p) memory for p priorities.
pub(crate) fn stage(mut all: Vec<Prospect<'_>>, settings: &ServiceSettings, now: Nanos) -> Staged {
    let put_aside = evidence(&mut all, settings);
    let minimum = minimum::judge(&mut all, settings);
    let (ramp, loads) = if minimum.fallback {
        (shares::full(&all), priority::Loads::new())
    } else {
        let loads = priority::leave(&mut all, &minimum);
        (shares::of(&all, &loads, settings, now), loads)
    };
    let excluded = all.iter().filter_map(|p| Some((p.slot, p.excluded?)));
    Staged {
        slots: gather(&all, ramp.shares.len(), |prospect| prospect.slot),
        weights: gather(&all, ramp.shares.len(), |prospect| prospect.weight),
        shares: ramp.shares,
        levels: ramp.levels,
        excluded: excluded.collect(),
        findings: Findings {
            minimum,
            put_aside,
            loads,
            parts: ramp.parts,
            predictions: Box::default(),
        },
        ramps: ramp.moves,
    }
}

/// The stages before the minimum. Says how many are below a threshold that is put aside.
fn evidence(all: &mut [Prospect<'_>], settings: &ServiceSettings) -> usize {
    permitted::leave(all, &settings.regions);
    breaker::leave(all);
    let ejection = &settings.ejection;
    let enough = ejection.recovery_threshold.max(ejection.threshold);
    let [threshold, enough] = [ejection.threshold, enough].map(|at| HealthParts::rounded(at).into());
    threshold::leave(all, threshold, enough)
}

impl Minimum {
    /// Only counts. O(n).
    pub(crate) fn of(mut all: Vec<Prospect<'_>>, settings: &ServiceSettings) -> Self {
        evidence(&mut all, settings);
        minimum::judge(&mut all, settings)
    }
}

/// Who is still in.
fn candidates<'a, 'p>(all: &'a [Prospect<'p>]) -> impl Iterator<Item = &'a Prospect<'p>> {
    all.iter().filter(|prospect| prospect.excluded.is_none())
}

/// What `of` says of the `n` who are still in.
fn gather<T>(all: &[Prospect<'_>], n: usize, of: impl Fn(&Prospect<'_>) -> T) -> Arc<[T]> {
    let mut gathered = Vec::with_capacity(n);
    gathered.extend(candidates(all).map(of));
    gathered.into()
}

/// Leaves out everybody still in whom `reason` names one for.
fn exclude(all: &mut [Prospect<'_>], reason: impl Fn(&Prospect<'_>) -> Option<Exclusion>) {
    for prospect in all.iter_mut().filter(|prospect| prospect.excluded.is_none()) {
        prospect.excluded = reason(prospect);
    }
}
