//! When a service with the strategy `auto` changes over to another of its candidates.
//!
//! Everything here is pure: the writer looks once a second ([`Look`]), and [`Switcher`] says what is in force from then on. It
//! touches nothing else; who is eligible, ejections and budgets are decided as with any strategy.
//!
//! # What speaks for a candidate
//!
//! For one pick in 64 each candidate that is not in force says whom it would have chosen, and both choices get their expected
//! times ([`crate::shadow`]). A **window** takes [`Auto::window`](crate::strategy::Auto::window) at least, as many looks as ten
//! at least, and [`REQUESTS`] requests; one that has not got them within [`LONGEST`] says nothing. Of each candidate it has the
//! **gain**: by how much of the actual expected times its own would have been less, and the lower end of the 95 % interval of
//! that, from the differences of single looks (a ratio estimate; picks of the same second resemble each other, seconds less so).
//!
//! A candidate is **worth it** in a window when that lower end is above [`LEAST_GAIN`], and it suits the **regime**, which is
//! told from the instances: `failing` when a hundredth of the requests fail, `uneven` when response times are spread by more than
//! a fifth, else `even`. Strategies that look at neither times nor failures suit `even` alone.
//!
//! # What has to be true for a change
//!
//! The same candidate was worth it in [`IN_A_ROW`] windows running, the one in force has been so for
//! [`Auto::dwell`](crate::strategy::Auto::dwell), the last change is a minute ago or as long as the **pause**, and no **veto**
//! holds: a fifth of the instances changed state or came within the last 30 s, or the fleet is full (reported processors above
//! 90 % in the mean, or response times four times the least that they were). A veto ends the window, and windows begin anew after
//! it: what is measured in such a time says nothing about another.
//!
//! # Looking back
//!
//! The comparison is of choices, in the fleet that the former strategy has made. So after a change the mean response time per
//! success is compared with that before, over as many windows: when it has become more than [`LEAST_GAIN`] worse, with requests
//! per second within a quarter of what they were, the former returns. A change back, for whatever reason, is a **reversal** and
//! doubles the pause, up to [`LONGEST_PAUSE`]; a pause without one halves it.
//!
//! At low traffic, below 17 requests per second with the defaults, no window is ever complete, and nothing changes.

use std::sync::Arc;

use crate::math::AtomicF64;
use crate::shadow::{ShadowCounts, Tally, Yardstick};
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{Nanos, Rng, StrategyName};

mod evidence;
mod regime;
#[cfg(test)]
mod tests;

pub(crate) use regime::{Look, look};

use evidence::{Gain, Window};

/// How often the writer looks.
pub(crate) const EVERY: Nanos = Nanos::from_secs(1);
/// And while it changes over.
pub(crate) const STEP: Nanos = Nanos::from_millis(250);
/// How long a change over takes.
pub(crate) const BLEND: Nanos = Nanos::from_secs(8);
/// The fewest requests of a window.
pub(crate) const REQUESTS: u64 = 1000;
/// The longest window.
const LONGEST: Nanos = Nanos::from_secs(60);
/// The fewest looks of a window: the interval is Student's, with one degree of freedom less.
const LOOKS: usize = 10;
/// The least gain that is worth a change.
const LEAST_GAIN: f64 = 0.05;
/// Windows in a row.
const IN_A_ROW: u32 = 3;
/// The shortest time between two changes, and the longest that reversals make of it.
const PAUSE: Nanos = Nanos::from_secs(60);
const LONGEST_PAUSE: Nanos = Nanos::from_secs(3600);
/// By how much requests per second may differ for a look back.
const SAME_LOAD: f64 = 0.25;

/// What steers the pickers of a service: written by its writer, read by workers. Relaxed throughout: a pick about the time of a
/// change may go by either, which is what changing over is.
#[doc(hidden)]
#[derive(Debug)]
pub struct Course {
    current: AtomicU32,
    former: AtomicU32,
    /// The part of picks that go by the former, in 2^-32.
    share: AtomicU32,
    yardstick: Yardstick,
    rivals: Box<[Rival]>,
}

