//! The document of the API, beside what the API does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::{ask, get};
use crate::fleet::{Fleet, TOKEN, usual};

fn document(fleet: &Fleet) -> Value {
    let reply = get(fleet.address(), "/openapi.json");
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    reply.json()
}

/// Method, path and what is said of them.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap();
        methods
            .iter()
            .map(|(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation.clone()))
    });
    all.collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(link)) = map.get("$ref") {
                found.insert(link.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Whether `value` has the keys and types that `schema` says: what can be told without a validator.
fn agrees(root: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(link) = schema["$ref"].as_str() {
        return agrees(
            root,
            root.pointer(link.trim_start_matches('#')).unwrap(),
            value,
            at,
        );
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let null = options.iter().any(|option| option["type"] == "null");
        assert!(null, "{at}: {schema}");
        if !value.is_null() {
            agrees(root, &options[0], value, at);
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let allowed = |kind: &str| types.iter().any(|one| one == kind);
    assert!(
        allowed(kind) || kind == "integer" && allowed("number"),
        "{at}: {kind} and {schema}"
    );
    match value {
        Value::Array(list) => list
            .iter()
            .for_each(|one| agrees(root, &schema["items"], one, at)),
        Value::Object(map) => {
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(map.contains_key(key.as_str().unwrap()), "{at}: {key} is missing");
            }
            for (key, one) in map {
                let known = schema["properties"].get(key);
                let schema = known.or_else(|| schema.get("additionalProperties"));
                let schema = schema.unwrap_or_else(|| panic!("{at}: {key} is not in the document"));
                agrees(root, schema, one, &format!("{at}.{key}"));
            }
        }
        _ => {}
    }
}

#[test]
fn every_operation_of_the_document_is_answered() {
    let fleet = Fleet::new(usual());
    fleet.readiness.set_ready(true);
    let document = document(&fleet);
    let all = operations(&document);
    assert_eq!(all.len(), 21);
    let mut ids = BTreeSet::new();
    for (method, path, operation) in &all {
        assert!(
            ids.insert(operation["operationId"].to_string()),
            "{method} {path}"
        );
        let target = path.replace("{service}", "web").replace("{instance}", "web-1");
        let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let reply = ask(fleet.address(), &request);
        let reads = method == "GET";
        // Changes lack the token here; what does not exist would be 404 or 405.
        assert_eq!(
            reply.status,
            if reads { 200 } else { 401 },
            "{method} {path}: {}",
            reply.body
        );
        let open = operation["security"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one == &serde_json::json!({}));
        assert_eq!(
            open || path == "/livez" || path == "/readyz",
            reads,
            "{method} {path}"
        );
        let described = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if reads && !described.is_null() && path != "/openapi.json" {
            agrees(&document, described, &reply.json(), path);
        }
    }
    let mut links = BTreeSet::new();
    references(&document, &mut links);
    for link in links {
        assert!(document.pointer(link.trim_start_matches('#')).is_some(), "{link}");
    }
}

/// What is told to who asks for something else comes from the same table.
#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let fleet = Fleet::new(usual());
    let request = "POST /api/v1/services/web/picks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let reply = ask(fleet.address(), request);
    assert_eq!(
        (reply.status, reply.header("allow")),
        (405, Some("GET, HEAD, PUT, DELETE"))
    );
}

#[test]
fn a_problem_and_a_written_instance_are_as_described() {
    let fleet = Fleet::new(usual());
    let document = document(&fleet);
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let missing = get(fleet.address(), "/api/v1/services/wbe").json();
    agrees(&document, &schema("Problem"), &missing, "problem");
    let written = fleet.serve(|address| {
        let body = r#"{"address": "127.0.0.1:9009", "metadata": {"rack": "7"}}"#;
        ask(
            address,
            &format!(
                "PUT /api/v1/services/web/instances/new HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: \
                 Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    });
    assert_eq!(written.status, 201, "{}", written.body);
    agrees(&document, &schema("InstanceWritten"), &written.json(), "written");
}
