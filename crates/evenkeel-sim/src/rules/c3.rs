//! C3 (Suresh et al., NSDI 2015): `R − s + q̂³ s` with the smoothed response time `R`, the smoothed service time `s`
//! that servers report, and `q̂ = 1 + outstanding × clients + reported queue`. Every candidate is ranked.

use super::{Ended, Rule, RuleContext};

/// Weight of the newest sample.
const GAIN: f64 = 0.1;

#[derive(Debug)]
pub(super) struct C3 {
    servers: Vec<Server>,
    clients: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Server {
    outstanding: u32,
    response: f64,
    service: f64,
    queue: f64,
}

impl C3 {
    pub(super) fn new(servers: usize, clients: usize) -> Self {
        Self {
            servers: vec![Server::default(); servers],
            clients: clients as f64,
        }
    }
}

impl Server {
    fn score(&self, clients: f64) -> f64 {
        let queue = 1.0 + f64::from(self.outstanding) * clients + self.queue;
        self.response - self.service + queue * queue * queue * self.service.max(1.0)
    }
}

impl Rule for C3 {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        // Begins anywhere, so that equal ones share.
        let n = cx.servers.len();
        let start = cx.rng.below(n as u32) as usize;
        let order = cx.servers[start..].iter().chain(&cx.servers[..start]);
        let untried = order.filter(|server| !cx.tried.contains(server)).copied();
        let score = |server: &u32| self.servers[*server as usize].score(self.clients);
        let best = untried.min_by(|a, b| score(a).total_cmp(&score(b)));
        best.or_else(|| cx.any())
    }

    fn started(&mut self, server: u32) {
        self.servers[server as usize].outstanding += 1;
    }

    fn ended(&mut self, ended: &Ended) {
        let server = &mut self.servers[ended.server as usize];
        server.outstanding -= 1;
        let fold = |old: &mut f64, new: f64| {
            *old = if *old == 0.0 {
                new
            } else {
                *old + (new - *old) * GAIN
            };
        };
        fold(&mut server.response, ended.took.0 as f64);
        if let Some(report) = ended.report {
            fold(&mut server.service, report.service_time);
            fold(&mut server.queue, f64::from(report.in_flight));
        }
    }
}
