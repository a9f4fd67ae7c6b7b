//! Whether the fleet has room for the load of instances that fail some of their requests.
//!
//! One that fails a fifth of its requests still does four fifths of its work. Repeats hide its failures; nothing
//! hides that the work is missing: four such of ten, all ejected from a fleet that is busy to 70 %, leave 117 % to
//! the other six. How busy an instance can be, nobody told the balancer. What shows is that the others take longer
//! than the same ones took before, each against its own **pace** (the steady response time, [`crate::pace`]).
//!
//! * An ejection is on **trial**: in batches of looks, the sum of log-likelihood ratios grows that the others are slower
//!   than just before by [`CROWDED`] (a sequential test, as for failures; Wald 1945). How far batches spread is measured
//!   while nobody is out, and what the pace of before is not known to is in the bar. A batch moves the sum by a third of
//!   it at most, so crowding has to last; by a half where three others are left, and by all of it where fewer are: one
//!   that goes leaves so much to each of those that a queue is long before it is certain.
//! * At the bar those that failed least **come back** (a tenth of the fleet at a time), with their full share, for
//!   whatever a ramp keeps from them the others have no room for. Nobody goes for [`HOLD`], twice as long each time, half as long again after as much calm time. But not when no more is in
//!   flight than before.
//! * At [`ROOM`] the others have room: the trial is over, and holds are short again. Slowness that comes later has other
//!   causes, unless more arrives than was tried.
//! * While less than one request is in flight at each, none of them is full, whatever they take.
//! * The next one goes after a trial (of every twenty instances one at a time), and while the others are not slower by
//!   [`TIGHT`], with confidence.
//!
//! Instances that fail more than half of their last requests are not meant, nor those that suddenly fail all: they
//! are a loss to nobody.

use super::ServiceState;
use super::detect::Finding;
use super::entry::Entry;
use super::slots::Slots;
use crate::health::Mark;
use crate::health::ramp::wilson;
use crate::{EjectionSettings, EventKind, Nanos, Slot};

/// The shortest trial: long enough for a queue to grow.
const PAUSE: Nanos = Nanos::from_secs(1);
/// More in flight by this factor is a queue.
const CROWDED: f64 = 1.2;
/// More by this factor, and nobody else may go.
const TIGHT: f64 = 1.1;
/// What was more by less than this before is chance.
const CERTAIN: f64 = 1.25;
/// The sum at which it is one: ln 10^3.
const BAR: f64 = 6.9;
/// The sum at which it is none: ln 1/20.
const ROOM: f64 = -3.0;
/// Part of the bar by which a batch moves the sum at most.
const STEP: f64 = BAR / 3.0;
/// How long nobody goes after one had to come back…
const HOLD: Nanos = Nanos::from_secs(60);
/// …and how long at most.
const LONGEST_HOLD: Nanos = Nanos::from_secs(960);
/// Arrivals beyond those that were tried, by this factor, are a new trial.
const MORE: f64 = 1.15;
/// A run of failures is one of many when before it more than one request in so many failed.
const OFTEN: u64 = 20;
/// An instance that is slower than this is no fleet that queues, unless most are.
const MOST: f64 = 2.5;
/// Requests at each that make a batch: the memory of a smoothed response time…
const ARRIVALS: f64 = 32.0;
/// …which lasts from here to there, in seconds.
const BATCH: (f64, f64) = (0.1, 5.0);
/// With fewer looks the pace of before is not known.
const KNOWN: f64 = 4.0;
/// Seconds that the pace of before is remembered, that offered load is smoothed over, and the present.
const MEMORY: f64 = 60.0;
const OFFERED: f64 = 10.0;
const PRESENT: f64 = 3.0;
/// The least variance of a look that is believed.
const LEAST_SPREAD: f64 = 0.05;

/// What is known of one instance's pace.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Picks that were taken in.
    picks: u64,
    usual: Work,
    batch: Work,
}

/// What arrived at an instance, and what became of it.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    arrivals: f32,
    /// Seconds in flight.
    flight: f32,
    /// Seconds that answers took at the time.
    time: f32,
}

impl Work {
    fn fade(&mut self, by: f32) {
        self.arrivals *= by;
        self.flight *= by;
        self.time *= by;
    }

    fn add(&mut self, other: Self) {
        self.arrivals += other.arrivals;
        self.flight += other.flight;
        self.time += other.time;
    }
}

/// The others together, in a batch or several.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    seconds: f64,
    /// Looks at one of them.
    looks: f64,
    arrivals: f64,
    /// Seconds in flight, and at before's pace.
    flight: [f64; 2],
    /// Seconds that answers took, and did before.
    time: [f64; 2],
}

