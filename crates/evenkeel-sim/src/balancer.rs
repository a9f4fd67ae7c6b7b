//! Who picks: the real balancer, or a rule to compare it with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use evenkeel_config::{NameText, ServersFile, Service, StrategyFile, nearest};
use evenkeel_core::{
    Calibration, Evidence, Instance, InstanceError, InstanceId, Lease, LoadReport, Nanos, Operation, Outcome,
    PickContext, PickRequest, RetryBudget, Rng, ServiceState, ShadowCounts, Slot, StrategyName, Weight,
};

use crate::rules::{Ended, ProbeAnswer, Rule, RuleContext, RuleName};
use crate::server::Report;

/// By what a run picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// A strategy of the balancer; with the settings of the scenario where that has it, else the default ones.
    Strategy(StrategyName),
    /// A rule that only the simulator has.
    Rule(RuleName),
}

/// There is no such strategy or rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no strategy `{name}`{near}\n = these are: {known}", name = .0, near = near(.0), known = known().join(", "))]
pub struct UnknownPolicy(String);

fn known() -> Vec<&'static str> {
    let strategies = StrategyName::ALL.iter().map(|name| name.as_str());
    let rules = RuleName::ALL.iter().map(|name| name.as_str());
    strategies.chain(rules).collect()
}

fn near(name: &str) -> String {
    nearest(name, &known()).map_or_else(String::new, |near| format!(": did you mean `{near}`?"))
}

impl Policy {
    /// The name users write.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Strategy(name) => name.as_str(),
            Self::Rule(rule) => rule.as_str(),
        }
    }
}

impl std::str::FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        if let Ok(strategy) = name.parse::<StrategyName>() {
            return Ok(Self::Strategy(strategy));
        }
        let rule = RuleName::ALL.iter().find(|rule| rule.as_str() == name);
        rule.map(|rule| Self::Rule(*rule))
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

/// An attempt that was sent.
#[derive(Debug)]
pub(crate) enum Sent {
    Leased(Lease),
    Ruled(u32),
}

/// One client with its balancer.
#[derive(Debug)]
pub(crate) struct Balancer {
    kind: Kind,
    pub(crate) budget: Arc<RetryBudget>,
    /// Requests so far.
    pub(crate) requests: u64,
    pub(crate) region: Option<Arc<str>>,
    /// When its writer is due, by the last plan.
    due: Nanos,
}

#[derive(Debug)]
enum Kind {
    Real(Box<Real>),
    Rule(Box<dyn Rule>, Rng),
}

#[derive(Debug)]
struct Real {
    state: ServiceState,
    cx: PickContext,
}

/// The number of a server as the address of its instance, so that a lease leads back to it.
fn address(server: usize) -> SocketAddr {
    SocketAddr::from(((server as u32).wrapping_add(1 << 24).to_be_bytes(), 80))
}

fn server_at(address: SocketAddr) -> u32 {
    match address.ip() {
        IpAddr::V4(ip) => u32::from(ip).wrapping_sub(1 << 24),
        IpAddr::V6(_) => 0,
    }
}

/// The id of a server.
pub(crate) fn id(server: usize) -> Result<InstanceId, InstanceError> {
    InstanceId::new(&format!("server-{server}"))
}

fn instance(server: usize, spec: &ServersFile) -> Result<Instance, InstanceError> {
    Ok(Instance {
        weight: Weight::new(spec.weight.map_or(1, u32::from).into())?,
        priority: spec.priority.map_or(0, Into::into),
        region: spec.region.as_deref().map(Into::into),
        zone: spec.zone.as_deref().map(Into::into),
        ..Instance::new(&format!("server-{server}"), address(server))?
    })
}

