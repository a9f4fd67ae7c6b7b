//! What is known of an instance from its requests. Lives beside the instance, survives every rebuild
//! of the view, shared by all workers.

use crate::health::{HealthParts, Outlook, OutlookCell, Suspicion, THROTTLED, Unanswered};
use crate::math::{AtomicF32, AtomicF64, Histogram, real};
use crate::pace::Pace;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::trust::Trust;
use crate::{Distance, Nanos, Outcome, ReportedLoad, Verdict};

/// Weight of one sample in the smoothed success share: the memory is about the last 16 requests.
const SUCCESS_GAIN: f32 = 1.0 / 16.0;
/// Least weight of one sample in the smoothed response time.
const RESPONSE_GAIN: f64 = 1.0 / 8.0;
/// A sample after a pause of this length weighs as much as all before it.
const RESPONSE_MEMORY: f64 = 5e9;

/// Counters and estimates of one instance. All orderings are relaxed: every value stands alone, none
/// guards other memory. Estimates are updated by load and store without a loop: when two workers
/// update at once one sample is lost, which an estimate can bear and a counter could not.
///
/// Aligned to one cache line, so that what is written with every request lies in as few as possible. Not to two:
/// every worker writes to every instance anyway, and for a hundred thousand of them the gaps are megabytes.
#[derive(Debug)]
#[repr(align(64))]
pub struct Stats {
    picks: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
    throttled: AtomicU64,
    cancelled: AtomicU64,
    /// Of the successes, those that told a client its fault.
    declined: AtomicU64,
    last_used: AtomicU64,
    /// Smoothed response time in ns; 0 means not measured yet.
    response_time: AtomicF64,
    /// When `response_time` was last updated.
    response_time_at: AtomicU64,
    /// The last sample of `response_time`.
    last_response_time: AtomicU64,
    consecutive_failures: AtomicU32,
    /// Consecutive failures that raise an alarm; 0 disables.
    alarm_at: AtomicU32,
    /// Smoothed share of successes.
    success_share: AtomicF32,
    trust: Trust,
    /// The score of its health.
    health: AtomicF32,
    /// The parts of that score, packed.
    parts: AtomicU64,
    suspicion: Suspicion,
    unanswered: Unanswered,
    pace: Pace,
    /// What a refusal counts for at least: smoothed and usual, in ns; 0 when unknown.
    floors: [AtomicF32; 2],
    response_times: Histogram,
    reported: ReportedLoad,
    distance: Distance,
    outlook: OutlookCell,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            picks: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            declined: AtomicU64::new(0),
            last_used: AtomicU64::new(0),
            response_time: AtomicF64::new(0.0),
            response_time_at: AtomicU64::new(0),
            last_response_time: AtomicU64::new(0),
            consecutive_failures: AtomicU32::new(0),
            alarm_at: AtomicU32::new(0),
            success_share: AtomicF32::new(1.0),
            trust: Trust::default(),
            health: AtomicF32::new(1.0),
            parts: AtomicU64::new(HealthParts::default().bits()),
            suspicion: Suspicion::default(),
            unanswered: Unanswered::default(),
            pace: Pace::default(),
            floors: [AtomicF32::new(0.0), AtomicF32::new(0.0)],
            response_times: Histogram::default(),
            reported: ReportedLoad::default(),
            distance: Distance::default(),
            outlook: OutlookCell::default(),
        }
    }
}

impl Stats {
    /// Counts a pick.
    #[inline]
    pub fn on_start(&self, now: Nanos) {
        self.picks.fetch_add(1, Relaxed);
        self.last_used.store(now.0, Relaxed);
    }

