//! Chooses among strategies, and picks by one of them at a time.
//!
//! Its settings are the candidates, of which the first is the one it starts with. All of them have a picker in the view; the
//! one in force picks, and for one pick in 64 the others are asked beside it ([`crate::shadow`]). What came of that is read
//! once a second by the writer of the service, which alone decides ([`crate::auto`]), and steers the pickers of all its views
//! by a [`Course`]. While it changes over, picks are drawn from both, the former with a share that falls in steps to 0
//! over [`BLEND`](crate::auto::BLEND).
//!
//! A pick costs what that of the one in force costs, and two loads; while it changes over, a draw more.
//!
//! Absent on purpose: strategies that hash, as candidates. What they are for (warm caches) shows only after requests have
//! gone by them for long, so that no comparison of choices can speak for them; and each switch would cost those caches.
//! Also absent: round robin for its cheapness alone. A pick of `adaptive` costs 40 ns.

use std::sync::Arc;

use super::{Appraisal, Learned, Picker, Strategy};
use crate::auto::Course;
use crate::hash::RequestKey;
use crate::sync::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest, StrategyName, StrategySettings};

/// The strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auto {
    /// To choose among; at least two, no two of the same name, none that hashes or is this one. The first is in force at the
    /// start.
    pub candidates: Vec<StrategySettings>,
    /// The one of them that is in force whatever the comparisons say.
    pub pin: Option<StrategyName>,
    /// How long a comparison takes at least.
    pub window: Nanos,
    /// How long one is in force at least.
    pub dwell: Nanos,
}

impl Default for Auto {
    fn default() -> Self {
        let candidates = [
            StrategyName::adaptive,
            StrategyName::least_connections,
            StrategyName::peak_ewma,
            StrategyName::round_robin,
        ];
        Self {
            candidates: candidates.map(Into::into).into(),
            pin: None,
            window: Nanos::from_secs(10),
            dwell: Nanos::from_secs(30),
        }
    }
}

impl Auto {
    /// Whether it can choose among its candidates.
    ///
    /// # Errors
    /// Names the setting, says what is wrong with it and, after a line feed, what to do.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |text: String| Err(("candidates", text));
        if self.candidates.is_empty() {
            return wrong("there is nothing to choose among\nname strategies, or remove the key".to_owned());
        }
        for (place, candidate) in self.candidates.iter().enumerate() {
            let name = candidate.name();
            if name == StrategyName::auto {
                return wrong("`auto` cannot choose itself\nleave it out".to_owned());
            }
            if candidate.strategy().request_key().is_some() {
                return wrong(format!(
                    "`{name}` hashes, and what that is for shows in no comparison\nuse it as the strategy, or leave it out"
                ));
            }
            if self.candidates[..place].iter().any(|other| other.name() == name) {
                return wrong(format!("`{name}` is there twice\nleave one out"));
            }
        }
        if let [only] = &*self.candidates {
            return wrong(format!(
                "there is nothing to choose among: `{0}` is alone\nadd another, or write `strategy: {0}`",
                only.name()
            ));
        }
        if let Some(pin) = self.pin
            && self.pinned().is_none()
        {
            return Err((
                "pin",
                format!("`{pin}` is none of the candidates\nadd it to them, or pin one of them"),
            ));
        }
        let within = |value: Nanos, from: u64, to: u64| {
            (Nanos::from_secs(from)..=Nanos::from_secs(to)).contains(&value)
        };
        if !within(self.window, 10, 600) {
            let text = format!("{} is no length for a comparison\nwrite 10s to 10m", self.window);
            return Err(("window", text));
        }
        if !within(self.dwell, 30, 24 * 3600) {
            let text = format!("{} is no time to keep to a strategy\nwrite 30s to 1d", self.dwell);
            return Err(("dwell", text));
        }
        Ok(())
    }

    /// The place of the pinned candidate, if it is one.
    pub(crate) fn pinned(&self) -> Option<usize> {
        let pin = self.pin?;
        self.candidates
            .iter()
            .position(|candidate| candidate.name() == pin)
    }

    /// Which candidate of `before` each is, with the same settings.
    pub(crate) fn same_in(&self, before: &Self) -> Vec<Option<usize>> {
        let place = |own| before.candidates.iter().position(|other| other == own);
        self.candidates.iter().map(place).collect()
    }

    fn picker(&self, before: Option<&AutoPicker>, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let before = before.map(|before| (before, self.same_in(&before.settings)));
        let children = self.candidates.iter().enumerate().map(|(place, settings)| {
            let strategy = settings.strategy();
            let child = before
                .as_ref()
                .and_then(|(before, same)| before.children.get(same[place]?));
            Child {
                picker: match child {
                    Some(child) => strategy.rebuild(&*child.picker, candidates, seed),
                    None => strategy.build(candidates, seed),
                },
                every: strategy.refresh_every(),
                next: AtomicU64::new(child.map_or(0, |child| child.next.load(Relaxed))),
                fresh: AtomicBool::new(true),
            }
        });
        Box::new(AutoPicker {
            children: children.collect(),
            course: match &before {
                Some((before, _)) if before.settings == *self => Arc::clone(&before.course),
                Some((before, same)) => Arc::new(before.course.heir(same, self.pinned().unwrap_or(0))),
                None => Arc::new(Course::new(self.candidates.len(), self.pinned().unwrap_or(0))),
            },
            settings: self.clone(),
        })
    }
}

