//! Prequal (Wydrowski et al., NSDI 2024) with asynchronous probes and the defaults of the paper: a pool of 16 answers
//! of at most a second's age, 3 probes and 1 removal for each request, hot above the 0.84-quantile of requests in flight.

use std::collections::VecDeque;

use evenkeel_core::{Nanos, Rng};

use super::{ProbeAnswer, Rule, RuleContext};

const POOL: usize = 16;
const AGE: Nanos = Nanos::from_secs(1);
const PROBES: usize = 3;
/// `2^-0.25`.
const QUANTILE: f64 = 0.84;
/// Answers remembered for the quantile.
const REMEMBERED: usize = 64;
/// The most uses of an answer, where the formula says more or has no bound.
const MOST_USES: f64 = 16.0;

#[derive(Debug)]
pub(super) struct Prequal {
    pool: Vec<Entry>,
    recent: VecDeque<u32>,
    /// How often an answer is used.
    uses: f64,
    oldest_next: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    server: u32,
    at: Nanos,
    in_flight: u32,
    time: u64,
    uses: u32,
}

impl Prequal {
    pub(super) fn new(servers: usize, _: usize) -> Self {
        // (1 + δ) / ((1 − m/n) r_probe − r_remove) with δ = 1 and one removal.
        let left = (1.0 - POOL as f64 / servers as f64) * PROBES as f64 - 1.0;
        let uses = if left > 0.0 { 2.0 / left } else { MOST_USES };
        Self {
            pool: Vec::with_capacity(POOL),
            recent: VecDeque::with_capacity(REMEMBERED),
            uses: uses.clamp(1.0, MOST_USES),
            oldest_next: false,
        }
    }

    /// Above this an answer is hot.
    fn bound(&self) -> u32 {
        let mut sorted: Vec<u32> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let place = (QUANTILE * sorted.len().saturating_sub(1) as f64) as usize;
        sorted.get(place).copied().unwrap_or(u32::MAX)
    }

    fn remove_one(&mut self, bound: u32) {
        self.oldest_next = !self.oldest_next;
        let entries = self.pool.iter().enumerate();
        let place = if self.oldest_next {
            entries.min_by_key(|(_, entry)| entry.at).map(|(place, _)| place)
        } else {
            // The hot one with most requests; without any, the slowest.
            let worst = |entry: &Entry| {
                let hot = entry.in_flight > bound;
                (
                    hot,
                    if hot {
                        u64::from(entry.in_flight)
                    } else {
                        entry.time
                    },
                )
            };
            entries
                .max_by_key(|(_, entry)| worst(entry))
                .map(|(place, _)| place)
        };
        if let Some(place) = place {
            self.pool.swap_remove(place);
        }
    }
}

impl Rule for Prequal {
    fn pick(&mut self, cx: &mut RuleContext<'_>) -> Option<u32> {
        while cx.probes.len() < PROBES.min(cx.servers.len()) {
            let server = cx.servers[cx.rng.below(cx.servers.len() as u32) as usize];
            if !cx.probes.contains(&server) {
                cx.probes.push(server);
            }
        }
        self.pool.retain(|entry| cx.now.since(entry.at) <= AGE);
        let bound = self.bound();
        let usable = |entry: &&Entry| !cx.tried.contains(&entry.server);
        let rank = |entry: &&Entry| {
            let hot = entry.in_flight > bound;
            (
                hot,
                if hot {
                    u64::from(entry.in_flight)
                } else {
                    entry.time
                },
            )
        };
        let best = self
            .pool
            .iter()
            .filter(usable)
            .min_by_key(rank)
            .map(|entry| entry.server);
        let best = best.filter(|_| self.pool.len() >= 2);
        let Some(server) = best else { return cx.any() };
        for entry in self.pool.iter_mut().filter(|entry| entry.server == server) {
            entry.in_flight += 1;
        }
        if let Some(place) = self.pool.iter().position(|entry| entry.server == server) {
            self.pool[place].uses -= 1;
            if self.pool[place].uses == 0 {
                self.pool.swap_remove(place);
            }
        }
        self.remove_one(bound);
        Some(server)
    }

    fn answered(&mut self, server: u32, answer: ProbeAnswer, now: Nanos, rng: &mut Rng) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(answer.in_flight);
        if self.pool.len() == POOL
            && let Some((place, _)) = self.pool.iter().enumerate().min_by_key(|(_, entry)| entry.at)
        {
            self.pool.swap_remove(place);
        }
        let whole = self.uses as u32;
        let uses = whole + u32::from(rng.unit() < self.uses - f64::from(whole));
        self.pool.push(Entry {
            server,
            at: now,
            in_flight: answer.in_flight,
            time: answer.usual_time.map_or(0, |time| time.0),
            uses: uses.max(1),
        });
    }
}
