//! What state a fleet is in, as far as it matters for the choice of a strategy.

use crate::view::View;
use crate::{InstanceState, Nanos, StrategyName};

#[cfg(test)]
mod tests;

/// How long an instance counts as changed.
const LATELY: Nanos = Nanos::from_secs(30);
/// Who did the same within this time before does what it does.
const HABIT: Nanos = Nanos::from_secs(600);
/// When more of the instances changed than this, it matters that they did, and not how often before.
const MOST: f64 = 0.5;
/// What an instance did longer ago says nothing of the regime.
const KNOWN: Nanos = Nanos::from_secs(60);
/// Part of the requests that fails, from which on the fleet counts as failing.
const FAILING: f64 = 0.01;
/// Spread of response times beyond that of chance, as a part of their mean, from which on the fleet counts as uneven.
const UNEVEN: f64 = 0.2;

/// The kinds of fleet that `auto` tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Regime {
    /// All answer, and take about as long.
    Even,
    /// Response times are spread by more than a fifth.
    Uneven,
    /// More than a hundredth of the requests fail.
    Failing,
}

impl Regime {
    pub(super) const ALL: [Self; 3] = [Self::Even, Self::Uneven, Self::Failing];

    /// A word for tables and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Uneven => "uneven",
            Self::Failing => "failing",
        }
    }

    /// Why `strategy` is not made for it: one that looks at neither times nor failures, unless all are alike.
    #[must_use]
    pub fn speaks_against(self, strategy: StrategyName) -> Option<&'static str> {
        let blind = matches!(
            strategy,
            StrategyName::round_robin
                | StrategyName::weighted_round_robin
                | StrategyName::random
                | StrategyName::weighted_random
                | StrategyName::least_connections
        );
        match self {
            Self::Uneven if blind => Some(
                "it looks at no response times, and those of the instances are spread by more than a fifth",
            ),
            Self::Failing if blind => {
                Some("it looks at no failures, and more than a hundredth of the requests fail")
            }
            _ => None,
        }
    }

    /// Whether `strategy` is made for it.
    pub(super) fn suits(self, strategy: StrategyName) -> bool {
        self.speaks_against(strategy).is_none()
    }
}

/// What the writer sees of a service at one time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    pub(crate) now: Nanos,
    /// Picks since the look before.
    pub(crate) requests: u64,
    /// The mean response time per success of what was picked since then, in ns; `None` when nothing is known.
    pub(crate) response_time: Option<f64>,
    /// What a quarter of the candidates that were asked lately respond within, in ns; `None` when nobody is known.
    pub(crate) quick: Option<f64>,
    pub(crate) regime: Regime,
    /// The part of the instances that came lately, or changed state as they did not lately before.
    pub(crate) changed: f64,
    /// Processors in use, where that is reported, in the mean.
    pub(crate) utilization: Option<f64>,
}

/// What the looks before saw, by slot.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<Known>);

/// Of one instance.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    picks: u64,
    /// Whether it was healthy; `None` before the first look.
    healthy: Option<bool>,
    /// When it last went out, and when it last came back; that it came is no change.
    changes: [Option<Nanos>; 2],
    /// It did what it did last lately before, too.
    again: bool,
}

impl Seen {
    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        for known in &mut self.0 {
            let times = known.changes.iter_mut().flatten();
            times.for_each(|at| *at = at.since(back));
        }
    }
}

impl Known {
    /// Picks since the look before.
    fn new_picks(&mut self, picks: u64) -> u64 {
        let Some(new) = picks.checked_sub(self.picks) else {
            // Who counts less is another that has the slot now.
            *self = Self {
                picks,
                ..Self::default()
            };
            return picks;
        };
        self.picks = picks;
        new
    }

    /// Whether it has been in its state only lately, and whether it did not come to it lately before, too: out and back, out
    /// and back. Who is out may be so for one reason after the other.
    fn changed(&mut self, healthy: bool, since: Nanos, now: Nanos) -> (bool, bool) {
        let before = self.healthy.replace(healthy);
        if before.is_some_and(|before| before != healthy) {
            let last = self.changes[usize::from(healthy)].replace(since);
            self.again = last.is_some_and(|last| since.since(last) < HABIT);
        }
        let lately = now.since(since) < LATELY;
        (lately, lately && !self.again)
    }
}

/// A mean, and a spread.
#[derive(Default)]
struct Sums {
    n: f64,
    sum: f64,
    squares: f64,
    /// What chance makes of the spread, as parts of the mean squared.
    chance: f64,
}

impl Sums {
    /// By how much they are spread beyond chance, as a part of their mean, squared.
    fn spread(&self) -> f64 {
        let mean = self.sum / self.n;
        (self.squares / self.n - mean * mean) / (mean * mean) - self.chance / self.n
    }
}

/// The lower quartile; of up to four the least.
fn quarter(times: &mut [f64]) -> Option<f64> {
    let place = times.len().checked_sub(1)? / 4;
    Some(*times.select_nth_unstable_by(place, f64::total_cmp).1)
}

/// Looks at `view`. O(n).
pub(crate) fn look(view: &View, seen: &mut Seen, now: Nanos) -> Look {
    seen.0.resize(view.candidates().members().len(), Known::default());
    let (mut all, mut requests) = (0u32, 0u64);
    // However often before, and for once.
    let mut changed = [0u32; 2];
    // Weighed by the requests of each since the last look.
    let (mut time, mut good) = (0.0, 0.0);
    // Of each candidate, alike.
    let mut times = Sums::default();
    let mut own_times = Vec::new();
    let (mut asked, mut succeeded) = (0.0, 0.0);
    let (mut reports, mut used) = (0.0, 0.0);
    let mut next = 0;
    for (slot, member, status) in view.members() {
        let place = slot.0 as usize;
        // Nobody is there.
        seen.0[next..place].fill(Known::default());
        next = place + 1;
        all += 1;
        let (stats, known) = (member.stats(), &mut seen.0[place]);
        let new = known.new_picks(stats.picks());
        let (lately, for_once) = known.changed(status.state == InstanceState::Healthy, status.since, now);
        changed[0] += u32::from(lately);
        changed[1] += u32::from(for_once);
        requests += new;
        let own = f64::from(stats.steady_time());
        let success = f64::from(stats.success_share());
        if own > 0.0 {
            time += new as f64 * own;
            good += new as f64 * success;
        }
        if view.is_candidate(slot) && stats.picks() > 0 && now.since(stats.last_used()) < KNOWN {
            asked += 1.0;
            succeeded += success;
            if own > 0.0 {
                own_times.push(own);
                times.n += 1.0;
                times.sum += own;
                times.squares += own * own;
                // Of exponential times, whose spread is their mean.
                times.chance += 1.0 / f64::from(stats.steady_samples(now).max(1.0));
            }
        }
        let cpu = stats.reported().get(now).and_then(|(report, _)| report.cpu());
        if let Some(cpu) = cpu {
            reports += 1.0;
            used += f64::from(cpu);
        }
    }
    seen.0[next..].fill(Known::default());
    let part = |some: u32| f64::from(some) / f64::from(all.max(1));
    Look {
        now,
        requests,
        response_time: (good > 0.0).then(|| time / good),
        quick: quarter(&mut own_times),
        regime: if succeeded < (1.0 - FAILING) * asked {
            Regime::Failing
        } else if times.spread() > UNEVEN * UNEVEN {
            Regime::Uneven
        } else {
            Regime::Even
        },
        changed: if part(changed[0]) > MOST {
            part(changed[0])
        } else {
            part(changed[1])
        },
        utilization: (reports > 0.0).then_some(used / reports),
    }
}
