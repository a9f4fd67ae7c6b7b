//! Whole numbers whose range is part of their type.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// `value`, brought into the range.
    #[must_use]
    pub const fn clamped(value: u64) -> Self {
        Self(if value < MIN {
            MIN
        } else if value > MAX {
            MAX
        } else {
            value
        })
    }
}

macro_rules! into_plain {
    ($($plain:ty),*) => {$(
        impl<const MIN: u64, const MAX: u64> From<Whole<MIN, MAX>> for $plain {
            /// Saturates, which never happens for the types the model pairs.
            fn from(number: Whole<MIN, MAX>) -> Self {
                Self::try_from(number.0).unwrap_or(Self::MAX)
            }
        }
        impl<const MIN: u64, const MAX: u64> From<$plain> for Whole<MIN, MAX> {
            fn from(number: $plain) -> Self {
                Self::clamped(u64::try_from(number).unwrap_or(MAX))
            }
        }
    )*};
}
into_plain!(u8, u16, u32, usize);

fn outside<E: de::Error>(number: impl fmt::Display, min: u64, max: u64) -> E {
    E::custom(format_args!(
        "`{number}` is not a whole number from {min} to {max}"
    ))
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> de::Visitor<'_> for Number<MIN, MAX> {
            type Value = Whole<MIN, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                if (MIN..=MAX).contains(&number) {
                    Ok(Whole(number))
                } else {
                    Err(outside(number, MIN, MAX))
                }
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                u64::try_from(number)
                    .map_err(|_| outside(number, MIN, MAX))
                    .and_then(|number| self.visit_u64(number))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                // `2.0` is a whole number, as it is for JSON Schema; from 2^53 on, floats are no longer exact.
                if number.fract() == 0.0 && (0.0..9e15).contains(&number) {
                    self.visit_u64(number as u64)
                } else {
                    Err(outside(number, MIN, MAX))
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.parse::<u64>().is_ok() {
                    Err(E::custom(format_args!(
                        "`{text}` in quotes is text\nwrite it without quotes"
                    )))
                } else {
                    Err(E::invalid_type(de::Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_u64(Number)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Whole<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> schemars::JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Whole{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}
