//! The pure heart of Evenkeel: instances, their shared statistics, immutable views, strategies that
//! pick, leases that end with an outcome, and the state machine that turns evidence into views.
//!
//! Nothing here does I/O, spawns, reads a clock or asks the operating system for randomness: time is
//! a [`Nanos`] argument, randomness a seeded [`Rng`]. The same events in the same order with the same
//! seed give the same picks on every platform.

mod auto;
mod budget;
pub mod calendar;
mod candidates;
mod distance;
mod draw;
mod event;
mod explain;
mod hash;
mod health;
mod instance;
mod keyed;
mod levels;
mod load;
pub mod math;
mod operation;
mod pace;
mod pick;
mod report;
mod retry;
mod rng;
mod scored;
mod service;
mod session;
mod shadow;
mod share;
mod snapshot;
mod stats;
pub mod strategy;
mod sync;
#[doc(hidden)]
pub mod testing;
mod time;
mod trust;
mod view;

pub use auto::{AutoSnapshot, Course, Regime, RivalSnapshot, Switch, Veto};
pub use budget::{NoRetry, Retry, RetryBudget};
pub use candidates::{Exclusion, Panic, Regions, SlowStart};
pub use distance::Distance;
pub use event::{Event, EventKind};
pub use explain::{ExplainedInstance, Explanation, Finding, Question};
pub use hash::{HashKeys, HashSecret, HashedKey, KeyHash, KeySource, RequestKey, Rotation};
pub use health::{
    BreakerState, Calibration, CalibrationBin, CheckFailure, CheckOutcome, CheckThresholds, EjectionSettings,
    HealthPart, HealthParts, InstanceState, Mode, Outlook, PREDICTION_HORIZON, Recovery, Thresholds,
};
pub use instance::{Instance, InstanceError, InstanceId, Weight};
pub use keyed::{HashSettings, KeyRegions, LoadFactor};
pub use load::{LoadBlock, LoadSlot, Loads};
pub use operation::{Effect, Input, Operation, OperationError, Score, Source};
pub use pick::{Alarm, Lease, NoPick, Outcome, PickContext, PickRequest, Sending, Verdict};
pub use report::{LoadReport, OrcaError, REPORT_EXPIRY, REPORT_FRESH, ReportError, ReportedLoad};
pub use retry::{RetryOn, RetryReason, StatusSet};
pub use rng::Rng;
pub use scored::HealthFactor;
pub use service::{Evidence, ServiceCounters, ServiceSettings, ServiceState};
pub use session::{SessionKey, SessionTag};
pub use shadow::ShadowCounts;
pub use share::Share;
pub use snapshot::{InstanceSnapshot, Quantiles, RequestCounts};
pub use stats::Stats;
pub use strategy::{Appraisal, Learned, Picker, Strategy, StrategyName, StrategySettings};
pub use time::Nanos;
pub use view::{Candidates, Member, Slot, Status, View};
