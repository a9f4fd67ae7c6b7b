//! Checks that no two services take each other's sessions.
//!
//! A client keeps one cookie of a name and path for a host. Two services that set the same one there overwrite it with
//! every answer, as each makes what the other does not know, and neither keeps a session. Left out on purpose: other
//! listeners, as nothing here says whether clients reach two of them by the same host name.

use std::collections::{HashMap, HashSet};

use crate::check::Finding;
use crate::file::{ConfigFile, Route, ServiceFile};
use crate::path::at;
use crate::settings::overlay;
use crate::sticky::Sticky;

/// A route to a service whose sessions stick.
struct Setter {
    /// Index of the route.
    route: usize,
    /// Index of the service.
    service: usize,
}

pub(crate) fn check(file: &ConfigFile, found: &mut Vec<Finding>) {
    let sticky: Vec<Option<Sticky>> = file
        .services
        .iter()
        .map(|service| sticky(file, service))
        .collect();
    let services = file.services.iter().enumerate();
    let by_name: HashMap<&str, usize> = services
        .filter(|(index, _)| sticky[*index].is_some())
        .map(|(index, service)| (service.name.as_str(), index))
        .collect();
    if by_name.len() < 2 {
        return;
    }
    // Two that were told of once need no other listener to be told of again.
    let mut told = HashSet::new();
    for listener in &file.listeners {
        let routes = listener.routes.as_deref().unwrap_or_default();
        let hosts: Vec<Option<String>> = routes.iter().map(host).collect();
        // From which route on nothing is left of a host.
        let mut taken: HashMap<Option<&str>, usize> = HashMap::new();
        let mut setters: HashMap<(Option<&str>, &str), Vec<Setter>> = HashMap::new();
        let reached = routes.iter().zip(&hosts).enumerate();
        for (route, (to, host)) in reached.clone() {
            if to.path_prefix.as_deref().is_none_or(|prefix| prefix == "/") {
                taken.entry(host.as_deref()).or_insert(route);
            }
            if let Some(service) = by_name.get(to.service.as_str())
                && let Some(sticky) = &sticky[*service]
            {
                let same = setters.entry((host.as_deref(), &sticky.cookie)).or_default();
                // One route of a service is as good as another, and the first is reached whenever others are.
                if same.iter().all(|setter| setter.service != *service) {
                    same.push(Setter {
                        route,
                        service: *service,
                    });
                }
            }
        }
        for (route, (to, host)) in reached {
            let Some(service) = by_name.get(to.service.as_str()) else {
                continue;
            };
            let Some(mine) = &sticky[*service] else { continue };
            // Of two patterns that share a host, one covers the other: `host` is what both match.
            let covering = || around(host.as_deref());
            let end = covering().filter_map(|host| taken.get(&host)).min();
            let others = covering().filter_map(|host| setters.get(&(host, mine.cookie.as_str())));
            for other in others.flatten().filter(|other| other.service != *service) {
                let reachable = end.is_none_or(|end| route.max(other.route) <= *end);
                let theirs = sticky[other.service].as_ref();
                let overlap = theirs.is_some_and(|theirs| one_holds_other(&mine.path, &theirs.path));
                let pair = (other.service.min(*service), other.service.max(*service));
                if reachable && overlap && told.insert(pair) {
                    found.push(finding(file, pair, &mine.cookie));
                }
            }
        }
    }
}

fn sticky(file: &ConfigFile, service: &ServiceFile) -> Option<Sticky> {
    let defaults = file
        .defaults
        .as_ref()
        .and_then(|defaults| defaults.sticky.clone());
    let merged = overlay(service.sticky.clone(), defaults)?;
    Some(merged.resolved(&service.name))
}

/// The host of a route; the end of it after a dot, with that dot, where that is all that counts.
fn host(route: &Route) -> Option<String> {
    let host = route.plain_host()?;
    Some(host.strip_prefix('*').map(ToOwned::to_owned).unwrap_or(host))
}

/// `host` and all patterns that match what it matches.
fn around(host: Option<&str>) -> impl Iterator<Item = Option<&str>> {
    let wildcards = host.into_iter().flat_map(|host| {
        let dots = host.match_indices('.').filter(|(dot, _)| *dot > 0);
        dots.map(|(dot, _)| &host[dot..])
    });
    host.map(Some)
        .into_iter()
        .chain(wildcards.map(Some))
        .chain(Some(None))
}

/// Whether clients send the cookies of both paths somewhere (RFC 6265 §5.1.4).
fn one_holds_other(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || short.ends_with('/') || rest.starts_with('/'))
}

