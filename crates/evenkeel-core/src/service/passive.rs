//! Which failing instances are ejected, and which must stay because too few others work.
//!
//! One instance's failures are evidence against it only beside others that succeed. When a shared
//! dependency fails, every instance fails alike, and ejecting some only overloads the rest. So an
//! instance is ejected only while
//!
//! 1. at least `min_healthy` others **work**: not ejected, last request succeeded (or none made, or none
//!    of late), and if they were ejected before, they have answered since. In a fleet that fails alike hardly any
//!    does. A service of one instance never loses it; of two, one; of three with two dead, both dead
//!    ones go.
//! 2. at most **half** (`max_ejected`, rounded up) of the instances that checks do not call down are ejected then.
//!    Half, because rule 1 alone would let a partial shared failure (one call in three fails, say) empty
//!    a large fleet one unlucky run at a time; not less, because two dead of three is an ordinary day.
//!    More than half may go when a later priority has an instance that works and can take over, or when
//!    bad luck is out of the question: the run is [`HOPELESS`] times what ejects, while those that work
//!    succeed in most of their last requests. Otherwise the fourth dead one of six would stay for ever,
//!    and by failing fast take most of the traffic.
//!
//! 3. hardly anybody else fails too: not when four of five others (half of them, for what was not found by a run) had
//!    two failures close together of late, nor within
//!    two seconds after the whole fleet began to fail more than before; nor for a run that is shorter than chance
//!    gives once in a million at the rate that the fleet commonly fails, or once in 10^5 at that of the best other
//!    one; nor for a share of failures that is no greater than that of the best other one, with confidence. While
//!    most others had a failure of late, a run has to be twice as long: who is asked first fails first. What all have
//!    in common is no reason to prefer one. Bad luck is out of the question as under 2.
//!
//! Failures from a time when everybody failed everything are forgiven, to all, when the first one answers again: who was not
//! asked since shows nothing else and would go for being asked later, and who was asked would be the exception.
//!
//! 4. the rest has **room** for its work, when it does most of it ([`super::headroom`]).
//!
//! 5. requests still come to it. A strategy may leave it alone at once, and only ask now and then whether it is back
//!    ([`crate::trust`]): where that is eight times less often than before, and less than two requests in the time of a first ejection,
//!    an ejection would spare nobody anything, and only keep it from being found well. Its breaker is half-open then.
//!
//! What speaks against an instance comes from several detectors ([`super::detect`]); none of them is above these
//! rules, nor is a score that falls below its threshold by requests alone: that one has to fail more than what the
//! fleet commonly fails, too. Who leaves by its score counts as out. A dry run tells of what these rules would let
//! go, as if those were out already of whom one told of late.
//!
//! Instances that are down do not count on either side: for those, checks have spoken. Except in
//! **fallback**: then checks call so many down that they are not believed, all instances take traffic, and
//! the same rules hold over all of them, down or not and whatever their priority. Rule 1 wants one other
//! that works there, since the minimum is missed anyway.
//!
//! The longest run of failures goes first.

use std::sync::Arc;

use super::detect::{Finding, findings};
use super::dry;
use super::entry::Entry;
use super::fallen;
use super::headroom::Cramped;
use super::scores::Scores;
use super::slots::Slots;
use super::stages::minimum;
use crate::health::Mark;
use crate::health::burst::Level;
use crate::health::ramp::wilson;
use crate::service::journal::Journal;
use crate::{
    EjectionSettings, EventKind, HealthPart, HealthParts, Mode, Nanos, Regions, Rng, ServiceSettings, Slot,
};

/// Runs this many times as long as what ejects are no bad luck. Ten: at the default limit of 5, an
/// instance that fails nine requests in ten gets that far in one of 200 runs, one that fails two in
/// three in one of 10^9.
const HOPELESS: u32 = 10;

/// Of so many others one may do well, and yet it is common that they fail: for runs of failures…
///
/// Five: of 40 instances that begin to fail 60 % of their requests, nine in ten show it by the time the first has
/// failed five in a row; and the eight dead of ten are still told from the two that are not.
const SPARED: usize = 5;
/// …and for all other findings, which are weaker: where more than half fail, nobody knows what is right.
const SPARED_BY_CHANCE: usize = 2;

/// A run that the best other one would have more often than this, by requests, is chance.
const CHANCE: f64 = 1e-5;
/// So many requests a smoothed share of successes is as good as.
const LATELY: f64 = 31.0;

/// Who has to stay and fails now and then is not told of again before.
pub(super) const QUIET: Nanos = Nanos::from_secs(60);

/// The part of its last requests that failed.
fn lately(entry: &Entry) -> f32 {
    1.0 - entry.member.stats().success_share()
}

