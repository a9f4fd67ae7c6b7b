//! A second strategy on live traffic, which nobody is routed by.
//!
//! One pick in [`EVERY`] on average, and in `n/4` among more than four times as many candidates, is also put to the shadow's
//! picker, and both choices are judged by one yardstick: the expected time to a successful response there and then,
//!
//! `expected = response_time / success_share × load / usual_load`, with `load = (in_flight + 1) / weight`
//!
//! in ns. `response_time` is the mean of the last hundred or so successes ([`crate::pace`]), `success_share` that of about
//! the last sixteen outcomes, floored at 0.05. `usual_load` is the running mean of `load` over the choices that were made:
//! response times were measured under it, so it makes the expected times of those choices come to about the response times
//! that there are, and takes the unit of weights out. A choice of which nothing is measured yet has no expected time; then
//! the pick is counted, and neither time is.
//!
//! What that tells, and what not: it compares two choices at the same moment of the same fleet, and so the fleet that the
//! strategy in force has made: its queues, its warm caches, its measurements. A shadow that would have spread requests
//! otherwise would have met other queues. It says whether the shadow makes worse choices; it cannot promise that all would
//! be better if it made them.
//!
//! A shadow that does not suit the service as it is (too many instances for its table, a key that is not the one of the strategy)
//! is idle until it does: nobody is refused for the sake of a strategy that nobody is routed by.
//!
//! Which picks are asked about is drawn by the worker from a generator of its own, after which the shadow draws from that
//! too ([`Beside`]): what is picked does not depend on whether there is a shadow.

use std::sync::Arc;

use crate::hash::RequestKey;
use crate::math::AtomicF64;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{Nanos, PickContext, PickRequest, Picker, Rng, StrategyName, StrategySettings};

/// One pick in so many is asked about, so that a shadow costs less than a tenth of a pick: its own pick and two looks at
/// instances cost about as much as three.
const EVERY: u32 = 64;
/// The least success share that is believed.
const LEAST_SHARE: f32 = 0.05;
/// How many choices the usual load is a mean of.
const USUAL: u64 = 1024;

/// What a worker keeps for strategies that are asked beside the one that picks.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Picks until the next one that is asked about.
    left: u32,
    rng: Rng,
    /// For all who are asked about one pick.
    asked: Rng,
}

impl Beside {
    pub(crate) fn new(seed: u64) -> Self {
        let mut beside = Self {
            left: 0,
            rng: Rng::new(crate::hash::mix(seed ^ 0x5AD0_5AD0_5AD0_5AD0)),
            asked: Rng::new(0),
        };
        beside.rest();
        beside
    }

    /// Uniform around [`EVERY`], so that no rhythm of the requests or of a strategy that goes in turns falls in step.
    fn rest(&mut self) {
        self.left = 1 + self.rng.below(2 * EVERY - 1);
    }

    /// Whether this pick among `candidates` is asked about.
    #[inline]
    pub(crate) fn is_due(&mut self, candidates: usize) -> bool {
        self.left -= 1;
        self.left == 0 && self.is_chosen(candidates)
    }

    /// A strategy may look at all candidates, so that among many it is asked the less.
    #[cold]
    fn is_chosen(&mut self, candidates: usize) -> bool {
        self.rest();
        // So that nobody who is asked changes what another one draws at the next.
        self.asked = Rng::new(self.rng.next_u64());
        let every = u32::try_from(candidates / 4).unwrap_or(u32::MAX);
        every <= EVERY || self.rng.below(every) < EVERY
    }
}

impl PickContext {
    /// Lets `picker` choose by draws that no other pick misses.
    pub(crate) fn ask(&mut self, picker: &dyn Picker, request: &PickRequest<'_>) -> Option<Slot> {
        std::mem::swap(&mut self.rng, &mut self.beside.asked);
        let slot = picker.pick(request, self);
        std::mem::swap(&mut self.rng, &mut self.beside.asked);
        slot.ok()
    }
}

