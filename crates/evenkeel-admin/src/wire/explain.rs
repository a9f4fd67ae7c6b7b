//! Replies that say who is picked and why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Instance;

/// `GET /api/v1/services/{service}/explain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The service's name.
    pub service: String,
    /// The strategy in force.
    pub strategy: String,
    /// What it does, in one sentence.
    pub rule: String,
    /// The version of the view that was read.
    pub view_version: u64,
    /// Whether too few instances are healthy.
    pub fallback: bool,
    /// What holds for the service as a whole, in words and numbers.
    pub notes: Vec<String>,
    /// The id of the instance that a pick would choose now; of several that it could, one. `null` when there is none.
    pub choice: Option<String>,
    /// Why a pick would find nobody.
    pub no_choice: Option<String>,
    /// How often the strategy was asked for the odds. Asking changes nothing.
    pub draws: u32,
    /// In the order of registration.
    pub instances: Vec<ExplainedInstance>,
}

/// What is known of an instance, and what became of it on the way to the choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedInstance {
    /// Unique in its service.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// `healthy`, `draining`, `down`, `ejected` or `weak`.
    pub state: String,
    /// For how long it has been in that state.
    pub since_seconds: f64,
    /// Why it is in that state.
    pub reason: String,
    /// Whether the strategy may choose it now.
    pub candidate: bool,
    /// The stages that had something to say, in their order.
    pub stages: Vec<Finding>,
    /// The score of its health, `0..=1`: the worst of its parts.
    pub score: f64,
    /// The parts, each `0..=1`: `checks`, `requests`, `latency`, `load`, `reported`.
    pub score_parts: BTreeMap<String, f64>,
    /// Relative capacity.
    pub weight: u32,
    /// Priority group, 0 first.
    pub priority: u8,
    /// Region label.
    pub region: Option<String>,
    /// The part of its weight that it gets at present, `0..=1`; 0 for who is no candidate.
    pub share: f64,
    /// The part of the draws that fell on it, `0..=1`.
    pub odds: f64,
    /// Why the choice fell on another; `null` for the choice, and for who is no candidate.
    pub lost: Option<String>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Smoothed time to the head of a response; `null` before the first.
    pub response_time_seconds: Option<f64>,
    /// Requests that succeeded.
    pub successes: u64,
    /// Requests that failed through its fault.
    pub failures: u64,
    /// What it last reported of its load; `null` when it reported nothing, or too long ago.
    pub reported: Option<Reported>,
}

/// What a stage made of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `draining`, `region`, `down`, `ejected`, `below_threshold`, `minimum`, `priority`, `slow_start`, `recovery`,
    /// `score` or `predicted`.
    pub stage: String,
    /// `removed`, `reduced`, or `overruled`: it spoke against the instance, which is used all the same.
    pub effect: String,
    /// What it left of the instance's weight, `0..=1`.
    pub left: f64,
    /// Why, in words and numbers.
    pub reason: String,
}

/// What an instance says of its load; `null` for what it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    /// Processors, 1 for all it has.
    pub cpu_utilization: Option<f32>,
    /// Memory, 1 for all it has.
    pub mem_utilization: Option<f32>,
    /// What the application finds itself.
    pub application_utilization: Option<f32>,
    /// Requests that it serves per second.
    pub rps_fractional: Option<f32>,
    /// Errors that it answers per second.
    pub eps: Option<f32>,
    /// How long ago it said so.
    pub age_seconds: f64,
    /// What the report is still worth, `0..=1`: it fades.
    pub worth: f32,
}

/// `GET /api/v1/services/{service}/picks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Picks {
    /// The service's name.
    pub service: String,
    /// The part of the picks that is recorded now, `0..=1`.
    pub share: f64,
    /// When that ends and the configured share holds again; `null` while it is the configured one.
    pub until: Option<String>,
    /// Picks that were made while recording was on.
    pub seen: u64,
    /// Those that were taken for the record.
    pub recorded: u64,
    /// Of these, those that made room for newer ones: the last 1024 are kept.
    pub overwritten: u64,
    /// And those that were dropped, because another was being written in their place.
    pub dropped: u64,
    /// Those that are kept, newest first.
    pub picks: Vec<RecordedPick>,
}

/// A pick that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedPick {
    /// When.
    pub time: String,
    /// How long ago.
    pub seconds_ago: f64,
    /// By which strategy.
    pub strategy: String,
    /// The version of the view that was picked from.
    pub view_version: u64,
    /// The id of who was chosen; `null` when it has left the service since.
    pub chosen: Option<String>,
    /// The score of its health then, `0..=1`.
    pub score: f64,
    /// Its requests in flight, this one among them.
    pub in_flight: u32,
    /// How many instances the strategy chose from.
    pub candidates: u32,
    /// How many were tried for the request before.
    pub tried: u32,
    /// Whether too few instances were healthy.
    pub fallback: bool,
}

/// `POST /api/v1/services/{service}/pick`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Picked {
    /// The service's name.
    pub service: String,
    /// The strategy in force.
    pub strategy: String,
    /// The version of the view that was picked from.
    pub view_version: u64,
    /// The instance to send to. Nothing is counted for it: the request that follows, if any, is not in flight here.
    pub instance: Instance,
}
