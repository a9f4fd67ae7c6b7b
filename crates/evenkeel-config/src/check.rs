//! Checks across fields: unique names, references, and settings which only together are wrong.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::cookies;
use crate::file::{ConfigFile, DefaultsFile, ServiceFile};
use crate::health_check::HealthCheckFile;
use crate::path::{Path, at};
use crate::preset::with_preset;
use crate::routes;
use crate::settings::{CircuitBreaker, CircuitBreakerFile, LimitsFile, overlay};
use crate::shadow::ShadowText;
use crate::strategy::StrategyText;

/// Something wrong, by its path in the file.
pub(crate) struct Finding {
    pub(crate) path: Path,
    pub(crate) message: String,
    /// Another place that has to do with it, and what.
    pub(crate) related: Option<(String, Path)>,
    /// Whether it is about something that is not there.
    pub(crate) absence: bool,
}

impl Finding {
    pub(crate) fn new(path: Path, message: impl Into<String>) -> Self {
        Self {
            path,
            message: message.into(),
            related: None,
            absence: false,
        }
    }

    pub(crate) fn absent(path: Path, message: impl Into<String>) -> Self {
        Self {
            absence: true,
            ..Self::new(path, message)
        }
    }

    pub(crate) fn with(self, what: &str, other: Path) -> Self {
        Self {
            related: Some((what.to_owned(), other)),
            ..self
        }
    }
}

/// All findings in `file`, in O(n) of its instances.
pub(crate) fn check(file: &ConfigFile) -> Vec<Finding> {
    let mut found = Vec::new();
    limits(file, &mut found);
    listeners(file, &mut found);
    services(file, &mut found);
    cookies::check(file, &mut found);
    found
}

/// Limits below which no message would fit.
fn limits(file: &ConfigFile, found: &mut Vec<Finding>) {
    let Some(limits) = &file.limits else { return };
    let written = [limits.head, limits.chunk_line, limits.trailers];
    let reasons = [
        "common requests",
        "every size of a chunk",
        "a field and the end of a body",
    ];
    for (((key, least), size), why) in LimitsFile::LEAST.into_iter().zip(written).zip(reasons) {
        if let Some(size) = size.filter(|size| *size < least) {
            let text = format!("`{size}` is too small for {why}: write `{least}` or more");
            found.push(Finding::new(at!["limits", key], text));
        }
    }
}

/// The first path of each key seen, and whether it was seen before.
struct Seen<K>(HashMap<K, Path>);

impl<K: Hash + Eq> Seen<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// The place of the first `key`, if this is not the first.
    fn again(&mut self, key: K, path: &Path) -> Option<Path> {
        match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(first) => Some(first.get().clone()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(path.clone());
                None
            }
        }
    }
}

fn listeners(file: &ConfigFile, found: &mut Vec<Finding>) {
    if file.listeners.is_empty() {
        found.push(Finding::absent(
            at!["listeners"],
            "there is no listener, so no client can connect\nadd `listeners: [{ name: web, bind: 127.0.0.1:8080 }]`",
        ));
    }
    let (mut names, mut binds) = (Seen::new(), Seen::new());
    if let Some(admin) = file.admin.as_ref().and_then(|admin| admin.listen) {
        let _ = binds.again(admin, &at!["admin", "listen"]);
    }
    for (i, listener) in file.listeners.iter().enumerate() {
        let at = at!["listeners", i];
        let name = at.then("name");
        if let Some(first) = names.again(&listener.name, &name) {
            let text = format!(
                "a second listener is called `{}`\ngive each its own name",
                listener.name
            );
            found.push(Finding::new(name, text).with("the first is", first));
        }
        let bind = at.then("bind");
        // Port 0 is another port each time.
        if listener.bind.0.port() != 0
            && let Some(first) = binds.again(listener.bind, &bind)
        {
            let text = format!(
                "`{}` is listened on twice\ngive each listener its own address or port",
                listener.bind
            );
            found.push(Finding::new(bind, text).with("the first is", first));
        }
        let routes = listener.routes.as_deref().unwrap_or_default();
        if routes.is_empty() && file.services.len() > 1 {
            let name = &file.services[0].name;
            let text = format!(
                "`{}` has no routes, and there are {} services to choose from\nadd `routes: [{{ service: {name} }}]`",
                listener.name,
                file.services.len()
            );
            found.push(Finding::absent(at.clone(), text));
        }
        routes::check(file, routes, &at.then("routes"), found);
    }
}