fn finding(file: &ConfigFile, (first, second): (usize, usize), cookie: &str) -> Finding {
    let text = format!(
        "`{}` and `{}` set the same cookie `{cookie}` to the same clients, so neither keeps its sessions\nleave \
         `cookie` out, or give each service its own",
        file.services[first].name, file.services[second].name
    );
    let written = |index: &usize| {
        let sticky = file.services[*index].sticky.as_ref();
        sticky.is_some_and(|sticky| sticky.cookie.is_some())
    };
    let place = |index: usize| at!["services", index].then("sticky").then("cookie");
    match [second, first].iter().copied().find(written) {
        Some(index) if index == second && written(&first) => {
            Finding::new(place(second), text).with("the other is", place(first))
        }
        Some(index) => Finding::new(place(index), text),
        None => {
            let shared = file
                .defaults
                .as_ref()
                .and_then(|defaults| defaults.sticky.as_ref());
            match shared.is_some_and(|shared| shared.cookie.is_some()) {
                true => Finding::new(at!["defaults", "sticky", "cookie"], text),
                // Names of services that differ in what no cookie's name holds.
                false => Finding::absent(at!["services", second].then("name"), text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    /// The services that are told of, by their first letters.
    fn told(routes: &str, sticky: [&str; 3]) -> Vec<String> {
        let services = ["a", "b", "c"].into_iter().zip(sticky);
        let services: String = services
            .map(|(name, sticky)| {
                format!("  - {{ name: {name}, {sticky} instances: [{{ address: '127.0.0.1:1' }}] }}\n")
            })
            .collect();
        let text = format!(
            "listeners: [{{ name: web, bind: '127.0.0.1:0', routes: [{routes}, {{ service: c }}] }}]\nservices:\n{services}"
        );
        let Err(error) = Config::from_str("bad.yaml", &text) else {
            return Vec::new();
        };
        let error = error.to_string();
        let lines = error.lines().filter_map(|line| line.strip_prefix("error: "));
        lines
            .map(|line| {
                assert!(line.contains("set the same cookie"), "{error}");
                line.split('`').skip(1).step_by(2).take(2).collect()
            })
            .collect()
    }

    const SID: &str = "sticky: { cookie: sid },";

    #[test]
    fn services_of_one_host_have_a_cookie_each() {
        let paths = "{ path_prefix: /a, service: a }, { path_prefix: /b, service: b }";
        let none: [&str; 0] = [];
        assert_eq!(told(paths, ["sticky: {},"; 3]), none, "the default is by service");
        assert_eq!(told(paths, [SID; 3]), ["ab", "ac", "bc"]);
        assert_eq!(told(paths, [SID, SID, ""]), ["ab"]);
        assert_eq!(
            told(paths, [SID, "sticky: { cookie: evenkeel-c },", "sticky: {},"]),
            ["bc"]
        );
        let below = |path: &str| format!("sticky: {{ cookie: sid, path: {path} }},");
        for (first, second, expected) in [
            ("/a", "/b", &[][..]),
            ("/a", "/ab", &[]),
            ("/a", "/a/b", &["ab"]),
            ("/a/", "/a/b", &["ab"]),
            ("/a/b", "/a", &["ab"]),
            ("/", "/b", &["ab"]),
            ("/b", "/b", &["ab"]),
        ] {
            assert_eq!(
                told(paths, [&below(first), &below(second), ""]),
                expected,
                "{first} {second}"
            );
        }
    }

    #[test]
    fn other_hosts_have_other_cookies() {
        for (routes, expected) in [
            ("{ host: a.de, service: a }, { host: b.de, service: b }", &[][..]),
            ("{ host: a.de, service: a }, { host: '*.de', service: b }", &[]),
            (
                "{ host: A.de, path_prefix: /a, service: a }, { host: a.de., service: b }",
                &["ab"],
            ),
            // What follows a part of a host meets the rest of it.
            (
                "{ host: a.de, path_prefix: /a, service: a }, { host: b.de, service: b }",
                &["ac"],
            ),
            (
                "{ host: a.de, path_prefix: /a, service: a }, { host: '*.de', service: b }",
                &["ab"],
            ),
            (
                "{ host: '*.de', path_prefix: /a, service: a }, { host: x.de, service: b }",
                &["ab", "ac"],
            ),
            // A host that is taken whole before.
            (
                "{ host: a.de, path_prefix: /a, service: a }, { host: a.de, path_prefix: /, service: c }, \
                 { host: '*.de', service: b }",
                &["ac"],
            ),
            (
                "{ host: '*.de', path_prefix: /a, service: a }, { host: de, service: b }",
                &["ac"],
            ),
        ] {
            assert_eq!(told(routes, [SID; 3]), expected, "{routes}");
        }
    }
}
