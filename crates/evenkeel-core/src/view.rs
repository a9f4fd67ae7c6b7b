//! An immutable snapshot of one service, built by its writer and read by everyone.

use std::sync::Arc;

use crate::candidates::Findings;
use crate::hash::RequestKey;
use crate::health::{BreakerState, InstanceState};
use crate::levels::{self, Level, Part};
use crate::load::{LoadSlot, Loads};
use crate::service::{Piloted, ServiceCounters};
use crate::session::{SessionKey, SessionTag, Sessions};
use crate::shadow::{Shadow, ShadowCounts};
use crate::{
    Appraisal, AutoSnapshot, Exclusion, Instance, Learned, Lease, Mode, Nanos, NoPick, PickContext,
    PickRequest, Picker, ServiceSettings, Share, Source, Stats, StrategyName, StrategySettings,
};

/// The place of an instance in its service. Stable while the instance is registered; reused only
/// after it is gone and its last lease has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// An instance with its counters.
#[derive(Debug)]
pub struct Member {
    instance: Instance,
    stats: Arc<Stats>,
    load: LoadSlot,
}

impl Member {
    /// Puts an instance beside its counters.
    #[must_use]
    pub fn new(instance: Instance, stats: Arc<Stats>, load: LoadSlot) -> Self {
        Self {
            instance,
            stats,
            load,
        }
    }

    /// The instance as registered.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What its requests showed.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Its requests in flight.
    #[must_use]
    pub fn load(&self) -> &LoadSlot {
        &self.load
    }
}

/// The health of one instance as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its state.
    pub state: InstanceState,
    /// Since when.
    pub since: Nanos,
    /// Why, in words and numbers; what all say who speak against it.
    pub reason: Arc<str>,
    /// Until when its requests keep it out. Behind failing checks too, where [`Self::state`] is
    /// [`InstanceState::Down`].
    pub ejected_until: Option<Nanos>,
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
    /// Who declared it.
    pub source: Source,
    /// Why it is no candidate, if it is none.
    pub excluded: Option<Exclusion>,
    /// Whether neither checks nor requests speak against it, whatever else does.
    pub answers: bool,
}

/// What strategies choose from: the slots that passed all stages, in slot order, with the members and
/// loads they refer to.
#[derive(Debug, Clone)]
pub struct Candidates {
    members: Arc<[Option<Arc<Member>>]>,
    slots: Arc<[Slot]>,
    /// In the order of `slots`: who builds a picker of a large service need not look at every instance for it.
    weights: Arc<[u32]>,
    /// In the order of `slots`; `None` when all are full.
    shares: Option<Arc<[Share]>>,
    /// Where several priorities get requests; else empty.
    levels: Arc<[Level]>,
    loads: Loads,
}

impl Candidates {
    /// `slots` must be ascending and refer to present members.
    #[must_use]
    pub fn new(members: Arc<[Option<Arc<Member>>]>, slots: Arc<[Slot]>, loads: Loads) -> Self {
        let member = |slot: &Slot| members.get(slot.0 as usize)?.as_ref();
        let weights = slots
            .iter()
            .map(|slot| member(slot).map_or(1, |member| member.instance().weight.get()))
            .collect();
        Self::weighing(members, slots, weights, loads)
    }

    /// As [`Self::new`], for who has the weights at hand, in the order of `slots`.
    pub(crate) fn weighing(
        members: Arc<[Option<Arc<Member>>]>,
        slots: Arc<[Slot]>,
        weights: Arc<[u32]>,
        loads: Loads,
    ) -> Self {
        debug_assert!(slots.is_sorted());
        debug_assert_eq!(weights.len(), slots.len());
        Self {
            members,
            slots,
            weights,
            shares: None,
            levels: Arc::default(),
            loads,
        }
    }

    /// The same with `shares`, in the order of [`Self::slots`].
    #[must_use]
    pub fn with_shares(mut self, shares: &[Share]) -> Self {
        debug_assert_eq!(shares.len(), self.slots.len());
        self.shares = shares
            .iter()
            .any(|share| *share != Share::FULL)
            .then(|| shares.into());
        self
    }

    /// The same, of which each priority gets its part.
    pub(crate) fn with_levels(mut self, parts: Vec<Part>) -> Self {
        let levels = parts.into_iter().map(|part| Level::new(part, &self));
        self.levels = levels.collect();
        self
    }