impl Sums {
    fn fade(&mut self, by: f64) {
        self.seconds *= by;
        self.looks *= by;
        self.arrivals *= by;
        self.flight = self.flight.map(|seconds| seconds * by);
        self.time = self.time.map(|seconds| seconds * by);
    }

    fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.looks += other.looks;
        self.arrivals += other.arrivals;
        for (sum, part) in [(&mut self.flight, other.flight), (&mut self.time, other.time)] {
            sum[0] += part[0];
            sum[1] += part[1];
        }
    }
}

/// About ln of the quotient; 0 when there is none.
fn more(parts: [f64; 2]) -> f64 {
    if parts[1] > 0.0 {
        log(parts[0] / parts[1])
    } else {
        0.0
    }
}

/// What the fleet can spare.
#[derive(Debug, Default)]
pub(super) struct Headroom {
    at: Nanos,
    batch: Sums,
    /// The batch has something of before in it that does not count; so it does after a long time without a look.
    anew: bool,
    /// Batches from which the spread is known, 30 at most, and the variance of one times its looks.
    batches: f64,
    spread: f64,
    /// Looks that the paces of before are known from.
    known: f64,
    /// The logarithm of how much more was in flight in the last seconds…
    present: f64,
    /// …and when the first one went.
    before: f64,
    /// Offered load by instance, in requests in flight at the pace of before; and the most that was tried.
    offered: f64,
    tried: f64,
    /// Who went though it does most of its work, with the part of its requests that failed.
    spared: Vec<(Slot, f64)>,
    /// Since when the last ejection is on trial.
    trial: Option<Nanos>,
    sum: f64,
    /// Since the last one went, the last seconds counting most.
    since: Sums,
    asked: f64,
    /// How many went in this trial, of how many instances in all.
    gone: usize,
    members: usize,
    /// Nobody goes before this, and how long that is the next time.
    held_until: Nanos,
    hold: Nanos,
}

/// Why one that fails some requests has to stay for now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cramped {
    /// Others went just now.
    Pause,
    /// So much is in flight at each of the others, so much would be at the pace of before.
    Tight(f64, f64),
    /// One had to come back; nobody goes for so long.
    Held(Nanos),
}

impl Cramped {
    pub(super) fn tell(self) -> String {
        match self {
            Self::Pause => "another one went just now".to_owned(),
            Self::Tight(present, usual) => format!(
                "the others have no room for its work: {present:.1} requests are in flight at each, at their usual \
                 pace it would be {usual:.1}"
            ),
            Self::Held(left) => format!(
                "the others had no room for the work of one like it; nobody goes for {:.0} s more",
                left.as_secs_f64()
            ),
        }
    }
}

/// About ln `ratio`, never beyond 2; the same to the last bit everywhere.
fn log(ratio: f64) -> f64 {
    2.0 * (ratio - 1.0) / (ratio + 1.0)
}

impl Headroom {
    /// Takes in what is in flight and what arrived. O(n).
    pub(super) fn observe(&mut self, slots: &mut Slots, now: Nanos) {
        let elapsed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.spared.retain(|(slot, _)| {
            slots
                .get_mut(*slot)
                .is_some_and(|entry| entry.ejection.until().is_some())
        });
        if self.spared.is_empty() {
            self.trial = None;
        }
        if self.hold > HOLD && now.since(self.held_until) >= self.hold {
            self.hold = Nanos(self.hold.0 / 2).max(HOLD);
            self.held_until = now;
        }
        let anew = std::mem::take(&mut self.anew) || elapsed > BATCH.1;
        if anew {
            self.batch = Sums::default();
        }
        self.members = 0;
        for (_, entry) in slots.iter_mut() {
            self.members += 1;
            let picks = entry.member.stats().picks();
            let pace = &mut entry.pace;
            let arrived = picks.saturating_sub(pace.picks);
            pace.picks = picks;
            if anew {
                pace.batch = Work::default();
            }
            if anew || !entry.serves() {
                continue;
            }
            let time = entry.member.stats().steady_time();
            if time <= 0.0 {
                continue;
            }
            let flight = f64::from(entry.member.load().get()) * elapsed;
            entry.pace.batch.add(Work {
                arrivals: arrived as f32,
                flight: flight as f32,
                time: (arrived as f64 * f64::from(time) * 1e-9) as f32,
            });
            self.batch.arrivals += arrived as f64;
            self.batch.looks += f64::from(u8::from(arrived > 0));
            self.batch.flight[0] += flight;
        }
        if anew {
            return;
        }
        self.batch.seconds += elapsed;
        let Sums {
            seconds, arrivals, ..
        } = self.batch;
        let enough = arrivals >= ARRIVALS * self.asked.max(1.0) && seconds >= BATCH.0;
        if seconds >= BATCH.1 || enough {
            self.close(slots, now);
        }
    }