fn services(file: &ConfigFile, found: &mut Vec<Finding>) {
    if file.services.is_empty() {
        found.push(Finding::absent(
            at!["services"],
            "there is no service to send requests to\nadd `services: [{ name: web, instances: [{ address: 127.0.0.1:9001 }] }]`",
        ));
    }
    let none = DefaultsFile::default();
    let defaults = file.defaults.as_ref().unwrap_or(&none);
    strategies(
        defaults.strategy.as_ref(),
        defaults.shadow.as_ref().and_then(ShadowText::strategy),
        &at!["defaults"],
        found,
    );
    if let Some(check) = &defaults.health_check {
        both_kinds(check, &at!["defaults", "health_check"], found);
    }
    let mut names = Seen::new();
    for (i, service) in file.services.iter().enumerate() {
        let at = at!["services", i];
        let name = at.then("name");
        if let Some(first) = names.again(&service.name, &name) {
            let text = format!(
                "a second service is called `{}`\ngive each its own name",
                service.name
            );
            found.push(Finding::new(name, text).with("the first is", first));
        }
        let weights = service.instances.iter().map(|instance| {
            let weight: u16 = instance.weight.map_or(1, Into::into);
            u64::from(weight)
        });
        let fleet = (service.instances.len() as u64, weights.sum());
        settings(service, defaults, fleet, &at, found);
        instances(service, &at, found);
    }
}

/// What is wrong with the settings of a service that stand at `at`. Of its instances only their number and the sum of
/// their weights matter, as `fleet`: a scenario has servers instead.
pub(crate) fn settings(
    service: &ServiceFile,
    defaults: &DefaultsFile,
    fleet: (u64, u64),
    at: &Path,
    found: &mut Vec<Finding>,
) {
    let shadow = service.shadow.as_ref().and_then(ShadowText::strategy);
    strategies(service.strategy.as_ref(), shadow, at, found);
    suits(service, defaults, fleet, at, found);
    health_check(service, defaults, at, found);
    circuit_breaker(service, defaults, at, found);
    sticky(service, defaults, at, found);
}

fn strategies(
    strategy: Option<&StrategyText>,
    shadow: Option<&StrategyText>,
    at: &Path,
    found: &mut Vec<Finding>,
) {
    for (name, given) in [("strategy", strategy), ("shadow", shadow)] {
        let wrong = given.map(|given| given.0.misplaced()).unwrap_or_default();
        found.extend(
            wrong
                .into_iter()
                .map(|(key, text)| Finding::new(at.then(name).then(key), text)),
        );
    }
    if shadow.is_some_and(|shadow| shadow.0.hashing().hash_secret_file.is_some()) {
        let text = "a shadow hashes under the secret of `strategy`\nremove the key";
        found.push(Finding::new(at.then("shadow").then("hash_secret_file"), text));
    }
}

/// Whether the strategy and its shadow can choose among the instances.
fn suits(
    service: &ServiceFile,
    defaults: &DefaultsFile,
    (instances, weight): (u64, u64),
    at: &Path,
    found: &mut Vec<Finding>,
) {
    let shared = at!["defaults"];
    let own = service.strategy.clone().map(|own| (own, at.clone()));
    let strategy = own.or_else(|| Some((defaults.strategy.clone()?, shared.clone())));
    let own = service.shadow.clone().map(|own| (own, at.clone()));
    let shadow = own.or_else(|| Some((defaults.shadow.clone()?, shared.clone())));
    let shadow = shadow.and_then(|(shadow, at)| Some((shadow.into_strategy()?, at)));
    for (key, given) in [("strategy", &strategy), ("shadow", &shadow)] {
        let Some((given, at)) = given else { continue };
        let settings = given.0.settings(&service.name, None);
        if let Err(why) = settings.strategy().suits(instances, weight) {
            let name = given.0.name;
            let text = format!(
                "`{name}` does not suit the instances of `{}`\n{why}",
                service.name
            );
            found.push(Finding::new(at.then(key), text));
        }
    }
    if let Some((shadow, at)) = &shadow {
        let strategy = strategy.map(|(strategy, _)| strategy).unwrap_or_default();
        let [own, other] = [&strategy, shadow].map(|one| one.0.settings(&service.name, None));
        if let Err(why) = other.shadows(&own) {
            let why = why.replacen("; ", "\n", 1);
            found.push(Finding::new(at.then("shadow"), why));
        }
    }
}

fn instances(service: &ServiceFile, at: &Path, found: &mut Vec<Finding>) {
    if service.instances.is_empty() {
        let text = format!(
            "the service `{}` has no instances, so every request would be answered with 503\nadd `instances: [{{ address: 127.0.0.1:9001 }}]`, or remove the service",
            service.name
        );
        found.push(Finding::absent(at.then("name"), text));
    }
    let at = at.then("instances");
    let mut ids = HashMap::with_capacity(service.instances.len());
    for (i, instance) in service.instances.iter().enumerate() {
        let key = |i: usize| {
            if service.instances[i].id.is_some() {
                "id"
            } else {
                "address"
            }
        };
        let id = instance
            .id
            .clone()
            .unwrap_or_else(|| instance.address.to_string());
        if let Some(first) = ids.get(&id) {
            let text = format!(
                "a second instance of `{}` has the id `{id}`\ngive each its own `id`",
                service.name
            );
            let first = at.then(*first).then(key(*first));
            found.push(Finding::new(at.then(i).then(key(i)), text).with("the first is", first));
        } else {
            ids.insert(id, i);
        }
    }
}

