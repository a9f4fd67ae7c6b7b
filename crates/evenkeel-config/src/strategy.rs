//! The strategy of a service in the file: a name, or a mapping with the name and settings.
//!
//! A setting is declared once, with the strategies that have it, so that a word means the same wherever it
//! stands. That the named strategy has the settings given is one of the checks across fields, as the name may
//! stand behind them.

use std::borrow::Cow;
use std::fmt;

use evenkeel_core::strategy::{ConsistentHash, Maglev, Rendezvous, RingKind, TableSize};
use evenkeel_core::{HashSecret, HashSettings, StrategyName, StrategySettings};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::keys::{Key, LoadFactorText, TableSizeText};
use crate::names::did_you_mean;
use crate::whole::Whole;

/// Declares the mapping: each setting with the strategies that have it.
macro_rules! settings {
    ($( $(#[doc = $doc:expr])* $key:ident: $ty:ty, of $($strategy:ident)+; )+) => {
        /// A strategy with its settings. Which settings there are depends on the strategy.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct StrategyFile {
            /// Which strategy; `evenkeel strategies` lists them.
            pub name: NameText,
            $(
                $(#[doc = $doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $key: Option<$ty>,
            )+
        }

        impl StrategyFile {
            /// All settings, and which strategies have them.
            const SETTINGS: &[(&str, &[StrategyName])] =
                &[$((stringify!($key), &[$(StrategyName::$strategy),+])),+];

            /// The settings that are given.
            fn given(&self) -> impl Iterator<Item = &'static str> {
                [$(self.$key.is_some().then_some(stringify!($key))),+].into_iter().flatten()
            }
        }
    };
}

settings! {
    /// What of a request decides its instance: `source_address` (the default), `path`, `{ header: NAME }`,
    /// `{ cookie: NAME }` or `{ query: NAME }`. A request without it, or with nothing in it, is decided by its
    /// source address, and counted.
    key: Key, of consistent_hash maglev rendezvous;
    /// An instance gets at most this many times its share of the requests in flight, by weight; what is above goes
    /// to the others, spread over all. No limit unless given.
    bounded_load: LoadFactorText, of consistent_hash maglev rendezvous;
    /// Points on the ring per unit of weight. Default 160. Not with `compatibility`.
    virtual_nodes: Whole<1, 4096>, of consistent_hash;
    /// Places in the table: a prime, best a hundred times the number of instances. Default 65537.
    table_size: TableSizeText, of maglev;
    /// Choose the same instances as another proxy: `envoy` (RING_HASH and MAGLEV), or `ketama` (nginx, for
    /// `consistent_hash`). These hashes are public, so that clients can aim at an instance.
    compatibility: Compatibility, of consistent_hash maglev;
    /// File with a secret of at least 16 bytes that keys the hash, so that nobody can aim at an instance. The same in
    /// all proxies of a service. Without it the service's name alone decides. Not with `compatibility`.
    hash_secret_file: String, of consistent_hash maglev rendezvous;
}

/// Whose choices to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Envoy's RING_HASH and MAGLEV with XXH64.
    Envoy,
    /// nginx's `hash … consistent`.
    Ketama,
}

impl StrategyFile {
    /// The strategy called `name`, with its defaults.
    #[must_use]
    pub fn named(name: StrategyName) -> Self {
        Self {
            name: NameText(name),
            ..Self::default()
        }
        .resolved()
    }

    /// With the default of every setting that this strategy has and that has one.
    pub(crate) fn resolved(mut self) -> Self {
        let has = |key: &str| Self::settings_of(self.name.0).any(|setting| setting == key);
        let (key, nodes, size) = (has("key"), has("virtual_nodes"), has("table_size"));
        if key {
            self.key.get_or_insert_default();
        }
        if nodes && self.compatibility.is_none() {
            self.virtual_nodes.get_or_insert(Whole::clamped(160));
        }
        if size {
            self.table_size.get_or_insert_default();
        }
        self
    }