    /// Compares a batch with before, and learns from it while nobody is out.
    fn close(&mut self, slots: &mut Slots, now: Nanos) {
        let mut batch = std::mem::take(&mut self.batch);
        let learns = self.spared.is_empty() || self.known < KNOWN;
        let fade = 1.0 / (1.0 + batch.seconds / MEMORY);
        let (mut slow, mut whole) = (0.0, 0.0);
        self.asked = 0.0;
        for (_, entry) in slots.iter_mut() {
            let pace = &mut entry.pace;
            let work = std::mem::take(&mut pace.batch);
            if work.arrivals == 0.0 && work.flight == 0.0 {
                continue;
            }
            self.asked += 1.0;
            if pace.usual.arrivals >= 3.0 {
                let share = f64::from(work.arrivals) / f64::from(pace.usual.arrivals);
                let before = share * f64::from(pace.usual.time);
                let (time, most) = (f64::from(work.time), MOST * before);
                slow += f64::from(u8::from(time > most));
                whole += time;
                batch.time[0] += time.min(most);
                batch.time[1] += before;
                batch.flight[1] += share * f64::from(pace.usual.flight);
            }
            if learns {
                pace.usual.fade(fade as f32);
                pace.usual.add(work);
            }
        }
        if 2.0 * slow > self.asked {
            batch.time[0] = whole;
        }
        let known = self.known;
        if learns {
            self.known = known * fade + batch.looks;
        }
        if batch.looks == 0.0 || self.asked == 0.0 || batch.time[1] <= 0.0 {
            return;
        }
        let slower = more(batch.time);
        let offered = batch.time[1] / batch.seconds / self.asked;
        self.offered += (offered - self.offered) * (batch.seconds / OFFERED).min(1.0);
        if self.trial.is_none() {
            self.present += (slower - self.present) * (batch.seconds / PRESENT).min(1.0);
        }
        if learns {
            self.batches = (self.batches + 1.0).min(30.0);
            // Both it and what it is compared with have their error.
            let looks = batch.looks * known / (batch.looks + known);
            self.spread += (slower * slower * looks - self.spread) / self.batches;
        }
        self.since.fade(1.0 / (1.0 + batch.seconds / OFFERED));
        self.since.add(batch);
        if !self.spared.is_empty() {
            self.judge(slower, &batch, now);
        }
    }

    /// The variance of a batch, times its looks.
    fn spread(&self) -> f64 {
        self.spread.max(LEAST_SPREAD).max(0.5 / self.batches.max(1.0))
    }

    /// Moves the sum by a batch that was slower by so much.
    fn judge(&mut self, slower: f64, batch: &Sums, now: Nanos) {
        let error = (self.spread() / self.known.max(1.0)).sqrt();
        let beyond = slower - self.before - error;
        let queue = log(CROWDED).max(beyond);
        let step = queue * batch.looks / self.spread() * (beyond - 0.5 * queue);
        let full = batch.flight[0] >= batch.seconds * self.asked;
        // The fewer there are, the more work one leaves to each of the others, and the sooner a queue is long.
        let most = STEP.max(BAR / (self.asked - 1.0).max(1.0));
        let step = if full { step.clamp(-STEP, most) } else { -STEP };
        self.sum = (self.sum + step).clamp(ROOM, BAR);
        match self.trial {
            Some(since) if self.sum <= ROOM && now.since(since) >= PAUSE => {
                self.trial = None;
                self.hold = HOLD;
                self.tried = self.tried.max(self.offered);
            }
            None if self.sum <= 0.0 => self.tried = self.tried.max(self.offered),
            None if self.offered > MORE * self.tried => self.begin(now),
            _ => {}
        }
    }

    fn begin(&mut self, now: Nanos) {
        self.trial = Some(now);
        self.sum = 0.0;
        self.gone = 0;
    }

    /// Requests in flight at each of the others of late, and those of before's pace.
    fn each(&self) -> (f64, f64) {
        let all = (self.since.seconds * self.asked).max(f64::MIN_POSITIVE);
        (self.since.flight[0] / all, self.since.flight[1] / all)
    }

    /// Whether `entry`, which fails some of its requests, has to stay for now.
    pub(super) fn refuses(
        &self,
        entry: &Entry,
        finding: Finding,
        settings: &EjectionSettings,
        now: Nanos,
    ) -> Option<Cramped> {
        if !does_most(entry, finding, settings) {
            return None;
        }
        if now < self.held_until {
            return Some(Cramped::Held(self.held_until.since(now)));
        }
        if self.spared.is_empty() {
            return None;
        }
        if self.trial.is_some() {
            return (self.gone >= (self.members / 20).max(1)).then_some(Cramped::Pause);
        }
        let (present, usual) = self.each();
        let error = (self.spread() / self.since.looks.max(1.0)).sqrt();
        let slower = more(self.since.time) - self.before + 1.645 * error;
        (present >= 1.0 && slower > log(TIGHT)).then_some(Cramped::Tight(present, usual))
    }

