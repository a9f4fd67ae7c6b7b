//! The strategy table: one file and one row per strategy.
//!
//! A strategy chooses among candidates and never decides eligibility. The slow half ([`Strategy`],
//! implemented by the settings of the strategy) builds a [`Picker`] for a view; the picker is what the
//! hot path calls. [`StrategySettings`] holds the settings of whichever strategy a service has.

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::auto::Course;
use crate::hash::{HashKeys, HashSecret, RequestKey};
use crate::keyed::HashSettings;
use crate::view::{Candidates, Slot};
use crate::{Nanos, NoPick, PickContext, PickRequest};

mod adaptive;
mod adaptive_health_aware;
mod auto;
mod consistent_hash;
mod geographical;
mod health_aware_least_connections;
mod health_weighted_round_robin;
mod hot_cold;
mod least_connections;
mod least_response_time;
mod maglev;
mod orca_weighted;
mod peak_ewma;
mod power_of_two;
mod random;
mod rendezvous;
mod resource_aware;
mod round_robin;
mod weighted_random;
mod weighted_round_robin;

pub use adaptive::{Adaptive, Tuning};
pub use adaptive_health_aware::AdaptiveHealthAware;
pub use auto::Auto;
pub use consistent_hash::{ConsistentHash, RingKind};
pub use geographical::{Geographical, Level};
pub use health_aware_least_connections::HealthAwareLeastConnections;
pub use health_weighted_round_robin::HealthWeightedRoundRobin;
pub use maglev::{Maglev, TableSize};
pub use orca_weighted::OrcaWeighted;
pub use rendezvous::Rendezvous;
pub use resource_aware::ResourceAware;

/// Builds pickers. Slow path, in the writer of the service.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// A picker over `candidates`. `seed` decides where cursors start, so that frequent rebuilds do
    /// not favour the first instance.
    fn build(&self, candidates: &Candidates, seed: u64) -> Box<dyn Picker>;

    /// As [`Self::build`], after `before` of the same service: a strategy with a costly table takes over
    /// what did not change.
    fn rebuild(&self, before: &dyn Picker, candidates: &Candidates, seed: u64) -> Box<dyn Picker> {
        let _ = before;
        self.build(candidates, seed)
    }

    /// What of a request decides the pick, for a strategy that hashes; see [`PickRequest::key`].
    fn request_key(&self) -> Option<RequestKey> {
        None
    }

    /// Whether it can choose among so many `instances` with weights that add up to `weight`.
    ///
    /// # Errors
    /// Says why not, and what to do. Pickers built all the same do what they can.
    fn suits(&self, instances: u64, weight: u64) -> Result<(), String> {
        let _ = (instances, weight);
        Ok(())
    }

    /// How often pickers want [`Picker::refresh`]; `None` for never.
    fn refresh_every(&self) -> Option<Nanos> {
        None
    }
}

/// Picks from the candidates it was built with. Hot path: wait-free and without allocation.
pub trait Picker: Any + fmt::Debug + Send + Sync {
    /// Chooses a slot.
    ///
    /// # Errors
    /// [`NoPick::NoneEligible`] when there are no candidates.
    fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Slot, NoPick>;

    /// Looks at what the candidates do and how they are, to pick by it from now on. Slow path, in the writer:
    /// before a view with this picker is published, and then every [`Strategy::refresh_every`]. Workers pick
    /// meanwhile, so what is found is left in atomics, each of which must do beside the old ones.
    fn refresh(&self, now: Nanos) {
        let _ = now;
    }

    /// As [`Picker::refresh`], but by what is known already: takes in nothing that a picker before this one, or after it, knows
    /// too. For a picker that is asked and then forgotten.
    fn settle(&self, now: Nanos) {
        self.refresh(now);
    }

    /// Names to `each` the candidates that get few requests for now and may get many at any moment, those that are
    /// next first, with how many connections to keep open to each until then. Not for the hot path.
    fn standby(&self, each: &mut dyn FnMut(Slot, u32)) {
        let _ = each;
    }

