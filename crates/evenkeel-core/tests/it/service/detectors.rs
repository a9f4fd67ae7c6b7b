//! What the detectors find, in how many requests, and what they must not find: one sick instance, a tight burst, a
//! quiet instance, two fifths of a fleet that fail alike, a dependency that fails everywhere, a slow one.

use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_core::{
    BreakerState, EventKind, Evidence, Instance, InstanceId, InstanceState, Member, Mode, Nanos, Operation,
    Outcome, Recovery, Rng, Score, ServiceSettings, ServiceState, Slot, Status,
};

const MS: Nanos = Nanos::from_millis(1);
const SECOND: Nanos = Nanos::from_secs(1);

/// How a request to an instance ends.
#[derive(Clone, Copy)]
struct Nature {
    fails: f64,
    takes: Nanos,
}

const WELL: Nature = sick(0.001);

const fn sick(fails: f64) -> Nature {
    Nature {
        fails,
        takes: Nanos::from_millis(8),
    }
}

const fn slow(ms: u64) -> Nature {
    Nature {
        fails: 0.0,
        takes: Nanos::from_millis(ms),
    }
}

/// A service whose candidates get requests in turns.
struct Fleet {
    state: ServiceState,
    now: Nanos,
    rng: Rng,
    /// Requests by instance.
    asked: Vec<u64>,
}

impl Fleet {
    fn with(n: usize, seed: u64, set: impl FnOnce(&mut ServiceSettings)) -> Self {
        let mut settings = ServiceSettings::new("web");
        set(&mut settings);
        let instances = (0..n).map(|i| {
            let address = SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 80));
            Instance::new(&format!("i{i}"), address).unwrap()
        });
        let now = Nanos::from_secs(1000);
        let state = ServiceState::new(settings, instances.collect(), seed, now).unwrap();
        Self {
            state,
            now,
            rng: Rng::new(seed),
            asked: vec![0; n],
        }
    }

    fn of(n: usize, seed: u64) -> Self {
        Self::with(n, seed, |_| {})
    }

    fn row(&self, i: usize) -> (Arc<Member>, Status) {
        let view = self.state.view();
        let mut rows = view.members();
        let (_, member, status) = rows.find(|(slot, ..)| slot.0 as usize == i).unwrap();
        (Arc::clone(member), status.clone())
    }

    fn is_out(&self, i: usize) -> bool {
        self.row(i).1.ejected_until.is_some()
    }

    fn out(&self) -> Vec<usize> {
        (0..self.asked.len()).filter(|i| self.is_out(*i)).collect()
    }

    fn end(&mut self, i: usize, outcome: &Outcome) {
        let stats = Arc::clone(self.row(i).0.stats());
        self.asked[i] += 1;
        stats.on_start(self.now);
        if stats.on_end(outcome, self.now) {
            self.state.apply(Evidence::Alarm, self.now);
        }
    }

    /// One request to each candidate; then `pause`.
    fn round(&mut self, nature: &impl Fn(usize) -> Nature, pause: Nanos) {
        for i in 0..self.asked.len() {
            if !self.state.view().is_candidate(Slot(i as u32)) {
                continue;
            }
            let Nature { fails, takes } = nature(i);
            let outcome = if self.rng.unit() < fails {
                Outcome::failed(MS)
            } else {
                Outcome::from_status(200, takes)
            };
            self.end(i, &outcome);
        }
        self.wait(pause);
    }

    fn wait(&mut self, pause: Nanos) {
        let end = self.now + pause;
        while self.state.next_deadline() <= end {
            self.now = self.state.next_deadline().max(Nanos(self.now.0 + 1));
            self.state.tick(self.now);
        }
        self.now = self.now.max(end);
    }

    /// Rounds of `pause` until instance 0 is ejected; requests to it until then.
    fn until_ejected(&mut self, nature: impl Fn(usize) -> Nature, pause: Nanos) -> u64 {
        while self.count(EventKind::Ejected) == 0 {
            self.round(&nature, pause);
            assert!(self.asked[0] < 2000, "never");
        }
        self.asked[0]
    }

    fn run(&mut self, nature: impl Fn(usize) -> Nature, pause: Nanos, rounds: u64) {
        for _ in 0..rounds {
            self.round(&nature, pause);
        }
    }

    fn count(&self, kind: EventKind) -> u64 {
        self.state.counters().of(kind)
    }

    fn reasons(&mut self, kind: EventKind) -> Vec<String> {
        let events = self.state.take_events();
        let of_kind = events.iter().filter(|e| e.kind == kind);
        of_kind.map(|e| e.reason.to_string()).collect()
    }
}

