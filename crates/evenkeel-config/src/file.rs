//! The configuration file as written. Keys left out are `None`; [`Config`](crate::Config) has them all.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access_log::AccessLogText;
use crate::address::{Address, Bind, Cidr};
use crate::health_check::HealthCheckFile;
use crate::rules;
use crate::settings::{
    AdminFile, CircuitBreakerFile, HealthFile, LimitsFile, ListenerTimeoutsFile, LocalityFile, OrcaFile,
    PoolFile, RecordPicksFile, RetryFile, SlowStartFile, TimeoutsFile, overlay,
};
use crate::shadow::ShadowText;
use crate::sticky::StickyFile;
use crate::strategy::StrategyText;
use crate::text::DurationText;
use crate::tolerated;
use crate::whole::Whole;

/// Configuration of Evenkeel. YAML, of which JSON is a subset; unknown keys are errors.
///
/// Durations are written with their unit (`250ms`, `5s`, `1m30s`), sizes as `64KiB`, ratios as `0.5`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ConfigFile {
    /// Threads that carry traffic. Default: one per processor core.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub workers: Option<Whole<1, 1024>>,
    /// Directory for what must outlast the process: the admin token and the secret of sessions. It is made when
    /// it is not there. Default: `$XDG_STATE_HOME/evenkeel`, or `~/.local/state/evenkeel`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::directory))]
    pub state_dir: Option<String>,
    /// The admin endpoint: probes, metrics and the API.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub admin: Option<AdminFile>,
    /// Where every request leaves a line: the path of a file, `-` for standard output, or a group. Off unless given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(dive)]
    pub access_log: Option<AccessLogText>,
    /// After SIGTERM, how long `/readyz` says no before the listeners close, so that whoever watches it sends elsewhere.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = ConfigFile::DRAIN_DELAY))]
    pub drain_delay: Option<DurationText>,
    /// After SIGTERM and `drain_delay`, how long running requests may take to finish.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = ConfigFile::DRAIN_TIMEOUT))]
    pub drain_timeout: Option<DurationText>,
    /// Networks of the proxies in front of this one. `X-Forwarded-*` from them is kept and appended to; from anyone
    /// else it is overwritten.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::optional_list"
    )]
    #[schemars(extend("default" = serde_json::json!([])))]
    pub trusted_proxies: Option<Vec<Cidr>>,
    /// What a client may send.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub limits: Option<LimitsFile>,
    /// Where clients connect, at least one.
    #[serde(default, deserialize_with = "tolerated::list")]
    #[garde(dive)]
    pub listeners: Vec<ListenerFile>,
    /// What requests are balanced over, at least one.
    #[serde(default, deserialize_with = "tolerated::list")]
    #[garde(dive)]
    pub services: Vec<ServiceFile>,
    /// Settings for every service that does not set them itself.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(dive)]
    pub defaults: Option<DefaultsFile>,
}

impl ConfigFile {
    pub(crate) const DRAIN_DELAY: DurationText = DurationText::millis(250);
    pub(crate) const DRAIN_TIMEOUT: DurationText = DurationText::secs(30);
}

/// An address that accepts clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ListenerFile {
    /// Name of the listener, in logs. Unique.
    #[garde(custom(rules::name))]
    pub name: String,
    /// Address and port to listen on. Port 0 lets the system choose; the log names the choice.
    pub bind: Bind,
    /// What clients speak.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = Protocol::Http))]
    pub protocol: Option<Protocol>,
    /// How long a client may take.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub timeouts: Option<ListenerTimeoutsFile>,
    /// Which service gets a request; the first route that matches. May be left out when there is one service.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::optional_list"
    )]
    #[garde(dive)]
    pub routes: Option<Vec<Route>>,
}

/// What clients of a listener speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1 (and HTTP/1.0).
    #[default]
    Http,
}

/// Sends requests to a service. Conditions left out match every request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Route {
    /// Host of the request, without port: a name, or `*.example.com` for all names below a domain. Case and a dot at
    /// the end do not matter.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::host))]
    pub host: Option<String>,
    /// Start of the path, in whole segments: `/v2` matches `/v2` and `/v2/users`, not `/v20`. It is compared with the
    /// path in normal form, that is, with percent-encodings resolved, slashes in a row merged and the segments `.` and
    /// `..` removed, and is written in that form. The instance gets the path as the client sent it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::path_prefix))]
    pub path_prefix: Option<String>,
    /// Name of the service that gets the request.
    pub service: String,
}

impl Route {
    /// The host as it is compared: in lower case, without a dot at its end.
    pub(crate) fn plain_host(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
    }
}

