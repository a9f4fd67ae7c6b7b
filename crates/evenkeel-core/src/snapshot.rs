//! What is known of an instance at one time: for programs, for the admin API and for explanations.

use std::sync::Arc;
use std::time::Duration;

use crate::view::{Member, Slot, Status, View};
use crate::{
    BreakerState, Exclusion, HealthParts, Instance, InstanceState, LoadReport, Nanos, Outlook, Source, Stats,
};

/// One instance at one time: as it was registered, its health, and what its requests came to. Times are ages.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InstanceSnapshot {
    /// As it was registered.
    pub instance: Instance,
    /// Its place in the service.
    pub slot: Slot,
    /// Who declared it.
    pub source: Source,
    /// Its state.
    pub state: InstanceState,
    /// For how long it has been in that state.
    pub since: Duration,
    /// Why, in words and numbers.
    pub reason: Arc<str>,
    /// For how long its requests will keep it out, also behind failing checks; `None` when they do not.
    pub ejected_for: Option<Duration>,
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
    /// What keeps it from being chosen; `None` for a candidate.
    pub excluded: Option<Exclusion>,
    /// The score of its health, 0 to 1.
    pub score: f32,
    /// What the score is made of.
    pub parts: HealthParts,
    /// Smoothed share of successes among about the last sixteen requests, 0 to 1.
    pub success_share: f32,
    /// The part of its weight that it gets at present, 0 to 1; 0 for who is no candidate.
    pub share: f64,
    /// What is foreseen of it; `None` while nothing is known, and without predictions.
    pub predicted: Option<Outlook>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Smoothed time to the head of a response; failures can raise it, but neither lower it nor be its first. `None`
    /// before the first.
    pub response_time: Option<Duration>,
    /// How recent response times are spread; `None` before the first.
    pub quantiles: Option<Quantiles>,
    /// What its requests came to.
    pub counts: RequestCounts,
    /// How long ago it was last picked; `None` when it never was.
    pub last_used: Option<Duration>,
    /// What it last said of its own load, and what that is still worth, 0 to 1.
    pub reported: Option<(LoadReport, f32)>,
    /// How long ago it said that.
    pub reported_ago: Option<Duration>,
}

/// Response times that so many of the recent responses stayed within: those of the last half minute, and of the last
/// few where there were fewer. Failures are among them, so an instance that fails fast looks fast here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of them.
    pub p50: Duration,
    /// 90 %.
    pub p90: Duration,
    /// 99 %.
    pub p99: Duration,
}

/// What the requests of an instance came to, since it was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// Times it was picked; those that the four below do not have are in flight.
    pub picks: u64,
    /// Requests that succeeded.
    pub successes: u64,
    /// Requests that failed through its fault.
    pub failures: u64,
    /// Requests that it was too busy for (408, 429).
    pub throttled: u64,
    /// Requests that ended without saying anything about it.
    pub cancelled: u64,
    /// Failures in a row up to now.
    pub consecutive_failures: u32,
}

impl RequestCounts {
    fn of(stats: &Stats) -> Self {
        Self {
            picks: stats.picks(),
            successes: stats.successes(),
            failures: stats.failures(),
            throttled: stats.throttled(),
            cancelled: stats.cancelled(),
            consecutive_failures: stats.consecutive_failures(),
        }
    }
}

impl InstanceSnapshot {
    /// All instances of `view` at `now`, in slot order.
    pub fn all(view: &View, now: Nanos) -> impl Iterator<Item = Self> + '_ {
        let members = view.members();
        members.map(move |(slot, member, status)| Self::of(view, slot, member, status, now))
    }

    /// The member of `view` at `slot`, at `now`. O(log n).
    #[must_use]
    pub fn of(view: &View, slot: Slot, member: &Member, status: &Status, now: Nanos) -> Self {
        let stats = member.stats();
        let candidate = view.candidates().slots().binary_search(&slot);
        let quantile = |q| stats.response_times().quantile(q).map(Nanos::as_duration);
        let ago = |then: Nanos| now.since(then).as_duration();
        let reported = stats.reported().get(now);
        Self {
            instance: member.instance().clone(),
            slot,
            source: status.source,
            state: status.state,
            since: ago(status.since),
            reason: Arc::clone(&status.reason),
            ejected_for: status.ejected_until.map(|until| until.since(now).as_duration()),
            breaker: status.breaker,
            excluded: status.excluded,
            score: stats.health(),
            parts: stats.health_parts(),
            success_share: stats.success_share(),
            share: candidate.map_or(0.0, |index| view.candidates().share(index).as_f64()),
            predicted: stats.outlook(),
            in_flight: member.load().get(),
            response_time: stats.response_time().map(|(time, _)| time.as_duration()),
            quantiles: quantile(0.5)
                .zip(quantile(0.9))
                .zip(quantile(0.99))
                .map(|((p50, p90), p99)| Quantiles { p50, p90, p99 }),
            counts: RequestCounts::of(stats),
            last_used: (stats.picks() > 0).then(|| ago(stats.last_used())),
            reported_ago: reported.and(stats.reported().observed()).map(ago),
            reported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceSettings, ServiceState};

    #[test]
    fn a_report_comes_with_its_age_until_it_expires() {
        let at = Nanos::from_secs(1000);
        let instance = Instance::new("a", ([127, 0, 0, 1], 1).into()).unwrap();
        let state = ServiceState::new(ServiceSettings::new("web"), vec![instance], 1, at).unwrap();
        let known = |seconds| InstanceSnapshot::all(state.view(), at + Nanos::from_secs(seconds)).next();
        let ago = |seconds| known(seconds).unwrap().reported_ago;
        assert_eq!(ago(0), None);
        let report = LoadReport::default().with_cpu(0.5).unwrap();
        let (_, member, _) = state.view().members().next().unwrap();
        assert!(member.stats().reported().observe(&report, at, at));
        assert_eq!(ago(7), Some(Duration::from_secs(7)));
        let expired = known(180).unwrap();
        assert_eq!((expired.reported, expired.reported_ago), (None, None));
    }
}
