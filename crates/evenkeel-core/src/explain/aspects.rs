//! What a strategy looks at, and in which of that one candidate is behind another.

use super::Question;
use super::costs::{Burden, Rule, innermost};
use super::stages::percent;
use crate::view::{Slot, View};
use crate::{Appraisal, LoadReport, Nanos, StrategyName};

/// What a strategy may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    /// Requests in flight per weight.
    Load,
    /// The time that the strategy goes by.
    Time,
    /// The share of successes.
    Success,
    /// The score of its health.
    Score,
    /// What it reports of its load.
    Report,
}

use Aspect::{Load, Report, Score, Success, Time};

/// How a strategy comes to its choice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Basis {
    /// Who is near comes first.
    near: bool,
    choice: Choice,
}

/// How it chooses where all are as near.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// In turn, by weight and by these.
    Turns(&'static [Aspect]),
    /// At random, by weight.
    Chance,
    /// By the key of the request.
    Key,
    /// Candidates are compared.
    Compares(&'static [Aspect]),
}

impl Basis {
    pub(super) fn of(view: &View, question: &Question<'_>) -> Self {
        Self {
            near: view.deciding().name() == StrategyName::geographical,
            choice: Choice::of(view, question),
        }
    }
}

impl Choice {
    fn of(view: &View, question: &Question<'_>) -> Self {
        if view.settings.strategy.strategy().request_key().is_some() {
            let keyed = question.key.is_some_and(|key| !key.is_empty());
            return if keyed { Self::Key } else { Self::Chance };
        }
        match innermost(view.deciding()).name() {
            StrategyName::round_robin | StrategyName::weighted_round_robin => Self::Turns(&[]),
            StrategyName::health_weighted_round_robin => Self::Turns(&[Score]),
            StrategyName::orca_weighted => Self::Turns(&[Report, Success]),
            StrategyName::random | StrategyName::weighted_random => Self::Chance,
            StrategyName::least_connections => Self::Compares(&[Load]),
            StrategyName::power_of_two => Self::Compares(&[Load]),
            // What these cost is told where a picker over all candidates compares them.
            StrategyName::adaptive | StrategyName::least_response_time => {
                Self::Compares(&[Load, Time, Success])
            }
            StrategyName::peak_ewma => Self::Compares(&[Load, Time]),
            StrategyName::hot_cold => Self::Compares(&[Load, Report, Time]),
            StrategyName::health_aware_least_connections => Self::Compares(&[Load, Score]),
            StrategyName::adaptive_health_aware => Self::Compares(&[Load, Score, Success]),
            StrategyName::resource_aware => Self::Compares(&[Load, Report, Score]),
            // A strategy that has no line here: all that one could look at.
            #[allow(unreachable_patterns, reason = "for strategies to come")]
            _ => Self::Compares(&[Load, Time, Success, Score, Report]),
        }
    }
}

/// Whether a pick changes what the next one chooses; then a twin is asked. Only those that are known not to are asked
/// themselves.
pub(super) const fn remembers_picks(strategy: StrategyName) -> bool {
    !matches!(
        strategy,
        StrategyName::random
            | StrategyName::weighted_random
            | StrategyName::least_connections
            | StrategyName::power_of_two
            | StrategyName::peak_ewma
            | StrategyName::hot_cold
            | StrategyName::adaptive
            | StrategyName::consistent_hash
            | StrategyName::maglev
            | StrategyName::rendezvous
            | StrategyName::health_aware_least_connections
            | StrategyName::adaptive_health_aware
            | StrategyName::resource_aware
    )
}

/// Who decides, where that is not the strategy itself.
pub(super) fn decides(view: &View, now: Nanos) -> Option<String> {
    let auto = view.auto()?;
    let lately = auto.switches.first().map_or_else(
        || "it is the one to start with".to_owned(),
        |switch| format!("before it was {}: {}", switch.from, switch.reason),
    );
    let (how, why) = match (auto.pinned, auto.changes_over) {
        (true, _) => ("is pinned", "no other is tried".to_owned()),
        (false, true) => ("takes over", lately),
        (false, false) => ("decides", lately),
    };
    let seconds = now.since(auto.since).as_secs_f64();
    Some(format!("{} {how}, for {seconds:.0} s now; {why}", auto.current))
}

/// What the strategy wants of a request and did not get, or got and does not want.
pub(super) fn note(view: &View, question: &Question<'_>) -> Option<String> {
    let key = question.key.is_some_and(|key| !key.is_empty());
    match (view.settings.strategy.strategy().request_key(), key) {
        (Some(wanted), false) => Some(format!(
            "requests are hashed by {}; no key was given here, so the odds are those of all keys",
            wanted.source
        )),
        (None, true) => Some("a key was given, but the strategy does not look at keys".to_owned()),
        _ => None,
    }
}

/// A candidate as the strategy sees it.
pub(super) struct Seen {
    pub(super) slot: Slot,
    id: String,
    in_flight: u32,
    /// Where several priorities get requests, its own.
    priority: Option<u8>,
    /// Weight times share.
    weight: f64,
    /// That the strategy goes by, in seconds; 0 where it knows none.
    time: f64,
    /// Since its last request, in seconds; `None` for who had none.
    unused: Option<f64>,
    success: f32,
    score: f32,
    used: Option<f32>,
    region: Option<String>,
    appraisal: Option<Appraisal>,
    /// The strategy finds nothing in it but requests in flight.
    plain: bool,
}

impl Seen {
    pub(super) fn new(view: &View, rule: Rule, index: usize, now: Nanos) -> Option<Self> {
        let candidates = view.candidates();
        let slot = *candidates.slots().get(index)?;
        let member = candidates.member(slot)?;
        let (instance, stats) = (member.instance(), member.stats());
        let used = |(report, _): (LoadReport, f32)| report.utilization();
        let level = candidates.level(slot);
        let share = level.map_or_else(|| candidates.share(index), |(_, share)| share);
        let burden = Burden {
            in_flight: member.load().get(),
            weight: f64::from(instance.weight.get()) * share.as_f64(),
            now,
        };
        // Within a region a picker has typical values of its own.
        let whole = view.deciding().name() != StrategyName::geographical;
        let appraisal = || rule.appraise(stats, burden).filter(|_| whole);
        Some(Self {
            slot,
            id: instance.id.to_string(),
            in_flight: burden.in_flight,
            priority: level.map(|(priority, _)| priority),
            weight: burden.weight,
            time: rule.time(stats, now) / 1e9,
            unused: (stats.picks() > 0).then(|| now.since(stats.last_used()).as_secs_f64()),
            success: rule.success(stats),
            score: stats.health(),
            used: stats.reported().get(now).and_then(used),
            region: instance.region.as_deref().map(str::to_owned),
            appraisal: view.appraise(slot, now).or_else(appraisal),
            plain: rule.finds_nothing(stats, now),
        })
    }

    fn load(&self) -> f64 {
        f64::from(self.in_flight) / self.weight
    }

    /// In what of `aspect` it is behind `other`; differences that a reader would not see are none.
    fn behind(&self, other: &Self, aspect: Aspect) -> Option<String> {
        let id = &other.id;
        match aspect {
            Load if self.load() > other.load() => Some(format!(
                "{} in flight, {:.2} per weight, where {id} has {}, {:.2}",
                self.in_flight,
                self.load(),
                other.in_flight,
                other.load()
            )),
            Time if self.time > 1.01 * other.time => Some(match other.unused {
                None => format!("it was used before, and {id} never was"),
                Some(_) if other.time == 0.0 => format!(
                    "it takes {:.1} ms, and {id} has not answered yet",
                    self.time * 1e3
                ),
                Some(unused) => {
                    let pause = if other.in_flight == 0 && unused >= 1.0 {
                        format!(" after {unused:.1} s without a request")
                    } else {
                        String::new()
                    };
                    let (own, others) = (self.time * 1e3, other.time * 1e3);
                    format!("it is expected to take {own:.1} ms, and {id} {others:.1} ms{pause}")
                }
            }),
            Success if self.success < 0.99 * other.success => Some(format!(
                "{} of its requests of late succeeded, and {} of {id}'s",
                percent(self.success.into()),
                percent(other.success.into())
            )),
            Score if self.score < other.score => Some(format!(
                "its score is {:.2}, and {id}'s {:.2}",
                self.score, other.score
            )),
            Report => match (self.used, other.used) {
                (Some(own), Some(others)) if own > others => Some(format!(
                    "it reports to be {} in use, and {id} {}",
                    percent(own.into()),
                    percent(others.into())
                )),
                _ => None,
            },
            _ => None,
        }
    }

    /// Where both are, when that is not the same region.
    fn elsewhere(&self, other: &Self) -> Option<String> {
        let region = |one: &Self| one.region.clone().unwrap_or_else(|| "no region".to_owned());
        (self.region != other.region)
            .then(|| format!("it is in {}, and {} in {}", region(self), other.id, region(other)))
    }
}

/// Why the choice fell on `chosen` and not on `one`.
pub(super) fn lost(basis: Basis, one: &Seen, chosen: &Seen, tried: bool) -> String {
    if tried {
        return "it was tried for this request already".to_owned();
    }
    let id = &chosen.id;
    if let (Some(own), Some(others)) = (one.priority, chosen.priority)
        && own != others
    {
        return format!("the request was drawn for priority {others}, and its own is {own}");
    }
    if basis.near
        && let Some(place) = one.elsewhere(chosen)
    {
        return place;
    }
    let plain = one.plain && chosen.plain;
    if let (false, Some(own), Some(others)) = (plain, &one.appraisal, &chosen.appraisal) {
        return outbid(own, others, id);
    }
    let (otherwise, aspects) = match basis.choice {
        Choice::Turns(aspects) => (format!("the turn is {id}'s"), aspects),
        Choice::Chance => (format!("the draw fell on {id}"), &[][..]),
        Choice::Key => (format!("the key belongs to {id}"), &[][..]),
        Choice::Compares(aspects) => (
            format!("nothing that the strategy looks at speaks against it: the draw fell on {id}"),
            aspects,
        ),
    };
    let behind: Vec<String> = aspects
        .iter()
        .filter_map(|aspect| one.behind(chosen, *aspect))
        .collect();
    match (basis.choice, behind.is_empty()) {
        (_, true) => otherwise,
        (Choice::Turns(_), false) => format!("{otherwise}; it has fewer: {}", behind.join("; ")),
        (_, false) => behind.join("; "),
    }
}

/// Why who costs `own` lost to `id`, which costs `chosen`.
fn outbid(own: &Appraisal, chosen: &Appraisal, id: &str) -> String {
    if own.cost > chosen.cost {
        return format!(
            "its cost is {:.2} ({}), and {id}'s {:.2} ({})",
            own.cost, own.why, chosen.cost, chosen.why
        );
    }
    if own.cost == chosen.cost {
        return format!(
            "it costs as much as {id}, {:.2} ({}): the draw fell on {id}",
            own.cost, own.why
        );
    }
    format!(
        "it costs less now, {:.2} ({}), and was not drawn to be compared, or compared by an older note",
        own.cost, own.why
    )
}
