//! How much memory a run takes, so that one that cannot be had is refused before it begins. Rather too much than too
//! little, and nothing that cannot be: harmless runs are not to be refused.

use evenkeel_core::Nanos;

use super::{Arrivals, Scenario, cores};
use crate::record::PIECE;
use crate::server::Fault;

/// A request under way with its attempts, at its client: measured at 350 with one attempt.
const REQUEST: f64 = 512.0;
/// A request at a server, whose client may have given it up long ago: the peak of a process grows by 165 to 200 with each.
/// It is 64 itself; more are the plan that an arrival made void, and the times that a server keeps by the number of
/// requests met, which are the more the oftener a long queue comes back.
const JOB: f64 = 256.0;
/// A key with the server it went to last.
const KEY: f64 = 40.0;
/// A trace shorter than this says nothing of a load.
const SHORTEST: Nanos = Nanos::from_secs(1);

impl Scenario {
    /// The work that comes, as a part of what all servers can do; `None` when that is no matter of the requests, or there
    /// is too little time to tell. Work that is not known counts as the scenario draws it.
    #[must_use]
    pub fn offered(&self) -> Option<f64> {
        match &self.arrivals {
            Arrivals::Open(rates) => Some(rates.iter().sum::<f64>() / rates.len() as f64 / self.capacity()),
            Arrivals::Closed(_) => None,
            Arrivals::Recorded(_) if self.duration < SHORTEST => None,
            Arrivals::Recorded(_) => Some(self.recorded_load()),
        }
    }

    /// About how many bytes a run takes while it goes on, what is kept of it included.
    #[must_use]
    pub fn memory(&self) -> u64 {
        // A balancer's instance with its counters and its place in view and picker, measured at 2 KiB; a server with
        // its times by load; time lines; attempts by piece and server.
        let servers = self.servers.len() as u64;
        let balancers = self.clients as u64 * (servers * 3072 + 65_536);
        let series = self.kept() + self.time_line() + self.duration.0 / PIECE.0 * servers * 4;
        let faults = self.faults.iter().map(Vec::len).sum::<usize>() * size_of::<Fault>();
        let keys = self.followed_keys() * KEY;
        let requests = keys + self.waiting() * REQUEST + self.backlog() * JOB;
        balancers + servers * 8192 + series + faults as u64 + requests as u64
    }

    /// Keys that are followed, at most.
    fn followed_keys(&self) -> f64 {
        let drawn = self
            .keys
            .as_ref()
            .map_or(u64::MAX, |keys| usize::from(keys.count) as u64);
        match &self.arrivals {
            _ if !self.has_keys() => 0.0,
            Arrivals::Recorded(trace) => trace.len() as f64,
            Arrivals::Open(_) | Arrivals::Closed(_) => drawn.min(self.requests()) as f64,
        }
    }

    /// Requests that are under way at once, at most: those that come within the patience of one.
    fn waiting(&self) -> f64 {
        let patience = self.deadline.as_secs_f64() * self.attempts();
        match &self.arrivals {
            Arrivals::Open(rates) => {
                let most = rates.iter().copied().fold(0.0, f64::max);
                most * patience.min(self.duration.as_secs_f64())
            }
            Arrivals::Closed(clients) => *clients as f64,
            Arrivals::Recorded(trace) => {
                let mut first = 0;
                let within = trace.iter().enumerate().map(|(last, request)| {
                    while request.at.since(trace[first].at).as_secs_f64() > patience {
                        first += 1;
                    }
                    last + 1 - first
                });
                within.max().unwrap_or(0) as f64
            }
        }
    }

    /// Attempts of a request that never succeeds.
    pub(super) fn attempts(&self) -> f64 {
        1.0 + f64::from(self.retries).min(self.retry_budget)
    }

    /// Requests per second that the servers can do that are there from the beginning.
    fn capacity(&self) -> f64 {
        cores(&self.servers) * 1e9 / self.work.mean()
    }

    /// The recorded work as a part of what the servers can do in its time.
    pub(super) fn recorded_load(&self) -> f64 {
        let Arrivals::Recorded(trace) = &self.arrivals else {
            return 0.0;
        };
        let mean = self.work.mean();
        let work: f64 = trace.iter().map(|request| request.work.unwrap_or(mean)).sum();
        work / 1e9 / self.duration.as_secs_f64().max(1e-9) / cores(&self.servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_each_server_counts_and_each_key() {
        let memory = |more: &str| {
            let text = format!(
                "about: x\nduration: 30s\narrivals: {{ rate: 10000 }}\nservers: [{{ count: 500 }}]\n{more}"
            );
            Scenario::from_str("x", &text).unwrap().memory() as f64
        };
        let fault = "{ servers: 0-499, from: 5s, until: 6s, fault: { delay: 1ms } },";
        let faults = format!("faults: [{}]", fault.repeat(200));
        let more = memory(&faults) - memory("");
        let size = size_of::<Fault>() as f64;
        assert!((more / (200.0 * 500.0 * size) - 1.0).abs() < 1e-6, "{more}");
        // No more of them than there are requests.
        for (count, followed) in [(1000, 1000.0), (900_000, 300_000.0)] {
            let keys = format!("clients: {{ keys: {{ count: {count} }} }}");
            let more = memory(&keys) - memory("");
            assert!((more / (followed * KEY) - 1.0).abs() < 1e-3, "{count}: {more}");
        }
    }
}
