//! Active checks: one task per service that knows when which instance is due, and a short-lived task
//! per check under way. An instance that waits costs an entry in a heap.

mod probe;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_core::{CheckFailure, CheckOutcome, InstanceId, Nanos, Rng};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::service::Service;
use crate::spec::CheckSettings;
use crate::writer::{CheckResult, Message, Shared};
use probe::{Answer, probe};
use schedule::{Key, Schedule};

/// What the checker of a service works on.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckPlan {
    settings: Option<Arc<CheckSettings>>,
    targets: Targets,
}

/// Whom to check where.
pub(crate) type Targets = Arc<[(InstanceId, SocketAddr)]>;

impl CheckPlan {
    pub(crate) fn new(settings: Option<Arc<CheckSettings>>, targets: Targets) -> Self {
        Self { settings, targets }
    }
}

/// Permits for checks under way, in the whole process.
///
/// Instances whose last check ran into its time-out have a lane of their own: they hold their permits
/// longest, and must not use up those of instances that answer. And each service has a few permits that
/// are its own, in either lane: another service's hanging instances take them as little as they take its
/// time.
#[derive(Debug, Clone)]
pub(crate) struct Lanes {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// Further permits of each service, in each lane.
    own: usize,
}

impl Lanes {
    const QUICK: usize = 384;
    const SLOW: usize = 128;
    const OWN: usize = 4;

    pub(crate) fn new() -> Self {
        Self::with(Self::QUICK, Self::SLOW, Self::OWN)
    }

    fn with(quick: usize, slow: usize, own: usize) -> Self {
        Self {
            quick: Arc::new(Semaphore::new(quick)),
            slow: Arc::new(Semaphore::new(slow)),
            own,
        }
    }

    /// The permits of one service.
    fn of_service(&self) -> Self {
        Self::with(self.own, self.own, 0)
    }

    fn lane(&self, slow: bool) -> Arc<Semaphore> {
        Arc::clone(if slow { &self.slow } else { &self.quick })
    }
}

/// A permit of either; neither is ever closed.
async fn permit(own: Arc<Semaphore>, common: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let permit = tokio::select! {
        biased;
        permit = common.acquire_owned() => permit,
        permit = own.acquire_owned() => permit,
    };
    permit.ok()
}

/// A check that ended.
struct Ended {
    sent: Nanos,
    began: Instant,
    answer: Answer,
    connected: Option<Nanos>,
}

pub(crate) struct Checker {
    service: Arc<Service>,
    shared: Arc<Shared>,
    plan: watch::Receiver<CheckPlan>,
    results: mpsc::Sender<Message>,
    /// The permits that no other service has.
    own: Lanes,
    schedule: Schedule,
    running: JoinSet<Ended>,
    /// Whose check a task is.
    keys: HashMap<Id, Key>,
    /// Whether checks cannot be made for a reason on this side; said once, not per check.
    hindered: bool,
    /// Dropped when the task ends.
    _alive: mpsc::Sender<()>,
}

impl Checker {
    pub(crate) fn new(
        service: Arc<Service>,
        shared: Arc<Shared>,
        plan: watch::Receiver<CheckPlan>,
        results: mpsc::Sender<Message>,
        alive: mpsc::Sender<()>,
        seed: u64,
    ) -> Self {
        Self {
            own: shared.lanes.of_service(),
            service,
            shared,
            plan,
            results,
            schedule: Schedule::new(Rng::new(seed)),
            running: JoinSet::new(),
            keys: HashMap::new(),
            hindered: false,
            _alive: alive,
        }
    }

    /// Runs until the writer of the service goes.
    pub(crate) async fn run(mut self) {
        self.take_plan();
        loop {
            self.start_due();
            let next = self.schedule.next_due();
            tokio::select! {
                changed = self.plan.changed() => match changed {
                    Ok(()) => self.take_plan(),
                    Err(_) => break,
                },
                Some(ended) = self.running.join_next_with_id() => self.end(ended).await,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
        self.running.shutdown().await;
    }

    fn take_plan(&mut self) {
        let plan = self.plan.borrow_and_update().clone();
        self.schedule
            .replace(plan.settings, &plan.targets, Instant::now());
    }

    /// Starts a task for every instance that is due.
    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some((key, settings, address, slow)) = self.schedule.take_due(now) {
            let (own, common) = (self.own.lane(slow), self.shared.lanes.lane(slow));
            let clock = self.shared.clock;
            let task = self.running.spawn(async move {
                // While it waits, the task is small.
                let _permit = permit(own, common).await;
                let (sent, began) = (clock.now(), Instant::now());
                let mut connected = None;
                let answer = Box::pin(probe(&settings, address, &mut connected)).await;
                Ended {
                    sent,
                    began,
                    answer,
                    connected: connected.map(|at| Nanos::from(at - began)),
                }
            });
            self.keys.insert(task.id(), key);
            self.schedule.started(key, task);
        }
    }

    /// Reports a check and plans the next of its instance.
    async fn end(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (task, ended) = match ended {
            Ok((task, ended)) => (task, Some(ended)),
            Err(error) => (error.id(), None),
        };
        let Some(key) = self.keys.remove(&task) else {
            return;
        };
        let ended = ended.unwrap_or_else(|| Ended {
            sent: self.shared.clock.now(),
            began: Instant::now(),
            answer: Answer::Failed("the check itself panicked; the log says where".into()),
            connected: None,
        });
        let slow = matches!(ended.answer, Answer::TimedOut(_));
        // None when the instance was removed meanwhile: nobody wants the result any more.
        let Some((id, address)) = self.schedule.ended(key, ended.began, slow, Instant::now()) else {
            return;
        };
        let outcome = match ended.answer {
            Answer::Passed => CheckOutcome::Passed,
            Answer::Failed(reason) | Answer::TimedOut(reason) => {
                CheckOutcome::Failed(CheckFailure(reason.into()))
            }
            Answer::Hindered(reason) => {
                // Our own shortage says nothing about the instance: no evidence.
                if !self.hindered {
                    let service = &**self.service.name();
                    tracing::warn!(
                        service,
                        "health checks cannot be made and change nothing: {reason}"
                    );
                }
                self.hindered = true;
                return;
            }
        };
        self.hindered = false;
        let result = CheckResult {
            id,
            address,
            observed: ended.sent,
            outcome,
            connected: ended.connected,
        };
        // Waits while the writer is behind; an error means that it is gone, and so are we soon.
        let _ = self.results.send(Message::Check(result)).await;
    }
}
