//! The pure crates do no I/O, read no clock and ask the operating system for no randomness; and they compute the same
//! everywhere, so they ask no mathematical library of the platform either.
//!
//! Checked twice: no crate that could do so is in their trees of normal dependencies, and no such name
//! stands in their sources outside tests. Their `clippy.toml` catches the rest while typing. The trees are
//! those of the machine we run on; what the pure crates themselves declare counts for every platform.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::edges::{folder, normal_dependencies};
use super::{Finding, Tree, code};

/// Crates that are pure, the simulator included as soon as it exists.
const PURE: &[&str] = &["evenkeel-core", "evenkeel-h1", "evenkeel-sim"];
/// Crates that bring a runtime, a clock, sockets or randomness of the operating system.
const BANNED: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "jiff",
    "libc",
    "mio",
    "rand",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio",
];
/// Names refused in the sources, with what to do instead.
const NAMES: &[(&str, &str)] = &[
    ("Instant", TIME),
    ("SystemTime", TIME),
    ("thread::sleep", "nothing here waits: return what is due and when"),
    (
        "thread::spawn",
        "nothing here runs by itself: the runtime crate drives it",
    ),
    ("TcpStream", IO),
    ("TcpListener", IO),
    ("UdpSocket", IO),
    ("UnixStream", IO),
    ("UnixListener", IO),
    ("UnixDatagram", IO),
    ("std::io", IO),
    ("std::fs", IO),
    ("std::env", IO),
    ("std::process", IO),
    ("RandomState", RANDOM),
    ("DefaultHasher", RANDOM),
    // Their names alone: there is no end of ways to make one.
    ("HashMap", RANDOM),
    ("HashSet", RANDOM),
    ("Mutex", LOCK),
    ("RwLock", LOCK),
    ("Condvar", LOCK),
];
/// Methods of floating-point numbers whose last bits are the platform's.
const INEXACT: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "exp", "exp2",
    "exp_m1", "hypot", "ln", "ln_1p", "log", "log10", "log2", "powf", "powi", "sin", "sin_cos", "sinh",
    "tan", "tanh",
];
const SAME: &str = "its last bits differ by platform: use a function of `math` or of the crate `libm`";
const TIME: &str = "time is an argument: take `Nanos`";
const IO: &str = "I/O belongs to the runtime, proxy or cli crate: take bytes or values";
const RANDOM: &str =
    "randomness is a seeded value, and every run has the same order: use a `BTreeMap`, or sort";
const LOCK: &str = "use atomics here, or a snapshot in the runtime crate";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in PURE {
        findings.extend(trees(tree, name));
        findings.extend(sources(tree, &format!("{}/src/", folder(name))));
    }
    findings
}