/// How much the service can do without.
#[derive(Debug)]
pub(super) struct Room<'s> {
    /// Which instances may be used at all.
    regions: &'s Regions,
    /// Too few are healthy: down ones count too.
    fallback: bool,
    /// How many must work.
    wanted: usize,
    /// Instances that work.
    working: usize,
    /// Their smoothed shares of successes, added up.
    success: f32,
    /// The last priority among those, where priorities count.
    last_priority: u8,
    /// Instances that take part in this.
    present: usize,
    /// Of those, ejected or too weak…
    out: usize,
    /// …and how many may be.
    most_out: usize,
    /// Instances that are asked…
    asked: usize,
    /// …of those, such as did nothing but fail of late…
    failing: usize,
    /// Something common is on the rise.
    rising: bool,
    /// Shorter runs of failures are chance at the rate that the fleet commonly fails.
    run: u32,
    /// …and of those, such as had two failures close together of late…
    suspicious: usize,
    /// …or one.
    doubtful: usize,
    /// The two least shares of failures among their last requests.
    least: [f32; 2],
    /// What the fleet commonly fails.
    pub(super) level: Level,
    /// The one in question does most of its work, and the others have no room for it.
    pub(super) cramped: Option<Cramped>,
}

impl<'s> Room<'s> {
    /// With `dry` as it would be if what is in dry run were enforced.
    pub(super) fn of(
        slots: &Slots,
        settings: &'s ServiceSettings,
        scores: &Scores,
        dry: bool,
        now: Nanos,
    ) -> Self {
        let minimum = minimum(slots, settings, now);
        let (wanted, fallback) = (minimum.wanted, minimum.fallback);
        let mut room = Self {
            regions: &settings.regions,
            fallback,
            wanted: if fallback { 1 } else { wanted },
            working: 0,
            success: 0.0,
            last_priority: 0,
            present: 0,
            out: 0,
            most_out: 0,
            asked: 0,
            failing: 0,
            rising: scores.is_rising(now),
            run: scores.ordinary_run(),
            suspicious: 0,
            doubtful: 0,
            least: [f32::INFINITY; 2],
            level: scores.level(),
            cramped: None,
        };
        for (_, entry) in slots.iter() {
            if !room.judges(entry) {
                continue;
            }
            room.present += 1;
            if entry.is_out() || (dry && entry.would_be_out()) {
                room.out += 1;
                continue;
            }
            if !entry.is_idle(&settings.ejection, now) {
                room.asked += 1;
                room.failing += usize::from(fails(entry, &settings.ejection));
                let suspicion = entry.member.stats().suspicion();
                room.suspicious += usize::from(suspicion.is_sign());
                room.doubtful += usize::from(suspicion.get() > 0.0);
                room.compare(entry);
            }
            if entry.works(&settings.ejection, now) {
                room.working += 1;
                room.success += entry.member.stats().success_share();
                if !fallback {
                    room.last_priority = room.last_priority.max(entry.member.instance().priority);
                }
            }
        }
        room.most_out = settings.ejection.most_out(room.present);
        room
    }

    /// Takes in what part of the last requests of `entry` failed.
    fn compare(&mut self, entry: &Entry) {
        let share = lately(entry);
        if share < self.least[0] {
            self.least = [share, self.least[0]];
        } else if share < self.least[1] {
            self.least[1] = share;
        }
    }

    /// Whether its requests count: it may get new ones.
    pub(super) fn judges(&self, entry: &Entry) -> bool {
        let region = entry.member.instance().region.as_deref();
        entry.drain.is_none()
            && self.regions.permit(region)
            && (self.fallback || entry.checks.down().is_none())
    }