    /// What steers it, for one that picks by another strategy at times. For the writer.
    #[doc(hidden)]
    fn course(&self) -> Option<&Arc<Course>> {
        None
    }

    /// Asks the strategies that it does not pick by about a request that goes to `chosen`. Now and then, beside a pick.
    #[doc(hidden)]
    fn look_beside(
        &self,
        candidates: &Candidates,
        chosen: Slot,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) {
        let _ = (candidates, chosen, request, cx);
    }

    /// What the candidate at `slot` costs now, for a strategy that takes the least cost. For explanations.
    fn appraise(&self, slot: Slot, now: Nanos) -> Option<Appraisal> {
        let _ = (slot, now);
        None
    }

    /// Whether it picks the instance in `slot` no more than to see whether it is back, because of how its last requests
    /// ended. Not for the hot path.
    fn leaves_alone(&self, slot: Slot) -> bool {
        let _ = slot;
        false
    }

    /// Names to `each` what was found out that picks depend on, for who audits them. Not for the hot path.
    fn learned(&self, each: &mut dyn FnMut(Learned<'_>)) {
        let _ = each;
    }

    /// Whether it makes a difference that a request comes from `region`, for a strategy that knows of regions: the
    /// service has an instance there.
    fn knows_region(&self, region: &str) -> bool {
        let _ = region;
        true
    }
}

/// What a picker found out.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Learned<'a> {
    /// How much a resource counts.
    ResourceWeight {
        /// `cpu`, `memory` or `connections`.
        resource: &'static str,
        /// In force.
        weight: f64,
        /// How far it follows the evidence: from 0, as configured, to 1.
        trust: f64,
        /// For requests that stay in this place alone, a region or what follows it, `eu/a`; each learns by its own.
        place: Option<&'a str>,
    },
    /// What an instance is expected to use in a moment.
    ResourceForecast {
        /// Which instance.
        slot: Slot,
        /// `cpu` or `memory`.
        resource: &'static str,
        /// As it would report it.
        value: f32,
    },
    /// How far away a region is.
    RegionTime {
        /// Its name.
        region: &'a str,
        /// The response time that is expected of it, in seconds.
        seconds: f64,
        /// By how much that may be wrong either way, at about two standard deviations.
        error: f64,
        /// Whether requests were answered there, so that nothing had to be inferred.
        measured: bool,
        /// Its place, 0 for the first.
        rank: usize,
    },
}

/// A candidate as its picker sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Appraisal {
    /// The least is chosen.
    pub cost: f64,
    /// How it comes about, in words and numbers.
    pub why: String,
}

