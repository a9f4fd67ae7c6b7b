//! When a new view is built, and from what.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::scores::set_floors;
use super::{Journal, ServiceSettings, ServiceState, Shadowing, Slots, stages};
use crate::candidates::{Exclusion, Panic, Staged};
use crate::hash::RequestKey;
use crate::levels;
use crate::session::Sessions;
use crate::shadow::Shadow;
use crate::{Candidates, EventKind, Nanos, Picker, Rng, StrategySettings, View, shadow};

/// How often shares are looked at while something ramps: a ramp of ten seconds goes in forty steps, and a view
/// is built four times a second at most for it.
const STEP: Nanos = Nanos::from_millis(250);
/// Regions that an event names, at most.
const NAMED: usize = 8;

impl ServiceState {
    /// Builds the next view when readers would see a difference.
    pub(super) fn publish(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let restage = std::mem::take(&mut self.restage);
        let switched = std::mem::take(&mut self.switched);
        if dirty || restage {
            self.restage(dirty, switched);
        } else {
            self.switch(switched);
        }
    }

    /// Runs the stages, and builds the next view when they leave something else.
    fn restage(&mut self, dirty: bool, switched: bool) {
        if self.slots.refresh() {
            // Once for all who came: with each of them, a batch of many would take the square of its length.
            set_floors(&mut self.slots);
        }
        let staged = stages::stage(&self.slots, &self.settings, self.now);
        self.next_step = if staged.ramps { self.now + STEP } else { Nanos::MAX };
        self.last_resort = staged.findings.minimum.last_resort;
        if !dirty && !differs(&self.view, &staged) {
            self.switch(switched);
            return;
        }
        self.tell_fallback(&staged);
        self.tell_borders(&staged);
        let idle = super::shadow::idle(&self.settings, &self.slots);
        self.tell_shadow(idle.as_deref(), self.shadowing.is_changed());
        let before = Some(&*self.view);
        let mut view = build(
            &self.settings,
            &self.slots,
            staged,
            &self.journal,
            &mut self.rng,
            &mut self.shadowing,
            idle,
            before,
            self.now,
        );
        self.piloting.board(&mut view, self.now);
        self.relogged = false;
        let returns = self.slots.iter().filter_map(|(_, entry)| entry.ejection.until());
        self.next_return = returns.min().unwrap_or(Nanos::MAX);
        self.show(view);
    }

    /// The next view for another strategy or shadow alone: all that was judged stays as it is, and is shared. As dear as
    /// the picker. Another shadow leaves the picker as it is, so that it changes no pick.
    fn switch(&mut self, switched: bool) {
        let idle = super::shadow::idle(&self.settings, &self.slots);
        let anew = self.shadowing.take_changed();
        // Beside another strategy it may be idle, or not any more.
        let shadowed = anew || idle.as_deref() != self.view.shadow_idle();
        if shadowed {
            self.tell_shadow(idle.as_deref(), anew);
        }
        let before = &*self.view;
        let shadow = match shadowed {
            true => {
                let (candidates, same) = (&before.candidates, Some(before).filter(|_| !anew));
                self.shadowing
                    .shadow(&self.settings, candidates, idle, same, self.now)
            }
            false => before.shadow.clone(),
        };
        let relogged = std::mem::take(&mut self.relogged);
        let picker = match switched {
            false if !shadowed && !relogged => return,
            false => Arc::clone(&before.picker),
            true => picker(
                &self.settings,
                &before.candidates,
                &mut self.rng,
                Some(before),
                self.now,
            ),
        };
        let mut view = View {
            version: before.version + 1,
            strategy: self.settings.strategy.name(),
            request_key: request_key(&self.settings),
            asks: asks(&*picker, shadow.as_ref()),
            shadow,
            auto: None,
            candidates: before.candidates.clone(),
            statuses: Arc::clone(&before.statuses),
            picker,
            fallback: before.fallback,
            counters: Arc::clone(&before.counters),
            sessions: before.sessions.clone(),
            settings: self.settings.clone(),
            findings: Arc::clone(&before.findings),
        };
        self.piloting.board(&mut view, self.now);
        self.show(view);
    }

    /// Puts `view` in the place of the one before.
    fn show(&mut self, view: View) {
        self.replaced
            .push(std::mem::replace(&mut self.view, Arc::new(view)));
        self.bury();
    }

    /// Lets go of former views that nobody else holds. The view of a large service takes milliseconds to drop; that is
    /// the writer's work, not that of the worker which happens to see the next one last.
    pub(super) fn bury(&mut self) {
        self.replaced.retain(|view| Arc::strong_count(view) > 1);
    }

    /// Tells when a fallback begins or ends.
    fn tell_fallback(&mut self, staged: &Staged) {
        let minimum = staged.findings.minimum;
        let (census, wanted) = (minimum.census(), minimum.wanted);
        let (kind, reason) = match (self.view.fallback, minimum.fallback) {
            (false, true) => {
                let then = match self.settings.panic {
                    Panic::All | Panic::NextPriority => {
                        "all that answer requests are used, whatever checks say"
                    }
                    Panic::Fail => "requests are refused until then, as its panic setting says",
                };
                let reason = format!("{census}, at least {wanted} must be: {then}");
                (EventKind::FallbackBegan, reason)
            }
            (true, false) => (EventKind::FallbackEnded, census),
            _ => return,
        };
        self.journal.service(self.now, kind, reason);
    }

