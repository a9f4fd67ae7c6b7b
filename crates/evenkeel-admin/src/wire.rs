//! The replies of the API, as they travel. Public and readable both ways, so that a client
//! written in Rust parses what the server writes.
//!
//! Times are RFC 3339 in UTC; every time that says since when comes with its age in seconds, so that a
//! reader needs no clock of its own. Durations are seconds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod explain;
mod prediction;
mod thresholds;

pub use explain::{ExplainedInstance, Explanation, Finding, Picked, Picks, RecordedPick, Reported};
pub use prediction::{Predicted, Prediction, Reliability};
pub use thresholds::Thresholds;

/// `GET /api/v1/services`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// In the order of their names.
    pub services: Vec<Service>,
}

/// `GET /api/v1/services/{service}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The strategy in force.
    pub strategy: String,
    /// Grows by one with every change of membership or health.
    pub view_version: u64,
    /// Whether too few instances are healthy: checks and priorities then have no say, and ejections have
    /// none either while nobody answers.
    pub fallback: bool,
    /// How many instances there are, by state.
    pub instances: InstanceTotals,
    /// Requests in flight to all instances.
    pub in_flight: u64,
    /// Whether the four below are counted (`metrics` in the configuration); else they are empty and `null`.
    pub metrics: bool,
    /// Requests that ended, by the class of the status the client got.
    pub requests: BTreeMap<String, u64>,
    /// Requests that were sent again, by reason.
    pub retries: BTreeMap<String, u64>,
    /// Picks made while too few instances were healthy.
    pub fallback_picks: Option<u64>,
    /// Requests that found no instance.
    pub no_picks: Option<u64>,
    /// What the strategy `auto` does; `null` with another one.
    pub auto: Option<Auto>,
    /// The strategy that is asked beside the one in force, with what came of that; `null` without one.
    pub shadow: Option<Shadow>,
    /// How good predictions of health were; `null` while `health.on_prediction` is `off`.
    pub prediction: Option<Prediction>,
    /// What counts against an instance now.
    pub thresholds: Thresholds,
    /// What the strategy found out that its picks depend on; `null` for one that does not learn.
    pub learned: Option<Learned>,
}

/// What the strategy `auto` does, and has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Auto {
    /// The candidate in force.
    pub current: String,
    /// Since when.
    pub since: String,
    /// The age of `since`.
    pub since_seconds: f64,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Whether it is taking over from another now.
    pub changes_over: bool,
    /// What the fleet is like: `even`, `uneven` when response times are spread by more than a fifth, `failing` when more than a
    /// hundredth of the requests fail; `null` in the first second.
    pub regime: Option<String>,
    /// Why nothing may change now: `unsettled` while many instances come or change state, `full` while the fleet has no room;
    /// `null` otherwise.
    pub veto: Option<String>,
    /// All candidates.
    pub candidates: Vec<AutoCandidate>,
    /// The last eight changes, newest first: its own, and those by a pin or other candidates.
    pub switches: Vec<AutoSwitch>,
}

/// A candidate of `auto`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AutoCandidate {
    /// Which.
    pub strategy: String,
    /// Picks that it was asked about while another was in force.
    pub picks: u64,
    /// By how much less its expected times were in the last window, as a part of the actual ones; `null` while it is in force,
    /// and before the first window since a change or a veto.
    pub gain: Option<f64>,
    /// The lower end of the 95 % interval of that.
    pub least_gain: Option<f64>,
    /// How long ago that window ended.
    pub judged_seconds_ago: Option<f64>,
    /// For how many windows in a row it has been worth a change; three make one.
    pub windows_in_a_row: u64,
    /// Why it is not made for that regime, and does not come into force in it; `null` when it is.
    pub unsuitable: Option<String>,
}

/// A change from one candidate of `auto` to another, by comparisons or by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AutoSwitch {
    /// When.
    pub time: String,
    /// How long ago.
    pub seconds_ago: f64,
    /// From which strategy; the same as `to` where a pin came or went that changes nothing else.
    pub from: String,
    /// To which.
    pub to: String,
    /// Why, in words and numbers.
    pub reason: String,
}

/// What came of asking a second strategy since it was set, for one pick in 64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shadow {
    /// Which.
    pub strategy: String,
    /// Why it is asked nothing: it does not suit the service as that is now; `null` while it is asked.
    pub idle: Option<String>,
    /// Picks that it was asked about.
    pub picks: u64,
    /// Those in which it would have chosen another instance.
    pub other_choices: u64,
    /// The part that those are, `0..=1`; `null` before the first pick.
    pub other_choices_share: Option<f64>,
    /// Picks in which the expected times of both choices were known.
    pub compared: u64,
    /// The mean expected time to a successful response by its choices; `null` before the first comparison.
    pub expected_seconds: Option<f64>,
    /// The same by the choices that were made, in the same picks.
    pub actual_expected_seconds: Option<f64>,
}

/// What a strategy found out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Learned {
    /// Weights in force of `cpu`, `memory` and `connections`, with `resource_aware` and its `learn`.
    pub resource_weights: BTreeMap<String, f64>,
    /// How far these follow the evidence: from 0, as configured, to 1.
    pub resource_trust: Option<f64>,
    /// The same of requests that stay in a place, by its name: with `geographical`, whose regions learn by their own.
    pub places: BTreeMap<String, LearnedWeights>,
    /// What is expected of the regions, in the order in which they take over, with `geographical`.
    pub regions: Vec<RegionTime>,
}

