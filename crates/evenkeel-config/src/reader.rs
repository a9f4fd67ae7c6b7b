//! A deserializer that reads the model from the tree of the document and goes on after errors.
//!
//! serde stops at the first error. This one notes it in a [`Sink`], with the value as failed, and leaves failed values
//! out when the part they are in is read again; [`Tolerated`](crate::tolerated::Tolerated) is what reads again. So each
//! part is read as often as it has errors of its own, and never the whole document. Unknown keys are noted and left out.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use crate::names::nearest;
use crate::tolerated::AGAIN;
use crate::tree::{Key, Mark, Node, Plain, Value};

/// What is wrong, found so far.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) found: Vec<(String, Mark)>,
    /// Values to leave out, by the ids of their nodes.
    pub(crate) failed: HashSet<usize>,
    /// Unknown keys, by the ids of their values.
    unknown: HashSet<usize>,
}

/// Why a value could not be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// To be noted at the value it is about.
    New(String),
    /// A key that is missing in a mapping.
    Missing(&'static str),
    /// Noted already, deeper down.
    Noted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(message) => f.write_str(message),
            Self::Missing(key) => write!(f, "the key `{key}` is missing here"),
            Self::Noted => f.write_str("an error noted before"),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::New(message.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string().as_str() {
            "a string" => "text".to_owned(),
            "a sequence" => "a list".to_owned(),
            "a map" => "a mapping".to_owned(),
            "f64" => "a number".to_owned(),
            // YAML has done away with `on` and `off`.
            "a boolean" => "`true` or `false`".to_owned(),
            other => other.to_owned(),
        };
        Self::New(format!("wrong kind of value\nwrite {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::New(unknown_key(field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        Self::New(format!(
            "`{variant}` is not possible here\nwrite {}",
            known.join(" or ")
        ))
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let guess = nearest(key, known)
        .map(|name| format!(": did you mean `{name}`?"))
        .unwrap_or_default();
    let mut known = known.to_vec();
    known.sort_unstable();
    format!("unknown key `{key}`{guess}\nallowed here: {}", known.join(", "))
}

/// Reads one node.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'t> {
    pub(crate) node: &'t Node,
    pub(crate) text: &'t str,
    pub(crate) sink: &'t RefCell<Sink>,
}

impl<'t> Reader<'t> {
    fn on(self, node: &'t Node) -> Self {
        Self { node, ..self }
    }

    fn has_failed(self, node: &Node) -> bool {
        self.sink.borrow().failed.contains(&node.id())
    }

    /// Notes `message`; `node` is left out from here on.
    fn fail(self, node: &Node, message: String, at: Mark) -> Fault {
        let mut sink = self.sink.borrow_mut();
        sink.found.push((message, at));
        sink.failed.insert(node.id());
        Fault::Noted
    }

    /// Notes what is wrong with this node.
    fn note<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| match fault {
            Fault::Noted => Fault::Noted,
            Fault::Missing(key) if self.tried(key) => {
                self.sink.borrow_mut().failed.insert(self.node.id());
                Fault::Noted
            }
            new => self.fail(self.node, new.to_string(), self.node.at),
        })
    }

    /// Whether `key` is there, but wrong or mistyped, which has been noted.
    fn tried(self, key: &str) -> bool {
        let Value::Map(entries) = &self.node.value else {
            return false;
        };
        let sink = self.sink.borrow();
        entries.iter().any(|(written, value)| {
            written.name == key && sink.failed.contains(&value.id())
                || sink.unknown.contains(&value.id()) && nearest(&written.name, &[key]).is_some()
        })
    }

    fn wrong<T>(self, expected: &dyn Expected) -> Result<T, Fault> {
        Err(de::Error::invalid_type(de::Unexpected::Unit, expected))
    }

    /// How a value that is neither text nor a collection is written.
    fn written(self, bytes: &std::ops::Range<usize>) -> &'t str {
        self.text.get(bytes.clone()).unwrap_or_default()
    }

    fn entries(self, known: Option<&'static [&'static str]>, entries: &'t [(Key, Node)]) -> Entries<'t> {
        Entries {
            reader: self,
            rest: entries.iter(),
            value: None,
            known,
        }
    }

    fn elements(self, list: &'t [Node]) -> Elements<'t> {
        Elements {
            reader: self,
            rest: list.iter(),
        }
    }

    fn any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Plain(Plain::Bool(value), _) => visitor.visit_bool(*value),
            Value::Plain(Plain::Unsigned(value), _) => visitor.visit_u64(*value),
            Value::Plain(Plain::Signed(value), _) => visitor.visit_i64(*value),
            Value::Plain(Plain::Float(value), _) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(self.elements(list)),
            Value::Map(entries) => visitor.visit_map(self.entries(None, entries)),
        }
    }

    /// Numbers and the like are taken as they are written where text is expected.
    fn text<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Plain(_, bytes) => visitor.visit_borrowed_str(self.written(bytes)),
            _ => self.wrong(&visitor),
        }
    }
}