    /// The priorities that get requests where these are several; else none.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The priority of the candidate at `slot`, and its share there; `None` where one gets everything.
    pub(crate) fn level(&self, slot: Slot) -> Option<(u8, Share)> {
        let mut levels = self.levels.iter();
        levels.find_map(|level| Some((level.part.priority, level.share(slot)?)))
    }

    /// The slots to choose from, ascending.
    #[must_use]
    pub fn slots(&self) -> &Arc<[Slot]> {
        &self.slots
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All instances by slot, candidates or not; the same `Arc` until one comes, goes or changes.
    #[must_use]
    pub fn members(&self) -> &Arc<[Option<Arc<Member>>]> {
        &self.members
    }

    /// Requests in flight, by slot.
    #[must_use]
    pub fn loads(&self) -> &Loads {
        &self.loads
    }

    /// The member at `slot`.
    #[inline]
    #[must_use]
    pub fn member(&self, slot: Slot) -> Option<&Arc<Member>> {
        self.members.get(slot.0 as usize)?.as_ref()
    }

    /// What strategies by weight share by, in the order of [`Self::slots`]: the registered weights while all
    /// shares are full, else weight times share, in 256ths.
    pub fn weights(&self) -> impl Iterator<Item = u32> + '_ {
        self.base_weights()
            .zip(self.shares())
            .map(|(weight, share)| weight * share)
    }

