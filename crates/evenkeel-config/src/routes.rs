//! Checks of routes: services that are not there, and routes that never match.
//!
//! Routes are looked up by their conditions rather than compared with each other, so a listener may have many.

use std::collections::{HashMap, HashSet};

use crate::check::Finding;
use crate::error::SHOWN;
use crate::file::{ConfigFile, Route};
use crate::names::did_you_mean;
use crate::path::Path;

/// What is wrong with the routes of a listener, which stand at `at`.
pub(crate) fn check(file: &ConfigFile, routes: &[Route], at: &Path, found: &mut Vec<Finding>) {
    let services: Vec<&str> = file
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    let known: HashSet<&str> = services.iter().copied().collect();
    let mut unknown = 0;
    let mut earlier = HashMap::with_capacity(routes.len());
    for (i, route) in routes.iter().enumerate() {
        if !known.contains(route.service.as_str()) {
            unknown += 1;
            // A guess takes a comparison with every service; no more errors than this are shown.
            let guess = if unknown <= SHOWN {
                did_you_mean(&route.service, &services)
            } else {
                String::new()
            };
            let text = format!("there is no service `{}`{guess}", route.service);
            found.push(Finding::absent(at.then(i).then("service"), text));
        }
        // "/" is what every path begins with.
        let prefix = route.path_prefix.as_deref().filter(|prefix| *prefix != "/");
        let host = route.plain_host();
        if let Some(first) = covering(&earlier, host.as_deref(), prefix) {
            let text = "this route never matches: an earlier one takes all its requests\nput it before that one, or remove it";
            found.push(Finding::new(at.then(i), text).with("the earlier one is", at.then(first)));
        }
        earlier.entry((host, prefix)).or_insert(i);
    }
}

/// The first of the routes `earlier` that matches every request which `host` and `prefix` match.
fn covering(
    earlier: &HashMap<(Option<String>, Option<&str>), usize>,
    host: Option<&str>,
    prefix: Option<&str>,
) -> Option<usize> {
    // `*.example.com` takes names that end with `.example.com`, and with them all wildcards below.
    let wildcards = host.into_iter().flat_map(|host| {
        host.match_indices('.')
            .map(|(dot, _)| Some(format!("*{}", &host[dot..])))
    });
    let hosts = [None, host.map(ToOwned::to_owned)].into_iter().chain(wildcards);
    // `/a/b/c` is taken by itself, and by `/a`, `/a/`, `/a/b` and `/a/b/`.
    let parents = prefix.into_iter().flat_map(|prefix| {
        prefix
            .match_indices('/')
            .flat_map(|(slash, _)| [Some(&prefix[..slash]), Some(&prefix[..=slash])])
    });
    let prefixes: Vec<Option<&str>> = [None, prefix].into_iter().chain(parents).collect();
    hosts
        .flat_map(|host| {
            prefixes
                .iter()
                .filter_map(move |prefix| earlier.get(&(host.clone(), *prefix)))
        })
        .min()
        .copied()
}
