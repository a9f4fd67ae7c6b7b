//! The writer of a service: one task that owns the state machine, takes in evidence in order and
//! alone publishes views.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{
    CheckOutcome, Effect, Evidence, Input, Instance, InstanceError, InstanceId, InstanceState, Nanos,
    Operation, OperationError, ServiceSettings, ServiceState, Source, View,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::checks::{self, CheckPlan, Lanes, Targets};
use crate::clock::Clock;
use crate::events::EventLog;
use crate::log::Log;
use crate::service::Service;
use crate::spec::{CheckSettings, ServiceSpec};

#[cfg(test)]
mod tests;

/// Messages a writer may lag behind. When it does, the checker and replacements wait.
pub(crate) const INBOX: usize = 4096;
/// Messages taken in at once: all there are, so that a rest leaves no backlog behind.
const BATCH: usize = INBOX;
/// How many times as long as it learnt a writer rests: it takes a tenth of a core at most, however many
/// instances change state how fast. For a hundred instances a rest is too short to be taken, for ten
/// thousand about 20 ms.
const REST: u32 = 9;
/// The longest rest per instance: several times what a sound machine needs. On a busy one time passes
/// while others run, and the writer of a few instances must not rest for that.
const REST_PER_INSTANCE: Duration = Duration::from_micros(10);
/// The longest rest of all.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// How long a checker that panicked pauses, so that a bug cannot spin.
const CHECKER_PAUSE: Duration = Duration::from_secs(1);
/// The longest sleep; a tick too many costs nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// The shortest one, so that a deadline that does not move cannot spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// Whoever waits for what an operation comes to.
type Asker = oneshot::Sender<Result<Effect, OperationError>>;

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
    /// A change from outside the configuration.
    Operate {
        /// What.
        operation: Box<Operation>,
        /// Told what it came to when the view is published.
        done: Asker,
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
    /// How long connecting took, if that succeeded.
    pub(crate) connected: Option<Nanos>,
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
    log: Log,
    seed: u64,
    check: Option<Arc<CheckSettings>>,
    /// As of the published view.
    addresses: HashMap<InstanceId, SocketAddr>,
    plan: watch::Sender<CheckPlan>,
    inbox: mpsc::Receiver<Message>,
    /// For checkers to come; also keeps the inbox open.
    results: mpsc::Sender<Message>,
    /// Dropped when the task ends.
    alive: mpsc::Sender<()>,
    /// Since the last rest.
    learnt_for: Duration,
}

impl Writer {
    pub(crate) fn new(
        service: Arc<Service>,
        shared: Arc<Shared>,
        state: ServiceState,
        spec: &ServiceSpec,
        seed: u64,
        inbox: mpsc::Receiver<Message>,
        alive: mpsc::Sender<()>,
    ) -> Self {
        let results = service.inbox().clone();
        let mut writer = Self {
            log: Log::new(Arc::clone(service.name())),
            service,
            shared,
            state,
            seed,
            check: spec.check.clone().map(Arc::new),
            addresses: HashMap::new(),
            plan: watch::Sender::default(),
            inbox,
            results,
            alive,
            learnt_for: Duration::ZERO,
        };
        writer.plan_checks();
        writer
    }