/// Banned crates in the normal dependency tree of `name`, each with the way it came in.
fn trees(tree: &Tree, name: &str) -> Vec<Finding> {
    let packages: BTreeMap<&str, &str> = items(&tree.metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = items(&tree.metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let Some(start) = items(&tree.metadata["packages"]).find(|package| package["name"] == name) else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = normal_dependencies(start)
        .filter(|dependency| BANNED.contains(dependency))
        .map(|dependency| finding(tree, &[name, dependency]))
        .collect();
    let start = start["id"].as_str().unwrap_or_default();
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::from([(start, start)]);
    let mut queue = VecDeque::from([start]);
    while let Some(id) = queue.pop_front() {
        let crate_name = packages.get(id).copied().unwrap_or(id);
        if BANNED.contains(&crate_name) {
            if came_from[id] == start {
                // Found by its declaration.
                continue;
            }
            let mut way = vec![crate_name];
            let mut at = id;
            while at != start {
                at = came_from[at];
                way.push(packages.get(at).copied().unwrap_or(at));
            }
            way.reverse();
            findings.push(finding(tree, &way));
            continue;
        }
        let dependencies = nodes
            .get(id)
            .map(|node| items(&node["deps"]))
            .into_iter()
            .flatten();
        for dependency in dependencies.filter(|of| items(&of["dep_kinds"]).any(|kind| kind["kind"].is_null()))
        {
            let Some(to) = dependency["pkg"].as_str() else {
                continue;
            };
            came_from.entry(to).or_insert_with(|| {
                queue.push_back(to);
                id
            });
        }
    }
    findings
}

/// What to say of a way from a pure crate to a banned one.
fn finding(tree: &Tree, way: &[&str]) -> Finding {
    let (name, direct, banned) = (way[0], way[1], way[way.len() - 1]);
    let manifest = format!("{}/Cargo.toml", folder(name));
    let way = way.join(" -> ");
    let text = format!(
        "`{name}` is pure but depends on `{banned}` ({way}); drop the dependency or the feature that brings it"
    );
    Finding::new(&manifest, tree.line_of(&manifest, direct), text)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Refused names in the sources under `folder`.
fn sources(tree: &Tree, folder: &str) -> Vec<Finding> {
    let files: Vec<_> = tree
        .files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with(folder))
        .collect();
    let blanked: Vec<String> = files.iter().map(|file| code::blank(&file.text)).collect();
    let mut of_tests = Vec::new();
    for (file, code) in files.iter().zip(&blanked) {
        for module in code::test_modules(code) {
            let stem = module_folder(&file.path);
            of_tests.push((format!("{stem}/{module}.rs"), format!("{stem}/{module}/")));
        }
    }
    let mut findings = Vec::new();
    for (file, code) in files.iter().zip(&blanked) {
        if of_tests
            .iter()
            .any(|(path, below)| file.path == *path || file.path.starts_with(below))
        {
            continue;
        }
        let code = code::without_tests(code);
        let mut found = |index: usize, name: &str, remedy: &str| {
            let text = format!("`{name}` in a pure crate; {remedy}");
            findings.push(Finding::new(&file.path, index + 1, text));
        };
        for (index, line) in code.lines().enumerate() {
            for (name, remedy) in NAMES.iter().filter(|(name, _)| code::has_word(line, name)) {
                found(index, name, remedy);
            }
            for name in INEXACT.iter().filter(|name| is_method(line, name)) {
                found(index, name, SAME);
            }
        }
        for (index, module) in code::grouped(&code, "std") {
            for (name, remedy) in NAMES
                .iter()
                .filter(|(name, _)| name.strip_prefix("std::") == Some(module))
            {
                found(index, name, remedy);
            }
        }
    }
    findings
}

/// Whether `line` calls or names this method of a floating-point number.
fn is_method(line: &str, name: &str) -> bool {
    let of_type = ["f32::", "f64::"].map(|of| format!("{of}{name}"));
    line.contains(&format!(".{name}(")) || of_type.iter().any(|path| code::has_word(line, path))
}

/// The folder that holds the modules declared in `path`.
fn module_folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
        _ => path.trim_end_matches(".rs"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::tree;
    use super::*;

    #[test]
    fn a_runtime_in_the_tree_is_found_with_its_way() {
        let mut tree = tree(&[("crates/evenkeel-h1/Cargo.toml", "[dependencies]\na = 1\n")]);
        let node = |id: &str, to: &str, kind: Option<&str>| json!({ "id": id, "deps": [{ "pkg": to, "dep_kinds": [{ "kind": kind }] }] });
        tree.metadata = json!({
            "packages": [
                { "id": "h1", "name": "evenkeel-h1" }, { "id": "a", "name": "a" }, { "id": "t", "name": "tokio" },
                { "id": "c", "name": "evenkeel-core" },
            ],
            "resolve": { "nodes": [node("h1", "a", None), node("a", "t", None), node("c", "t", Some("dev"))] },
        });
        let found = check(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .to_string()
                .starts_with("crates/evenkeel-h1/Cargo.toml:2:")
        );
        assert!(found[0].text.contains("(evenkeel-h1 -> a -> tokio)"));
    }

    #[test]
    fn a_clock_in_the_source_is_found_and_tests_are_free() {
        let tree = tree(&[
            (
                "crates/evenkeel-core/src/lib.rs",
                "mod a;\n// Instant::now\n#[cfg(test)]\nmod proof;\n",
            ),
            (
                "crates/evenkeel-core/src/a.rs",
                "use std::time::Instant;\nuse std::sync::{Arc, Mutex};\n",
            ),
            ("crates/evenkeel-core/src/proof.rs", "use std::time::Instant;\n"),
            ("crates/evenkeel-proxy/src/a.rs", "use std::time::Instant;\n"),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("crates/evenkeel-core/src/a.rs:1: `Instant` in a pure crate"));
        assert!(found[1].starts_with("crates/evenkeel-core/src/a.rs:2: `Mutex` in a pure crate"));
    }

    #[test]
    fn random_order_and_input_are_found_however_they_are_written() {
        for (code, name) in [
            ("let a: Set = HashMap::default();", "HashMap"),
            ("let a = b.collect::<HashSet<_>>();", "HashSet"),
            ("use std::collections::HashMap as Map;", "HashMap"),
            ("let a = DefaultHasher::new();", "DefaultHasher"),
            ("fn a() -> std::io::Result<()> {}", "std::io"),
            ("use std::io;", "std::io"),
            ("use std::{io, sync::Arc};", "std::io"),
            ("use std::{\n    sync::Arc,\n    fs::{self, File},\n};", "std::fs"),
            ("use std::os::unix::net::UnixStream;", "UnixStream"),
        ] {
            for of in ["core", "h1"] {
                let path = format!("crates/evenkeel-{of}/src/a.rs");
                let found = check(&tree(&[(&path, code)]));
                assert_eq!(found.len(), 1, "{code}: {found:?}");
                assert!(
                    found[0].text.starts_with(&format!("`{name}`")),
                    "{code}: {found:?}"
                );
            }
        }
        for code in [
            "use std::{sync::Arc, fmt};",
            "// a HashMap",
            "use std::collections::BTreeMap;",
            "use std::net::{IpAddr, SocketAddr};",
        ] {
            let found = check(&tree(&[("crates/evenkeel-core/src/a.rs", code)]));
            assert!(found.is_empty(), "{code}: {found:?}");
        }
    }

    #[test]
    fn mathematics_of_the_platform_is_found() {
        for (code, name) in [
            ("let a = b.ln();", "ln"),
            ("let a = (b / c).powf(2.0);", "powf"),
            ("let a = b.map(f64::exp);", "exp"),
        ] {
            let found = check(&tree(&[("crates/evenkeel-sim/src/a.rs", code)]));
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(
                found[0].text.starts_with(&format!("`{name}`")),
                "{code}: {found:?}"
            );
        }
        for code in [
            "let a = libm::log(b);",
            "let a = b.sqrt();",
            "let a = 2u32.pow(3);",
            "#[cfg(test)]\nmod tests { fn a(b: f64) -> f64 { b.ln() } }",
        ] {
            let found = check(&tree(&[("crates/evenkeel-core/src/a.rs", code)]));
            assert!(found.is_empty(), "{code}: {found:?}");
        }
    }

    #[test]
    fn a_runtime_on_another_platform_is_found() {
        let mut tree = tree(&[(
            "crates/evenkeel-core/Cargo.toml",
            "[target.'cfg(windows)'.dependencies]\ntokio = 1\n",
        )]);
        let dependency =
            |name: &str, kind: Option<&str>| json!({ "name": name, "kind": kind, "target": "cfg(windows)" });
        tree.metadata = json!({
            "packages": [{
                "id": "c", "name": "evenkeel-core",
                "dependencies": [dependency("tokio", None), dependency("mio", Some("dev"))],
            }],
            "resolve": { "nodes": [{ "id": "c", "deps": [] }] },
        });
        let found = check(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        let text = found[0].to_string();
        assert!(text.starts_with("crates/evenkeel-core/Cargo.toml:2: "), "{text}");
        assert!(text.contains("(evenkeel-core -> tokio)"), "{text}");
    }

    #[test]
    fn a_runtime_asked_for_directly_is_told_once() {
        let mut tree = tree(&[]);
        tree.metadata = json!({
            "packages": [
                { "id": "c", "name": "evenkeel-core", "dependencies": [{ "name": "tokio", "kind": null }] },
                { "id": "t", "name": "tokio" },
            ],
            "resolve": { "nodes": [{ "id": "c", "deps": [{ "pkg": "t", "dep_kinds": [{ "kind": null }] }] }] },
        });
        assert_eq!(check(&tree).len(), 1);
    }
}
