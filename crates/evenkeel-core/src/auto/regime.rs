//! What state a fleet is in, as far as it matters for the choice of a strategy.

use crate::view::View;
use crate::{Nanos, StrategyName};

/// How long an instance counts as changed.
const LATELY: Nanos = Nanos::from_secs(30);
/// Part of the requests that fails, from which on the fleet counts as failing.
const FAILING: f64 = 0.01;
/// Spread of response times, as a part of their mean, from which on the fleet counts as uneven. Chance leaves a tenth among
/// equals: a response time is a mean of 128.
const UNEVEN: f64 = 0.2;

/// The kinds of fleet that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    /// All answer, and take about as long.
    Even,
    /// Response times are spread by more than a fifth.
    Uneven,
    /// More than a hundredth of the requests fail.
    Failing,
}

impl Regime {
    /// A word for tables and the API.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Uneven => "uneven",
            Self::Failing => "failing",
        }
    }

    /// Whether `strategy` is made for it: not one that looks at neither times nor failures, unless all are alike.
    pub(crate) fn suits(self, strategy: StrategyName) -> bool {
        let blind = matches!(
            strategy,
            StrategyName::round_robin
                | StrategyName::weighted_round_robin
                | StrategyName::random
                | StrategyName::weighted_random
                | StrategyName::least_connections
        );
        self == Self::Even || !blind
    }
}

/// What the writer sees of a service at one time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    pub(crate) now: Nanos,
    /// Picks so far.
    pub(crate) requests: u64,
    /// The mean response time per success of what was picked since the look before, in ns; 0 when nothing is known.
    pub(crate) response_time: f64,
    pub(crate) regime: Regime,
    /// The part of the instances that changed state or came lately.
    pub(crate) changed: f64,
    /// Processors in use, where that is reported, in the mean.
    pub(crate) utilization: Option<f64>,
}

/// Looks at `view`; `picks` are those of the look before, by slot. O(n).
pub(crate) fn look(view: &View, picks: &mut Vec<u64>, now: Nanos) -> Look {
    let candidates = view.candidates();
    picks.resize(candidates.members().len(), 0);
    let (mut all, mut changed, mut requests) = (0u32, 0u32, 0u64);
    // Weighed by the requests of each since the last look.
    let (mut weight, mut time, mut good) = (0.0, 0.0, 0.0);
    // Of each, alike.
    let (mut measured, mut sum, mut squares) = (0.0, 0.0, 0.0);
    let (mut reports, mut used) = (0.0, 0.0);
    for (slot, member, status) in view.members() {
        all += 1;
        changed += u32::from(now.since(status.since) < LATELY);
        let stats = member.stats();
        let before = std::mem::replace(&mut picks[slot.0 as usize], stats.picks());
        requests += stats.picks();
        let own = f64::from(stats.steady_time());
        let new = stats.picks().saturating_sub(before) as f64;
        if own > 0.0 && new > 0.0 {
            weight += new;
            time += new * own;
            good += new * f64::from(stats.success_share());
            measured += 1.0;
            sum += own;
            squares += own * own;
        }
        let cpu = stats.reported().get(now).and_then(|(report, _)| report.cpu());
        if let Some(cpu) = cpu {
            reports += 1.0;
            used += f64::from(cpu);
        }
    }
    let mean = sum / measured;
    let spread = (squares / measured - mean * mean).max(0.0).sqrt() / mean;
    Look {
        now,
        requests,
        response_time: if good > 0.0 { time / good } else { 0.0 },
        regime: if good < (1.0 - FAILING) * weight {
            Regime::Failing
        } else if spread > UNEVEN {
            Regime::Uneven
        } else {
            Regime::Even
        },
        changed: f64::from(changed) / f64::from(all.max(1)),
        utilization: (reports > 0.0).then_some(used / reports),
    }
}
