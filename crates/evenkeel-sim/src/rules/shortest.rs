//! Join the shortest queue, all knowing: a bound for rules that go by the number of requests.

use super::{Rule, RuleContext};

#[derive(Debug)]
pub(super) struct Shortest;

impl Shortest {
    pub(super) fn new(_: usize, _: usize) -> Self {
        Self
    }
}

impl Rule for Shortest {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        // Begins anywhere, so that equal ones share.
        let start = cx.rng.below(cx.servers.len() as u32) as usize;
        let order = cx.servers.get(start..)?.iter().chain(&cx.servers[..start]);
        let untried = order.filter(|server| !cx.tried.contains(server));
        let least = untried.copied().min_by_key(|server| (cx.in_flight)(*server));
        least.or_else(|| cx.any())
    }
}
