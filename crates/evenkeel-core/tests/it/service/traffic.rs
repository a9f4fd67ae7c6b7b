//! A service under Poisson traffic in virtual time: real views, leases, alarms and ticks; only work is simulated,
//! by instances that have room for any number of requests, or for as many as they have workers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use evenkeel_core::{
    Event, EventKind, Evidence, Instance, Lease, Nanos, Outcome, PickContext, PickRequest, Rng,
    ServiceSettings, ServiceState, Slot, StrategyName,
};

/// Response times, in ms.
#[derive(Debug, Clone, Copy)]
pub(super) enum Times {
    Fixed(f64),
    /// Mean.
    Exponential(f64),
    /// Median, and the deviation of the logarithm.
    Lognormal(f64, f64),
}

impl Times {
    fn draw(self, rng: &mut Rng) -> f64 {
        let unit = 1.0 - rng.unit();
        match self {
            Self::Fixed(ms) => ms,
            Self::Exponential(ms) => -unit.ln() * ms,
            Self::Lognormal(ms, deviation) => {
                let angle = std::f64::consts::TAU * rng.unit();
                ms * (deviation * (-2.0 * unit.ln()).sqrt() * angle.cos()).exp()
            }
        }
    }
}

/// How an instance is at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    /// Part of its requests that fail.
    pub(super) fails: f64,
    /// Its response times are longer by this factor.
    pub(super) slower: f64,
}

/// What fails so often and is not slow.
pub(super) const fn fails(fails: f64) -> Nature {
    Nature { fails, slower: 1.0 }
}

pub(super) struct Traffic {
    pub(super) state: ServiceState,
    pub(super) now: Nanos,
    /// Requests per second of all clients.
    pub(super) rate: f64,
    pub(super) times: Times,
    /// Requests that an instance works on at a time; 0 for all of them.
    pub(super) workers: usize,
    cx: PickContext,
    rng: Rng,
    n: usize,
    /// When workers are free, by instance.
    free: Vec<BinaryHeap<Reverse<u64>>>,
    /// By end and number: how long it took, and whether it failed.
    open: BTreeMap<(u64, u64), (Lease, Nanos, bool)>,
    arrives: Nanos,
    number: u64,
    /// Seconds that each was no candidate, and requests to each.
    pub(super) out: Vec<f64>,
    pub(super) asked: Vec<u64>,
    /// Sum of response times in ms, and requests that ended.
    pub(super) took: (f64, u64),
    pub(super) events: Vec<Event>,
}

impl Traffic {
    pub(super) fn with(
        n: usize,
        seed: u64,
        rate: f64,
        times: Times,
        set: impl FnOnce(&mut ServiceSettings),
    ) -> Self {
        let mut settings = ServiceSettings::new("web");
        set(&mut settings);
        let instances = (0..n).map(|i| {
            let address = SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 80));
            Instance::new(&format!("i{i}"), address).unwrap()
        });
        let now = Nanos::from_secs(1000);
        Self {
            state: ServiceState::new(settings, instances.collect(), seed, now).unwrap(),
            now,
            rate,
            times,
            workers: 0,
            cx: PickContext::new(seed),
            rng: Rng::new(!seed),
            n,
            free: vec![BinaryHeap::new(); n],
            open: BTreeMap::new(),
            arrives: now,
            number: 0,
            out: vec![0.0; n],
            asked: vec![0; n],
            took: (0.0, 0),
            events: Vec::new(),
        }
    }

    /// With this strategy.
    pub(super) fn of(n: usize, seed: u64, rate: f64, times: Times, strategy: StrategyName) -> Self {
        Self::with(n, seed, rate, times, |settings| {
            settings.strategy = strategy.into();
        })
    }

    /// Requests, answers and ticks for so many seconds.
    pub(super) fn run(&mut self, seconds: u64, nature: impl Fn(usize, Nanos) -> Nature) {
        let end = self.now + Nanos::from_secs(seconds);
        loop {
            let answer = self
                .open
                .first_key_value()
                .map_or(Nanos::MAX, |(key, _)| Nanos(key.0));
            let tick = self.state.next_deadline();
            let next = answer.min(tick).min(self.arrives).max(self.now);
            self.pass(next.min(end));
            if next >= end {
                break;
            }
            if answer <= next {
                self.answer();
            } else if tick <= next {
                self.now = self.now.max(tick);
                self.state.tick(self.now);
            } else {
                self.arrive(&nature);
            }
            self.events.extend(self.state.take_events());
        }
    }

    fn pass(&mut self, until: Nanos) {
        let seconds = until.since(self.now).as_secs_f64();
        if seconds > 0.0 {
            let view = self.state.view();
            for (i, out) in self.out.iter_mut().enumerate() {
                if !view.is_candidate(Slot(i as u32)) {
                    *out += seconds;
                }
            }
        }
        self.now = until;
    }

    fn arrive(&mut self, nature: &impl Fn(usize, Nanos) -> Nature) {
        let pause = -(1.0 - self.rng.unit()).ln() / self.rate * 1e9;
        self.arrives = self.now + Nanos(pause as u64);
        self.cx.now = self.now;
        let lease = self
            .state
            .view()
            .pick(&PickRequest::default(), &mut self.cx)
            .unwrap();
        let i = lease.slot().0 as usize;
        self.asked[i] += 1;
        let Nature { fails, slower } = nature(i, self.now);
        let work = (self.times.draw(&mut self.rng) * slower * 1e6) as u64 + 1;
        let begins = match self.free[i].len() {
            _ if self.workers == 0 => self.now.0,
            busy if busy < self.workers => self.now.0,
            _ => self.free[i].pop().unwrap().0.max(self.now.0),
        };
        if self.workers > 0 {
            self.free[i].push(Reverse(begins + work));
        }
        let failed = self.rng.unit() < fails;
        self.number += 1;
        let took = Nanos(begins + work - self.now.0);
        self.open
            .insert((begins + work, self.number), (lease, took, failed));
    }

    fn answer(&mut self) {
        let (_, (lease, took, failed)) = self.open.pop_first().unwrap();
        let outcome = match failed {
            true => Outcome::failed(took),
            false => Outcome::from_status(200, took),
        };
        self.took.0 += took.as_secs_f64() * 1e3;
        self.took.1 += 1;
        if lease.finish(&outcome, self.now).is_some() {
            self.state.apply(Evidence::Alarm, self.now);
        }
    }

    pub(super) fn count(&self, kind: EventKind) -> u64 {
        self.state.counters().of(kind)
    }

    /// Those that are no candidates.
    pub(super) fn are_out(&self) -> Vec<usize> {
        let view = self.state.view();
        (0..self.n)
            .filter(|i| !view.is_candidate(Slot(*i as u32)))
            .collect()
    }

    pub(super) fn reasons(&self, kind: EventKind) -> Vec<&str> {
        let events = self.events.iter().filter(|event| event.kind == kind);
        events.map(|event| &*event.reason).collect()
    }

    /// Counts anew.
    pub(super) fn clear(&mut self) {
        self.out.fill(0.0);
        self.asked.fill(0);
        self.took = (0.0, 0);
        self.events.clear();
    }
}