/// A candidate as it is shown.
#[derive(Debug)]
struct Rival {
    tally: Tally,
    /// Of the last window; NaN before.
    gain: AtomicF64,
    least: AtomicF64,
    in_a_row: AtomicU64,
}

impl Course {
    pub(crate) fn new(candidates: usize, current: usize) -> Self {
        let unknown = || Rival {
            tally: Tally::default(),
            gain: AtomicF64::new(f64::NAN),
            least: AtomicF64::new(f64::NAN),
            in_a_row: AtomicU64::new(0),
        };
        Self {
            current: AtomicU32::new(current as u32),
            former: AtomicU32::new(current as u32),
            share: AtomicU32::new(0),
            yardstick: Yardstick::default(),
            rivals: (0..candidates).map(|_| unknown()).collect(),
        }
    }

    /// The place of the candidate in force.
    #[inline]
    pub(crate) fn current(&self) -> usize {
        self.current.load(Relaxed) as usize
    }

    /// The same, unless it changes over.
    pub(crate) fn settled(&self) -> Option<usize> {
        (self.share.load(Relaxed) == 0).then(|| self.current())
    }

    /// By whom to pick.
    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        let share = self.share.load(Relaxed);
        if share > 0 && ((rng.next_u64() >> 32) as u32) < share {
            return self.former.load(Relaxed) as usize;
        }
        self.current()
    }

    /// Takes in a choice that was made.
    pub(crate) fn follow(&self, candidates: &Candidates, chosen: Slot) {
        self.yardstick.follow(candidates, chosen);
    }

    /// Counts that the candidate at `place` would have taken `other` where `chosen` was.
    pub(crate) fn count(&self, place: usize, candidates: &Candidates, chosen: Slot, other: Slot) {
        if let Some(rival) = self.rivals.get(place) {
            let [actual, own] = [chosen, other].map(|slot| self.yardstick.expected(candidates, slot));
            rival.tally.count(chosen != other, actual, own);
        }
    }

    /// What came of asking each candidate so far.
    fn counts(&self) -> Vec<ShadowCounts> {
        self.rivals.iter().map(|rival| rival.tally.counts()).collect()
    }

    fn steer(&self, current: usize, former: usize, share: f64) {
        self.former.store(former as u32, Relaxed);
        self.current.store(current as u32, Relaxed);
        self.share
            .store((share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32, Relaxed);
    }

    fn show(&self, place: usize, gain: Option<Gain>, in_a_row: u32) {
        if let Some(rival) = self.rivals.get(place) {
            rival.gain.set(gain.map_or(f64::NAN, |gain| gain.mean));
            rival.least.set(gain.map_or(f64::NAN, |gain| gain.least));
            rival.in_a_row.store(in_a_row.into(), Relaxed);
        }
    }

    /// The candidate at `place` as it is shown.
    pub(crate) fn rival(&self, place: usize, strategy: StrategyName) -> Option<RivalSnapshot> {
        let rival = self.rivals.get(place)?;
        let known = |value: &AtomicF64| Some(value.get()).filter(|value| !value.is_nan());
        Some(RivalSnapshot {
            strategy,
            counts: rival.tally.counts(),
            gain: known(&rival.gain),
            least_gain: known(&rival.least),
            windows_in_a_row: rival.in_a_row.load(Relaxed),
        })
    }
}

/// A candidate of `auto`, with what its choices came to beside those that were made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RivalSnapshot {
    /// Which.
    pub strategy: StrategyName,
    /// What came of asking it, since the service has these settings; nothing while it is in force.
    pub counts: ShadowCounts,
    /// By how much less its expected times were in the last window, as a part of the actual ones; `None` while it is in force
    /// and before the first window.
    pub gain: Option<f64>,
    /// The lower end of the 95 % interval of that.
    pub least_gain: Option<f64>,
    /// For how many windows in a row it has been worth a change.
    pub windows_in_a_row: u64,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switch {
    /// When.
    pub at: Nanos,
    /// From which strategy.
    pub from: StrategyName,
    /// To which.
    pub to: StrategyName,
    /// Why, in words and numbers.
    pub reason: Arc<str>,
}