    fn settings_of(name: StrategyName) -> impl Iterator<Item = &'static str> {
        let settings = Self::SETTINGS.iter();
        settings.filter_map(move |(key, of)| of.contains(&name).then_some(*key))
    }

    /// Settings that do not fit the strategy or each other, with what to do.
    pub(crate) fn misplaced(&self) -> Vec<(&'static str, String)> {
        let name = self.name.0;
        let has: Vec<&str> = Self::settings_of(name).collect();
        let mut wrong: Vec<(&'static str, String)> = self
            .given()
            .filter(|key| !has.contains(key))
            .map(|key| {
                let others: Vec<String> = Self::SETTINGS
                    .iter()
                    .filter(|(setting, _)| *setting == key)
                    .flat_map(|(_, of)| of.iter().map(|name| format!("`{name}`")))
                    .collect();
                let remedy = match has.as_slice() {
                    [] => "it has no settings".to_owned(),
                    has => format!("it has {}", has.join(", ")),
                };
                let others = others.join(", ");
                (
                    key,
                    format!("`{name}` has no setting `{key}`\n{remedy}; `{key}` is of {others}"),
                )
            })
            .collect();
        if name == StrategyName::maglev && self.compatibility == Some(Compatibility::Ketama) {
            let text = "ketama is a ring, and `maglev` has none\nwrite `name: consistent_hash`, or `compatibility: envoy`";
            wrong.push(("compatibility", text.to_owned()));
        }
        if self.compatibility.is_some() && has.contains(&"compatibility") {
            for (key, given) in [
                (
                    "virtual_nodes",
                    self.virtual_nodes.is_some() && has.contains(&"virtual_nodes"),
                ),
                ("hash_secret_file", self.hash_secret_file.is_some()),
            ] {
                if given {
                    let text = format!("`compatibility` leaves no choice for `{key}`\nremove one of the two");
                    wrong.push((key, text));
                }
            }
        }
        if self.hash_secret_file.as_deref() == Some("") {
            wrong.push((
                "hash_secret_file",
                "this names no file\nwrite its path, or remove the key".to_owned(),
            ));
        }
        wrong
    }

    /// For the core. `secret` is what `hash_secret_file` holds.
    #[must_use]
    pub fn settings(&self, service: &str, secret: Option<&[u8]>) -> StrategySettings {
        let hash = HashSettings {
            key: self.key.clone().unwrap_or_default().into(),
            secret: HashSecret::new(secret, service),
            bounded_load: self.bounded_load.map(|factor| factor.0),
        };
        match self.name.0 {
            StrategyName::consistent_hash => StrategySettings::consistent_hash(ConsistentHash {
                hash,
                ring: match self.compatibility {
                    Some(Compatibility::Envoy) => RingKind::Envoy,
                    Some(Compatibility::Ketama) => RingKind::Ketama,
                    None => RingKind::Keyed {
                        virtual_nodes: self.virtual_nodes.map_or(160, Into::into),
                    },
                },
            }),
            StrategyName::maglev => StrategySettings::maglev(Maglev {
                hash,
                table_size: self.table_size.map_or_else(TableSize::default, |size| size.0),
                envoy: self.compatibility.is_some(),
            }),
            StrategyName::rendezvous => StrategySettings::rendezvous(Rendezvous { hash }),
            plain => plain.into(),
        }
    }
}

/// The name of a strategy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NameText(pub StrategyName);

impl std::str::FromStr for NameText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let known: Vec<&str> = StrategyName::ALL.iter().map(|row| row.as_str()).collect();
            format!("there is no strategy `{text}`{}", did_you_mean(text, &known))
        })
    }
}

impl fmt::Display for NameText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl NameText {
    const EXPECTED: &'static str = "the name of a strategy";

    fn names() -> Vec<&'static str> {
        StrategyName::ALL.iter().map(|row| row.as_str()).collect()
    }
}

crate::text::textual!(NameText, "string", "enum": Self::names(), "x-expects": "name of a strategy");

/// A strategy by name, `power_of_two`, or with settings, `{ name: maglev, key: path }`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StrategyText(pub StrategyFile);

impl<'de> Deserialize<'de> for StrategyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrMapping;
        impl<'de> de::Visitor<'de> for NameOrMapping {
            type Value = StrategyText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a strategy, or `{ name: NAME }` with settings")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StrategyText, E> {
                let name = text.parse().map_err(E::custom)?;
                Ok(StrategyText(StrategyFile {
                    name,
                    ..StrategyFile::default()
                }))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<StrategyText, A::Error> {
                StrategyFile::deserialize(de::value::MapAccessDeserializer::new(map)).map(StrategyText)
            }
        }
        deserializer.deserialize_any(NameOrMapping)
    }
}

impl Serialize for StrategyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.given().next() {
            None => self.0.name.serialize(serializer),
            Some(_) => self.0.serialize(serializer),
        }
    }
}

impl JsonSchema for StrategyText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StrategyText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<NameText>();
        let mapping = generator.subschema_for::<StrategyFile>();
        json_schema!({ "oneOf": [name, mapping] })
    }
}
