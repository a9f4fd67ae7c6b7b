//! What would have been fair: of all that was sent, the part that the weight of a server has among those that are
//! registered.
//!
//! Those that refuse or hang count, unlike in the [ledger](super::ledger): by these shares it is told how soon a faulty
//! server gets less, and while it gets nothing it would have no share that could be less.

use evenkeel_config::ServersFile;
use evenkeel_core::Nanos;

use super::PIECE;
use crate::scenario::Scenario;

/// So many requests must have been due to a server before what it got says anything: of so many, one or none is sent by
/// chance once in 300 times.
pub(super) const ENOUGH: f64 = 8.0;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Fair {
    servers: Vec<Registered>,
    /// What all that are registered weigh, and from when on; ascending, the first from the start.
    sums: Vec<(Nanos, f64)>,
    /// The last of them that has begun.
    current: usize,
    /// Up to the end of each piece.
    sent: Vec<Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Registered {
    weight: f64,
    from: Nanos,
    until: Nanos,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    /// Attempts…
    all: f64,
    /// …and what was due to a unit of weight.
    per_weight: f64,
}

impl Registered {
    fn of(spec: &ServersFile) -> Self {
        Self {
            weight: f64::from(spec.weight.map_or(1, u32::from)),
            from: spec.joins.map_or(Nanos::ZERO, |joins| joins.0),
            until: spec.leaves.map_or(Nanos::MAX, |leaves| leaves.0),
        }
    }

    fn weight_at(&self, at: Nanos) -> f64 {
        if (self.from..self.until).contains(&at) {
            self.weight
        } else {
            0.0
        }
    }
}

/// The fair part of `server` of what was sent in a moment; 0 when it was not registered.
pub(crate) fn fair_part(scenario: &Scenario, server: usize, at: Nanos) -> f64 {
    let weights = scenario
        .servers
        .iter()
        .map(|spec| Registered::of(spec).weight_at(at));
    match Registered::of(&scenario.servers[server]).weight_at(at) {
        0.0 => 0.0,
        own => own / weights.sum::<f64>(),
    }
}

impl Sent {
    fn less(self, other: Self) -> Self {
        Self {
            all: self.all - other.all,
            per_weight: self.per_weight - other.per_weight,
        }
    }
}

impl Fair {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let servers: Vec<Registered> = scenario.servers.iter().map(Registered::of).collect();
        let changes = servers
            .iter()
            .flat_map(|server| [(server.from, server.weight), (server.until, -server.weight)]);
        let mut changes: Vec<(Nanos, f64)> = changes.filter(|(at, _)| *at < scenario.duration).collect();
        changes.sort_by_key(|(at, _)| *at);
        let mut sums = vec![(Nanos::ZERO, 0.0)];
        for (at, weight) in changes {
            let (last, sum) = sums[sums.len() - 1];
            if at > last {
                sums.push((at, sum + weight));
            } else if let Some(last) = sums.last_mut() {
                last.1 += weight;
            }
        }
        Self {
            servers,
            sums,
            current: 0,
            sent: Vec::new(),
        }
    }

    /// An attempt.
    pub(super) fn picked(&mut self, now: Nanos) {
        while self
            .sums
            .get(self.current + 1)
            .is_some_and(|(from, _)| *from <= now)
        {
            self.current += 1;
        }
        let piece = (now.0 / PIECE.0) as usize;
        if self.sent.len() <= piece {
            let last = self.sent.last().copied().unwrap_or_default();
            self.sent.resize(piece + 1, last);
        }
        let sum = self.sums[self.current].1;
        let sent = &mut self.sent[piece];
        sent.all += 1.0;
        // When all have left, nothing is due to anybody.
        if sum > 0.0 {
            sent.per_weight += 1.0 / sum;
        }
    }

    /// From when until when `server` is registered.
    pub(super) fn registered(&self, server: usize) -> (Nanos, Nanos) {
        (self.servers[server].from, self.servers[server].until)
    }

    /// Attempts that were due to `server`.
    pub(super) fn due(&self, server: usize, from: Nanos, until: Nanos) -> f64 {
        let spec = self.servers[server];
        let (from, until) = (from.max(spec.from), until.min(spec.until));
        if from >= until {
            return 0.0;
        }
        let sent = self.until(until).less(self.until(from));
        match self.sums[..] {
            // Exactly, without the sum of many small numbers.
            [(_, sum)] => sent.all * spec.weight / sum,
            _ => sent.per_weight * spec.weight,
        }
    }

    /// What was sent until then, as if it were sent evenly within a piece.
    fn until(&self, at: Nanos) -> Sent {
        let piece = (at.0 / PIECE.0) as usize;
        let before = |piece: usize| match piece.min(self.sent.len()) {
            0 => Sent::default(),
            pieces => self.sent[pieces - 1],
        };
        let begun = before(piece);
        let part = (at.0 % PIECE.0) as f64 / PIECE.0 as f64;
        let within = before(piece + 1).less(begun);
        Sent {
            all: begun.all + part * within.all,
            per_weight: begun.per_weight + part * within.per_weight,
        }
    }
}
