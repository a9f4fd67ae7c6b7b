//! What happens at the servers and between them and the balancers, requests apart: changes, checks, probes, samples.

use evenkeel_core::{CheckFailure, CheckOutcome, Evidence, Nanos};

use super::{Answer, Event, SAMPLE, World};
use crate::balancer::id;
use crate::rules::ProbeAnswer;

impl World<'_> {
    pub(super) fn plan_change(&mut self, server: usize) {
        if let Some(at) = self.servers[server].next_change(self.now) {
            let at = at.max(self.now + Nanos(1));
            self.changes[server] = at;
            self.queue.plan(at, Event::Change(server as u32));
        }
    }

    pub(super) fn change(&mut self, server: usize) {
        let now = self.now;
        if self.changes[server] != now {
            return;
        }
        let changed = self.servers[server].change(now);
        for job in changed.lost {
            let alive = self.is_alive(job.request, job.attempt);
            // What was given up and not worked on was told already.
            if alive || self.servers[server].works_on() {
                self.record.ledger.worked(job.arrived, job.took);
            }
            if alive {
                self.requests[job.request as usize].arrived_there = false;
                self.answer(job.request, job.attempt, Nanos::ZERO, Answer::Broken);
            }
        }
        if let Some(restarts) = changed.restarts {
            self.each_balancer(|balancer, _| balancer.drains(server, restarts, now));
        }
        self.plan_finish(server as u32);
        self.plan_change(server);
    }

    pub(super) fn poll(&mut self, balancer: u32) {
        for index in 0..self.present.len() {
            let server = self.present[index];
            let half = self.half_way(balancer, server);
            self.queue.plan(self.now + half, Event::Probe(balancer, server));
        }
        if let Some(every) = self.balancers[balancer as usize].polls_every() {
            self.queue.plan(self.now + every, Event::Poll(balancer));
        }
    }

    pub(super) fn probe(&mut self, balancer: u32, server: u32) {
        let there = &self.servers[server as usize];
        let condition = there.condition();
        // Nobody answers, or too late.
        if condition.refuses || condition.slow.is_infinite() {
            return;
        }
        let answer = ProbeAnswer {
            in_flight: there.in_flight(),
            usual_time: there.usual_time(),
        };
        let half = self.half_way(balancer, server);
        self.queue
            .plan(self.now + half, Event::Probed(balancer, server, answer));
    }

    pub(super) fn check(&mut self, balancer: u32, server: u32) {
        let Some(check) = &self.scenario.service.health_check else {
            return;
        };
        let (interval, time_out) = (Nanos::from(check.interval), Nanos::from(check.timeout));
        let condition = *self.servers[server as usize].condition();
        let half = self.half_way(balancer, server);
        let there_and_back = half + half + condition.delay;
        let (passed, took) = if condition.refuses {
            (false, there_and_back)
        } else if condition.slow.is_infinite() || there_and_back > time_out {
            (false, time_out)
        } else {
            (true, there_and_back)
        };
        self.queue.plan(
            self.now + took,
            Event::Checked(balancer, server, self.now, passed.then_some(half + half)),
        );
        // Spread by a tenth, as in the proxy.
        let spread = 0.95 + 0.1 * self.network.unit();
        let next = Nanos((interval.0 as f64 * spread) as u64);
        self.queue.plan(self.now + next, Event::Check(balancer, server));
    }

    pub(super) fn checked(&mut self, balancer: u32, server: u32, observed: Nanos, connected: Option<Nanos>) {
        let Ok(id) = id(server as usize) else { return };
        let outcome = if connected.is_some() {
            CheckOutcome::Passed
        } else {
            CheckOutcome::Failed(CheckFailure("it does not answer".into()))
        };
        let evidence = Evidence::Check {
            id,
            observed,
            outcome,
            connected,
        };
        self.balancers[balancer as usize].observe(evidence, self.now);
        self.plan_tick(balancer as usize);
    }

    /// How often all caches were asked, and how often they knew.
    pub(super) fn cache_uses(&self) -> (u64, u64) {
        let all = self.servers.iter().map(crate::server::Server::cache_uses);
        all.fold((0, 0), |(uses, hits), (more, of_them)| {
            (uses + more, hits + of_them)
        })
    }

    /// The run is over: whatever servers still have, nobody waits for it.
    pub(super) fn leave_unfinished(&mut self) {
        for there in self.servers.iter_mut().filter(|there| there.works_on()) {
            for job in there.unfinished(self.now) {
                self.record.ledger.worked(job.arrived, job.took);
            }
        }
    }

    pub(super) fn sample(&mut self) {
        let now = self.now;
        let uses = self.cache_uses();
        self.record.caches(uses, now);
        for (server, there) in self.servers.iter().enumerate() {
            self.record.in_flight(server, there.in_flight(), now);
        }
        let (present, servers) = (&self.present, &self.servers);
        let is_up =
            |server: usize| present.binary_search(&(server as u32)).is_ok() && servers[server].is_up();
        self.record.ledger.up(is_up, now);
        for (balancer, asked) in self.balancers.iter_mut().enumerate() {
            for event in asked.take_events() {
                let faulty =
                    |server: usize| self.servers.get(server).is_some_and(|there| there.is_faulty(now));
                self.record.event(balancer, &event, faulty);
            }
        }
        if let Some(first) = self.balancers.first() {
            first.scores(|server, score| self.record.score(server as usize, score, now));
        }
        self.queue.plan(now + SAMPLE, Event::Sample);
    }
}