#[test]
fn one_that_fails_a_fifth_is_caught_in_forty_requests_at_any_rate() {
    for (pause, runs) in [(MS, 60), (Nanos::from_secs(20), 12)] {
        for n in [2, 5] {
            let caught: Vec<u64> = (0..runs)
                .map(|seed| {
                    let mut fleet = Fleet::of(n, seed);
                    fleet.until_ejected(|i| if i == 0 { sick(0.2) } else { WELL }, pause)
                })
                .collect();
            let mean = caught.iter().sum::<u64>() as f64 / caught.len() as f64;
            let near = if runs > 50 { 25.0..=42.0 } else { 20.0..=50.0 };
            assert!(near.contains(&mean), "{n} instances, {pause}: {mean}");
            assert!(caught.iter().all(|n| *n < 250), "{caught:?}");
        }
    }
}

#[test]
fn a_tight_burst_is_not_hidden_and_not_punished_for_ever() {
    let mut fleet = Fleet::of(3, 1);
    fleet.run(|_| sick(0.0), MS, 20_000);
    // Never five in a row, and less than a promille of the last ten seconds.
    for fails in [true, true, true, false, true, true, true, true] {
        assert!(!fleet.is_out(0));
        let outcome = if fails {
            Outcome::failed(MS)
        } else {
            Outcome::from_status(200, MS)
        };
        fleet.end(0, &outcome);
    }
    assert_eq!(fleet.out(), [0]);
    let reasons = fleet.reasons(EventKind::Ejected);
    assert!(reasons[0].contains("than chance explains"), "{reasons:?}");
    fleet.run(|_| sick(0.0), MS, 8_000);
    let (member, status) = fleet.row(0);
    assert_eq!(status.breaker, BreakerState::Closed, "{status:?}");
    assert!(member.stats().health() > 0.9);
}

#[test]
fn healthy_instances_stay_for_a_million_requests() {
    let mut fleet = Fleet::of(4, 3);
    fleet.run(|_| sick(0.01), MS, 250_000);
    assert_eq!(fleet.asked.iter().sum::<u64>(), 1_000_000);
    assert!(fleet.count(EventKind::Ejected) <= 1);
    assert_eq!(fleet.count(EventKind::Weakened), 0);
}

/// Of twenty requests that fail with 1 %, ten fail, or five in a row: what the two plain detectors may get wrong.
#[test]
fn the_plain_detectors_err_less_than_once_in_a_million_requests() {
    let p = 0.01f64;
    let tail: f64 = (10..=20)
        .map(|k: i32| {
            let ways: f64 = (0..k).map(|i| f64::from(20 - i) / f64::from(i + 1)).product();
            ways * p.powi(k) * (1.0 - p).powi(20 - k)
        })
        .sum();
    assert!(tail * 1e6 < 1e-6, "{tail}");
    assert!(p.powi(5) * 1e6 <= 1e-3);
}

#[test]
fn two_fifths_that_fail_alike_are_ejected_and_nobody_else() {
    for seed in 0..10 {
        let mut fleet = Fleet::of(10, seed);
        let nature = |i| if i < 4 { sick(0.2) } else { WELL };
        let mut seen = [false; 10];
        // One after the other, while the rest has room for their work.
        for _ in 0..900 {
            fleet.round(&nature, Nanos::from_millis(10));
            for i in fleet.out() {
                seen[i] = true;
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|i| i < 4), "seed {seed}");
    }
}