    /// Folds in how a request ended. True when this very outcome raises an alarm: it completed the run of failures
    /// (exactly one caller sees that), or took the suspicion over its bar.
    #[inline]
    pub fn on_end(&self, outcome: &Outcome, now: Nanos) -> bool {
        if let Some(time) = outcome.response_time
            && outcome.verdict != Verdict::Cancelled
        {
            self.response_times.record(time);
        }
        match outcome.verdict {
            Verdict::Cancelled => {
                self.on_cancelled(Nanos::ZERO, None);
                false
            }
            Verdict::Success => {
                self.did_work(outcome.response_time.map(|time| [time; 2]), now);
                false
            }
            Verdict::Declined => {
                self.on_declined(outcome.response_time, now);
                false
            }
            Verdict::Failure => {
                self.failures.fetch_add(1, Relaxed);
                self.fold_success(0.0);
                self.pace.on_failure(outcome.response_time, now);
                // A failure is never a good latency sample: it may raise the estimate, neither lower nor
                // found it.
                if let Some(time) = outcome.response_time
                    && self.response_time().is_some_and(|(estimate, _)| time > estimate)
                {
                    self.fold_response_time(time, now);
                }
                let suspicious = self.suspicion.on_failure();
                let run = self.consecutive_failures.fetch_add(1, Relaxed).saturating_add(1);
                self.trust.on_failure(run, self.successes());
                run == self.alarm_at.load(Relaxed) || suspicious
            }
            Verdict::Throttled => {
                // It neither did its work nor failed at it: no run is broken or made longer, and nothing is
                // suspicious. But an answer that costs nothing must not make it look fast.
                self.throttled.fetch_add(1, Relaxed);
                self.fold_success(THROTTLED);
                self.trust.on_throttled(THROTTLED);
                self.pace.on_failure(outcome.response_time, now);
                false
            }
        }
    }

    /// It did its work, in times as the smoothed and the usual one take them.
    #[inline]
    fn did_work(&self, times: Option<[Nanos; 2]>, now: Nanos) {
        self.successes.fetch_add(1, Relaxed);
        if self.consecutive_failures.load(Relaxed) != 0 {
            self.consecutive_failures.store(0, Relaxed);
        }
        self.suspicion.on_success();
        self.fold_success(1.0);
        self.trust.on_success();
        if let Some([smoothed, usual]) = times {
            self.fold_response_time(smoothed, now);
            self.pace.on_success(usual, now);
        }
    }

    /// A refusal may be cheap: it may make an instance slower than it is known to be, never faster.
    #[cold]
    fn on_declined(&self, time: Option<Nanos>, now: Nanos) {
        self.declined.fetch_add(1, Relaxed);
        let times = time.map(|time| self.floors().map(|floor| time.max(Nanos(floor as u64))));
        self.did_work(times, now);
    }

    /// A request that began at `started` ended without saying anything but, maybe, that it waited so long in vain.
    #[inline]
    pub(crate) fn on_cancelled(&self, started: Nanos, waited: Option<Nanos>) {
        self.cancelled.fetch_add(1, Relaxed);
        if let Some(waited) = waited
            && self.unanswered.on_gave_up(started, waited)
        {
            self.pace.on_unanswered(waited);
        }
    }

    fn fold_success(&self, sample: f32) {
        let old = self.success_share.get();
        let new = if sample == 1.0 && old > 0.9999 {
            1.0
        } else {
            old + (sample - old) * SUCCESS_GAIN
        };
        if new != old {
            self.success_share.set(new);
        }
    }

    fn fold_response_time(&self, time: Nanos, now: Nanos) {
        let (old, sample) = (self.response_time.get(), real(time.0));
        let new = if old == 0.0 {
            sample
        } else {
            let pause = real(now.since(Nanos(self.response_time_at.load(Relaxed))).0);
            let gain = if pause * (1.0 / RESPONSE_GAIN - 1.0) <= RESPONSE_MEMORY {
                RESPONSE_GAIN
            } else {
                pause / (pause + RESPONSE_MEMORY)
            };
            old + (sample - old) * gain
        };
        // Whole nanoseconds: those that differ by less are equal.
        self.response_time.set((new as u64).max(1) as f64);
        self.response_time_at.store(now.0, Relaxed);
        self.last_response_time.store(time.0, Relaxed);
    }

    /// Consecutive failures that raise an alarm; 0 disables. Set by the writer.
    pub fn set_alarm_at(&self, failures: u32) {
        self.alarm_at.store(failures, Relaxed);
    }

    /// Starts the count of consecutive failures and the suspicion anew, when an instance returns.
    pub fn forgive(&self) {
        self.consecutive_failures.store(0, Relaxed);
        self.suspicion.set(0.0);
    }

    /// Halves the memory of response times, but for the last few; called by the writer at a steady pace.
    pub fn age(&self) {
        self.response_times.halve();
    }

    /// Whether the memory of response times should be halved before its time.
    pub(crate) fn is_crowded(&self) -> bool {
        self.response_times.is_crowded()
    }

    /// Picks so far.
    #[must_use]
    pub fn picks(&self) -> u64 {
        self.picks.load(Relaxed)
    }

