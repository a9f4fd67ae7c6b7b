//! The run of a scenario: events in virtual time.
//!
//! Everything that decides is the balancer's own code; time, the network and the work of servers are simulated. The
//! same scenario, policy and seed give the same run on every platform. Arrivals, the work of each request and what it
//! asks for are drawn apart from everything else, so that all policies meet the same ones.

use std::collections::VecDeque;

use evenkeel_core::{
    Calibration, Evidence, InstanceError, Nanos, Retry, Rng, ShadowCounts, Slot, StrategyName,
};

use crate::balancer::{Balancer, Policy, Sent};
use crate::draw::Zipf;
use crate::queue::Queue;
use crate::record::{Record, Run};
use crate::rules::ProbeAnswer;
use crate::scenario::{Arrivals, Scenario};
use crate::server::{Report, Server};

/// How long an answer takes that needs no work.
const AT_ONCE: Nanos = Nanos(100_000);
/// How long an alarm takes to its writer: evidence reaches views a moment later, as in the proxy.
const TO_WRITER: Nanos = Nanos(100_000);
/// What lies at least between a request that failed and the next of the same client, where it waits for answers.
const PAUSE: Nanos = Nanos::from_millis(1);
/// How often servers and scores are looked at for the record.
const SAMPLE: Nanos = Nanos::from_millis(100);

mod fleet;
mod requests;

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive,
    /// An attempt reaches its server.
    Reach(u32, u32),
    /// The first request of a server ends, by the plan of that version.
    Finish(u32, u32),
    /// The answer to an attempt reaches its client.
    Answer(u32, u32, Answer),
    Tick(u32),
    Alarm(u32),
    Change(u32),
    Join(u32),
    Leave(u32),
    Gone(u32),
    Poll(u32),
    Probe(u32, u32),
    Probed(u32, u32, ProbeAnswer),
    Check(u32, u32),
    Checked(u32, u32, Nanos, Option<Nanos>),
    Sample,
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Good,
    /// A status of 503.
    Error,
    /// The connection was refused.
    Refused,
    /// The connection broke, or the client waited no longer.
    Broken,
}

#[derive(Debug, Default)]
struct Request {
    arrived: Nanos,
    work: f64,
    key: u64,
    balancer: u32,
    /// Of all that had this place.
    attempt: u32,
    /// Of this request.
    tries: u32,
    sent: Option<Sent>,
    sent_at: Nanos,
    server: u32,
    /// Whether the server has it.
    arrived_there: bool,
    /// Core-nanoseconds that the server's answer took, as far as they count.
    worked: f64,
    tried: Vec<Slot>,
    tried_servers: Vec<u32>,
    report: Option<Report>,
    /// What its last try was, if not the first.
    retry: Option<Retry>,
}

