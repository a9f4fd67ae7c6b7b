//! Times as programs write them: RFC 3339.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_core::calendar::day_of;

/// `2026-11-21T09:14:03.120Z`, or with an offset such as `+01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeText(pub SystemTime);

impl TimeText {
    /// How long it is after the begin of 1970.
    #[must_use]
    pub fn since_1970(self) -> Duration {
        self.0.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl FromStr for TimeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a time from 1970 on\nwrite it as RFC 3339, such as `2026-11-21T09:14:03Z` or \
                 `2026-11-21T10:14:03.120+01:00`"
            )
        })
    }
}

fn read(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second is the last moment of its minute here, as on most clocks.
    if year < 1970 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, rest) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => fraction(rest)?,
    };
    let local = day_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59);
    let seconds = local.checked_add_signed(-offset(rest)?)?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// `count` numbers of these lengths, divided by `between`.
fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, length) in found.iter_mut().zip(lengths) {
        let part = parts.next()?;
        let digits = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = digits.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

/// The nanoseconds that the digits at the start mean, and what follows; more than nine digits are cut off.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let nanos: String = digits.chars().chain("00000000".chars()).take(9).collect();
    Some((nanos.parse().ok()?, rest))
}

/// Seconds ahead of UTC.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let [hours, minutes] = [hours, minutes].map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    });
    let (hours, minutes) = (hours?, minutes?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_written() {
        for (text, seconds, millis) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2000-02-29t00:00:00.5z", 951_782_400, 500),
            ("2000-02-29 01:30:00+01:30", 951_782_400, 0),
            ("2000-02-28T20:30:00-03:30", 951_782_400, 0),
            ("2027-01-01T00:00:00.1234567899Z", 1_798_761_600, 123),
            ("2016-12-31T23:59:60Z", 1_483_228_799, 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
        ] {
            let TimeText(time) = text.parse().unwrap();
            let since = time.duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(
                (since.as_secs(), since.subsec_millis()),
                (seconds, millis),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "1795252443",
            "2026-11-21",
            "2026-11-21T09:14:03",
            "2026-11-21T09:14:03.Z",
            "2026-11-21T09:14:03Z ",
            "2026-11-21T9:14:03Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T09:60:00Z",
            "2026-11-21T09:14:61Z",
            "2026-11-21T09:14:03+0100",
            "2026-11-21T09:14:03+24:00",
            "2026-11-21T09:14:03+ü:00",
            "+026-11-21T09:14:03Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "ü026-11-21T09:14:03Z",
        ] {
            let error = text.parse::<TimeText>().unwrap_err();
            assert!(error.contains("RFC 3339"), "{text}: {error}");
        }
    }
}
