//! Strategies: one file, one `mod` line and one row of the table each, all with the same name.

use std::collections::BTreeMap;

use super::{Finding, Tree, code};

const TABLE: &str = "crates/evenkeel-core/src/strategy.rs";
const FOLDER: &str = "crates/evenkeel-core/src/strategy/";
/// The macro whose invocation is the table.
const MACRO: &str = "strategies! {";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let files: BTreeMap<&str, &str> = tree
        .files
        .iter()
        .filter_map(|file| {
            let name = file.path.strip_prefix(FOLDER)?.strip_suffix(".rs")?;
            (!name.contains('/')).then_some((name, file.path.as_str()))
        })
        .collect();
    let Some(table) = tree.file(TABLE) else {
        return files
            .values()
            .map(|path| Finding::new(*path, 1, format!("there is no table in {TABLE}")))
            .collect();
    };
    let Some(rows) = rows(&table.text) else {
        return vec![Finding::new(
            TABLE,
            1,
            format!("no `{MACRO} name => Type, \"...\"; }}` found"),
        )];
    };
    let mut findings = Vec::new();
    for (name, line) in &rows {
        if !files.contains_key(name.as_str()) {
            findings.push(Finding::new(
                TABLE,
                *line,
                format!("row `{name}` has no file {FOLDER}{name}.rs; write it"),
            ));
        }
    }
    for (name, path) in &files {
        if !rows.iter().any(|(row, _)| row == name) {
            let text = format!("strategy `{name}` has no row in {TABLE}; add `{name} => ...;` to its table");
            findings.push(Finding::new(*path, 1, text));
        }
    }
    for (index, (name, line)) in rows.iter().enumerate() {
        if rows[..index].iter().any(|(earlier, _)| earlier == name) {
            findings.push(Finding::new(
                TABLE,
                *line,
                format!("row `{name}` stands twice; keep one"),
            ));
        }
    }
    findings
}

/// Names and lines of the rows; `None` when there is no table.
fn rows(source: &str) -> Option<Vec<(String, usize)>> {
    let code = code::blank(source);
    let start = code.find(MACRO)?;
    let body = start + MACRO.len();
    let end = start + code::item_length(&code[start..]);
    let mut rows = Vec::new();
    let mut at = body;
    while let Some(arrow) = code[at..end].find("=>").map(|offset| at + offset) {
        let before = code[at..arrow].trim_end();
        let name_start = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(at, |last| at + last + 1);
        let line = code[..name_start].matches('\n').count() + 1;
        rows.push((code[name_start..at + before.len()].to_owned(), line));
        at = code[arrow..end]
            .find(';')
            .map_or(end, |offset| arrow + offset + 1);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    const SOURCE: &str = "mod a;\nmacro_rules! strategies { ($($n:ident => $t:path;)+) => {} }\n\
                          // strategies! { x => X; }\nstrategies! {\n    a => a::A, \"=> b;\";\n    c\n        => c::C, \"\";\n}\n";

    #[test]
    fn rows_are_read_from_the_invocation_only() {
        assert_eq!(rows(SOURCE), Some(vec![("a".to_owned(), 5), ("c".to_owned(), 6)]));
    }

    #[test]
    fn files_and_rows_match_both_ways() {
        let tree = tree(&[
            (TABLE, SOURCE),
            ("crates/evenkeel-core/src/strategy/a.rs", ""),
            ("crates/evenkeel-core/src/strategy/b.rs", ""),
            ("crates/evenkeel-core/src/strategy/a/detail.rs", ""),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].contains("strategy.rs:6: row `c` has no file"));
        assert!(found[1].contains("strategy/b.rs:1: strategy `b` has no row"));
    }
}
