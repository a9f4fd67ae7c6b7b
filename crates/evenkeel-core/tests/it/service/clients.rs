//! Clients of one service in virtual time: Poisson arrivals, real leases, answers that take as long as a test says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use evenkeel_core::{
    Event, EventKind, Evidence, Instance, Lease, Nanos, Outcome, PickContext, PickRequest, Rng,
    ServiceSettings, ServiceState, StrategySettings, Verdict,
};

/// How an instance ends a request, if the client waits for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// `None` is a connection that breaks.
    pub(super) status: Option<u16>,
    pub(super) takes: Nanos,
}

pub(super) fn ok(ms: f64) -> Answer {
    Answer {
        status: Some(200),
        takes: Nanos((ms * 1e6) as u64),
    }
}

pub(super) fn broken() -> Answer {
    Answer {
        status: None,
        takes: Nanos::from_millis(1),
    }
}

/// Never.
pub(super) fn hangs() -> Answer {
    Answer {
        status: None,
        takes: Nanos::from_secs(30),
    }
}

/// An exponential time with this mean.
pub(super) fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -(1.0 - rng.unit()).ln() * mean
}

/// A lognormal time with this median.
pub(super) fn lognormal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    median * (sigma * radius * (std::f64::consts::TAU * rng.unit()).cos()).exp()
}

/// A Pareto time of at least `least` and at most `most`.
pub(super) fn pareto(rng: &mut Rng, least: f64, shape: f64, most: f64) -> f64 {
    (least * (1.0 - rng.unit()).powf(-1.0 / shape)).min(most)
}

/// What happens next.
struct Due {
    at: Nanos,
    sequence: u64,
    lease: Lease,
    outcome: Outcome,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

pub(super) struct Clients {
    pub(super) state: ServiceState,
    pub(super) now: Nanos,
    rng: Rng,
    cx: PickContext,
    pending: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    /// Requests a second.
    pub(super) rate: f64,
    /// How long a client waits.
    pub(super) patience: Nanos,
    pub(super) requests: u64,
    /// Of those, failed or given up.
    pub(super) unserved: u64,
    pub(super) asked: Vec<u64>,
    /// Nanoseconds for which it was ejected or weak.
    pub(super) out: Vec<u64>,
    pub(super) events: Vec<Event>,
}

impl Clients {
    pub(super) fn of(n: usize, strategy: StrategySettings, rate: f64, seed: u64) -> Self {
        let mut settings = ServiceSettings::new("web");
        settings.strategy = strategy;
        Self::with(n, settings, rate, seed)
    }

    pub(super) fn with(n: usize, settings: ServiceSettings, rate: f64, seed: u64) -> Self {
        let instances = (0..n).map(|i| {
            let address = SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 80));
            Instance::new(&format!("i{i}"), address).unwrap()
        });
        let now = Nanos::from_secs(1000);
        Self {
            state: ServiceState::new(settings, instances.collect(), seed, now).unwrap(),
            now,
            rng: Rng::new(!seed),
            cx: PickContext::new(seed),
            pending: BinaryHeap::new(),
            sequence: 0,
            rate,
            patience: Nanos::MAX,
            requests: 0,
            unserved: 0,
            asked: vec![0; n],
            out: vec![0; n],
            events: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, seconds: f64, answer: &mut impl FnMut(usize, Nanos, &mut Rng) -> Answer) {
        let end = self.now + Nanos((seconds * 1e9) as u64);
        let mut arrival = self.now + self.pause();
        loop {
            let tick = self.state.next_deadline().max(Nanos(self.now.0 + 1));
            let due = self.pending.peek().map_or(Nanos::MAX, |due| due.0.at);
            let next = arrival.min(tick).min(due);
            if next >= end {
                break;
            }
            self.go_to(next);
            if next == due {
                let Some(Reverse(due)) = self.pending.pop() else {
                    unreachable!()
                };
                if due.lease.finish(&due.outcome, self.now).is_some() {
                    self.state.apply(Evidence::Alarm, self.now);
                    self.events.extend(self.state.take_events());
                }
            } else if next == tick {
                self.state.tick(self.now);
                self.events.extend(self.state.take_events());
            } else {
                self.arrive(answer);
                arrival = self.now + self.pause();
            }
        }
        self.go_to(end);
    }

    fn pause(&mut self) -> Nanos {
        Nanos((exponential(&mut self.rng, 1e9) / self.rate) as u64 + 1)
    }

    fn go_to(&mut self, next: Nanos) {
        let passed = next.since(self.now).0;
        for (slot, _, status) in self.state.view().members() {
            if status.state.as_str() != "healthy" {
                self.out[slot.0 as usize] += passed;
            }
        }
        self.now = next;
    }

    fn arrive(&mut self, answer: &mut impl FnMut(usize, Nanos, &mut Rng) -> Answer) {
        self.requests += 1;
        self.cx.now = self.now;
        let Ok(lease) = self.state.view().pick(&PickRequest::default(), &mut self.cx) else {
            self.unserved += 1;
            return;
        };
        let i = lease.slot().0 as usize;
        self.asked[i] += 1;
        let Answer { status, takes } = answer(i, self.now, &mut self.rng);
        let outcome = match status {
            _ if takes > self.patience => Outcome::unanswered(self.patience),
            None => Outcome::failed(takes),
            Some(status) => Outcome::from_status(status, takes),
        };
        self.unserved += u64::from(matches!(outcome.verdict, Verdict::Failure | Verdict::Cancelled));
        self.sequence += 1;
        self.pending.push(Reverse(Due {
            at: self.now + takes.min(self.patience),
            sequence: self.sequence,
            lease,
            outcome,
        }));
    }

    pub(super) fn count(&self, kind: EventKind) -> u64 {
        self.state.counters().of(kind)
    }

    /// Seconds for which `i` was out.
    pub(super) fn seconds_out(&self, i: usize) -> f64 {
        self.out[i] as f64 / 1e9
    }

    /// What was said with this kind.
    pub(super) fn told(&self, kind: EventKind) -> Vec<String> {
        let events = self.events.iter().filter(|event| event.kind == kind);
        events.map(|event| event.reason.to_string()).collect()
    }
}