    /// The registered weights, in the order of [`Self::slots`]: what tables of hashes are made of, which a
    /// share must not move.
    pub fn base_weights(&self) -> impl Iterator<Item = u32> + '_ {
        self.weights.iter().copied()
    }

    /// What strategies share by that ignore weights, in the order of [`Self::slots`]: 1 each while all
    /// shares are full, else the shares in 256ths.
    pub fn shares(&self) -> impl Iterator<Item = u32> + '_ {
        let full = self.has_full_shares();
        (0..self.slots.len()).map(move |index| if full { 1 } else { self.share(index).units() })
    }

    /// The share of the candidate at `index` of [`Self::slots`].
    #[must_use]
    pub fn share(&self, index: usize) -> Share {
        let shares = self.shares.as_deref();
        shares
            .and_then(|shares| shares.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// Whether no stage left anybody less than the full share.
    #[must_use]
    pub fn has_full_shares(&self) -> bool {
        self.shares.is_none()
    }
}

/// The snapshot.
#[derive(Debug)]
pub struct View {
    pub(crate) version: u64,
    pub(crate) strategy: StrategyName,
    pub(crate) request_key: Option<RequestKey>,
    pub(crate) candidates: Candidates,
    pub(crate) statuses: Arc<[Option<Status>]>,
    pub(crate) picker: Arc<dyn Picker>,
    /// A strategy that is asked beside it.
    pub(crate) shadow: Option<Shadow>,
    /// Whether anybody is asked beside it.
    pub(crate) asks: bool,
    /// What the writer has to say of the strategy `auto`.
    pub(crate) auto: Option<Piloted>,
    /// Whether evidence has no say because too few instances are healthy.
    pub(crate) fallback: bool,
    pub(crate) counters: Arc<ServiceCounters>,
    /// `None` when sessions do not stick.
    pub(crate) sessions: Option<Arc<Sessions>>,
    /// What it was built by.
    pub(crate) settings: ServiceSettings,
    /// And what the stages went by, to explain it.
    pub(crate) findings: Arc<Findings>,
}

/// Draws from the strategy before any untried candidate is taken instead.
const REDRAWS: usize = 3;

impl View {
    /// Picks an instance. Wait-free; no allocation.
    ///
    /// A slot in `request.tried` is avoided while another candidate exists: the strategy is asked
    /// again a few times, then any untried candidate is drawn.
    ///
    /// # Errors
    /// [`NoPick`] says why there is none.
    #[inline]
    pub fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Lease, NoPick> {
        let slot = self.choose(request, cx)?;
        self.compare(slot, request, cx);
        self.lease(slot, cx.now).ok_or(NoPick::NoneEligible)
    }

    /// What [`Self::pick`] would pick, without a lease: nothing is counted, though a strategy that goes in
    /// turns moves on.
    ///
    /// # Errors
    /// [`NoPick`] says why there is none.
    #[inline]
    pub fn choose(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        self.choose_by(&*self.picker, request, cx)
    }

    /// Tells the strategies that are asked beside the one that picks, if there are any, that `chosen` gets the request: for
    /// who does not [`Self::pick`], before the lease begins. For one pick in 64 they say whom they would have chosen; that
    /// changes no pick.
    #[inline]
    pub fn compare(&self, chosen: Slot, request: &PickRequest<'_>, cx: &mut PickContext) {
        if self.asks && cx.beside.is_due(self.candidates.len()) && request.tried.is_empty() {
            self.ask(chosen, request, cx);
        }
    }

    #[cold]
    fn ask(&self, chosen: Slot, request: &PickRequest<'_>, cx: &mut PickContext) {
        // In this order, so that what the first draw does not depend on whether there is a shadow.
        self.picker.look_beside(&self.candidates, chosen, request, cx);
        if let Some(shadow) = &self.shadow {
            shadow.look(&self.candidates, chosen, request, cx);
        }
    }

    /// Which candidate of `auto` is in force, what the others came to, and what has changed; `None` with another strategy.
    #[must_use]
    pub fn auto(&self) -> Option<AutoSnapshot> {
        let (StrategySettings::auto(auto), Some(piloted), Some(course)) =
            (&self.settings.strategy, &self.auto, self.picker.course())
        else {
            return None;
        };
        let candidates = auto.candidates.iter().enumerate();
        Some(AutoSnapshot {
            current: self.deciding().name(),
            since: piloted.since,
            pinned: auto.pinned().is_some(),
            changes_over: course.settled().is_none(),
            regime: course.regime(),
            veto: course.veto(),
            candidates: candidates
                .filter_map(|(place, one)| course.rival(place, one.name()))
                .collect(),
            switches: Arc::clone(&piloted.switches),
        })
    }

    /// The strategy that decides at present: the one in force, or with `auto` its candidate.
    pub(crate) fn deciding(&self) -> &StrategySettings {
        let own = &self.settings.strategy;
        match (own, self.picker.course()) {
            (StrategySettings::auto(auto), Some(course)) => {
                auto.candidates.get(course.current()).unwrap_or(own)
            }
            _ => own,
        }
    }

    /// The shadow strategy with what came of asking it; `None` without one.
    #[must_use]
    pub fn shadow(&self) -> Option<(StrategyName, ShadowCounts)> {
        let shadow = self.shadow.as_ref()?;
        Some((shadow.strategy, shadow.counts()))
    }

    /// Why the shadow strategy is asked nothing, where there is one that does not suit the service as it is.
    #[must_use]
    pub fn shadow_idle(&self) -> Option<&str> {
        self.shadow.as_ref()?.idle().map(|why| &**why)
    }

    /// What the candidate at `slot` costs by the strategy, if that goes by costs.
    pub(crate) fn appraise(&self, slot: Slot, now: Nanos) -> Option<Appraisal> {
        self.picker.appraise(slot, now)
    }

    /// What the strategy found out that its picks depend on.
    pub fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        self.picker.learned(each);
    }

    /// As [`Self::choose`], by a picker over the same candidates.
    #[inline]
    pub(crate) fn choose_by(
        &self,
        picker: &dyn Picker,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) -> Result<Slot, NoPick> {
        let slot = picker.pick(request, cx)?;
        if request.tried.is_empty() {
            return Ok(slot);
        }
        self.avoid_tried(picker, slot, request, cx)
    }

    /// A picker like this view's, whose picks change nothing here, and that learns nothing. As dear as building a view.
    pub(crate) fn twin(&self, seed: u64, now: Nanos) -> Box<dyn Picker> {
        let twin = levels::picker(
            &self.settings.strategy,
            Some(&*self.picker),
            &self.candidates,
            seed,
        );
        twin.settle(now);
        twin
    }

    /// A lease on the instance at `slot`, for who chose it; `None` when nothing is there.
    #[inline]
    #[must_use]
    pub fn lease(&self, slot: Slot, now: Nanos) -> Option<Lease> {
        Some(Lease::start(self.candidates.member(slot)?, slot, now))
    }

    #[cold]
    fn avoid_tried(
        &self,
        picker: &dyn Picker,
        first: Slot,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) -> Result<Slot, NoPick> {
        let mut slot = first;
        for _ in 0..REDRAWS {
            if !request.tried.contains(&slot) {
                return Ok(slot);
            }
            slot = picker.pick(request, cx)?;
        }
        let slots = self.candidates.slots();
        let start = cx.rng.below(slots.len() as u32) as usize;
        let untried = slots[start..]
            .iter()
            .chain(&slots[..start])
            .find(|s| !request.tried.contains(s));
        Ok(untried.copied().unwrap_or(first))
    }

    /// Grows by one with every view of the service.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The strategy in force.
    #[must_use]
    pub fn strategy(&self) -> StrategyName {
        self.strategy
    }

    /// What [`PickRequest::key`] is made of; `None` when neither the strategy nor its shadow wants one.
    #[inline]
    #[must_use]
    pub fn request_key(&self) -> Option<&RequestKey> {
        self.request_key.as_ref()
    }

    /// What the strategy chooses from.
    #[must_use]
    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// Whether there is a candidate that is none of `tried` and `has_room`, so that another try could go there.
    #[must_use]
    pub fn has_others(&self, tried: &[Slot], has_room: impl Fn(Slot) -> bool) -> bool {
        let mut slots = self.candidates.slots().iter();
        slots.any(|slot| !tried.contains(slot) && has_room(*slot))
    }

    /// The candidates to keep connections open to before requests come; see [`Picker::standby`].
    pub fn standby(&self, each: &mut dyn FnMut(Slot, u32)) {
        self.picker.standby(each);
    }

    /// Whether `region` is nothing, or one that the strategy knows if it knows any; see [`Picker::knows_region`].
    #[inline]
    #[must_use]
    pub fn knows_region(&self, region: Option<&str>) -> bool {
        let named = region.filter(|region| !region.is_empty());
        named.is_none_or(|region| self.picker.knows_region(region))
    }

    /// Whether too few instances are healthy, so that the service's panic setting decides who is a candidate.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.fallback
    }

    /// What happened to the service so far; shared by all its views, so always current.
    #[must_use]
    pub fn counters(&self) -> &ServiceCounters {
        &self.counters
    }

    /// Whether what counts as too much follows the fleet.
    #[must_use]
    pub fn has_adaptive_thresholds(&self) -> bool {
        self.settings.ejection.adaptive
    }

    /// What predictions of health do.
    #[must_use]
    pub fn on_prediction(&self) -> Mode {
        self.settings.ejection.on_prediction
    }

    /// All members with their health, in slot order.
    pub fn members(&self) -> impl Iterator<Item = (Slot, &Arc<Member>, &Status)> {
        self.candidates
            .members
            .iter()
            .zip(&*self.statuses)
            .enumerate()
            .filter_map(|(slot, (member, status))| {
                Some((Slot(slot as u32), member.as_ref()?, status.as_ref()?))
            })
    }

    /// Whether a request that belongs to the instance at `slot` (a session that sticks to it) may go there:
    /// it is a candidate, or nothing speaks against it but that it drains or that earlier priorities can take
    /// all. O(log n).
    #[must_use]
    pub fn takes_its_own(&self, slot: Slot) -> bool {
        let status = self.statuses.get(slot.0 as usize).and_then(Option::as_ref);
        let stands_by = |status: &Status| {
            let waits = matches!(status.excluded, Some(Exclusion::Draining | Exclusion::Priority));
            waits && status.answers
        };
        self.is_candidate(slot) || status.is_some_and(stands_by)
    }

    /// The instance that a client's session sticks to, while it takes requests of its own. O(log n), no
    /// allocation.
    #[must_use]
    pub fn session(&self, tag: SessionTag) -> Option<Slot> {
        let slot = self.sessions.as_ref()?.find(tag)?;
        self.takes_its_own(slot).then_some(slot)
    }

    /// What keys the tags of the instances; `None` when sessions do not stick.
    #[must_use]
    pub fn session_key(&self) -> Option<&SessionKey> {
        self.sessions.as_deref().map(Sessions::key)
    }

    /// Whether `slot` is among the candidates. O(log n).
    #[must_use]
    pub fn is_candidate(&self, slot: Slot) -> bool {
        self.candidates.slots.binary_search(&slot).is_ok()
    }
}
