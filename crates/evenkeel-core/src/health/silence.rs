//! Requests without an answer: an instance that hangs while its peers answer, found before any time-out.
//!
//! A client that goes away says nothing about an instance, and one that waits has not been failed yet. But when
//! clients lose patience before our own time-outs do, an instance that hangs never fails a request. What shows is that
//! it is asked and does not answer. Counted are requests that
//!
//! * began after its last answer,
//! * and waited for at least `max(1 s, 20 × the usual time of its peers)` ([`patience`]) and still do, or whose client left
//!   after `max(0.1 s, 20 × …)`: to that client the instance has failed. Who leaves sooner counts for nothing, so a hedged
//!   request is never held against an instance.
//!
//! One answer, good or bad, starts the count anew, and so does one that begins: who streams for an hour is not silent. Requests of
//! which the client is still sending the rest are not waiting for anybody. As many are needed as take a run of failures to eject; and more where
//! long requests are ordinary: so many that chance gives them in a row once in a million, when a share q of the
//! requests to the peers takes that long (or is open: an unfinished stream has no time yet).
//!
//! ```text
//! k = max(5, ln 10⁶ / −ln q)        5 up to q = 6 %, 12 at 30 %, 62 at 80 %
//! ```
//!
//! And the peers must have answered at least k requests meanwhile.
//!
//! Workers pay for this only when a request is cancelled: two loads and a comparison ([`Unanswered`]). What counts there
//! is a response time, too, for strategies: the answer would have taken longer.

use crate::math::minus_ln;
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::{Nanos, Stats};

/// The least wait that counts…
const LEAST: Nanos = Nanos::from_secs(1);
/// …and where the client left: pauses of a tenth of a second are ordinary, and clients bear them.
const LEAST_LEFT: Nanos = Nanos::from_millis(100);
/// So many times what peers usually take is no patience any more.
const USUALLY: f64 = 20.0;

/// How long a request has to wait to count, and one whose client left, beside peers that usually take `usual` ns.
pub(crate) fn patience(usual: f64) -> [Nanos; 2] {
    [LEAST, LEAST_LEFT].map(|least| Nanos((USUALLY * usual) as u64).max(least))
}

/// How many have to wait, when a run of `limit` failures ejects, a `share` of requests takes long elsewhere, and chance
/// may err with e^−`bar`.
pub(crate) fn needed(limit: u32, share: f64, bar: f32) -> u64 {
    if share >= 1.0 {
        return u64::MAX;
    }
    let chance = f64::from(bar) / minus_ln(share.max(f64::MIN_POSITIVE));
    u64::from(limit).max((chance - 1e-3).ceil() as u64)
}

/// What workers know of it: which cancelled requests count.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// Those that began later than this…
    after: AtomicU64,
    /// …and waited for so long.
    patience: AtomicU64,
    /// Cancelled requests that did.
    gave_up: AtomicU32,
    /// Answers that began and were to take a while, modulo 2³².
    begun: AtomicU32,
    /// Requests in flight of which the client sends the rest.
    sending: AtomicU32,
}

impl Default for Unanswered {
    fn default() -> Self {
        Self {
            after: AtomicU64::new(u64::MAX),
            patience: AtomicU64::new(LEAST.0),
            gave_up: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            sending: AtomicU32::new(0),
        }
    }
}

impl Unanswered {
    /// The client of a request that began at `started` left after it had `waited`. Whether that counts.
    #[inline]
    pub(crate) fn on_gave_up(&self, started: Nanos, waited: Nanos) -> bool {
        let counts = waited.0 >= self.patience.load(Relaxed) && started.0 > self.after.load(Relaxed);
        if counts {
            self.gave_up.fetch_add(1, Relaxed);
        }
        counts
    }

    /// An answer began that will take a while to end.
    #[inline]
    pub(crate) fn on_begun(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// How many did, modulo 2³².
    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(Relaxed)
    }

    /// The client of a request in flight sends the rest of it…
    pub(crate) fn on_sending(&self) {
        self.sending.fetch_add(1, Relaxed);
    }

    /// …and that is over.
    pub(crate) fn on_sent(&self) {
        self.sending.fetch_sub(1, Relaxed);
    }

    /// How many do.
    pub(crate) fn sending(&self) -> u32 {
        self.sending.load(Relaxed)
    }

    /// Cancelled requests that counted, since the last [`Self::clear`].
    fn gave_up(&self) -> u64 {
        self.gave_up.load(Relaxed).into()
    }

    /// Counts those from now on that began after that and wait for so long.
    fn count(&self, after: Nanos, patience: Nanos) {
        self.after.store(after.0, Relaxed);
        self.patience.store(patience.0, Relaxed);
    }

