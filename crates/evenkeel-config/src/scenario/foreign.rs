//! Settings of a service that a simulation does not have: refused, as a run that ignores them would show something else
//! than was asked for.
//!
//! Not here: how a health check asks (`http`, `tcp`, `port`), because one of them must be said; either finds out whether
//! the server answers.

use evenkeel_core::strategy::Level;

use crate::check::Finding;
use crate::file::DefaultsFile;
use crate::path::Path;
use crate::strategy::StrategyFile;

/// What of `service`, which stands at `at`, is without effect.
pub(super) fn check(service: &DefaultsFile, at: &Path, found: &mut Vec<Finding>) {
    let mut without = |given: bool, path: Path, remedy: &str| {
        if given {
            let key = path.last_key();
            let text = format!("`{key}` has no effect in a simulation\n{remedy}");
            found.push(Finding::new(path, text));
        }
    };
    let at_timeouts = at.then("timeouts");
    if let Some(timeouts) = &service.timeouts {
        let response = "clients wait as long as `deadline` of `clients` says: write that instead";
        without(
            timeouts.response.is_some(),
            at_timeouts.then("response"),
            response,
        );
        let connections = "it has no connections: remove the key";
        without(
            timeouts.connect.is_some(),
            at_timeouts.then("connect"),
            connections,
        );
        without(timeouts.idle.is_some(), at_timeouts.then("idle"), connections);
        let bodies = "requests and answers have no bodies: remove the key";
        without(
            timeouts.body_idle.is_some(),
            at_timeouts.then("body_idle"),
            bodies,
        );
    }
    for (given, key, remedy) in [
        (
            service.sticky.is_some(),
            "sticky",
            "it has no sessions: remove the key",
        ),
        (
            service.pool.is_some(),
            "pool",
            "it has no connections: remove the key",
        ),
        (
            service.orca.is_some(),
            "orca",
            "whether servers report is said by their `reports`: remove the key",
        ),
        (
            service.metrics.is_some(),
            "metrics",
            "its reports count everything: remove the key",
        ),
        (
            service.record_picks.is_some(),
            "record_picks",
            "its reports count all picks: remove the key",
        ),
    ] {
        without(given, at.then(key), remedy);
    }
    let jitter = service
        .health_check
        .as_ref()
        .is_some_and(|check| check.jitter.is_some());
    let at_jitter = at.then("health_check").then("jitter");
    without(jitter, at_jitter, "pauses vary by a tenth there: remove the key");
    if let Some(strategy) = &service.strategy {
        of_strategy(&strategy.0, &at.then("strategy"), &mut without);
    }
}

fn of_strategy(strategy: &StrategyFile, at: &Path, without: &mut impl FnMut(bool, Path, &str)) {
    let secret = "it has no secrets: remove the key";
    let keys = [
        (strategy.hash_secret_file.is_some(), "hash_secret_file", secret),
        (
            strategy.hash_secret_rotation.is_some(),
            "hash_secret_rotation",
            secret,
        ),
        (
            strategy.warm_connections.is_some(),
            "warm_connections",
            "it has no connections: remove the key",
        ),
        (
            strategy
                .levels
                .iter()
                .flatten()
                .any(|level| matches!(level.0, Level::Label(_))),
            "levels",
            "its servers have a `region` and a `zone`, no labels: name those alone",
        ),
    ];
    for (given, key, remedy) in keys {
        without(given, at.then(key), remedy);
    }
    if let Some(within) = &strategy.within {
        of_strategy(&within.0, &at.then("within"), without);
    }
}
