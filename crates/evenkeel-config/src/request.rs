//! Bodies of requests to the admin API that change something.
//!
//! They are JSON, read by the reader of the configuration file: unknown keys are errors, all errors of a body are told
//! together, and each names the field, what is wrong and what would be right. Whether a service or an instance is
//! there, and what follows from a change, is no matter of this module.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use evenkeel_core::{
    Instance, InstanceError, LoadReport, Operation, ReportError, StrategyName, StrategySettings, Weight,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use crate::address::Address;
use crate::error::Problem;
use crate::read::parse;
use crate::reader::{Reader, Sink};
use crate::shadow::ShadowText;
use crate::strategy::{StrategyFile, StrategyText};
use crate::text::{DurationText, Ratio};
use crate::tolerated;
use crate::tree::{Mark, Node, Value};
use crate::whole::Whole;

mod time;

pub use time::TimeText;

/// `PUT services/{service}/instances/{id}`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceRequest {
    /// IP address and port.
    address: Reach,
    /// Share of requests relative to the other instances; 1 unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    weight: Option<Whole<1, 65535>>,
    /// Priority group; 0 unless given, the first choice.
    #[serde(default, deserialize_with = "tolerated::key")]
    priority: Option<Whole<0, 255>>,
    /// Region the instance runs in.
    #[serde(default, deserialize_with = "tolerated::key")]
    region: Option<String>,
    /// Zone in its region.
    #[serde(default, deserialize_with = "tolerated::key")]
    zone: Option<String>,
    /// Labels.
    #[serde(default, deserialize_with = "tolerated::labels")]
    metadata: Option<BTreeMap<String, String>>,
}

/// An address that needs no resolution: who registers knows where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach(SocketAddr);

impl FromStr for Reach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Address::Socket(address) => Ok(Self(address)),
            Address::Name { port, .. } => Err(format!(
                "`{text}` is a name, and names are not resolved for requests\nwrite an IP address, such as \
                 `10.0.0.7:{port}`"
            )),
        }
    }
}

/// Has the reader note what is wrong with a text at the text.
macro_rules! read_from_text {
    ($ty:ty, $expected:literal, $name:literal, $($key:literal: $value:literal)?) => {
        impl JsonSchema for $ty {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $expected, $($key: $value)? })
            }
        }

        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $ty;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$ty, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

read_from_text!(Reach, "an address such as `10.0.0.7:9001`", "Reach",);
read_from_text!(TimeText, "a time such as `2026-11-21T09:14:03Z`", "Time", "format": "date-time");

impl InstanceRequest {
    /// The instance of this id.
    ///
    /// # Errors
    /// Names the field that is not acceptable.
    pub fn instance(self, id: &str) -> Result<Instance, InstanceError> {
        let address = self.address.0;
        let weight: u16 = self.weight.map_or(1, Into::into);
        let instance = Instance {
            weight: Weight::new(weight.into())?,
            priority: self.priority.map_or(0, Into::into),
            region: self.region.map(Into::into),
            zone: self.zone.map(Into::into),
            metadata: self.metadata.unwrap_or_default(),
            ..Instance::new(id, address)?
        };
        instance.validate()?;
        Ok(instance)
    }
}

/// `PUT services/{service}/instances/{id}/health`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthRequest {
    /// From 0 (out of order) to 1 (well).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f64,
    /// Which time the score speaks of; now unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    observed_at: Option<TimeText>,
}

/// `PUT services/{service}/instances/{id}/load`: the numbers of ORCA, under their names there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    #[serde(default, deserialize_with = "tolerated::key")]
    cpu_utilization: Option<f64>,
    #[serde(default, deserialize_with = "tolerated::key")]
    mem_utilization: Option<f64>,
    #[serde(default, deserialize_with = "tolerated::key")]
    application_utilization: Option<f64>,
    #[serde(default, deserialize_with = "tolerated::key")]
    rps_fractional: Option<f64>,
    #[serde(default, deserialize_with = "tolerated::key")]
    eps: Option<f64>,
    #[serde(default, deserialize_with = "tolerated::key")]
    observed_at: Option<TimeText>,
}

impl HealthRequest {
    /// Which time the score speaks of; `None` for now.
    #[must_use]
    pub fn observed_at(&self) -> Option<SystemTime> {
        self.observed_at.map(|time| time.0)
    }
}

impl LoadRequest {
    /// Which time the report speaks of; `None` for now.
    #[must_use]
    pub fn observed_at(&self) -> Option<SystemTime> {
        self.observed_at.map(|time| time.0)
    }

