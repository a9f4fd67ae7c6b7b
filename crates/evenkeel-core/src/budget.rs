//! The retry budget of a service: retries may add a share to the load, never multiply it, and there are hardly any while they
//! achieve nothing.
//!
//! **The share** is counted in windows of ten seconds, all of which may be spent at once: when an instance dies, what it was
//! working on fails in one moment, and others can do it. Beside it there is a reserve, which a quiet service lives on.
//!
//! **What they achieve** decides whether there are any. The share alone does not end a storm: a fleet that is used to 85 % and
//! lost half of its capacity for some seconds has a queue longer than clients wait. All of them give up, servers work for
//! nobody, and 20 % of retries on top of 85 % are more than there is, so the queue stays when its cause is gone. Failures do not
//! tell that from one of two instances that is dead, where half of the requests fail and every retry succeeds; the retries do. A
//! retry in vain adds one to a **leaky bucket**, one that succeeds takes [`WORTH`] out, so it fills when many retries go and not a
//! quarter of them succeeds; what leaks is what does no harm. Once it is full there are only **probes**, a twentieth of the share,
//! and retries come back as these prove their worth: the more succeed the more there are, and one in vain undoes
//! [`UNDOES`], so that nine in ten must succeed. A quarter is not enough for that: where a quarter does, the queue is as long as clients wait, and each
//! retry that succeeds takes the place of another request. And slowly, over ten seconds, because what was saved meanwhile would fill
//! the queue anew (S12 in docs/evidence.md). All is as before as well when requests that would be tried again have become so few that the
//! bucket leaks faster than they fill it.
//!
//! Absent on purpose: how many *requests* fail, see above; and an order of importance among requests.

use std::sync::Arc;

use crate::Nanos;
use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Length of the window in which retries are compared with requests.
const WINDOW: Nanos = Nanos::from_secs(10);
/// Retries allowed per window whatever the traffic, so that a service with few requests can retry at
/// all: 20 a second, twice the reserve of Finagle and tower, as all workers share it.
const RESERVE: u64 = 200;
/// Retries in vain that one success makes up for.
const WORTH: u64 = 2;
/// What one retry is in the bucket.
const ONE: u64 = 1000;
/// The bucket holds what is allowed in so many seconds,
const ROOM: f64 = 0.5;
/// and this part of what is allowed leaks out: with 20 % allowed, 5 % more load than requests make.
const LEAK: f64 = 0.25;
/// The part of what is allowed that probes.
const PROBES: f64 = 0.05;
/// The successes that undo one in vain, while retries come back…
const UNDOES: u64 = 10;
/// …which they have when so many more succeeded as are allowed in so many seconds: the last probes of it are nearly as many as
/// all retries, so it takes about ten.
const PROVEN: f64 = 3.0;
/// While all is well; else one more than what probes have proven.
const WELL: u64 = 0;

/// Shared by all workers; touched only when something has to be retried, so requests pay nothing.
#[derive(Debug, Default)]
pub struct RetryBudget {
    window_began: AtomicU64,
    requests_at_begin: AtomicU64,
    /// Requests in a window like those up to its begin: failures come all at once, before the window has
    /// seen any request.
    expected: AtomicU64,
    retries: AtomicU64,
    /// Retries that have not ended.
    under_way: AtomicU64,
    /// The bucket of those in vain, in thousandths, how much it holds, and up to when it has leaked.
    in_vain: AtomicU64,
    room: AtomicU64,
    leaked_at: AtomicU64,
    /// See [`WELL`].
    proven: AtomicU64,
    probed_at: AtomicU64,
}

/// Why there is no retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoRetry {
    /// The share is used up.
    Budget,
    /// Hardly any retry succeeds at present.
    InVain,
}

impl NoRetry {
    /// All reasons.
    pub const ALL: [Self; 2] = [Self::Budget, Self::InVain];

    /// A word for metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::InVain => "in_vain",
        }
    }
}