impl Strategy for Auto {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        self.picker(None, candidates, seed)
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let before: &dyn std::any::Any = before;
        self.picker(before.downcast_ref(), candidates, seed)
    }

    fn request_key(&self) -> Option<RequestKey> {
        let mut candidates = self.candidates.iter();
        candidates.find_map(|candidate| candidate.strategy().request_key())
    }

    fn suits(&self, instances: u64, weight: u64) -> Result<(), String> {
        self.candidates.iter().try_for_each(|candidate| {
            let verdict = candidate.strategy().suits(instances, weight);
            verdict.map_err(|why| format!("its candidate {}: {why}", candidate.name()))
        })
    }

    fn refresh_every(&self) -> Option<Nanos> {
        let candidates = self.candidates.iter();
        candidates
            .filter_map(|candidate| candidate.strategy().refresh_every())
            .min()
    }
}

#[derive(Debug)]
struct Child {
    picker: Box<dyn Picker>,
    every: Option<Nanos>,
    /// When it wants to look next.
    next: AtomicU64,
    /// It has not looked yet.
    fresh: AtomicBool,
}

#[derive(Debug)]
struct AutoPicker {
    children: Box<[Child]>,
    course: Arc<Course>,
    settings: Auto,
}

impl AutoPicker {
    fn in_force(&self) -> Option<&Child> {
        self.children.get(self.course.current())
    }
}

impl Picker for AutoPicker {
    #[inline]
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let child = self.children.get(self.course.draw(&mut cx.rng));
        child.ok_or(NoPick::NoneEligible)?.picker.pick(request, cx)
    }

    fn refresh(&self, now: Nanos) {
        for child in &self.children {
            let Some(every) = child.every else { continue };
            let next = child.next.load(Relaxed);
            // Also when the clock stepped back.
            let due = now.0 >= next || next - now.0 > every.0;
            if due {
                child.next.store((now + every).0, Relaxed);
            }
            // A new one looks at once, and then when the one before would have: as if it were alone.
            if child.fresh.swap(false, Relaxed) || due {
                child.picker.refresh(now);
            }
        }
    }

    fn settle(&self, now: Nanos) {
        self.children.iter().for_each(|child| child.picker.settle(now));
    }

    fn standby(&self, each: &mut dyn FnMut(Slot, u32)) {
        if let Some(child) = self.in_force() {
            child.picker.standby(each);
        }
    }

    fn appraise(&self, slot: Slot, now: Nanos) -> Option<Appraisal> {
        self.in_force()?.picker.appraise(slot, now)
    }

    fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        if let Some(child) = self.in_force() {
            child.picker.learned(each);
        }
    }

    fn leaves_alone(&self, slot: Slot) -> bool {
        self.in_force()
            .is_some_and(|child| child.picker.leaves_alone(slot))
    }

    fn knows_region(&self, region: &str) -> bool {
        self.in_force()
            .is_none_or(|child| child.picker.knows_region(region))
    }

    fn course(&self) -> Option<&Arc<Course>> {
        Some(&self.course)
    }

    fn look_beside(
        &self,
        candidates: &Candidates,
        chosen: Slot,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) {
        let Some(current) = self.course.settled() else {
            return;
        };
        self.course.follow(candidates, chosen);
        for (place, child) in self.children.iter().enumerate() {
            if place != current
                && let Some(other) = cx.ask(&*child.picker, request)
            {
                self.course.count(place, candidates, chosen, other);
            }
        }
    }
}
