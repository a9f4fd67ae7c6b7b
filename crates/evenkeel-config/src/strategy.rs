//! The strategy of a service in the file: a name, or a mapping with the name and settings.
//!
//! A setting is declared once, with the strategies that have it, so that a word means the same wherever it
//! stands. That the named strategy has the settings given is one of the checks across fields, as the name may
//! stand behind them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use evenkeel_core::math::Factor;
use evenkeel_core::strategy::{
    AdaptiveHealthAware, Auto, ConsistentHash, Geographical, HealthAwareLeastConnections,
    HealthWeightedRoundRobin, Maglev, OrcaWeighted, Rendezvous, ResourceAware, RingKind, TableSize,
};
use evenkeel_core::{
    HashKeys, HashSecret, HashSettings, HealthFactor, Nanos, REPORT_EXPIRY, StrategyName, StrategySettings,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::decimal::Decimal;
use crate::hashing::{RegionsText, SECRET_ROTATION};
use crate::keys::{Key, LoadFactorText, TableSizeText};
use crate::levels::{LevelText, place};
use crate::names::did_you_mean;
use crate::text::DurationText;
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
    /// Whether keys stay in regions: `ignore`; `spread`, every key has a home region, the same for all balancers; or
    /// `nearest`, the region that `from` names comes first. A region that is lost hands its keys to all others, by weight.
    /// Default `nearest` with `from`, else `ignore`. Not with `compatibility`.
    regions: RegionsText, of consistent_hash maglev rendezvous;
    /// Points on the ring per unit of weight. Default 160. Not with `compatibility`.
    virtual_nodes: Whole<1, 4096>, of consistent_hash;
    /// Places in the table: a prime, best a hundred times the number of instances. Default 65537.
    table_size: TableSizeText, of maglev;
    /// Choose the same instances as another proxy: `envoy` (RING_HASH and MAGLEV), or `ketama` (nginx, for
    /// `consistent_hash`). These hashes are public, so that clients can aim at an instance.
    compatibility: Compatibility, of consistent_hash maglev;
    /// File with a secret of at least 16 bytes that keys the hash, so that nobody can aim at an instance. The same in
    /// all proxies of a service. Without it the service's name alone decides. To replace a secret, write the new one in
    /// the first line and the former in the second. Not with `compatibility`.
    hash_secret_file: String, of consistent_hash maglev rendezvous;
    /// How long keys take to move from the secret of the second line to that of the first, evenly, from when the file
    /// was written. Default 10m.
    hash_secret_rotation: DurationText, of consistent_hash maglev rendezvous;
    /// A health score below this counts as this, so that a candidate of score 0 is still tried now and then. Default
    /// 0.1.
    min_health: Decimal<10, 1000>, of health_weighted_round_robin health_aware_least_connections adaptive_health_aware resource_aware;
    /// Power to which the health score is raised: 2 or more avoids what is half sick more than the score says. Default
    /// 1.
    health_exponent: Whole<1, 8>, of health_weighted_round_robin health_aware_least_connections adaptive_health_aware;
    /// By how much a falling health score lowers the traffic beyond the score itself; 0 switches it off. Default 0.5.
    trend_weight: Decimal<0, 1000>, of adaptive_health_aware;
    /// By how much a rising health score raises the traffic of an instance with little to do; 0 switches it off.
    /// Default 0.25.
    recovery_preference: Decimal<0, 1000>, of adaptive_health_aware;
    /// Weight of the processors in use, in the score of an instance. Default 0.4.
    cpu_weight: Decimal<0, 1_000_000>, of resource_aware;
    /// Weight of the memory in use. Default 0.3.
    memory_weight: Decimal<0, 1_000_000>, of resource_aware;
    /// Weight of the requests in flight. Default 0.3.
    connections_weight: Decimal<0, 1_000_000>, of resource_aware;
    /// Requests in flight that count as much as processors that are all in use. Default 100.
    connections_scale: Whole<1, 1_000_000>, of resource_aware;
    /// Whether the three weights follow what the reports of all instances say about response times; where they say nothing,
    /// the weights stay as configured. Each stays between a tenth and seven tenths of their sum. Default `true`.
    learn: bool, of resource_aware;
    /// Whether processors and memory count as what the latest reports lead to in a moment. Default `true`.
    predict: bool, of resource_aware;
    /// The strategy that chooses among instances that are equally near: a name, or a mapping with settings. With one that
    /// hashes, the key also decides who spills over. The default strategy unless given.
    within: Box<StrategyText>, of geographical;
    /// What makes instances near, from the widest to the finest: `region`, `zone`, or a key of their `metadata`.
    /// Default `[region, zone]`.
    levels: Vec<LevelText>, of geographical;
    /// Where this balancer is, by the first of `levels`: `{ region: eu-west, zone: a }`; for strategies that hash the
    /// region alone. Without it no instance is nearer than another.
    from: BTreeMap<String, String>, of geographical consistent_hash maglev rendezvous;
    /// Part of its capacity that a region or zone takes before others help. Default 0.8.
    spill_at: Decimal<10, 990>, of geographical;
    /// Requests in flight that fill an instance, per unit of its weight. Without it regions are full by what their
    /// instances report, or when their response times have grown fourfold and others answer sooner.
    capacity_per_weight: Whole<1, 1_000_000>, of geographical;
    /// Whether other regions get one request every 30 s (10 s until the first is answered), so that their latency is
    /// known and a connection warm before they are needed. Default `true`.
    probe: bool, of geographical;
    /// Connections that each worker keeps open to each instance of the next two regions or zones (64 instances at
    /// most), so that requests which go there when the nearest is lost need not wait for one. 0 switches that off.
    /// Default 1.
    warm_connections: Whole<0, 100>, of geographical;
    /// How long an instance must have reported its load before that counts. Default 10s.
    blackout_period: DurationText, of orca_weighted;
    /// A report is worth nothing after this long, at most 180s. Default 180s.
    weight_expiration_period: DurationText, of orca_weighted;
    /// How often weights follow the reports, at least 100ms. Default 1s.
    weight_update_period: DurationText, of orca_weighted;
    /// How much utilization it counts as when every request fails. Default 1.
    error_utilization_penalty: Decimal<0, 1_000_000>, of orca_weighted;
    /// The strategies to choose among, each a name, or a mapping with settings; none that hashes. The first is in force at the
    /// start. Default `[adaptive, least_connections, peak_ewma, round_robin]`.
    candidates: Vec<StrategyText>, of auto;
    /// The one of `candidates` that is in force whatever the comparisons say. None unless given.
    pin: NameText, of auto;
    /// How long a comparison takes at least, 10s to 10m. Default 10s.
    window: DurationText, of auto;
    /// How long one of `candidates` is in force at least, 30s to 1d; two changes are a minute apart in any case. Default 30s.
    dwell: DurationText, of auto;
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

/// The least time between two renewals of weights, gRPC's.
const LEAST_UPDATE: Duration = Duration::from_millis(100);

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
        let name = self.name.0;
        let has = |key: &str| Self::settings_of(name).any(|setting| setting == key);
        if has("key") {
            self.key.get_or_insert_default();
        }
        if has("key") && self.compatibility.is_none() {
            self.regions.get_or_insert(self.default_regions());
        }
        if self.hash_secret_file.is_some() && has("hash_secret_file") {
            self.hash_secret_rotation
                .get_or_insert(DurationText(SECRET_ROTATION));
        }
        if has("virtual_nodes") && self.compatibility.is_none() {
            self.virtual_nodes.get_or_insert(Whole::clamped(160));
        }
        if has("table_size") {
            self.table_size.get_or_insert_default();
        }
        // Health and resources, in thousandths.
        if has("min_health") {
            self.min_health.get_or_insert(Decimal::thousandths(100));
        }
        if has("health_exponent") {
            self.health_exponent.get_or_insert(Whole::clamped(1));
        }
        if has("trend_weight") {
            self.trend_weight.get_or_insert(Decimal::thousandths(500));
            self.recovery_preference.get_or_insert(Decimal::thousandths(250));
        }
        if has("within") {
            let within = self.within.take().unwrap_or_default();
            self.within = Some(Box::new(StrategyText(within.0.resolved())));
            self.levels.get_or_insert_with(LevelText::default_levels);
            self.spill_at.get_or_insert(Decimal::thousandths(800));
            self.probe.get_or_insert(true);
            self.warm_connections.get_or_insert(Whole::clamped(1));
        }
        if has("candidates") {
            let default = Auto::default();
            let named = || {
                default
                    .candidates
                    .iter()
                    .map(|one| StrategyFile::named(one.name()))
            };
            let candidates = self.candidates.take();
            let candidates = candidates.unwrap_or_else(|| named().map(StrategyText).collect());
            let resolved = candidates.into_iter().map(|one| StrategyText(one.0.resolved()));
            self.candidates = Some(resolved.collect());
            let text = |nanos: Nanos| DurationText::from(nanos.as_duration());
            self.window.get_or_insert(text(default.window));
            self.dwell.get_or_insert(text(default.dwell));
        }
        if has("blackout_period") {
            let default = OrcaWeighted::default();
            let text = |nanos: Nanos| DurationText::from(nanos.as_duration());
            self.blackout_period.get_or_insert(text(default.blackout));
            self.weight_expiration_period
                .get_or_insert(text(default.expiration));
            self.weight_update_period.get_or_insert(text(default.update));
            self.error_utilization_penalty
                .get_or_insert(Decimal::thousandths(1000));
        }
        if has("cpu_weight") {
            self.cpu_weight.get_or_insert(Decimal::thousandths(400));
            self.memory_weight.get_or_insert(Decimal::thousandths(300));
            self.connections_weight.get_or_insert(Decimal::thousandths(300));
            self.connections_scale.get_or_insert(Whole::clamped(100));
        }
        self
    }

    /// The one whose settings say how keys are hashed: this, or the one within it.
    #[must_use]
    pub fn hashing(&self) -> &Self {
        self.within.as_ref().map_or(self, |within| within.0.hashing())
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
        let weights = [self.cpu_weight, self.memory_weight, self.connections_weight];
        if name == StrategyName::resource_aware
            && weights
                .iter()
                .all(|weight| weight.is_some_and(|weight| weight.get() == 0.0))
        {
            let text = "with all three weights at 0 nothing decides but health\ngive one of them, or write `name: health_weighted_round_robin`";
            wrong.push(("connections_weight", text.to_owned()));
        }
        if name == StrategyName::orca_weighted {
            if self
                .weight_update_period
                .is_some_and(|period| period.0 < LEAST_UPDATE)
            {
                let text =
                    "weights that follow reports so closely cost more than they gain\nwrite `100ms` or more";
                wrong.push(("weight_update_period", text.to_owned()));
            }
            let most = REPORT_EXPIRY.as_duration();
            if self
                .weight_expiration_period
                .is_some_and(|period| period.0 > most)
            {
                let text = "reports are worth nothing after `180s` for any strategy\nwrite that or less";
                wrong.push(("weight_expiration_period", text.to_owned()));
            }
        }
        if name == StrategyName::geographical {
            let levels = self.levels.clone().unwrap_or_else(LevelText::default_levels);
            wrong.extend(crate::levels::misplaced(&levels, self.from.as_ref()));
            let within = self.within.as_deref();
            if within.is_some_and(|within| within.0.name.0 == StrategyName::auto) {
                let text =
                    "`auto` looks at a service as a whole\nname one of its candidates, or remove the key";
                wrong.push(("within", text.to_owned()));
            } else if within.is_some_and(|within| within.0.name.0 == StrategyName::geographical) {
                let text =
                    "`geographical` cannot choose within itself\nname another strategy, or remove the key";
                wrong.push(("within", text.to_owned()));
            } else if let Some(within) = within {
                let nested = within.0.misplaced().into_iter();
                wrong.extend(nested.map(|(key, text)| ("within", format!("`{key}`: {text}"))));
            }
        }
        if name == StrategyName::auto {
            wrong.extend(self.misplaced_of_auto());
        }
        if name == StrategyName::maglev && self.compatibility == Some(Compatibility::Ketama) {
            let text = "ketama is a ring, and `maglev` has none\nwrite `name: consistent_hash`, or `compatibility: envoy`";
            wrong.push(("compatibility", text.to_owned()));
        }
        if has.contains(&"key") {
            wrong.extend(self.misplaced_of_hashing(&has));
        }
        wrong
    }

    /// Settings of `auto` that do not fit each other, with what to do.
    fn misplaced_of_auto(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        for candidate in self.candidates.iter().flatten() {
            let nested = candidate.0.misplaced().into_iter();
            wrong.extend(nested.map(|(key, text)| ("candidates", format!("`{key}`: {text}"))));
        }
        if let StrategySettings::auto(auto) = self.settings("", None)
            && wrong.is_empty()
            && let Err((key, text)) = auto.check()
        {
            wrong.push((key, text));
        }
        wrong
    }

    /// For the core. `keys` are made of what `hash_secret_file` holds.
    #[must_use]
    pub fn settings(&self, service: &str, keys: Option<HashKeys>) -> StrategySettings {
        let keys = keys.unwrap_or_else(|| HashKeys {
            secret: HashSecret::new(None, service),
            rotation: None,
        });
        let hash = HashSettings {
            key: self.key.clone().unwrap_or_default().into(),
            secret: keys.secret,
            rotation: keys.rotation,
            bounded_load: self.bounded_load.map(|factor| factor.0),
            regions: self.key_regions(),
        };
        let min_health = self.min_health.map_or(0.1, Decimal::get);
        let health = HealthFactor::new(min_health, self.health_exponent.map_or(1, Into::into));
        match self.name.0 {
            StrategyName::health_weighted_round_robin => {
                StrategySettings::health_weighted_round_robin(HealthWeightedRoundRobin { health })
            }
            StrategyName::health_aware_least_connections => {
                StrategySettings::health_aware_least_connections(HealthAwareLeastConnections { health })
            }
            StrategyName::adaptive_health_aware => {
                let default = AdaptiveHealthAware::default();
                StrategySettings::adaptive_health_aware(AdaptiveHealthAware {
                    health,
                    trend_weight: factor(self.trend_weight, default.trend_weight),
                    recovery_preference: factor(self.recovery_preference, default.recovery_preference),
                })
            }
            StrategyName::resource_aware => {
                let default = ResourceAware::default();
                StrategySettings::resource_aware(ResourceAware {
                    health,
                    cpu_weight: factor(self.cpu_weight, default.cpu_weight),
                    memory_weight: factor(self.memory_weight, default.memory_weight),
                    connections_weight: factor(self.connections_weight, default.connections_weight),
                    connections_scale: self
                        .connections_scale
                        .map_or(default.connections_scale, Into::into),
                    learn: self.learn.unwrap_or(default.learn),
                    predict: self.predict.unwrap_or(default.predict),
                })
            }
            StrategyName::orca_weighted => {
                let default = OrcaWeighted::default();
                let nanos = |text: Option<DurationText>, default| text.map_or(default, |text| text.0.into());
                StrategySettings::orca_weighted(OrcaWeighted {
                    blackout: nanos(self.blackout_period, default.blackout),
                    expiration: nanos(self.weight_expiration_period, default.expiration),
                    update: nanos(self.weight_update_period, default.update),
                    error_penalty: factor(self.error_utilization_penalty, default.error_penalty),
                })
            }
            StrategyName::geographical => {
                let default = Geographical::default();
                let levels = self.levels.clone().unwrap_or_else(LevelText::default_levels);
                StrategySettings::geographical(Geographical {
                    within: match &self.within {
                        Some(within) => Box::new(within.0.settings(service, Some(keys))),
                        None => default.within,
                    },
                    from: place(&levels, self.from.as_ref()),
                    levels: levels.into_iter().map(|level| level.0).collect(),
                    spill_at: factor(self.spill_at, default.spill_at),
                    capacity_per_weight: self.capacity_per_weight.map(Into::into),
                    probe: self.probe.unwrap_or(default.probe),
                    warm_connections: self.warm_connections.map_or(default.warm_connections, Into::into),
                })
            }
            StrategyName::auto => {
                let default = Auto::default();
                let nanos = |text: Option<DurationText>, default| text.map_or(default, |text| text.0.into());
                let candidates = self.candidates.as_ref();
                StrategySettings::auto(Auto {
                    candidates: candidates.map_or(default.candidates, |candidates| {
                        let settings = |one: &StrategyText| one.0.settings(service, Some(keys));
                        candidates.iter().map(settings).collect()
                    }),
                    pin: self.pin.map(|pin| pin.0),
                    window: nanos(self.window, default.window),
                    dwell: nanos(self.dwell, default.dwell),
                })
            }
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

fn factor<const MIN: u64, const MAX: u64>(number: Option<Decimal<MIN, MAX>>, default: Factor) -> Factor {
    number.map_or(default, |number| Factor::clamped(number.get()))
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
