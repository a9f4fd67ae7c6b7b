//! `docs/configuration.md`, made from the schema so that it cannot differ from what is accepted.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::schema::keys;

/// Before the tables.
const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the schema; `UPDATE_DOCS=1 cargo test -p evenkeel-config` rewrites it. -->

Evenkeel reads one YAML file (JSON is a subset): `evenkeel serve --config FILE`. `evenkeel check --config FILE` shows
every error of a file with its line and what would be right; with `--print` it shows the file with all defaults.
`evenkeel schema` prints the JSON Schema, which editors use for completion.

- Durations carry their unit: `250ms`, `5s`, `1m30s`, `1h`. They are never zero.
- Sizes: `512` (bytes), `64KiB`, `10MiB`, `1GiB`.
- Ratios go from `0` to `1`.
- A key without a value, such as `limits:` alone, is a key left out.
- Where text is expected, numbers, `true` and `false` are taken as they are written: `zone: 1`. Where a number is
  expected, quotes make it text, which is an error: `weight: '5'`.
- Unknown keys and repeated keys are errors.
- Anchors, aliases and merge keys (`<<`) may be used; what they unfold to is limited. A file has at most 64 MiB.

";

/// The documentation of every key, as Markdown.
#[must_use]
pub fn docs_markdown() -> String {
    let schema = keys();
    let mut text = INTRODUCTION.to_owned();
    for (title, example) in [
        ("The smallest file", "minimal"),
        ("Two services with routes", "gateway"),
    ] {
        let body = match example {
            "minimal" => include_str!("../../../examples/minimal.yaml"),
            _ => include_str!("../../../examples/gateway.yaml"),
        };
        let _ = write!(
            text,
            "## {title}\n\n`examples/{example}.yaml`:\n\n```yaml\n{body}```\n\n"
        );
    }
    text.push_str("`examples/full.yaml` has every key with its default.\n\n## Keys\n\n");
    let empty = Map::new();
    let defs = schema["$defs"].as_object().unwrap_or(&empty);
    let mut pages = vec![("Top level".to_owned(), &schema)];
    let mut seen: Vec<String> = Vec::new();
    let mut next = 0;
    // Breadth first: a group follows the keys that hold it.
    while let Some((title, page)) = pages.get(next).cloned() {
        next += 1;
        let _ = write!(text, "### {title}\n\n");
        if next > 1
            && let Some(about) = page["description"].as_str()
        {
            let _ = write!(text, "{}\n\n", one_line(about));
        }
        let properties = page["properties"].as_object().unwrap_or(&empty);
        if properties.is_empty() {
            continue;
        }
        text.push_str("| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
        for (key, property) in properties {
            let required = page["required"]
                .as_array()
                .is_some_and(|keys| keys.iter().any(|name| name == key));
            if let Some(name) = reference(property)
                && !seen.contains(&name)
                && defs.get(&name).is_some_and(|def| def["type"] == "object")
            {
                seen.push(name.clone());
                pages.push((name.clone(), &defs[&name]));
            }
            let default = match &property["default"] {
                _ if required => "required".to_owned(),
                Value::Null => String::new(),
                Value::String(word) => format!("`{word}`"),
                other => format!("`{other}`"),
            };
            let about = one_line(property["description"].as_str().unwrap_or_default());
            let _ = writeln!(
                text,
                "| `{key}` | {} | {default} | {about} |",
                kind(property, defs)
            );
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The group a property holds, itself or in a list.
fn reference(property: &Value) -> Option<String> {
    let link = property["$ref"]
        .as_str()
        .or_else(|| property["items"]["$ref"].as_str())
        // A name, or a group.
        .or_else(|| property["oneOf"][1]["$ref"].as_str())?;
    link.strip_prefix("#/$defs/").map(ToOwned::to_owned)
}

/// The kind of value, in words.
fn kind(property: &Value, defs: &Map<String, Value>) -> String {
    if let Some(name) = reference(property) {
        let list = if property["items"].is_object() {
            "list of "
        } else if property["oneOf"][0]["x-expects"] == "path" {
            "path or "
        } else if property["oneOf"].is_array() {
            "name or "
        } else {
            ""
        };
        let off = match property["oneOf"][2]["const"].as_str() {
            Some(word) => format!(" or `{word}`"),
            None => String::new(),
        };
        return match defs.get(&name) {
            Some(def) if def["type"] == "object" => {
                format!("{list}[{name}](#{}){off}", name.to_ascii_lowercase())
            }
            Some(def) => {
                let words = def["oneOf"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|one| one["const"].as_str());
                format!(
                    "{list}{}",
                    words
                        .map(|word| format!("`{word}`"))
                        .collect::<Vec<_>>()
                        .join(" or ")
                )
            }
            None => name,
        };
    }
    if let Some(words) = property["x-expects"].as_str() {
        return words.to_owned();
    }
    match property["type"].as_str() {
        Some("integer") => format!("{} to {}", property["minimum"], property["maximum"]),
        Some("array") => format!("list of {}", kind(&property["items"], defs)),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("object") => "mapping of text to text".to_owned(),
        Some("string") => "text".to_owned(),
        other => other.unwrap_or_default().to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