    /// `entry` at `slot` goes for `finding`.
    pub(super) fn lose(
        &mut self,
        slot: Slot,
        entry: &Entry,
        finding: Finding,
        settings: &EjectionSettings,
        now: Nanos,
    ) {
        if !does_most(entry, finding, settings) {
            return;
        }
        if self.spared.is_empty() {
            self.before = (self.present - log(CERTAIN)).clamp(0.0, log(3.0));
            self.tried = 0.0;
        }
        let (bad, all) = entry.vitals.window.latest();
        self.spared.push((slot, bad as f64 / all.max(1) as f64));
        if self.trial.is_none() {
            self.begin(now);
        }
        self.gone += 1;
        self.since = Sums::default();
        self.anew = true;
    }

    /// Who have to come back because the others cannot do without; of ten instances one at a time.
    fn next_returns(&mut self, now: Nanos) -> Vec<Slot> {
        if self.trial.is_none() || self.sum < BAR || more(self.since.flight) <= self.before {
            return Vec::new();
        }
        self.begin(now);
        self.gone = usize::MAX;
        self.hold = self.hold.max(HOLD);
        self.held_until = now + self.hold;
        self.hold = Nanos(self.hold.0 * 2).min(LONGEST_HOLD);
        self.anew = true;
        self.spared.sort_by(|a, b| a.1.total_cmp(&b.1));
        let count = (self.members / 10).clamp(1, self.spared.len().max(1));
        let back = self.spared.iter().take(count);
        back.map(|(slot, _)| *slot).collect()
    }

    /// Whether somebody may have to come back, which must not wait.
    pub(super) fn is_watched(&self) -> bool {
        !self.spared.is_empty()
    }

    /// Follows a clock that stepped `back`.
    pub(super) fn shift(&mut self, back: Nanos) {
        self.at = self.at.since(back);
        self.held_until = self.held_until.since(back);
        self.trial = self.trial.map(|since| since.since(back));
    }
}

/// Whether what was found leaves most of its work done, or too little is known to say otherwise.
fn does_most(entry: &Entry, finding: Finding, settings: &EjectionSettings) -> bool {
    let (bad, all) = entry.vitals.window.latest();
    let before = match finding {
        // A short run, of one that came back and answered, tells nothing.
        Finding::Run(run) if run < settings.consecutive_failures => bad < all,
        Finding::Run(run) => {
            bad.saturating_sub(run.into()) * OFTEN >= all || was_failing(entry, run, settings)
        }
        Finding::Burst | Finding::Rate(..) => true,
        Finding::Slow | Finding::Silence(_) => false,
    };
    before && wilson(bad, all) < 0.5
}

/// Whether there is more than its present run of failures against `entry`, which began so lately that two seconds show
/// little of it. A run twice as long as what ejects needs no explanation by what was before.
fn was_failing(entry: &Entry, run: u32, settings: &EjectionSettings) -> bool {
    let suspected = entry.spared || entry.member.stats().suspicion().is_over_without(run);
    suspected && run < settings.consecutive_failures.saturating_mul(2)
}

impl ServiceState {
    /// Lets some come back that fail some of their requests, when the others have no room for their work.
    pub(super) fn relieve(&mut self) {
        self.scores.headroom.observe(&mut self.slots, self.now);
        let (present, usual) = self.scores.headroom.each();
        for slot in self.scores.headroom.next_returns(self.now) {
            self.bring_back(slot, present, usual);
        }
    }

    fn bring_back(&mut self, slot: Slot, present: f64, usual: f64) {
        let hold = self.scores.headroom.held_until.since(self.now).as_secs_f64();
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let successes = entry.member.stats().successes();
        entry.come_back(successes, &self.settings.ejection, self.now);
        entry.ejection.skip_ramp();
        let why = Cramped::Tight(present, usual).tell();
        let reason: std::sync::Arc<str> = format!("{why}; nobody goes for {hold:.0} s").into();
        entry.healthy = Mark::new(self.now, std::sync::Arc::clone(&reason));
        let id = &entry.member.instance().id;
        self.journal.instance(self.now, id, EventKind::Returned, reason);
        self.dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_hold_is_left_after_the_clock_stepped_back() {
        let mut headroom = Headroom {
            at: Nanos::from_secs(1000),
            trial: Some(Nanos::from_secs(999)),
            held_until: Nanos::from_secs(1060),
            ..Headroom::default()
        };
        headroom.shift(Nanos::from_secs(990));
        assert_eq!(headroom.trial, Some(Nanos::from_secs(9)));
        let left = [headroom.at, headroom.held_until];
        assert_eq!(left, [10, 70].map(Nanos::from_secs));
    }
}
