//! What is tried again, as a list of words: `[connect, no_response, 503, 5xx]`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::text::textual;

/// One reason to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryReason {
    /// A connection that cannot be made.
    Connect,
    /// A connection that ends, or a timeout, before a byte of the response.
    NoResponse,
    /// A response with this status, 400 to 599.
    Status(u16),
    /// A response with a status of this class, 4 or 5.
    Class(u16),
}

impl RetryReason {
    const EXPECTED: &'static str = "`connect`, `no_response`, a status such as `503`, or a class, `5xx`";
}

impl FromStr for RetryReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("connect", _) => Ok(Self::Connect),
            ("no_response", _) => Ok(Self::NoResponse),
            ("4xx", _) => Ok(Self::Class(4)),
            ("5xx", _) => Ok(Self::Class(5)),
            (_, Ok(status @ 400..=599)) => Ok(Self::Status(status)),
            (_, Ok(100..=399)) | ("1xx" | "2xx" | "3xx", _) => Err(format!(
                "a response with `{text}` is no failure\nwrite statuses from 400 to 599"
            )),
            _ => Err(format!(
                "`{text}` is no reason to try again\nwrite {}",
                Self::EXPECTED
            )),
        }
    }
}

impl fmt::Display for RetryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::NoResponse => f.write_str("no_response"),
            Self::Status(status) => status.fmt(f),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

textual!(
    RetryReason,
    ["string", "integer"],
    "pattern": "^(connect|no_response|[45]xx|[45][0-9][0-9])$",
    "minimum": 400,
    "maximum": 599,
    "x-expects": "`connect`, `no_response`, status or class"
);

/// What is tried again: a set, in which order and repetition do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn {
    /// A connection that cannot be made.
    pub connect: bool,
    /// A connection that ends, or a timeout, before a byte of the response.
    pub no_response: bool,
    /// Statuses from 400 on, a bit each.
    statuses: [u128; 2],
}

impl RetryOn {
    const NOTHING: Self = Self {
        connect: false,
        no_response: false,
        statuses: [0; 2],
    };

    /// Failures that another instance may not have.
    pub(crate) const USUAL: Self = Self {
        connect: true,
        no_response: true,
        statuses: [0, 0b11101],
    };

    fn bit(status: u16) -> (usize, u128) {
        let index = usize::from(status - 400);
        (index / 100, 1 << (index % 100))
    }

    fn add(&mut self, reason: RetryReason) {
        match reason {
            RetryReason::Connect => self.connect = true,
            RetryReason::NoResponse => self.no_response = true,
            RetryReason::Status(status) => {
                let (word, bit) = Self::bit(status);
                self.statuses[word] |= bit;
            }
            RetryReason::Class(class) => self.statuses[usize::from(class - 4)] = ALL,
        }
    }

    /// The statuses, ascending.
    pub fn statuses(&self) -> impl Iterator<Item = u16> + '_ {
        (400..=599).filter(|status| {
            let (word, bit) = Self::bit(*status);
            self.statuses[word] & bit != 0
        })
    }

    /// The shortest list that says the same.
    fn reasons(&self) -> impl Iterator<Item = RetryReason> + '_ {
        let words = [
            self.connect.then_some(RetryReason::Connect),
            self.no_response.then_some(RetryReason::NoResponse),
            (self.statuses[0] == ALL).then_some(RetryReason::Class(4)),
            (self.statuses[1] == ALL).then_some(RetryReason::Class(5)),
        ];
        let single = self
            .statuses()
            .filter(|status| self.statuses[usize::from(status / 100 - 4)] != ALL);
        words.into_iter().flatten().chain(single.map(RetryReason::Status))
    }
}

impl From<&RetryOn> for evenkeel_core::RetryOn {
    fn from(on: &RetryOn) -> Self {
        Self {
            connect: on.connect,
            no_response: on.no_response,
            statuses: on.statuses().collect(),
        }
    }
}

/// All hundred statuses of a class.
const ALL: u128 = (1 << 100) - 1;

impl<'de> Deserialize<'de> for RetryOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = RetryOn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of reasons: {}", RetryReason::EXPECTED)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RetryOn, A::Error> {
                let mut on = RetryOn::NOTHING;
                while let Some(reason) = list.next_element()? {
                    on.add(reason);
                }
                Ok(on)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl Serialize for RetryOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for reason in self.reasons() {
            list.serialize_element(&reason)?;
        }
        list.end()
    }
}

impl JsonSchema for RetryOn {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RetryOn".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<RetryReason>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_as_short_as_it_can_be() {
        let written = |words: &[&str]| {
            let mut on = RetryOn::NOTHING;
            for word in words {
                on.add(word.parse().unwrap());
            }
            let words: Vec<String> = on.reasons().map(|reason| reason.to_string()).collect();
            words.join(" ")
        };
        assert_eq!(
            written(&["599", "503", "503", "no_response"]),
            "no_response 503 599"
        );
        assert_eq!(written(&["5xx", "429", "502", "connect"]), "connect 5xx 429");
        assert_eq!(written(&["4xx", "400", "499", "500"]), "4xx 500");
        assert_eq!(written(&[]), "");
        let usual: Vec<String> = RetryOn::USUAL
            .reasons()
            .map(|reason| reason.to_string())
            .collect();
        assert_eq!(usual, ["connect", "no_response", "500", "502", "503", "504"]);
    }
}