    /// Tells when the last instance goes that may be used, with others left in regions that may not; and when one comes,
    /// however long after.
    fn tell_borders(&mut self, staged: &Staged) {
        let counters = self.journal.counters();
        let before = counters.of(EventKind::ShutOut) > counters.of(EventKind::LetIn);
        let now = staged.excluded.iter().map(|(_, why)| *why);
        let now = staged.slots.is_empty() && shuts_out(now);
        match (before, now) {
            (false, true) => {
                let regions = self.slots.iter();
                let regions = regions.map(|(_, entry)| entry.member.instance().region.clone());
                let elsewhere: Vec<_> = regions
                    .filter(|region| !self.settings.regions.permit(region.as_deref()))
                    .collect();
                let (n, far) = (self.slots.len(), elsewhere.len());
                let forbidden: BTreeSet<_> = elsewhere
                    .into_iter()
                    .map(|region| region.map_or_else(|| "no region".to_owned(), |name| format!("`{name}`")))
                    .collect();
                let more = if forbidden.len() > NAMED {
                    " and others"
                } else {
                    ""
                };
                let named: Vec<_> = forbidden.into_iter().take(NAMED).collect();
                let named = named.join(", ");
                let reason = match n - far {
                    0 => format!(
                        "`locality` allows none of its {n} instances, which are in {named}{more}: requests are refused \
                         until one is elsewhere"
                    ),
                    draining => format!(
                        "`locality` does not allow {far} of its {n} instances, in {named}{more}, and {draining} that it \
                         allows {}: requests are refused until one that it allows is undrained or registered",
                        if draining == 1 { "drains" } else { "drain" }
                    ),
                };
                self.journal.service(self.now, EventKind::ShutOut, reason);
            }
            (true, false) if !staged.slots.is_empty() => {
                let reason = "an instance that `locality` allows takes requests".to_owned();
                self.journal.service(self.now, EventKind::LetIn, reason);
            }
            _ => {}
        }
    }
}

/// Whether these are the reasons of who may not be used, some because of where they are.
fn shuts_out(mut reasons: impl Iterator<Item = Exclusion>) -> bool {
    let mut forbidden = false;
    let given = reasons.all(|why| {
        forbidden |= why == Exclusion::Region;
        matches!(why, Exclusion::Region | Exclusion::Draining)
    });
    given && forbidden
}

/// Whether the stages leave other candidates than those of `view`, or give them other shares.
fn differs(view: &View, staged: &Staged) -> bool {
    staged.findings.minimum.fallback != view.fallback
        || staged.slots != *view.candidates.slots()
        || staged
            .shares
            .iter()
            .enumerate()
            .any(|(index, share)| *share != view.candidates.share(index))
        || !staged
            .levels
            .iter()
            .eq(view.candidates.levels().iter().map(|level| &level.part))
}

/// The view of what the stages left.
#[allow(clippy::too_many_arguments, reason = "all that the service has")]
pub(super) fn build(
    settings: &ServiceSettings,
    slots: &Slots,
    staged: Staged,
    journal: &Journal,
    rng: &mut Rng,
    shadowing: &mut Shadowing,
    idle: Option<String>,
    before: Option<&View>,
    now: Nanos,
) -> View {
    let members = Arc::clone(slots.members());
    let loads = slots.loads().clone();
    let candidates = Candidates::weighing(members, staged.slots, staged.weights, loads);
    let candidates = candidates.with_shares(&staged.shares).with_levels(staged.levels);
    let picker = picker(settings, &candidates, rng, before, now);
    let same = before.filter(|_| !shadowing.take_changed());
    let shadow = shadowing.shadow(settings, &candidates, idle, same, now);
    let sessions = settings.sessions.map(|key| {
        let same = before.and_then(|before| {
            let sessions = before.sessions.as_ref()?;
            let same =
                *sessions.key() == key && Arc::ptr_eq(before.candidates.members(), candidates.members());
            same.then(|| Arc::clone(sessions))
        });
        same.unwrap_or_else(|| Arc::new(Sessions::new(key, candidates.members())))
    });
    View {
        version: before.map_or(0, |before| before.version) + 1,
        strategy: settings.strategy.name(),
        request_key: request_key(settings),
        asks: asks(&*picker, shadow.as_ref()),
        shadow,
        auto: None,
        candidates,
        statuses: slots.statuses(&staged.excluded),
        picker,
        fallback: staged.findings.minimum.fallback,
        counters: Arc::clone(journal.counters()),
        sessions,
        settings: settings.clone(),
        findings: Arc::new(staged.findings),
    }
}

/// The picker among `candidates`, after that of the view before.
fn picker(
    settings: &ServiceSettings,
    candidates: &Candidates,
    rng: &mut Rng,
    before: Option<&View>,
    now: Nanos,
) -> Arc<dyn Picker> {
    let before = before.map(|before| &*before.picker);
    picker_of(&settings.strategy, candidates, rng.next_u64(), before, now)
}

/// The picker of `strategy` among `candidates`.
pub(super) fn picker_of(
    strategy: &StrategySettings,
    candidates: &Candidates,
    seed: u64,
    before: Option<&dyn Picker>,
    now: Nanos,
) -> Arc<dyn Picker> {
    let picker: Box<dyn Picker> = if candidates.members().iter().all(Option::is_none) {
        Box::new(stages::NoInstances)
    } else {
        levels::picker(strategy, before, candidates, seed)
    };
    picker.refresh(now);
    picker.into()
}

/// Whether anybody is asked beside `picker`.
fn asks(picker: &dyn Picker, shadow: Option<&Shadow>) -> bool {
    shadow.is_some_and(|shadow| shadow.picker().is_some()) || picker.course().is_some()
}

/// What requests must bring.
fn request_key(settings: &ServiceSettings) -> Option<RequestKey> {
    shadow::request_key(&settings.strategy, settings.shadow.as_ref())
}
