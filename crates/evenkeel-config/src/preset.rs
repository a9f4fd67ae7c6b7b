//! Words and presets of health: which thresholds, which detectors, which way back.
//!
//! A preset sets what is left out, in `health` and in `circuit_breaker`; keys that are written stay. Each has the
//! numbers of a place that people come from, as far as ours mean the same; what that place does not have is off.

use evenkeel_core::{Mode, Recovery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{CircuitBreakerFile, HealthFile, Overlay};
use crate::text::{DurationText, Ratio};
use crate::whole::Whole;

/// Where thresholds come from that are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The defaults of this page.
    #[default]
    Evenkeel,
    /// Those of the Datapunk mesh: 0.5 and 0.8, five errors, 300 s, then the full share.
    Datapunk,
    /// Those of Envoy's outlier detection: five errors, 30 s and longer each time; a failure percentage of 85 in dry run.
    Envoy,
    /// Those of HAProxy's `observe layer7`: ten errors, then out for two checks, 2 s apart.
    Haproxy,
}

/// What a detector does when it finds something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeText {
    /// Ejects.
    #[default]
    Enforce,
    /// Says that it would, and counts.
    DryRun,
    /// Does not look.
    Off,
}

impl From<ModeText> for Mode {
    fn from(text: ModeText) -> Self {
        match text {
            ModeText::Enforce => Self::Enforce,
            ModeText::DryRun => Self::DryRun,
            ModeText::Off => Self::Off,
        }
    }
}

impl From<Mode> for ModeText {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::DryRun => Self::DryRun,
            Mode::Off => Self::Off,
        }
    }
}

/// How an instance comes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryText {
    /// After `recovery_window`, always.
    Fixed,
    /// After `base_ejection`, doubled each time.
    Backoff,
    /// So too, with a share that grows with the evidence.
    #[default]
    Ramp,
}

impl From<RecoveryText> for Recovery {
    fn from(text: RecoveryText) -> Self {
        match text {
            RecoveryText::Fixed => Self::Fixed,
            RecoveryText::Backoff => Self::Backoff,
            RecoveryText::Ramp => Self::Ramp,
        }
    }
}

impl From<Recovery> for RecoveryText {
    fn from(recovery: Recovery) -> Self {
        match recovery {
            Recovery::Fixed => Self::Fixed,
            Recovery::Backoff => Self::Backoff,
            Recovery::Ramp => Self::Ramp,
        }
    }
}

impl Preset {
    /// What it sets.
    fn settings(self) -> (HealthFile, CircuitBreakerFile) {
        let off = Some(ModeText::Off);
        let plain = CircuitBreakerFile {
            on_error_rate: off,
            on_burst: off,
            on_slow: off,
            on_silence: off,
            ..CircuitBreakerFile::default()
        };
        let unscored = HealthFile {
            threshold: Some(Ratio(0.0)),
            recovery_threshold: Some(Ratio(0.0)),
            ..HealthFile::default()
        };
        match self {
            Self::Evenkeel => Default::default(),
            Self::Datapunk => (
                HealthFile {
                    threshold: Some(Ratio(0.5)),
                    recovery_threshold: Some(Ratio(0.8)),
                    min_healthy_instances: Some(Whole::clamped(1)),
                    refresh: Some(DurationText::secs(30)),
                    ..HealthFile::default()
                },
                CircuitBreakerFile {
                    consecutive_errors: Some(Whole::clamped(5)),
                    recovery_window: Some(DurationText::secs(300)),
                    recovery: Some(RecoveryText::Fixed),
                    ..plain
                },
            ),
            Self::Envoy => (
                unscored,
                CircuitBreakerFile {
                    consecutive_errors: Some(Whole::clamped(5)),
                    base_ejection: Some(DurationText::secs(30)),
                    recovery_window: Some(DurationText::secs(300)),
                    recovery: Some(RecoveryText::Backoff),
                    on_error_rate: Some(ModeText::DryRun),
                    error_rate: Some(Ratio(0.85)),
                    error_rate_requests: Some(Whole::clamped(50)),
                    max_ejected: Some(Ratio(0.1)),
                    ..plain
                },
            ),
            Self::Haproxy => (
                unscored,
                CircuitBreakerFile {
                    consecutive_errors: Some(Whole::clamped(10)),
                    base_ejection: Some(DurationText::secs(4)),
                    recovery_window: Some(DurationText::secs(4)),
                    recovery: Some(RecoveryText::Fixed),
                    ..plain
                },
            ),
        }
    }
}

/// `health` and `circuit_breaker` with what their preset sets for the keys they leave out.
pub(crate) fn with_preset(
    health: Option<HealthFile>,
    breaker: Option<CircuitBreakerFile>,
) -> (HealthFile, CircuitBreakerFile) {
    let (health, breaker) = (health.unwrap_or_default(), breaker.unwrap_or_default());
    let (below, under) = health.preset.unwrap_or_default().settings();
    (health.over(below), breaker.over(under))
}
