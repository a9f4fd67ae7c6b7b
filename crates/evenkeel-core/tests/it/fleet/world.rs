//! Discrete events over virtual time: clients, balancers, instances with a queue each.
//!
//! Everything that decides is real (`ServiceState`, its views and leases, passive ejection, ticks); only time,
//! sockets and work are simulated. The same fleet and seed give the same report.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;

use evenkeel_core::{
    EjectionSettings, Evidence, Instance, Lease, Mode, Nanos, Outcome, PickContext, PickRequest, Rng,
    ServiceSettings, ServiceState, Slot, Weight,
};

use super::oracle::{self, Oracle, True};
use super::{Backend, Fault, Fleet, Report, Service};

/// How long an answer that takes no work is on its way.
const AT_ONCE: Nanos = Nanos(200_000);
/// How long an alarm takes to its writer: evidence reaches views a moment later, as in the proxy.
const TO_WRITER: Nanos = Nanos(100_000);

enum Event {
    Arrival,
    /// The attempt of a request ends by itself.
    Done(usize, u32),
    Tick(usize),
    Alarm(usize),
    Joins,
}

struct Request {
    arrived: Nanos,
    balancer: usize,
    lease: Option<Lease>,
    /// Whether an attempt is on its way.
    asks: bool,
    attempt: u32,
    tried: Vec<Slot>,
    instance: usize,
    working: bool,
}

#[derive(Default)]
struct Queue {
    busy: usize,
    waiting: VecDeque<(usize, u32)>,
}

struct Balancer {
    state: ServiceState,
    cx: PickContext,
}

pub(super) struct World<'a> {
    fleet: &'a Fleet,
    now: Nanos,
    events: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    kinds: Vec<Option<Event>>,
    free: Vec<usize>,
    sequence: u64,
    /// Attempts by the time at which clients give up; the time-out is the same for all, so this is a queue.
    patience: VecDeque<(Nanos, usize, u32)>,
    balancers: Vec<Balancer>,
    queues: Vec<Queue>,
    /// Before the fleet, with [`Oracle::OneQueue`].
    queue: VecDeque<usize>,
    requests: Vec<Request>,
    arrivals: Rng,
    work: Rng,
    report: Report,
}

fn settings(fleet: &Fleet) -> ServiceSettings {
    let mode = if fleet.detectors { Mode::Enforce } else { Mode::Off };
    ServiceSettings {
        strategy: fleet.strategy.clone(),
        ejection: EjectionSettings {
            consecutive_failures: fleet.ejects_at,
            on_burst: mode,
            on_error_rate: mode,
            on_slow: mode,
            ..EjectionSettings::default()
        },
        ..ServiceSettings::new("web")
    }
}

fn instances(backends: &[Backend], now: Nanos) -> Vec<Instance> {
    let present = backends.iter().enumerate().filter(|(_, b)| b.joins <= now);
    let instances = present.map(|(index, backend)| {
        let address = SocketAddr::from(((index as u32 + 1).to_be_bytes(), 80));
        let weight = Weight::new(u64::from(backend.weight)).unwrap();
        let instance = Instance::new(&format!("i{index}"), address).unwrap();
        instance.with_weight(weight)
    });
    instances.collect()
}

impl<'a> World<'a> {
    pub(super) fn new(fleet: &'a Fleet, seed: u64) -> Self {
        let mut seeds = Rng::new(seed);
        let n = fleet.backends.len();
        let balancers = (0..fleet.balancers).map(|_| Balancer {
            state: ServiceState::new(
                settings(fleet),
                instances(&fleet.backends, Nanos::ZERO),
                seeds.next_u64(),
                Nanos::ZERO,
            )
            .unwrap(),
            cx: PickContext::new(seeds.next_u64()),
        });
        let balancers = balancers.collect();
        let mut world = Self {
            fleet,
            now: Nanos::ZERO,
            events: BinaryHeap::new(),
            kinds: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            patience: VecDeque::new(),
            balancers,
            queues: (0..n).map(|_| Queue::default()).collect(),
            queue: VecDeque::new(),
            requests: Vec::new(),
            // Not of the balancers' seeds, so that every strategy meets the same arrivals.
            arrivals: Rng::new(!seed),
            work: Rng::new(seed.rotate_left(32)),
            report: Report::new(n),
        };
        world.at(Nanos::ZERO, Event::Arrival);
        for index in 0..world.balancers.len() {
            let due = world.balancers[index].state.next_deadline();
            world.at(due, Event::Tick(index));
        }
        for backend in fleet.backends.iter().filter(|b| b.joins > Nanos::ZERO) {
            world.at(backend.joins, Event::Joins);
        }
        world
    }