fn both_kinds(check: &HealthCheckFile, at: &Path, found: &mut Vec<Finding>) {
    if check.http.is_some() && check.tcp.is_some() {
        found.push(Finding::new(
            at.then("tcp"),
            "a health check has one kind, and this has two\nremove `http` or `tcp`",
        ));
    }
}

fn health_check(service: &ServiceFile, defaults: &DefaultsFile, at: &Path, found: &mut Vec<Finding>) {
    let Some(merged) = overlay(service.health_check.clone(), defaults.health_check.clone()) else {
        return;
    };
    let own = service.health_check.as_ref();
    let at_own = at.then("health_check");
    let at_defaults = at!["defaults", "health_check"];
    if let Some(own) = own {
        both_kinds(own, &at_own, found);
    }
    if merged.http.is_none() && merged.tcp.is_none() {
        let at = if own.is_some() { &at_own } else { &at_defaults };
        let text = "this health check does not say how to check\nadd `http: { path: / }` or `tcp: {}`";
        found.push(Finding::absent(at.clone(), text));
    }
    let interval: Duration = merged.interval.unwrap_or(HealthCheckFile::INTERVAL).into();
    let timeout: Duration = merged.timeout.unwrap_or(HealthCheckFile::TIMEOUT).into();
    if timeout > interval {
        let key = if own.is_some_and(|own| own.timeout.is_some()) {
            at_own.then("timeout")
        } else if own.is_some_and(|own| own.interval.is_some()) {
            at_own.then("interval")
        } else {
            let timeout = defaults
                .health_check
                .as_ref()
                .is_some_and(|check| check.timeout.is_some());
            at_defaults.then(if timeout { "timeout" } else { "interval" })
        };
        let text = format!(
            "a check of `{}` may take {} but starts every {}\nmake `timeout` no longer than `interval`",
            service.name,
            crate::text::DurationText(timeout),
            crate::text::DurationText(interval)
        );
        // What is not there may have been wrong, rather than left to its default.
        let absence = merged.timeout.is_none() || merged.interval.is_none();
        found.push(Finding {
            absence,
            ..Finding::new(key, text)
        });
    }
}

fn circuit_breaker(service: &ServiceFile, defaults: &DefaultsFile, at: &Path, found: &mut Vec<Finding>) {
    let own = service.circuit_breaker.as_ref();
    let health = overlay(service.health.clone(), defaults.health.clone());
    let merged = overlay(own.cloned(), defaults.circuit_breaker.clone());
    let merged = with_preset(health, merged).1;
    let absence = merged.base_ejection.is_none() || merged.recovery_window.is_none();
    let base_written = |breaker: &CircuitBreakerFile| breaker.base_ejection.is_some();
    let written = |breaker: &CircuitBreakerFile| base_written(breaker) || breaker.recovery_window.is_some();
    let (group, at) = match (own.filter(|own| written(own)), &defaults.circuit_breaker) {
        (Some(own), _) => (Some(own), at.clone()),
        (None, Some(shared)) => (Some(shared), at!["defaults"]),
        (None, None) => (None, at.clone()),
    };
    let merged = CircuitBreaker::from(merged);
    if merged.base_ejection > merged.recovery_window {
        let key = if group.is_some_and(base_written) {
            "base_ejection"
        } else {
            "recovery_window"
        };
        let text = format!(
            "the first ejection of `{}` would last longer than the longest\nmake `base_ejection` ({}) no longer than `recovery_window` ({})",
            service.name,
            crate::text::DurationText(merged.base_ejection),
            crate::text::DurationText(merged.recovery_window)
        );
        found.push(Finding {
            absence,
            ..Finding::new(at.then("circuit_breaker").then(key), text)
        });
    }
}

fn sticky(service: &ServiceFile, defaults: &DefaultsFile, at: &Path, found: &mut Vec<Finding>) {
    let own = service.sticky.clone();
    let Some(merged) = overlay(own.clone(), defaults.sticky.clone()) else {
        return;
    };
    // What the service does not write itself stands in the defaults.
    let own: Vec<&str> = own
        .unwrap_or_default()
        .misplaced()
        .into_iter()
        .map(|(key, ..)| key)
        .collect();
    for (key, text, absence) in merged.misplaced() {
        let at = if own.contains(&key) || defaults.sticky.is_none() {
            at.clone()
        } else {
            at!["defaults"]
        };
        found.push(Finding {
            absence,
            ..Finding::new(at.then("sticky").then(key), text)
        });
    }
}
