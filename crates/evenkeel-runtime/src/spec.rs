//! What a balancer is told to run, and what is wrong with it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{Instance, InstanceError, ServiceSettings, StrategyName};
use hyper::Uri;
use hyper::header::HeaderValue;

use crate::settings::SettingsError;

/// One service as configured.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Settings of the core. Its check thresholds count only beside a [`Self::check`], and have
    /// their defaults when they are missing there.
    pub settings: ServiceSettings,
    /// The backends.
    pub instances: Vec<Instance>,
    /// The active check; `None` for none.
    pub check: Option<CheckSettings>,
}

/// How instances are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckSettings {
    /// What a check does.
    pub kind: CheckKind,
    /// The longest time from one check of an instance to its next.
    pub interval: Duration,
    /// How long a check may take in all, connecting included.
    pub timeout: Duration,
    /// Share of the interval, `0.0..=1.0`, by which each wait is shortened at random, so that checks
    /// of many instances and of many balancers do not come in step.
    pub jitter: f64,
    /// The port to check instead of the instance's own.
    pub port: Option<u16>,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Connects and closes.
    Tcp,
    /// Sends `GET path` and looks at the status.
    Http {
        /// Path and query, beginning with a slash.
        path: String,
        /// The `Host` header; the checked address when `None`.
        host: Option<String>,
        /// Statuses of a healthy instance; usually [`CheckKind::EXPECTED`].
        expected: Vec<RangeInclusive<u16>>,
    },
}

impl CheckKind {
    /// Statuses of a healthy instance, unless configured otherwise.
    pub const EXPECTED: RangeInclusive<u16> = 200..=399;
}

impl CheckSettings {
    /// Says what is wrong, if anything: the field and the remedy.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.interval < Self::SHORTEST {
            return Err(format!(
                "interval {:?} is too short; use at least {:?}",
                self.interval,
                Self::SHORTEST
            ));
        }
        if self.timeout.is_zero() {
            return Err("timeout is zero, so every check would fail; use for example 1s".into());
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(format!(
                "jitter {} is not a share; use a number from 0 to 1",
                self.jitter
            ));
        }
        if self.port == Some(0) {
            return Err("port 0 cannot be connected to; leave it out to check the instance's own".into());
        }
        let CheckKind::Http { path, host, expected } = &self.kind else {
            return Ok(());
        };
        if !path.starts_with('/') || path.parse::<Uri>().is_err() {
            return Err(format!(
                "path {path:?} is not a path; it begins with a slash and holds no spaces, such as /healthz"
            ));
        }
        if let Some(host) = host
            && (host.is_empty() || HeaderValue::from_str(host).is_err())
        {
            return Err(format!("host {host:?} cannot be sent as a Host header"));
        }
        if expected.is_empty() {
            return Err("no status is expected, so every check would fail; use for example 200-399".into());
        }
        if let Some(bad) = expected
            .iter()
            .find(|r| r.is_empty() || *r.start() < 100 || *r.end() > 999)
        {
            return Err(format!(
                "expected {}-{} is not a range of statuses; use for example 200-399",
                bad.start(),
                bad.end()
            ));
        }
        Ok(())
    }

    /// Below this a check is load.
    const SHORTEST: Duration = Duration::from_millis(10);
}

/// Why a configuration was not taken. Nothing changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Two services share a name.
    #[error("service {0}: the name is used twice; names of services are unique")]
    DuplicateService(Arc<str>),
    /// An instance is not acceptable.
    #[error("service {service}: {source}")]
    Instance {
        /// Of which service.
        service: Arc<str>,
        /// What is wrong with it.
        source: InstanceError,
    },
    /// A setting is not acceptable.
    #[error("service {service}: {source}")]
    Settings {
        /// Of which service.
        service: Arc<str>,
        /// Which, and what is wrong with it.
        source: SettingsError,
    },
    /// The strategy could not choose among the instances.
    #[error("service {service}: strategy: {strategy} does not suit its instances: {why}{}", beside(*.registered))]
    Unsuitable {
        /// Of which service.
        service: Arc<str>,
        /// Which strategy.
        strategy: StrategyName,
        /// How many of the instances were registered and stay.
        registered: usize,
        /// Why not, and what to do.
        why: String,
    },
    /// The shadow strategy does not go with the strategy.
    #[error("service {service}: shadow: {shadow} does not suit it: {why}")]
    UnsuitableShadow {
        /// Of which service.
        service: Arc<str>,
        /// Which strategy.
        shadow: StrategyName,
        /// Why not, and what to do.
        why: String,
    },
    /// The active check is not acceptable.
    #[error("service {service}: health check: {reason}")]
    Check {
        /// Of which service.
        service: Arc<str>,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The balancer was shut down.
    #[error("the balancer was shut down and takes no configuration any more")]
    ShutDown,
    /// There is nothing to run tasks on.
    #[error("no tokio runtime is running here; call it from within one")]
    NoRuntime,
    /// The runtime that the tasks ran on is gone, and they with it.
    #[error(
        "the tokio runtime that this balancer was first used on has ended or has no timers, so that its tasks are \
         gone; use it first on a runtime that lasts as long as the balancer, or make another balancer"
    )]
    RuntimeEnded,
    /// A bug: the task that took in the configuration panicked. Services may have changed in part.
    #[error("taking in the configuration failed unexpectedly; the log says where")]
    Panicked,
}

/// What is to be said of instances that are not among those that were applied.
fn beside(registered: usize) -> String {
    match registered {
        0 => String::new(),
        n => {
            format!("; {n} of them were registered at run time and stay: deregister some, or take others out")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> CheckSettings {
        CheckSettings {
            kind: CheckKind::Http {
                path: "/healthz".into(),
                host: None,
                expected: vec![CheckKind::EXPECTED],
            },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            jitter: 0.1,
            port: None,
        }
    }

    #[test]
    fn each_error_names_its_field() {
        assert_eq!(http().validate(), Ok(()));
        let with = |path: &str, host: Option<&str>, expected| CheckSettings {
            kind: CheckKind::Http {
                path: path.into(),
                host: host.map(str::to_owned),
                expected,
            },
            ..http()
        };
        let ok = || vec![CheckKind::EXPECTED];
        #[allow(clippy::reversed_empty_ranges, reason = "it is what is refused")]
        let reversed = 399..=200;
        let rows = [
            (
                "interval",
                CheckSettings {
                    interval: Duration::ZERO,
                    ..http()
                },
            ),
            (
                "timeout",
                CheckSettings {
                    timeout: Duration::ZERO,
                    ..http()
                },
            ),
            (
                "jitter",
                CheckSettings {
                    jitter: f64::NAN,
                    ..http()
                },
            ),
            (
                "jitter",
                CheckSettings {
                    jitter: 1.5,
                    ..http()
                },
            ),
            (
                "port",
                CheckSettings {
                    port: Some(0),
                    ..http()
                },
            ),
            ("path", with("healthz", None, ok())),
            ("path", with("/health z", None, ok())),
            ("host", with("/", Some("a\r\nb"), ok())),
            ("status", with("/", None, vec![])),
            ("expected", with("/", None, vec![reversed])),
            ("expected", with("/", None, vec![0..=200])),
        ];
        for (field, settings) in rows {
            let error = settings.validate().unwrap_err();
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
