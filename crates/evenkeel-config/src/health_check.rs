//! Active checks as written in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Statuses;
use crate::rules;
use crate::settings::Overlay;
use crate::text::{DurationText, Ratio};
use crate::tolerated;
use crate::whole::Whole;

/// Active checks: each instance is asked at an interval; exactly one of `http` and `tcp` says how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct HealthCheckFile {
    /// Check with a GET request.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(dive)]
    pub http: Option<HttpCheckFile>,
    /// Check that a connection is accepted.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub tcp: Option<TcpCheckFile>,
    /// Port to check, when it is not the instance's own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub port: Option<Whole<1, 65535>>,
    /// Time between two checks of an instance.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = HealthCheckFile::INTERVAL))]
    pub interval: Option<DurationText>,
    /// How long a check may take before it counts as failed. Not above `interval`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = HealthCheckFile::TIMEOUT))]
    pub timeout: Option<DurationText>,
    /// Failed checks in a row that make an instance unhealthy.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = HealthCheckFile::UNHEALTHY))]
    pub unhealthy_threshold: Option<Whole<1, 1000>>,
    /// Passed checks in a row that make it healthy again.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = HealthCheckFile::HEALTHY))]
    pub healthy_threshold: Option<Whole<1, 1000>>,
    /// Random share of the interval by which each pause is shortened at most, so that checks do not march in step.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = HealthCheckFile::JITTER))]
    pub jitter: Option<Ratio>,
}

impl HealthCheckFile {
    pub(crate) const INTERVAL: DurationText = DurationText::secs(5);
    pub(crate) const TIMEOUT: DurationText = DurationText::secs(1);
    pub(crate) const UNHEALTHY: Whole<1, 1000> = Whole::clamped(3);
    pub(crate) const HEALTHY: Whole<1, 1000> = Whole::clamped(2);
    pub(crate) const JITTER: Ratio = Ratio(0.1);
}

impl Overlay for HealthCheckFile {
    /// A kind given above replaces the kind below: the two exclude each other.
    fn over(self, below: Self) -> Self {
        let (http, tcp) = match (self.http, self.tcp) {
            (None, None) => (below.http, below.tcp),
            kind => kind,
        };
        Self {
            http,
            tcp,
            port: self.port.or(below.port),
            interval: self.interval.or(below.interval),
            timeout: self.timeout.or(below.timeout),
            unhealthy_threshold: self.unhealthy_threshold.or(below.unhealthy_threshold),
            healthy_threshold: self.healthy_threshold.or(below.healthy_threshold),
            jitter: self.jitter.or(below.jitter),
        }
    }
}

/// A check with a GET request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct HttpCheckFile {
    /// Path to ask for, with its query if any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::path))]
    #[schemars(extend("default" = HttpCheckFile::PATH))]
    pub path: Option<String>,
    /// `Host` of the request. Default: the instance's address.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::check_host))]
    pub host: Option<String>,
    /// Status codes of a healthy instance: numbers and ranges.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::optional_list"
    )]
    #[garde(custom(rules::not_empty))]
    #[schemars(extend("default" = HttpCheckFile::statuses()))]
    pub expected_statuses: Option<Vec<Statuses>>,
}

impl HttpCheckFile {
    pub(crate) const PATH: &'static str = "/";

    pub(crate) fn statuses() -> Vec<Statuses> {
        vec![Statuses(200..=399)]
    }
}

/// A check that a connection is accepted. Has no settings: `tcp: {}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpCheckFile {}
