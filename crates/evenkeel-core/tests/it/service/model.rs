//! Random operations on a service. After each one: what the naive reference says of checks,
//! candidates and ejections holds, leases are conserved, and no slot was given away too early. The
//! same operations with the same seed give the same picks and events.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_core::{
    CheckFailure, CheckOutcome, CheckThresholds, Effect, Event, EventKind, Evidence, HealthPart, Instance,
    InstanceId, InstanceState, Lease, LoadReport, Member, Nanos, NoPick, Operation, OperationError, Outcome,
    Panic, PickContext, PickRequest, Score, ServiceSettings, ServiceState, Slot, Source, Status,
    StrategyName, Verdict, View, Weight,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::operations::{Checked, IDS, Op, Words, name, op};

mod rules;

struct World {
    state: ServiceState,
    now: Nanos,
    cx: PickContext,
    checked: BTreeMap<String, Checked>,
    /// Who registered itself.
    registered: BTreeSet<String>,
    draining: BTreeSet<String>,
    words: BTreeMap<String, Words>,
    leases: Vec<Lease>,
    views: Vec<Arc<View>>,
    trace: Vec<String>,
    /// Who was ejected some time.
    ejected: BTreeSet<String>,
    /// It is played again, to see whether it goes the same way: the rules were asked the first time.
    replays: bool,
}

/// Whether requests speak against it; both judges' reasons are told then.
fn is_out(status: &Status) -> bool {
    let out = status.ejected_until.is_some();
    assert_eq!(out, status.reason.contains("; out for "), "{status:?}");
    out
}

fn drains(status: &Status) -> bool {
    status.state == InstanceState::Draining
}

fn known(id: u8) -> InstanceId {
    InstanceId::new(&name(id)).unwrap()
}

