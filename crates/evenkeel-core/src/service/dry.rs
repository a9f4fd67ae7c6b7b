//! Dry runs: what would be done if it were enforced, told and not done.
//!
//! Whoever would go counts as out for as long as it would be, so that the rules on who may go ([`super::passive`])
//! answer as they would, and so that there are as many events as there would be ejections. What cannot be told is how
//! the others would do without its work: for that somebody has to go.

use super::detect::{Finding, findings};
use super::entry::Entry;
use super::journal::Journal;
use super::passive::{Room, too_weak};
use super::scores::Scores;
use super::slots::Slots;
use crate::health::ejection::Ejection;
use crate::{EjectionSettings, EventKind, HealthPart, HealthParts, Mode, Nanos, Rng, ServiceSettings};

/// What dry runs said of one instance.
#[derive(Debug, Default)]
pub(super) struct Dry {
    /// By which detectors it would be out.
    said: u8,
    /// Its circuit breaker as it would be, from the first ejection on that would have been.
    breaker: Option<Box<Ejection>>,
    /// By its score it would get nothing.
    weak: bool,
}

impl Dry {
    /// Whether it would be out.
    pub(super) fn is_out(&self) -> bool {
        self.weak
            || self
                .breaker
                .as_ref()
                .is_some_and(|breaker| breaker.until().is_some())
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        if let Some(breaker) = &mut self.breaker {
            breaker.shift(back);
        }
    }
}

/// Lets those return that would.
fn settle(entry: &mut Entry, settings: &EjectionSettings, now: Nanos) {
    let stats = entry.member.stats();
    if let Some(breaker) = &mut entry.dry.breaker {
        if breaker.is_due(now) {
            breaker.end(stats.successes(), stats.failures(), settings, now);
            entry.dry.said = 0;
        } else {
            breaker.settle(stats, settings, now);
        }
    }
}

/// Says what detectors in dry run found, where the rules would let it go; the rest is looked at again. O(n).
pub(super) fn look(
    slots: &mut Slots,
    room: &mut Room<'_>,
    scores: &Scores,
    settings: &ServiceSettings,
    journal: &mut Journal,
    rng: &mut Rng,
    now: Nanos,
) {
    for (_, entry) in slots.iter_mut() {
        settle(entry, &settings.ejection, now);
        if !room.judges(entry) || entry.ejection.until().is_some() {
            continue;
        }
        let found: Vec<Finding> = findings(entry, &settings.ejection, room.level)
            .filter(|finding| finding.mode(&settings.ejection) == Mode::DryRun)
            .filter(|finding| finding.bit() & entry.dry.said == 0)
            .collect();
        for finding in found {
            let told = finding.tell(entry);
            room.cramped = scores.headroom.refuses(entry, finding, &settings.ejection, now);
            let goes = room.refuses(entry, Some(finding), settings, now).is_none();
            if finding == Finding::Burst {
                // So that it can be found again.
                entry.member.stats().suspicion().halve();
            }
            if !goes {
                continue;
            }
            entry.dry.said |= finding.bit();
            if !entry.dry.is_out() {
                room.lose(entry, settings, now);
                let least = entry.least_out(finding, &settings.ejection, now);
                let breaker = entry.dry.breaker.get_or_insert_default();
                let _ = breaker.eject(&told, false, least, &settings.ejection, rng, now);
            }
            let reason = format!("{told}; not ejected: a dry run");
            let id = &entry.member.instance().id;
            journal.instance(now, id, EventKind::WouldEject, reason.into());
        }
    }
}

/// Says who would get nothing for its score; but not, but for those of whom it was said, while they are most, for then
/// the threshold would be put aside; nor when nobody would be left. O(n).
pub(super) fn weigh(
    slots: &mut Slots,
    room: &mut Room<'_>,
    settings: &ServiceSettings,
    journal: &mut Journal,
    now: Nanos,
) {
    let back = settings
        .ejection
        .recovery_threshold
        .max(settings.ejection.threshold);
    let (mut present, mut weak, mut found) = (0, 0, Vec::new());
    for (slot, entry) in slots.iter_mut() {
        entry.dry.weak &= entry.score_beside_checks() < HealthParts::rounded(back);
        present += usize::from(room.judges(entry) && !entry.is_out());
        weak += usize::from(entry.dry.weak);
        if entry.dry.weak {
            continue;
        }
        if let Some(reason) = too_weak(entry, room, settings, now) {
            room.lose(entry, settings, now);
            let reported = entry.member.stats().health_parts().get(HealthPart::Reported);
            let told = reported < HealthParts::rounded(settings.ejection.threshold);
            found.push((slot, reason, told));
        }
    }
    let told = found.iter().filter(|(.., told)| *told).count();
    let most = 2 * (weak + found.len() - told) > present - told.min(present);
    let nobody = weak + found.len() >= present;
    for (slot, reason, told) in found {
        if nobody || (most && !told) {
            continue;
        }
        if let Some(entry) = slots.get_mut(slot) {
            entry.dry.weak = true;
            let reason = format!("{reason}; it keeps its share: a dry run");
            let id = &entry.member.instance().id;
            journal.instance(now, id, EventKind::WouldEject, reason.into());
        }
    }
}
