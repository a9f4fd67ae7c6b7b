//! Turns, and nothing else. The strategy `round_robin` of the balancer gives less to whoever is not well.

use super::{Rule, RuleContext};

#[derive(Debug)]
pub(super) struct Turns {
    next: usize,
}

impl Turns {
    pub(super) fn new(_: usize, _: usize) -> Self {
        Self { next: 0 }
    }
}

impl Rule for Turns {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        let n = cx.servers.len();
        let turns = (0..n).map(|more| cx.servers[(self.next + more) % n]);
        let (skipped, server) = turns
            .enumerate()
            .find(|(_, server)| !cx.tried.contains(server))
            .or(cx.servers.get(self.next % n.max(1)).map(|server| (0, *server)))?;
        self.next = (self.next + skipped + 1) % n;
        Some(server)
    }
}
