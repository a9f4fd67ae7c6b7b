//! The file of a scenario: a fleet, its clients, what goes wrong and when. `evenkeel sim` runs it.
//!
//! Read by the reader of the configuration file: unknown keys are errors, all errors are told together, each with its
//! place and a remedy. What the keys do is no matter of this module.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Service;
use crate::error::{ConfigError, Invalid};
use crate::file::{DefaultsFile, ServiceFile};
use crate::read;
use crate::text::Ratio;
use crate::tolerated;
use crate::whole::Whole;

mod check;
mod effect;
mod foreign;
mod servers;
mod values;
mod work;

pub use servers::{
    CacheFile, ColdStartFile, DrawnFile, FaultFile, FaultKindFile, MachineFile, ReportsFile, ServersFile,
    SquareFile, TenantsFile,
};
pub use values::{Amount, ServerSet, Span};
pub use work::{MixtureFile, NormalFile, ParetoFile, UniformFile, WorkFile};

/// A scenario as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// What happens, in a sentence or two.
    pub about: String,
    /// When arrivals end.
    pub duration: Span,
    /// What arrives before is not counted.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub warm_up: Option<Span>,
    /// How many requests come, and when.
    pub arrivals: ArrivalsFile,
    /// Who sends them.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub clients: Option<ClientsFile>,
    /// What a request costs a server.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub work: Option<WorkFile>,
    /// What lies between clients and servers.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub network: Option<NetworkFile>,
    /// Groups of servers, at least one.
    #[serde(default, deserialize_with = "tolerated::list")]
    pub servers: Vec<ServersFile>,
    /// What goes wrong.
    #[serde(default, deserialize_with = "tolerated::list")]
    pub faults: Vec<FaultFile>,
    /// Settings of the balanced service, as in a configuration.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub service: Option<DefaultsFile>,
}

/// One of these.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrivalsFile {
    /// Requests per second, at random times (Poisson), whatever becomes of them.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub rate: Option<Amount>,
    /// The same as a part of what all servers together can do when the run begins.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub load: Option<Amount>,
    /// Loads, one after the other, for equal parts of the time after the warm-up.
    #[serde(default, deserialize_with = "tolerated::optional_list")]
    pub steps: Option<Vec<Amount>>,
    /// Clients that each send a request when they have the answer to the last.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub concurrency: Option<Whole<1, 1_000_000>>,
}

/// Who sends requests.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientsFile {
    /// Balancers that know nothing of each other; arrivals are spread over them at random. 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub count: Option<Whole<1, 1000>>,
    /// How long a client waits for an answer to one attempt. 5 s unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub deadline: Option<Span>,
    /// Further attempts after one that failed. As in `service` (`retry`) unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub retries: Option<Whole<0, 20>>,
    /// Part of requests that may be retries; `none` for no limit. As in `service` unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub retry_budget: Option<BudgetText>,
    /// Parts of the clients by region; together 1.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub regions: Option<BTreeMap<String, Ratio>>,
    /// What requests ask for, where that decides anything.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub keys: Option<KeysFile>,
}

/// A limit of retries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BudgetText {
    /// As many as there are failures.
    Unlimited,
    /// This part of requests.
    Part(f64),
}

/// What requests ask for: keys of unlike popularity.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysFile {
    /// How many there are.
    pub count: Whole<1, 100_000_000>,
    /// Key k is asked for as often as 1/k to this power; 0, all alike, unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub zipf: Option<Amount>,
    /// A key that everybody asks for, for a while.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub hot: Option<HotKeyFile>,
}

/// A key that everybody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotKeyFile {
    /// Part of all requests.
    pub share: Ratio,
    /// From when.
    pub from: Span,
    /// Until when.
    pub until: Span,
}

/// What lies between clients and servers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// There and back. 500 µs unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub round_trip: Option<Span>,
    /// It varies by this part, evenly. 0.2 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub jitter: Option<Ratio>,
    /// Part of requests that get lost on the way.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub loss: Option<Ratio>,
    /// Between regions.
    #[serde(default, deserialize_with = "tolerated::list")]
    pub between: Vec<BetweenFile>,
}

/// How far two regions are apart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetweenFile {
    /// The two.
    pub regions: (String, String),
    /// There and back.
    pub round_trip: Span,
}

impl ScenarioFile {
    /// Reads and checks a text; `name` stands for the file in errors.
    ///
    /// # Errors
    /// When the text is not a valid scenario.
    pub fn from_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        read::document::<Self>(text, check::check)
            .and_then(|file| file.ok_or_else(Vec::new))
            .map_err(|problems| Invalid::new(name, text, problems).into())
    }

    /// The settings of its service.
    #[must_use]
    pub fn service(&self) -> Service {
        self.as_service().into()
    }

    /// Its service as a configuration has one; its servers are no instances of it.
    fn as_service(&self) -> ServiceFile {
        let bare = ServiceFile {
            name: "sim".to_owned(),
            ..ServiceFile::default()
        };
        bare.with(self.service.clone().unwrap_or_default())
    }
}
