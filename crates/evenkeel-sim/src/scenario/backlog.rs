//! What servers still work on though nobody waits for it.

use evenkeel_config::ServersFile;
use evenkeel_core::Nanos;

use super::{Arrivals, Scenario, cores};

/// What a server, or all of them, do from a time on.
#[derive(Debug, Clone, Copy)]
struct Able {
    /// Seconds.
    from: f64,
    /// How many take requests.
    take: i64,
    /// Requests per second.
    done: f64,
}

impl Scenario {
    /// Requests that servers work on though their clients gave them up, at most: what comes beyond what they can do at
    /// the worst time of their faults, as long as those last.
    pub(super) fn backlog(&self) -> f64 {
        let works_on = |server: &ServersFile| server.works_on.unwrap_or(true);
        if !self.servers.iter().any(works_on) {
            return 0.0;
        }
        let comes = self.comes();
        let fleet: Vec<Vec<Able>> = (0..self.servers.len()).map(|server| self.able(server)).collect();
        let rooms: f64 = self.servers.iter().map(room).sum();
        let together = self.piles_up(&comes, 1.0, &all(&fleet)).min(rooms);
        // A strategy that knows no health has each go on with its part, whatever the others could do.
        let part = 1.0 / self.servers.len() as f64;
        let apart = self.servers.iter().zip(&self.faults).zip(&fleet);
        let apart = apart.filter(|((server, faults), _)| {
            works_on(server) && faults.iter().any(|fault| fault.slows().is_some())
        });
        let apart = apart.map(|((server, _), able)| self.piles_up(&comes, part, able).min(room(server)));
        let most = together.max(apart.sum());
        match &self.arrivals {
            Arrivals::Recorded(trace) => most.min(trace.len() as f64 * self.attempts()),
            Arrivals::Open(_) | Arrivals::Closed(_) => most,
        }
    }

    /// Attempts per second, each from so many seconds on.
    fn comes(&self) -> Vec<(f64, f64)> {
        let attempts = self.attempts();
        match &self.arrivals {
            Arrivals::Open(rates) => {
                let first = self.warm_up.as_secs_f64();
                let length = self.duration.since(self.warm_up).as_secs_f64() / rates.len() as f64;
                let from = |step: usize| {
                    if step == 0 {
                        0.0
                    } else {
                        first + length * step as f64
                    }
                };
                let steps = rates.iter().enumerate();
                steps.map(|(step, rate)| (from(step), rate * attempts)).collect()
            }
            // Who gives up asks again.
            Arrivals::Closed(clients) => {
                vec![(0.0, *clients as f64 / self.deadline.as_secs_f64().max(1e-3))]
            }
            Arrivals::Recorded(_) => {
                let capacity = cores(&self.servers) * 1e9 / self.work.mean();
                vec![(0.0, self.recorded_load() * attempts * capacity)]
            }
        }
    }

    /// What a server can do, from the beginning on.
    fn able(&self, server: usize) -> Vec<Able> {
        let spec = &self.servers[server];
        let sound = cores(std::slice::from_ref(&ServersFile {
            joins: None,
            ..spec.clone()
        })) * 1e9
            / self.work.mean();
        // When it is shut (by one more, or one less), hangs, and takes how many times as long, as a logarithm.
        let mut changes: Vec<(Nanos, i64, i64, f64)> = Vec::new();
        if let Some(joins) = spec.joins {
            changes.extend([(Nanos::ZERO, 1, 0, 0.0), (joins.0, -1, 0, 0.0)]);
        }
        changes.extend(spec.leaves.map(|leaves| (leaves.0, 1, 0, 0.0)));
        for fault in &self.faults[server] {
            let shut = i64::from(fault.shuts());
            let times = fault.slows().unwrap_or(1.0);
            let hangs = i64::from(times.is_infinite());
            let times = if hangs > 0 { 0.0 } else { libm::log(times) };
            if shut > 0 || hangs > 0 || times != 0.0 {
                changes.push((fault.from, shut, hangs, times));
                changes.push((fault.until, -shut, -hangs, -times));
            }
        }
        changes.sort_unstable_by_key(|change| change.0);
        let able = |from: Nanos, shut: i64, hangs: i64, times: f64| Able {
            from: from.as_secs_f64(),
            take: i64::from(shut == 0),
            done: if hangs > 0 { 0.0 } else { sound / libm::exp(times) },
        };
        let (mut shut, mut hangs, mut times) = (0, 0, 0.0);
        let mut able_from = vec![able(Nanos::ZERO, 0, 0, 0.0)];
        for (at, more_shut, more_hangs, more_times) in changes {
            shut += more_shut;
            hangs += more_hangs;
            times += more_times;
            able_from.push(able(at, shut, hangs, times));
        }
        able_from
    }

    /// The most that waits when `part` of what comes meets those who can do so much.
    fn piles_up(&self, comes: &[(f64, f64)], part: f64, able: &[Able]) -> f64 {
        let end = self.duration.as_secs_f64();
        let (mut step, mut state, mut at) = (0, 0, 0.0);
        let (mut now, mut most) = (0.0_f64, 0.0_f64);
        while at < end {
            while comes.get(step + 1).is_some_and(|next| next.0 <= at) {
                step += 1;
            }
            while able.get(state + 1).is_some_and(|next| next.from <= at) {
                state += 1;
            }
            let next = comes.get(step + 1).map_or(end, |next| next.0);
            let next = able
                .get(state + 1)
                .map_or(next, |able| able.from.min(next))
                .min(end);
            let rate = if able[state].take > 0 {
                comes[step].1 * part
            } else {
                0.0
            };
            now = (now + (rate - able[state].done) * (next - at)).max(0.0);
            most = most.max(now);
            at = next;
        }
        most
    }
}

/// All servers of a fleet together: who takes no requests leaves them to the others.
fn all(fleet: &[Vec<Able>]) -> Vec<Able> {
    let done = |able: &Able| if able.take > 0 { able.done } else { 0.0 };
    let mut all: Vec<Able> = Vec::new();
    for able in fleet {
        let (mut take, mut before) = (0, 0.0);
        for able in able {
            all.push(Able {
                from: able.from,
                take: able.take - take,
                done: done(able) - before,
            });
            (take, before) = (able.take, done(able));
        }
    }
    all.sort_unstable_by(|one, other| one.from.total_cmp(&other.from));
    let (mut take, mut done) = (0, 0.0);
    for able in &mut all {
        take += able.take;
        done += able.done;
        (able.take, able.done) = (take, done);
    }
    all
}

/// Requests that a server has at most.
fn room(server: &ServersFile) -> f64 {
    match (server.queue, server.workers) {
        (Some(queue), Some(workers)) => (usize::from(queue) + usize::from(workers)) as f64,
        _ => f64::INFINITY,
    }
}