/// Weights of resources in a place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LearnedWeights {
    /// Weights in force of `cpu`, `memory` and `connections`.
    pub resource_weights: BTreeMap<String, f64>,
    /// How far these follow the evidence: from 0, as configured, to 1.
    pub resource_trust: Option<f64>,
}

/// How far away a region is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionTime {
    /// Its name.
    pub region: String,
    /// The response time that is expected.
    pub seconds: f64,
    /// By how much that may be wrong either way, at about two standard deviations.
    pub error_seconds: f64,
    /// Whether requests were answered there; else it is inferred from the time that connections take.
    pub measured: bool,
    /// Its place in that order, 0 for the first.
    pub rank: u64,
}

/// How many instances a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct InstanceTotals {
    /// Registered.
    pub total: u64,
    /// That take traffic by their own health.
    pub healthy: u64,
    /// Whose active checks fail.
    pub down: u64,
    /// Out because their requests failed, while their checks do not.
    pub ejected: u64,
    /// That the strategy chooses from now.
    pub candidates: u64,
}

/// `GET /api/v1/services/{service}/instances`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instances {
    /// The service's name.
    pub service: String,
    /// The version of the view that was read.
    pub view_version: u64,
    /// In the order of registration.
    pub instances: Vec<Instance>,
}

/// `GET /api/v1/services/{service}/instances/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Unique in its service.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// `healthy`, `draining`, `down`, `ejected` or `weak`.
    pub state: String,
    /// Since when it is in that state.
    pub since: String,
    /// The age of `since`.
    pub since_seconds: f64,
    /// Why it is in that state.
    pub reason: String,
    /// Until when its requests keep it out; also behind failing checks, in the state `down`.
    pub ejected_until: Option<String>,
    /// Whether the strategy may choose it now.
    pub candidate: bool,
    /// The state of its circuit breaker: `closed`, `open`, `half_open` or `recovering`.
    pub breaker: String,
    /// The score of its health, `0..=1`: the worst of its parts.
    pub score: f64,
    /// The parts, each `0..=1`: `checks`, `requests`, `latency`, `load`, `reported`.
    pub score_parts: BTreeMap<String, f64>,
    /// The worst part; `null` when nothing speaks against it.
    pub limited_by: Option<String>,
    /// Smoothed share of successes among about the last sixteen requests, `0..=1`.
    pub success_share: f64,
    /// Relative capacity.
    pub weight: u32,
    /// Priority group, 0 first.
    pub priority: u8,
    /// Region label.
    pub region: Option<String>,
    /// Zone label.
    pub zone: Option<String>,
    /// Free labels.
    pub metadata: BTreeMap<String, String>,
    /// What is foreseen of it; `null` while nothing is known of what is to come, while it is out, on probation after an
    /// ejection, or draining, and while `health.on_prediction` is `off`.
    pub predicted: Option<Predicted>,
    /// Requests in flight.
    pub in_flight: u32,
    /// What it last reported of its load; `null` when it reported nothing, or too long ago.
    pub reported: Option<Reported>,
    /// How long it takes to answer, from the pick to the head of the response.
    pub response_time_seconds: ResponseTime,
    /// What its requests came to, since the start of the process.
    pub counts: Counts,
    /// Its part of the service's picks.
    pub share: Share,
    /// When it was last picked.
    pub last_used: Option<String>,
    /// The age of `last_used`.
    pub last_used_seconds: Option<f64>,
}

/// Recent response times in seconds; `null` before the first. The quantiles are of all responses, failures among them, and
/// of the last few where there were few of late: an instance that fails fast has low quantiles, and its `average` stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseTime {
    /// A moving average of successes, over about eight; a failure can raise it, but neither lower it nor be
    /// its first.
    pub average: Option<f64>,
    /// Median, of successes and failures.
    pub p50: Option<f64>,
    /// 90th percentile, of successes and failures.
    pub p90: Option<f64>,
    /// 99th percentile, of successes and failures.
    pub p99: Option<f64>,
}

/// What the requests of an instance came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Times it was picked; the difference to the three below is in flight.
    pub picks: u64,
    /// Requests that succeeded.
    pub successes: u64,
    /// Requests that failed through its fault.
    pub failures: u64,
    /// Requests that it was too busy for (408, 429).
    pub throttled: u64,
    /// Requests that ended without saying anything about it.
    pub cancelled: u64,
    /// Failures in a row up to now.
    pub consecutive_failures: u32,
}

/// An instance's part of the picks of the instances its service has now; `null` without picks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Since the start of the process.
    pub total: Option<f64>,
    /// In the last seconds, of which `recent_window_seconds` tells how many.
    pub recent: Option<f64>,
    /// How far `recent` looks back.
    pub recent_window_seconds: f64,
}

/// `GET /api/v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The last ones, oldest first.
    pub events: Vec<Event>,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When.
    pub time: String,
    /// In which service.
    pub service: String,
    /// To which instance, if to one.
    pub instance: Option<String>,
    /// What, as one word.
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// What a change of an instance came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceWritten {
    /// `registered`, `changed`, `unchanged`, or `stale`: the observation is older than the newest, and was dropped.
    pub effect: String,
    /// The instance after it.
    pub instance: Instance,
}

/// What a change of a service came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceWritten {
    /// `changed` or `unchanged`.
    pub effect: String,
    /// The service after it.
    pub service: Service,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The key it is about, such as `strategy.table_size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    pub detail: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the status.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// The name most like the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// Names that exist; cut after twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub available: Vec<String>,
    /// How many names exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_total: Option<usize>,
    /// What is wrong with the body, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}
