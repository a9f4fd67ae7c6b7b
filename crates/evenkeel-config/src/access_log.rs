//! The access log, as written in the file and resolved. Off unless it is there: as the path of a file, or as a group.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::rules;
use crate::text::Ratio;
use crate::tolerated;

/// A line of JSON for each request, when it ends. Written beside the requests: what the disk cannot take is dropped and
/// counted, and no request waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, serde::Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct AccessLogFile {
    /// The file, which lines are appended to, or `-` for standard output. Its directory has to be there. It is opened anew
    /// on SIGHUP and SIGUSR1, so that it can be rotated.
    #[garde(custom(rules::log_file))]
    #[schemars(extend("minLength" = 1))]
    pub file: String,
    /// The part of the requests that is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = Ratio(1.0)))]
    pub sample: Option<Ratio>,
    /// Whether the query of a request is written. It may hold what is nobody's business, such as tokens.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = false))]
    pub query: Option<bool>,
}

/// The access log: a path, `/var/log/evenkeel/access.log`, or a group, `{ file: access.log, sample: 0.1 }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessLogText(pub AccessLogFile);

/// Where requests are written down.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// The path of a file, or `-` for standard output.
    pub file: String,
    /// The part of the requests that is written, 0..=1.
    pub sample: f64,
    /// Whether queries are written.
    pub query: bool,
}

impl From<AccessLogText> for AccessLog {
    fn from(AccessLogText(file): AccessLogText) -> Self {
        Self {
            file: file.file,
            sample: file.sample.map_or(1.0, Into::into),
            query: file.query.unwrap_or_default(),
        }
    }
}

impl From<&AccessLog> for AccessLogText {
    fn from(log: &AccessLog) -> Self {
        Self(AccessLogFile {
            file: log.file.clone(),
            sample: Some(Ratio(log.sample)),
            query: Some(log.query),
        })
    }
}

impl garde::Validate for AccessLogText {
    type Context = ();

    fn validate_into(
        &self,
        context: &(),
        parent: &mut dyn FnMut() -> garde::Path,
        report: &mut garde::Report,
    ) {
        self.0.validate_into(context, parent, report);
    }
}

impl<'de> Deserialize<'de> for AccessLogText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrMapping;
        impl<'de> de::Visitor<'de> for PathOrMapping {
            type Value = AccessLogText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file, `-` for standard output, or `{ file: PATH }` with settings")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AccessLogText, E> {
                Ok(AccessLogText(AccessLogFile {
                    file: text.to_owned(),
                    ..AccessLogFile::default()
                }))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AccessLogText, A::Error> {
                AccessLogFile::deserialize(de::value::MapAccessDeserializer::new(map)).map(AccessLogText)
            }
        }
        deserializer.deserialize_any(PathOrMapping)
    }
}

impl Serialize for AccessLogText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for AccessLogText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AccessLogText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = generator.subschema_for::<AccessLogFile>();
        json_schema!({ "oneOf": [{ "type": "string", "minLength": 1, "x-expects": "path" }, mapping] })
    }
}