fn instance(id: u8, port: u16, weight: u64, priority: u8) -> Instance {
    let instance = Instance::new(&name(id), SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let weight = Weight::new(weight).unwrap();
    instance.with_weight(weight).with_priority(priority)
}

fn rows(view: &View) -> impl Iterator<Item = (Slot, &Arc<Member>, &Status)> {
    view.members()
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Nanos::from_secs(100);
        let settings = ServiceSettings {
            strategy: StrategyName::power_of_two.into(),
            checks: Some(CheckThresholds::default()),
            ..ServiceSettings::new("web")
        };
        let state = ServiceState::new(settings, Vec::new(), seed, now).unwrap();
        Self {
            state,
            now,
            cx: PickContext::new(seed),
            checked: BTreeMap::new(),
            registered: BTreeSet::new(),
            draining: BTreeSet::new(),
            words: BTreeMap::new(),
            leases: Vec::new(),
            views: Vec::new(),
            trace: Vec::new(),
            ejected: BTreeSet::new(),
            replays: false,
        }
    }

    fn run(&mut self, op: &Op) {
        let before = Arc::clone(self.state.view());
        let events = self.step(op);
        if !self.replays {
            self.versions(&before, &events);
            self.agreement();
            self.conservation();
            self.newest_words_win();
        }
    }

    fn step(&mut self, op: &Op) -> Vec<Event> {
        self.cx.now = self.now;
        match op {
            Op::Replace {
                instances,
                checks,
                limit,
                min_healthy,
                panic,
            } => self.replace(instances, *checks, *limit, *min_healthy, *panic),
            Op::Register {
                id,
                port,
                weight,
                priority,
            } => self.register(*id, *port, *weight, *priority),
            Op::Deregister { id } => {
                let outcome = self.operate(Operation::Deregister(known(*id)));
                assert_eq!(outcome.is_ok(), self.checked.remove(&name(*id)).is_some());
                self.forget(&name(*id));
            }
            Op::Drain { id } => {
                let (id, why) = (known(*id), "moves".into());
                if self.operate(Operation::Drain { id: id.clone(), why }) == Ok(Effect::Changed) {
                    assert!(self.draining.insert(id.to_string()));
                }
            }
            Op::Undrain { id } => {
                let changed = self.operate(Operation::Undrain(known(*id))) == Ok(Effect::Changed);
                assert_eq!(self.draining.remove(&name(*id)), changed);
            }
            Op::Weigh { id, weight } => {
                let (id, weight) = (known(*id), Weight::new(*weight).unwrap());
                let outcome = self.operate(Operation::SetWeight {
                    id: id.clone(),
                    weight,
                });
                assert_eq!(outcome.is_ok(), self.checked.contains_key(id.as_str()));
            }
            Op::Switch { which } => {
                let strategy = StrategyName::ALL[usize::from(*which) % StrategyName::ALL.len()];
                self.operate(Operation::SetStrategy(strategy.into())).unwrap();
                assert_eq!(self.state.view().strategy(), strategy);
            }
            Op::Check { id, age, passed } => self.check(*id, *age, *passed),
            Op::Health { id, quarters, age } => self.health(*id, *quarters, *age),
            Op::Load { id, cpu, age } => self.load(*id, *cpu, *age),
            Op::Requests { n, failing } => self.requests(*n, *failing),
            Op::Open => {
                if let Some(lease) = self.pick() {
                    self.leases.push(lease);
                }
            }
            Op::Close { which, outcome } if !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(usize::from(*which) % self.leases.len());
                let time = Nanos::from_millis(3);
                let outcome = match outcome {
                    0 => Outcome::from_status(200, time),
                    1 => Outcome::from_status(500, time),
                    _ => Outcome::CANCELLED,
                };
                self.end(lease, &outcome);
            }
            Op::Close { .. } => {}
            Op::HoldView => self.views.push(Arc::clone(self.state.view())),
            Op::DropViews => self.views.clear(),
            Op::Tick => {
                self.state.tick(self.now);
                self.nothing_is_overdue();
            }
            Op::Forward { ms } => {
                self.now = self.now + Nanos::from_millis(*ms);
                self.state.apply_all([], self.now);
            }
            Op::Back { ms } => {
                let then = self.now.since(Nanos::from_millis(*ms));
                let back = self.now.since(then);
                self.now = then;
                self.state.apply_all([], self.now);
                for checked in self.checked.values_mut() {
                    checked.newest = checked.newest.saturating_sub(back.0);
                }
                for words in self.words.values_mut() {
                    words.step_back(back.0);
                }
            }
        }
        let events = self.state.take_events();
        let ejected = events.iter().filter(|e| e.kind == EventKind::Ejected);
        self.ejected
            .extend(ejected.filter_map(|e| e.instance.as_ref().map(ToString::to_string)));
        self.trace
            .extend(events.iter().map(|e| format!("{:?} {e}", e.at)));
        events
    }

    fn operate(&mut self, operation: Operation) -> Result<Effect, OperationError> {
        self.state.operate(operation, self.now)
    }

    fn register(&mut self, id: u8, port: u16, weight: u64, priority: u8) {
        let instance = instance(id, port, weight, priority);
        let (id, address) = (name(id), instance.address);
        let outcome = self.operate(Operation::Register(instance));
        match self.checked.get(&id) {
            None => {
                assert_eq!(outcome, Ok(Effect::Registered));
                self.checked.insert(id.clone(), Checked::new(address, self.now));
                self.words.insert(id.clone(), Words::new(self.now));
                self.registered.insert(id);
            }
            Some(present) => assert_eq!(outcome.is_ok(), present.address == address),
        }
    }

    fn forget(&mut self, id: &str) {
        self.registered.remove(id);
        self.draining.remove(id);
        self.words.remove(id);
    }

    fn replace(
        &mut self,
        wanted: &[Option<(u16, u64, u8)>],
        checks: bool,
        limit: u32,
        min_healthy: u32,
        panic: u8,
    ) {
        let mut settings = self.state.settings().clone();
        settings.checks = checks.then(CheckThresholds::default);
        settings.ejection.consecutive_failures = limit;
        settings.min_healthy = min_healthy;
        settings.panic = [Panic::All, Panic::Fail, Panic::NextPriority][usize::from(panic)];
        let instances: Vec<Instance> = (0..IDS)
            .zip(wanted)
            .filter_map(|(id, wanted)| {
                let (port, weight, priority) = (*wanted)?;
                Some(instance(id, port, weight, priority))
            })
            .collect();
        let old = std::mem::take(&mut self.checked);
        for id in &self.registered {
            let kept = old[id].clone();
            let fresh = Checked::new(kept.address, self.now);
            self.checked.insert(id.clone(), if checks { kept } else { fresh });
        }
        for instance in &instances {
            self.registered.remove(instance.id.as_str());
            let fresh = Checked::new(instance.address, self.now);
            let kept = old.get(instance.id.as_str());
            let kept = kept.filter(|kept| checks && kept.address == instance.address);
            let checked = kept.cloned().unwrap_or(fresh);
            self.checked.insert(instance.id.to_string(), checked);
        }
        let moved = |id: &String| {
            let at = self.checked.get(id).map(|checked| checked.address);
            at.is_none() || at != old.get(id).map(|checked| checked.address)
        };
        self.draining.retain(|id| !moved(id));
        self.words.retain(|id, _| !moved(id));
        for instance in &instances {
            let fresh = || Words::new(self.now);
            self.words.entry(instance.id.to_string()).or_insert_with(fresh);
        }
        self.state.replace(settings, instances, self.now).unwrap();
    }

    fn check(&mut self, id: u8, age: u64, passed: bool) {
        let observed = self.now.since(Nanos::from_secs(age));
        let outcome = if passed {
            CheckOutcome::Passed
        } else {
            CheckOutcome::Failed(CheckFailure("refused".into()))
        };
        let evidence = Evidence::Check {
            id: InstanceId::new(&name(id)).unwrap(),
            observed,
            outcome,
            connected: None,
        };
        self.state.apply(evidence, self.now);
        if let Some(checked) = self.checked.get_mut(&name(id))
            && self.state.settings().checks.is_some()
        {
            checked.observe(passed, observed.0);
        }
    }

    /// The time that was `age` seconds ago, or will be.
    fn at(&self, age: i64) -> Nanos {
        let span = Nanos::from_secs(age.unsigned_abs());
        if age < 0 {
            self.now + span
        } else {
            self.now.since(span)
        }
    }

    fn health(&mut self, id: u8, quarters: u8, age: i64) {
        let (score, observed, now) = (f32::from(quarters) / 4.0, self.at(age), self.now);
        let outcome = self.operate(Operation::ReportHealth {
            id: known(id),
            score: Score::new(score.into()).unwrap(),
            observed,
        });
        let Some(words) = self.words_of(id, &outcome) else {
            return;
        };
        let (before, at) = (words.health, observed.min(now).0);
        let expected = match before {
            _ if !words.takes(before, at) => Effect::Stale,
            Some((same, _)) if same == score => Effect::Unchanged,
            _ => Effect::Changed,
        };
        if expected != Effect::Stale {
            words.health = Some((score, at));
        }
        assert_eq!(outcome, Ok(expected));
    }

    fn load(&mut self, id: u8, cpu: u8, age: i64) {
        let (cpu, observed, now) = (f32::from(cpu) / 100.0, self.at(age), self.now);
        let outcome = self.operate(Operation::ReportLoad {
            id: known(id),
            report: LoadReport::default().with_cpu(cpu.into()).unwrap(),
            observed,
        });
        let Some(words) = self.words_of(id, &outcome) else {
            return;
        };
        let at = observed.min(now).0;
        let taken = words.takes(words.load, at);
        if taken {
            words.load = Some((cpu, at));
        }
        let expected = if taken { Effect::Changed } else { Effect::Stale };
        assert_eq!(outcome, Ok(expected));
    }

    /// What was said of `id`; `None` when there is none, which is an error.
    fn words_of(&mut self, id: u8, outcome: &Result<Effect, OperationError>) -> Option<&mut Words> {
        let registered = self.checked.contains_key(&name(id));
        assert_eq!(outcome.is_ok(), registered, "{outcome:?}");
        self.words.get_mut(&name(id))
    }

    /// Whatever came in which order: the newest report is the one that counts, and the newest word on health is
    /// what that part of the score was made of when it was judged last, faded by age at most.
    fn newest_words_win(&self) {
        for (_, member, _) in rows(self.state.view()) {
            let words = &self.words[member.instance().id.as_str()];
            let reported = member.stats().reported();
            assert_eq!(reported.observed().map(|at| at.0), words.load.map(|(_, at)| at));
            let fresh = |(_, at): &(f32, u64)| self.now.0.saturating_sub(*at) < 180_000_000_000;
            let cpu = reported.get(self.now).and_then(|(report, _)| report.cpu());
            assert_eq!(cpu, words.load.filter(fresh).map(|(cpu, _)| cpu));
        }
    }

    /// Right after the scores were judged.
    fn words_on_health_are_judged(&self) {
        for (_, member, _) in rows(self.state.view()) {
            let words = &self.words[member.instance().id.as_str()];
            let part = member.stats().health_parts().get(HealthPart::Reported);
            let expected = match words.health {
                None => 1.0,
                Some((score, at)) => {
                    let age = self.now.since(Nanos(at)).as_secs_f64() as f32;
                    let worth = 1.0 - ((age - 10.0) / 170.0).clamp(0.0, 1.0);
                    1.0 - (1.0 - score) * worth
                }
            };
            assert!((part - expected).abs() < 1e-3, "{part} and {words:?}");
        }
    }

    fn requests(&mut self, n: u8, failing: u8) {
        for _ in 0..n {
            let Some(lease) = self.pick() else { return };
            let id: u8 = lease.member().instance().id.as_str()[1..].parse().unwrap();
            let status = if failing >> id & 1 == 1 { 503 } else { 200 };
            self.end(lease, &Outcome::from_status(status, Nanos::from_millis(1)));
        }
    }

    fn pick(&mut self) -> Option<Lease> {
        let view = self.state.view();
        match view.pick(&PickRequest::default(), &mut self.cx) {
            Ok(lease) => {
                assert!(view.is_candidate(lease.slot()));
                self.trace.push(lease.member().instance().id.to_string());
                Some(lease)
            }
            Err(why) => {
                let empty = self.checked.is_empty();
                assert_eq!(
                    why,
                    if empty {
                        NoPick::Empty
                    } else {
                        NoPick::NoneEligible
                    }
                );
                assert!(
                    empty || view.candidates().is_empty(),
                    "candidates exist, so there is a pick"
                );
                None
            }
        }
    }

    fn end(&mut self, lease: Lease, outcome: &Outcome) {
        let stats = Arc::clone(lease.member().stats());
        let failures = stats.failures();
        let alarm = lease.finish(outcome, self.now);
        let failed = u64::from(outcome.verdict == Verdict::Failure);
        assert_eq!(stats.failures(), failures + failed);
        if alarm.is_some() {
            let before = Arc::clone(self.state.view());
            self.state.apply(Evidence::Alarm, self.now);
            self.ejections_are_allowed(&before);
        }
    }

    /// Whatever happened before: when all requests succeed for longer than the longest ejection, nothing
    /// speaks against anybody but checks, and the last of a service can be replaced.
    fn all_is_well_in_the_end(&mut self) {
        // Who has a request that never ends may get no other.
        self.leases.clear();
        self.step(&Op::Forward { ms: 4000 });
        self.step(&Op::Tick);
        self.words_on_health_are_judged();
        for round in 0..800 {
            // A small share of a thousand requests can be none by chance, of ten thousand it cannot.
            let well = |m: &Member, status: &Status| m.stats().consecutive_failures() == 0 || drains(status);
            if round >= 80 && rows(self.state.view()).all(|(_, member, status)| well(member, status)) {
                break;
            }
            self.step(&Op::Forward { ms: 4000 });
            self.run(&Op::Tick);
            self.step(&Op::Requests { n: 12, failing: 0 });
        }
        self.run(&Op::Tick);
        let view = Arc::clone(self.state.view());
        for (slot, member, status) in rows(&view) {
            assert!(!is_out(status), "{status:?}");
            // What it did while it drained is forgiven when that ends.
            let run = member.stats().consecutive_failures();
            assert!(run == 0 || drains(status), "{run}: {status:?}");
            let refused = drains(status) || self.state.settings().panic == Panic::Fail;
            assert!(
                view.is_candidate(slot) || !view.is_fallback() || refused,
                "{status:?}"
            );
        }
    }
}

fn play(seed: u64, ops: &[Op], replays: bool) -> Vec<String> {
    let mut world = World::new(seed);
    world.replays = replays;
    for op in ops {
        world.run(op);
    }
    world.all_is_well_in_the_end();
    world.trace
}

/// A run without optimization takes seconds for a hundred. With `--release`, `PROPTEST_CASES=200000` and another
/// `PROPTEST_RNG_SEED` it is a search.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(debug_assertions) { 100 } else { 1000 };
    }
    config.failure_persistence = None;
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_operations_keep_the_rules_and_replay(seed: u64, ops in vec(op(), 1..120)) {
        prop_assert_eq!(play(seed, &ops, false), play(seed, &ops, true));
    }
}
