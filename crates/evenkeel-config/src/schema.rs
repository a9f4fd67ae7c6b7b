//! The JSON Schema of the configuration file, for editors and for the generated documentation.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::file::ConfigFile;
use crate::settings::LimitsFile;

/// Identifies the schema; also the name editors show.
const ID: &str = "https://evenkeel.dev/schema/configuration.json";

/// JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = keys();
    as_read(&mut schema);
    schema
}

/// The schema of what is meant to be written, for the documentation; [`json_schema`] allows what is read beside it.
pub(crate) fn keys() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<ConfigFile>();
    let Value::Object(mut root) = tidy(schema.to_value()) else {
        unreachable!("a schema of a struct is an object")
    };
    root.insert("$id".to_owned(), ID.into());
    root.insert("title".to_owned(), "Evenkeel configuration".into());
    never_empty(&mut root, &["listeners", "services"]);
    if let Some(Value::Object(service)) = root.get_mut("$defs").and_then(|defs| defs.get_mut("Service")) {
        never_empty(service, &["instances"]);
    }
    for (key, least) in LimitsFile::LEAST {
        root["$defs"]["Limits"]["properties"][key]["minimum"] = least.0.into();
    }
    Value::Object(root)
}

/// Allows what the reader takes beside what is meant: no value for a key that may be left out, and numbers and the like
/// for text.
fn as_read(value: &mut Value) {
    let required = value["required"].as_array().cloned().unwrap_or_default();
    for (key, property) in value
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let Value::Object(property) = property else {
            continue;
        };
        any_text(property);
        if let Some(Value::Object(values)) = property.get_mut("additionalProperties") {
            any_text(values);
        }
        if required.iter().any(|name| name == key) {
            continue;
        }
        if let Some(link) = property.remove("$ref") {
            property.insert("anyOf".to_owned(), json!([{ "$ref": link }, { "type": "null" }]));
        } else if let Some(Value::Array(options)) = property.get_mut("oneOf") {
            options.push(json!({ "type": "null" }));
        } else {
            match property.get_mut("type") {
                Some(Value::Array(types)) => types.push("null".into()),
                Some(one) => *one = json!([one.take(), "null"]),
                None => {}
            }
        }
    }
    for def in value
        .get_mut("$defs")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        as_read(def.1);
    }
}

/// Text without a form of its own is whatever is written.
fn any_text(property: &mut Map<String, Value>) {
    let form = ["pattern", "enum", "x-expects"]
        .iter()
        .any(|key| property.contains_key(*key));
    if property.get("type").is_some_and(|kind| kind == "string") && !form {
        property.insert("type".to_owned(), json!(["string", "number", "boolean"]));
    }
}

/// Lists which the reader takes as empty when they are missing, to say more about it than that a key is missing.
fn never_empty(object: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(Value::Object(list)) = object.get_mut("properties").and_then(|all| all.get_mut(*key)) {
            list.remove("default");
            list.insert("minItems".to_owned(), 1.into());
        }
        if let Value::Array(required) = object
            .entry("required")
            .or_insert_with(|| Value::Array(Vec::new()))
        {
            required.push((*key).into());
        }
    }
}

/// Drops what is about Rust: `null` for keys left out, notes for our own documentation, `File` in names.
fn tidy(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(tidy).collect()),
        Value::String(text) if text.starts_with("#/$defs/") => text.trim_end_matches("File").into(),
        Value::Object(object) => {
            let mut result = Map::new();
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("default", Value::Null) => {}
                    ("anyOf", Value::Array(options)) => {
                        let null = json!({ "type": "null" });
                        let mut options: Vec<Value> = options
                            .into_iter()
                            .filter(|option| *option != null)
                            .map(tidy)
                            .collect();
                        match (options.len(), options.pop()) {
                            (1, Some(Value::Object(only))) => result.extend(only),
                            (_, Some(last)) => {
                                options.push(last);
                                result.insert(key, Value::Array(options));
                            }
                            (_, None) => {}
                        }
                    }
                    ("type", Value::Array(mut types)) => {
                        types.retain(|name| name != "null");
                        let only = if types.len() == 1 { types.pop() } else { None };
                        result.insert(key, only.unwrap_or(Value::Array(types)));
                    }
                    ("$defs", Value::Object(defs)) => {
                        let defs = defs
                            .into_iter()
                            .map(|(name, def)| (name.trim_end_matches("File").to_owned(), tidy(def)));
                        result.insert(key, Value::Object(defs.collect()));
                    }
                    ("format", _) => {}
                    ("enum", Value::Array(mut words)) => {
                        words.retain(|word| !word.is_null());
                        result.insert(key, Value::Array(words));
                    }
                    (_, value) => {
                        result.insert(key, tidy(value));
                    }
                }
            }
            Value::Object(result)
        }
        other => other,
    }
}