#[test]
fn when_a_dependency_fails_everywhere_nobody_is_ejected() {
    for (n, fails) in [(2, 1.0), (10, 1.0), (10, 0.3), (40, 0.6), (40, 0.1), (3, 0.5)] {
        let mut ejected = 0;
        for seed in 0..5 {
            let mut fleet = Fleet::of(n, seed);
            fleet.run(|_| WELL, Nanos::from_millis(10), 2_000);
            let before = fleet.count(EventKind::Ejected);
            fleet.run(|_| sick(fails), Nanos::from_millis(10), 3_000);
            ejected += fleet.count(EventKind::Ejected) - before;
            assert!(!fleet.state.view().is_fallback());
        }
        // But for the very first, before anybody can know.
        assert!(
            ejected <= 1 + n as u64 / 8,
            "{ejected} in five runs of {n} at {fails}"
        );
    }
}

#[test]
fn a_slow_one_is_ejected_beside_one_peer_or_many() {
    for n in [2, 4, 10] {
        let mut fleet = Fleet::of(n, 1);
        fleet.run(|_| slow(8), Nanos::from_millis(20), 200);
        let mut rounds = 0;
        while !fleet.is_out(0) {
            fleet.round(&|i| slow(if i == 0 { 160 } else { 8 }), Nanos::from_millis(20));
            rounds += 1;
            assert!(rounds < 500, "ten seconds");
        }
        let reasons = fleet.reasons(EventKind::Ejected);
        assert!(
            reasons[0].contains("times the 8.0 ms of its peers"),
            "{reasons:?}"
        );
        assert_eq!(fleet.out(), [0]);
    }
}

#[test]
fn slow_by_little_or_seldom_or_alike_is_nobodys_fault() {
    let quick: [fn(usize) -> Nature; 3] = [
        // Ten times slower, by nine milliseconds.
        |i| Nature {
            fails: 0.0,
            takes: Nanos::from_millis(if i == 0 { 10 } else { 1 }),
        },
        // Half of them: who is to say which half is right?
        |i| slow(if i < 2 { 500 } else { 8 }),
        |_| slow(5000),
    ];
    for nature in quick {
        let mut fleet = Fleet::of(3, 1);
        fleet.run(nature, Nanos::from_millis(50), 2000);
        assert_eq!(fleet.count(EventKind::Ejected), 0);
    }
    let mut seldom = Fleet::of(3, 1);
    seldom.run(|i| slow(if i == 0 { 5000 } else { 8 }), SECOND, 12);
    assert_eq!(seldom.count(EventKind::Ejected), 0, "a dozen samples");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let mut fleet = Fleet::with(4, 1, |settings| {
        let ejection = &mut settings.ejection;
        ejection.on_consecutive = Mode::DryRun;
        ejection.on_burst = Mode::DryRun;
        ejection.on_error_rate = Mode::DryRun;
        ejection.on_slow = Mode::DryRun;
        ejection.threshold = 0.0;
    });
    let nature = |i| match i {
        0 => sick(0.8),
        1 => slow(300),
        _ => slow(8),
    };
    fleet.run(nature, Nanos::from_millis(20), 1000);
    assert_eq!(fleet.count(EventKind::Ejected), 0);
    assert_eq!(fleet.state.view().candidates().len(), 4);
    let reasons = fleet.reasons(EventKind::WouldEject);
    for words in [
        "in a row",
        "than chance",
        "requests failed in the last 10 s",
        "times the",
    ] {
        assert!(
            reasons.iter().any(|reason| reason.contains(words)),
            "{words}: {reasons:?}"
        );
    }
    assert_eq!(fleet.count(EventKind::WouldEject), reasons.len() as u64);
}

