//! Why a service does what it does, for people and programs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{
    Exclusion, HealthParts, Instance, InstanceId, InstanceState, LoadReport, Member, Nanos, NoPick,
    PickRequest, Slot, Status, StrategyName, View,
};
use evenkeel_runtime::Service;

use crate::context;

/// One moment of a service: all its instances, who may be chosen and why the others may not, and what a pick would
/// choose. `Display` writes it as a table.
///
/// Looking changes nothing but one thing: a strategy that goes in turns takes its next turn when it is asked what it
/// would choose.
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
    /// In slot order.
    pub instances: Vec<ExplainedInstance>,
    /// What a pick would choose now.
    pub choice: Result<InstanceId, NoPick>,
}

/// What is known of an instance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExplainedInstance {
    /// As it was registered.
    pub instance: Instance,
    /// Its place in the service.
    pub slot: Slot,
    /// Its state.
    pub state: InstanceState,
    /// For how long it has been in that state.
    pub since: Duration,
    /// Why, in words and numbers.
    pub reason: Arc<str>,
    /// What keeps it from being chosen; `None` for a candidate.
    pub excluded: Option<Exclusion>,
    /// The score of its health, 0 to 1.
    pub score: f32,
    /// What the score is made of.
    pub parts: HealthParts,
    /// The part of its weight that it gets at present, 0 to 1; 0 for who is no candidate.
    pub share: f64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Smoothed time to the head of a response; `None` before the first.
    pub response_time: Option<Duration>,
    /// Requests that ended well, and that failed.
    pub counts: (u64, u64),
    /// What it last said of its own load, and what that is still worth, 0 to 1.
    pub reported: Option<(LoadReport, f32)>,
}

impl Explanation {
    pub(crate) fn new(service: &Service, request: &PickRequest<'_>, now: Nanos) -> Self {
        let view = service.view_full();
        let slot = context::with(now, |cx| view.choose(request, cx));
        let choice = slot.and_then(|slot| {
            let member = view.candidates().member(slot).ok_or(NoPick::NoneEligible)?;
            Ok(member.instance().id.clone())
        });
        let members = view.members();
        let instances = members.map(|(slot, member, status)| explain(&view, slot, member, status, now));
        Self {
            service: Arc::clone(service.name()),
            strategy: view.strategy(),
            version: view.version(),
            fallback: view.is_fallback(),
            instances: instances.collect(),
            choice,
        }
    }

    /// The instance of this id.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&ExplainedInstance> {
        self.instances.iter().find(|one| one.instance.id.as_str() == id)
    }
}

fn explain(view: &View, slot: Slot, member: &Member, status: &Status, now: Nanos) -> ExplainedInstance {
    let stats = member.stats();
    let candidate = view.candidates().slots().binary_search(&slot).ok();
    ExplainedInstance {
        instance: member.instance().clone(),
        slot,
        state: status.state,
        since: now.since(status.since).as_duration(),
        reason: Arc::clone(&status.reason),
        excluded: status.excluded,
        score: stats.health(),
        parts: stats.health_parts(),
        share: candidate.map_or(0.0, |index| view.candidates().share(index).as_f64()),
        in_flight: member.load().get(),
        response_time: stats.response_time().map(|(time, _)| time.as_duration()),
        counts: (stats.successes(), stats.failures()),
        reported: stats.reported().get(now),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fallback = match self.fallback {
            true => ", too few are healthy: checks have no say",
            false => "",
        };
        writeln!(
            f,
            "service {} by {}{fallback}\n{:<24} {:<10} {:<10} {:>5} {:>5} {:>9} {:>11}  reason",
            self.service,
            self.strategy,
            "instance",
            "state",
            "chosen",
            "score",
            "share",
            "in flight",
            "response"
        )?;
        for one in &self.instances {
            let id = one.instance.id.as_str();
            let chosen = match one.excluded {
                Some(stage) => stage.as_str(),
                None if self
                    .choice
                    .as_ref()
                    .is_ok_and(|choice| *choice == one.instance.id) =>
                {
                    "now"
                }
                None => "may be",
            };
            let response = one.response_time.map_or("-".to_owned(), |time| {
                format!("{:.1} ms", time.as_secs_f64() * 1e3)
            });
            writeln!(
                f,
                "{id:<24} {:<10} {chosen:<10} {:>5.2} {:>5.2} {:>9} {response:>11}  {}",
                one.state.as_str(),
                one.score,
                one.share,
                one.in_flight,
                one.reason
            )?;
        }
        match &self.choice {
            Ok(id) => write!(f, "a pick would choose {id}"),
            Err(why) => write!(f, "a pick would find nobody: {why}"),
        }
    }
}
