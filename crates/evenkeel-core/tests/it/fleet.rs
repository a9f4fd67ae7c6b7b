//! A virtual fleet: what clients see when instances are slow, fail or hang, strategy by strategy.
//!
//! `benches/fleet.rs` is made of it too, and prints tables; hence the paths.

#[path = "fleet/known_failures.rs"]
mod known_failures;
#[path = "fleet/oracle.rs"]
mod oracle;
#[path = "fleet/quiet.rs"]
pub(crate) mod quiet;
#[path = "fleet/scenarios.rs"]
pub(crate) mod scenarios;
#[path = "fleet/world.rs"]
mod world;

use evenkeel_core::{Nanos, StrategyName, StrategySettings};

pub(crate) use oracle::Oracle;
use world::World;

/// What a request costs an instance of speed 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Service {
    /// With this mean.
    Exponential(Nanos),
    /// Always this.
    Fixed(Nanos),
    /// Mean and deviation.
    Normal(Nanos, Nanos),
}

/// What is wrong with an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Work takes so many times as long.
    Slow(f64),
    /// Errors without work.
    FailsAtOnce,
    /// Errors after the work, for this part of requests.
    Fails(f64),
    /// Nothing is answered.
    Hangs,
}

/// One instance.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) workers: usize,
    pub(crate) speed: f64,
    pub(crate) weight: u32,
    /// When it is registered.
    pub(crate) joins: Nanos,
    /// From, until, what; the first that applies does.
    pub(crate) faults: Vec<(Nanos, Nanos, Fault)>,
}

/// A fleet with its clients and balancers.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) backends: Vec<Backend>,
    pub(crate) strategy: StrategySettings,
    /// Chooses in the strategy's place, by what no balancer can know.
    pub(crate) oracle: Option<Oracle>,
    /// Balancers that know nothing of each other and share the clients evenly.
    pub(crate) balancers: usize,
    pub(crate) service: Service,
    /// Requests per second of all clients.
    pub(crate) rate: f64,
    /// Further attempts after a failed one, elsewhere if possible.
    pub(crate) retries: u32,
    /// Of one attempt.
    pub(crate) time_out: Nanos,
    /// Failures in a row that eject; 0 for never.
    pub(crate) ejects_at: u32,
    /// Whether what speaks against an instance besides such runs ejects it.
    pub(crate) detectors: bool,
    /// Requests before are not counted.
    pub(crate) warm_up: Nanos,
    /// Arrivals end then.
    pub(crate) length: Nanos,
}

pub(crate) const fn seconds(s: u64) -> Nanos {
    Nanos::from_secs(s)
}

impl Fleet {
    /// `n` instances of two workers, 8 ms of work, exponential, `load` of their capacity; measured for 8 s after
    /// 2 s.
    pub(crate) fn new(strategy: impl Into<StrategySettings>, n: usize, load: f64) -> Self {
        let backend = Backend {
            workers: 2,
            speed: 1.0,
            weight: 1,
            joins: Nanos::ZERO,
            faults: Vec::new(),
        };
        Self {
            backends: vec![backend; n],
            strategy: strategy.into(),
            oracle: None,
            balancers: 1,
            service: Service::Exponential(Nanos::from_millis(8)),
            rate: load * 2.0 * n as f64 * 125.0,
            retries: 2,
            time_out: seconds(5),
            ejects_at: 5,
            detectors: true,
            warm_up: seconds(2),
            length: seconds(10),
        }
    }

    /// With `fault` at these instances from `from` until `until`.
    pub(crate) fn with(mut self, at: std::ops::Range<usize>, from: u64, until: u64, fault: Fault) -> Self {
        for backend in &mut self.backends[at] {
            backend.faults.push((seconds(from), seconds(until), fault));
        }
        self
    }

    pub(crate) fn run(&self, seed: u64) -> Report {
        World::new(self, seed).run()
    }

    /// The same with several seeds, counted together.
    pub(crate) fn run_all(&self, seeds: std::ops::Range<u64>) -> Report {
        let mut all = Report::new(self.backends.len());
        for seed in seeds {
            all.add(self.run(seed));
        }
        all.finish();
        all
    }
}

/// What clients saw, and where their requests went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// From arrival to success, in order.
    latencies: Vec<u64>,
    errors: u64,
    /// Attempts by second and instance.
    picks: Vec<Vec<u64>>,
    n: usize,
}

