//! The strategy of a service in the file: a name, or a mapping with the name and settings.

use std::borrow::Cow;
use std::fmt;

use evenkeel_core::StrategyName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::names::did_you_mean;

/// A strategy by name: `power_of_two`, or `{ name: power_of_two }`.
///
/// No strategy has settings yet, so the mapping accepts `name` alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StrategyText(pub StrategyName);

impl std::str::FromStr for StrategyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let known: Vec<&str> = StrategyName::ALL.iter().map(|row| row.as_str()).collect();
            format!("there is no strategy `{text}`{}", did_you_mean(text, &known))
        })
    }
}

/// The mapping form.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WithSettings {
    name: StrategyText,
}

impl<'de> Deserialize<'de> for StrategyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrMapping;
        impl<'de> de::Visitor<'de> for NameOrMapping {
            type Value = StrategyText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a strategy, or `{ name: NAME }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StrategyText, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<StrategyText, A::Error> {
                WithSettings::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(|mapping| mapping.name)
            }
        }
        deserializer.deserialize_any(NameOrMapping)
    }
}

impl Serialize for StrategyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl JsonSchema for StrategyText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Strategy".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = StrategyName::ALL.iter().map(|row| row.as_str()).collect();
        json_schema!({
            "x-expects": "strategy",
            "oneOf": [
                { "type": "string", "enum": names },
                {
                    "type": "object",
                    "properties": { "name": { "type": "string", "enum": names } },
                    "required": ["name"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl From<StrategyText> for StrategyName {
    fn from(text: StrategyText) -> Self {
        text.0
    }
}
