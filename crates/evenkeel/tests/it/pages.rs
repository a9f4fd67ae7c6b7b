//! The pages about strategies: one for each, reachable in the files and in the documentation of the crate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use evenkeel::StrategyName;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Where the links of a file lead, without those within it.
fn targets(text: &str) -> Vec<&str> {
    let definitions = text
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let all = definitions.map(|(_, to)| to).chain(inline.map(|(to, _)| to));
    let files = all.map(|to| to.split('#').next().unwrap());
    files.filter(|to| !to.is_empty() && !to.contains("://")).collect()
}

#[test]
fn every_strategy_has_a_page_and_every_link_leads_to_a_file() {
    let names: BTreeSet<&str> = StrategyName::ALL.iter().map(|name| name.as_str()).collect();
    let index = std::fs::read_to_string(docs().join("strategies.md")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/strategies.rs");
    let shown = std::fs::read_to_string(source).unwrap();
    for name in &names {
        let page = docs().join(format!("strategies/{name}.md"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} is missing", page.display()));
        assert!(page.starts_with(&format!("# `{name}`\n")), "{name}");
        assert!(
            index.contains(&format!("| [`{name}`]")) || index.matches(&format!("[`{name}`]")).count() > 2,
            "{name}"
        );
        assert!(
            targets(&index).contains(&&*format!("strategies/{name}.md")),
            "{name}"
        );
        assert!(
            shown.contains(&format!("#![doc = \"[`{name}`]: mod@{name}\"]")),
            "{name}"
        );
        assert!(shown.contains(&format!("\n    {name} \"")), "{name}");
    }
    let mut files = vec![docs().join("strategies.md"), docs().join("health.md")];
    for entry in std::fs::read_dir(docs().join("strategies")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            names.contains(stem) || stem == "hashing",
            "{} is no strategy",
            path.display()
        );
        files.push(path);
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for to in targets(&text) {
            let there = file.parent().unwrap().join(to).exists();
            assert!(there, "{}: the link to {to} leads nowhere", file.display());
        }
    }
}
