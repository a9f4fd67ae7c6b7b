//! Values of the settings that decide who is a candidate.

use std::borrow::Cow;

use evenkeel_core::Panic;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What happens with fewer healthy instances than the minimum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PanicText {
    /// All that are not ejected are used, whatever checks say; the ejected too when there are no others.
    #[default]
    All,
    /// Requests are refused.
    Fail,
    /// The minimum holds for each priority, and one with fewer is passed over.
    NextPriority,
}

impl From<PanicText> for Panic {
    fn from(text: PanicText) -> Self {
        match text {
            PanicText::All => Self::All,
            PanicText::Fail => Self::Fail,
            PanicText::NextPriority => Self::NextPriority,
        }
    }
}

impl From<Panic> for PanicText {
    fn from(panic: Panic) -> Self {
        match panic {
            Panic::Fail => Self::Fail,
            Panic::NextPriority => Self::NextPriority,
            _ => Self::All,
        }
    }
}

/// Names of regions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegionList(Vec<String>);

impl RegionList {
    /// No region, for defaults.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }
}

impl From<RegionList> for Vec<String> {
    fn from(list: RegionList) -> Self {
        list.0
    }
}

impl From<Vec<String>> for RegionList {
    fn from(list: Vec<String>) -> Self {
        Self(list)
    }
}

impl JsonSchema for RegionList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RegionList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A region is text, and text is whatever is written.
        json_schema!({
            "type": "array",
            "items": { "type": ["string", "number", "boolean"], "x-expects": "text" }
        })
    }
}