    /// Whether `entry` may not go for what was found, or for its score, and why.
    pub(super) fn refuses(
        &self,
        entry: &Entry,
        finding: Option<Finding>,
        settings: &ServiceSettings,
        now: Nanos,
    ) -> Option<Refusal> {
        let run = match finding {
            Some(Finding::Run(run)) => Some(run),
            _ => None,
        };
        if let Some(each) = entry.left_alone(&settings.ejection, now) {
            return Some(Refusal::LeftAlone(each));
        }
        let itself = usize::from(entry.works(&settings.ejection, now));
        let working = self.working - itself.min(self.working);
        if working < self.wanted {
            return Some(Refusal::TooFewWork(working));
        }
        let limit = entry.ejection.limit(&settings.ejection);
        let hopeless = run.is_some_and(|run| run >= limit.saturating_mul(HOPELESS))
            && self.success >= 0.5 * self.working as f32;
        if hopeless {
            return None;
        }
        let spared = if run.is_some() { SPARED } else { SPARED_BY_CHANCE };
        let chance = match finding {
            Some(Finding::Run(run)) => {
                let best = self.best_other(entry);
                let by_chance = (0..run.min(500)).fold(1.0, |odds, _| odds * best);
                run < self.run || self.level.is_highest() || by_chance > CHANCE
            }
            Some(Finding::Slow | Finding::Silence(_)) => false,
            _ => !self.fails_more(entry),
        };
        if chance || self.is_common(entry, spared, &settings.ejection, now) {
            return Some(Refusal::Common);
        }
        if let Some(cramped) = self.cramped {
            return Some(Refusal::Cramped(cramped));
        }
        let full = self.out >= self.most_out;
        if full && self.last_priority <= entry.member.instance().priority {
            return Some(Refusal::TooManyAreOut);
        }
        let waits = finding.is_some_and(|finding| self.waits(entry, finding, &settings.ejection, now));
        waits.then_some(Refusal::Waits)
    }

    /// Whether a run of failures may be the first of many: most others had a failure of late, too, and nobody knows
    /// what comes of it before they were asked as often. It is known when the run is twice as long.
    fn waits(&self, entry: &Entry, finding: Finding, settings: &EjectionSettings, now: Nanos) -> bool {
        let Finding::Run(run) = finding else {
            return false;
        };
        let (asked, failing) = match entry.is_idle(settings, now) {
            true => (self.asked, self.doubtful),
            false => (self.asked.saturating_sub(1), self.doubtful.saturating_sub(1)),
        };
        run < long(entry, settings) && 2 * failing > asked
    }

    /// Whether all but one in `spared` of the others show signs of failing, too.
    fn is_common(&self, entry: &Entry, spared: usize, settings: &EjectionSettings, now: Nanos) -> bool {
        let suspicious = entry.member.stats().suspicion().is_sign();
        let (asked, failing) = match entry.is_idle(settings, now) {
            true => (self.asked, self.suspicious),
            false => (
                self.asked.saturating_sub(1),
                self.suspicious.saturating_sub(usize::from(suspicious)),
            ),
        };
        asked > 0 && (self.rising || asked.saturating_sub(failing) <= (asked - 1) / spared)
    }

    /// What part of the requests of the best other one fails at most, with 97.5 % confidence; 0 when no other is asked.
    fn best_other(&self, entry: &Entry) -> f64 {
        let [best, second] = self.least;
        let share = f64::from(if lately(entry) <= best { second } else { best });
        if share.is_infinite() {
            return 0.0;
        }
        share + 2.0 * (share * (1.0 - share) / LATELY).sqrt()
    }

    /// Whether more of its requests of ten seconds failed than of those of the best other one, with 97.5 % confidence.
    fn fails_more(&self, entry: &Entry) -> bool {
        let (bad, all) = entry.vitals.window.failures_of();
        !self.level.is_highest() && wilson(bad, all) > self.best_other(entry)
    }

    /// The same, and more than what the fleet commonly fails is an excuse for.
    fn exceeds(&self, entry: &Entry) -> bool {
        let (bad, all) = entry.vitals.window.failures_of();
        wilson(bad, all) > f64::from(self.level.high) && self.fails_more(entry)
    }

    /// `entry` goes.
    pub(super) fn lose(&mut self, entry: &Entry, settings: &ServiceSettings, now: Nanos) {
        if entry.is_below_threshold() || !self.judges(entry) {
            return;
        }
        if entry.works(&settings.ejection, now) {
            self.working = self.working.saturating_sub(1);
            self.success -= entry.member.stats().success_share();
        }
        if !entry.is_idle(&settings.ejection, now) {
            self.asked = self.asked.saturating_sub(1);
            let suspicion = entry.member.stats().suspicion();
            let (sign, doubt) = (suspicion.is_sign(), suspicion.get() > 0.0);
            self.suspicious = self.suspicious.saturating_sub(usize::from(sign));
            self.doubtful = self.doubtful.saturating_sub(usize::from(doubt));
        }
        self.out += 1;
    }

    fn tell(&self, refusal: Refusal) -> String {
        match refusal {
            Refusal::TooFewWork(others) => format!("{others} others work, at least {} must", self.wanted),
            Refusal::Common => "hardly anybody else does better".to_owned(),
            Refusal::Waits => "most others had a failure of late, too, and a longer run will tell".to_owned(),
            Refusal::Cramped(cramped) => cramped.tell(),
            Refusal::LeftAlone(each) => format!(
                "it is asked only every {:.1} s as it is, to see whether it is back",
                each.as_secs_f64()
            ),
            Refusal::TooManyAreOut => format!(
                "{} of {} are out already, at most {} may be",
                self.out, self.present, self.most_out
            ),
        }
    }
}

