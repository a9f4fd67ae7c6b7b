//! From the configuration to the types of the core.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{
    CheckThresholds, EjectionSettings, HashKeys, Instance, InstanceError, InstanceId, Nanos, Regions,
    ServiceSettings, Share, SlowStart, Weight,
};

use crate::config::{InstanceConfig, Service};

/// A year of nanoseconds, the longest duration of a file, fits easily.
fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn regions(names: &[String]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| name.as_str().into()).collect()
}

impl Service {
    /// For the core. `keys` are made of what the strategy's `hash_secret_file` holds. Who has the secret of
    /// [`Self::sticky`] adds its key.
    #[must_use]
    pub fn settings(&self, keys: Option<HashKeys>) -> ServiceSettings {
        let (service, breaker) = (self, &self.circuit_breaker);
        ServiceSettings {
            name: service.name.as_str().into(),
            strategy: service.strategy.settings(&service.name, keys),
            shadow: service
                .shadow
                .as_ref()
                .map(|shadow| shadow.settings(&service.name, keys)),
            checks: service.health_check.as_ref().map(|check| CheckThresholds {
                unhealthy: check.unhealthy_threshold,
                healthy: check.healthy_threshold,
            }),
            ejection: EjectionSettings {
                consecutive_failures: breaker.consecutive_errors,
                base: nanos(breaker.base_ejection),
                max: nanos(breaker.recovery_window),
                recovery: breaker.recovery,
                on_consecutive: breaker.on_consecutive_errors,
                on_error_rate: breaker.on_error_rate,
                on_burst: breaker.on_burst,
                on_slow: breaker.on_slow,
                on_silence: breaker.on_silence,
                on_score: service.health.on_score,
                on_prediction: service.health.on_prediction,
                adaptive: breaker.adaptive_thresholds,
                error_rate: breaker.error_rate as f32,
                error_rate_requests: breaker.error_rate_requests,
                slow_factor: breaker.slow_factor as f32,
                max_ejected: breaker.max_ejected as f32,
                threshold: service.health.threshold as f32,
                recovery_threshold: service.health.recovery_threshold as f32,
                refresh: nanos(service.health.refresh),
            },
            min_healthy: service.health.min_healthy_instances,
            panic: service.health.panic,
            regions: Regions {
                allow: regions(&service.locality.allow_regions),
                deny: regions(&service.locality.deny_regions),
            },
            slow_start: SlowStart {
                window: nanos(service.slow_start.window),
                min_share: Share::of(service.slow_start.min_share),
            },
            // Keyed by a secret, which the file only names.
            sessions: None,
            hash_keys: keys,
        }
    }
}

impl InstanceConfig {
    /// The instance at `address`, which is what its own address resolved to.
    ///
    /// # Errors
    /// When the port of `address` is 0; the rest was checked when the file was read.
    pub fn at(&self, address: SocketAddr) -> Result<Instance, InstanceError> {
        if address.port() == 0 {
            return Err(InstanceError::PortZero);
        }
        Ok(Instance {
            id: InstanceId::new(&self.id)?,
            address,
            weight: Weight::new(self.weight.into())?,
            priority: self.priority,
            region: self.region.as_deref().map(Into::into),
            zone: self.zone.as_deref().map(Into::into),
            metadata: self.metadata.clone(),
        })
    }
}
