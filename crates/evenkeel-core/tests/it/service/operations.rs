//! The operations of the model, and the reference for active checks: the history as it is written,
//! where the state machine counts.

use std::net::SocketAddr;

use evenkeel_core::Nanos;
use proptest::collection::vec;
use proptest::prelude::*;

pub(super) const IDS: u8 = 6;

#[derive(Debug, Clone)]
pub(super) enum Op {
    Replace {
        /// Per id: absent, or port, weight and priority.
        instances: Vec<Option<(u16, u64, u8)>>,
        checks: bool,
        limit: u32,
        min_healthy: u32,
        panic: u8,
    },
    /// An instance that registers itself.
    Register {
        id: u8,
        port: u16,
        weight: u64,
        priority: u8,
    },
    Deregister {
        id: u8,
    },
    Drain {
        id: u8,
    },
    Undrain {
        id: u8,
    },
    Weigh {
        id: u8,
        weight: u64,
    },
    /// Another strategy.
    Switch {
        which: u8,
    },
    /// The result of a check that was sent `age` seconds ago.
    Check {
        id: u8,
        age: u64,
        passed: bool,
    },
    /// A word on its health, in quarters, that speaks of `age` seconds ago, or of what is yet to come.
    Health {
        id: u8,
        quarters: u8,
        age: i64,
    },
    /// A report of the hundredths of its processors in use, likewise.
    Load {
        id: u8,
        cpu: u8,
        age: i64,
    },
    /// Requests that end at once; those to the ids in the mask fail.
    Requests {
        n: u8,
        failing: u8,
    },
    /// A request that stays open.
    Open,
    /// Ends an open request.
    Close {
        which: u8,
        outcome: u8,
    },
    /// A reader that does not let go of its view for a while.
    HoldView,
    DropViews,
    Tick,
    Forward {
        ms: u64,
    },
    Back {
        ms: u64,
    },
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let instances = vec(
        proptest::option::weighted(0.8, (1u16..3, 1u64..4, 0u8..3)),
        usize::from(IDS),
    );
    prop_oneof![
        2 => (instances, prop::bool::weighted(0.8), prop_oneof![1 => Just(0u32), 9 => 1u32..6], 0u32..4, 0u8..3)
            .prop_map(|(instances, checks, limit, min_healthy, panic)| Op::Replace {
                instances, checks, limit, min_healthy, panic
            }),
        1 => (0..IDS, 1u16..3, 1u64..4, 0u8..3)
            .prop_map(|(id, port, weight, priority)| Op::Register { id, port, weight, priority }),
        1 => (0..IDS).prop_map(|id| Op::Deregister { id }),
        1 => (0..IDS).prop_map(|id| Op::Drain { id }),
        1 => (0..IDS).prop_map(|id| Op::Undrain { id }),
        1 => (0..IDS, 1u64..4).prop_map(|(id, weight)| Op::Weigh { id, weight }),
        1 => any::<u8>().prop_map(|which| Op::Switch { which }),
        6 => (0..IDS, 0u64..4, any::<bool>()).prop_map(|(id, age, passed)| Op::Check { id, age, passed }),
        3 => (0..IDS, 0u8..=4, -3i64..15).prop_map(|(id, quarters, age)| Op::Health { id, quarters, age }),
        3 => (0..IDS, 0u8..=150, -3i64..15).prop_map(|(id, cpu, age)| Op::Load { id, cpu, age }),
        6 => (1u8..60, any::<u8>()).prop_map(|(n, failing)| Op::Requests { n, failing }),
        3 => Just(Op::Open),
        3 => (any::<u8>(), 0u8..3).prop_map(|(which, outcome)| Op::Close { which, outcome }),
        1 => Just(Op::HoldView),
        1 => Just(Op::DropViews),
        4 => Just(Op::Tick),
        6 => (0u64..20_000).prop_map(|ms| Op::Forward { ms }),
        1 => (0u64..20_000).prop_map(|ms| Op::Back { ms }),
    ]
}

/// What the reference knows of one registration: a history and no counters.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) address: SocketAddr,
    /// Results since the last change of state.
    history: String,
    ever_passed: bool,
    pub(super) down: bool,
    pub(super) newest: u64,
}

impl Checked {
    pub(super) fn new(address: SocketAddr, now: Nanos) -> Self {
        Self {
            address,
            history: String::new(),
            ever_passed: false,
            down: false,
            newest: now.0,
        }
    }

    pub(super) fn observe(&mut self, passed: bool, observed: u64) {
        if observed < self.newest {
            return;
        }
        self.newest = observed;
        self.history.push(if passed { '+' } else { '-' });
        let change = match (self.down, self.ever_passed) {
            (true, _) => self.history.ends_with("++"),
            (false, true) => self.history.ends_with("---"),
            (false, false) => !passed,
        };
        self.ever_passed |= passed;
        if change {
            self.down = !self.down;
            self.history.clear();
        }
    }
}

pub(super) fn name(id: u8) -> String {
    format!("i{id}")
}

/// What was said of one registration, each with the time it speaks of: the newest word.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// Words from before speak of another that had the name.
    since: u64,
    pub(super) health: Option<(f32, u64)>,
    pub(super) load: Option<(f32, u64)>,
}

impl Words {
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            since: now.0,
            health: None,
            load: None,
        }
    }

    /// Whether a word that speaks of `observed` is taken over `newest`; of equals the later one is.
    pub(super) fn takes(&self, newest: Option<(f32, u64)>, observed: u64) -> bool {
        observed >= self.since && newest.is_none_or(|(_, at)| observed >= at)
    }

    pub(super) fn step_back(&mut self, back: u64) {
        self.since = self.since.saturating_sub(back);
        for (_, at) in [&mut self.health, &mut self.load].into_iter().flatten() {
            *at = at.saturating_sub(back);
        }
    }
}