#[test]
fn what_is_off_finds_nothing() {
    let mut fleet = Fleet::with(4, 1, |settings| {
        let ejection = &mut settings.ejection;
        ejection.on_consecutive = Mode::Off;
        ejection.on_burst = Mode::Off;
        ejection.on_error_rate = Mode::Off;
        ejection.on_slow = Mode::Off;
        ejection.threshold = 0.0;
    });
    fleet.run(|i| if i == 0 { sick(1.0) } else { WELL }, MS, 2000);
    assert_eq!(fleet.reasons(EventKind::WouldEject), [""; 0]);
    assert_eq!(fleet.count(EventKind::Ejected), 0);
}

/// Back from an ejection, an instance is believed less: half the suspicion is enough, also where no two failures follow
/// each other.
#[test]
fn on_probation_half_the_suspicion_ejects() {
    let mut fleet = Fleet::of(4, 1);
    fleet.run(
        |i| sick(if i == 0 { 1.0 } else { 0.0 }),
        Nanos::from_millis(20),
        5,
    );
    assert!(fleet.is_out(0));
    while fleet.is_out(0) {
        fleet.round(&|_| sick(0.0), Nanos::from_millis(20));
    }
    for failures in 1..=4 {
        assert!(!fleet.is_out(0), "after {} failures", failures - 1);
        fleet.end(0, &Outcome::failed(MS));
        if failures < 4 {
            fleet.end(0, &Outcome::from_status(200, MS));
        }
    }
    assert!(fleet.is_out(0), "four failures of seven requests");
    let reasons = fleet.reasons(EventKind::Ejected);
    assert!(reasons[1].contains("than chance explains"), "{reasons:?}");
}

#[test]
fn the_error_rate_alone_catches_a_half() {
    let mut fleet = Fleet::with(3, 1, |settings| {
        settings.ejection.on_consecutive = Mode::Off;
        settings.ejection.on_burst = Mode::Off;
        settings.ejection.threshold = 0.0;
    });
    let asked = fleet.until_ejected(|i| if i == 0 { sick(0.7) } else { WELL }, Nanos::from_millis(50));
    assert!(
        (20..=45).contains(&asked),
        "{asked}: a look follows within a second"
    );
    let reasons = fleet.reasons(EventKind::Ejected);
    assert!(
        reasons[0].contains("requests failed in the last 10 s"),
        "{reasons:?}"
    );
}

#[test]
fn clients_faults_never_count_and_too_busy_counts_gently() {
    let mut fleet = Fleet::of(3, 1);
    for status in [400, 401, 403, 404, 409, 422, 499, 408, 429] {
        for _ in 0..500 {
            fleet.end(0, &Outcome::from_status(status, MS));
            fleet.end(0, &Outcome::CANCELLED);
            fleet.end(1, &Outcome::from_status(200, MS));
        }
        fleet.wait(SECOND);
        let stats = Arc::clone(fleet.row(0).0.stats());
        assert_eq!(
            (stats.failures(), stats.consecutive_failures()),
            (0, 0),
            "{status}"
        );
        if status == 408 || status == 429 {
            assert!(
                (0.74..0.95).contains(&stats.health()),
                "{status}: {}",
                stats.health()
            );
        } else {
            assert_eq!(stats.health(), 1.0, "{status}");
        }
    }
    assert_eq!(
        fleet.count(EventKind::Ejected) + fleet.count(EventKind::Weakened),
        0
    );
}

