//! Peak EWMA as published (Finagle, and after it Linkerd, tower and brpc), not as the strategy `peak_ewma` has it: one
//! average with a time constant of 10 s, which a slower response replaces at once and every look lets decay towards 0.
//! Failures count with the time they took. Who was never measured and has a request out costs more than anybody.

use evenkeel_core::Nanos;

use super::{Ended, Rule, RuleContext};

/// Time constant of the average, in nanoseconds.
const DECAY: f64 = 1e10;
/// What an unknown server with requests costs.
const PENALTY: f64 = 1.4e14;

#[derive(Debug)]
pub(super) struct PeakEwma {
    servers: Vec<Server>,
    draws: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Server {
    average: f64,
    at: Nanos,
    in_flight: u32,
}

impl PeakEwma {
    pub(super) fn best_of_2(servers: usize, _: usize) -> Self {
        Self::new(servers, 2)
    }

    pub(super) fn best_of_4(servers: usize, _: usize) -> Self {
        Self::new(servers, 4)
    }

    fn new(servers: usize, draws: usize) -> Self {
        Self {
            servers: vec![Server::default(); servers],
            draws,
        }
    }
}

impl Server {
    fn observe(&mut self, time: f64, now: Nanos) {
        let kept = libm::exp(-(now.since(self.at).0 as f64) / DECAY);
        self.average = time.max(self.average * kept + time * (1.0 - kept));
        self.at = now;
    }

    fn cost(&mut self, now: Nanos) -> f64 {
        self.observe(0.0, now);
        let requests = f64::from(self.in_flight);
        if self.average == 0.0 && self.in_flight > 0 {
            return PENALTY + requests;
        }
        self.average * (requests + 1.0)
    }
}

impl Rule for PeakEwma {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        let now = cx.now;
        cx.best_of(self.draws, |server| self.servers[server as usize].cost(now))
    }

    fn started(&mut self, server: u32) {
        self.servers[server as usize].in_flight += 1;
    }

    fn ended(&mut self, ended: &Ended) {
        let server = &mut self.servers[ended.server as usize];
        server.in_flight -= 1;
        server.observe(ended.took.0 as f64, ended.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_taken_at_once_and_forgotten_by_e_in_ten_seconds() {
        let mut server = Server::default();
        server.observe(1e7, Nanos::ZERO);
        server.observe(2e9, Nanos::from_secs(1));
        assert_eq!(server.average, 2e9);
        assert_eq!(
            server.cost(Nanos::from_secs(11)).round(),
            (2e9 / std::f64::consts::E).round()
        );
    }
}
