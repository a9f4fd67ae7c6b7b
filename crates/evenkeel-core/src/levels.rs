//! Priorities that share the requests: each pick draws its priority first, and the strategy chooses within that.
//!
//! The stages say what part of the requests a priority gets. As a share of each instance's weight, which candidates have too, that
//! part reaches only strategies that go by weights: one that looks at requests in flight or at response times weighs it
//! with what it sees, and sends 44 or 51 % where 70 % were meant. So while several priorities get requests there is a picker of
//! the strategy for each, over its candidates alone, and a draw decides which one is asked: by the request's key for a strategy
//! that hashes, so that a key stays where it is while the parts do.
//!
//! A request that was tried at all of a priority goes to the next that has others. While one priority gets everything, which
//! is nearly always, none of this is there.
//!
//! Absent on purpose: regions. `geographical` fills one before the next by what it measures, and no part of them is fixed.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::auto::Course;
use crate::view::{Candidates, Slot};
use crate::{
    Appraisal, Learned, Nanos, NoPick, PickContext, PickRequest, Picker, Rng, Share, Strategy,
    StrategySettings,
};

/// What a priority gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) priority: u8,
    /// It gets the draws below this, of 2³², that the ones before it do not get.
    pub(crate) until: u64,
    /// Its candidates, as indexes of all.
    pub(crate) indexes: Vec<usize>,
    /// Their shares beside each other.
    pub(crate) shares: Vec<Share>,
}

/// A priority with its candidates.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    pub(crate) part: Part,
    candidates: Candidates,
}

impl Level {
    pub(crate) fn new(part: Part, all: &Candidates) -> Self {
        let of = |index: &usize| all.slots().get(*index).copied();
        let slots: Arc<[Slot]> = part.indexes.iter().filter_map(of).collect();
        let candidates = Candidates::new(Arc::clone(all.members()), slots, all.loads().clone());
        Self {
            candidates: candidates.with_shares(&part.shares),
            part,
        }
    }

    /// The share of `slot` beside the others of its priority; `None` when it is not of this one.
    pub(crate) fn share(&self, slot: Slot) -> Option<Share> {
        let index = self.candidates.slots().binary_search(&slot).ok()?;
        Some(self.candidates.share(index))
    }

    /// The same as if others did not exist: for a strategy that asks how much of a region is missing.
    fn alone(&self) -> Candidates {
        let members = self.candidates.members().iter().map(|member| {
            let of_this = |priority: u8| priority == self.part.priority;
            member
                .clone()
                .filter(|member| of_this(member.instance().priority))
        });
        let (slots, loads) = (self.candidates.slots(), self.candidates.loads());
        Candidates::new(members.collect(), Arc::clone(slots), loads.clone()).with_shares(&self.part.shares)
    }
}

/// A picker of `settings` among `candidates`, after `before` of the same service.
pub(crate) fn picker(
    settings: &StrategySettings,
    before: Option<&dyn Picker>,
    candidates: &Candidates,
    seed: u64,
) -> Box<dyn Picker> {
    let strategy = settings.strategy();
    let leveled = before.and_then(|before| (before as &dyn Any).downcast_ref::<Leveled>());
    let of = |priority: u8| -> Option<&dyn Picker> {
        match leveled {
            Some(leveled) => leveled.of(priority).map(|one| &*one.picker),
            None => before,
        }
    };
    if candidates.levels().is_empty() {
        let first = candidates.slots().first();
        let priority = first.and_then(|slot| Some(candidates.member(*slot)?.instance().priority));
        return build(strategy, of(priority.unwrap_or(0)), candidates, seed);
    }
    let looks_at_members = matches!(
        settings,
        StrategySettings::geographical(_) | StrategySettings::auto(_)
    );
    let mut rng = Rng::new(seed);
    let mut pickers: Vec<One> = Vec::with_capacity(candidates.levels().len());
    for level in candidates.levels() {
        let alone = looks_at_members.then(|| level.alone());
        let among = alone.unwrap_or_else(|| level.candidates.clone());
        // Who is new here takes over what the first one knows and shares.
        let before = of(level.part.priority).or(pickers.first().map(|first| &*first.picker));
        let picker = build(strategy, before, &among, rng.next_u64());
        pickers.push(One {
            priority: level.part.priority,
            until: level.part.until,
            candidates: among,
            picker,
        });
    }
    Box::new(Leveled {
        keyed: strategy.request_key().is_some(),
        pickers: pickers.into(),
    })
}

