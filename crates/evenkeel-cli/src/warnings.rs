//! What is worth a word though the configuration is valid. Said once, and again when it comes back after it was gone: a
//! reload that changes nothing about it says nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_config::{Config, Service};
use evenkeel_core::strategy::Level;
use evenkeel_core::{Regions, StrategyName};

use crate::secrets::Secrets;

/// Service and text.
type Warning = (String, String);

/// What was said of the configuration in force.
static SAID: Mutex<BTreeSet<Warning>> = Mutex::new(BTreeSet::new());

/// Says what is new; `secrets` are those of the services.
pub(crate) fn say(config: &Config, secrets: &[Secrets]) {
    let short = config.services.iter().zip(secrets).filter_map(short_sessions);
    let now: BTreeSet<Warning> = config.services.iter().flat_map(of).chain(short).collect();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    for (service, text) in now.difference(&said) {
        tracing::warn!(%service, "{text}");
    }
    *said = now;
}

/// What there is to say of the file alone, a line each.
pub(crate) fn of_file(config: &Config) -> String {
    let warnings = config.services.iter().flat_map(of);
    warnings
        .map(|(service, text)| format!("warning: service {service}: {text}\n"))
        .collect()
}

fn of(service: &Service) -> Vec<Warning> {
    let texts = [
        known_hash(service),
        no_gap(service),
        more_than_there_are(service),
        from_nowhere(service),
        nobody_home(service),
        nobody_allowed(service),
        allowed_and_denied(service),
        nobody_there(service),
    ];
    let texts = texts.into_iter().flatten();
    texts.map(|text| (service.name.clone(), text)).collect()
}

fn short_sessions((service, secrets): (&Service, &Secrets)) -> Option<Warning> {
    let why = secrets.short.as_ref()?;
    let text = format!(
        "sessions end when this process does, and other processes do not know them: {why}; set `state_dir`, or name a \
         file in `sticky.secret_file`, to keep them"
    );
    Some((service.name.clone(), text))
}

fn known_hash(service: &Service) -> Option<String> {
    let strategy = service.strategy.hashing();
    let hashes = strategy.key.is_some() && strategy.compatibility.is_none();
    let text = "keys are hashed under the name of the service alone, so whoever knows that can choose keys that all go to \
                one instance; name a file with a secret in `hash_secret_file`, the same in all proxies of the service";
    (hashes && strategy.hash_secret_file.is_none()).then(|| text.to_owned())
}

fn no_gap(service: &Service) -> Option<String> {
    let (out, back) = (service.health.threshold, service.health.recovery_threshold);
    (back < out).then(|| {
        format!(
            "`health.recovery_threshold` is {back} and counts as {out}, which `health.threshold` is: without a gap between \
             them an instance comes and goes with every change of its score"
        )
    })
}

/// Likely more are to be registered; until then it is another number that counts.
fn more_than_there_are(service: &Service) -> Option<String> {
    let (least, there) = (
        service.health.min_healthy_instances as usize,
        service.instances.len(),
    );
    (least > there && there > 0).then(|| {
        format!(
            "`health.min_healthy_instances` is {least}, and there are {there}: until there are more, it counts as all that do \
             not drain"
        )
    })
}

fn from_nowhere(service: &Service) -> Option<String> {
    let strategy = &service.strategy;
    let text = "without `strategy.from`, no instance is nearer than another: say where this process is, as in \
                `from: { region: eu }`";
    (strategy.name.0 == StrategyName::geographical && strategy.from.is_none()).then(|| text.to_owned())
}

/// Likely a region that is written differently elsewhere: without a neighbour, any is as near as another.
fn nobody_home(service: &Service) -> Option<String> {
    let strategy = &service.strategy;
    let levels = strategy.levels.as_ref().and_then(|levels| levels.first());
    let level = levels.map_or(&Level::Region, |level| &level.0);
    let key = match level {
        Level::Region => "region",
        Level::Zone => "zone",
        Level::Label(key) => key,
    };
    let home = strategy.from.as_ref()?.get(key)?;
    let places: BTreeSet<&str> = service
        .instances
        .iter()
        .filter_map(|instance| match level {
            Level::Region => instance.region.as_deref(),
            Level::Zone => instance.zone.as_deref(),
            Level::Label(key) => instance.metadata.get(&**key).map(String::as_str),
        })
        .collect();
    if places.contains(home.as_str()) {
        return None;
    }
    let known = match places.len() {
        0 => format!("none says its {key}"),
        _ => format!("they are in {}", quoted(&places)),
    };
    Some(format!(
        "no instance is in `{home}`, the {key} that `strategy.from` names: {known}; until one is, none is at home"
    ))
}

fn nobody_allowed(service: &Service) -> Option<String> {
    let set = |names: &[String]| names.iter().map(|name| Arc::from(name.as_str())).collect();
    let permitted = Regions {
        allow: set(&service.locality.allow_regions),
        deny: set(&service.locality.deny_regions),
    };
    let regions = service
        .instances
        .iter()
        .map(|instance| instance.region.as_deref());
    if regions.clone().any(|region| permitted.permit(region)) {
        return None;
    }
    let places: BTreeSet<&str> = regions.flatten().collect();
    let known = match places.len() {
        0 => "none says its region".to_owned(),
        _ => format!("they are in {}", quoted(&places)),
    };
    Some(format!(
        "`locality` allows no region that an instance is in: {known}; requests are refused until one is"
    ))
}