/// See the module's text.
pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    now: Nanos,
    queue: Queue<Event>,
    arrivals: Rng,
    works: Rng,
    network: Rng,
    errors: Rng,
    zipf: Option<Zipf>,
    balancers: Vec<Balancer>,
    servers: Vec<Server>,
    /// The servers that are registered, ascending.
    present: Vec<u32>,
    requests: Vec<Request>,
    free: Vec<u32>,
    /// Requests so far.
    arrived: usize,
    /// When clients give up; the same time for all, so this is in order.
    patience: VecDeque<(Nanos, u32, u32)>,
    /// When the next change of a server is planned.
    changes: Vec<Nanos>,
    probes: Vec<u32>,
    record: Record,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, policy: &Policy, seed: u64) -> Result<Self, InstanceError> {
        let mut seeds = Rng::new(seed);
        let mut stream = || Rng::new(seeds.next_u64());
        let (arrivals, works, network, errors, mut fleet, mut balancing) =
            (stream(), stream(), stream(), stream(), stream(), stream());
        let specs = scenario.servers.iter().zip(&scenario.faults);
        let servers = specs
            .map(|(spec, faults)| Server::new(spec, faults.clone(), &mut fleet))
            .collect();
        let balancers = (0..scenario.clients).map(|client| {
            let region = scenario.client_regions.get(client).map(String::as_str);
            Balancer::new(
                policy,
                &scenario.service,
                &scenario.servers,
                scenario.clients,
                region,
                &mut balancing,
            )
        });
        let there = |server: &usize| {
            scenario.servers[*server]
                .joins
                .is_none_or(|joins| joins.0 == Nanos::ZERO)
        };
        let n = scenario.servers.len();
        let keys = scenario.keys.as_ref();
        let mut world = Self {
            scenario,
            now: Nanos::ZERO,
            queue: Queue::new(),
            arrivals,
            works,
            network,
            errors,
            zipf: keys.map(|keys| {
                Zipf::new(
                    usize::from(keys.count) as u64,
                    keys.zipf.map_or(0.0, |power| power.0),
                )
            }),
            balancers: balancers.collect::<Result<_, _>>()?,
            servers,
            present: (0..n).filter(there).map(|server| server as u32).collect(),
            requests: Vec::new(),
            free: Vec::new(),
            arrived: 0,
            patience: VecDeque::new(),
            changes: vec![Nanos::MAX; n],
            probes: Vec::new(),
            record: Record::new(scenario),
        };
        world.begin();
        Ok(world)
    }

    fn begin(&mut self) {
        for server in 0..self.servers.len() {
            self.servers[server].change(Nanos::ZERO);
            self.plan_change(server);
            let spec = &self.scenario.servers[server];
            if let Some(joins) = spec.joins.filter(|joins| joins.0 > Nanos::ZERO) {
                self.queue.plan(joins.0, Event::Join(server as u32));
            }
            if let Some(leaves) = spec.leaves {
                self.queue.plan(leaves.0, Event::Leave(server as u32));
            }
        }
        for balancer in 0..self.balancers.len() {
            self.plan_tick(balancer);
            if let Some(every) = self.balancers[balancer].polls_every() {
                let first = Nanos(self.network.below_u64(every.0.max(1)));
                self.queue.plan(first, Event::Poll(balancer as u32));
            }
            if self.balancers[balancer].is_real()
                && let Some(check) = &self.scenario.service.health_check
            {
                for server in 0..self.servers.len() {
                    let first = Nanos(self.network.below_u64(Nanos::from(check.interval).0.max(1)));
                    self.queue
                        .plan(first, Event::Check(balancer as u32, server as u32));
                }
            }
        }
        match self.scenario.arrivals {
            Arrivals::Open(_) | Arrivals::Recorded(_) => self.plan_arrival(),
            Arrivals::Closed(clients) => {
                for _ in 0..clients {
                    self.queue.plan(Nanos::ZERO, Event::Arrive);
                }
            }
        }
        self.queue.plan(SAMPLE, Event::Sample);
    }

    /// Runs to the end; `progress` is told the virtual time now and then, and ends the run when it says so.
    pub(crate) fn run(mut self, progress: &mut dyn FnMut(Nanos) -> bool) -> Option<Run> {
        let mut events = 0;
        loop {
            events += 1;
            let planned = self.queue.next_at();
            match self.patience.front().copied() {
                Some((due, request, attempt)) if planned.is_none_or(|planned| due <= planned) => {
                    self.patience.pop_front();
                    self.now = due;
                    self.give_up(request, attempt);
                }
                _ => {
                    let Some((at, event)) = self.queue.pop() else {
                        break;
                    };
                    self.now = at;
                    if matches!(event, Event::Sample) && !progress(at) {
                        return None;
                    }
                    self.happen(event);
                }
            }
        }
        let cache = self.cache_uses();
        self.leave_unfinished();
        let shadow = self.shadow();
        let all = self.balancers.iter().filter_map(Balancer::calibration);
        let calibration = all.fold(Calibration::default(), |all, one| all.with(&one));
        let run = self.record.finish(self.scenario, events, cache);
        Some(Run {
            shadow,
            calibration,
            ..run
        })
    }

    /// What came of asking the shadow strategy at all clients.
    fn shadow(&self) -> Option<(StrategyName, ShadowCounts)> {
        self.balancers
            .iter()
            .filter_map(Balancer::shadow)
            .reduce(|(strategy, all), (_, one)| (strategy, all + one))
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        let goes_on = now < self.scenario.duration;
        match event {
            Event::Arrive if goes_on => self.arrive(),
            Event::Reach(request, attempt) => self.reach(request, attempt),
            Event::Finish(server, version) => self.finish(server, version),
            Event::Answer(request, attempt, answer) => {
                if self.is_alive(request, attempt) {
                    self.end(request, answer);
                }
            }
            Event::Tick(balancer) if goes_on => {
                self.balancers[balancer as usize].tick(now);
                self.plan_tick(balancer as usize);
            }
            Event::Alarm(balancer) => {
                self.balancers[balancer as usize].observe(Evidence::Alarm, now);
                self.plan_tick(balancer as usize);
            }
            Event::Change(server) if goes_on => self.change(server as usize),
            Event::Join(server) => {
                self.present.push(server);
                self.present.sort_unstable();
                self.each_balancer(|balancer, spec| {
                    balancer.joins(server as usize, &spec[server as usize], now)
                });
            }
            Event::Leave(server) => {
                self.present.retain(|present| *present != server);
                self.each_balancer(|balancer, _| balancer.drains(server as usize, true, now));
                self.queue.plan(now + self.scenario.deadline, Event::Gone(server));
            }
            Event::Gone(server) => self.each_balancer(|balancer, _| balancer.leaves(server as usize, now)),
            Event::Poll(balancer) if goes_on => self.poll(balancer),
            Event::Probe(balancer, server) => self.probe(balancer, server),
            Event::Probed(balancer, server, answer) => {
                self.balancers[balancer as usize].answered(server, answer, now);
            }
            Event::Check(balancer, server) if goes_on => self.check(balancer, server),
            Event::Checked(balancer, server, observed, connected) => {
                self.checked(balancer, server, observed, connected);
            }
            Event::Sample if goes_on => self.sample(),
            Event::Arrive
            | Event::Tick(_)
            | Event::Change(_)
            | Event::Poll(_)
            | Event::Check(..)
            | Event::Sample => {}
        }
    }

    fn each_balancer(
        &mut self,
        mut act: impl FnMut(&mut Balancer, &[evenkeel_config::ServersFile]) -> Result<(), InstanceError>,
    ) {
        for balancer in 0..self.balancers.len() {
            // The ids and addresses of servers are made here, and are fine.
            let _ = act(&mut self.balancers[balancer], &self.scenario.servers);
            self.plan_tick(balancer);
        }
    }

    fn plan_tick(&mut self, balancer: usize) {
        if let Some(due) = self.balancers[balancer].due(self.now) {
            self.queue.plan(due, Event::Tick(balancer as u32));
        }
    }
}

fn is_alive(requests: &[Request], request: u32, attempt: u32) -> bool {
    let request = &requests[request as usize];
    request.attempt == attempt && request.sent.is_some()
}