impl<'t> Deserializer<'t> for Reader<'t> {
    type Error = Fault;

    serde::forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct tuple
    }

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.note(self.any(visitor))
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.note(self.text(visitor))
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.note(match &self.node.value {
            Value::List(list) => visitor.visit_seq(self.elements(list)),
            Value::Null => visitor.visit_seq(self.elements(&[])),
            _ => self.wrong(&visitor),
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == AGAIN {
            visitor.visit_seq(Again(self))
        } else {
            self.deserialize_seq(visitor)
        }
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.note(match &self.node.value {
            Value::Map(entries) => visitor.visit_map(self.entries(None, entries)),
            _ => self.wrong(&visitor),
        })
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.note(match &self.node.value {
            Value::Map(entries) => visitor.visit_map(self.entries(Some(known), entries)),
            _ => self.wrong(&format!("a mapping with keys out of {}", known.join(", ")).as_str()),
        })
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // A variant with a value that is written without one is not told by the visitor what it is.
        let expected = (&visitor as &dyn Expected).to_string();
        let bare = |fault| match fault {
            Fault::New(message) if message.ends_with("newtype variant") => {
                de::Error::invalid_type(de::Unexpected::Unit, &expected.as_str())
            }
            other => other,
        };
        self.note(match &self.node.value {
            Value::Text(text) => visitor
                .visit_enum(text.as_str().into_deserializer())
                .map_err(bare),
            Value::Plain(_, bytes) => visitor.visit_enum(self.written(bytes).into_deserializer()),
            Value::Map(entries) if entries.len() == 1 && self.has_failed(&entries[0].1) => {
                self.sink.borrow_mut().failed.insert(self.node.id());
                Err(Fault::Noted)
            }
            Value::Map(entries) if entries.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(self.entries(None, entries)))
            }
            _ => self.wrong(&visitor),
        })
    }
}

/// The elements of a list that have not failed.
struct Elements<'t> {
    reader: Reader<'t>,
    rest: std::slice::Iter<'t, Node>,
}

impl<'t> SeqAccess<'t> for Elements<'t> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let reader = self.reader;
        let next = self.rest.find(|element| !reader.has_failed(element));
        next.map(|element| seed.deserialize(reader.on(element)))
            .transpose()
    }
}

/// The entries of a mapping that have not failed and, in a struct, are known.
struct Entries<'t> {
    reader: Reader<'t>,
    rest: std::slice::Iter<'t, (Key, Node)>,
    value: Option<&'t Node>,
    /// Keys of the struct; `None` in mappings which take any key.
    known: Option<&'static [&'static str]>,
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let reader = self.reader;
        for (key, value) in self.rest.by_ref() {
            if let Some(known) = self.known.filter(|known| !known.contains(&key.name.as_str())) {
                let mut sink = reader.sink.borrow_mut();
                if sink.unknown.insert(value.id()) {
                    sink.found.push((unknown_key(&key.name, known), key.at));
                }
            } else if !reader.has_failed(value) {
                self.value = Some(value);
                let name: StrDeserializer<'_, Fault> = key.name.as_str().into_deserializer();
                return match seed.deserialize(name) {
                    Ok(key) => Ok(Some(key)),
                    Err(fault) => Err(reader.fail(value, fault.to_string(), key.at)),
                };
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(value) => {
                let reader = self.reader.on(value);
                reader.note(seed.deserialize(reader))
            }
            None => Err(de::Error::custom("a value without its key")),
        }
    }
}

/// The same node over and over, until it is read or has failed itself.
struct Again<'t>(Reader<'t>);

impl<'t> SeqAccess<'t> for Again<'t> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let reader = self.0;
        if reader.has_failed(reader.node) {
            return Ok(None);
        }
        let failed = || reader.sink.borrow().failed.len();
        let before = failed();
        let value = seed.deserialize(reader);
        // What fails without anything to leave out next time would fail for ever.
        if value.is_err() && failed() == before {
            reader.sink.borrow_mut().failed.insert(reader.node.id());
        }
        value.map(Some)
    }
}
