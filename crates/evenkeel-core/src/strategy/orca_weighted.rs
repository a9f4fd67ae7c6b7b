//! Each candidate as often as it can bear by its own reports: gRPC's weighted round robin (A58).
//!
//! ```text
//! weight = requests_per_second / (utilization + errors × penalty)
//! errors = max(errors_per_second / requests_per_second, share of failures seen here)
//! ```
//!
//! That is the rate at which an instance would be in use up to 1, so traffic by these weights makes all as busy.
//! `utilization` is the application's own, else that of its processors. Our own view of its failures is more than
//! gRPC has: who fails at once is hardly in use, and would attract traffic until it reports errors.
//!
//! - **Registered weights** stand for capacity that is not reported yet: who reports nothing, has done so for less than
//!   [`OrcaWeighted::blackout`], or not for [`OrcaWeighted::expiration`], has the mean capacity per registered weight of the
//!   others, times its share of successes (at least a tenth). When nobody reports, registered weights decide.
//!   A report that gets old fades into that.
//! - **Shares** (slow start and the like) multiply whatever comes out.
//! - **Bounds**: per registered weight, a tenth to ten times the median. Who reports nonsense neither takes
//!   everything nor loses it.
//!
//! gRPC picks by a static stride scheduler, which takes max/mean steps a pick. Here the weights are an alias table, one
//! step whatever they are, whose columns are atomics: the writer overwrites them every [`OrcaWeighted::update`] while
//! workers pick, no view is built, and a pick between two columns meets an old and a new one, both of which are
//! right. It is not drawn from at random but by a shared ticket times the golden ratio, whose multiples fill the
//! table evenly (Weyl 1916), so that equal weights come nearly in turn.
//!
//! Equal utilization is not least latency: Prequal's authors found such weights to time out where `hot_cold` does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::round_robin::Ticket;
use super::{Picker, Strategy};
use crate::math::{Alias, Factor};
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest, REPORT_EXPIRY, Rng, Stats};

/// `2^64 / φ`, odd: the step whose multiples keep the farthest from each other.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// How many times the median capacity is believed, and how small a part of it.
const BOUND: f64 = 10.0;
/// What the candidate of the greatest weight has in the table, whose weights are whole numbers: who has a millionth of
/// that is off by a thousandth at most.
const GREATEST: f64 = u32::MAX as f64;

/// The strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrcaWeighted {
    /// An instance must have reported for so long.
    pub blackout: Nanos,
    /// A report is worth nothing after this long, at most [`REPORT_EXPIRY`].
    pub expiration: Nanos,
    /// How often weights are renewed.
    pub update: Nanos,
    /// How much utilization a request that fails counts as.
    pub error_penalty: Factor,
}

impl Default for OrcaWeighted {
    fn default() -> Self {
        Self {
            blackout: Nanos::from_secs(10),
            expiration: REPORT_EXPIRY,
            update: Nanos::from_secs(1),
            error_penalty: Factor::clamped(1.0),
        }
    }
}

impl Strategy for OrcaWeighted {
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        Box::new(Turns::new(self, candidates, seed, None))
    }

    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let before: &dyn std::any::Any = before;
        Box::new(Turns::new(self, candidates, seed, before.downcast_ref()))
    }

    fn refresh_every(&self) -> Option<Nanos> {
        Some(self.update)
    }
}

/// One candidate.
#[derive(Debug)]
struct Reporter {
    slot: Slot,
    stats: Arc<Stats>,
    /// As registered.
    weight: f64,
    share: f64,
    /// When it began to report, plus one; 0 while it does not. Only the writer uses it.
    since: AtomicU64,
}

#[derive(Debug)]
struct Turns {
    settings: OrcaWeighted,
    reporters: Box<[Reporter]>,
    /// An alias table: below the upper half a column's own candidate, else that of the lower half.
    columns: Box<[AtomicU64]>,
    ticket: Ticket,
}