#[test]
fn recovery_is_fixed_or_backs_off_or_ramps() {
    for (recovery, first, share) in [
        (Recovery::Fixed, 218.0..=300.0, 1.0),
        (Recovery::Backoff, 4.5..=5.5, 1.0),
        (Recovery::Ramp, 4.5..=5.5, 0.125),
    ] {
        let mut fleet = Fleet::with(3, 1, |settings| settings.ejection.recovery = recovery);
        fleet.until_ejected(|i| if i == 0 { sick(1.0) } else { WELL }, MS);
        let until = fleet.row(0).1.ejected_until.unwrap();
        let length = until.since(fleet.now);
        assert!(first.contains(&length.as_secs_f64()), "{recovery:?}: {length}");
        fleet.wait(length);
        assert_eq!(fleet.row(0).1.breaker, BreakerState::HalfOpen);
        let candidates = fleet.state.view().candidates();
        let index = candidates.slots().iter().position(|slot| slot.0 == 0).unwrap();
        assert_eq!(candidates.share(index).as_f64(), share, "{recovery:?}");
        for _ in 0..3 {
            fleet.end(0, &Outcome::from_status(200, MS));
        }
        fleet.wait(SECOND);
        assert_eq!(fleet.row(0).1.breaker, BreakerState::Recovering);
        for _ in 0..20 {
            fleet.end(0, &Outcome::from_status(200, MS));
        }
        fleet.wait(SECOND);
        assert_eq!(fleet.row(0).1.breaker, BreakerState::Closed);
        let words = |fleet: &mut Fleet| -> Vec<&'static str> {
            let events = fleet.state.take_events();
            events.iter().map(|e| e.kind.as_str()).collect()
        };
        assert_eq!(
            words(&mut fleet),
            ["ejected", "returned", "recovering", "recovered"]
        );
        assert!(fleet.state.view().candidates().has_full_shares(), "{recovery:?}");
    }
}

#[test]
fn reported_health_takes_out_and_brings_back_with_hysteresis() {
    let mut fleet = Fleet::of(3, 1);
    let say = |fleet: &mut Fleet, score| {
        let operation = Operation::ReportHealth {
            id: InstanceId::new("i0").unwrap(),
            score: Score::new(score).unwrap(),
            observed: fleet.now,
        };
        fleet.state.operate(operation, fleet.now).unwrap();
        fleet.wait(SECOND);
        fleet.row(0).1.state
    };
    let weak = InstanceState::Weak;
    for (score, state) in [
        (0.6, InstanceState::Healthy),
        (0.49, weak),
        (0.6, weak),
        (0.79, weak),
        (0.81, InstanceState::Healthy),
        (0.51, InstanceState::Healthy),
        (0.0, weak),
    ] {
        assert_eq!(say(&mut fleet, score), state, "{score}");
    }
    let reason = fleet.row(0).1.reason;
    assert!(
        reason.contains("below 0.50: reported 0.00: 0.00 was reported"),
        "{reason}"
    );
    assert!(!fleet.state.view().is_candidate(Slot(0)));
    fleet.wait(Nanos::from_secs(170));
    assert_eq!(fleet.row(0).1.state, InstanceState::Healthy, "an old word fades");
    assert_eq!(fleet.count(EventKind::Weakened), 2);
    assert_eq!(fleet.count(EventKind::Strengthened), 2);
}

/// With the detectors off, only the score takes it out; it fades back without traffic, and does not flap.
#[test]
fn the_score_alone_takes_out_the_broken_and_does_not_flap() {
    let mut fleet = Fleet::with(3, 1, |settings| {
        settings.ejection.on_consecutive = Mode::Off;
        settings.ejection.on_burst = Mode::Off;
        settings.ejection.on_error_rate = Mode::Off;
    });
    fleet.run(
        |i| if i == 0 { sick(1.0) } else { WELL },
        Nanos::from_millis(10),
        60_000,
    );
    let times = fleet.count(EventKind::Weakened);
    assert!((5..=30).contains(&times), "{times} in ten minutes");
    assert!(fleet.asked[0] < 4000, "{} of 60000", fleet.asked[0]);
    fleet.run(|_| WELL, Nanos::from_millis(10), 12_000);
    assert_eq!(fleet.row(0).1.state, InstanceState::Healthy);
    assert_eq!(
        fleet.count(EventKind::Weakened),
        fleet.count(EventKind::Strengthened)
    );
}
