//! The document as a tree in which every key and value knows its place.
//!
//! It is parsed once. The tree can then be read as often and in the order that finding all errors takes, and the place
//! of a value is at hand when something turns out to be wrong with it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Options, Spanned, with_deserializer_from_str_with_options};

use crate::path::{Path, Step};

/// A place in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// In characters.
    pub(crate) length: u32,
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            line: narrow(location.line()),
            column: narrow(location.column()),
            length: narrow(location.span().len()),
        }
    }
}

/// A value and its place; the place of an alias is where the alias stands.
pub(crate) struct Node {
    pub(crate) at: Mark,
    pub(crate) value: Value,
}

/// What YAML takes a value for.
pub(crate) enum Value {
    /// Nothing, or `~` or `null`.
    Null,
    /// Without quotes and not text; with the bytes it has in the document.
    Plain(Plain, std::ops::Range<usize>),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Copy)]
pub(crate) enum Plain {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

/// A key of a mapping.
pub(crate) struct Key {
    pub(crate) at: Mark,
    pub(crate) name: String,
}

impl Node {
    /// Reads a document.
    pub(crate) fn parse(text: &str, options: Options) -> Result<Self, Error> {
        with_deserializer_from_str_with_options(text, options, |yaml| Self::deserialize(yaml))
    }

    /// Tells the nodes of a tree apart.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(yaml: D) -> Result<Self, D::Error> {
        let Spanned {
            mut value,
            referenced,
            defined,
        } = Spanned::<Value>::deserialize(yaml)?;
        if let Value::Plain(_, bytes) = &mut value {
            let place = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            let start = place(defined.span().byte_offset());
            *bytes = start..start + place(defined.span().byte_len());
        }
        Ok(Self {
            at: referenced.into(),
            value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(yaml: D) -> Result<Self, D::Error> {
        yaml.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Plain(Plain::Bool(value), 0..0))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Plain(Plain::Unsigned(value), 0..0))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Plain(Plain::Signed(value), 0..0))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Plain(Plain::Float(value), 0..0))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let at = key.referenced.into();
            let name = key.value;
            map.push((Key { at, name }, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

/// Finds where the parts of what was read stand. What was read lacks the elements that failed.
pub(crate) struct Finder<'t> {
    root: &'t Node,
    failed: &'t HashSet<usize>,
    /// The elements of lists that did not fail. Kept, as the next path often leads through the same list.
    kept: HashMap<usize, Vec<&'t Node>>,
}

impl<'t> Finder<'t> {
    pub(crate) fn new(root: &'t Node, failed: &'t HashSet<usize>) -> Self {
        Self {
            root,
            failed,
            kept: HashMap::new(),
        }
    }

    /// The place at the end of `path`, or the last key on the way that exists.
    pub(crate) fn find(&mut self, path: &Path) -> Option<Mark> {
        let (mut node, mut found) = (self.root, None);
        for step in &path.0 {
            node = match (step, &node.value) {
                (Step::Key(step), Value::Map(entries)) => {
                    let Some((key, value)) = entries.iter().find(|(key, _)| key.name == *step) else {
                        return found;
                    };
                    found = Some(key.at);
                    value
                }
                (Step::Index(step), Value::List(list)) => {
                    let failed = self.failed;
                    let kept = self.kept.entry(node.id()).or_insert_with(|| {
                        list.iter()
                            .filter(|element| !failed.contains(&element.id()))
                            .collect()
                    });
                    let Some(element) = kept.get(*step) else {
                        return found;
                    };
                    element
                }
                _ => return found,
            };
        }
        Some(node.at)
    }
}