fn allowed_and_denied(service: &Service) -> Option<String> {
    let denied = &service.locality.deny_regions;
    let allowed = service.locality.allow_regions.iter();
    let both: BTreeSet<&str> = allowed
        .filter(|name| denied.contains(name))
        .map(String::as_str)
        .collect();
    let text = || {
        format!(
            "`locality` both allows and denies {}: denied it is",
            quoted(&both)
        )
    };
    (!both.is_empty()).then(text)
}

/// Likely misspelt; or for instances that are yet to be registered.
fn nobody_there(service: &Service) -> Option<String> {
    let instances = service.instances.iter();
    let places: BTreeSet<&str> = instances
        .filter_map(|instance| instance.region.as_deref())
        .collect();
    let locality = &service.locality;
    let named = locality.allow_regions.iter().chain(&locality.deny_regions);
    let unknown: BTreeSet<&str> = named
        .map(String::as_str)
        .filter(|name| !places.contains(name))
        .collect();
    let text = || format!("`locality` names {}, where no instance is", quoted(&unknown));
    (!unknown.is_empty()).then(text)
}

fn quoted(names: &BTreeSet<&str>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(settings: &str, places: &str) -> String {
        let text = format!(
            "listeners: [{{ name: web, bind: '127.0.0.1:0' }}]\n\
             services: [{{ name: web, {settings}, instances: [{places}] }}]"
        );
        let config = Config::from_str("test.yaml", &text).unwrap();
        let texts = config.services.iter().flat_map(of).map(|(_, text)| text);
        texts.collect::<Vec<_>>().join("\n")
    }

    const TWO: &str = "{ address: '10.0.0.1:80', region: us }, { address: '10.0.0.2:80', region: eu, zone: a, metadata: { rack: r1 } }";

    #[test]
    fn a_home_where_nobody_is_gets_a_word() {
        let from = |from: &str| format!("strategy: {{ name: geographical, {from} }}");
        for fine in [
            "from: { region: eu }",
            "from: { region: eu, zone: z }",
            "levels: [rack], from: { rack: r1 }",
            "levels: [zone], from: { zone: a }",
        ] {
            assert_eq!(warnings(&from(fine), TWO), "", "{fine}");
        }
        assert_eq!(
            warnings(&from("from: { region: EU }"), TWO),
            "no instance is in `EU`, the region that `strategy.from` names: they are in `eu`, `us`; until one is, none is \
             at home"
        );
        let racks = warnings(&from("levels: [rack], from: { rack: r2 }"), TWO);
        assert!(
            racks.contains("`r2`, the rack") && racks.contains("they are in `r1`"),
            "{racks}"
        );
        let nowhere = warnings(&from("from: { region: eu }"), "{ address: '10.0.0.1:80' }");
        assert!(nowhere.contains("none says its region"), "{nowhere}");
        let unsaid = warnings(&from("spill_at: 0.5"), TWO);
        assert!(unsaid.starts_with("without `strategy.from`"), "{unsaid}");
    }

    #[test]
    fn numbers_that_count_as_others_get_a_word() {
        for (health, expected) in [
            (
                "threshold: 0.9",
                "`health.recovery_threshold` is 0.8 and counts as 0.9",
            ),
            ("threshold: 0.5, recovery_threshold: 0.5", ""),
            ("preset: envoy", ""),
            ("min_healthy_instances: 2", ""),
            (
                "min_healthy_instances: 3",
                "`health.min_healthy_instances` is 3, and there are 2",
            ),
        ] {
            let said = warnings(&format!("health: {{ {health} }}"), TWO);
            assert!(
                said.starts_with(expected) && said.is_empty() == expected.is_empty(),
                "{health}: {said}"
            );
        }
    }

    #[test]
    fn a_border_that_shuts_everybody_out_gets_a_word() {
        for (settings, expected) in [
            ("locality: { allow_regions: [eu] }", ""),
            (
                "locality: { deny_regions: [eu, mars] }",
                "`locality` names `mars`, where no instance is",
            ),
            (
                "locality: { allow_regions: [eu, us], deny_regions: [us] }",
                "`locality` both allows and denies `us`: denied it is",
            ),
        ] {
            assert_eq!(warnings(settings, TWO), expected, "{settings}");
        }
        for none in [
            "allow_regions: [mars]",
            "deny_regions: [eu, us]",
            "allow_regions: [eu], deny_regions: [eu]",
        ] {
            let said = warnings(&format!("locality: {{ {none} }}"), TWO);
            let expected = "`locality` allows no region that an instance is in: they are in `eu`, `us`; requests are \
                            refused until one is";
            assert_eq!(said.lines().next(), Some(expected));
        }
        let nowhere = warnings("locality: { allow_regions: [eu] }", "{ address: '10.0.0.1:80' }");
        assert!(nowhere.contains("none says its region"), "{nowhere}");
    }
}
