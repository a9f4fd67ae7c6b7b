//! Links between documents lead somewhere: to a file of the repository, and to a heading that is in it.
//!
//! Absent on purpose: addresses on the web, which change without us, and links in the documentation of code, which rustdoc
//! checks.

use std::collections::BTreeSet;

use super::{File, Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let documents = tree.files.iter().filter(|file| is_document(file));
    documents.flat_map(|file| broken(tree, file)).collect()
}

fn is_document(file: &File) -> bool {
    file.path.ends_with(".md")
}

fn broken(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in prose(&file.text) {
        for target in targets(line).filter(|target| !target.contains(':')) {
            if let Some(text) = wrong(tree, file, target) {
                findings.push(Finding::new(&file.path, number, text));
            }
        }
    }
    findings
}

/// What is wrong with a link of `file`.
fn wrong(tree: &Tree, file: &File, target: &str) -> Option<String> {
    let (path, heading) = target
        .split_once('#')
        .map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = resolved(&file.path, path);
    let Some(there) = tree.file(&path) else {
        let folder = format!("{path}/");
        let is_folder = tree.files.iter().any(|file| file.path.starts_with(&folder));
        return (!is_folder).then(|| format!("the link leads to `{path}`, which is not there"));
    };
    let heading = heading.filter(|_| is_document(there))?;
    (!anchors(&there.text).contains(heading)).then(|| format!("`{path}` has no heading for `#{heading}`"))
}

/// The lines outside of blocks of code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        (!in_code && !fence).then_some((index + 1, line))
    })
}

/// Where the links of a line lead, those defined at its begin (`[name]: target`) among them.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let defined = line
        .starts_with('[')
        .then(|| line.split_once("]: "))
        .flatten()
        .map(|(_, target)| target.trim());
    let inline = line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split_once(')')?.0;
        target.split_whitespace().next()
    });
    defined.into_iter().chain(inline)
}

/// `path` as seen from the document at `from`.
fn resolved(from: &str, path: &str) -> String {
    if path.is_empty() {
        return from.to_owned();
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that GitHub and rustdoc make of headings: lower case, words joined by `-`, a number behind those that repeat.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept
            .map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
            .collect();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let mut names = std::iter::once(anchor.clone()).chain(numbered);
        if let Some(free) = names.find(|name| !anchors.contains(name)) {
            anchors.insert(free);
        }
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_files_folders_and_headings() {
        let tree = super::super::tests::tree(&[
            (
                "docs/a.md",
                "# One `two`, three\n[a](b.md) [b](../README.md#how-it-is) [c](#one-two-three) [d](../src) [e](https://example.com/x)\n\
                 ```\n[in code](nowhere.md)\n```\n[f](b.md \"title\")\n[g]: b.md#of-b\n",
            ),
            ("docs/b.md", "## Of b\n"),
            ("README.md", "# How it is\n## How it is\n[again](#how-it-is-1)\n"),
            ("src/lib.rs", ""),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn what_leads_nowhere_is_told_with_its_line() {
        let tree = super::super::tests::tree(&[
            ("docs/a.md", "\n[a](c.md)\n[b](b.md#other)\n[g]: ../b.md\n"),
            ("docs/b.md", "# This\n"),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/a.md:2: the link leads to `docs/c.md`, which is not there",
                "docs/a.md:3: `docs/b.md` has no heading for `#other`",
                "docs/a.md:4: the link leads to `b.md`, which is not there",
            ]
        );
    }
}
