//! Values written as text: durations, sizes, ratios.
//!
//! Each type accepts exactly the spellings it prints, refuses everything else with the remedy, and is valid once it
//! exists (a duration is never zero, a ratio never outside 0..=1), so nothing behind it checks again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest duration accepted, one year: long enough for everything, short enough that no clock overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Gives a type with `FromStr` and `Display` its form in the file and in the schema.
macro_rules! textual {
    ($type:ident, $schema_type:tt, $($key:literal: $value:expr),+) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($type::EXPECTED)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // What looks like a number is written as one: `0.2`, not `"0.2"`.
                let text = self.to_string();
                if let Ok(number) = text.parse::<u64>() {
                    serializer.serialize_u64(number)
                } else if let Ok(number) = text.parse::<f64>() {
                    serializer.serialize_f64(number)
                } else {
                    serializer.serialize_str(&text)
                }
            }
        }
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": $schema_type, $($key: $value),+ })
            }
        }
    };
}
pub(crate) use textual;

/// A duration longer than zero: `250ms`, `5s`, `1m30s`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub Duration);

impl DurationText {
    const EXPECTED: &'static str = "a duration with its unit, such as `250ms`, `5s` or `1m30s`";

    /// A duration of whole seconds, for defaults; `s` is not zero.
    pub(crate) const fn millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    pub(crate) const fn secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }
}

impl FromStr for DurationText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
                format!("`{text}` has no unit: write `{text}s` for seconds or `{text}ms` for milliseconds")
            } else {
                format!("`{text}` is not a duration: write {}", Self::EXPECTED)
            }
        };
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let unit_ms: u64 = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            let ms = number
                .parse::<u64>()
                .ok()
                .and_then(|n| n.checked_mul(unit_ms))
                .ok_or_else(wrong)?;
            total = total.saturating_add(Duration::from_millis(ms));
            rest = tail;
        }
        match total {
            _ if text.is_empty() => Err(wrong()),
            Duration::ZERO => Err(format!(
                "`{text}` is no time at all: the shortest duration is `1ms`"
            )),
            _ if total > LONGEST => Err(format!("`{text}` is too long: the longest duration is `365d`")),
            _ => Ok(Self(total)),
        }
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            _ if !ms.is_multiple_of(1000) => write!(f, "{ms}ms"),
            _ if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) && ms > 300_000 => write!(f, "{}m", ms / 60_000),
            _ => write!(f, "{}s", ms / 1000),
        }
    }
}

impl From<DurationText> for Duration {
    fn from(text: DurationText) -> Self {
        text.0
    }
}

impl From<Duration> for DurationText {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

textual!(DurationText, "string", "pattern": r"^([0-9]+(ms|s|m|h|d))+$", "x-expects": "duration", "examples": ["250ms", "5s", "1m30s"]);

/// A number of bytes: `512`, `64KiB`, `10MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeText(pub u64);

impl SizeText {
    const EXPECTED: &'static str = "a size such as `512`, `64KiB` or `10MiB`";
}

impl FromStr for SizeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "K" | "k" | "KB" | "kB" | "kb" => {
                return Err(format!(
                    "`{text}` is ambiguous: write `{number}KiB` (1024 bytes each)"
                ));
            }
            "M" | "MB" | "Mb" => {
                return Err(format!(
                    "`{text}` is ambiguous: write `{number}MiB` (1024 KiB each)"
                ));
            }
            "G" | "GB" | "Gb" => {
                return Err(format!(
                    "`{text}` is ambiguous: write `{number}GiB` (1024 MiB each)"
                ));
            }
            _ => return Err(format!("`{text}` is not a size: write {}", Self::EXPECTED)),
        };
        match number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)) {
            None if number.is_empty() => Err(format!("`{text}` is not a size: write {}", Self::EXPECTED)),
            None => Err(format!("`{text}` is too large")),
            Some(0) => Err(format!("`{text}` would allow nothing: the smallest size is `1`")),
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n.is_multiple_of(1 << 30) => write!(f, "{}GiB", n >> 30),
            n if n.is_multiple_of(1 << 20) => write!(f, "{}MiB", n >> 20),
            n if n.is_multiple_of(1 << 10) => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

impl From<SizeText> for u64 {
    fn from(text: SizeText) -> Self {
        text.0
    }
}

impl From<u64> for SizeText {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

textual!(SizeText, ["string", "integer"], "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$", "minimum": 1, "x-expects": "size", "examples": ["64KiB", "10MiB"]);

/// A limit that can be switched off: `none`, or a value of `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

impl<T: FromStr<Err = String>> FromStr for OrNone<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            _ => text
                .parse()
                .map(|value| Self(Some(value)))
                .map_err(|e| format!("{e}, or `none` for no limit")),
        }
    }
}

impl<T: fmt::Display> fmt::Display for OrNone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("none"),
            Some(value) => value.fmt(f),
        }
    }
}

/// A number of bytes, or `none`.
pub type SizeLimit = OrNone<SizeText>;

impl SizeLimit {
    const EXPECTED: &'static str = "a size such as `10MiB`, or `none`";
}

impl From<SizeLimit> for Option<u64> {
    fn from(limit: SizeLimit) -> Self {
        limit.0.map(u64::from)
    }
}

impl From<Option<u64>> for SizeLimit {
    fn from(limit: Option<u64>) -> Self {
        Self(limit.map(SizeText))
    }
}

textual!(SizeLimit, ["string", "integer"], "pattern": "^(none|[0-9]+(B|KiB|MiB|GiB)?)$", "minimum": 1, "x-expects": "size or `none`");

/// A whole number of one or more, for limits that can be `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Err("`0` would allow nothing: write a whole number from 1".to_owned()),
            Ok(n) => Ok(Self(n)),
            Err(_) => Err(format!("`{text}` is not a whole number from 1 to {}", u32::MAX)),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole number, or `none`.
pub type CountLimit = OrNone<Count>;

impl CountLimit {
    const EXPECTED: &'static str = "a whole number from 1, or `none`";
}

impl From<CountLimit> for Option<u32> {
    fn from(limit: CountLimit) -> Self {
        limit.0.map(|count| count.0)
    }
}

impl From<Option<u32>> for CountLimit {
    fn from(limit: Option<u32>) -> Self {
        Self(limit.map(Count))
    }
}

textual!(CountLimit, ["string", "integer"], "pattern": "^(none|[0-9]+)$", "minimum": 1, "x-expects": "number or `none`");

/// A share between 0 and 1, such as `0.2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(pub f64);

impl Ratio {
    const EXPECTED: &'static str = "a ratio from 0 to 1, such as `0.2`";
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(percent) = text.strip_suffix('%').and_then(|p| p.trim().parse::<f64>().ok()) {
            return Err(format!("`{text}` is a percentage: write `{}`", percent / 100.0));
        }
        match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self(ratio)),
            _ => Err(format!("`{text}` is not {}", Self::EXPECTED)),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.0
    }
}

impl From<f64> for Ratio {
    fn from(ratio: f64) -> Self {
        Self(ratio)
    }
}

textual!(Ratio, ["number", "string"], "minimum": 0, "maximum": 1, "x-expects": "ratio");
