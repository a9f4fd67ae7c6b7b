//! What somebody said: drains, and borders that must not be crossed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Exclusion, Prospect, exclude};

/// Which regions a service may use. Never broken, whatever else fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regions {
    /// Only these; all when empty. An instance without a region is in none of them.
    pub allow: BTreeSet<Arc<str>>,
    /// Not these, even if they are allowed.
    pub deny: BTreeSet<Arc<str>>,
}

impl Regions {
    /// Whether an instance in `region` may be used.
    #[must_use]
    pub fn permit(&self, region: Option<&str>) -> bool {
        let allowed = self.allow.is_empty() || region.is_some_and(|region| self.allow.contains(region));
        allowed && !region.is_some_and(|region| self.deny.contains(region))
    }
}

/// Leaves out who drains or may not be used.
pub(super) fn leave(all: &mut [Prospect<'_>], regions: &Regions) {
    exclude(all, |prospect| {
        if !regions.permit(prospect.region) {
            Some(Exclusion::Region)
        } else {
            prospect.drains.then_some(Exclusion::Draining)
        }
    });
}
