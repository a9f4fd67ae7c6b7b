//! What strategies are compared by besides latency: how evenly they spread, what they have servers do for nothing, how
//! much they send far away, and how many keys they move.

use std::collections::BTreeMap;

use evenkeel_core::Nanos;

use crate::scenario::Scenario;

/// What a run came to besides its latencies; all after the warm-up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// The coefficient of variation of attempts per weight over the servers, each by the time it was up: 0 when all have
    /// their fair share. `None` when none was up with anything to do.
    pub unevenness: Option<f64>,
    /// Seconds that requests kept a core of a server.
    pub core_seconds: f64,
    /// Those of them that no client had a good answer of.
    pub wasted_core_seconds: f64,
    /// Part of the requests answered well whose server is in another region than their client; `None` when either has none.
    pub elsewhere: Option<f64>,
    /// Part of the keys asked for again that went to another server than before, at least once; `None` without keys.
    pub keys_moved: Option<f64>,
}

impl Account {
    /// Part of what the servers did that was for nothing; 0 when they did nothing.
    #[must_use]
    pub fn wasted(&self) -> f64 {
        if self.core_seconds > 0.0 {
            self.wasted_core_seconds / self.core_seconds
        } else {
            0.0
        }
    }
}

/// Of one server.
#[derive(Debug)]
struct Share {
    weight: f64,
    /// Attempts since it was last looked whether it is up.
    fresh: u32,
    /// Attempts while it was up…
    picks: u64,
    /// …what would have been fair…
    fair: f64,
    /// …and how often it was.
    looks: u32,
}

/// Where a key was asked for last.
#[derive(Debug)]
struct Place {
    server: u32,
    /// Whether it ever was another; `None` when it was not asked for again.
    moved: Option<bool>,
}

/// Writes the account.
#[derive(Debug)]
pub(crate) struct Ledger {
    warm_up: Nanos,
    shares: Vec<Share>,
    /// Core-nanoseconds.
    worked: f64,
    useful: f64,
    /// Answered well between two regions that are known, and how many of them between unlike ones.
    served: u64,
    elsewhere: u64,
    keys: Option<BTreeMap<u64, Place>>,
}

impl Ledger {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let shares = scenario.servers.iter().map(|spec| Share {
            weight: f64::from(spec.weight.map_or(1, u32::from)),
            fresh: 0,
            picks: 0,
            fair: 0.0,
            looks: 0,
        });
        Self {
            warm_up: scenario.warm_up,
            shares: shares.collect(),
            worked: 0.0,
            useful: 0.0,
            served: 0,
            elsewhere: 0,
            keys: scenario.has_keys().then(BTreeMap::new),
        }
    }

    pub(super) fn picked(&mut self, server: usize, now: Nanos) {
        if now >= self.warm_up {
            self.shares[server].fresh += 1;
        }
    }

    /// Which servers were up since the last call: what these were sent together is shared out among them by weight.
    pub(crate) fn up(&mut self, is_up: impl Fn(usize) -> bool, now: Nanos) {
        let up = |server: &usize| is_up(*server);
        let all = 0..self.shares.len();
        let (sum, weights) = all.clone().filter(up).fold((0, 0.0), |(sum, weights), server| {
            let share = &self.shares[server];
            (sum + share.fresh, weights + share.weight)
        });
        for server in all {
            let share = &mut self.shares[server];
            let fresh = std::mem::take(&mut share.fresh);
            if now > self.warm_up && is_up(server) {
                share.picks += u64::from(fresh);
                share.fair += f64::from(sum) * share.weight / weights;
                share.looks += 1;
            }
        }
    }

    /// A request that came to its server at `arrived` kept cores for this many nanoseconds; returned is what of it counts.
    pub(crate) fn worked(&mut self, arrived: Nanos, cores: f64) -> f64 {
        let counts = if arrived >= self.warm_up { cores } else { 0.0 };
        self.worked += counts;
        counts
    }

    /// Somebody had a good answer of what counted so much.
    pub(crate) fn useful(&mut self, cores: f64) {
        self.useful += cores;
    }

    /// A request that arrived then was answered well from one region to another.
    pub(crate) fn served(&mut self, arrived: Nanos, from: Option<&str>, to: Option<&str>) {
        if let (Some(from), Some(to)) = (from, to)
            && arrived >= self.warm_up
        {
            self.served += 1;
            self.elsewhere += u64::from(from != to);
        }
    }

    /// The first attempt for `key` goes to `server`.
    pub(crate) fn asked(&mut self, key: u64, server: u32, now: Nanos) {
        let Some(keys) = &mut self.keys else { return };
        let Some(place) = keys.get_mut(&key) else {
            keys.insert(key, Place { server, moved: None });
            return;
        };
        let before = std::mem::replace(&mut place.server, server);
        if now >= self.warm_up {
            place.moved = Some(place.moved == Some(true) || before != server);
        }
    }

    pub(super) fn account(&self) -> Account {
        let again = || {
            self.keys
                .iter()
                .flat_map(BTreeMap::values)
                .filter_map(|key| key.moved)
        };
        Account {
            unevenness: self.unevenness(),
            core_seconds: self.worked / 1e9,
            wasted_core_seconds: (self.worked - self.useful).max(0.0) / 1e9,
            elsewhere: part(self.elsewhere, self.served),
            keys_moved: part(
                again().filter(|moved| *moved).count() as u64,
                again().count() as u64,
            ),
        }
    }

    fn unevenness(&self) -> Option<f64> {
        // What each got of its fair share, and how much that counts.
        let all = self.shares.iter().filter(|share| share.fair > 0.0);
        let parts = all.map(|share| (share.picks as f64 / share.fair, f64::from(share.looks)));
        let sum: f64 = parts.clone().map(|(_, looks)| looks).sum();
        let mean = parts.clone().map(|(part, looks)| part * looks).sum::<f64>() / sum;
        let squares = parts.map(|(part, looks)| (part - mean) * (part - mean) * looks);
        (mean > 0.0).then(|| libm::sqrt(squares.sum::<f64>() / sum) / mean)
    }
}

fn part(some: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| some as f64 / of as f64)
}
