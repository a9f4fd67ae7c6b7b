//! Times as people and programs read them: RFC 3339 in UTC with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_core::Nanos;
use evenkeel_core::calendar::date_of;

/// Translates the balancer's clock to the calendar, by one reading of both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    wall: SystemTime,
    now: Nanos,
}

impl Calendar {
    /// `now` was read together with `wall`.
    pub(crate) const fn new(wall: SystemTime, now: Nanos) -> Self {
        Self { wall, now }
    }

    /// `at` as RFC 3339; it may lie in the future.
    pub(crate) fn date(&self, at: Nanos) -> String {
        let past = Duration::from_nanos(self.now.since(at).0);
        let ahead = Duration::from_nanos(at.since(self.now).0);
        let wall = self.wall.checked_sub(past).unwrap_or(UNIX_EPOCH);
        rfc3339(wall.checked_add(ahead).unwrap_or(self.wall))
    }

    /// Seconds from `at` until now, 0 when it lies in the future.
    pub(crate) fn seconds_since(&self, at: Nanos) -> f64 {
        // Whole milliseconds: more digits would only be noise in a reply.
        (self.now.since(at).0 / 1_000_000) as f64 / 1e3
    }
}

/// `2026-11-21T09:14:03.120Z`. Times before 1970 are written as its first moment.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date_of(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        since.subsec_millis()
    )
}

/// Seconds since 1970, as metrics give times.
pub(crate) fn unix_seconds(time: SystemTime) -> f64 {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    millis as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_078_012_800, "2004-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (1_798_761_600, "2027-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), want);
        }
        let millis = UNIX_EPOCH + Duration::from_millis(1_234);
        assert_eq!(rfc3339(millis), "1970-01-01T00:00:01.234Z");
    }

    #[test]
    fn the_calendar_reaches_back_and_ahead() {
        let calendar = Calendar::new(UNIX_EPOCH + Duration::from_secs(100), Nanos::from_secs(10));
        assert_eq!(calendar.date(Nanos::from_secs(4)), "1970-01-01T00:01:34.000Z");
        assert_eq!(calendar.date(Nanos::from_secs(15)), "1970-01-01T00:01:45.000Z");
        assert!((calendar.seconds_since(Nanos::from_secs(4)) - 6.0).abs() < 1e-9);
        assert!(calendar.seconds_since(Nanos::from_secs(15)).abs() < 1e-9);
    }

    #[test]
    fn times_beyond_the_calendar_do_not_panic() {
        let calendar = Calendar::new(UNIX_EPOCH, Nanos::MAX);
        assert_eq!(calendar.date(Nanos::ZERO), "1970-01-01T00:00:00.000Z");
        let _ = Calendar::new(UNIX_EPOCH, Nanos::ZERO).date(Nanos::MAX);
    }
}
