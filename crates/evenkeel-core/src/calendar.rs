//! The Gregorian calendar, for all who write or read times: days since 1970-01-01 and dates (Howard Hinnant,
//! "chrono-Compatible Low-Level Date Algorithms").
//!
//! Years are taken to begin on 1 March, so that the leap day is the last of its year; an era is 400 such years of 146,097
//! days, and 719,468 days lie between 0000-03-01 and 1970-01-01.
//!
//! Absent on purpose: hours, which anybody can divide, zones, leap seconds, and formats.

const TO_1970: u64 = 719_468;
const OF_ERA: u64 = 146_097;

/// Year, month and day of a number of days since 1970-01-01.
#[must_use]
pub const fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + TO_1970;
    let era = days / OF_ERA;
    let of_era = days % OF_ERA;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + (month <= 2) as u64, month, day)
}

/// Days from 1970-01-01 to a date not before it.
#[must_use]
pub const fn day_of(year: u64, month: u64, day: u64) -> u64 {
    let year = year - (month <= 2) as u64;
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    year / 400 * OF_ERA + days - TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar_both_ways() {
        for (days, (year, month, day)) in [
            (0, (1970, 1, 1)),
            (11_015, (2000, 2, 28)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_454, (2026, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(date_of(days), (year, month, day));
            assert_eq!(day_of(year, month, day), days);
        }
        // Day after day through two eras.
        let mut last = date_of(0);
        for days in 1..2 * OF_ERA {
            let (year, month, day) = date_of(days);
            assert_eq!(day_of(year, month, day), days);
            assert!(
                (year, month, day) > last && (day == last.2 + 1 || day == 1),
                "{days}"
            );
            last = (year, month, day);
        }
    }
}
