//! What requests decide while checks call too many instances down: replays in virtual time, one request
//! a millisecond, one check an instance a second. What works takes 20 ms, what does not fails at once,
//! so that whoever looks at requests in flight alone prefers it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use evenkeel_core::{
    CheckFailure, CheckOutcome, CheckThresholds, EventKind, Evidence, Instance, InstanceId, Lease, Nanos,
    Outcome, PickContext, PickRequest, ServiceSettings, ServiceState, StrategyName,
};

const WORK: Nanos = Nanos::from_millis(20);
const CHECK_EVERY: u64 = 1000;

fn id(i: u32) -> InstanceId {
    InstanceId::new(&format!("i{i}")).unwrap()
}

struct Fleet {
    state: ServiceState,
    cx: PickContext,
    ms: u64,
    n: u32,
    open: BTreeMap<(Nanos, u64), Lease>,
    /// Requests and failed ones per instance, of the last run.
    seen: Vec<(u64, u64)>,
}

/// What an instance does in this millisecond.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Answers requests and checks.
    Work,
    /// Answers requests alone.
    FailChecks,
    /// Neither.
    Die,
}

use Does::{Die, FailChecks, Work};

impl Fleet {
    fn new(n: u32, strategy: StrategyName) -> Self {
        let settings = ServiceSettings {
            strategy: strategy.into(),
            checks: Some(CheckThresholds::default()),
            ..ServiceSettings::new("web")
        };
        let instances =
            (0..n).map(|i| Instance::new(id(i).as_str(), SocketAddr::from((i.to_be_bytes(), 80))));
        let instances = instances.collect::<Result<_, _>>().unwrap();
        Self {
            state: ServiceState::new(settings, instances, 42, Nanos::ZERO).unwrap(),
            cx: PickContext::new(1),
            ms: 0,
            n,
            open: BTreeMap::new(),
            seen: Vec::new(),
        }
    }

    fn now(&self) -> Nanos {
        Nanos::from_millis(self.ms)
    }

    /// Runs for `seconds` and returns the share of failed requests.
    fn run(&mut self, seconds: u64, does: impl Fn(u32, u64) -> Does) -> f64 {
        self.seen = vec![(0, 0); self.n as usize];
        for _ in 0..seconds * 1000 {
            let now = self.now();
            if now >= self.state.next_deadline() {
                self.state.tick(now);
            }
            let ms = self.ms;
            for i in (0..self.n).filter(|i| (ms + u64::from(*i)).is_multiple_of(CHECK_EVERY)) {
                self.check(i, does(i, ms) == Work);
            }
            while let Some((key, lease)) = self.open.pop_first() {
                if key.0 > now {
                    self.open.insert(key, lease);
                    break;
                }
                let _ = lease.finish(&Outcome::from_status(200, WORK), now);
            }
            self.request(&does);
            self.ms += 1;
        }
        let (all, failed) = self
            .seen
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        failed as f64 / all as f64
    }

    fn check(&mut self, i: u32, passed: bool) {
        let outcome = match passed {
            true => CheckOutcome::Passed,
            false => CheckOutcome::Failed(CheckFailure("connection refused".into())),
        };
        let check = Evidence::Check {
            id: id(i),
            observed: self.now(),
            outcome,
            connected: None,
        };
        self.state.apply(check, self.now());
    }

    fn request(&mut self, does: impl Fn(u32, u64) -> Does) {
        let now = self.now();
        self.cx.now = now;
        let lease = self
            .state
            .view()
            .pick(&PickRequest::default(), &mut self.cx)
            .unwrap();
        let i: u32 = lease.member().instance().id.as_str()[1..].parse().unwrap();
        let failed = does(i, self.ms) == Die;
        let seen = &mut self.seen[i as usize];
        *seen = (seen.0 + 1, seen.1 + u64::from(failed));
        if !failed {
            self.open.insert((now + WORK, self.ms), lease);
        } else if lease.finish(&Outcome::failed(Nanos(1)), now).is_some() {
            self.state.apply(Evidence::Alarm, now);
        }
    }

    fn count(&self, kind: EventKind) -> u64 {
        self.state.counters().of(kind)
    }
}

/// Where a rule that looks at load sends everything to what fails fast.
const STRATEGIES: [StrategyName; 4] = [
    StrategyName::power_of_two,
    StrategyName::least_connections,
    StrategyName::round_robin,
    StrategyName::least_response_time,
];

