//! Envoy's least request with equal weights: two draws with replacement, so the same server may be drawn twice.

use super::{Ended, Rule, RuleContext};

#[derive(Debug)]
pub(super) struct LeastRequest {
    in_flight: Vec<u32>,
}

impl LeastRequest {
    pub(super) fn new(servers: usize, _: usize) -> Self {
        Self {
            in_flight: vec![0; servers],
        }
    }
}

impl Rule for LeastRequest {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        let (first, second) = (cx.any()?, cx.any()?);
        let fewer = self.in_flight[second as usize] < self.in_flight[first as usize];
        Some(if fewer { second } else { first })
    }

    fn started(&mut self, server: u32) {
        self.in_flight[server as usize] += 1;
    }

    fn ended(&mut self, ended: &Ended) {
        self.in_flight[ended.server as usize] -= 1;
    }
}