/// What a service with `auto` does, and has done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AutoSnapshot {
    /// The candidate in force.
    pub current: StrategyName,
    /// Since when.
    pub since: Nanos,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Whether it is taking over from another now.
    pub changes_over: bool,
    /// All candidates.
    pub candidates: Vec<RivalSnapshot>,
    /// The last changes, newest first.
    pub switches: Arc<[Switch]>,
}

/// Decides.
#[derive(Debug)]
pub(crate) struct Switcher {
    names: Vec<StrategyName>,
    pin: Option<usize>,
    window: Nanos,
    dwell: Nanos,
    current: usize,
    former: usize,
    since: Nanos,
    pause: Nanos,
    /// When the pause was last changed.
    paused: Nanos,
    open: Option<Window>,
    in_a_row: Vec<u32>,
    /// What the last windows came to: response time per success in ns, and requests per second; newest last.
    past: Vec<(f64, f64)>,
    /// The same before the last change, until it was compared.
    before: Option<(f64, f64)>,
    /// The least response time of a window.
    least: f64,
    switched: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) from: StrategyName,
    pub(crate) to: StrategyName,
    pub(crate) reason: String,
}

impl Switcher {
    pub(crate) fn new(
        names: Vec<StrategyName>,
        pin: Option<usize>,
        window: Nanos,
        dwell: Nanos,
        now: Nanos,
    ) -> Self {
        let current = pin.unwrap_or(0);
        Self {
            in_a_row: vec![0; names.len()],
            names,
            pin,
            window,
            dwell,
            current,
            former: current,
            since: now,
            pause: PAUSE,
            paused: now,
            open: None,
            past: Vec::new(),
            before: None,
            least: f64::INFINITY,
            switched: false,
        }
    }

    /// The candidate in force, and since when.
    pub(crate) fn current(&self) -> (usize, Nanos) {
        (self.current, self.since)
    }