#[test]
fn one_dead_of_six_that_all_fail_their_checks_gets_next_to_nothing() {
    for strategy in STRATEGIES {
        let mut fleet = Fleet::new(6, strategy);
        fleet.run(10, |_, _| FailChecks);
        assert!(fleet.state.view().is_fallback());
        let failed = fleet.run(60, |i, _| if i == 2 { Die } else { FailChecks });
        assert!(failed < 0.001, "{strategy}: {failed}");
    }
}

#[test]
fn one_alive_of_six_gets_nearly_everything_even_when_its_checks_fail() {
    for strategy in STRATEGIES {
        let mut fleet = Fleet::new(6, strategy);
        fleet.run(10, |_, _| FailChecks);
        let alive_alone = |i, _| if i == 2 { FailChecks } else { Die };
        let at_first = fleet.run(5, alive_alone);
        assert!(at_first < 0.5, "{strategy}: {at_first}");
        let later = fleet.run(60, alive_alone);
        assert!(later < 0.01, "{strategy}: {later}");
    }
}

#[test]
fn checks_that_are_wrong_about_all_cost_nothing() {
    for strategy in STRATEGIES {
        let mut fleet = Fleet::new(6, strategy);
        fleet.run(10, |_, _| Work);
        let failed = fleet.run(120, |_, _| FailChecks);
        assert_eq!(failed, 0.0);
        assert_eq!(fleet.state.view().candidates().len(), 6, "{strategy}");
        assert_eq!(fleet.count(EventKind::Ejected), 0, "{strategy}");
    }
}

#[test]
fn when_all_are_dead_all_are_tried_and_whoever_answers_first_is_used() {
    for strategy in STRATEGIES {
        let mut fleet = Fleet::new(6, strategy);
        fleet.run(10, |_, _| Work);
        assert_eq!(fleet.run(300, |_, _| Die), 1.0);
        assert_eq!(fleet.state.view().candidates().len(), 6, "{strategy}");
        assert!(
            fleet.seen.iter().all(|(all, _)| *all > 0),
            "{strategy}: {:?}",
            fleet.seen
        );
        let view = fleet.state.view().version();
        fleet.run(60, |_, _| Die);
        let views = fleet.state.view().version() - view;
        assert!(
            views <= 60,
            "{strategy}: {views} views in a minute in which nothing changes"
        );

        // One answers requests; its checks go on failing.
        let back = |i, _| if i == 4 { FailChecks } else { Die };
        let at_first = fleet.run(5, back);
        assert!(at_first < 0.7, "{strategy}: {at_first}");
        let later = fleet.run(60, back);
        assert!(later < 0.02, "{strategy}: {later}");

        // All are back: at the latest when their checks say so.
        fleet.run(3, |_, _| Work);
        let failed = fleet.run(10, |_, _| Work);
        assert_eq!(failed, 0.0, "{strategy}");
        assert_eq!(fleet.state.view().candidates().len(), 6, "{strategy}");
        assert!(!fleet.state.view().is_fallback());
    }
}

#[test]
fn one_that_recovers_behind_failing_checks_is_used_again() {
    let mut fleet = Fleet::new(6, StrategyName::power_of_two);
    fleet.run(10, |_, _| FailChecks);
    fleet.run(30, |i, _| if i == 2 { Die } else { FailChecks });
    fleet.run(60, |_, _| FailChecks);
    assert_eq!(fleet.run(10, |_, _| FailChecks), 0.0);
    let (all, _) = fleet.seen[2];
    assert!(all > 1000, "{all} of 10,000 by six");
}

#[test]
fn one_that_flaps_behind_failing_checks_is_held_longer_and_longer() {
    let mut fleet = Fleet::new(6, StrategyName::power_of_two);
    fleet.run(10, |_, _| FailChecks);
    let flaps = |i, ms: u64| {
        if i == 2 && (ms / 1000).is_multiple_of(2) {
            Die
        } else {
            FailChecks
        }
    };
    fleet.run(1200, flaps);
    let (all, failed) = fleet.seen[2];
    assert!(failed < 100, "{failed} of {all}");
    assert!(fleet.count(EventKind::Ejected) < 30);
}

#[test]
fn a_failure_of_all_alike_leaves_half_of_them_in_use() {
    let mut fleet = Fleet::new(20, StrategyName::power_of_two);
    fleet.run(10, |_, _| FailChecks);
    let mut fewest = usize::MAX;
    // Half of the requests fail, then nearly all.
    for seed in 0..240u64 {
        let share = if seed < 120 { 128 } else { 250 };
        fleet.run(1, |i, ms| {
            let mixed = (ms * 64 + u64::from(i) + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
            if mixed < share { Die } else { FailChecks }
        });
        fewest = fewest.min(fleet.state.view().candidates().len());
    }
    assert!(fewest >= 10, "{fewest} of 20");
}