/// The settings of a service, declared once for services and for `defaults`.
macro_rules! service_settings {
    ($( $(#[doc = $doc:expr])* $(#[garde($garde:ident)])? $(#[schemars($($schemars:tt)+)])? $key:ident: $ty:ty, )+) => {
        /// A service: instances which all answer the same requests.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
        #[serde(deny_unknown_fields)]
        #[garde(allow_unvalidated)]
        pub struct ServiceFile {
            /// Name of the service, in routes, logs, metrics and the API. Unique.
            #[garde(custom(rules::name))]
            pub name: String,
            $(
                $(#[doc = $doc])*
                #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "tolerated::key")]
                $(#[garde($garde)])?
                $(#[schemars($($schemars)+)])?
                pub $key: Option<$ty>,
            )+
            /// The instances, at least one.
            #[serde(default, deserialize_with = "tolerated::list")]
            #[garde(dive)]
            pub instances: Vec<InstanceFile>,
        }

        /// Settings for every service that does not set them itself.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
        #[serde(deny_unknown_fields)]
        #[garde(allow_unvalidated)]
        pub struct DefaultsFile {
            $(
                $(#[doc = $doc])*
                #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "tolerated::key")]
                $(#[garde($garde)])?
                $(#[schemars($($schemars)+)])?
                pub $key: Option<$ty>,
            )+
        }
    };
}

service_settings! {
    /// How an instance is chosen: a name, or a mapping with the name and settings of that strategy.
    #[schemars(extend("default" = StrategyText::default()))]
    strategy: StrategyText,
    /// A strategy that is asked beside it for one pick in 64, and that nobody is routed by: how often it would have chosen
    /// otherwise, and what that would have cost, is in the metrics and the API. Written as `strategy` is; `off` where `defaults`
    /// has one that this service is not to have.
    shadow: ShadowText,
    /// Active checks of the instances. Off unless given here or in `defaults`.
    #[garde(dive)]
    health_check: HealthCheckFile,
    /// How the health of the instances decides who gets requests.
    health: HealthFile,
    /// Which instances may be used at all.
    locality: LocalityFile,
    /// How an instance begins that is new, or whose checks pass again.
    slow_start: SlowStartFile,
    /// Passive ejection of an instance whose requests fail. Always on.
    circuit_breaker: CircuitBreakerFile,
    /// Further tries of a request on other instances, when that is safe.
    retry: RetryFile,
    /// Sessions that stick to an instance by a cookie. Off unless given here or in `defaults`, as `sticky: {}` at least.
    #[garde(dive)]
    sticky: StickyFile,
    /// What instances say of their load with their responses.
    orca: OrcaFile,
    /// How long an instance may take.
    timeouts: TimeoutsFile,
    /// Connections to the instances.
    pool: PoolFile,
    /// Whether requests, retries and checks of the service are counted. With `false` it is absent from `/metrics`, and
    /// costs nothing there; what health and strategies go by is counted all the same.
    #[schemars(extend("default" = true))]
    metrics: bool,
    /// Picks that are recorded.
    record_picks: RecordPicksFile,
}

impl ServiceFile {
    /// The service with `defaults` for the keys it leaves out.
    pub(crate) fn with(self, defaults: DefaultsFile) -> Self {
        Self {
            name: self.name,
            strategy: self.strategy.or(defaults.strategy),
            shadow: self.shadow.or(defaults.shadow),
            health_check: overlay(self.health_check, defaults.health_check),
            health: overlay(self.health, defaults.health),
            locality: overlay(self.locality, defaults.locality),
            slow_start: overlay(self.slow_start, defaults.slow_start),
            circuit_breaker: overlay(self.circuit_breaker, defaults.circuit_breaker),
            retry: overlay(self.retry, defaults.retry),
            sticky: overlay(self.sticky, defaults.sticky),
            orca: overlay(self.orca, defaults.orca),
            timeouts: overlay(self.timeouts, defaults.timeouts),
            pool: overlay(self.pool, defaults.pool),
            metrics: self.metrics.or(defaults.metrics),
            record_picks: overlay(self.record_picks, defaults.record_picks),
            instances: self.instances,
        }
    }
}

/// One place where a service runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct InstanceFile {
    /// Name of the instance, unique in its service. Default: its address.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::id))]
    pub id: Option<String>,
    /// IP address or DNS name, and port. Names are resolved at start and at reload.
    pub address: Address,
    /// Share of requests relative to the other instances, for strategies that weigh.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = 1))]
    pub weight: Option<Whole<1, 65535>>,
    /// Priority group: 0 is the first choice. A later one gets requests when less than 72 % of the weight of the one
    /// before is healthy: at 50 % it gets 30 %, as a group carries 1.4 times its healthy part.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = 0))]
    pub priority: Option<Whole<0, 255>>,
    /// Region the instance runs in.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub region: Option<String>,
    /// Zone in its region.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    pub zone: Option<String>,
    /// Labels of your own, shown by the API; the strategy `geographical` can have them as `levels`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::labels"
    )]
    #[schemars(extend("default" = serde_json::json!({})))]
    pub metadata: Option<BTreeMap<String, String>>,
}