/// What came of asking. Written by workers now and then, read by anyone; outlives views. All orderings are relaxed: each
/// number stands alone.
#[derive(Debug)]
pub(crate) struct Tally {
    asked: AtomicU64,
    differed: AtomicU64,
    compared: AtomicU64,
    /// In ns.
    actual: AtomicU64,
    /// In ns.
    shadow: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            asked: AtomicU64::new(0),
            differed: AtomicU64::new(0),
            compared: AtomicU64::new(0),
            actual: AtomicU64::new(0),
            shadow: AtomicU64::new(0),
        }
    }
}

impl Tally {
    /// Counts one pick: whether the choices differ, and their expected times where both have one.
    pub(crate) fn count(&self, differs: bool, actual: Option<f64>, shadow: Option<f64>) {
        self.asked.fetch_add(1, Relaxed);
        self.differed.fetch_add(differs.into(), Relaxed);
        if let Some((actual, shadow)) = actual.zip(shadow) {
            self.compared.fetch_add(1, Relaxed);
            self.actual.fetch_add(actual as u64, Relaxed);
            self.shadow.fetch_add(shadow as u64, Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> ShadowCounts {
        ShadowCounts {
            asked: self.asked.load(Relaxed),
            differed: self.differed.load(Relaxed),
            compared: self.compared.load(Relaxed),
            actual: Nanos(self.actual.load(Relaxed)),
            shadow: Nanos(self.shadow.load(Relaxed)),
        }
    }
}

/// What came of asking a shadow strategy since it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShadowCounts {
    /// Picks that it was asked about: one in 64, or one in n/4 of more than 256 instances.
    pub asked: u64,
    /// Those in which it would have chosen another instance.
    pub differed: u64,
    /// Those in which both choices had an expected time.
    pub compared: u64,
    /// The sum of the expected times of what was chosen, in those.
    pub actual: Nanos,
    /// The sum of the expected times of what the shadow would have chosen, in the same.
    pub shadow: Nanos,
}

impl std::ops::Add for ShadowCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            asked: self.asked + other.asked,
            differed: self.differed + other.differed,
            compared: self.compared + other.compared,
            actual: self.actual + other.actual,
            shadow: self.shadow + other.shadow,
        }
    }
}

impl std::ops::Sub for ShadowCounts {
    type Output = Self;

    /// What came since `before`.
    fn sub(self, before: Self) -> Self {
        Self {
            asked: self.asked.saturating_sub(before.asked),
            differed: self.differed.saturating_sub(before.differed),
            compared: self.compared.saturating_sub(before.compared),
            actual: self.actual.since(before.actual),
            shadow: self.shadow.since(before.shadow),
        }
    }
}

impl ShadowCounts {
    /// The part of its choices that were others, 0 to 1; `None` before the first.
    #[must_use]
    pub fn differing(&self) -> Option<f64> {
        (self.asked > 0).then(|| self.differed as f64 / self.asked as f64)
    }

    /// The mean expected times in seconds: of what was chosen, and of what the shadow would have chosen. `None` before the
    /// first comparison.
    #[must_use]
    pub fn expected(&self) -> Option<[f64; 2]> {
        let mean = |sum: Nanos| sum.as_secs_f64() / self.compared as f64;
        (self.compared > 0).then(|| [mean(self.actual), mean(self.shadow)])
    }
}

/// The yardstick of one service.
#[derive(Debug)]
pub(crate) struct Yardstick {
    /// The mean load of what was chosen; 0 before the first.
    usual_load: AtomicF64,
    /// Of how many, up to [`USUAL`].
    known: AtomicU64,
}

impl Default for Yardstick {
    fn default() -> Self {
        Self {
            usual_load: AtomicF64::new(0.0),
            known: AtomicU64::new(0),
        }
    }
}

impl Yardstick {
    /// Takes in a choice that was made.
    pub(crate) fn follow(&self, candidates: &Candidates, chosen: Slot) {
        let Some(load) = load(candidates, chosen) else {
            return;
        };
        // Two workers at once may count as one: it is a mean of a thousand.
        let (known, usual) = (self.known.load(Relaxed), self.usual_load.get());
        self.usual_load.set(usual + (load - usual) / (known + 1) as f64);
        self.known.store((known + 1).min(USUAL - 1), Relaxed);
    }

