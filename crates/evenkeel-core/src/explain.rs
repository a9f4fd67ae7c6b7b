//! Why a service does what it does: for people, for the admin API and for programs.
//!
//! An explanation is made from one view, which holds what the stages went by, and from the live counters beside its
//! instances. What the strategy would choose is found by asking it, many times, because most strategies draw: the odds
//! of each instance say more than one draw. Asking changes nothing: a picker that remembers its picks (whose turn it is,
//! which region was probed) is not asked itself but a twin of it, built like the picker of the next view.
//!
//! Absent on purpose: picks that were made. They are recorded elsewhere, where they are made.

use std::ops::Deref;
use std::sync::Arc;

use crate::view::{Slot, View};
use crate::{InstanceId, InstanceSnapshot, Nanos, NoPick, PickContext, PickRequest, StrategyName};

mod aspects;
mod costs;
mod stages;
mod table;
#[cfg(test)]
mod tests;

use aspects::Basis;
pub(crate) use stages::percent;

/// The request that is asked about. All of it is optional.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// The key as the client sends it; an empty one is none.
    pub key: Option<&'a [u8]>,
    /// Where the client is.
    pub region: Option<&'a str>,
    /// Instances that were tried for the request already.
    pub tried: &'a [Slot],
}

impl<'a> Question<'a> {
    /// As the strategy of `view` is asked.
    #[must_use]
    pub fn request(&self, view: &View) -> PickRequest<'a> {
        let key = self.key.filter(|key| !key.is_empty());
        PickRequest {
            tried: self.tried,
            key: view
                .request_key()
                .zip(key)
                .map(|(wanted, key)| wanted.hash.hash(key)),
            region: self.region,
        }
    }
}

/// One moment of a service: all its instances, what each stage made of them, and whom a pick would choose and why not
/// the others. `Display` writes it as a table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The service.
    pub service: Arc<str>,
    /// How it picks.
    pub strategy: StrategyName,
    /// Grows by one with every change of membership or health.
    pub version: u64,
    /// Whether too few instances are healthy, so that checks have no say.
    pub fallback: bool,
    /// What holds for the service as a whole, in words and numbers.
    pub notes: Vec<String>,
    /// In slot order.
    pub instances: Vec<ExplainedInstance>,
    /// What a pick would choose now; of several that it could, one.
    pub choice: Result<InstanceId, NoPick>,
    /// How often the strategy was asked for the odds.
    pub draws: u32,
}

/// What is known of an instance, and what became of it on the way to the choice. What is known reads as its own:
/// `one.state`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExplainedInstance {
    /// What is known of it.
    pub known: InstanceSnapshot,
    /// The stages that had something to say, in their order.
    pub stages: Vec<Finding>,
    /// The part of the draws that fell on it, 0 to 1.
    pub odds: f64,
    /// Why the choice fell on another; `None` for the choice, and where a stage removed it.
    pub lost: Option<String>,
}

impl Deref for ExplainedInstance {
    type Target = InstanceSnapshot;

    fn deref(&self) -> &InstanceSnapshot {
        &self.known
    }
}

/// What a stage made of an instance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The stage: an [`Exclusion`](crate::Exclusion) by its word, or `slow_start`, `recovery`, `score`, `predicted` and `priority` for shares.
    pub stage: &'static str,
    /// What it left of the instance's weight: 0 removed it, 1 means that it spoke up and was overruled.
    pub left: f64,
    /// Why, in words and numbers.
    pub reason: String,
}

/// Draws of a service of up to [`MANY`] candidates; a thousand give odds to within three in a hundred.
const DRAWS: u32 = 1000;
/// Draws of a larger one, where some strategies look at all candidates.
const FEW_DRAWS: u32 = 100;
const MANY: usize = 1000;

impl Explanation {
    /// Explains what `view` would do with a request at `now`. `seed` decides the draws. Slow path: O(n), and as many
    /// picks as [`Self::draws`] says.
    #[must_use]
    pub fn new(view: &View, question: &Question<'_>, now: Nanos, seed: u64) -> Self {
        let draws = Draws::of(view, question, now, seed);
        let rule = costs::Rule::of(view);
        let chosen = draws.first.ok().and_then(|slot| {
            let index = view.candidates().slots().binary_search(&slot).ok()?;
            aspects::Seen::new(view, rule, index, now)
        });
        let basis = Basis::of(view, question);
        let instances = view.members().map(|(slot, member, status)| {
            let index = view.candidates().slots().binary_search(&slot).ok();
            let one = index.and_then(|index| aspects::Seen::new(view, rule, index, now));
            let lost = one.zip(chosen.as_ref()).and_then(|(one, chosen)| {
                let tried = question.tried.contains(&slot);
                (one.slot != chosen.slot).then(|| aspects::lost(basis, &one, chosen, tried))
            });
            ExplainedInstance {
                known: InstanceSnapshot::of(view, slot, member, status, now),
                stages: stages::findings(view, member, status, index),
                odds: index.map_or(0.0, |index| draws.part(index)),
                lost,
            }
        });
        Self {
            service: Arc::clone(&view.settings.name),
            strategy: view.strategy(),
            version: view.version(),
            fallback: view.is_fallback(),
            notes: stages::notes(view)
                .into_iter()
                .chain(aspects::decides(view, now))
                .chain(aspects::note(view, question))
                .collect(),
            instances: instances.collect(),
            choice: draws
                .first
                .map(|slot| id(view, slot))
                .and_then(|id| id.ok_or(NoPick::NoneEligible)),
            draws: draws.count,
        }
    }

    /// The instance of this id.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&ExplainedInstance> {
        self.instances.iter().find(|one| one.instance.id.as_str() == id)
    }
}

fn id(view: &View, slot: Slot) -> Option<InstanceId> {
    Some(view.candidates().member(slot)?.instance().id.clone())
}

/// What the strategy said when it was asked.
struct Draws {
    first: Result<Slot, NoPick>,
    count: u32,
    /// In the order of the candidates.
    times: Vec<u32>,
}

impl Draws {
    fn of(view: &View, question: &Question<'_>, now: Nanos, seed: u64) -> Self {
        let candidates = view.candidates();
        let mut cx = PickContext::new(seed);
        cx.now = now;
        // Without candidates there is nothing to remember.
        let remembers = aspects::remembers_picks(view.strategy()) && !candidates.is_empty();
        let twin = remembers.then(|| view.twin(cx.rng.next_u64(), now));
        let request = question.request(view);
        let mut ask = || match &twin {
            None => view.choose(&request, &mut cx),
            Some(twin) => view.choose_by(&**twin, &request, &mut cx),
        };
        let first = ask();
        let mut times = vec![0; candidates.len()];
        let count = match (first, candidates.len()) {
            (Err(_), _) => 0,
            (Ok(_), MANY..) => FEW_DRAWS,
            (Ok(_), _) => DRAWS,
        };
        let others = (1..count).map(|_| ask());
        for slot in std::iter::once(first).chain(others).flatten() {
            if let Ok(index) = candidates.slots().binary_search(&slot) {
                times[index] += 1;
            }
        }
        Self { first, count, times }
    }

    fn part(&self, index: usize) -> f64 {
        let times = self.times.get(index).copied().unwrap_or(0);
        f64::from(times) / f64::from(self.count.max(1))
    }
}