macro_rules! strategies {
    ($($name:ident => $type:path, $summary:literal;)+) => {
        /// A row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types, reason = "the variants are the names users write")]
        #[non_exhaustive]
        pub enum StrategyName {
            $(#[doc = $summary] $name,)+
        }

        impl StrategyName {
            /// All rows, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name users write.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => $summary,)+ }
            }

            /// The strategy itself, with default settings.
            #[must_use]
            pub fn strategy(self) -> Box<dyn Strategy> {
                match self { $(Self::$name => Box::new(<$type>::default()),)+ }
            }
        }

        /// A strategy with its settings.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "the variants are the names users write")]
        #[non_exhaustive]
        pub enum StrategySettings {
            $(#[doc = $summary] $name($type),)+
        }

        impl StrategySettings {
            /// Its name.
            #[must_use]
            pub const fn name(&self) -> StrategyName {
                match self { $(Self::$name(_) => StrategyName::$name,)+ }
            }

            /// The strategy itself.
            #[must_use]
            pub fn strategy(&self) -> &dyn Strategy {
                match self { $(Self::$name(settings) => settings,)+ }
            }
        }

        /// Default settings.
        impl From<StrategyName> for StrategySettings {
            fn from(name: StrategyName) -> Self {
                match name { $(StrategyName::$name => Self::$name(Default::default()),)+ }
            }
        }
    };
}

strategies! {
    round_robin => round_robin::RoundRobin, "each candidate in turn, whatever its weight";
    weighted_round_robin => weighted_round_robin::WeightedRoundRobin, "each candidate in turn, as often as its weight, exactly and without bursts";
    random => random::Random, "a candidate at random, whatever its weight";
    weighted_random => weighted_random::WeightedRandom, "a candidate at random, as likely as its weight";
    least_connections => least_connections::LeastConnections, "the candidate with the fewest requests in flight per weight";
    power_of_two => power_of_two::PowerOfTwo, "two candidates drawn by weight, or more while some are slow or fail, the one with the fewest requests in flight per weight";
    peak_ewma => peak_ewma::PeakEwma, "two candidates drawn by weight, the one with the lower peak response time per request in flight and weight";
    hot_cold => hot_cold::HotCold, "of a pool of candidates those that are not among the most loaded, and of these the one with the shortest expected time";
    orca_weighted => orca_weighted::OrcaWeighted, "each candidate nearly in turn, as often as it can bear by the load that it reports";
    least_response_time => least_response_time::LeastResponseTime, "the candidate with the shortest expected time to a successful response";
    adaptive => adaptive::Adaptive, "the candidate with the least work before it per weight, where slow, failing and silent ones count for more";
    consistent_hash => consistent_hash::ConsistentHash, "the owner of the request's key on a ring of virtual nodes, as many as its weight";
    maglev => maglev::Maglev, "the owner of the request's key in a table that is filled in turns, by weight";
    rendezvous => rendezvous::Rendezvous, "the first candidate in an order that the request's key decides, by weight";
    health_weighted_round_robin => health_weighted_round_robin::HealthWeightedRoundRobin, "each candidate in turn, as often as its weight times its health";
    health_aware_least_connections => health_aware_least_connections::HealthAwareLeastConnections, "the candidate with the fewest requests in flight per weight and health";
    adaptive_health_aware => adaptive_health_aware::AdaptiveHealthAware, "a few candidates drawn, the one that is healthiest for its load by score, trend, failures and recovery";
    resource_aware => resource_aware::ResourceAware, "a few candidates drawn, the one with the least to do for its processors and memory in use and its health";
    geographical => geographical::Geographical, "the candidates that are near first, others before those are full, in the order of latency";
    auto => auto::Auto, "as one of several strategies does, and as another when that has made the better choices for a while";
}

impl StrategySettings {
    /// The same, hashed under `keys` where it hashes under a secret.
    #[must_use]
    pub fn keyed_by(mut self, keys: HashKeys) -> Self {
        if let Some(hash) = self.hash_mut() {
            (hash.secret, hash.rotation) = (keys.secret, keys.rotation);
        }
        self
    }

    /// The same for the service of this name: under `keys`, else under its own secret, else under the key that the
    /// name alone makes. Every picker of a service is made of what this returns, so that all balancers agree.
    pub(crate) fn of_service(mut self, name: &str, keys: Option<HashKeys>) -> Self {
        let bare = self
            .hash_mut()
            .filter(|hash| hash.secret == HashSecret::default());
        let of_name = bare.map(|hash| HashKeys {
            secret: HashSecret::new(None, name),
            rotation: hash.rotation,
        });
        match keys.or(of_name) {
            Some(keys) => self.keyed_by(keys),
            None => self,
        }
    }

    /// How it hashes, or the strategy within it.
    fn hash_mut(&mut self) -> Option<&mut HashSettings> {
        match self {
            Self::consistent_hash(settings) => Some(&mut settings.hash),
            Self::maglev(settings) => Some(&mut settings.hash),
            Self::rendezvous(settings) => Some(&mut settings.hash),
            Self::geographical(settings) => settings.within.hash_mut(),
            _ => None,
        }
    }
}

impl StrategyName {
    /// The strategy of a service that names none.
    pub const DEFAULT: Self = Self::adaptive;
}

impl Default for StrategyName {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Default for StrategySettings {
    fn default() -> Self {
        StrategyName::DEFAULT.into()
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown strategy {0:?}")]
pub struct UnknownStrategy(pub String);

impl FromStr for StrategyName {
    type Err = UnknownStrategy;
    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL
            .iter()
            .copied()
            .find(|row| row.as_str() == name)
            .ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}