/// Why one that fails has to stay.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    TooFewWork(usize),
    Common,
    Waits,
    TooManyAreOut,
    Cramped(Cramped),
    LeftAlone(Nanos),
}

/// Whether its requests failed as often in a row as ejects.
fn fails(entry: &Entry, settings: &EjectionSettings) -> bool {
    let limit = entry.ejection.limit(settings);
    limit > 0 && entry.member.stats().consecutive_failures() >= limit
}

/// A run that is no accident where most others had a failure of late.
fn long(entry: &Entry, settings: &EjectionSettings) -> u32 {
    entry.ejection.limit(settings).saturating_mul(2)
}

/// Forgives what was failed while everybody failed everything, once one works again. O(n).
pub(super) fn forgive(slots: &mut Slots, settings: &ServiceSettings, scores: &mut Scores, now: Nanos) {
    if !scores.all_fail && !slots.iter().any(|(_, entry)| fails(entry, &settings.ejection)) {
        return;
    }
    let room = Room::of(slots, settings, scores, false, now);
    // One alone is no fleet, and the others were not asked.
    if room.asked > 1 && room.failing == room.asked && !room.fallback {
        scores.all_fail = true;
    } else if room.working > 0 && std::mem::take(&mut scores.all_fail) {
        for (_, entry) in slots.iter_mut() {
            let fails = fails(entry, &settings.ejection);
            if entry.ejection.until().is_none() && (fails || !entry.is_below_threshold()) {
                entry.forgive_requests(settings, now);
                entry.arm(&settings.ejection);
            }
        }
    }
}

/// Looks at what speaks against every instance that takes traffic and ejects what the rules allow. True when a
/// state changed. O(n), and O(n log n) when something speaks against one.
pub(super) fn look(
    slots: &mut Slots,
    settings: &ServiceSettings,
    scores: &mut Scores,
    journal: &mut Journal,
    rng: &mut Rng,
    now: Nanos,
) -> bool {
    let mut room = Room::of(slots, settings, scores, false, now);
    let dry = settings.ejection.has_dry_run();
    let mut dry = dry.then(|| Room::of(slots, settings, scores, true, now));
    let mut changed = false;
    if !settings.ejection.is_off() {
        if let Some(room) = &mut dry {
            dry::look(slots, room, scores, settings, journal, rng, now);
        }
        for (_, entry) in slots.iter_mut() {
            if entry.on_trial && !entry.member.stats().trust().has_fallen() {
                entry.on_trial = false;
                entry.healthy = Mark::new(now, "it answers again".into());
                changed = true;
            }
            if entry.spared_by_strategy && room.judges(entry) {
                fallen::tell(entry, &settings.ejection, journal, now);
            }
        }
        for (finding, slot) in accused(slots, settings, scores, &room) {
            let Some(entry) = slots.get_mut(slot) else {
                continue;
            };
            let was_on_trial = entry.on_trial;
            let cramped = scores.headroom.refuses(entry, finding, &settings.ejection, now);
            if cramped == Some(Cramped::Pause) {
                // What was found stays found, and is looked at again.
                continue;
            }
            room.cramped = cramped;
            if judge(entry, finding, &mut room, settings, journal, rng, now) {
                scores
                    .headroom
                    .lose(slot, entry, finding, &settings.ejection, now);
                changed = true;
            }
            changed |= entry.on_trial != was_on_trial;
        }
    }
    if changed {
        // What comes of it shows from now on, not from the next look on.
        scores.headroom.observe(slots, now);
    }
    match (settings.ejection.on_score, dry) {
        (Mode::Enforce, _) => {
            room.cramped = None;
            for (_, entry) in slots.iter_mut() {
                changed |= weigh(entry, &mut room, settings, journal, now);
            }
        }
        (Mode::DryRun, Some(mut room)) => {
            room.cramped = None;
            dry::weigh(slots, &mut room, settings, journal, now);
        }
        _ => {}
    }
    changed
}