    /// The expected time to a successful response, in ns; `None` of who never answered.
    pub(crate) fn expected(&self, candidates: &Candidates, slot: Slot) -> Option<f64> {
        let stats = candidates.member(slot)?.stats();
        let time = f64::from(stats.steady_time());
        let share = f64::from(stats.success_share().max(LEAST_SHARE));
        let usual = self.usual_load.get();
        (time > 0.0 && usual > 0.0).then(|| time / share * load(candidates, slot).unwrap_or(usual) / usual)
    }
}

/// Requests at the candidate with one more, per weight.
fn load(candidates: &Candidates, slot: Slot) -> Option<f64> {
    let member = candidates.member(slot)?;
    Some((f64::from(member.load().get()) + 1.0) / f64::from(member.instance().weight.get()))
}

/// The shadow of a view.
#[derive(Debug, Clone)]
pub(crate) struct Shadow {
    pub(crate) strategy: StrategyName,
    asked: Asked,
    record: Arc<Record>,
}

/// Whether it is asked.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    By(Arc<dyn Picker>),
    /// It does not suit the service as that is, for this reason.
    Idle(Arc<str>),
}

/// What outlives the views that have the same shadow.
#[derive(Debug, Default)]
pub(crate) struct Record {
    tally: Tally,
    yardstick: Yardstick,
}

impl Shadow {
    pub(crate) fn new(strategy: StrategyName, asked: Asked, record: Arc<Record>) -> Self {
        Self {
            strategy,
            asked,
            record,
        }
    }

    /// `None` while it is idle.
    pub(crate) fn picker(&self) -> Option<&dyn Picker> {
        match &self.asked {
            Asked::By(picker) => Some(&**picker),
            Asked::Idle(_) => None,
        }
    }

    /// Why it is asked nothing.
    pub(crate) fn idle(&self) -> Option<&Arc<str>> {
        match &self.asked {
            Asked::By(_) => None,
            Asked::Idle(why) => Some(why),
        }
    }

    pub(crate) fn counts(&self) -> ShadowCounts {
        self.record.tally.counts()
    }

    /// Asks about a request that goes to `chosen`.
    #[cold]
    pub(crate) fn look(
        &self,
        candidates: &Candidates,
        chosen: Slot,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) {
        let Some(other) = self.picker().and_then(|picker| cx.ask(picker, request)) else {
            return;
        };
        let Record { tally, yardstick } = &*self.record;
        yardstick.follow(candidates, chosen);
        let [actual, shadow] = [chosen, other].map(|slot| yardstick.expected(candidates, slot));
        tally.count(chosen != other, actual, shadow);
    }
}

impl StrategySettings {
    /// Whether this can be the shadow of `strategy`.
    ///
    /// # Errors
    /// Says why not, and what to do.
    pub fn shadows(&self, strategy: &Self) -> Result<(), String> {
        if self.name() == StrategyName::auto {
            return Err("auto is several strategies; name the one that is to be asked".to_owned());
        }
        let [own, other] = [strategy, self].map(|settings| settings.strategy().request_key());
        match (own, other) {
            (Some(own), Some(other)) if own.source != other.source => Err(format!(
                "{} hashes {} of a request, and {} hashes {}; give both the same `key`",
                strategy.name(),
                own.source,
                self.name(),
                other.source
            )),
            _ => Ok(()),
        }
    }
}

/// What requests must bring: the key of the strategy, else that of its shadow. One key serves both: where they hash it
/// in two ways, the shadow takes the hash of the other for its own, and owners are spread as evenly.
pub(crate) fn request_key(
    strategy: &StrategySettings,
    shadow: Option<&StrategySettings>,
) -> Option<RequestKey> {
    let own = strategy.strategy().request_key();
    own.or_else(|| shadow?.strategy().request_key())
}
