//! A strategy that is asked beside the one that picks, as written, which `off` keeps away where `defaults` has one.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::strategy::StrategyText;

/// A strategy as `strategy` is written, or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShadowText {
    /// None, whatever `defaults` has.
    Off,
    /// This one.
    On(Box<StrategyText>),
}

/// How none is written.
const OFF: &str = "off";

impl ShadowText {
    /// The strategy, unless it is off.
    #[must_use]
    pub fn strategy(&self) -> Option<&StrategyText> {
        match self {
            Self::Off => None,
            Self::On(strategy) => Some(strategy),
        }
    }

    /// The same, by value.
    pub(crate) fn into_strategy(self) -> Option<StrategyText> {
        match self {
            Self::Off => None,
            Self::On(strategy) => Some(*strategy),
        }
    }
}

impl From<StrategyText> for ShadowText {
    fn from(strategy: StrategyText) -> Self {
        Self::On(Box::new(strategy))
    }
}

impl<'de> Deserialize<'de> for ShadowText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OffOrStrategy;
        impl<'de> de::Visitor<'de> for OffOrStrategy {
            type Value = ShadowText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off`, the name of a strategy, or `{ name: NAME }` with settings")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ShadowText, E> {
                if text == OFF {
                    return Ok(ShadowText::Off);
                }
                let strategy = StrategyText::deserialize(de::value::StrDeserializer::new(text));
                let strategy =
                    strategy.map_err(|error: E| E::custom(format!("{error}; `off` is for none")))?;
                Ok(ShadowText::from(strategy))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ShadowText, A::Error> {
                StrategyText::deserialize(de::value::MapAccessDeserializer::new(map)).map(ShadowText::from)
            }
        }
        deserializer.deserialize_any(OffOrStrategy)
    }
}

impl Serialize for ShadowText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str(OFF),
            Self::On(strategy) => strategy.serialize(serializer),
        }
    }
}

impl JsonSchema for ShadowText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ShadowText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let strategy = StrategyText::json_schema(generator);
        let mut ways = strategy
            .get("oneOf")
            .and_then(|ways| ways.as_array().cloned())
            .unwrap_or_default();
        ways.push(json_schema!({ "type": "string", "const": OFF }).into());
        json_schema!({ "oneOf": ways })
    }
}