    /// Runs until the task is aborted.
    pub(crate) async fn run(mut self) {
        self.publish();
        self.start_checker(Duration::ZERO);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let rest = rest(std::mem::take(&mut self.learnt_for), self.addresses.len());
            if !rest.is_zero() {
                // What comes meanwhile is taken in together, and makes one view.
                sleep(rest).await;
            }
            let wait = self.until_deadline();
            tokio::select! {
                _ = self.inbox.recv_many(&mut batch, BATCH) => self.receive(batch.drain(..)),
                () = self.service.alarmed() => self.learn(vec![Evidence::Alarm.into()], Vec::new()),
                () = sleep(wait) => self.learn(Vec::new(), Vec::new()),
                () = self.plan.closed() => {
                    let service = &**self.service.name();
                    tracing::error!(service, "the checker stopped unexpectedly; it is started again");
                    self.start_checker(CHECKER_PAUSE);
                }
            }
        }
    }

    /// Takes in messages in their order. Results and operations between two replacements go in together,
    /// so that a hundred transitions at once make one view, not a hundred.
    fn receive(&mut self, messages: impl Iterator<Item = Message>) {
        let mut inputs = Vec::new();
        let mut askers = Vec::new();
        for message in messages {
            match message {
                Message::Check(result) => inputs.extend(self.judge(result)),
                Message::Operate { operation, done } => {
                    inputs.push(Input::Operation(*operation));
                    askers.push(done);
                }
                Message::Replace { spec, done } => {
                    self.learn(std::mem::take(&mut inputs), std::mem::take(&mut askers));
                    // Whoever asked may have gone; the replacement stands.
                    let _ = done.send(self.replace(*spec));
                }
            }
        }
        if !inputs.is_empty() {
            self.learn(inputs, askers);
        }
    }

    /// Turns a result into evidence, unless its instance was replaced while it was under way: then it
    /// speaks of another one. The core drops what was sent before an instance was registered, so operations
    /// that wait beside the result need not be looked at.
    fn judge(&self, result: CheckResult) -> Option<Input> {
        if self.addresses.get(&result.id) != Some(&result.address) {
            return None;
        }
        let passed = result.outcome == CheckOutcome::Passed;
        self.service.metrics().record_check(passed);
        let evidence = Evidence::Check {
            id: result.id,
            observed: result.observed,
            outcome: result.outcome,
            connected: result.connected,
        };
        Some(evidence.into())
    }

    fn replace(&mut self, spec: ServiceSpec) -> Result<(), InstanceError> {
        let (settings, instances) = (spec.settings.clone(), spec.instances.clone());
        let mut replaced = Ok(());
        if !self.step(|state, now| replaced = state.replace(settings, instances, now)) {
            replaced = self.rebuild(spec.settings.clone(), spec.instances.clone());
        }
        replaced?;
        self.check = spec.check.map(Arc::new);
        self.plan_checks();
        self.publish();
        // All was well when the settings were looked at, in the moment before.
        if let Err(error) = self.state.suits() {
            let service = &**self.service.name();
            tracing::warn!(service, %error, "registered while settings changed; it does what it can");
        }
        Ok(())
    }

    /// Tells the checker whom to check how.
    fn plan_checks(&mut self) {
        self.addresses = targets(self.state.view()).collect();
        let targets: Targets = targets(self.state.view()).collect();
        self.plan
            .send_replace(CheckPlan::new(self.check.clone(), targets));
    }

    /// Takes in evidence and operations, does what time demands, publishes the result, and tells `askers` what
    /// their operations came to.
    fn learn(&mut self, inputs: Vec<Input>, askers: Vec<Asker>) {
        let began = self.shared.clock.now();
        let members = Arc::clone(self.state.view().candidates().members());
        let mut outcomes = Vec::new();
        if !self.step(|state, now| outcomes = state.take_in(inputs, now)) {
            let view = self.service.view_full();
            let declared = view.members().filter(|(.., s)| s.source == Source::Configuration);
            let instances = declared.map(|(_, m, _)| m.instance().clone()).collect();
            if let Err(error) = self.rebuild(self.state.settings().clone(), instances) {
                let service = &**self.service.name();
                tracing::error!(service, %error, "it keeps its last view");
            }
        }
        if !Arc::ptr_eq(&members, self.state.view().candidates().members())
            && targets(self.state.view()).collect::<HashMap<_, _>>() != self.addresses
        {
            self.plan_checks();
        }
        self.publish();
        for (asker, outcome) in askers.into_iter().zip(outcomes) {
            // Whoever asked may have gone; what they asked for stands.
            let _ = asker.send(outcome);
        }
        self.learnt_for += self.shared.clock.now().since(began).as_duration();
    }

    /// Changes the state. False when it panicked and is of no use any more.
    fn step(&mut self, change: impl FnOnce(&mut ServiceState, Nanos)) -> bool {
        let now = self.shared.clock.now();
        let state = &mut self.state;
        let done = catch_unwind(AssertUnwindSafe(|| {
            change(state, now);
            if now >= state.next_deadline() {
                state.tick(now);
            }
        }));
        done.is_ok()
    }

    /// After a panic in the state machine: starts anew with these instances and with what was asked for at
    /// runtime: registrations and drains. What was known of their health and the counters beside them start
    /// anew too; other services notice nothing.
    fn rebuild(&mut self, settings: ServiceSettings, instances: Vec<Instance>) -> Result<(), InstanceError> {
        let service = &**self.service.name();
        tracing::error!(service, "a bug: its state machine panicked and starts anew");
        let now = self.shared.clock.now();
        let again = asked_for(&self.service.view(), &instances);
        self.state = ServiceState::new(settings, instances, self.seed, now)?;
        self.state.take_in(again, now);
        Ok(())
    }

    fn publish(&mut self) {
        self.service.publish(self.state.view());
        let now = self.shared.clock.now();
        for event in self.state.take_events() {
            self.log.write(&event, now);
            self.shared.events.publish(event);
        }
        self.log.catch_up(now);
    }

    fn until_deadline(&self) -> Duration {
        let deadline = self.state.next_deadline().min(self.log.deadline());
        let wait = deadline.since(self.shared.clock.now());
        wait.as_duration().clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }

    fn start_checker(&self, delay: Duration) {
        let checker = checks::Checker::new(
            Arc::clone(&self.service),
            Arc::clone(&self.shared),
            self.plan.subscribe(),
            self.results.clone(),
            self.alive.clone(),
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

/// The rest after this much work; none when timers could not tell it from nothing.
fn rest(worked: Duration, instances: usize) -> Duration {
    let longest = REST_PER_INSTANCE.saturating_mul(u32::try_from(instances).unwrap_or(u32::MAX));
    let rest = (worked * REST).min(longest).min(LONGEST_REST);
    if rest < SHORTEST_SLEEP {
        Duration::ZERO
    } else {
        rest
    }
}

fn targets(view: &View) -> impl Iterator<Item = (InstanceId, SocketAddr)> {
    let instances = view.members().map(|(_, member, _)| member.instance());
    instances.map(|instance| (instance.id.clone(), instance.address))
}

/// The operations that lead from `declared` to the registrations and drains of `view`.
fn asked_for(view: &View, declared: &[Instance]) -> Vec<Input> {
    let declared: HashSet<_> = declared.iter().map(|instance| &instance.id).collect();
    let mut operations = Vec::new();
    for (_, member, status) in view.members() {
        let instance = member.instance();
        let registered = status.source == Source::Registration && !declared.contains(&instance.id);
        if registered {
            operations.push(Operation::Register(instance.clone()).into());
        }
        if status.state == InstanceState::Draining && (registered || declared.contains(&instance.id)) {
            let (id, why) = (instance.id.clone(), Arc::clone(&status.reason));
            operations.push(Operation::Drain { id, why }.into());
        }
    }
    operations
}
