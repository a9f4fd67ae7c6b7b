//! What could be had by somebody who knows everything: bounds for what a strategy may be asked for.
//!
//! Oracles know speeds, faults and queues as they are at this moment, and never ask whom it is no use to ask. They do
//! not know how long a request will take.

use evenkeel_core::Nanos;

use super::scenarios::{FURTHER, NAMES, fleet, left};
use super::{Backend, Fault};

/// Who decides in place of a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oracle {
    /// Every request goes at once to where its answer is expected first, by true speeds and true queues: the best that
    /// a balancer can do which may not hold requests back, or nearly.
    ShortestDelay,
    /// Requests wait in one queue before the fleet, and leave it when there is a worker that is worth it: better than
    /// anything that has to choose on arrival.
    OneQueue,
}

/// An instance as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct True {
    /// Requests that it has, waiting and in work.
    pub(super) requests: usize,
    pub(super) workers: usize,
    /// Mean time of a request in work, in ns; infinite for who never answers well.
    pub(super) mean: f64,
    /// Expected attempts until a success.
    pub(super) attempts: f64,
    pub(super) tried: bool,
}

impl True {
    pub(super) fn new(backend: &Backend, fault: Fault, requests: usize, mean: Nanos) -> Self {
        let mean = mean.0 as f64 / backend.speed;
        let (mean, attempts) = match fault {
            Fault::None => (mean, 1.0),
            Fault::Slow(times) => (mean * times, 1.0),
            Fault::Fails(part) => (mean, 1.0 / (1.0 - part)),
            Fault::FailsAtOnce | Fault::Hangs => (f64::INFINITY, 1.0),
        };
        Self {
            requests,
            workers: backend.workers,
            mean,
            attempts,
            tried: false,
        }
    }

    /// Until the answer to one request more.
    fn delay(&self) -> f64 {
        let before = (self.requests + 1).saturating_sub(self.workers) as f64;
        (self.mean + before * self.mean / self.workers as f64) * self.attempts
    }

    fn is_free(&self) -> bool {
        self.requests < self.workers && self.mean.is_finite()
    }

    /// Requests per ns that it answers well while it is busy.
    fn rate(&self) -> f64 {
        self.workers as f64 / (self.mean * self.attempts)
    }
}

/// Where an answer is expected first, of those not tried if there are any. Equals share, by `place`.
pub(super) fn shortest_delay(fleet: &[True], place: usize) -> usize {
    let n = fleet.len();
    let order = (0..n).map(|step| (place + step) % n);
    order
        .min_by(|a, b| {
            let key = |i: usize| (fleet[i].tried, fleet[i].delay());
            let ((tried_a, a), (tried_b, b)) = (key(*a), key(*b));
            tried_a.cmp(&tried_b).then(a.total_cmp(&b))
        })
        .unwrap()
}

/// Who takes one of the `waiting`: the fastest that is free, unless the last of them is expected to be answered earlier by
/// those that are faster and busy.
pub(super) fn first_free(fleet: &[True], waiting: usize, place: usize) -> Option<usize> {
    let n = fleet.len();
    let cost = |one: &True| one.mean * one.attempts;
    let free = (0..n)
        .map(|step| (place + step) % n)
        .filter(|i| fleet[*i].is_free());
    let best = free.min_by(|a, b| cost(&fleet[*a]).total_cmp(&cost(&fleet[*b])))?;
    let own = cost(&fleet[best]);
    let faster = || fleet.iter().filter(|one| cost(one) < own);
    let rate: f64 = faster().map(True::rate).sum();
    if rate == 0.0 {
        return Some(best);
    }
    // Until as many of them are free, and then their work, in the mean over who will be free.
    let work: f64 = faster().map(|one| one.rate() * cost(one)).sum::<f64>() / rate;
    (own <= waiting as f64 / rate + work).then_some(best)
}

/// What is to be had bounds what is had; a bound that a strategy beats says nothing.
#[test]
fn nobody_does_better_than_who_knows_everything() {
    for scenario in NAMES.into_iter().chain(FURTHER) {
        let run = |oracle| {
            let mut fleet = fleet(scenario, evenkeel_core::StrategyName::adaptive, 10, 0.7);
            fleet.rate *= left(&fleet);
            fleet.oracle = oracle;
            fleet.run(1).quantile(0.99)
        };
        let strategy = run(None);
        for oracle in [Oracle::OneQueue, Oracle::ShortestDelay] {
            let bound = run(Some(oracle));
            assert!(
                bound < strategy * 1.05,
                "{scenario}, {oracle:?}: p99 of {bound:.1} ms, and {strategy:.1} without"
            );
        }
    }
}
