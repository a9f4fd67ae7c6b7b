//! The way of a request: it arrives, is sent, reaches its server, and comes back or is given up.

use evenkeel_core::{Nanos, Outcome, RetryReason, Rng};

use super::{AT_ONCE, Answer, Event, PAUSE, Request, TO_WRITER, World, is_alive};
use crate::balancer::{Asked, Sent};
use crate::draw;
use crate::scenario::Arrivals;
use crate::server::{Job, Reception};

/// The status of every answer that is an error.
const ERROR: u16 = 503;

impl World<'_> {
    pub(super) fn plan_arrival(&mut self) {
        if let Arrivals::Recorded(trace) = &self.scenario.arrivals {
            if let Some(next) = trace.get(self.arrived) {
                self.queue.plan(next.at, Event::Arrive);
            }
            return;
        }
        let rate = self.scenario.rate(self.now);
        let pause = draw::exponential(1e9 / rate, &mut self.arrivals);
        self.queue.plan(self.now + Nanos(pause as u64), Event::Arrive);
    }

    pub(super) fn arrive(&mut self) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.requests.push(Request::default());
            (self.requests.len() - 1) as u32
        });
        let (work, key) = self.asks();
        let balancer = self.arrivals.below(self.balancers.len() as u32);
        let request = &mut self.requests[place as usize];
        request.arrived = self.now;
        request.work = work;
        request.key = key;
        request.balancer = balancer;
        request.tries = 0;
        request.tried.clear();
        request.tried_servers.clear();
        self.balancers[balancer as usize].requests += 1;
        self.send(place);
        self.arrived += 1;
        if !matches!(self.scenario.arrivals, Arrivals::Closed(_)) {
            self.plan_arrival();
        }
    }

    /// The work of the request that arrives, and what it asks for.
    pub(super) fn asks(&mut self) -> (f64, u64) {
        let recorded = match &self.scenario.arrivals {
            Arrivals::Recorded(trace) => trace.get(self.arrived).copied(),
            _ => None,
        };
        let work = recorded.and_then(|recorded| recorded.work);
        let work = work.unwrap_or_else(|| draw::work(&self.scenario.work, &mut self.works));
        let key = recorded.and_then(|recorded| recorded.key);
        (work, key.unwrap_or_else(|| self.key()))
    }

    /// What a request asks for.
    pub(super) fn key(&mut self) -> u64 {
        let Some(zipf) = &self.zipf else {
            return self.works.next_u64();
        };
        let hot = self.scenario.keys.as_ref().and_then(|keys| keys.hot);
        let hot = hot.filter(|hot| (hot.from.0..hot.until.0).contains(&self.now));
        let key = match hot {
            Some(hot) if self.works.unit() < hot.share.0 => 0,
            _ => zipf.draw(&mut self.works),
        };
        // Spread over all numbers, as hashes are.
        Rng::new(key).next_u64()
    }

    pub(super) fn send(&mut self, place: u32) {
        let request = &mut self.requests[place as usize];
        let balancer = &mut self.balancers[request.balancer as usize];
        request.attempt = request.attempt.wrapping_add(1);
        request.tries += 1;
        request.report = None;
        request.arrived_there = false;
        request.sent_at = self.now;
        self.probes.clear();
        let servers = &self.servers;
        let picked = balancer.pick(
            &Asked {
                now: self.now,
                tried: &request.tried,
                tried_servers: &request.tried_servers,
                key: Some(request.key),
                present: &self.present,
                in_flight: &|server| servers[server as usize].in_flight(),
            },
            &mut self.probes,
        );
        let Some((sent, server)) = picked else {
            self.conclude(place, true);
            return;
        };
        if let Sent::Leased(lease) = &sent {
            request.tried.push(lease.slot());
        }
        request.tried_servers.push(server);
        if request.tries == 1 {
            self.record.ledger.asked(request.key, server, self.now);
        }
        request.sent = Some(sent);
        request.server = server;
        let (attempt, asker) = (request.attempt, request.balancer);
        self.record.picked(server, self.now);
        let half = self.half_way(asker, server);
        let lost = self.scenario.network.loss > 0.0 && self.network.unit() < self.scenario.network.loss;
        if !lost {
            self.queue.plan(self.now + half, Event::Reach(place, attempt));
        }
        let patience = self.now + self.scenario.deadline;
        self.patience.push_back((patience, place, attempt));
        for server in std::mem::take(&mut self.probes) {
            let half = self.half_way(asker, server);
            self.queue.plan(self.now + half, Event::Probe(asker, server));
        }
    }

    /// One way between a client and a server.
    pub(super) fn half_way(&mut self, balancer: u32, server: u32) -> Nanos {
        let network = &self.scenario.network;
        let from = self.balancers[balancer as usize].region.as_deref();
        let to = self.scenario.servers[server as usize].region.as_deref();
        let usual = network.round_trip(from, to).0 as f64 / 2.0;
        Nanos((usual * (1.0 + network.jitter * (2.0 * self.network.unit() - 1.0))) as u64)
    }

    pub(super) fn is_alive(&self, request: u32, attempt: u32) -> bool {
        is_alive(&self.requests, request, attempt)
    }

    pub(super) fn reach(&mut self, place: u32, attempt: u32) {
        let alive = self.is_alive(place, attempt);
        let request = &mut self.requests[place as usize];
        if !alive {
            // The client gave up on the way; nothing is there to be worked on.
            return;
        }
        let server = request.server;
        let there = &mut self.servers[server as usize];
        let condition = *there.condition();
        if condition.refuses {
            self.answer(place, attempt, Nanos::ZERO, Answer::Refused);
            return;
        }
        if condition.fail_fast > 0.0 && self.errors.unit() < condition.fail_fast {
            request.report = there.report(self.now);
            self.answer(place, attempt, AT_ONCE, Answer::Error);
            return;
        }
        let job = Job {
            request: place,
            attempt,
            work: request.work,
            arrived: self.now,
            met: 0,
            took: 0.0,
        };
        match there.receive(job, request.key, self.now) {
            Reception::Taken => {
                request.arrived_there = true;
                self.plan_finish(server);
            }
            Reception::Full => {
                request.report = there.report(self.now);
                self.answer(place, attempt, AT_ONCE, Answer::Error);
            }
        }
    }

    /// An answer sets out after `delay`.
    pub(super) fn answer(&mut self, place: u32, attempt: u32, delay: Nanos, answer: Answer) {
        let request = &self.requests[place as usize];
        let half = self.half_way(request.balancer, request.server);
        self.queue
            .plan(self.now + delay + half, Event::Answer(place, attempt, answer));
    }

    pub(super) fn plan_finish(&mut self, server: u32) {
        if let Some((at, version)) = self.servers[server as usize].plan(self.now) {
            self.queue.plan(at, Event::Finish(server, version));
        }
    }

    pub(super) fn finish(&mut self, server: u32, version: u32) {
        let now = self.now;
        let requests = &self.requests;
        let there = &mut self.servers[server as usize];
        let before = there.version();
        let job = there.finish(version, now, |job| is_alive(requests, job.request, job.attempt));
        if before != version {
            return;
        }
        if let Some(job) = job {
            let failed = there.fails(self.errors.unit());
            there.answered(&job, failed, now);
            let worked = self.record.ledger.worked(job.arrived, job.took);
            let delay = there.condition().delay;
            if self.is_alive(job.request, job.attempt) {
                let report = self.servers[server as usize].report(now);
                let request = &mut self.requests[job.request as usize];
                request.report = report;
                request.worked = worked;
                // Who gives up now gives up the answer, not the work.
                request.arrived_there = false;
                let answer = if failed { Answer::Error } else { Answer::Good };
                self.answer(job.request, job.attempt, delay, answer);
            }
        }
        self.plan_finish(server);
    }

    /// A client has no more patience.
    pub(super) fn give_up(&mut self, place: u32, attempt: u32) {
        if !self.is_alive(place, attempt) {
            return;
        }
        let request = &self.requests[place as usize];
        let server = request.server;
        let arrived_there = request.arrived_there;
        self.end(place, Answer::Broken);
        let there = &mut self.servers[server as usize];
        if arrived_there && !there.works_on() {
            let requests = &self.requests;
            let job = there.abandon(place, attempt, self.now, |job| {
                is_alive(requests, job.request, job.attempt)
            });
            if let Some(job) = job {
                self.record.ledger.worked(job.arrived, job.took);
            }
            self.plan_finish(server);
        }
    }

    /// An attempt ends: the balancer learns of it, and the request is over or goes on.
    pub(super) fn end(&mut self, place: u32, answer: Answer) {
        let now = self.now;
        let request = &mut self.requests[place as usize];
        let Some(sent) = request.sent.take() else { return };
        let took = now.since(request.sent_at);
        let outcome = match answer {
            Answer::Good => Outcome::from_status(200, took),
            Answer::Error => Outcome::from_status(ERROR, took),
            Answer::Refused | Answer::Broken => Outcome::failed(took),
        };
        // As in the proxy. All requests may be repeated: nothing of an answer comes before its end.
        let on = &self.scenario.retry_on;
        let why = match answer {
            Answer::Good => None,
            Answer::Error => on.statuses.contains(ERROR).then_some(RetryReason::Status),
            Answer::Refused => Some(RetryReason::Connect),
            Answer::Broken => Some(RetryReason::NoResponse),
        };
        let failed = answer != Answer::Good;
        if !failed {
            self.record.ledger.useful(request.worked);
        }
        let (report, tries) = (request.report.take(), request.tries);
        let asker = request.balancer;
        let balancer = &mut self.balancers[asker as usize];
        if balancer.end(sent, &outcome, report, now) {
            self.queue.plan(now + TO_WRITER, Event::Alarm(asker));
        }
        if let Some(retry) = request.retry.take() {
            retry.end(!failed);
        }
        let share = self.scenario.retry_budget;
        let others = || balancer.has_others(&request.tried, &request.tried_servers, &self.present);
        let most = self.scenario.retries;
        let mut again = why.is_some_and(|why| on.allows(why, tries - 1, most, others));
        if again && share.is_finite() {
            let granted = balancer.budget.withdraw(now, share, || balancer.requests);
            again = granted.is_ok();
            request.retry = granted.ok();
        }
        if again {
            self.send(place);
        } else {
            self.conclude(place, failed);
        }
    }

    /// A request is over.
    pub(super) fn conclude(&mut self, place: u32, failed: bool) {
        let request = &mut self.requests[place as usize];
        // One that found nobody.
        request.retry = None;
        if !failed {
            let from = self.balancers[request.balancer as usize].region.as_deref();
            let to = self.scenario.servers[request.server as usize].region.as_deref();
            self.record.ledger.served(request.arrived, from, to);
        }
        self.record
            .ended(request.arrived, self.now, request.server, request.tries, failed);
        self.free.push(place);
        if matches!(self.scenario.arrivals, Arrivals::Closed(_)) && self.now < self.scenario.duration {
            let next = self.next_of_its_client(place, failed);
            self.queue.plan(next, Event::Arrive);
        }
    }

    /// When a client that asks whenever it has its answer asks again. A failure may take no time at all, and time has to
    /// go on.
    fn next_of_its_client(&self, place: u32, failed: bool) -> Nanos {
        let request = &self.requests[place as usize];
        if !failed {
            return self.now;
        }
        let least = if request.tried_servers.is_empty() {
            self.scenario.network.round_trip(None, None).max(PAUSE)
        } else {
            PAUSE
        };
        self.now.max(request.arrived + least)
    }
}
