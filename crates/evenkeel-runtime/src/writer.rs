//! The writer of a service: one task that owns the state machine, takes in evidence in order and
//! alone publishes views.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{CheckOutcome, Evidence, InstanceError, InstanceId, Nanos, ServiceState};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::checks::{self, CheckPlan, Lanes};
use crate::clock::Clock;
use crate::events::EventLog;
use crate::service::Service;
use crate::spec::ServiceSpec;

/// Messages a writer may lag behind. When it does, the checker and replacements wait.
pub(crate) const INBOX: usize = 1024;
/// The longest sleep; a tick too many costs nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// The shortest one, so that a deadline that does not move cannot spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// What a writer is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// An active check ended.
    Check(CheckResult),
    /// New settings and instances.
    Replace {
        /// What to run from now on; validated.
        spec: Box<ServiceSpec>,
        /// Told when it is in force.
        done: oneshot::Sender<Result<(), InstanceError>>,
    },
}

/// The result of one active check.
#[derive(Debug)]
pub(crate) struct CheckResult {
    pub(crate) id: InstanceId,
    /// The instance's address when the check was sent: another one means another instance.
    pub(crate) address: SocketAddr,
    /// When the check was sent.
    pub(crate) observed: Nanos,
    pub(crate) outcome: CheckOutcome,
}

/// What all writers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) events: EventLog,
    pub(crate) lanes: Lanes,
}

pub(crate) struct Writer {
    service: Arc<Service>,
    shared: Arc<Shared>,
    state: ServiceState,
    seed: u64,
    addresses: HashMap<InstanceId, SocketAddr>,
    plan: watch::Sender<CheckPlan>,
    inbox: mpsc::Receiver<Message>,
    /// For checkers to come; also keeps the inbox open.
    results: mpsc::Sender<Message>,
    /// Dropped when the task ends.
    _alive: mpsc::Sender<()>,
}

impl Writer {
    pub(crate) fn new(
        service: Arc<Service>,
        shared: Arc<Shared>,
        state: ServiceState,
        spec: &ServiceSpec,
        seed: u64,
        (results, inbox): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
        alive: mpsc::Sender<()>,
    ) -> Self {
        Self {
            service,
            shared,
            state,
            seed,
            addresses: addresses(spec),
            plan: watch::Sender::new(CheckPlan::new(spec)),
            inbox,
            results,
            _alive: alive,
        }
    }

    /// Runs until the task is aborted.
    pub(crate) async fn run(mut self) {
        self.publish();
        self.start_checker(Duration::ZERO);
        loop {
            let wait = self.until_deadline();
            tokio::select! {
                Some(message) = self.inbox.recv() => self.receive(message),
                () = self.service.alarmed() => self.step(|state, now| state.apply(Evidence::Alarm, now)),
                () = sleep(wait) => self.step(|_, _| ()),
                () = self.plan.closed() => {
                    let service = &**self.service.name();
                    tracing::error!(service, "the checker stopped unexpectedly; it is started again");
                    self.start_checker(Duration::from_secs(1));
                }
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Check(result) => {
                // A result that was under way while its instance was replaced speaks of another one.
                if self.addresses.get(&result.id) != Some(&result.address) {
                    return;
                }
                let passed = result.outcome == CheckOutcome::Passed;
                self.service.metrics().record_check(passed);
                let evidence = Evidence::Check {
                    id: result.id,
                    observed: result.observed,
                    outcome: result.outcome,
                };
                self.step(|state, now| state.apply(evidence, now));
            }
            Message::Replace { spec, done } => {
                let (settings, instances) = (spec.settings.clone(), spec.instances.clone());
                let mut replaced = Ok(());
                self.step(|state, now| replaced = state.replace(settings, instances, now));
                if replaced.is_ok() {
                    self.addresses = addresses(&spec);
                    self.plan.send_replace(CheckPlan::new(&spec));
                }
                // Whoever asked may have gone; the replacement stands.
                let _ = done.send(replaced);
            }
        }
    }

    /// Lets `input` change the state, then does what time demands and publishes the result.
    fn step(&mut self, input: impl FnOnce(&mut ServiceState, Nanos)) {
        let now = self.shared.clock.now();
        let state = &mut self.state;
        let done = catch_unwind(AssertUnwindSafe(|| {
            input(state, now);
            if now >= state.next_deadline() {
                state.tick(now);
            }
        }));
        if done.is_err() {
            self.rebuild(now);
        }
        self.publish();
    }

    /// After a panic in the state machine: starts anew with the members last published. Their health
    /// and counters start anew too; other services notice nothing.
    fn rebuild(&mut self, now: Nanos) {
        let service = &**self.service.name();
        tracing::error!(service, "a bug: its state machine panicked; starting it anew");
        let view = self.service.view_full();
        let instances = view.members().map(|(_, m, _)| m.instance().clone()).collect();
        match ServiceState::new(self.state.settings().clone(), instances, self.seed, now) {
            Ok(state) => self.state = state,
            Err(error) => tracing::error!(service, %error, "it keeps its last view"),
        }
    }

    fn publish(&mut self) {
        self.service.publish(self.state.view());
        for event in self.state.take_events() {
            self.shared.events.publish(event);
        }
    }

    fn until_deadline(&self) -> Duration {
        let wait = self.state.next_deadline().since(self.shared.clock.now());
        wait.as_duration().clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }

    fn start_checker(&self, delay: Duration) {
        let checker = checks::Checker::new(
            Arc::clone(&self.service),
            Arc::clone(&self.shared),
            self.plan.subscribe(),
            self.results.clone(),
            self._alive.clone(),
            self.seed,
        );
        tokio::spawn(async move {
            if !delay.is_zero() {
                sleep(delay).await;
            }
            checker.run().await;
        });
    }
}

fn addresses(spec: &ServiceSpec) -> HashMap<InstanceId, SocketAddr> {
    spec.instances
        .iter()
        .map(|instance| (instance.id.clone(), instance.address))
        .collect()
}
