//! Predictive health: who is foreseen to be bad gets less, before it is.
//!
//! Once a second the writer follows the trends of every instance that is in ([`crate::health::foresight`]), and looks at
//! what became of the predictions before. An instance **is bad** when it is down, ejected or weak, when it would be ejected
//! but has to stay, when a dry run says that it would be out, and at a score of 0.5 or less, whatever the thresholds. Whoever
//! came back from an ejection is left alone until it is on probation no more.
//!
//! What a prediction may do is bounded:
//!
//! * It lowers a share, to no less than three tenths, and that eases away when nothing more is foreseen. It takes nobody
//!   out, and no other rule goes by it.
//! * All predictions together take away [`AT_MOST`] of what the instances that are well carry. Where they want more, each
//!   gets its part of that.
//! * When more than [`COMMON`] of the instances are foreseen to be bad (more than one, where there are few), none loses
//!   anything: what most have in common is no reason to prefer the others.
//! * With a single instance there is nothing to prefer.
//!
//! Absent on purpose: learning. The form and its numbers are fixed, so that the same counters give the same shares; how
//! good they are in a service is published ([`crate::Calibration`]), and whoever finds them bad there switches them off.
//! While off, nothing is kept and nothing is looked at.

use std::sync::Arc;

use super::entry::Entry;
use super::journal::Journal;
use super::slots::Slots;
use crate::health::burst::Level;
use crate::health::foresight::{ENOUGH, Foresight, Samples, Signal, Stand};
use crate::{EjectionSettings, EventKind, InstanceState, Mode, Nanos, REPORT_FRESH};

/// Time between two looks.
const PAUSE: Nanos = Nanos::from_secs(1);
/// At this score or below an instance counts as bad.
const BAD: f32 = 0.5;
/// Of what all that are well carry, so much may be taken away.
const AT_MOST: f32 = 0.15;
/// One in so many foreseen to be bad is a matter of its own; more are a common one.
const COMMON: usize = 5;

/// When to look next, and what was said.
#[derive(Debug, Default)]
pub(super) struct Predictor {
    next: Nanos,
    looked: Nanos,
    /// Somebody has a foresight.
    on: bool,
    /// Too many are foreseen to be bad, and that was told.
    common: bool,
}

impl Predictor {
    /// Looks, when it is time. O(n).
    pub(super) fn look(
        &mut self,
        slots: &mut Slots,
        settings: &EjectionSettings,
        level: Level,
        journal: &mut Journal,
        now: Nanos,
    ) {
        if settings.on_prediction == Mode::Off {
            if std::mem::take(self).on {
                for (_, entry) in slots.iter_mut() {
                    entry.foresight = None;
                    entry.member.stats().foresee(None);
                }
                journal.counters().predictions.set_lowered(0);
            }
            return;
        }
        if now < self.next {
            return;
        }
        // A look that comes late does not make the next one late, too.
        self.next = (self.next + PAUSE).max(now + Nanos(PAUSE.0 / 2));
        let elapsed = now.since(std::mem::replace(&mut self.looked, now)).min(PAUSE);
        self.on = true;
        let usages = Usages::of(slots, now);
        for (_, entry) in slots.iter_mut() {
            let stand = Stand {
                failures: level.down / (level.up + level.down),
                slow: settings.slow_factor,
                usage: usages.beside(usage(entry, now)).unwrap_or_default(),
            };
            observe(entry, stand, elapsed, journal, now);
        }
        self.bound(slots, settings, journal, now);
    }

    /// Lowers shares, as far as that may be.
    fn bound(&mut self, slots: &mut Slots, settings: &EjectionSettings, journal: &mut Journal, now: Nanos) {
        let (mut well, mut foreseen) = (0usize, 0usize);
        // Weight, and what of it predictions want.
        let (mut carried, mut wanted) = (0.0f32, 0.0);
        for (_, entry) in slots.iter() {
            let weight = entry.member.instance().weight.get() as f32;
            if entry.serves() {
                well += 1;
                carried += weight;
            }
            if let Some(foresight) = &entry.foresight {
                foreseen += usize::from(foresight.since().is_some());
                wanted += weight * (1.0 - foresight.part());
            }
        }
        let most = (well / COMMON).max(1);
        let common = foreseen > most;
        if common && !self.common {
            let reason = format!(
                "{foreseen} of {well} instances that are well are foreseen to be bad, more than {most}: what they have in \
                 common no share can mend, and all keep theirs"
            );
            journal.service(now, EventKind::PredictionEnded, reason);
        }
        self.common = common;
        let dry = settings.on_prediction == Mode::DryRun;
        let may = (AT_MOST * carried / wanted).min(1.0);
        let mut lowered = 0;
        for (_, entry) in slots.iter_mut() {
            let stats = entry.member.stats();
            let Some(foresight) = &mut entry.foresight else {
                stats.foresee(None);
                continue;
            };
            let left = match foresight.since() {
                Some(_) if !common && well > 1 => 1.0 - (1.0 - foresight.part()) * may,
                _ => 1.0,
            };
            let moved = foresight.leave(if dry { 1.0 } else { left });
            lowered += u64::from(foresight.left() < 1.0);
            stats.foresee(foresight.outlook());
            let before = foresight.told().is_some();
            let id = &entry.member.instance().id;
            if left < 1.0 && (!before || moved) {
                let then = match dry {
                    true => "it keeps its share: a dry run".to_owned(),
                    false => format!("{:.0} % of its share are left", 100.0 * foresight.left()),
                };
                let told: Arc<str> = format!("{}; {then}", foresight.explain()).into();
                foresight.tell(Some(Arc::clone(&told)));
                if !before {
                    journal.instance(now, id, EventKind::Predicted, told);
                }
            } else if before && foresight.since().is_none() {
                foresight.tell(None);
                let reason = format!("{}; it has its share again", foresight.explain());
                journal.instance(now, id, EventKind::PredictionEnded, reason.into());
            } else if before && common {
                foresight.tell(None);
            }
        }
        journal.counters().predictions.set_lowered(lowered);
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        self.next = self.next.since(back);
        self.looked = self.looked.since(back);
    }
}