    /// Requests that succeeded.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.successes.load(Relaxed)
    }

    /// Requests that failed through the instance's fault.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Requests that it was too busy for (408, 429).
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Relaxed)
    }

    /// Requests that ended without saying anything about the instance.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.cancelled.load(Relaxed)
    }

    /// Answers that began with their head and had more to come ([`Lease::answer_began`](crate::Lease::answer_began)),
    /// modulo 2³².
    #[must_use]
    pub fn answers_begun(&self) -> u32 {
        self.unanswered.begun()
    }

    /// Requests in flight of which the client still sends the rest ([`Lease::client_sends`](crate::Lease::client_sends)).
    #[must_use]
    pub fn sending(&self) -> u32 {
        self.unanswered.sending()
    }

    /// When it was last picked; the origin when never.
    #[must_use]
    pub fn last_used(&self) -> Nanos {
        Nanos(self.last_used.load(Relaxed))
    }

    /// Failures in a row up to now.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures.load(Relaxed)
    }

    /// Of the successes, those that told a client its fault (4xx but 408 and 429).
    #[must_use]
    pub fn declined(&self) -> u64 {
        self.declined.load(Relaxed)
    }

    /// What a refusal counts for at least, in ns: in the smoothed time and in the usual one.
    pub(crate) fn floors(&self) -> [f32; 2] {
        [0, 1].map(|i| self.floors[i].get())
    }

    /// Sets that. For the writer.
    pub(crate) fn set_floors(&self, floors: [f32; 2]) {
        for (known, floor) in self.floors.iter().zip(floors) {
            known.set(floor);
        }
    }

    /// Smoothed response time and when it was last updated; `None` before the first sample.
    #[inline]
    #[must_use]
    pub fn response_time(&self) -> Option<(Nanos, Nanos)> {
        let time = self.response_time.get();
        (time > 0.0).then(|| (Nanos(time as u64), Nanos(self.response_time_at.load(Relaxed))))
    }

    /// The last response time that [`Self::response_time`] took in; zero before the first.
    #[inline]
    #[must_use]
    pub fn last_response_time(&self) -> Nanos {
        Nanos(self.last_response_time.load(Relaxed))
    }

    /// Smoothed share of successes, `0.0..=1.0`; 1 before the first outcome.
    #[must_use]
    pub fn success_share(&self) -> f32 {
        self.success_share.get()
    }

    /// What part of its next requests is believed to succeed.
    #[inline]
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The score of its health, `0.0..=1.0`, as its service's writer last judged it; 1 before.
    #[inline]
    #[must_use]
    pub fn health(&self) -> f32 {
        self.health.get()
    }

    /// Sets the score of its health, clamped to `0.0..=1.0`; NaN changes nothing. For the writer.
    pub fn set_health(&self, score: f32) {
        if !score.is_nan() {
            self.health.set(score.clamp(0.0, 1.0));
        }
    }

    /// The parts of that score, as its service's writer last judged them.
    #[must_use]
    pub fn health_parts(&self) -> HealthParts {
        HealthParts::from_bits(self.parts.load(Relaxed))
    }

    /// Sets the parts and, by them, the score. For the writer.
    pub(crate) fn set_health_parts(&self, parts: HealthParts) {
        self.parts.store(parts.bits(), Relaxed);
        self.set_health(parts.score());
    }

    /// What is foreseen of it, as its service's writer last found; `None` while nothing is known, and without predictions.
    #[must_use]
    pub fn outlook(&self) -> Option<Outlook> {
        self.outlook.get()
    }

    /// Sets what is foreseen of it. For the writer.
    pub(crate) fn foresee(&self, outlook: Option<Outlook>) {
        self.outlook.set(outlook);
    }

    /// How suspicious its failures of late are.
    pub(crate) fn suspicion(&self) -> &Suspicion {
        &self.suspicion
    }

    /// Requests that nobody answered.
    pub(crate) fn silence(&self) -> &Unanswered {
        &self.unanswered
    }

    #[inline]
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// What it reports of its own load.
    #[inline]
    #[must_use]
    pub fn reported(&self) -> &ReportedLoad {
        &self.reported
    }

    /// How far away it is.
    #[must_use]
    pub fn distance(&self) -> &Distance {
        &self.distance
    }

    /// Recent response times, failures included.
    #[must_use]
    pub fn response_times(&self) -> &Histogram {
        &self.response_times
    }
}