impl Report {
    fn new(n: usize) -> Self {
        Self {
            latencies: Vec::new(),
            errors: 0,
            picks: Vec::new(),
            n,
        }
    }

    fn picked(&mut self, instance: usize, now: Nanos) {
        let second = (now.0 / 1_000_000_000) as usize;
        while self.picks.len() <= second {
            self.picks.push(vec![0; self.n]);
        }
        self.picks[second][instance] += 1;
    }

    fn ended(&mut self, latency: Nanos, failed: bool) {
        if failed {
            self.errors += 1;
        } else {
            self.latencies.push(latency.0);
        }
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        for (second, counts) in other.picks.into_iter().enumerate() {
            while self.picks.len() <= second {
                self.picks.push(vec![0; self.n]);
            }
            for (sum, count) in self.picks[second].iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }

    fn finish(&mut self) {
        self.latencies.sort_unstable();
    }

    /// All requests counted.
    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len() as u64 + self.errors
    }

    /// Milliseconds within which this part of the answered was answered.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let index = ((self.latencies.len() as f64 * part) as usize).min(self.latencies.len() - 1);
        self.latencies[index] as f64 / 1e6
    }

    /// Part of requests that failed for their clients.
    pub(crate) fn error_share(&self) -> f64 {
        self.errors as f64 / self.requests() as f64
    }

    /// Part of requests answered without error within `limit`.
    pub(crate) fn within(&self, limit: Nanos) -> f64 {
        let good = self.latencies.partition_point(|latency| *latency <= limit.0);
        good as f64 / self.requests() as f64
    }

    /// Attempts at `instance` in these seconds, as a multiple of the fair share (1/n).
    pub(crate) fn fair_share(&self, instance: usize, seconds: std::ops::Range<usize>) -> f64 {
        let counts = &self.picks[seconds];
        let own: u64 = counts.iter().map(|second| second[instance]).sum();
        let all: u64 = counts.iter().flatten().sum();
        own as f64 * self.n as f64 / all as f64
    }

    /// Attempts at `instance` in a second.
    pub(crate) fn attempts(&self, instance: usize, second: usize) -> u64 {
        self.picks.get(second).map_or(0, |counts| counts[instance])
    }
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_does_not() {
    let fleet = Fleet::new(StrategyName::power_of_two, 5, 0.7).with(0..1, 4, 6, Fault::Hangs);
    assert_eq!(fleet.run(1), fleet.run(1));
    assert_ne!(fleet.run(1), fleet.run(2));
}

#[test]
fn faults_begin_and_end_where_they_should() {
    let mut fleet = Fleet::new(StrategyName::random, 2, 0.2)
        .with(0..1, 3, 4, Fault::FailsAtOnce)
        .with(1..2, 5, 6, Fault::Slow(10.0));
    fleet.service = Service::Fixed(Nanos::from_millis(5));
    (fleet.retries, fleet.ejects_at) = (0, 0);
    let report = fleet.run(1);
    // 100 requests a second for 8 s: half of one second's fail, half of another's take 50 ms.
    assert!((30..70).contains(&report.errors), "{}", report.errors);
    assert!((0.9..1.1).contains(&report.fair_share(0, 2..10)));
    assert_eq!(
        report.attempts(0, 3) + report.attempts(1, 3),
        report.picks[3].iter().sum()
    );
    let late = report
        .latencies
        .iter()
        .filter(|latency| **latency >= 50_000_000)
        .count();
    assert!((30..80).contains(&late), "{late}");
    fleet.service = Service::Normal(Nanos::from_millis(5), Nanos(100_000));
    assert!((4.7..5.3).contains(&fleet.run(1).quantile(0.25)));
}

#[test]
fn one_queue_keeps_to_the_formula() {
    // Erlang's C for 4 workers at load 0.7 is 0.4287; those who wait, wait 8 / (4 × 0.3) ms in the mean.
    let mut fleet = Fleet::new(StrategyName::random, 1, 0.7);
    fleet.backends[0].workers = 4;
    fleet.rate *= 2.0;
    fleet.length = seconds(200);
    let report = fleet.run(3);
    let mean = report.latencies.iter().sum::<u64>() as f64 / report.requests() as f64 / 1e6;
    let expected = 8.0 + 0.4287 * 8.0 / (4.0 * 0.3);
    assert!(
        (mean / expected - 1.0).abs() < 0.05,
        "{mean} instead of {expected}"
    );
}
