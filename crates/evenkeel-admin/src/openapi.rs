//! `/openapi.json`: the API as a document, made from the table of routes and from the very types that travel.

use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::routes::{Body, OPERATIONS, Operation, Reply, Schemed, Verb};
use crate::{explain, wire};

/// The path with parameters in its query.
pub(crate) const EXPLAIN: &str = "/api/v1/services/{service}/explain";

pub(crate) async fn document() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| describe().to_string());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

/// The document, in OpenAPI 3.1, whose schemas are JSON Schema as it is.
fn describe() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for one in OPERATIONS {
        let path = paths.entry(one.path).or_insert_with(|| json!({}));
        path[one.method.as_str().to_ascii_lowercase()] = operation(one, &mut generator);
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Evenkeel admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Reading from the machine itself is open, and from another one takes the token, except for \
                            probes. Changing takes it from everywhere. Paths that are read answer HEAD, too.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(one: &Operation, generator: &mut SchemaGenerator) -> Value {
    let json = |schema: Schemed, generator: &mut SchemaGenerator| json!({ "application/json": { "schema": schema(generator) } });
    let mut replies = Map::new();
    for (status, reply) in one.replies {
        let mut answer = json!({ "description": one.summary });
        match reply {
            Reply::Nothing => {}
            Reply::Text => answer["content"] = json!({ "text/plain": { "schema": { "type": "string" } } }),
            Reply::Document => {
                answer["content"] = json!({ "application/json": { "schema": { "type": "object" } } });
            }
            Reply::Json(schema) => answer["content"] = json(*schema, generator),
        }
        replies.insert(status.to_string(), answer);
    }
    let problem = generator.subschema_for::<wire::Problem>();
    replies.insert(
        "default".to_owned(),
        json!({
            "description": "What is wrong, and what to do",
            "content": { "application/problem+json": { "schema": problem } },
        }),
    );
    let mut described = json!({
        "operationId": id(one),
        "summary": one.summary,
        "parameters": parameters(one.path),
        "responses": replies,
        "security": security(one),
    });
    let (required, schema) = match one.body {
        Body::Nothing => return described,
        Body::Perhaps(schema) => (false, schema),
        Body::Json(schema) => (true, schema),
    };
    described["requestBody"] = json!({ "required": required, "content": json(schema, generator) });
    described
}

/// `getServicesServiceInstances`: the method and the path, which together are unique.
fn id(one: &Operation) -> String {
    let words = one
        .path
        .trim_start_matches("/api/v1")
        .split(|c: char| !c.is_ascii_alphanumeric());
    let method = one.method.as_str().to_ascii_lowercase();
    words.filter(|word| !word.is_empty()).fold(method, |id, word| {
        let (first, rest) = word.split_at(1);
        id + &first.to_ascii_uppercase() + rest
    })
}

fn parameters(path: &str) -> Vec<Value> {
    let in_path = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if path == EXPLAIN {
        all.extend(explain::PARAMETERS.map(|(name, what)| {
            let schema = match name {
                "tried" => json!({ "type": "array", "items": { "type": "string" } }),
                _ => json!({ "type": "string" }),
            };
            json!({ "name": name, "in": "query", "description": what, "schema": schema })
        }));
    }
    all
}

/// Nobody has to be known for a probe, and on the machine itself for reading.
fn security(one: &Operation) -> Value {
    match (one.method, one.path) {
        (Verb::Get, "/livez" | "/readyz") => json!([]),
        (Verb::Get, _) => json!([{}, { "token": [] }]),
        _ => json!([{ "token": [] }]),
    }
}
