//! What a service's requests did, as cumulative counters.
//!
//! Recording is a few relaxed increments. Every thread counts in a shard of its own (as long as there
//! are no more threads than shards), so workers do not pass a cache line to and fro; a snapshot adds
//! the shards up. Relaxed suffices: each counter stands alone and only ever grows.
//!
//! They can be switched off: recording is then a load of a flag that nobody writes, and a branch. Nothing decides by
//! them. What health and strategies go by lives in [`evenkeel_core::Stats`], which has no switch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use evenkeel_core::{Nanos, NoRetry, RetryReason, View};

use crate::shard::{SHARDS, shard_of_thread};

/// Upper bounds of the histogram's buckets in seconds. Those from 5 ms are the boundaries that
/// OpenTelemetry's HTTP conventions fix; below them a proxy needs finer ones.
const BOUNDS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// [`BOUNDS`] in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// Statuses of locally made errors that are counted one by one; any other counts under 0.
pub const LOCAL_ERRORS: [u16; 9] = [400, 408, 413, 414, 431, 502, 503, 504, 0];

#[derive(Debug, Default)]
struct Shard {
    classes: [AtomicU64; 5],
    /// One more than bounds: the last holds what is slower than all of them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// Counters of one service. They survive every change of its settings and instances.
#[derive(Debug)]
pub struct ServiceMetrics {
    /// Read by all, written at a change of the settings.
    on: CachePadded<AtomicBool>,
    shards: [CachePadded<Shard>; SHARDS],
    rare: CachePadded<Rare>,
    fallback_picks: CachePadded<AtomicU64>,
}

/// Counters that move when something goes wrong; shared by all threads.
#[derive(Debug, Default)]
struct Rare {
    retries: [AtomicU64; RetryReason::ALL.len()],
    refused_retries: [AtomicU64; NoRetry::ALL.len()],
    local_errors: [AtomicU64; LOCAL_ERRORS.len()],
    no_picks: AtomicU64,
    absent_keys: AtomicU64,
    unknown_regions: AtomicU64,
    bad_load_reports: AtomicU64,
    checks_passed: AtomicU64,
    checks_failed: AtomicU64,
}

impl Default for ServiceMetrics {
    /// On, and nothing counted.
    fn default() -> Self {
        Self {
            on: CachePadded::new(AtomicBool::new(true)),
            shards: Default::default(),
            rare: CachePadded::default(),
            fallback_picks: CachePadded::default(),
        }
    }
}

impl ServiceMetrics {
    /// Whether anything is counted here. What was counted before it was switched off stays.
    #[inline]
    #[must_use]
    pub fn is_on(&self) -> bool {
        // Relaxed: a request about the time of the switch may count or not.
        self.on.load(Relaxed)
    }

    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Relaxed);
    }

    /// The rare counters, while anything is counted.
    fn rare(&self) -> Option<&Rare> {
        self.is_on().then(|| &*self.rare)
    }

    /// Counts a response that was relayed with `status`, and how long it took from the request's
    /// arrival to the response's end. A status outside 100..=599 counts with the class next to it.
    #[inline]
    pub fn record_response(&self, status: u16, duration: Nanos) {
        if !self.is_on() {
            return;
        }
        let shard = &self.shards[shard_of_thread()];
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        shard.classes[class].fetch_add(1, Relaxed);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < duration.0);
        shard.buckets[bucket].fetch_add(1, Relaxed);
        shard.nanos.fetch_add(duration.0, Relaxed);
    }

    /// Counts a request that is sent again.
    pub fn record_retry(&self, reason: RetryReason) {
        if let Some(rare) = self.rare() {
            rare.retries[reason as usize].fetch_add(1, Relaxed);
        }
    }

    /// Counts a request that is not sent again, though another instance could have it.
    pub fn record_refused_retry(&self, why: NoRetry) {
        if let (Some(rare), Some(place)) = (self.rare(), NoRetry::ALL.iter().position(|one| *one == why)) {
            rare.refused_retries[place].fetch_add(1, Relaxed);
        }
    }

    /// Counts an error response made here.
    pub fn record_local_error(&self, status: u16) {
        let known = LOCAL_ERRORS.iter().position(|s| *s == status);
        if let Some(rare) = self.rare() {
            rare.local_errors[known.unwrap_or(LOCAL_ERRORS.len() - 1)].fetch_add(1, Relaxed);
        }
    }

    /// Counts a request that found no instance.
    pub fn record_no_pick(&self) {
        if let Some(rare) = self.rare() {
            rare.no_picks.fetch_add(1, Relaxed);
        }
    }

    /// Counts a request without what the strategy hashes, so that its source address decided instead.
    pub fn record_absent_key(&self) {
        if let Some(rare) = self.rare() {
            rare.absent_keys.fetch_add(1, Relaxed);
        }
    }

    /// Counts a request from a region in which the strategy knows no instance, so that it was as if it said nothing.
    fn record_unknown_region(&self) {
        if let Some(rare) = self.rare() {
            rare.unknown_regions.fetch_add(1, Relaxed);
        }
    }

    /// Counts a load report of an instance that was not acceptable.
    pub fn record_bad_load_report(&self) {
        if let Some(rare) = self.rare() {
            rare.bad_load_reports.fetch_add(1, Relaxed);
        }
    }

    /// Counts what is worth counting of a pick from `view` for a request from `region`: that it was made in fallback,
    /// and that the strategy knows nobody in the region. The pick itself is counted beside its instance.
    #[inline]
    pub fn record_pick(&self, view: &View, region: Option<&str>) {
        if view.is_fallback() {
            self.record_fallback_pick();
        }
        if !view.knows_region(region) {
            self.record_unknown_region();
        }
    }

    #[inline]
    fn record_fallback_pick(&self) {
        if self.is_on() {
            self.fallback_picks.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn record_check(&self, passed: bool) {
        let Some(rare) = self.rare() else { return };
        let counter = if passed {
            &rare.checks_passed
        } else {
            &rare.checks_failed
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Responses relayed so far. Cheaper than a whole [`Self::snapshot`].
    #[must_use]
    pub fn responses(&self) -> u64 {
        let classes = self.shards.iter().flat_map(|shard| &shard.classes);
        classes.map(|class| class.load(Relaxed)).sum()
    }

    /// All counters now. They are read one after the other, while others count on.
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        let sum = |of: &dyn Fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| of(shard).load(Relaxed)).sum()
        };
        let mut count = 0;
        let buckets = std::array::from_fn(|i| {
            count += sum(&|shard| &shard.buckets[i]);
            (BOUNDS[i], count)
        });
        count += sum(&|shard| &shard.buckets[BOUNDS.len()]);
        MetricsSnapshot {
            responses: std::array::from_fn(|i| sum(&|shard| &shard.classes[i])),
            durations: DurationSnapshot {
                buckets,
                count,
                sum_seconds: Nanos(sum(&|shard| &shard.nanos)).as_secs_f64(),
            },
            retries: std::array::from_fn(|i| (RetryReason::ALL[i], self.rare.retries[i].load(Relaxed))),
            refused_retries: std::array::from_fn(|i| {
                (NoRetry::ALL[i], self.rare.refused_retries[i].load(Relaxed))
            }),
            local_errors: std::array::from_fn(|i| (LOCAL_ERRORS[i], self.rare.local_errors[i].load(Relaxed))),
            no_picks: self.rare.no_picks.load(Relaxed),
            absent_keys: self.rare.absent_keys.load(Relaxed),
            unknown_regions: self.rare.unknown_regions.load(Relaxed),
            bad_load_reports: self.rare.bad_load_reports.load(Relaxed),
            fallback_picks: self.fallback_picks.load(Relaxed),
            checks_passed: self.rare.checks_passed.load(Relaxed),
            checks_failed: self.rare.checks_failed.load(Relaxed),
        }
    }
}

