//! Values of the settings of strategies that hash.

use std::fmt;
use std::str::FromStr;

use evenkeel_core::strategy::TableSize;
use evenkeel_core::{KeySource, LoadFactor};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::text::textual;

/// What of a request is hashed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "`path`, `source_address`, `{ header: NAME }`, `{ cookie: NAME }` or `{ query: NAME }`"
)]
pub enum Key {
    /// The value of the first header field of this name.
    Header(Token),
    /// The value of the cookie of this name.
    Cookie(Token),
    /// The value of the query parameter of this name.
    Query(Parameter),
    /// The path without its query.
    Path,
    /// The address the connection comes from.
    #[default]
    SourceAddress,
}

impl JsonSchema for Key {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let named = |kind: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { kind: { "type": "string", "description": format!("Name of the {kind}.") } },
                "required": [kind],
                "additionalProperties": false
            })
        };
        json_schema!({
            "x-expects": "key source",
            "oneOf": [
                { "type": "string", "enum": ["path", "source_address"] },
                named("header"), named("cookie"), named("query")
            ]
        })
    }
}

impl From<Key> for KeySource {
    fn from(key: Key) -> Self {
        match key {
            Key::Header(name) => Self::Header(name.0),
            Key::Cookie(name) => Self::Cookie(name.0),
            Key::Query(name) => Self::Query(name.0),
            Key::Path => Self::Path,
            Key::SourceAddress => Self::SourceAddress,
        }
    }
}

/// The name of a header field or cookie (RFC 9110 §5.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(pub Box<str>);

impl Token {
    const EXPECTED: &'static str = "a name of letters, digits and hyphens, such as `x-user`";
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(format!("{text:?} cannot be the name: write {}", Self::EXPECTED));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a query parameter, as it stands in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter(pub Box<str>);

impl Parameter {
    const EXPECTED: &'static str = "a name as it stands in the query, such as `user`";
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty()
            || text
                .bytes()
                .any(|b| !b.is_ascii_graphic() || b"&=#?".contains(&b))
        {
            return Err(format!("{text:?} cannot be the name: write {}", Self::EXPECTED));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names are text, even those that look like numbers.
macro_rules! name {
    ($type:ident) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}
name!(Token);
name!(Parameter);

/// How far above the average an instance may be loaded, such as `1.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadFactorText(pub LoadFactor);

impl LoadFactorText {
    const EXPECTED: &'static str = "a factor from 1.01 to 10, such as `1.25`";
}

impl FromStr for LoadFactorText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text
            .parse()
            .ok()
            .filter(|factor: &f64| (0.0..=100.0).contains(factor));
        factor
            .and_then(|factor| LoadFactor::from_percent((factor * 100.0).round() as u32))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not {}", Self::EXPECTED))
    }
}

impl fmt::Display for LoadFactorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.0.percent()) / 100.0).fmt(f)
    }
}

textual!(LoadFactorText, ["number", "string"], "minimum": 1.01, "maximum": 10, "x-expects": "1.01 to 10");

/// The size of a Maglev table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSizeText(pub TableSize);

impl TableSizeText {
    const EXPECTED: &'static str = "one of the sizes of a table, such as `65537`";
}

impl FromStr for TableSizeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(TableSize::new)
            .map(Self)
            .ok_or_else(|| {
                let sizes = TableSize::ALL.map(|size| size.to_string());
                format!(
                    "`{text}` is no size of a table\nwrite one of these primes: {}",
                    sizes.join(", ")
                )
            })
    }
}

impl fmt::Display for TableSizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

textual!(TableSizeText, ["integer", "string"], "enum": TableSize::ALL, "x-expects": "a prime from 1021 to 5000011");