/// A retry that was granted. Dropped without an [`end`](Self::end), it says nothing: the client left, say.
#[derive(Debug)]
#[must_use = "the budget learns from how it ended"]
pub struct Retry(Arc<RetryBudget>);

impl Retry {
    /// Says whether it brought what the first try did not.
    pub fn end(self, succeeded: bool) {
        self.0.learn(succeeded);
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

impl RetryBudget {
    /// One more retry, if it fits: at most `share` × the requests of this window (or of a usual one, if
    /// those are more), plus the reserve; none at all when `share` is 0, and few while they are in vain.
    /// `requests` is the service's cumulative count, which is asked for only when it can matter.
    ///
    /// Two workers that ask at the same moment may both get the last retry; the budget is then off by one.
    ///
    /// # Errors
    /// [`NoRetry`] says why there is none.
    pub fn withdraw(
        self: &Arc<Self>,
        now: Nanos,
        share: f64,
        requests: impl Fn() -> u64,
    ) -> Result<Retry, NoRetry> {
        if share <= 0.0 {
            return Err(NoRetry::Budget);
        }
        self.begin_window(now, &requests);
        let expected = self.expected.load(Relaxed);
        // Of many balancers before one fleet each has its reserve, so what is in vain is measured by the share.
        let usual = (share * expected as f64).max(RESERVE as f64) / WINDOW.as_secs_f64();
        if self.is_in_vain(now, usual) {
            return Err(NoRetry::InVain);
        }
        let allowed = |requests: u64| RESERVE + (share * requests as f64) as u64;
        let used = self.retries.load(Relaxed);
        let fits = used < allowed(expected)
            || used < allowed(requests().saturating_sub(self.requests_at_begin.load(Relaxed)));
        if !fits {
            return Err(NoRetry::Budget);
        }
        self.retries.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        Ok(Retry(Arc::clone(self)))
    }

    /// Begins another window when this one is over.
    fn begin_window(&self, now: Nanos, requests: impl Fn() -> u64) {
        let began = Nanos(self.window_began.load(Relaxed));
        if now.since(began) >= WINDOW
            && self
                .window_began
                .compare_exchange(began.0, now.0, Relaxed, Relaxed)
                .is_ok()
        {
            let requests = requests();
            let before = requests.saturating_sub(self.requests_at_begin.swap(requests, Relaxed));
            let windows = now.since(began).as_secs_f64() / WINDOW.as_secs_f64();
            self.expected.store((before as f64 / windows) as u64, Relaxed);
            self.retries.store(0, Relaxed);
        }
    }

    /// Whether so many retries were in vain that there is no other now, where so many are usually allowed in a second.
    fn is_in_vain(&self, now: Nanos, allowed: f64) -> bool {
        let room = (ROOM * allowed * ONE as f64) as u64;
        self.room.store(room, Relaxed);
        self.leak(now, allowed);
        let under_way = self.under_way.load(Relaxed);
        let proven = self.proven.load(Relaxed);
        if proven == WELL {
            let in_vain = self.in_vain.load(Relaxed);
            // From half of the bucket on those under way count as well: else as many would leave as clients wait long, before
            // the first of them has told anything.
            return 2 * in_vain > room && in_vain + (under_way + 1) * ONE > room;
        }
        // Who would be tried again fills it, not who is.
        self.change(|in_vain| (in_vain + ONE).min(room));
        let back = (proven - 1) as f64 / (PROVEN * allowed);
        let pace = allowed * (PROBES + (1.0 - PROBES) * back.min(1.0));
        let probed_at = self.probed_at.load(Relaxed);
        let due = now.since(Nanos(probed_at)).as_secs_f64() * pace >= 1.0;
        let probes = due
            && self
                .probed_at
                .compare_exchange(probed_at, now.0, Relaxed, Relaxed)
                .is_ok();
        !probes
    }

    fn leak(&self, now: Nanos, allowed: f64) {
        let leaked_at = self.leaked_at.load(Relaxed);
        let leaks = LEAK * allowed * now.since(Nanos(leaked_at)).as_secs_f64();
        let leaks = (leaks * ONE as f64) as u64;
        // Not sooner, as what is less than a thousandth is lost each time.
        if leaks >= ONE / 10
            && self
                .leaked_at
                .compare_exchange(leaked_at, now.0, Relaxed, Relaxed)
                .is_ok()
            && self.change(|in_vain| in_vain.saturating_sub(leaks)) == 0
        {
            self.proven.store(WELL, Relaxed);
        }
    }

    /// A retry has ended.
    fn learn(&self, succeeded: bool) {
        let room = self.room.load(Relaxed);
        let enough = PROVEN / ROOM * room as f64 / ONE as f64;
        match (self.proven.load(Relaxed), succeeded) {
            (WELL, true) => {
                self.change(|in_vain| in_vain.saturating_sub(WORTH * ONE));
            }
            (WELL, false) => {
                if self.change(|in_vain| (in_vain + ONE).min(room)) == room {
                    self.proven.store(WELL + 1, Relaxed);
                }
            }
            (proven, true) if (proven as f64) < enough => self.proven.store(proven + 1, Relaxed),
            (_, true) => {
                self.in_vain.store(0, Relaxed);
                self.proven.store(WELL, Relaxed);
            }
            (proven, false) => {
                let left = proven.saturating_sub(UNDOES);
                self.proven.store(left.max(WELL + 1), Relaxed);
            }
        }
    }

    /// Changes what is in the bucket, and says how much there is now.
    fn change(&self, change: impl Fn(u64) -> u64) -> u64 {
        let mut before = self.in_vain.load(Relaxed);
        loop {
            let after = change(before);
            match self.in_vain.compare_exchange(before, after, Relaxed, Relaxed) {
                Ok(_) => return after,
                Err(now) => before = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `asked` retries are granted at `now`, all of which succeed.
    fn granted(budget: &Arc<RetryBudget>, asked: usize, now: Nanos, requests: u64) -> usize {
        let one = |_: &usize| match budget.withdraw(now, 0.2, || requests) {
            Ok(retry) => {
                retry.end(true);
                true
            }
            Err(why) => {
                assert_eq!(why, NoRetry::Budget);
                false
            }
        };
        (0..asked).filter(one).count()
    }

    #[test]
    fn retries_are_a_share_of_requests_plus_a_reserve() {
        let budget = Arc::new(RetryBudget::default());
        let now = Nanos::from_secs(100);
        let granted = |now, requests| granted(&budget, 1_000, now, requests);
        assert_eq!(granted(now, 0), 200);
        assert_eq!(granted(now, 1_000), 200);
        assert_eq!(granted(now, 1_000), 0);
        let later = now + WINDOW;
        assert_eq!(granted(later, 1_000), 400, "as many as before are expected");
        assert_eq!(granted(later, 2_000), 0, "and do not come on top");
        assert_eq!(granted(later, 2_500), 100);
        let idle = later + Nanos::from_secs(100 * 3600);
        assert_eq!(granted(idle, 2_500), 200, "long ago is not usual");
        let none = budget.withdraw(idle + WINDOW, 0.0, || 9_000);
        assert_eq!(none.err(), Some(NoRetry::Budget), "no share, no retry");
    }

    #[test]
    fn requests_before_the_first_retry_count() {
        let budget = Arc::new(RetryBudget::default());
        // 100 a second for a minute, when an instance with 500 requests under way dies.
        let retries: Vec<_> = (0..500)
            .map_while(|_| budget.withdraw(Nanos::from_secs(60), 0.2, || 6_000).ok())
            .collect();
        assert_eq!(retries.len(), 400);
    }

    /// 1000 requests a second, of which so many in a hundred fail at first; a retry is known after 300 ms to have succeeded or not.
    struct Fleet {
        budget: Arc<RetryBudget>,
        under_way: std::collections::VecDeque<(Nanos, Retry)>,
        second: u64,
    }

    impl Fleet {
        fn new() -> Self {
            let (budget, under_way) = Default::default();
            Self {
                budget,
                under_way,
                second: 100,
            }
        }

        /// Retries in each of so many seconds, of which this part succeeds.
        fn retries(&mut self, seconds: u64, failing: u64, succeeding: f64) -> Vec<usize> {
            let mut rng = crate::Rng::new(7);
            let mut second = || {
                let mut granted = 0;
                for request in 0..1000 {
                    let now = Nanos::from_secs(self.second) + Nanos::from_millis(request);
                    while let Some((ends, _)) = self.under_way.front()
                        && *ends <= now
                        && let Some((_, retry)) = self.under_way.pop_front()
                    {
                        retry.end(rng.unit() < succeeding);
                    }
                    if request * 37 % 100 >= failing {
                        continue;
                    }
                    let so_far = self.second * 1000 + request;
                    if let Ok(retry) = self.budget.withdraw(now, 0.2, || so_far) {
                        granted += 1;
                        self.under_way.push_back((now + Nanos::from_millis(300), retry));
                    }
                }
                self.second += 1;
                granted
            };
            (0..seconds).map(|_| second()).collect()
        }
    }

    #[test]
    fn retries_that_achieve_nothing_stop_but_for_probes() {
        let mut fleet = Fleet::new();
        assert_eq!(fleet.retries(10, 10, 1.0), [100; 10]);
        let storm = fleet.retries(5, 100, 0.0);
        // As many as leave before half of 100 came back in vain, of which the calm had some under way; then one in a hundred
        // requests.
        assert!((200..=400).contains(&storm[0]), "{storm:?}");
        assert!(
            storm[1..].iter().all(|granted| (8..=12).contains(granted)),
            "{storm:?}"
        );
        // Two in three succeed: the queue is as long as clients wait.
        let edge = fleet.retries(5, 30, 0.67);
        assert!(edge.iter().all(|granted| *granted < 60), "{edge:?}");
    }

    #[test]
    fn retries_come_back_when_probes_succeed() {
        let mut fleet = Fleet::new();
        fleet.retries(15, 100, 0.0);
        // One of five is dead, as it turns out.
        let after = fleet.retries(14, 20, 1.0);
        assert!(
            after[0] < 30 && after[4] < 100 && after[12..] == [200; 2],
            "{after:?}"
        );
    }

    #[test]
    fn retries_come_back_when_few_are_asked_for() {
        let mut fleet = Fleet::new();
        fleet.retries(15, 100, 0.0);
        // 5 % leak, and nobody could be saved: they do no harm.
        let after = fleet.retries(8, 3, 0.0);
        assert!(after[0] < 15 && after[7] == 30, "{after:?}");
        assert_eq!(fleet.retries(20, 4, 0.0), [40; 20]);
    }

    #[test]
    fn half_of_the_retries_are_enough_to_go_on() {
        let mut fleet = Fleet::new();
        assert_eq!(fleet.retries(20, 20, 0.5), [200; 20]);
    }

    #[test]
    fn one_of_two_instances_may_be_gone() {
        let mut fleet = Fleet::new();
        assert_eq!(fleet.retries(4, 50, 1.0), [500; 4]);
    }

    #[test]
    fn a_few_failures_of_a_quiet_service_say_nothing_and_leave_no_trace() {
        let budget = Arc::new(RetryBudget::default());
        // Four a second that cannot be saved.
        for failure in 0..600 {
            let now = Nanos::from_secs(100) + Nanos::from_millis(250 * failure);
            let retry = budget.withdraw(now, 0.2, || failure);
            retry.unwrap().end(false);
        }
        // Who leaves meanwhile says nothing, and takes no room for good.
        for request in 0..100 {
            let now = Nanos::from_secs(2000 + 3 * request);
            assert!(budget.withdraw(now, 0.2, || request).is_ok());
        }
        assert_eq!(budget.under_way.load(Relaxed), 0);
        assert_eq!(budget.in_vain.load(Relaxed), 0);
    }
}
