//! The retry budget of a service: retries may add a share to the load, never multiply it.

use crate::sync::{AtomicU64, Ordering::Relaxed};

use crate::Nanos;

/// Length of the window in which retries are compared with requests.
const WINDOW: Nanos = Nanos::from_secs(10);
/// Retries allowed per window whatever the traffic, so that a service with few requests can retry at
/// all: 20 a second, twice the reserve of Finagle and tower, as all workers share it.
const RESERVE: u64 = 200;

/// Shared by all workers; touched only when something has to be retried, so requests pay nothing.
#[derive(Debug, Default)]
pub struct RetryBudget {
    window_began: AtomicU64,
    requests_at_begin: AtomicU64,
    /// Requests in a window like those up to its begin: failures come all at once, before the window has
    /// seen any request.
    expected: AtomicU64,
    retries: AtomicU64,
}

impl RetryBudget {
    /// Whether one more retry fits: at most `share` × the requests of this window (or of a usual one, if
    /// those are more), plus the reserve; none at all when `share` is 0. `requests` is the service's
    /// cumulative count, which is asked for only when it can matter.
    ///
    /// Two workers that ask at the same moment may both get the last retry; the budget is then off by one.
    pub fn withdraw(&self, now: Nanos, share: f64, requests: impl Fn() -> u64) -> bool {
        if share <= 0.0 {
            return false;
        }
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
        let allowed = |requests: u64| RESERVE + (share * requests as f64) as u64;
        let used = self.retries.load(Relaxed);
        let fits = used < allowed(self.expected.load(Relaxed))
            || used < allowed(requests().saturating_sub(self.requests_at_begin.load(Relaxed)));
        if fits {
            self.retries.fetch_add(1, Relaxed);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests_plus_a_reserve() {
        let budget = RetryBudget::default();
        let now = Nanos::from_secs(100);
        let granted = |now, requests| {
            (0..1_000)
                .filter(|_| budget.withdraw(now, 0.2, || requests))
                .count()
        };
        assert_eq!(granted(now, 0), 200);
        assert_eq!(granted(now, 1_000), 200);
        assert_eq!(granted(now, 1_000), 0);
        let later = now + WINDOW;
        assert_eq!(granted(later, 1_000), 400, "as many as before are expected");
        assert_eq!(granted(later, 2_000), 0, "and do not come on top");
        assert_eq!(granted(later, 2_500), 100);
        let idle = later + Nanos::from_secs(100 * 3600);
        assert_eq!(granted(idle, 2_500), 200, "long ago is not usual");
        assert!(
            !budget.withdraw(idle + WINDOW, 0.0, || 9_000),
            "no share, no retry"
        );
        let budget = RetryBudget::default();
        assert!(budget.withdraw(now, 0.2, || 0));
        let granted = (0..1_000).filter(|_| budget.withdraw(now, 0.2, || 1_000)).count();
        assert_eq!(granted, 399);
    }

    #[test]
    fn requests_before_the_first_retry_count() {
        let budget = RetryBudget::default();
        // 100 a second for a minute, when an instance with 500 requests under way dies.
        let granted = (0..500)
            .filter(|_| budget.withdraw(Nanos::from_secs(60), 0.2, || 6_000))
            .count();
        assert_eq!(granted, 400);
    }
}
