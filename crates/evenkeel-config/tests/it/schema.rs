//! The schema and the reader agree on what a file may look like.

use evenkeel_config::{Config, json_schema};
use serde_json::Value;

/// Whether `value` fits `schema`, by the keywords this crate's schema uses; patterns are left to the other tests.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    };
    let fits = |schema: &Value, value: &Value| fits(root, schema, value);
    schema
        .as_object()
        .into_iter()
        .flatten()
        .all(|(keyword, rule)| match keyword.as_str() {
            "$ref" => fits(
                &root["$defs"][rule.as_str().unwrap().trim_start_matches("#/$defs/")],
                value,
            ),
            "type" => rule
                .as_array()
                .map_or_else(|| is(rule), |kinds| kinds.iter().any(is)),
            "anyOf" => rule.as_array().unwrap().iter().any(|option| fits(option, value)),
            "oneOf" => {
                rule.as_array()
                    .unwrap()
                    .iter()
                    .filter(|option| fits(option, value))
                    .count()
                    == 1
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "minItems" => value
                .as_array()
                .is_none_or(|list| list.len() as u64 >= rule.as_u64().unwrap()),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .all(|element| fits(rule, element)),
            "required" => rule.as_array().unwrap().iter().all(|key| {
                value
                    .as_object()
                    .is_none_or(|object| object.contains_key(key.as_str().unwrap()))
            }),
            "properties" => rule
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, schema)| value.get(key).is_none_or(|value| fits(schema, value))),
            "additionalProperties" => value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| schema["properties"].get(key).is_none())
                .all(|(_, value)| *rule != Value::Bool(false) && (rule.is_boolean() || fits(rule, value))),
            "pattern" | "$schema" | "$id" | "$defs" | "title" | "description" | "default" | "examples"
            | "x-expects" => true,
            other => panic!("the schema uses `{other}`, which this test does not know"),
        })
}

#[test]
fn the_schema_and_the_reader_agree() {
    let schema = json_schema();
    let listeners = "listeners: [{ name: web, bind: '127.0.0.1:80' }]";
    let top = |key: &str| {
        format!("{listeners}\nservices: [{{ name: web, instances: [{{ address: 'a:80' }}] }}]\n{key}\n")
    };
    let service = |key: &str| {
        format!("{listeners}\nservices: [{{ name: web, {key}, instances: [{{ address: 'a:80' }}] }}]\n")
    };
    let instance = |key: &str| {
        format!("{listeners}\nservices: [{{ name: web, instances: [{{ address: 'a:80', {key} }}] }}]\n")
    };
    for (text, good) in [
        (top("defaults:"), true),
        (
            top("admin:\nlimits:\nworkers:\ndrain_delay: ~\ntrusted_proxies: null"),
            true,
        ),
        (top("limits: { head: }"), true),
        (top("workers: 2.0"), true),
        (top("workers: 2.5"), false),
        (top("workers: '2'"), false),
        (top("workers: 0"), false),
        (top("limits: { head: 1 }"), false),
        (top("limits: { head: 8192, chunk_line: 64KiB, body: none }"), true),
        (top("limits: { chunk_line: 31 }"), false),
        (top("limits: 5"), false),
        (top("limits: []"), false),
        (top("drain_delay: 5"), false),
        (top("drain_delay: true"), false),
        (top("trusted_proxies: 10.0.0.0/8"), false),
        (top("access_log: access.log"), true),
        (top("access_log: '-'"), true),
        (top("access_log:"), true),
        (top("access_log: ''"), false),
        (top("access_log: { file: a, sample: 0.1, query: true }"), true),
        (top("access_log: { sample: 0.1 }"), false),
        (top("access_log: { file: '' }"), false),
        (top("access_log: { file: a, sample: 2 }"), false),
        (top("access_log: { file: a, format: text }"), false),
        (top("access_log: [a]"), false),
        (top("foo:"), false),
        (service("health: { panic: fail }"), true),
        (service("health: { panic: maybe }"), false),
        (
            service("locality: { allow_regions: [], deny_regions: [eu, 7, true] }"),
            true,
        ),
        (service("locality: { allow_regions: eu }"), false),
        (service("locality: { allow_regions: [[eu]] }"), false),
        (service("slow_start: { window: 5s, min_share: 1 }"), true),
        (service("slow_start: { min_share: 1.5 }"), false),
        (service("slow_start: { window: 5 }"), false),
        (service("strategy:"), true),
        (service("strategy: { name: random }"), true),
        (service("strategy: { name: random, key: 1 }"), false),
        (service("strategy: fastest"), false),
        (service("health_check:"), true),
        (service("health_check: { tcp: {}, http: }"), true),
        (
            service("health_check: { http: { host: 7, expected_statuses: [200, 300-302] } }"),
            true,
        ),
        (
            service("health_check: { http: { expected_statuses: [99] } }"),
            false,
        ),
        (service("retry: { budget: 0.5, attempts: 0 }"), true),
        (service("retry: { budget: 2 }"), false),
        (
            instance("id: 7, zone: 1, region: true, metadata: { a: 1, b: no, c: 1.5 }"),
            true,
        ),
        (instance("id:, zone: ~, weight: , metadata: "), true),
        (instance("metadata: { a: }"), false),
        (instance("metadata: { a: [] }"), false),
        (instance("zone: {}"), false),
        (instance("weight: '5'"), false),
        (instance("weight: -1"), false),
        (instance("address: 9001").replace("address: 'a:80', ", ""), false),
        (listeners.to_owned(), false),
        (format!("{listeners}\nservices:\n"), false),
        (
            top("").replace(
                "name: web, bind",
                "name: 7, protocol: http, routes:, timeouts:, bind",
            ),
            true,
        ),
        (top("").replace("name: web, bind", "name: , bind"), false),
        (
            top("").replace("name: web, bind", "protocol: tcp, name: web, bind"),
            false,
        ),
        (String::new(), false),
    ] {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let read = Config::from_str("test.yaml", &text);
        assert_eq!(read.is_ok(), good, "check: {text}\n{read:?}");
        assert_eq!(fits(&schema, &schema, &value), good, "schema: {text}");
    }
}
