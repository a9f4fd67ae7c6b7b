//! What has no place in a repository: build output, big files, vague names, and traces of one machine.

use super::{File, Finding, Tree};

/// Largest file, in bytes. History keeps every version for ever.
const LARGEST: usize = 1 << 20;
/// Names that say nothing about their subject.
const VAGUE: &[&str] = &["util", "utils", "helper", "helpers", "manager", "managers"];
/// Endings of files that tools make.
const MADE: &[&str] = &[
    ".o",
    ".a",
    ".so",
    ".d",
    ".rlib",
    ".rmeta",
    ".profraw",
    ".profdata",
    ".pyc",
    ".orig",
    ".rej",
    ".swp",
    ".log",
];
/// Folders of one person or one machine. Written in pieces, or this file would be its own finding.
const PLACES: &[&str] = &[
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("/", "work/"),
];
/// Settings that send a build to another registry than the public one.
const REGISTRIES: &[&str] = &[
    concat!("replace", "-with"),
    concat!("sparse+", "http"),
    concat!("index", "-url"),
    concat!("GO", "PROXY="),
    concat!("npm_config", "_registry"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .flat_map(|file| named(file).into_iter().chain(stored(file)).chain(traces(file)))
        .collect()
}

fn named(file: &File) -> Option<Finding> {
    let component = |name: &str| {
        let stem = name.strip_suffix(".rs").unwrap_or(name);
        stem.split(['-', '_']).any(|word| VAGUE.contains(&word))
    };
    let vague = file
        .path
        .split('/')
        .find(|name| (!name.contains('.') || name.ends_with(".rs")) && component(name))?;
    let text = format!("`{vague}` says nothing about its subject; name it after what it is");
    Some(Finding::new(&file.path, 1, text))
}

fn stored(file: &File) -> Option<Finding> {
    let in_target = file
        .path
        .split('/')
        .any(|name| name == "target" || name.starts_with("target-"));
    if file.compiled || in_target || MADE.iter().any(|ending| file.path.ends_with(ending)) {
        return Some(Finding::new(
            &file.path,
            1,
            "a tool made this file; remove it and name it in .gitignore",
        ));
    }
    (file.bytes > LARGEST).then(|| {
        let text = format!(
            "{} bytes, {LARGEST} allowed; generate it, or take a smaller sample",
            file.bytes
        );
        Finding::new(&file.path, 1, text)
    })
}

fn traces(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for place in PLACES.iter().filter(|place| starts_a_path(line, place)) {
            let text = format!("`{place}` is a folder of one machine; use a path relative to the repository");
            findings.push(Finding::new(&file.path, index + 1, text));
        }
        for setting in REGISTRIES.iter().filter(|setting| line.contains(**setting)) {
            let text =
                format!("`{setting}` names a registry; set it in the environment, not in the repository");
            findings.push(Finding::new(&file.path, index + 1, text));
        }
    }
    findings
}

/// Whether `place` stands in `line` as the beginning of a path, not in the middle of one or of a URL.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(start, _)| {
        !line[..start]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || "_-./}~$*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn every_kind_is_found() {
        let place = format!("see {}me/notes", PLACES[1]);
        let setting = format!("a = 1\n{} = \"mirror\"\n", REGISTRIES[0]);
        // Within a longer path they are nobody's folders.
        let [root, home, _, work] = PLACES else { panic!() };
        let paths = format!("GET /api{home} and https://example.com{root} and docs{work}x");
        let big = "x".repeat(LARGEST + 1);
        let tree = tree(&[
            ("a.md", &place),
            ("b.toml", &setting),
            ("big.txt", &big),
            ("crates/x/src/util.rs", ""),
            ("crates/y-helpers/src/lib.rs", ""),
            ("crates/z/target/debug/z.txt", ""),
            ("crates/z/src/utility.rs", ""),
            ("fine.md", &paths),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 6, "{found:#?}");
        for (found, path) in found.iter().zip([
            "a.md:1",
            "b.toml:2",
            "big.txt:1",
            "crates/x",
            "crates/y",
            "crates/z",
        ]) {
            assert!(found.starts_with(path), "{found}");
        }
    }
}