impl Balancer {
    /// With the servers that are there at the start.
    pub(crate) fn new(
        policy: &Policy,
        service: &Service,
        servers: &[ServersFile],
        clients: usize,
        region: Option<&str>,
        rng: &mut Rng,
    ) -> Result<Self, InstanceError> {
        let seeds = (rng.next_u64(), rng.next_u64());
        let kind = match policy {
            Policy::Strategy(strategy) => {
                let mut service = service.clone();
                if service.strategy.name.0 != *strategy {
                    service.strategy = StrategyFile {
                        name: NameText(*strategy),
                        ..StrategyFile::default()
                    };
                }
                let settings = service.settings(None);
                let present = servers.iter().enumerate();
                let present =
                    present.filter(|(_, spec)| spec.joins.is_none_or(|joins| joins.0 == Nanos::ZERO));
                let instances: Result<Vec<Instance>, _> =
                    present.map(|(server, spec)| instance(server, spec)).collect();
                Kind::Real(Box::new(Real {
                    state: ServiceState::new(settings, instances?, seeds.0, Nanos::ZERO)?,
                    cx: PickContext::new(seeds.1),
                }))
            }
            Policy::Rule(rule) => Kind::Rule(rule.rule(servers.len(), clients), Rng::new(seeds.1)),
        };
        Ok(Self {
            kind,
            budget: Arc::default(),
            requests: 0,
            region: region.map(Into::into),
            due: Nanos::MAX,
        })
    }

    /// Sends a request; `None` when there is nobody to send to.
    pub(crate) fn pick(&mut self, asked: &Asked<'_>, probes: &mut Vec<u32>) -> Option<(Sent, u32)> {
        match &mut self.kind {
            Kind::Real(real) => {
                real.cx.now = asked.now;
                let view = real.state.view();
                let request = PickRequest {
                    tried: asked.tried,
                    // As in the proxy: nobody reads one that the strategy does not ask for.
                    key: asked.key.filter(|_| view.request_key().is_some()).map(Into::into),
                    region: self.region.as_deref(),
                };
                let lease = view.pick(&request, &mut real.cx).ok()?;
                let server = server_at(lease.member().instance().address);
                Some((Sent::Leased(lease), server))
            }
            Kind::Rule(rule, rng) => {
                let server = rule.pick(&mut RuleContext {
                    now: asked.now,
                    rng,
                    servers: asked.present,
                    tried: asked.tried_servers,
                    in_flight: asked.in_flight,
                    probes,
                })?;
                rule.started(server);
                Some((Sent::Ruled(server), server))
            }
        }
    }

    /// Whether there is anybody for another try; by a rule, whoever is registered.
    pub(crate) fn has_others(&self, tried: &[Slot], tried_servers: &[u32], present: &[u32]) -> bool {
        match &self.kind {
            Kind::Real(real) => real.state.view().has_others(tried, |_| true),
            Kind::Rule(..) => present.iter().any(|server| !tried_servers.contains(server)),
        }
    }

    /// An attempt ended. True when the writer must be told.
    pub(crate) fn end(&mut self, sent: Sent, outcome: &Outcome, report: Option<Report>, now: Nanos) -> bool {
        match (sent, &mut self.kind) {
            (Sent::Leased(lease), _) => {
                if let Some(report) = report.filter(|report| report.carried).and_then(orca) {
                    lease
                        .member()
                        .stats()
                        .reported()
                        .observe(&report.0, report.1, now);
                }
                lease.finish(outcome, now).is_some()
            }
            (Sent::Ruled(server), Kind::Rule(rule, _)) => {
                rule.ended(&Ended {
                    server,
                    now,
                    took: outcome.response_time.unwrap_or(Nanos::ZERO),
                    report,
                });
                false
            }
            (Sent::Ruled(_), Kind::Real(_)) => false,
        }
    }

    pub(crate) fn answered(&mut self, server: u32, answer: ProbeAnswer, now: Nanos) {
        if let Kind::Rule(rule, rng) = &mut self.kind {
            rule.answered(server, answer, now, rng);
        }
    }

    pub(crate) fn polls_every(&self) -> Option<Nanos> {
        match &self.kind {
            Kind::Real(_) => None,
            Kind::Rule(rule, _) => rule.polls_every(),
        }
    }

    /// Lets the writer do what time demands.
    pub(crate) fn tick(&mut self, now: Nanos) {
        if let Kind::Real(real) = &mut self.kind {
            real.state.tick(now);
        }
    }