    /// Moves what is remembered when the clock stepped back.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.since = self.since.since(back);
        self.paused = self.paused.since(back);
        self.open = None;
    }

    /// When to look next.
    pub(crate) fn next(&self, now: Nanos) -> Nanos {
        now + if self.blends(now) { STEP } else { EVERY }
    }

    pub(crate) fn blends(&self, now: Nanos) -> bool {
        self.switched && now.since(self.since) < BLEND
    }

    /// Takes in a look, steers `course`, and says what changes.
    pub(crate) fn look(&mut self, look: &Look, course: &Course) -> Option<Change> {
        let now = look.now;
        if self.blends(now) {
            let gone = now.since(self.since).as_secs_f64() / BLEND.as_secs_f64();
            course.steer(self.current, self.former, 1.0 - gone);
            self.open = None;
            return None;
        }
        course.steer(self.current, self.former, 0.0);
        if self.veto(look).is_some() {
            self.open = None;
            self.in_a_row.fill(0);
            self.past.clear();
            return None;
        }
        let counts = course.counts();
        let Some(window) = &mut self.open else {
            self.open = Some(Window::new(look, counts));
            return None;
        };
        window.take(look, counts);
        let length = now.since(window.began);
        if length < self.window || window.looks() < LOOKS || window.requests() < REQUESTS {
            if length > LONGEST.max(twice(self.window)) {
                self.open = None;
                self.in_a_row.fill(0);
            }
            return None;
        }
        let window = std::mem::replace(window, Window::new(look, window.last().to_vec()));
        self.judge(look, &window, course)
    }

    /// Why nothing may change now.
    fn veto(&mut self, look: &Look) -> Option<&'static str> {
        if look.changed > 0.2 {
            return Some("instances change state");
        }
        let slow = look.response_time > 4.0 * self.least;
        (look.utilization.is_some_and(|used| used > 0.9) || slow).then_some("the fleet is full")
    }

    /// A window is complete.
    fn judge(&mut self, look: &Look, window: &Window, course: &Course) -> Option<Change> {
        let now = look.now;
        let seconds = now.since(window.began).as_secs_f64();
        let rate = window.requests() as f64 / seconds;
        self.past.push((window.response_time(), rate));
        if self.past.len() > IN_A_ROW as usize {
            self.past.remove(0);
        }
        // What was fast once may never be again: it is forgotten by a tenth each window.
        self.least = (self.least * 1.1).min(window.response_time());
        if now.since(self.paused) > twice(self.pause) && self.pause > PAUSE {
            (self.pause, self.paused) = (Nanos(self.pause.0 / 2).max(PAUSE), now);
        }
        let mut best: Option<(usize, Gain)> = None;
        for place in 0..self.names.len() {
            let gain = (place != self.current).then(|| window.gain(place)).flatten();
            let worth =
                gain.is_some_and(|gain| gain.least > LEAST_GAIN) && look.regime.suits(self.names[place]);
            self.in_a_row[place] = if worth { self.in_a_row[place] + 1 } else { 0 };
            course.show(place, gain, self.in_a_row[place]);
            if let Some(gain) = gain
                && self.in_a_row[place] >= IN_A_ROW
                && best.is_none_or(|(_, other)| gain.mean > other.mean)
            {
                best = Some((place, gain));
            }
        }
        if self.pin.is_some() {
            return None;
        }
        if let Some(change) = self.look_back(now) {
            return Some(change);
        }
        let (place, gain) = best?;
        let rests = self.switched && now.since(self.since) < self.pause;
        if rests || now.since(self.since) < self.dwell {
            return None;
        }
        let reason = format!(
            "expected times {:.1} % less, at least {:.1} %, in {} windows in a row; {} requests in {seconds:.0} s, {}",
            100.0 * gain.mean,
            100.0 * gain.least,
            self.in_a_row[place],
            window.requests(),
            look.regime.as_str()
        );
        self.before = self.mean_of_past();
        Some(self.change_to(place, reason, now))
    }

    /// Compares what was with what is, once there are as many windows after a change as before.
    fn look_back(&mut self, now: Nanos) -> Option<Change> {
        if self.past.len() < IN_A_ROW as usize || now.since(self.since) < self.pause {
            return None;
        }
        let (time, rate) = self.before.take()?;
        let (time_now, rate_now) = self.mean_of_past()?;
        let same_load = (rate_now / rate - 1.0).abs() <= SAME_LOAD;
        let worse = time_now / time - 1.0;
        if !same_load || worse <= LEAST_GAIN {
            return None;
        }
        let reason = format!(
            "response times are {:.1} % longer than before, {:.1} instead of {:.1} ms, at {rate_now:.0} requests per second",
            100.0 * worse,
            time_now / 1e6,
            time / 1e6
        );
        Some(self.change_to(self.former, reason, now))
    }

    fn mean_of_past(&self) -> Option<(f64, f64)> {
        let n = self.past.len() as f64;
        let (time, rate) = self
            .past
            .iter()
            .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (n > 0.0).then(|| (time / n, rate / n))
    }

    fn change_to(&mut self, place: usize, reason: String, now: Nanos) -> Change {
        let change = Change {
            from: self.names[self.current],
            to: self.names[place],
            reason,
        };
        if self.switched && place == self.former {
            self.pause = twice(self.pause).min(LONGEST_PAUSE);
            self.paused = now;
        }
        (self.former, self.current, self.since, self.switched) = (self.current, place, now, true);
        self.in_a_row.fill(0);
        self.past.clear();
        self.open = None;
        change
    }
}

fn twice(time: Nanos) -> Nanos {
    time + time
}
