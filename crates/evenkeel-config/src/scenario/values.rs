//! Values that only scenarios have: times below a millisecond, amounts, sets of servers.

use std::fmt;
use std::str::FromStr;

use evenkeel_core::Nanos;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::BudgetText;

/// A length of time from nothing to a day, to the nanosecond: `500us`, `2.5ms`, `10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Nanos);

impl Span {
    const EXPECTED: &str = "a time with its unit, such as `500us`, `2.5ms` or `10s`";
    const LONGEST: f64 = 86_400e9;
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let scale = match unit {
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" if number.parse::<f64>().is_ok() => {
                return Err(format!(
                    "`{text}` has no unit: write `{text}s` for seconds or `{text}ms` for milliseconds"
                ));
            }
            _ => return Err(format!("`{text}` is no time: write {}", Self::EXPECTED)),
        };
        let nanos = number.parse::<f64>().ok().map(|number| number * scale);
        match nanos {
            Some(nanos) if (0.0..=Self::LONGEST).contains(&nanos) => Ok(Self(Nanos(nanos.round() as u64))),
            Some(_) => Err(format!("`{text}` is out of range: write a time from 0s to 24h")),
            None => Err(format!("`{text}` is no time: write {}", Self::EXPECTED)),
        }
    }
}

/// A number above 0, up to 10 million.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Amount(pub f64);

impl Amount {
    const EXPECTED: &str = "a number above 0, such as `0.7`";
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(number) if number > 0.0 && number <= 1e7 => Ok(Self(number)),
            Ok(number) if number > 1e7 => {
                Err(format!("`{text}` is more than 10 million, the most there can be"))
            }
            _ => Err(format!("`{text}` is not {}", Self::EXPECTED)),
        }
    }
}

/// Which servers, by their numbers from 0 in the order of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerSet {
    /// Every one.
    All,
    /// Those from the first to the last of each range, both included.
    Ranges(Vec<(usize, usize)>),
}

impl ServerSet {
    const EXPECTED: &str = "`all`, or numbers of servers such as `0-4` or `0, 7, 9`";

    /// The numbers below `n`, in the order written.
    #[must_use]
    pub fn below(&self, n: usize) -> Vec<usize> {
        match self {
            Self::All => (0..n).collect(),
            Self::Ranges(ranges) => {
                // Not one by one: the last may be any number.
                let below = |(first, last): &(usize, usize)| *first..n.min(last.saturating_add(1));
                ranges.iter().flat_map(below).collect()
            }
        }
    }

    /// The greatest number; `None` for all.
    pub(super) fn greatest(&self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Ranges(ranges) => ranges.iter().map(|(_, last)| *last).max(),
        }
    }
}

impl FromStr for ServerSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no set of servers: write {}", Self::EXPECTED);
        if text == "all" {
            return Ok(Self::All);
        }
        let range = |part: &str| {
            let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            let range = (first.parse().ok()?, last.parse().ok()?);
            (range.0 <= range.1).then_some(range)
        };
        let ranges: Option<Vec<(usize, usize)>> = text.split(',').map(range).collect();
        ranges.map(Self::Ranges).ok_or_else(wrong)
    }
}

/// Has the reader note what is wrong with a value at the value; numbers arrive as they are written.
macro_rules! read_from_text {
    ($($ty:ident),+) => {$(
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $ty;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($ty::EXPECTED)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$ty, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    )+};
}
read_from_text!(Span, Amount, ServerSet, BudgetText);

impl BudgetText {
    const EXPECTED: &str = "a ratio from 0 to 1 such as `0.2`, or `none`";
}

impl FromStr for BudgetText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "none" => Ok(Self::Unlimited),
            Ok(part) if (0.0..=1.0).contains(&part) => Ok(Self::Part(part)),
            _ => Err(format!("`{text}` is not {}", Self::EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_fractions() {
        let nanos = |text: &str| text.parse::<Span>().map(|span| span.0.0);
        assert_eq!(nanos("500us"), Ok(500_000));
        assert_eq!(nanos("2.5ms"), Ok(2_500_000));
        assert_eq!(nanos("1.5m"), Ok(90_000_000_000));
        assert_eq!(nanos("0s"), Ok(0));
        for bad in [
            "", "5", "ms", "-1s", "1 s", "25h", "NaNs", "infs", "1e3x", "5parsec",
        ] {
            assert!(nanos(bad).is_err(), "{bad}");
        }
        assert!(nanos("5").is_err_and(|error| error.contains("write `5s`")));
    }

    #[test]
    fn amounts_are_above_nothing() {
        assert_eq!("0.7".parse(), Ok(Amount(0.7)));
        for bad in ["0", "-1", "NaN", "inf", "1e8", "x"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_are_numbers_and_ranges() {
        let below = |text: &str, n| text.parse::<ServerSet>().map(|set| set.below(n));
        assert_eq!(below("all", 3), Ok(vec![0, 1, 2]));
        assert_eq!(below("1-3, 7", 9), Ok(vec![1, 2, 3, 7]));
        assert_eq!(below("4", 9), Ok(vec![4]));
        assert_eq!(below("1-18446744073709551615", 3), Ok(vec![1, 2]));
        for bad in ["", "3-1", "a", "1,,2", "-1"] {
            assert!(below(bad, 9).is_err(), "{bad}");
        }
    }
}
