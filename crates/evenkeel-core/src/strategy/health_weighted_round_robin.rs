//! Each candidate in turn, as often as its weight times its health.
//!
//! The order is that of `weighted_round_robin`; an instance whose score is below 1 lets some of its turns pass. Which
//! ones is counted, not drawn: every turn adds the worth `h` of the instance to its credit, and the turn is taken when
//! the credit passes a whole. So of any `k` turns it takes `hk`, rounded up or down, evenly spread, and a burst
//! cannot form. Credits begin at different places, else instances of equal health would all pass at once.
//!
//! `share = weight × max(score, min_health)^exponent`, of the sum over all candidates.
//!
//! Why turns are left out at the pick, and not weights put into the order: scores change every second and an order
//! of ten thousand instances takes milliseconds to build. So nothing is rebuilt, a score counts from the next look on,
//! which is as often as it changes, and whoever is healthy costs one read more than without. A pick takes `1 / mean worth` turns on average: 1 in
//! a healthy fleet, 10 where all scores are at the default floor. Absent on purpose: a threshold, which is a stage.

use crate::sync::{AtomicU32, Ordering};
use std::sync::Arc;

use super::{Picker, Strategy, weighted_round_robin};
use crate::scored::HealthFactor;
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest, Rng, Stats};

/// The strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthWeightedRoundRobin {
    /// What a score is worth.
    pub health: HealthFactor,
}

/// The least worth, whatever floor and exponent say: it bounds the turns of a pick.
const LEAST: f64 = 1.0 / 64.0;
/// Turns of one pick; the last is taken. All below 1/64 is as good as all equal.
const TURNS: usize = 128;

impl Strategy for HealthWeightedRoundRobin {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let start = Rng::new(seed).next_u64() as u32;
        let last = candidates.slots().last().map_or(0, |slot| slot.0 as usize + 1);
        let mut turns: Vec<Option<Turn>> = Vec::new();
        turns.resize_with(last, || None);
        for slot in candidates.slots().iter() {
            turns[slot.0 as usize] = candidates.member(*slot).map(|member| Turn {
                stats: Arc::clone(member.stats()),
                // Multiples of the golden ratio are spread evenly, however many there are.
                credit: AtomicU32::new(start.wrapping_add(slot.0.wrapping_mul(0x9E37_79B9))),
                worth: AtomicU32::new(ALL),
            });
        }
        let thinned = Thinned {
            order: weighted_round_robin::in_turn(candidates.slots(), candidates.weights(), seed),
            turns: turns.into(),
            health: self.health,
        };
        thinned.look();
        Box::new(thinned)
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(Nanos::from_secs(1))
    }
}

#[derive(Debug)]
struct Turn {
    stats: Arc<Stats>,
    /// In 2^-32.
    credit: AtomicU32,
    /// What a turn adds to that; [`ALL`] when every turn is taken.
    worth: AtomicU32,
}

/// See [`Turn::worth`].
const ALL: u32 = 0;

impl Turn {
    /// Whether this turn is taken. Relaxed: only the sum of the additions matters, it guards no other memory.
    #[inline]
    fn is_taken(&self) -> bool {
        let worth = self.worth.load(Ordering::Relaxed);
        if worth == ALL {
            return true;
        }
        let before = self.credit.fetch_add(worth, Ordering::Relaxed);
        before.checked_add(worth).is_none()
    }

    fn look(&self, health: HealthFactor) {
        let score = self.stats.health();
        let worth = if score >= 1.0 {
            ALL
        } else {
            (health.of(score).max(LEAST) * 4_294_967_296.0) as u32
        };
        self.worth.store(worth, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Thinned {
    order: Box<dyn Picker>,
    /// By slot.
    turns: Box<[Option<Turn>]>,
    health: HealthFactor,
}

impl Thinned {
    fn look(&self) {
        self.turns
            .iter()
            .flatten()
            .for_each(|turn| turn.look(self.health));
    }
}

impl Picker for Thinned {
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick> {
        let mut slot = self.order.pick(request, cx)?;
        for _ in 1..TURNS {
            let turn = self.turns.get(slot.0 as usize).and_then(Option::as_ref);
            if turn.is_none_or(Turn::is_taken) {
                break;
            }
            slot = self.order.pick(request, cx)?;
        }
        Ok(slot)
    }

    fn refresh(&self, _now: Nanos) {
        self.look();
    }
}
