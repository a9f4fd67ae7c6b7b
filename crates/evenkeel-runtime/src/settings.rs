//! What settings may be, for those that a program wrote: the configuration file has the same limits at each key.

use std::collections::HashSet;
use std::sync::Arc;

use evenkeel_core::strategy::RingKind;
use evenkeel_core::{EjectionSettings, Instance, Nanos, ServiceSettings, Source, StrategySettings, View};

use crate::spec::{ApplyError, ServiceSpec};

/// A setting is not acceptable. The text names it and says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SettingsError {
    /// Which, as it is written in Rust.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// Below this a period is load; the configuration file knows no shorter one either.
const SHORTEST: Nanos = Nanos::from_millis(1);
/// A year, the longest time of the configuration file.
const LONGEST: Nanos = Nanos::from_secs(365 * 24 * 3600);

/// Whether a service can be run by these settings.
///
/// # Errors
/// Names the first setting that is not acceptable.
pub fn check_settings(settings: &ServiceSettings) -> Result<(), SettingsError> {
    ejection(&settings.ejection)?;
    if let Some(checks) = &settings.checks {
        at_least_one("checks.unhealthy", checks.unhealthy)?;
        at_least_one("checks.healthy", checks.healthy)?;
    }
    let window = settings.slow_start.window;
    if window > LONGEST {
        return Err(time("slow_start.window", window));
    }
    if let Some(shadow) = &settings.shadow {
        check_strategy(shadow)?;
    }
    check_strategy(&settings.strategy)
}

/// Whether a service can pick by these settings.
///
/// # Errors
/// Names the first setting that is not acceptable.
pub fn check_strategy(strategy: &StrategySettings) -> Result<(), SettingsError> {
    match strategy {
        StrategySettings::consistent_hash(settings) => match settings.ring {
            RingKind::Keyed { virtual_nodes } => at_least_one("ring.virtual_nodes", virtual_nodes),
            RingKind::Ketama | RingKind::Envoy => Ok(()),
        },
        StrategySettings::geographical(settings) => {
            if matches!(*settings.within, StrategySettings::auto(_)) {
                let problem = "`auto` looks at a service as a whole; use one of its candidates";
                return Err(wrong("within", problem.to_owned()));
            }
            let capacity = settings.capacity_per_weight.unwrap_or(1);
            at_least_one("capacity_per_weight", capacity)
        }
        StrategySettings::auto(settings) => {
            let verdict = settings.check();
            verdict.map_err(|(field, problem)| wrong(field, problem.replace('\n', "; ")))?;
            settings.candidates.iter().try_for_each(check_strategy)
        }
        StrategySettings::orca_weighted(settings) => {
            period("expiration", settings.expiration)?;
            period("update", settings.update)
        }
        StrategySettings::resource_aware(settings) => {
            at_least_one("connections_scale", settings.connections_scale)
        }
        _ => Ok(()),
    }
}

/// Whether the strategy of `spec` can choose among its instances, and those that were registered in `present`, which stay beside
/// them; and whether its shadow goes with it. A shadow that could not choose among so many is idle, and no reason to refuse.
pub(crate) fn check_suits(spec: &ServiceSpec, present: Option<&View>) -> Result<(), ApplyError> {
    let declared: HashSet<_> = spec.instances.iter().map(|instance| &instance.id).collect();
    let members = present.into_iter().flat_map(View::members);
    let stay: Vec<&Instance> = members
        .filter(|(.., status)| status.source == Source::Registration)
        .map(|(_, member, _)| member.instance())
        .filter(|instance| !declared.contains(&instance.id))
        .collect();
    let all = spec.instances.iter().chain(stay.iter().copied());
    let weight = all.map(|instance| u64::from(instance.weight.get())).sum();
    let instances = (spec.instances.len() + stay.len()) as u64;
    let (strategy, registered) = (&spec.settings.strategy, stay.len());
    let service = || Arc::clone(&spec.settings.name);
    let verdict = strategy.strategy().suits(instances, weight);
    verdict.map_err(|why| ApplyError::Unsuitable {
        service: service(),
        strategy: strategy.name(),
        registered,
        why,
    })?;
    let Some(shadow) = &spec.settings.shadow else {
        return Ok(());
    };
    shadow
        .shadows(strategy)
        .map_err(|why| ApplyError::UnsuitableShadow {
            service: service(),
            shadow: shadow.name(),
            why,
        })
}

fn ejection(ejection: &EjectionSettings) -> Result<(), SettingsError> {
    period("ejection.base", ejection.base)?;
    period("ejection.max", ejection.max)?;
    if ejection.base > ejection.max {
        let (base, max) = (ejection.base, ejection.max);
        let problem =
            format!("{base}, the first ejection, is longer than the longest, `max`, which is {max}");
        return Err(wrong("ejection.base", problem));
    }
    share("ejection.error_rate", ejection.error_rate)?;
    // Not what is compared with `<`: NaN is to fail.
    if !(1.0..=1000.0).contains(&ejection.slow_factor) {
        let problem = format!("{} is not a factor from 1 to 1000", ejection.slow_factor);
        return Err(wrong("ejection.slow_factor", problem));
    }
    share("ejection.threshold", ejection.threshold)?;
    share("ejection.recovery_threshold", ejection.recovery_threshold)?;
    period("ejection.refresh", ejection.refresh)
}

