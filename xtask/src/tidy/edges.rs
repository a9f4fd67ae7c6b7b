//! Which crate may depend on which.
//!
//! The layout is a list of allowed edges; anything else is refused, so that a new edge is a decision.
//! Normal dependencies only: tests may look anywhere.

use serde_json::Value;

use super::{Finding, Tree};

/// Allowed edges, by crate: `x -> y` means that x depends on y. The binary and xtask may use all.
const ALLOWED: &[(&str, &[&str])] = &[
    ("evenkeel-core", &[]),
    ("evenkeel-h1", &[]),
    ("evenkeel-config", &["evenkeel-core"]),
    ("evenkeel-runtime", &["evenkeel-core"]),
    ("evenkeel-registry", &["evenkeel-config", "evenkeel-core"]),
    ("evenkeel-sim", &["evenkeel-config", "evenkeel-core"]),
    (
        "evenkeel-proxy",
        &["evenkeel-runtime", "evenkeel-h1", "evenkeel-core"],
    ),
    (
        "evenkeel-admin",
        &[
            "evenkeel-runtime",
            "evenkeel-registry",
            "evenkeel-config",
            "evenkeel-core",
        ],
    ),
    ("evenkeel", &["evenkeel-runtime", "evenkeel-core"]),
];
/// Crates that may use every other one, and that none may use.
const TOPS: &[&str] = &["evenkeel-cli", "xtask"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let members = members(&tree.metadata);
    let is_member = |name: &str| members.iter().any(|(member, _)| *member == name);
    let mut findings = Vec::new();
    for (name, package) in &members {
        let manifest = format!("{}/Cargo.toml", folder(name));
        let allowed = ALLOWED.iter().find(|(of, _)| of == name).map(|(_, edges)| *edges);
        if allowed.is_none() && !TOPS.contains(name) {
            findings.push(Finding::new(
                &manifest,
                tree.line_of(&manifest, "name ="),
                format!("crate `{name}` has no row in the list of edges; add one in xtask/src/tidy/edges.rs"),
            ));
        }
        for target in normal_dependencies(package).filter(|target| is_member(target)) {
            let fine = !TOPS.contains(&target)
                && (TOPS.contains(name) || allowed.is_some_and(|edges| edges.contains(&target)));
            if !fine {
                findings.push(Finding::new(
                    &manifest,
                    tree.line_of(&manifest, target),
                    format!(
                        "`{name}` must not depend on `{target}`: the layout allows {}; move the code to the \
                         crate it belongs to, or pass what it needs in",
                        allowed
                            .filter(|edges| !edges.is_empty())
                            .map_or("nothing".to_owned(), |edges| edges.join(", "))
                    ),
                ));
            }
        }
    }
    findings
}

/// Workspace members by name.
pub(super) fn members(metadata: &Value) -> Vec<(&str, &Value)> {
    let ids = metadata["workspace_members"].as_array().into_iter().flatten();
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    ids.filter_map(|id| packages().find(|package| package["id"] == *id))
        .filter_map(|package| Some((package["name"].as_str()?, package)))
        .collect()
}

/// Where a member lives.
pub(super) fn folder(name: &str) -> String {
    if name == "xtask" {
        name.to_owned()
    } else {
        format!("crates/{name}")
    }
}

/// Names of what a package declares to need at run time, on any platform.
pub(super) fn normal_dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::tree;
    use super::*;

    /// A crate and its dependencies with their kinds.
    type Crate<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    fn metadata(edges: &[Crate<'_>]) -> Value {
        let package = |(name, dependencies): &Crate<'_>| {
            let dependencies: Vec<Value> = dependencies
                .iter()
                .map(|(name, kind)| json!({ "name": name, "kind": kind }))
                .collect();
            json!({ "id": name, "name": name, "dependencies": dependencies })
        };
        let packages: Vec<Value> = edges.iter().map(package).collect();
        let members: Vec<&str> = edges.iter().map(|(name, _)| *name).collect();
        json!({ "packages": packages, "workspace_members": members })
    }

    #[test]
    fn only_the_listed_edges_pass() {
        let mut tree = tree(&[(
            "crates/evenkeel-core/Cargo.toml",
            "name = \"evenkeel-core\"\nevenkeel-h1 = 1\n",
        )]);
        tree.metadata = metadata(&[
            (
                "evenkeel-core",
                &[
                    ("evenkeel-h1", None),
                    ("thiserror", None),
                    ("evenkeel-config", Some("dev")),
                ],
            ),
            (
                "evenkeel-config",
                &[("evenkeel-core", None), ("evenkeel-cli", None)],
            ),
            ("evenkeel-h1", &[]),
            (
                "evenkeel-cli",
                &[("evenkeel-core", None), ("evenkeel-config", None)],
            ),
            ("evenkeel-new", &[]),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].starts_with(
            "crates/evenkeel-core/Cargo.toml:2: `evenkeel-core` must not depend on `evenkeel-h1`"
        ));
        assert!(found[1].contains("`evenkeel-config` must not depend on `evenkeel-cli`"));
        assert!(found[2].contains("`evenkeel-new` has no row"));
    }
}
