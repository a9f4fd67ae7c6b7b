//! What checks and requests took out.

use super::{Exclusion, Prospect, exclude};

/// Leaves out who is down or ejected.
pub(super) fn leave(all: &mut [Prospect<'_>]) {
    exclude(all, |prospect| {
        if prospect.down {
            Some(Exclusion::Down)
        } else {
            prospect.ejected.then_some(Exclusion::Ejected)
        }
    });
}
