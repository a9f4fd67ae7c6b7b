//! Each rule of the state machine on its own, with injected time.

use std::net::SocketAddr;

use super::*;
use crate::{CheckFailure, InstanceState, NoPick, Outcome, PickContext, PickRequest, Slot, Weight};

mod borders;
mod fallback;
mod health;
mod membership;
mod operations;
mod sessions;
mod stages;
mod suits;

fn settings() -> ServiceSettings {
    ServiceSettings {
        strategy: crate::StrategyName::round_robin.into(),
        checks: Some(CheckThresholds::default()),
        ..ServiceSettings::new("web")
    }
}

fn instance(id: &str, port: u16) -> Instance {
    Instance::new(id, SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
}

/// `n` instances a, b, c, …
fn fleet(n: u16) -> Vec<Instance> {
    (0..n)
        .map(|i| instance(&char::from(b'a' + i as u8).to_string(), 9000 + i))
        .collect()
}

/// A service and the time of its driver.
struct Rig {
    state: ServiceState,
    now: Nanos,
}

impl Rig {
    fn new(settings: ServiceSettings, instances: Vec<Instance>) -> Self {
        let now = Nanos::from_secs(1000);
        let state = ServiceState::new(settings, instances, 7, now).unwrap();
        Self { state, now }
    }

    fn of(n: u16) -> Self {
        Self::new(settings(), fleet(n))
    }

    fn member(&self, id: &str) -> Arc<crate::Member> {
        let view = self.state.view();
        let mut members = view.members();
        let found = members.find(|(_, m, _)| m.instance().id.as_str() == id);
        Arc::clone(found.unwrap().1)
    }

    fn slot(&self, id: &str) -> Slot {
        let mut members = self.state.view().members();
        let found = members.find(|(_, m, _)| m.instance().id.as_str() == id);
        found.unwrap().0
    }

    fn status(&self, id: &str) -> crate::Status {
        let mut members = self.state.view().members();
        let found = members.find(|(_, m, _)| m.instance().id.as_str() == id);
        found.unwrap().2.clone()
    }

    fn state(&self, id: &str) -> &'static str {
        self.status(id).state.as_str()
    }

    /// Ends `n` requests to `id`, and alarms like a worker would.
    fn outcomes(&mut self, id: &str, n: u32, outcome: Outcome) {
        for _ in 0..n {
            self.member(id).stats().on_start(self.now);
            if self.member(id).stats().on_end(&outcome, self.now) {
                self.state.apply(Evidence::Alarm, self.now);
            }
        }
    }

    fn fail(&mut self, id: &str, n: u32) {
        self.outcomes(id, n, Outcome::failed(Nanos::from_millis(1)));
    }

    fn succeed(&mut self, id: &str, n: u32) {
        self.outcomes(id, n, Outcome::from_status(200, Nanos::from_millis(1)));
    }

    fn check(&mut self, id: &str, passed: bool) {
        let outcome = if passed {
            CheckOutcome::Passed
        } else {
            CheckOutcome::Failed(CheckFailure("connection refused".into()))
        };
        let id = InstanceId::new(id).unwrap();
        let observed = self.now;
        let evidence = Evidence::Check {
            id,
            observed,
            outcome,
            connected: None,
        };
        self.state.apply(evidence, self.now);
    }

    fn wait(&mut self, time: Nanos) {
        self.now = self.now + time;
        self.state.tick(self.now);
    }

    /// Waits until an ejected instance returns.
    fn wait_for_return(&mut self, id: &str) {
        if let InstanceState::Ejected { until } = self.status(id).state {
            self.wait(until.since(self.now));
        }
    }

    fn replace(&mut self, settings: ServiceSettings, instances: Vec<Instance>) {
        self.state.replace(settings, instances, self.now).unwrap();
    }

    /// Ids of the candidates.
    fn candidates(&self) -> String {
        let candidates = self.state.view().candidates();
        let members = candidates.slots().iter().map(|s| candidates.member(*s).unwrap());
        members.map(|m| m.instance().id.to_string()).collect()
    }

    /// Events since the last call as "id kind" or "kind".
    fn events(&mut self) -> Vec<String> {
        let events = self.state.take_events();
        let words = events.iter().map(|e| match &e.instance {
            Some(id) => format!("{id} {}", e.kind.as_str()),
            None => e.kind.as_str().to_owned(),
        });
        words.collect()
    }
}
