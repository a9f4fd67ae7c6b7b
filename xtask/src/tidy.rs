//! Rules of the repository that neither the compiler nor clippy can see.
//!
//! Every check looks at the same [`Tree`] and returns all its findings; they are reported together, each
//! with a place and a remedy. The checks also run as a test of this crate, so that a plain `cargo test`
//! keeps them. Absent on purpose: anything rustfmt, clippy, rustdoc or cargo-deny already refuse.

mod code;
mod edges;
mod hygiene;
mod links;
mod manifests;
mod purity;
mod size;
mod strategies;

use std::fmt;

use anyhow::Result;
use serde_json::Value;

use crate::repo;

/// Something to put right, or (as a note) to look at.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// A file of the repository. Text that is not UTF-8 is kept with replacement characters.
struct File {
    path: String,
    text: String,
    bytes: usize,
    /// It starts like a compiled program or library.
    compiled: bool,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// What the checks look at.
struct Tree {
    files: Vec<File>,
    metadata: Value,
}

impl Tree {
    fn read() -> Result<Self> {
        let root = repo::root();
        let mut files = Vec::new();
        for path in repo::files()? {
            // A file that vanished since it was listed is nobody's problem.
            let Ok(bytes) = std::fs::read(root.join(&path)) else {
                continue;
            };
            let compiled = [b"\x7fELF".as_slice(), b"!<arch>", b"MZ"]
                .iter()
                .any(|magic| bytes.starts_with(magic));
            files.push(File {
                path,
                bytes: bytes.len(),
                compiled,
                text: String::from_utf8_lossy(&bytes).into_owned(),
            });
        }
        Ok(Self {
            files,
            metadata: repo::metadata()?,
        })
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// First line of `path` that holds `needle`, or 1.
    fn line_of(&self, path: &str, needle: &str) -> usize {
        let found = self
            .file(path)
            .and_then(|file| file.text.lines().position(|line| line.contains(needle)));
        found.map_or(1, |index| index + 1)
    }
}

/// All findings, in the order of the files.
fn findings(tree: &Tree) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(edges::check(tree));
    all.extend(purity::check(tree));
    all.extend(size::check(tree));
    all.extend(strategies::check(tree));
    all.extend(manifests::check(tree));
    all.extend(hygiene::check(tree));
    all.extend(links::check(tree));
    all.sort();
    all
}

/// Checks, prints, and says whether all is well.
pub(crate) fn run() -> Result<bool> {
    let tree = Tree::read()?;
    for note in size::notes(&tree) {
        println!("note: {note}");
    }
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: {} files, nothing to put right", tree.files.len()),
        count => println!("tidy: {count} to put right in {} files", tree.files.len()),
    }
    Ok(findings.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_is_tidy() {
        let tree = Tree::read().unwrap();
        let findings: Vec<String> = findings(&tree).iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "to put right:\n{}", findings.join("\n"));
    }

    /// A tree of the given files, with no crates in its metadata.
    pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            bytes: text.len(),
            compiled: false,
        };
        Tree {
            files: files.iter().map(file).collect(),
            metadata: Value::Null,
        }
    }
}