fn build(
    strategy: &dyn Strategy,
    before: Option<&dyn Picker>,
    candidates: &Candidates,
    seed: u64,
) -> Box<dyn Picker> {
    match before {
        Some(before) => strategy.rebuild(before, candidates, seed),
        None => strategy.build(candidates, seed),
    }
}

/// The picker of one priority.
#[derive(Debug)]
struct One {
    priority: u8,
    until: u64,
    candidates: Candidates,
    picker: Box<dyn Picker>,
}

impl One {
    fn has(&self, slot: Slot) -> bool {
        self.candidates.slots().binary_search(&slot).is_ok()
    }
}

/// One for each priority that gets requests.
#[derive(Debug)]
struct Leveled {
    keyed: bool,
    pickers: Box<[One]>,
}

impl Leveled {
    /// The picker of `priority`, else the first.
    fn of(&self, priority: u8) -> Option<&One> {
        let own = self.pickers.iter().find(|one| one.priority == priority);
        own.or(self.pickers.first())
    }

    #[cold]
    fn untried(&self, first: usize, tried: &[Slot]) -> Option<&One> {
        let all = self.pickers.iter();
        let mut onward = all.clone().skip(first).chain(all.take(first));
        let has_others = |one: &&One| one.candidates.slots().iter().any(|slot| !tried.contains(slot));
        onward.find(has_others).or(self.pickers.get(first))
    }
}

impl Picker for Leveled {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let draw = match request.key {
            // Other bits than those that choose among instances.
            Some(key) if self.keyed => Rng::new(!key.hash()).next_u64(),
            _ => cx.rng.next_u64(),
        };
        let draw = draw >> 32;
        let first = self.pickers.iter().position(|one| draw < one.until);
        let first = first.unwrap_or(0);
        let one = match request.tried {
            [] => self.pickers.get(first),
            tried => self.untried(first, tried),
        };
        one.ok_or(NoPick::NoneEligible)?.picker.pick(request, cx)
    }

    fn refresh(&self, now: Nanos) {
        self.pickers.iter().for_each(|one| one.picker.refresh(now));
    }

    fn settle(&self, now: Nanos) {
        self.pickers.iter().for_each(|one| one.picker.settle(now));
    }

    fn standby(&self, each: &mut dyn FnMut(Slot, u32)) {
        self.pickers.iter().for_each(|one| one.picker.standby(each));
    }

    fn course(&self) -> Option<&Arc<Course>> {
        // All have the same one.
        self.pickers.first()?.picker.course()
    }

    fn look_beside(
        &self,
        _candidates: &Candidates,
        chosen: Slot,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) {
        if let Some(one) = self.pickers.iter().find(|one| one.has(chosen)) {
            one.picker.look_beside(&one.candidates, chosen, request, cx);
        }
    }

    fn appraise(&self, slot: Slot, now: Nanos) -> Option<Appraisal> {
        let one = self.pickers.iter().find(|one| one.has(slot))?;
        one.picker.appraise(slot, now)
    }

    fn leaves_alone(&self, slot: Slot) -> bool {
        let one = self.pickers.iter().find(|one| one.has(slot));
        one.is_some_and(|one| one.picker.leaves_alone(slot))
    }

    /// What all have in common is told once, by the first that has it.
    fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        let (mut weights, mut regions) = (BTreeSet::new(), BTreeSet::new());
        for one in &self.pickers {
            one.picker.learned(&mut |learned| {
                let tells = match &learned {
                    Learned::ResourceWeight { resource, place, .. } => {
                        weights.insert((*resource, place.map(str::to_owned)))
                    }
                    Learned::RegionTime { region, .. } => regions.insert((*region).to_owned()),
                    Learned::ResourceForecast { .. } => true,
                };
                if tells {
                    each(learned);
                }
            });
        }
    }

    fn knows_region(&self, region: &str) -> bool {
        self.pickers.iter().any(|one| one.picker.knows_region(region))
    }
}
