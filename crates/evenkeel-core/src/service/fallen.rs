//! What is told of those whom their strategy leaves alone: `adaptive` does so when one suddenly fails, long before as many
//! requests failed as eject.

use super::detect::Finding;
use super::entry::Entry;
use super::journal::Journal;
use super::passive::QUIET;
use crate::{EjectionSettings, EventKind, Mode, Nanos};

/// Says that `entry` gets hardly any requests from now on.
pub(super) fn tell(entry: &mut Entry, settings: &EjectionSettings, journal: &mut Journal, now: Nanos) {
    if is_told(entry, now) || settings.on_consecutive == Mode::Off || !entry.serves() {
        return;
    }
    entry.fall_told = Some(now);
    let run = Finding::Run(entry.member.stats().consecutive_failures()).tell(entry);
    let reason = format!(
        "{run}: by its strategy it is asked only now and then from here on, to see whether it is back"
    );
    let id = &entry.member.instance().id;
    journal.instance(now, id, EventKind::EjectionWithheld, reason.into());
}

/// Whether that was said of late.
pub(super) fn is_told(entry: &Entry, now: Nanos) -> bool {
    entry.fall_told.is_some_and(|told| now.since(told) < QUIET)
}
