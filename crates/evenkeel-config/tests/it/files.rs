//! Files: the examples, the generated documentation, and what cannot be read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evenkeel_config::{
    Admin, CircuitBreaker, Config, Health, Limits, ListenerTimeouts, Locality, Pool, Retry, SlowStart,
    Timeouts, docs_markdown, json_schema,
};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of this test run, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("evenkeel-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn examples_load() {
    for (name, services) in [("minimal", 1), ("gateway", 2), ("full", 2)] {
        let path = root().join(format!("examples/{name}.yaml"));
        let config = Config::from_path(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.services.len(), services, "{name}");
    }
    let minimal = std::fs::read_to_string(root().join("examples/minimal.yaml")).unwrap();
    assert_eq!(minimal.lines().count(), 5);
}

#[test]
fn the_full_example_has_every_key_with_its_default() {
    let text = std::fs::read_to_string(root().join("examples/full.yaml")).unwrap();
    let written: Value = serde_saphyr::from_str(&text).unwrap();
    let schema = json_schema();
    let mut missing = Vec::new();
    compare(&schema, &schema, &written, "", &mut missing);
    assert!(missing.is_empty(), "examples/full.yaml: {}", missing.join("\n"));

    let config = Config::from_path(&root().join("examples/full.yaml")).unwrap();
    assert_eq!(config.admin, Admin::default());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.listeners[0].timeouts, ListenerTimeouts::default());
    let (written, left_out) = (&config.services[0], &config.services[1]);
    assert_eq!(written.health, Health::default());
    assert_eq!(written.locality, Locality::default());
    assert_eq!(written.slow_start, SlowStart::default());
    assert_eq!(written.circuit_breaker, CircuitBreaker::default());
    assert_eq!(written.retry, Retry::default());
    assert_eq!(written.timeouts, Timeouts::default());
    assert_eq!(written.pool, Pool::default());
    assert_eq!(written.strategy, left_out.strategy);
}

/// Notes keys of the schema that are not in the first element of each list, and defaults that differ.
fn compare(root: &Value, schema: &Value, written: &Value, at: &str, missing: &mut Vec<String>) {
    // A group that may be left out may have no value, too.
    let schema = schema.get("anyOf").map_or(schema, |options| &options[0]);
    let schema = match schema["$ref"].as_str() {
        Some(link) => &root["$defs"][link.trim_start_matches("#/$defs/")],
        None => schema,
    };
    if let Some(items) = schema.get("items").filter(|_| written[0].is_object()) {
        return compare(root, items, &written[0], &format!("{at}[0]"), missing);
    }
    // `http` and `tcp` exclude each other, and `defaults` repeats the keys of a service.
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match written.get(key) {
            None if key == "tcp" || at.starts_with(".defaults.") => {}
            None => missing.push(format!("{at} is missing")),
            Some(value) => {
                if let Some(default) = property.get("default").filter(|default| *default != value) {
                    missing.push(format!("{at} is {value}, the default is {default}"));
                }
                compare(root, property, value, &at, missing);
            }
        }
    }
}

#[test]
fn documentation_is_current() {
    let path = root().join("docs/configuration.md");
    let text = docs_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        current == text,
        "docs/configuration.md is stale: run `UPDATE_DOCS=1 cargo test -p evenkeel-config`"
    );
}

#[test]
fn the_schema_describes_every_key() {
    fn visit(value: &Value, at: &str, bare: &mut Vec<String>) {
        for (key, property) in value["properties"].as_object().into_iter().flatten() {
            // The mapping form of a strategy is described at the key that holds it.
            if property["description"].as_str().is_none_or(str::is_empty) {
                bare.push(format!("{at}.{key}"));
            }
        }
        for (name, def) in value["$defs"].as_object().into_iter().flatten() {
            visit(def, name, bare);
        }
    }
    let schema = json_schema();
    let mut bare = Vec::new();
    visit(&schema, "", &mut bare);
    assert!(bare.is_empty(), "no description: {bare:?}");
    assert!(schema["$id"].is_string() && schema["title"].is_string() && schema["description"].is_string());
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = std::env::temp_dir();
    let latin1 = Scratch::new("latin1.yaml", b"workers: 1\n# caf\xe9\n");
    for (path, expected) in [
        (directory.as_path(), "it is a directory: name a file in it"),
        (&directory.join("evenkeel-no-such-file.yaml"), "no such file"),
        (&latin1.0, "line 2 is not UTF-8: save the file in that encoding"),
    ] {
        let shown = Config::from_path(path).unwrap_err().to_string();
        assert_eq!(
            shown,
            format!("error: cannot read {}: {expected}", path.display())
        );
    }
}

#[test]
fn a_file_beyond_the_cap_is_refused_without_parsing() {
    let large = Scratch::new("large.yaml", b"");
    std::fs::File::options()
        .write(true)
        .open(&large.0)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let shown = Config::from_path(&large.0).unwrap_err().to_string();
    assert!(
        shown.ends_with("it is larger than 64 MiB, too large for a configuration"),
        "{shown}"
    );
}

fn many(instances: usize) -> String {
    let mut text =
        "listeners: [{ name: web, bind: 127.0.0.1:8080 }]\nservices:\n- name: web\n  instances:\n".to_owned();
    for i in 0..instances {
        let (third, fourth) = (i / 250, i % 250 + 1);
        text += &format!(
            "  - {{ id: web-{i}, address: 10.0.{third}.{fourth}:9001, weight: 2, region: eu, zone: a }}\n"
        );
    }
    text
}

/// The bounds are loose, for slow machines and builds without optimisation; they catch what grows with the square.
#[test]
fn ten_thousand_instances_load_and_ten_thousand_errors_are_shown() {
    let start = Instant::now();
    let good = many(10_000);
    assert_eq!(
        Config::from_str("many.yaml", &good).unwrap().services[0]
            .instances
            .len(),
        10_000
    );
    let bad = good.replace("weight", "wieght");
    let error = Config::from_str("many.yaml", &bad).unwrap_err();
    assert_eq!(error.problems().len(), 10_000);
    let shown = error.to_string();
    assert_eq!(shown.matches("did you mean `weight`?").count(), 50);
    assert!(shown.ends_with("10000 errors in many.yaml, the first 50 shown"));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn documents_that_unfold_are_refused() {
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let below = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("b{i}: &a{i} [{below}]\n");
    }
    let deep = format!("workers: {}\n", "[".repeat(10_000));
    let start = Instant::now();
    let shown = Config::from_str("bomb.yaml", &bomb).unwrap_err().to_string();
    assert!(shown.contains("more than a configuration needs"), "{shown}");
    assert!(Config::from_str("deep.yaml", &deep).is_err());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = "
listeners: [{ name: web, bind: '127.0.0.1:0' }]
services:
  - name: web
    instances:
      - &base { address: 10.0.0.1:80, weight: 3, zone: a }
      - { <<: *base, address: 10.0.0.2:80 }
";
    let config = Config::from_str("merge.yaml", text).unwrap();
    let second = &config.services[0].instances[1];
    assert_eq!(
        (second.weight, second.address.to_string().as_str()),
        (3, "10.0.0.2:80")
    );
}