impl Turns {
    fn new(settings: &OrcaWeighted, candidates: &Candidates, seed: u64, before: Option<&Self>) -> Self {
        let mut known = before
            .map_or(&[][..], |before| &before.reporters)
            .iter()
            .peekable();
        let all = candidates.slots().iter().zip(candidates.base_weights());
        let reporters = all.enumerate().filter_map(|(index, (slot, weight))| {
            let stats = Arc::clone(candidates.member(*slot)?.stats());
            // Both are in the order of slots.
            while known.next_if(|known| known.slot < *slot).is_some() {}
            let since = known.next_if(|known| known.slot == *slot && Arc::ptr_eq(&known.stats, &stats));
            Some(Reporter {
                slot: *slot,
                stats,
                weight: f64::from(weight),
                share: candidates.share(index).as_f64(),
                since: AtomicU64::new(since.map_or(0, |known| known.since.load(Relaxed))),
            })
        });
        let reporters: Box<[Reporter]> = reporters.collect();
        let turns = Self {
            settings: settings.clone(),
            columns: reporters.iter().map(|_| AtomicU64::new(0)).collect(),
            ticket: Ticket::new(Rng::new(seed).next_u64()),
            reporters,
        };
        turns.fill(turns.reporters.iter().map(|r| r.weight * r.share).collect());
        turns
    }

    /// Writes the table. O(n).
    fn fill(&self, weights: Vec<f64>) {
        let greatest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let whole = weights
            .iter()
            .map(|weight| (weight / greatest * GREATEST).round().max(1.0) as u32);
        let table = Alias::new((0..).zip(whole));
        for (column, (threshold, other)) in self.columns.iter().zip(table.columns()) {
            // Relaxed: each column stands alone.
            column.store(u64::from(threshold) << 32 | u64::from(other), Relaxed);
        }
    }

    /// What `reporter` can bear per registered weight, and what its report is worth. `None` when it does not say.
    fn capacity(&self, reporter: &Reporter, now: Nanos) -> Option<(f64, f64)> {
        let reported = reporter.stats.reported();
        let current = reported.get(now).filter(|_| {
            let observed = reported.observed().unwrap_or(Nanos::ZERO);
            now.since(observed) < self.settings.expiration
        });
        let said = current.and_then(|(report, worth)| {
            let rate = f64::from(report.requests_per_second()?);
            let used = f64::from(report.utilization()?);
            let errors = f64::from(report.errors_per_second().unwrap_or(0.0));
            (rate > 0.0 && used > 0.0).then_some((rate, used, errors, worth))
        });
        let Some((rate, used, errors, worth)) = said else {
            reporter.since.store(0, Relaxed);
            return None;
        };
        let since = match reporter.since.load(Relaxed) {
            0 => {
                reporter.since.store(now.0.saturating_add(1), Relaxed);
                now
            }
            since => Nanos(since - 1),
        };
        if now.since(since) < self.settings.blackout {
            return None;
        }
        let failures = 1.0 - f64::from(reporter.stats.recent_success_share());
        let errors = (errors / rate).max(failures);
        let capacity = rate / (used + errors * self.settings.error_penalty.get());
        Some((capacity / reporter.weight, f64::from(worth)))
    }
}

impl Picker for Turns {
    fn pick(&self, _request: &PickRequest<'_>, _cx: &mut PickContext) -> Result<Slot, NoPick> {
        let bits = self.ticket.take().wrapping_mul(GOLDEN);
        // The product's high word is the column, its low word the place within it.
        let product = u128::from(bits) * self.columns.len() as u128;
        let index = (product >> 64) as usize;
        let column = self.columns.get(index).ok_or(NoPick::NoneEligible)?.load(Relaxed);
        let own = ((product as u64) >> 32) < column >> 32;
        let index = if own { index } else { column as u32 as usize };
        self.reporters
            .get(index)
            .map(|reporter| reporter.slot)
            .ok_or(NoPick::NoneEligible)
    }

    fn refresh(&self, now: Nanos) {
        let capacities: Vec<_> = self.reporters.iter().map(|r| self.capacity(r, now)).collect();
        let mut known: Vec<f64> = capacities
            .iter()
            .flatten()
            .map(|(capacity, _)| *capacity)
            .collect();
        let (mut median, mut mean) = (1.0, 1.0);
        if !known.is_empty() {
            let middle = known.len() / 2;
            median = *known.select_nth_unstable_by(middle, f64::total_cmp).1;
            let bounded = known.iter().map(|capacity| bounded(*capacity, median));
            mean = bounded.sum::<f64>() / known.len() as f64;
        }
        let weights = self.reporters.iter().zip(capacities).map(|(reporter, capacity)| {
            let success = f64::from(reporter.stats.recent_success_share());
            let unknown = mean * success.max(1.0 / BOUND);
            let per_weight = capacity.map_or(unknown, |(capacity, worth)| {
                worth * bounded(capacity, median) + (1.0 - worth) * unknown
            });
            per_weight * reporter.weight * reporter.share
        });
        self.fill(weights.collect());
    }
}

fn bounded(capacity: f64, median: f64) -> f64 {
    capacity.clamp(median / BOUND, median * BOUND)
}