fn wrong(field: &'static str, problem: String) -> SettingsError {
    SettingsError { field, problem }
}

fn at_least_one(field: &'static str, value: u32) -> Result<(), SettingsError> {
    match value {
        0 => Err(wrong(field, "0 is too few; use 1 or more".into())),
        _ => Ok(()),
    }
}

fn share(field: &'static str, value: f32) -> Result<(), SettingsError> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(wrong(
            field,
            format!("{value} is not a share; use a number from 0 to 1"),
        )),
    }
}

fn period(field: &'static str, value: Nanos) -> Result<(), SettingsError> {
    match (SHORTEST..=LONGEST).contains(&value) {
        true => Ok(()),
        false => Err(time(field, value)),
    }
}

fn time(field: &'static str, value: Nanos) -> SettingsError {
    let problem = format!("{value} is out of range; use 1 ms to 365 days");
    wrong(field, problem)
}

#[cfg(test)]
mod tests {
    use evenkeel_core::strategy::{ConsistentHash, Geographical, OrcaWeighted, ResourceAware};
    use evenkeel_core::{CheckThresholds, SlowStart, StrategyName};

    use super::*;

    fn field(change: impl FnOnce(&mut ServiceSettings)) -> Option<&'static str> {
        let mut settings = ServiceSettings::new("web");
        change(&mut settings);
        check_settings(&settings).err().map(|error| error.field)
    }

    #[test]
    fn defaults_are_acceptable() {
        for name in StrategyName::ALL {
            assert_eq!(field(|s| s.strategy = (*name).into()), None, "{name}");
        }
        assert_eq!(field(|s| s.checks = Some(CheckThresholds::default())), None);
        assert_eq!(field(|s| s.slow_start = SlowStart::OFF), None);
        assert_eq!(field(|s| s.min_healthy = 0), None);
        assert_eq!(field(|s| s.ejection.consecutive_failures = 0), None);
    }

    #[test]
    fn what_is_no_number_or_out_of_range_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.1, 1.1, 5.0] {
            assert_eq!(
                field(|s| s.ejection.error_rate = bad),
                Some("ejection.error_rate")
            );
            assert_eq!(field(|s| s.ejection.threshold = bad), Some("ejection.threshold"));
            let recovery = field(|s| s.ejection.recovery_threshold = bad);
            assert_eq!(recovery, Some("ejection.recovery_threshold"));
        }
        for bad in [f32::NAN, f32::INFINITY, -1.0, 0.0, 0.5] {
            assert_eq!(
                field(|s| s.ejection.slow_factor = bad),
                Some("ejection.slow_factor")
            );
        }
        for bad in [Nanos::ZERO, Nanos(999_999), Nanos::MAX] {
            assert_eq!(field(|s| s.ejection.base = bad), Some("ejection.base"));
            assert_eq!(field(|s| s.ejection.max = bad), Some("ejection.max"));
            assert_eq!(field(|s| s.ejection.refresh = bad), Some("ejection.refresh"));
            let orca = |update, expiration| OrcaWeighted {
                update,
                expiration,
                ..OrcaWeighted::default()
            };
            let second = Nanos::from_secs(1);
            let updates = field(|s| s.strategy = StrategySettings::orca_weighted(orca(bad, second)));
            assert_eq!(updates, Some("update"));
            let expires = field(|s| s.strategy = StrategySettings::orca_weighted(orca(second, bad)));
            assert_eq!(expires, Some("expiration"));
        }
        assert_eq!(
            field(|s| s.ejection.max = Nanos::from_secs(4)),
            Some("ejection.base")
        );
        assert_eq!(
            field(|s| s.slow_start.window = Nanos::MAX),
            Some("slow_start.window")
        );
        let (some, none) = (CheckThresholds::default(), 0);
        let thresholds = CheckThresholds {
            unhealthy: none,
            ..some
        };
        assert_eq!(field(|s| s.checks = Some(thresholds)), Some("checks.unhealthy"));
        let thresholds = CheckThresholds {
            healthy: none,
            ..some
        };
        assert_eq!(field(|s| s.checks = Some(thresholds)), Some("checks.healthy"));
        let strategies = [
            StrategySettings::consistent_hash(ConsistentHash {
                ring: RingKind::Keyed { virtual_nodes: 0 },
                ..ConsistentHash::default()
            }),
            StrategySettings::geographical(Geographical {
                capacity_per_weight: Some(0),
                ..Geographical::default()
            }),
            StrategySettings::resource_aware(ResourceAware {
                connections_scale: 0,
                ..ResourceAware::default()
            }),
        ];
        let named = strategies.map(|strategy| field(|s| s.strategy = strategy));
        let expected = ["ring.virtual_nodes", "capacity_per_weight", "connections_scale"];
        assert_eq!(named, expected.map(Some));
    }
}
