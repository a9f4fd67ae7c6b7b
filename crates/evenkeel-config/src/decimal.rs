//! Numbers with a range in thousandths that is part of their type.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A number from `MIN` to `MAX` thousandths, both included, kept to the thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Decimal<MIN, MAX> {
    /// This many thousandths, brought into the range.
    #[must_use]
    pub const fn thousandths(value: u64) -> Self {
        Self(if value < MIN {
            MIN
        } else if value > MAX {
            MAX
        } else {
            value
        })
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    fn range() -> String {
        format!("a number from {} to {}", MIN as f64 / 1000.0, MAX as f64 / 1000.0)
    }

    fn parse<E: de::Error>(number: f64) -> Result<Self, E> {
        let thousandths = (number * 1000.0).round();
        if (MIN as f64..=MAX as f64).contains(&thousandths) {
            Ok(Self(thousandths as u64))
        } else {
            Err(E::custom(format_args!("`{number}` is not {}", Self::range())))
        }
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Decimal<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> de::Visitor<'_> for Number<MIN, MAX> {
            type Value = Decimal<MIN, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&Decimal::<MIN, MAX>::range())
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                Decimal::parse(number as f64)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                Decimal::parse(number as f64)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                Decimal::parse(number)
            }
        }
        deserializer.deserialize_f64(Number)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Decimal<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.get())
        }
    }
}

impl<const MIN: u64, const MAX: u64> schemars::JsonSchema for Decimal<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Decimal{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (least, most) = (MIN as f64 / 1000.0, MAX as f64 / 1000.0);
        schemars::json_schema!({
            "type": "number", "minimum": least, "maximum": most, "x-expects": format!("{least} to {most}")
        })
    }
}
