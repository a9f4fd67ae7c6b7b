//! Wire types of Evenkeel: the configuration file, and the bodies of requests to the admin API.
//!
//! [`ConfigFile`] is the file as written, [`Config`] the same with every value present. Wire formats exist only here,
//! and behaviour never does: nothing in this crate opens a socket or resolves a name.

mod access_log;
mod address;
mod check;
mod config;
mod convert;
mod cookies;
mod decimal;
mod docs;
mod error;
mod file;
mod hashing;
mod health_check;
mod keys;
mod levels;
mod names;
mod path;
mod policy;
mod preset;
mod read;
mod reader;
mod request;
mod retry_on;
mod routes;
mod rules;
mod scenario;
mod schema;
mod settings;
mod shadow;
mod sticky;
mod strategy;
mod syntax;
mod text;
mod token_file;
mod tolerated;
mod tree;
mod whole;

pub use access_log::{AccessLog, AccessLogFile, AccessLogText};
pub use address::{Address, Bind, Cidr, Statuses};
pub use config::{Config, HealthCheck, InstanceConfig, Listener, Probe, Service};
pub use docs::docs_markdown;
pub use error::{ConfigError, Invalid, Place, Problem};
pub use file::{ConfigFile, DefaultsFile, InstanceFile, ListenerFile, Protocol, Route, ServiceFile};
pub use hashing::RegionsText;
pub use health_check::{HealthCheckFile, HttpCheckFile, TcpCheckFile};
pub use keys::{Key, LoadFactorText, Parameter, TableSizeText, Token};
pub use names::nearest;
pub use policy::{PanicText, RegionList};
pub use preset::{ModeText, Preset, RecoveryText};
pub use read::read_text;
pub use request::{
    BadRequest, BodyFault, DrainRequest, HealthRequest, InstanceRequest, LoadRequest, PickBody,
    RecordRequest, ServicePatch, TimeText, read_body,
};
pub use retry_on::RetryOn;
pub use scenario::{
    Amount, ArrivalsFile, BetweenFile, BudgetText, CacheFile, ClientsFile, ColdStartFile, DrawnFile,
    FaultFile, FaultKindFile, HotKeyFile, KeysFile, MachineFile, MixtureFile, NetworkFile, NormalFile,
    ParetoFile, ReportsFile, ScenarioFile, ServerSet, ServersFile, Span, SquareFile, TenantsFile,
    UniformFile, WorkFile,
};
pub use schema::json_schema;
pub use settings::{
    Admin, AdminFile, CircuitBreaker, CircuitBreakerFile, Health, HealthFile, Limits, LimitsFile,
    ListenerTimeouts, ListenerTimeoutsFile, Locality, LocalityFile, Orca, OrcaFile, Pool, PoolFile,
    RecordPicks, RecordPicksFile, Retry, RetryFile, SlowStart, SlowStartFile, Timeouts, TimeoutsFile,
};
pub use shadow::ShadowText;
pub use sticky::{SameSite, Sticky, StickyFile};
pub use strategy::{Compatibility, NameText, StrategyFile, StrategyText};
pub use text::{Count, CountLimit, DurationText, OrNone, Ratio, SizeLimit, SizeText};
pub use token_file::TokenFile;
pub use whole::Whole;