    /// When the writer is due, if that is sooner than was planned; `now` forgets the plan.
    pub(crate) fn due(&mut self, now: Nanos) -> Option<Nanos> {
        let Kind::Real(real) = &self.kind else { return None };
        if self.due <= now {
            self.due = Nanos::MAX;
        }
        let due = real.state.next_deadline();
        if due == Nanos::MAX {
            return None;
        }
        let due = due.max(now + Nanos(1));
        (due < self.due).then(|| {
            self.due = due;
            due
        })
    }

    pub(crate) fn observe(&mut self, evidence: Evidence, now: Nanos) {
        if let Kind::Real(real) = &mut self.kind {
            real.state.apply(evidence, now);
        }
    }

    /// Whether its instances are checked.
    pub(crate) fn is_real(&self) -> bool {
        matches!(self.kind, Kind::Real(_))
    }

    pub(crate) fn joins(
        &mut self,
        server: usize,
        spec: &ServersFile,
        now: Nanos,
    ) -> Result<(), InstanceError> {
        let instance = instance(server, spec)?;
        self.operate(Operation::Register(instance), now);
        Ok(())
    }

    pub(crate) fn leaves(&mut self, server: usize, now: Nanos) -> Result<(), InstanceError> {
        self.operate(Operation::Deregister(id(server)?), now);
        Ok(())
    }

    pub(crate) fn drains(&mut self, server: usize, drains: bool, now: Nanos) -> Result<(), InstanceError> {
        let id = id(server)?;
        let operation = if drains {
            let why = "it is about to go".into();
            Operation::Drain { id, why }
        } else {
            Operation::Undrain(id)
        };
        self.operate(operation, now);
        Ok(())
    }

    /// The operations of a scenario fit its servers: a refusal would only say that one is gone already.
    fn operate(&mut self, operation: Operation, now: Nanos) {
        if let Kind::Real(real) = &mut self.kind {
            let _ = real.state.operate(operation, now);
        }
    }

    /// How good its predictions were.
    pub(crate) fn calibration(&self) -> Option<Calibration> {
        match &self.kind {
            Kind::Real(real) => Some(real.state.counters().calibration()),
            Kind::Rule(..) => None,
        }
    }

    /// Transitions since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<evenkeel_core::Event> {
        match &mut self.kind {
            Kind::Real(real) => real.state.take_events(),
            Kind::Rule(..) => Vec::new(),
        }
    }

    /// The shadow strategy with what came of asking it.
    pub(crate) fn shadow(&self) -> Option<(StrategyName, ShadowCounts)> {
        match &self.kind {
            Kind::Real(real) => real.state.view().shadow(),
            Kind::Rule(..) => None,
        }
    }

    /// The score of each server that is registered.
    pub(crate) fn scores(&self, mut each: impl FnMut(u32, f32)) {
        if let Kind::Real(real) = &self.kind {
            for (_, member, _) in real.state.view().members() {
                each(server_at(member.instance().address), member.stats().health());
            }
        }
    }
}

/// What is asked of a balancer.
pub(crate) struct Asked<'a> {
    pub(crate) now: Nanos,
    pub(crate) tried: &'a [Slot],
    pub(crate) tried_servers: &'a [u32],
    pub(crate) key: Option<u64>,
    /// The servers that are registered.
    pub(crate) present: &'a [u32],
    pub(crate) in_flight: &'a dyn Fn(u32) -> u32,
}

/// As a load report, and the time it speaks of.
fn orca(report: Report) -> Option<(LoadReport, Nanos)> {
    let load = match report.memory {
        Some(memory) => LoadReport::default().with_memory(memory.min(1.0)),
        None => Ok(LoadReport::default()),
    };
    let load = load
        .and_then(|load| load.with_cpu(report.cpu.min(100.0)))
        .and_then(|load| load.with_requests_per_second(report.requests_per_second))
        .and_then(|load| load.with_errors_per_second(report.errors_per_second));
    load.ok().map(|load| (load, report.observed))
}
