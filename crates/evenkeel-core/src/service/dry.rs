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

/// How far apart two readings of the same part can be, by rounding.
const ROUNDING: f32 = 1e-3;

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
        self.weak || self.is_ejected()
    }

    /// Whether it would be for what a detector found.
    fn is_ejected(&self) -> bool {
        let breaker = self.breaker.as_ref();
        breaker.is_some_and(|breaker| breaker.until().is_some())
    }

    /// Forgets what those said that are in dry run no more: nobody would take it back.
    pub(super) fn release(&mut self, settings: &EjectionSettings) {
        self.weak &= settings.on_score == Mode::DryRun;
        let detectors = [
            settings.on_consecutive,
            settings.on_burst,
            settings.on_error_rate,
            settings.on_silence,
            settings.on_slow,
        ];
        if settings.is_off() || !detectors.contains(&Mode::DryRun) {
            (self.said, self.breaker) = (0, None);
        }
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
            }
            // Also of one that would be out by its score: the end of this is when it may be said again.
            if !entry.dry.is_ejected() {
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

/// Whether it is below the `threshold`, or not at `enough` yet, because somebody said so, and not by its requests.
fn is_by_word(entry: &Entry, threshold: f32, enough: f32) -> bool {
    let reported = entry.member.stats().health_parts().get(HealthPart::Reported);
    reported < threshold || (reported < enough && reported <= entry.score_beside_checks() + ROUNDING)
}

/// Says who would get nothing for its score; but not, but for those of whom somebody said it, while they are most of the
/// others, for then the threshold would be put aside; nor when nobody would be left. Who gets nothing anyway is not
/// counted, nor said anything of. O(n).
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
    let [threshold, enough] = [settings.ejection.threshold, back].map(HealthParts::rounded);
    let (mut present, mut weak, mut told, mut found) = (0, 0, 0, Vec::new());
    for (slot, entry) in slots.iter_mut() {
        entry.dry.weak &= entry.score_beside_checks() < enough;
        if !room.judges(entry) || entry.checks.down().is_some() || entry.is_out() {
            continue;
        }
        present += 1;
        let by_word = is_by_word(entry, threshold, enough);
        if entry.dry.weak {
            weak += 1;
        } else if let Some(reason) = too_weak(entry, room, settings, now) {
            room.lose(entry, settings, now);
            weak += 1;
            found.push((slot, reason, by_word));
        } else {
            continue;
        }
        told += usize::from(by_word);
    }
    let most = 2 * (weak - told) > present - told;
    let nobody = weak == present;
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
