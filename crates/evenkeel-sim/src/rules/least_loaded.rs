//! Power of two choices over requests in flight, as Finagle and tower have it: two distinct draws, the first of equals.

use super::{Ended, Rule, RuleContext};

#[derive(Debug)]
pub(super) struct LeastLoaded {
    in_flight: Vec<u32>,
}

impl LeastLoaded {
    pub(super) fn new(servers: usize, _: usize) -> Self {
        Self {
            in_flight: vec![0; servers],
        }
    }
}

impl Rule for LeastLoaded {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        cx.best_of(2, |server| self.in_flight[server as usize].into())
    }

    fn started(&mut self, server: u32) {
        self.in_flight[server as usize] += 1;
    }

    fn ended(&mut self, ended: &Ended) {
        self.in_flight[ended.server as usize] -= 1;
    }
}