    /// What is reported; empty when nothing is.
    ///
    /// # Errors
    /// Names every number that is out of its range.
    pub fn report(&self) -> Result<LoadReport, BadRequest> {
        type With = fn(LoadReport, f64) -> Result<LoadReport, ReportError>;
        let numbers: [(_, With); 5] = [
            (self.cpu_utilization, LoadReport::with_cpu),
            (self.mem_utilization, LoadReport::with_memory),
            (self.application_utilization, LoadReport::with_application),
            (self.rps_fractional, LoadReport::with_requests_per_second),
            (self.eps, LoadReport::with_errors_per_second),
        ];
        let mut report = LoadReport::default();
        let mut faults = Vec::new();
        for (value, with) in numbers {
            let Some(value) = value else { continue };
            match with(report, value) {
                Ok(more) => report = more,
                Err(error) => {
                    let text = error.to_string();
                    let message = text.trim_start_matches(error.field).trim_start_matches(": ");
                    faults.push(BodyFault::new(
                        Some(error.field.to_owned()),
                        Problem::new(message, None),
                    ));
                }
            }
        }
        match faults.is_empty() {
            true => Ok(report),
            false => Err(BadRequest { faults }),
        }
    }
}

/// `POST services/{service}/instances/{id}/drain`; the body may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Why, for whoever wonders; shown with the instance and in the event.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub reason: Option<String>,
}

/// `POST services/{service}/pick`: what is known of the request to pick for. The body may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PickBody {
    /// What the strategy hashes, as the client sends it.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub key: Option<String>,
    /// Where the client is.
    #[serde(default, deserialize_with = "tolerated::key")]
    pub region: Option<String>,
    /// Ids of instances that were tried for the request already.
    #[serde(default, deserialize_with = "tolerated::list")]
    pub tried: Vec<String>,
}

/// `PUT services/{service}/picks`: records picks for a time.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordRequest {
    /// The part of the picks that is recorded, 0 to 1.
    share: Ratio,
    /// For how long; a minute unless given.
    #[serde(default, deserialize_with = "tolerated::key")]
    r#for: Option<DurationText>,
}

impl RecordRequest {
    /// The longest time: who switches something on may forget it.
    pub const LONGEST: Duration = Duration::from_secs(3600);

    /// The part of the picks.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share.into()
    }

    /// For how long.
    ///
    /// # Errors
    /// When it is longer than [`Self::LONGEST`].
    pub fn lasts(&self) -> Result<Duration, BadRequest> {
        let lasts = self.r#for.map_or(Duration::from_secs(60), Into::into);
        if lasts <= Self::LONGEST {
            return Ok(lasts);
        }
        let text = "a recording is for an hour at most\nset `record_picks` of the service in the configuration for longer";
        let fault = BodyFault::new(Some("for".to_owned()), Problem::new(text, None));
        Err(BadRequest { faults: vec![fault] })
    }
}

/// `PATCH services/{service}`: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePatch {
    /// A name, or a mapping of a name and settings, as in the file.
    #[serde(default)]
    strategy: Option<StrategyText>,
    /// The same for the strategy that is asked beside it; `null` or `off` for none.
    #[serde(default, deserialize_with = "given")]
    shadow: Option<Option<ShadowText>>,
}

/// Tells `null` from nothing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<ShadowText>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ServicePatch {
    /// What is asked of `service`.
    ///
    /// # Errors
    /// When nothing is, or two things; when a setting does not fit the strategy, or needs what only the file can give.
    pub fn operation(&self, service: &str) -> Result<Operation, BadRequest> {
        Ok(match (&self.strategy, &self.shadow) {
            (Some(strategy), None) => match bare(strategy) {
                Some(name) => Operation::SetStrategyByName(name),
                None => Operation::SetStrategy(settings(strategy, "strategy", service)?),
            },
            (None, Some(Some(ShadowText::On(shadow)))) => match bare(shadow) {
                Some(name) => Operation::SetShadowByName(name),
                None => Operation::SetShadow(Some(settings(shadow, "shadow", service)?)),
            },
            (None, Some(None | Some(ShadowText::Off))) => Operation::SetShadow(None),
            (None, None) => return Err(whole("there is nothing to change\ngive `strategy`, or `shadow`")),
            (Some(_), Some(_)) => {
                return Err(whole(
                    "one thing is changed at a time\nsend `strategy` and `shadow` in two requests",
                ));
            }
        })
    }
}

