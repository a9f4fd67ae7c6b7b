//! Numbers and times as the demo writes them.

use std::time::{Duration, SystemTime};

/// A time that stands for itself in a column: `5.3 ms`, `128 ms`, `1.25 s`.
pub(super) fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        _ if ms < 99.95 => format!("{ms:.1} ms"),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}

/// The same, or a dash when there is none.
pub(super) fn time_or_dash(value: Option<Duration>) -> String {
    value.map_or_else(|| "-".to_owned(), time)
}

/// A part of a whole, in percent; a dash when the whole is nothing.
pub(super) fn percent(part: u64, whole: u64, digits: usize) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.digits$} %", part as f64 / whole as f64 * 100.0)
}

/// `HH:MM:SS`, UTC: the local offset cannot be had without a database of time zones.
pub(super) fn hms(at: SystemTime) -> String {
    let seconds = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{h:02}:{m:02}:{s:02}")
}

/// A duration of the script: `30 s`, `4.5 s`.
pub(super) fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round();
    if tenths % 10.0 == 0.0 {
        format!("{:.0} s", tenths / 10.0)
    } else {
        format!("{:.1} s", tenths / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits() {
        let us = Duration::from_micros;
        for (value, expected) in [
            (us(40), "0.0 ms"),
            (us(5_340), "5.3 ms"),
            (us(99_940), "99.9 ms"),
            (us(99_960), "100 ms"),
            (us(999_400), "999 ms"),
            (us(999_600), "1.00 s"),
            (us(5_000_000), "5.00 s"),
        ] {
            assert_eq!(time(value), expected);
        }
        assert_eq!(time_or_dash(None), "-");
    }

    #[test]
    fn shares_clocks_and_seconds() {
        assert_eq!(percent(1, 8, 1), "12.5 %");
        assert_eq!(percent(0, 0, 1), "-");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 9 * 3600 + 14 * 60 + 3);
        assert_eq!(hms(at), "09:14:03");
        assert_eq!(seconds(Duration::from_secs(30)), "30 s");
        assert_eq!(seconds(Duration::from_millis(4_500)), "4.5 s");
    }
}
