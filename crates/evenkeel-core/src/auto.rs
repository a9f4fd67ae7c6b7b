//! When a service with the strategy `auto` changes over to another of its candidates.
//!
//! Everything here is pure: the writer looks once a second ([`Look`]), and [`Switcher`] says what is in force from then on. It
//! touches nothing else; who is eligible, ejections and budgets are decided as with any strategy.
//!
//! # What speaks for a candidate
//!
//! For one pick in 64 (one in n/4 of more than 256 instances) each candidate that is not in force says whom it would have chosen,
//! and both choices get their expected times ([`crate::shadow`]). Comparisons are taken together in **cells** of [`CELL`] at
//! least, one a second where there are so many. A **window** of a candidate takes [`Auto::window`](crate::strategy::Auto::window) at
//! least, and [`CELLS`] cells; one that has not got them within [`LONGEST`] begins anew, and says nothing for the candidate nor
//! against it. From it comes the **gain**: by how much of the actual expected times its own would have been less, and the lower end
//! of the 95 % interval of that, from the differences of single cells (a ratio estimate; picks of the same second resemble each other,
//! seconds less so).
//!
//! A candidate is **worth it** in a window when that lower end is above [`LEAST_GAIN`], and it suits the **regime**, which is
//! told from the candidates among the instances: `failing` when a hundredth of the requests fail, `uneven` when response times are
//! spread by more than a fifth beyond chance, else `even`. Strategies that look at neither times nor failures suit `even` alone.
//!
//! # What has to be true for a change
//!
//! The same candidate was worth it in [`IN_A_ROW`] windows running, the one in force has been so for
//! [`Auto::dwell`](crate::strategy::Auto::dwell), the last change is a minute ago or as long as the **pause**, and no [`Veto`]
//! holds: a fifth of the instances changed state or came within the last 30 s, or the fleet is full (reported processors above
//! 90 % in the mean, or the response times of the quicker quarter of the instances four times the least of the last ten minutes,
//! which is as long as a fleet that has become slower for good counts as full). Who goes out or comes back, and did the same within the ten
//! minutes before, has not changed, unless more than half of the instances did: slow ones that are ejected over and over are what the
//! fleet is like, and what a better strategy may end. Of response times it is those of the quicker quarter, as instances that are slow
//! alone are no lack of room, but what a better strategy would avoid. A veto ends all windows, and they begin anew after it: what is
//! measured in such a time says nothing about another. Where that costs a candidate what it had, it is told.
//!
//! # Looking back
//!
//! The comparison is of choices, in the fleet that the former strategy has made. So a minute after a change the mean response time
//! per success is compared with that before, over as many stretches: when it has become more than [`LEAST_GAIN`] worse, with requests
//! per second within a quarter of what they were, the former returns, also to a fleet that is full since. When there are not so many
//! stretches within [`Switcher::comparable`], nothing is compared: too much else may have changed. A change to one that was left
//! within the last hour, for whatever reason, is a **reversal** and doubles the pause, up to [`LONGEST_PAUSE`]; a pause without one
//! halves it.
//!
//! Three windows are 120 comparisons at least, thus 7700 requests: a minute and a half at a hundred requests per second, 13 minutes
//! at ten. Below three per second no window is ever complete, and nothing changes.
//!
//! # Other settings
//!
//! Whoever is in force stays so when it still is a candidate and no other is pinned; what was found stays where candidates are the
//! same, and the trail in any case. A pin, and its end, are part of the trail, and change over like any change.

use std::sync::Arc;

use crate::math::AtomicF64;
use crate::shadow::{ShadowCounts, Tally, Yardstick};
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{Nanos, Rng, StrategyName};

mod evidence;
mod past;
mod regime;
mod switcher;
#[cfg(test)]
mod tests;

pub use regime::Regime;
pub(crate) use regime::{Look, Seen, look};
pub(crate) use switcher::{Switcher, Verdict};

use evidence::Gain;

/// How often the writer looks.
pub(crate) const EVERY: Nanos = Nanos::from_secs(1);
/// And while it changes over.
pub(crate) const STEP: Nanos = Nanos::from_millis(250);
/// How long a change over takes.
pub(crate) const BLEND: Nanos = Nanos::from_secs(8);
/// The fewest comparisons of a cell.
const CELL: u64 = 4;
/// The fewest cells of a window: the interval is Student's, with one degree of freedom less.
const CELLS: usize = 10;
/// The longest window, or twice the one that is set.
const LONGEST: Nanos = Nanos::from_secs(900);
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
    /// Of [`Veto`], plus one; 0 for none.
    veto: AtomicU32,
    /// Of [`Regime`], plus one; 0 before the first look.
    regime: AtomicU32,
    yardstick: Arc<Yardstick>,
    rivals: Box<[Arc<Rival>]>,
}