    fn clear(&self) {
        // Nearly always: nothing to write where workers read.
        if self.after.load(Relaxed) != u64::MAX {
            self.after.store(u64::MAX, Relaxed);
            self.gave_up.store(0, Relaxed);
        }
    }
}

/// What the writer knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    /// How long requests have to wait to count, and those whose client left.
    patience: [Nanos; 2],
    /// Answers in all, as of the last look.
    answers: u64,
    /// Answers that had begun then.
    begun: u32,
    /// Since when there was none.
    since: Nanos,
    /// Its picks and cancelled requests then.
    picks: u64,
    cancelled: u64,
    /// What the whole fleet had answered then.
    fleet: u64,
    /// Its picks some time ago, and of how many clients sent the rest then: what else began before then has waited for as
    /// long as it takes.
    before: (Nanos, u64, u32),
    latest: (Nanos, u64, u32),
    /// How many requests waited in vain, when that is too many.
    found: Option<u64>,
}

impl Silence {
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            patience: [LEAST, LEAST_LEFT],
            answers: 0,
            begun: 0,
            since: now,
            picks: 0,
            cancelled: 0,
            fleet: 0,
            before: (now, 0, 0),
            latest: (now, 0, 0),
            found: None,
        }
    }

    /// How long those at least waited that count.
    pub(crate) fn patience(&self, stats: &Stats) -> Nanos {
        let [waiting, left] = self.patience;
        if stats.silence().gave_up() > 0 {
            left
        } else {
            waiting
        }
    }

    /// Sets how long requests have to wait, and those whose client left.
    pub(crate) fn set_patience(&mut self, patience: [Nanos; 2]) {
        self.patience = patience;
    }

    /// Takes in what the counters say; `fleet` is what the whole fleet has answered well.
    pub(crate) fn observe(&mut self, stats: &Stats, fleet: u64, now: Nanos) {
        let answers = stats.successes() + stats.failures() + stats.throttled();
        let picks = stats.picks();
        let begun = stats.silence().begun();
        let answered = begun != self.begun || answers != self.answers;
        self.begun = begun;
        if answered || (picks == self.picks && self.found.is_none()) {
            self.answers = answers;
            self.restart(stats, fleet, now);
            return;
        }
        let [waiting, left] = self.patience;
        if now.since(self.latest.0) >= waiting {
            self.before = self.latest;
            self.latest = (now, picks, stats.silence().sending());
        }
        stats.silence().count(self.since, left);
    }

    /// Counts anew from now on.
    pub(crate) fn restart(&mut self, stats: &Stats, fleet: u64, now: Nanos) {
        self.since = now;
        self.picks = stats.picks();
        self.cancelled = stats.cancelled();
        self.fleet = fleet;
        self.before = (now, self.picks, stats.silence().sending());
        self.latest = self.before;
        self.found = None;
        stats.silence().clear();
    }

    /// Nothing up to now counts.
    pub(crate) fn forget(&mut self) {
        // No counter is there, so the next look counts anew.
        self.answers = u64::MAX;
        self.found = None;
    }

    /// Requests that waited too long since its last answer: at least so many.
    pub(crate) fn waited(&self, stats: &Stats) -> u64 {
        // Which of those that are open began when, nobody knows: all that left may have been of these, and all that
        // wait for their clients may be, or waited for them then.
        let left = stats.cancelled().saturating_sub(self.cancelled);
        let excused = left + u64::from(stats.silence().sending().max(self.before.2));
        let open = self.before.1.saturating_sub(self.picks).saturating_sub(excused);
        stats.silence().gave_up() + open
    }

    /// What all others answered well since its last answer.
    pub(crate) fn answered_elsewhere(&self, fleet: u64) -> u64 {
        fleet.saturating_sub(self.fleet)
    }

    /// Sets how many waited in vain, when that is too many.
    pub(crate) fn set_found(&mut self, found: Option<u64>) {
        self.found = found;
    }

    /// That.
    pub(crate) fn found(&self) -> Option<u64> {
        self.found
    }

    /// Follows a clock that stepped `back`.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.since = self.since.since(back);
        self.before.0 = self.before.0.since(back);
        self.latest.0 = self.latest.0.since(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn at(seconds: u64) -> Nanos {
        Nanos::from_secs(100 + seconds)
    }

    #[test]
    fn more_are_needed_where_long_requests_are_ordinary() {
        let bar = crate::health::burst::BAR;
        for (share, k) in [(0.0, 5), (0.01, 5), (0.06, 5), (0.1, 6), (0.3, 12), (0.8, 62)] {
            assert_eq!(needed(5, share, bar), k, "{share}");
        }
        assert_eq!(needed(5, 1.0, bar), u64::MAX);
        assert_eq!(needed(2, 0.0, bar / 2.0), 2);
        assert_eq!(patience(1e6), [Nanos::from_secs(1), Nanos::from_millis(100)]);
        assert_eq!(patience(8e6), [Nanos::from_secs(1), Nanos::from_millis(160)]);
        assert_eq!(patience(200e6), [Nanos::from_secs(4); 2]);
    }

    #[test]
    fn those_that_wait_and_those_that_gave_up_count_once_each() {
        let (stats, mut silence) = (Stats::default(), Silence::new(at(0)));
        stats.on_start(at(0));
        stats.on_end(&Outcome::from_status(200, Nanos(1)), at(0));
        silence.observe(&stats, 0, at(0));
        // One a second, and each client leaves after three.
        for second in 1..=10 {
            let now = at(second);
            silence.observe(&stats, second * 7, now);
            if second > 3 {
                stats.on_cancelled(at(second - 3), Some(Nanos::from_secs(3)));
            }
            stats.on_start(now);
        }
        // The first seven gave up; of the three that are left, not all have waited for a second.
        let waited = silence.waited(&stats);
        assert!((7..=9).contains(&waited), "{waited}");
        assert_eq!(silence.answered_elsewhere(70), 63);
        stats.on_end(&Outcome::failed(Nanos(1)), at(11));
        silence.observe(&stats, 77, at(11));
        assert_eq!(silence.waited(&stats), 0);
    }

    #[test]
    fn who_leaves_at_once_counts_for_nothing() {
        let (stats, mut silence) = (Stats::default(), Silence::new(at(0)));
        for second in 0..100 {
            for _ in 0..50 {
                stats.on_start(at(second));
                stats.on_cancelled(at(second), Some(Nanos::from_millis(99)));
                stats.on_start(at(second));
                stats.on_cancelled(at(second), None);
            }
            silence.observe(&stats, second, at(second));
            assert_eq!(silence.waited(&stats), 0, "{second}");
        }
    }

    #[test]
    fn an_answer_that_began_is_an_answer() {
        let (stats, mut silence) = (Stats::default(), Silence::new(at(0)));
        // Streams, of which none ends.
        for second in 0..60 {
            stats.on_start(at(second));
            stats.silence().on_begun();
            silence.observe(&stats, second, at(second));
            assert_eq!(silence.waited(&stats), 0, "{second}");
        }
        // Those before do not count when it falls silent.
        for second in 60..65 {
            stats.on_start(at(second));
            silence.observe(&stats, second, at(second));
        }
        assert_eq!(silence.waited(&stats), 4);
    }

    #[test]
    fn who_waits_for_the_rest_of_a_request_does_not_wait_in_vain() {
        let (stats, mut silence) = (Stats::default(), Silence::new(at(0)));
        silence.observe(&stats, 0, at(0));
        for _ in 0..6 {
            stats.on_start(at(0));
            stats.silence().on_sending();
        }
        let mut look = |second| {
            silence.observe(&stats, second, at(second));
            silence.waited(&stats)
        };
        assert!((1..10).all(|second| look(second) == 0));
        // Once they are there it does, though not for the time that they took.
        (0..5).for_each(|_| stats.silence().on_sent());
        assert_eq!([10, 11, 12].map(look), [0, 5, 5]);
    }

    #[test]
    fn what_began_before_the_last_answer_does_not_count() {
        let (stats, mut silence) = (Stats::default(), Silence::new(at(0)));
        (0..20).for_each(|_| stats.on_start(at(0)));
        silence.observe(&stats, 0, at(1));
        stats.on_end(&Outcome::from_status(200, Nanos(1)), at(2));
        for second in 2..60 {
            silence.observe(&stats, second, at(second));
        }
        (0..19).for_each(|_| stats.on_cancelled(at(0), Some(Nanos::from_secs(60))));
        silence.observe(&stats, 99, at(60));
        assert_eq!(silence.waited(&stats), 0);
    }

    #[test]
    fn who_left_sooner_than_a_second_counts_where_others_are_fast_and_is_a_response_time() {
        let (stats, mut silence) = (Stats::default(), Silence::new(at(0)));
        silence.set_patience(patience(8e6));
        let mut gave_up = |ms: u64, now: Nanos| {
            stats.on_start(now.since(Nanos::from_millis(ms)));
            silence.observe(&stats, 100, now);
            let started = now.since(Nanos::from_millis(ms));
            stats.on_cancelled(started, Some(Nanos::from_millis(ms)));
            silence.waited(&stats)
        };
        assert_eq!(gave_up(159, at(1)), 0);
        assert_eq!(stats.steady_time(), 0.0);
        for n in 1..=5 {
            assert_eq!(gave_up(300, at(1 + n)), n);
        }
        assert_eq!(stats.steady_time(), 300e6);
        assert_eq!(silence.patience(&stats), Nanos::from_millis(160));
        assert_eq!(stats.response_times().quantile(0.5), None, "nobody answered");
    }
}