    fn at(&mut self, time: Nanos, event: Event) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.kinds.push(None);
            self.kinds.len() - 1
        });
        self.kinds[place] = Some(event);
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence, place)));
    }

    pub(super) fn run(mut self) -> Report {
        while let Some(Reverse((time, _, place))) = self.events.pop() {
            let event = self.kinds[place].take().unwrap();
            self.free.push(place);
            while let Some((due, request, attempt)) = self.patience.front().copied()
                && due <= time
            {
                self.patience.pop_front();
                self.now = due;
                self.time_out(request, attempt);
            }
            self.now = time;
            match event {
                Event::Arrival if time < self.fleet.length => {
                    self.arrive();
                    let pause = -(1.0 - self.arrivals.unit()).ln() / self.fleet.rate * 1e9;
                    self.at(time + Nanos(pause as u64), Event::Arrival);
                }
                Event::Done(request, attempt) => self.done(request, attempt),
                Event::Tick(index) if time < self.fleet.length => {
                    let state = &mut self.balancers[index].state;
                    state.tick(time);
                    let due = state.next_deadline().max(time + Nanos(1));
                    self.at(due, Event::Tick(index));
                }
                Event::Alarm(index) => self.balancers[index].state.apply(Evidence::Alarm, time),
                Event::Joins => {
                    let settings = settings(self.fleet);
                    for balancer in &mut self.balancers {
                        let present = instances(&self.fleet.backends, time);
                        balancer.state.replace(settings.clone(), present, time).unwrap();
                    }
                }
                Event::Arrival | Event::Tick(_) => {}
            }
        }
        self.report.finish();
        self.report
    }

    fn arrive(&mut self) {
        let request = self.requests.len();
        self.requests.push(Request {
            arrived: self.now,
            balancer: self.arrivals.below(self.balancers.len() as u32) as usize,
            lease: None,
            asks: false,
            attempt: 0,
            tried: Vec::new(),
            instance: 0,
            working: false,
        });
        self.send(request);
    }

    fn send(&mut self, request: usize) {
        match self.fleet.oracle {
            None => self.pick(request),
            Some(Oracle::ShortestDelay) => {
                let fleet = self.as_it_is(&self.requests[request].tried);
                let instance = oracle::shortest_delay(&fleet, self.place());
                self.ask(request, instance, None);
            }
            Some(Oracle::OneQueue) if self.requests[request].attempt > 0 => self.queue.push_front(request),
            Some(Oracle::OneQueue) => self.queue.push_back(request),
        }
        self.leave_queue();
    }

    fn pick(&mut self, request: usize) {
        let r = &mut self.requests[request];
        let balancer = &mut self.balancers[r.balancer];
        balancer.cx.now = self.now;
        let asked = PickRequest {
            tried: &r.tried,
            key: Some(self.arrivals.next_u64().into()),
            region: None,
        };
        let view = balancer.state.view();
        let lease = view.pick(&asked, &mut balancer.cx).unwrap();
        let instance = lease.member().instance().id.as_str()[1..].parse().unwrap();
        self.ask(request, instance, Some(lease));
    }

    /// Whoever waits before the fleet goes where a worker is free.
    fn leave_queue(&mut self) {
        while let Some(request) = self.queue.front().copied() {
            let fleet = self.as_it_is(&[]);
            let Some(instance) = oracle::first_free(&fleet, self.queue.len(), self.place()) else {
                return;
            };
            self.queue.pop_front();
            self.ask(request, instance, None);
        }
    }

    /// Somewhere in the fleet.
    fn place(&mut self) -> usize {
        self.work.below(self.queues.len() as u32) as usize
    }

    /// The fleet in truth.
    fn as_it_is(&self, tried: &[Slot]) -> Vec<True> {
        let all = self.fleet.backends.iter().enumerate();
        let all = all.map(|(index, backend)| {
            let queue = &self.queues[index];
            let requests = queue.busy + queue.waiting.len();
            let one = True::new(backend, self.fault(index), requests, self.fleet.service.mean());
            True {
                tried: tried.contains(&Slot(index as u32)),
                ..one
            }
        });
        all.collect()
    }

    fn ask(&mut self, request: usize, instance: usize, lease: Option<Lease>) {
        let r = &mut self.requests[request];
        r.instance = instance;
        let slot = lease.as_ref().map_or(Slot(instance as u32), Lease::slot);
        r.tried.push(slot);
        r.lease = lease;
        r.attempt += 1;
        r.asks = true;
        r.working = false;
        let attempt = r.attempt;
        self.report.picked(instance, self.now);
        if self.fault(instance) == Fault::FailsAtOnce {
            self.at(self.now + AT_ONCE, Event::Done(request, attempt));
            return;
        }
        self.patience
            .push_back((self.now + self.fleet.time_out, request, attempt));
        self.queues[instance].waiting.push_back((request, attempt));
        self.work(instance);
    }

    fn fault(&self, instance: usize) -> Fault {
        let faults = &self.fleet.backends[instance].faults;
        let now = faults
            .iter()
            .find(|(from, until, _)| (*from..*until).contains(&self.now));
        now.map_or(Fault::None, |(.., fault)| *fault)
    }

    /// Free workers take what waits.
    fn work(&mut self, instance: usize) {
        let backend = &self.fleet.backends[instance];
        while self.queues[instance].busy < backend.workers
            && let Some((request, attempt)) = self.queues[instance].waiting.pop_front()
        {
            if self.requests[request].attempt != attempt || !self.requests[request].asks {
                continue;
            }
            self.queues[instance].busy += 1;
            self.requests[request].working = true;
            let slower = match self.fault(instance) {
                // Its workers are held until the clients give up.
                Fault::Hangs => continue,
                Fault::Slow(times) => times,
                _ => 1.0,
            };
            let time = self.fleet.service.draw(&mut self.work) * slower / backend.speed;
            self.at(self.now + Nanos(time as u64), Event::Done(request, attempt));
        }
    }

    fn release(&mut self, request: usize) {
        if std::mem::take(&mut self.requests[request].working) {
            let instance = self.requests[request].instance;
            self.queues[instance].busy -= 1;
            self.work(instance);
            self.leave_queue();
        }
    }

    fn done(&mut self, request: usize, attempt: u32) {
        let r = &self.requests[request];
        if r.attempt != attempt || !r.asks {
            return;
        }
        let failed = match self.fault(r.instance) {
            Fault::FailsAtOnce => true,
            Fault::Fails(part) => self.work.unit() < part,
            _ => false,
        };
        self.end(request, failed);
    }

    fn time_out(&mut self, request: usize, attempt: u32) {
        if self.requests[request].attempt == attempt && self.requests[request].asks {
            self.end(request, true);
        }
    }

    /// The attempt ends: its worker is free, the balancer learns of it, and the request is over or goes on.
    fn end(&mut self, request: usize, failed: bool) {
        let r = &mut self.requests[request];
        r.asks = false;
        let (balancer, arrived) = (r.balancer, r.arrived);
        let again = failed && r.attempt <= self.fleet.retries;
        if let Some(lease) = r.lease.take() {
            let took = self.now.since(lease.started());
            let outcome = if failed {
                Outcome::failed(took)
            } else {
                Outcome::from_status(200, took)
            };
            if lease.finish(&outcome, self.now).is_some() {
                self.at(self.now + TO_WRITER, Event::Alarm(balancer));
            }
        }
        self.release(request);
        if again {
            self.send(request);
        } else if arrived >= self.fleet.warm_up {
            self.report.ended(self.now.since(arrived), failed);
        }
    }
}

impl Service {
    fn mean(self) -> Nanos {
        match self {
            Self::Exponential(mean) | Self::Fixed(mean) | Self::Normal(mean, _) => mean,
        }
    }

    /// Nanoseconds of work for one request.
    pub(super) fn draw(self, rng: &mut Rng) -> f64 {
        let unit = 1.0 - rng.unit();
        match self {
            Self::Exponential(mean) => -unit.ln() * mean.0 as f64,
            Self::Fixed(time) => time.0 as f64,
            Self::Normal(mean, deviation) => {
                let angle = std::f64::consts::TAU * rng.unit();
                let normal = (-2.0 * unit.ln()).sqrt() * angle.cos();
                (mean.0 as f64 + normal * deviation.0 as f64).max(1000.0)
            }
        }
    }
}