/// Whether it is out, or would be if that were for its own failures alone to say.
fn is_out(entry: &Entry) -> bool {
    let out = matches!(
        entry.state(),
        InstanceState::Down | InstanceState::Ejected { .. } | InstanceState::Weak
    );
    out || entry.withheld || entry.spared || entry.dry.is_out()
}

/// Takes in how `entry` is, makes a prediction, and looks at what became of those before.
fn observe(entry: &mut Entry, stand: Stand, elapsed: Nanos, journal: &mut Journal, now: Nanos) {
    if entry.drain.is_some() || entry.ejection.on_probation() {
        // What becomes of it nobody will see; or it has to prove itself, which has rules of its own.
        entry.foresight = None;
        return;
    }
    let (out, bad) = (is_out(entry), entry.score() <= BAD);
    let mut foresight = match entry.foresight.take() {
        Some(foresight) => foresight,
        // It begins when it is well.
        None if out || bad => return,
        None => Box::new(Foresight::new()),
    };
    let record = &journal.counters().predictions;
    if !out {
        if bad {
            foresight.resolve().for_each(|said| record.add(said, true));
        }
        let samples = samples(entry, stand, now);
        if let Some(said) = foresight.observe(&samples, stand, bad, elapsed, now) {
            record.add(said, false);
        }
        entry.foresight = Some(foresight);
        return;
    }
    let (since, told) = (foresight.since(), foresight.told().is_some());
    foresight.resolve().for_each(|said| record.add(said, true));
    if told {
        let early = now.since(since.unwrap_or(now)).as_secs_f64();
        let why = match entry.state() {
            InstanceState::Healthy => "it fails, and has to stay".into(),
            _ => entry.status().reason,
        };
        let reason = format!("it came true after {early:.0} s: {why}");
        let id = &entry.member.instance().id;
        journal.instance(now, id, EventKind::PredictionEnded, reason.into());
    }
}

/// What is measured of `entry` now.
fn samples(entry: &Entry, stand: Stand, now: Nanos) -> Samples {
    let mut samples = Samples::default();
    samples.failed(entry.vitals.window.failures_of(), now);
    let asked = entry.vitals.window.failures_of();
    if let Some((times, at)) = entry.vitals.latency.beside(now).filter(|_| asked.1 >= ENOUGH) {
        samples.set(Signal::Latency, times, at);
    }
    let reported = entry.member.stats().reported();
    if let (Some(at), Some((report, _))) = (reported.observed(), reported.get(now)) {
        if let Some(usage) = report.utilization() {
            samples.set(Signal::Utilization, (usage - stand.usage).max(0.0), at);
        }
        if let Some(memory) = report.memory() {
            samples.set(Signal::Memory, memory, at);
        }
    }
    samples
}

/// The utilization that `entry` reported of late.
fn usage(entry: &Entry, now: Nanos) -> Option<f32> {
    let reported = entry.member.stats().reported();
    let fresh = now.since(reported.observed()?) < REPORT_FRESH;
    reported.get(now).filter(|_| fresh)?.0.utilization()
}

/// The utilizations that were reported of late, ascending.
struct Usages(Vec<f32>);

impl Usages {
    /// O(n log n).
    fn of(slots: &Slots, now: Nanos) -> Self {
        let mut all: Vec<f32> = slots.iter().filter_map(|(_, entry)| usage(entry, now)).collect();
        all.sort_unstable_by(f32::total_cmp);
        Self(all)
    }

    /// The median of the others, of an even number the upper one: without the instance itself, or one of two would always be
    /// as usual. `None` without others.
    fn beside(&self, own: Option<f32>) -> Option<f32> {
        let Some(own) = own else {
            return self.0.get(self.0.len() / 2).copied();
        };
        let middle = self.0.len().checked_sub(1)? / 2;
        let place = self.0.partition_point(|usage| usage.total_cmp(&own).is_lt());
        self.0.get(middle + usize::from(place <= middle)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_that_of_the_others() {
        let three = Usages(vec![0.2, 0.5, 0.9]);
        for (own, others) in [(0.2, 0.9), (0.5, 0.9), (0.9, 0.5)] {
            assert_eq!(three.beside(Some(own)), Some(others), "{own}");
        }
        let two = Usages(vec![0.2, 0.9]);
        assert_eq!(
            (two.beside(Some(0.2)), two.beside(Some(0.9))),
            (Some(0.9), Some(0.2))
        );
        assert_eq!(two.beside(None), Some(0.9));
        assert_eq!(Usages(vec![0.5; 3]).beside(Some(0.5)), Some(0.5));
        assert_eq!(
            (
                Usages(vec![0.2]).beside(Some(0.2)),
                Usages(Vec::new()).beside(None)
            ),
            (None, None)
        );
    }
}