/// A candidate as it is shown. It outlives settings that leave it as it is.
#[derive(Debug)]
struct Rival {
    tally: Tally,
    /// Of the last window; NaN before.
    gain: AtomicF64,
    least: AtomicF64,
    /// When that ended, in ns.
    judged: AtomicU64,
    in_a_row: AtomicU64,
}

impl Default for Rival {
    fn default() -> Self {
        Self {
            tally: Tally::default(),
            gain: AtomicF64::new(f64::NAN),
            least: AtomicF64::new(f64::NAN),
            judged: AtomicU64::new(0),
            in_a_row: AtomicU64::new(0),
        }
    }
}

impl Course {
    pub(crate) fn new(candidates: usize, current: usize) -> Self {
        Self {
            current: AtomicU32::new(current as u32),
            former: AtomicU32::new(current as u32),
            share: AtomicU32::new(0),
            veto: AtomicU32::new(0),
            regime: AtomicU32::new(0),
            yardstick: Arc::default(),
            rivals: (0..candidates).map(|_| Arc::default()).collect(),
        }
    }

    /// The course of other settings. `same` says of each candidate which one of this course it is, if any: that keeps its
    /// tally.
    pub(crate) fn heir(&self, same: &[Option<usize>], current: usize) -> Self {
        let rival = |place: &Option<usize>| place.and_then(|place| self.rivals.get(place)).cloned();
        Self {
            yardstick: Arc::clone(&self.yardstick),
            regime: AtomicU32::new(self.regime.load(Relaxed)),
            rivals: same
                .iter()
                .map(|place| rival(place).unwrap_or_default())
                .collect(),
            ..Self::new(0, current)
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

    /// Shows what the last window of the candidate at `place` came to; nothing where there is none that still counts.
    fn show(&self, place: usize, gain: Option<Gain>, in_a_row: u32) {
        if let Some(rival) = self.rivals.get(place) {
            rival.gain.set(gain.map_or(f64::NAN, |gain| gain.mean));
            rival.least.set(gain.map_or(f64::NAN, |gain| gain.least));
            rival.judged.store(gain.map_or(0, |gain| gain.at.0), Relaxed);
            rival.in_a_row.store(in_a_row.into(), Relaxed);
        }
    }

    /// Shows nothing of any window.
    fn forget(&self) {
        (0..self.rivals.len()).for_each(|place| self.show(place, None, 0));
    }

    fn forbid(&self, veto: Option<Veto>) {
        self.veto.store(veto.map_or(0, |veto| 1 + veto as u32), Relaxed);
    }

    fn tell(&self, regime: Regime) {
        self.regime.store(1 + regime as u32, Relaxed);
    }

    /// What the fleet is like.
    pub(crate) fn regime(&self) -> Option<Regime> {
        let place = self.regime.load(Relaxed).checked_sub(1)?;
        Regime::ALL.get(place as usize).copied()
    }

    /// Why nothing changes now.
    pub(crate) fn veto(&self) -> Option<Veto> {
        let place = self.veto.load(Relaxed).checked_sub(1)?;
        Veto::ALL.get(place as usize).copied()
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
            judged: known(&rival.gain).map(|_| Nanos(rival.judged.load(Relaxed))),
            windows_in_a_row: rival.in_a_row.load(Relaxed),
            unsuitable: self.regime().and_then(|regime| regime.speaks_against(strategy)),
        })
    }
}

/// A candidate of `auto`, with what its choices came to beside those that were made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RivalSnapshot {
    /// Which.
    pub strategy: StrategyName,
    /// What came of asking it, since the service has it with these settings; nothing while it is in force.
    pub counts: ShadowCounts,
    /// By how much less its expected times were in the last window, as a part of the actual ones; `None` while it is in force,
    /// and before the first window since a change or a veto.
    pub gain: Option<f64>,
    /// The lower end of the 95 % interval of that.
    pub least_gain: Option<f64>,
    /// When that window ended.
    pub judged: Option<Nanos>,
    /// For how many windows in a row it has been worth a change.
    pub windows_in_a_row: u64,
    /// Why it is not made for the fleet as it is, and does not come into force; `None` when it is.
    pub unsuitable: Option<&'static str>,
}

/// Why no other candidate may come into force now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Veto {
    /// Many instances came or changed state.
    Unsettled,
    /// The fleet is full.
    Full,
}

impl Veto {
    const ALL: [Self; 2] = [Self::Unsettled, Self::Full];

    /// A word for tables and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsettled => "unsettled",
            Self::Full => "full",
        }
    }
}

/// A change that was made, by comparisons or by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switch {
    /// When.
    pub at: Nanos,
    /// From which strategy; the same as `to` where a pin came or went that changes nothing else.
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
    /// What the fleet is like; `None` in the first second.
    pub regime: Option<Regime>,
    /// Why nothing may change now.
    pub veto: Option<Veto>,
    /// All candidates.
    pub candidates: Vec<RivalSnapshot>,
    /// The last changes, newest first.
    pub switches: Arc<[Switch]>,
}