/// The counters of a service at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsSnapshot {
    /// Relayed responses by class, 1xx first.
    pub responses: [u64; 5],
    /// How long they took.
    pub durations: DurationSnapshot,
    /// Requests sent again, by reason.
    pub retries: [(RetryReason, u64); RetryReason::ALL.len()],
    /// Requests not sent again, though another instance could have had them, by reason.
    pub refused_retries: [(NoRetry, u64); NoRetry::ALL.len()],
    /// Error responses made here, by status; 0 stands for any other.
    pub local_errors: [(u16, u64); LOCAL_ERRORS.len()],
    /// Requests that found no instance.
    pub no_picks: u64,
    /// Requests without what the strategy hashes, decided by their source address instead.
    pub absent_keys: u64,
    /// Requests from regions in which the strategy knows no instance.
    pub unknown_regions: u64,
    /// Load reports of instances that were not acceptable, and therefore said nothing.
    pub bad_load_reports: u64,
    /// Picks made while too few instances were healthy: checks and priorities had no say.
    pub fallback_picks: u64,
    /// Active checks that passed.
    pub checks_passed: u64,
    /// Active checks that failed.
    pub checks_failed: u64,
}

/// A histogram in the shape Prometheus wants.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationSnapshot {
    /// Upper bound in seconds and how many took at most that long; cumulative.
    pub buckets: [(f64, u64); BOUNDS.len()],
    /// All of them; the value of the bucket without a bound.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_agree() {
        for (seconds, nanos) in BOUNDS.iter().zip(BOUNDS_NANOS) {
            assert_eq!((seconds * 1e9).round() as u64, nanos);
        }
    }

    #[test]
    fn a_duration_on_a_bound_belongs_to_it() {
        let metrics = ServiceMetrics::default();
        metrics.record_response(200, Nanos::from_millis(5));
        metrics.record_response(503, Nanos(5_000_001));
        metrics.record_response(404, Nanos::from_secs(60));
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.responses, [0, 1, 0, 1, 1]);
        let at_most = |bound: f64| {
            snapshot
                .durations
                .buckets
                .iter()
                .find(|b| b.0 == bound)
                .map(|b| b.1)
        };
        assert_eq!(at_most(0.0025), Some(0));
        assert_eq!(at_most(0.005), Some(1));
        assert_eq!(at_most(0.01), Some(2));
        assert_eq!(at_most(10.0), Some(2));
        assert_eq!(snapshot.durations.count, 3);
        assert!((snapshot.durations.sum_seconds - 60.010_000_001).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_counted_while_they_are_off() {
        let metrics = ServiceMetrics::default();
        let count_all = || {
            metrics.record_response(200, Nanos::from_millis(1));
            metrics.record_retry(RetryReason::Connect);
            metrics.record_local_error(503);
            metrics.record_no_pick();
            metrics.record_absent_key();
            metrics.record_bad_load_report();
            metrics.record_fallback_pick();
            metrics.record_check(true);
            metrics.record_check(false);
        };
        let nothing = metrics.snapshot();
        metrics.switch(false);
        count_all();
        assert_eq!(metrics.snapshot(), nothing);
        metrics.switch(true);
        count_all();
        let once = metrics.snapshot();
        assert_eq!(
            (once.durations.count, once.no_picks, once.fallback_picks),
            (1, 1, 1)
        );
        assert_eq!(
            (once.checks_passed, once.checks_failed, once.absent_keys),
            (1, 1, 1)
        );
        metrics.switch(false);
        count_all();
        assert_eq!(metrics.snapshot(), once, "what was counted stays");
    }

    #[test]
    fn threads_add_up() {
        let metrics = ServiceMetrics::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        metrics.record_response(200, Nanos::from_millis(1));
                    }
                });
            }
        });
        assert_eq!(metrics.snapshot().durations.count, 2000 * SHARDS as u64);
    }

    #[test]
    fn rare_things_are_counted_by_kind() {
        let metrics = ServiceMetrics::default();
        for reason in RetryReason::ALL {
            metrics.record_retry(reason);
        }
        metrics.record_refused_retry(NoRetry::InVain);
        metrics.record_local_error(502);
        metrics.record_local_error(418);
        metrics.record_no_pick();
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.retries, RetryReason::ALL.map(|r| (r, 1)));
        assert_eq!(
            snapshot.refused_retries,
            [(NoRetry::Budget, 0), (NoRetry::InVain, 1)]
        );
        let errors: Vec<_> = snapshot.local_errors.iter().filter(|e| e.1 > 0).collect();
        assert_eq!(errors, [&(502, 1), &(0, 1)]);
        assert_eq!(snapshot.no_picks, 1);
    }
}