/// Something that is wrong with the body as a whole.
fn whole(text: &str) -> BadRequest {
    BadRequest {
        faults: vec![BodyFault::new(None, Problem::new(text, None))],
    }
}

/// The strategy, when it comes with no settings.
fn bare(strategy: &StrategyText) -> Option<StrategyName> {
    let (file, name) = (&strategy.0, strategy.0.name);
    let bare = StrategyFile {
        name,
        ..StrategyFile::default()
    };
    (*file == bare).then_some(name.0)
}

/// The strategy under `key` that `service` is to have.
fn settings(strategy: &StrategyText, key: &str, service: &str) -> Result<StrategySettings, BadRequest> {
    let file = &strategy.0;
    let mut wrong = file.misplaced();
    if file.hashing().hash_secret_file.is_some() {
        let text = "files are not read for requests\nset it in the configuration file and reload";
        wrong.push(("hash_secret_file", text.to_owned()));
    }
    if wrong.is_empty() {
        return Ok(file.settings(service, None));
    }
    let faults = wrong.into_iter().map(|(setting, text)| {
        let problem = Problem::new(text, None);
        BodyFault::new(Some(format!("{key}.{setting}")), problem)
    });
    Err(BadRequest {
        faults: faults.collect(),
    })
}

/// Everything that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct BadRequest {
    /// At least one.
    pub faults: Vec<BodyFault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyFault {
    /// The key it is about, as `strategy.table_size`; `None` for the body as a whole.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right, when the message does not say it.
    pub help: Option<String>,
}

impl std::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {}", help.replace('\n', "; ")),
            None => Ok(()),
        }
    }
}

impl BodyFault {
    fn new(field: Option<String>, problem: Problem) -> Self {
        Self {
            field,
            message: problem.message,
            help: problem.help,
        }
    }
}

impl BadRequest {
    fn whole(text: impl Into<String>) -> Self {
        let fault = BodyFault::new(None, Problem::new(text, None));
        Self { faults: vec![fault] }
    }
}

/// Reads a body.
///
/// # Errors
/// Names everything that is wrong with it.
pub fn read_body<T: DeserializeOwned>(text: &str) -> Result<T, BadRequest> {
    // YAML would take more than was promised, and `{` alone for an error about YAML.
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| BadRequest::whole(format!("the body is not JSON: {error}")))?;
    if !json.is_object() {
        return Err(BadRequest::whole("the body is not a JSON object\nwrite `{ … }`"));
    }
    // What YAML reads otherwise than JSON are pairs of escapes for one character, which encoders are free to write.
    let plain;
    let text = if text.contains("\\u") {
        plain = json.to_string();
        &plain
    } else {
        text
    };
    let mut problems = Vec::new();
    let root = parse(text, &mut problems);
    let mut faults: Vec<BodyFault> = problems
        .into_iter()
        .map(|problem| BodyFault::new(None, problem))
        .collect();
    let Some(root) = root else {
        return Err(BadRequest { faults });
    };
    let sink = RefCell::new(Sink::default());
    let reader = Reader {
        node: &root,
        text,
        sink: &sink,
    };
    // Again without what failed, until nothing new does: all errors are told together.
    let read = loop {
        let before = sink.borrow().failed.len();
        let read = T::deserialize(reader);
        let failed = &sink.borrow().failed;
        if read.is_ok() || failed.len() == before || failed.contains(&root.id()) {
            break read;
        }
    };
    let sink = sink.into_inner();
    let found = sink.found.into_iter();
    faults.extend(found.map(|(message, at)| BodyFault::new(field(&root, at), Problem::new(message, None))));
    match read {
        Ok(read) if faults.is_empty() => Ok(read),
        Ok(_) => Err(BadRequest { faults }),
        // Whatever fails notes why.
        Err(fault) if faults.is_empty() => Err(BadRequest::whole(fault.to_string())),
        Err(_) => Err(BadRequest { faults }),
    }
}

/// The key that stands at or around `at`, with those around it; `None` at the root.
fn field(root: &Node, at: Mark) -> Option<String> {
    let at = (at.line, at.column);
    let mut names: Vec<&str> = Vec::new();
    let mut node = root;
    while let Value::Map(entries) = &node.value
        && (node.at.line, node.at.column) != at
    {
        let mut before = entries.iter();
        let Some((key, value)) = before.rfind(|(key, _)| (key.at.line, key.at.column) <= at) else {
            break;
        };
        names.push(&key.name);
        if (key.at.line, key.at.column) == at {
            break;
        }
        node = value;
    }
    (!names.is_empty()).then(|| names.join("."))
}

#[cfg(test)]
mod tests;