/// Instances that something speaks against that is enforced and that are not out, the longest run of failures first.
fn accused(
    slots: &mut Slots,
    settings: &ServiceSettings,
    scores: &Scores,
    room: &Room<'_>,
) -> Vec<(Finding, Slot)> {
    let mut accused = Vec::new();
    for (slot, entry) in slots.iter_mut() {
        let judged = room.judges(entry) && entry.ejection.until().is_none();
        let first = findings(entry, &settings.ejection, scores.level())
            .find(|finding| finding.mode(&settings.ejection) == Mode::Enforce);
        if !fails(entry, &settings.ejection) && std::mem::take(&mut entry.withheld) {
            entry.arm(&settings.ejection);
        }
        let stats = entry.member.stats();
        match first {
            None if stats.suspicion().get() == 0.0 => entry.spared = false,
            Some(finding) if judged => accused.push((finding, slot)),
            _ => {}
        }
    }
    accused.sort_unstable_by_key(|(finding, slot)| match finding {
        Finding::Run(run) => (std::cmp::Reverse(*run), *slot),
        _ => (std::cmp::Reverse(0), *slot),
    });
    accused
}

/// Ejects `entry` for `finding`, unless a rule is against it. True when it did.
fn judge(
    entry: &mut Entry,
    finding: Finding,
    room: &mut Room<'_>,
    settings: &ServiceSettings,
    journal: &mut Journal,
    rng: &mut Rng,
    now: Nanos,
) -> bool {
    let told = finding.tell(entry);
    if let Some(why) = room.refuses(entry, Some(finding), settings, now) {
        let told_lately = entry.withheld_told.is_some_and(|told| now.since(told) < QUIET);
        let news = !(entry.withheld || entry.spared || told_lately);
        if let Finding::Run(run) = finding {
            // The next length at which the answer may be another one.
            let (limit, long) = (
                entry.ejection.limit(&settings.ejection),
                long(entry, &settings.ejection),
            );
            let next = if run < long {
                long
            } else {
                limit.saturating_mul(HOPELESS)
            };
            entry.member.stats().set_alarm_at(next);
            entry.withheld = true;
        } else {
            entry.spared = true;
        }
        let suspicion = entry.member.stats().suspicion();
        match why {
            // What it failed while it was hardly asked must not count when it answers.
            Refusal::LeftAlone(_) => suspicion.set(0.0),
            _ if finding == Finding::Burst => suspicion.halve(),
            _ => {}
        }
        if news {
            entry.withheld_told = Some(now);
            let reason: Arc<str> = format!("{told}, but it stays: {}", room.tell(why)).into();
            let mut known = false;
            if let Refusal::LeftAlone(_) = why {
                entry.on_trial = true;
                entry.healthy = Mark::new(now, Arc::clone(&reason));
                known = fallen::is_told(entry, now);
            }
            if !known {
                let id = &entry.member.instance().id;
                journal.instance(now, id, EventKind::EjectionWithheld, reason);
            }
        }
        return false;
    }
    room.lose(entry, settings, now);
    entry.on_trial = false;
    entry.withheld = false;
    entry.withheld_told = None;
    entry.spared = false;
    entry.vitals.set_below(None);
    entry.arm(&settings.ejection);
    let down = entry.checks.down().is_some();
    let least = entry.least_out(finding, &settings.ejection, now);
    let reason = entry
        .ejection
        .eject(&told, down, least, &settings.ejection, rng, now);
    journal.instance(now, &entry.member.instance().id, EventKind::Ejected, reason);
    true
}

/// Lets `entry` leave when its score is below the threshold. True when it did.
fn weigh(
    entry: &mut Entry,
    room: &mut Room<'_>,
    settings: &ServiceSettings,
    journal: &mut Journal,
    now: Nanos,
) -> bool {
    let Some(reason) = too_weak(entry, room, settings, now) else {
        return false;
    };
    let reason: Arc<str> = reason.into();
    room.lose(entry, settings, now);
    entry.vitals.set_below(Some(Mark::new(now, Arc::clone(&reason))));
    journal.instance(now, &entry.member.instance().id, EventKind::Weakened, reason);
    true
}

/// Why `entry` has to leave for its score, if it has to and the rules allow it.
pub(super) fn too_weak(
    entry: &Entry,
    room: &Room<'_>,
    settings: &ServiceSettings,
    now: Nanos,
) -> Option<String> {
    let threshold = settings.ejection.threshold;
    let stats = entry.member.stats();
    let (part, score) = stats.health_parts().worst();
    if score >= HealthParts::rounded(threshold) || entry.is_out() || entry.checks.down().is_some() {
        return None;
    }
    let run = Finding::Run(stats.consecutive_failures());
    if part == HealthPart::Requests
        && (settings.ejection.is_off()
            || room.waits(entry, run, &settings.ejection, now)
            || !room.exceeds(entry)
            || room.refuses(entry, None, settings, now).is_some())
    {
        return None;
    }
    let told = entry.told.map(|(score, observed)| (score.get(), observed));
    let why = entry.vitals.explain(part, score, told, stats, now);
    Some(format!("its score is below {threshold:.2}: {why}"))
}
