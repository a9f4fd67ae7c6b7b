//! Manifests: the lints of the workspace everywhere, crates.io as the only source, licence texts present.

use super::edges::{folder, members};
use super::{Finding, Tree};

/// The one source of crates, as cargo writes it into the lock file.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, _) in members(&tree.metadata) {
        let manifest = format!("{}/Cargo.toml", folder(name));
        match tree.file(&manifest) {
            None => findings.push(Finding::new(
                &manifest,
                1,
                format!(
                    "crate `{name}` does not live in `{}`; a crate's folder has its name",
                    folder(name)
                ),
            )),
            Some(file) if !inherits_lints(&file.text) => findings.push(Finding::new(
                &manifest,
                1,
                "the lints of the workspace are not inherited; add `[lints]` with `workspace = true`",
            )),
            Some(_) => {}
        }
    }
    for (licence, opening) in [
        ("LICENSE-MIT", "MIT License"),
        ("LICENSE-APACHE", "Apache License"),
    ] {
        if !tree.file(licence).is_some_and(|file| file.text.contains(opening)) {
            findings.push(Finding::new(
                licence,
                1,
                format!("missing, or not the text of the {opening}; put it back"),
            ));
        }
    }
    for lock in tree
        .files
        .iter()
        .filter(|file| file.path.rsplit('/').next() == Some("Cargo.lock"))
    {
        for (index, line) in lock.text.lines().enumerate() {
            if let Some(source) = line.strip_prefix("source = ")
                && source.trim_matches('"') != CRATES_IO
            {
                let text = format!("source {source} is not crates.io; depend on a published release");
                findings.push(Finding::new(&lock.path, index + 1, text));
            }
        }
    }
    findings
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1);
    lines
        .find(|line| !line.is_empty())
        .is_some_and(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::tree;
    use super::*;

    #[test]
    fn manifests_locks_and_licences() {
        let lock = format!("source = \"{CRATES_IO}\"\nsource = \"git+https://example.com/a\"\n");
        let mut tree = tree(&[
            ("LICENSE-MIT", "MIT License"),
            ("Cargo.lock", &lock),
            ("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[lints]\nrust.unsafe_code = \"allow\"\n"),
        ]);
        tree.metadata = json!({
            "workspace_members": ["a", "b", "c"],
            "packages": [{ "id": "a", "name": "a" }, { "id": "b", "name": "b" }, { "id": "c", "name": "c" }],
        });
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("crates/b/Cargo.toml:1: the lints"));
        assert!(found[1].contains("`c` does not live in `crates/c`"));
        assert!(found[2].starts_with("LICENSE-APACHE:1: missing"));
        assert!(found[3].starts_with("Cargo.lock:2: source"));
    }
}
