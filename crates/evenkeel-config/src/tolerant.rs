//! A deserializer that goes on after errors.
//!
//! serde stops at the first error. This one wraps the YAML deserializer and keeps, in a [`Sink`], unknown keys (which
//! it reports and skips) and the place of the first value that failed. The reader then starts over with that value
//! left out, until everything else has been seen.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Expected, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::path::{Path, Step};

/// A key which the struct at its place does not have.
pub(crate) struct Unknown {
    pub(crate) path: Path,
    pub(crate) key: String,
    pub(crate) location: Location,
    pub(crate) known: &'static [&'static str],
}

/// A value that could not be read.
pub(crate) struct Failure {
    pub(crate) path: Path,
    /// What would have been right there.
    pub(crate) expected: String,
}

/// What one pass over the document collects.
#[derive(Default)]
pub(crate) struct Sink {
    path: Path,
    /// Values to leave out: those that failed in earlier passes.
    pub(crate) skip: HashSet<Path>,
    /// Unknown keys by line and column: several passes see most of them again.
    pub(crate) unknown: BTreeMap<(u64, u64), Unknown>,
    /// The first failure of this pass, innermost value.
    pub(crate) failure: Option<Failure>,
}

impl Sink {
    /// Ready to start over.
    pub(crate) fn next_pass(&mut self) -> Self {
        Self {
            path: Path::default(),
            failure: None,
            ..std::mem::take(self)
        }
    }

    fn skips(&self) -> bool {
        !self.skip.is_empty() && self.skip.contains(&self.path)
    }
}

/// A deserializer, visitor, seed or access, with the sink.
pub(crate) struct Tolerant<'s, T> {
    pub(crate) inner: T,
    pub(crate) sink: &'s RefCell<Sink>,
    /// Keys of the struct being read; `None` in maps, which take any key.
    pub(crate) known: Option<&'static [&'static str]>,
}

impl<'s, T> Tolerant<'s, T> {
    pub(crate) fn new(inner: T, sink: &'s RefCell<Sink>) -> Self {
        Self {
            inner,
            sink,
            known: None,
        }
    }

    /// Reads one value and notes where and why when it fails.
    fn attempt<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        known: Option<&'static [&'static str]>,
        read: impl FnOnce(T, Tolerant<'s, V>) -> Result<V::Value, T::Error>,
    ) -> Result<V::Value, T::Error>
    where
        T: Deserializer<'de>,
    {
        let expected = match known {
            Some(keys) => format!("a mapping with keys out of {}", keys.join(", ")),
            None => (&visitor as &dyn Expected).to_string(),
        };
        let sink = self.sink;
        read(
            self.inner,
            Tolerant {
                inner: visitor,
                sink,
                known,
            },
        )
        .inspect_err(|_| {
            let mut sink = sink.borrow_mut();
            if sink.failure.is_none() {
                let path = sink.path.clone();
                sink.failure = Some(Failure { path, expected });
            }
        })
    }
}

macro_rules! forward {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.attempt(visitor, None, |inner, visitor| inner.$method(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tolerant<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_option deserialize_unit deserialize_seq deserialize_map deserialize_identifier
        deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.attempt(visitor, None, |inner, visitor| {
            inner.deserialize_unit_struct(name, visitor)
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.attempt(visitor, None, |inner, visitor| {
            inner.deserialize_newtype_struct(name, visitor)
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.attempt(visitor, None, |inner, visitor| {
            inner.deserialize_tuple(len, visitor)
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.attempt(visitor, None, |inner, visitor| {
            inner.deserialize_tuple_struct(name, len, visitor)
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.attempt(visitor, Some(fields), |inner, visitor| {
            inner.deserialize_struct(name, fields, visitor)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.attempt(visitor, None, |inner, visitor| {
            inner.deserialize_enum(name, variants, visitor.inner)
        })
    }
}

macro_rules! forward_visits {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Tolerant<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visits! {
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64,
        visit_char: char, visit_str: &str, visit_borrowed_str: &'de str, visit_string: String, visit_bytes: &[u8],
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Tolerant::new(inner, self.sink))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Tolerant::new(inner, self.sink))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Elements {
            inner,
            sink: self.sink,
            next: 0,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Entries {
            inner,
            sink: self.sink,
            known: self.known,
        })
    }
}

/// Goes one step into the document for as long as a value is read.
struct Value<'s, S> {
    seed: S,
    sink: &'s RefCell<Sink>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Value<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Tolerant::new(inner, self.sink))
    }
}

/// The elements of a list without those to leave out.
struct Elements<'s, A> {
    inner: A,
    sink: &'s RefCell<Sink>,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        loop {
            self.sink.borrow_mut().path.0.push(Step::Index(self.next));
            self.next += 1;
            if !self.sink.borrow().skips() {
                let element = self.inner.next_element_seed(Value {
                    seed,
                    sink: self.sink,
                });
                self.sink.borrow_mut().path.0.pop();
                return element;
            }
            let skipped = self.inner.next_element::<IgnoredAny>();
            self.sink.borrow_mut().path.0.pop();
            if skipped?.is_none() {
                return Ok(None);
            }
        }
    }
}

/// The entries of a mapping without unknown keys and those to leave out.
struct Entries<'s, A> {
    inner: A,
    sink: &'s RefCell<Sink>,
    known: Option<&'static [&'static str]>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        loop {
            let Some(Spanned {
                value: key,
                referenced: location,
                ..
            }) = self.inner.next_key::<Spanned<String>>()?
            else {
                return Ok(None);
            };
            let mut sink = self.sink.borrow_mut();
            if let Some(known) = self.known.filter(|known| !known.contains(&key.as_str())) {
                let path = sink.path.clone();
                let at = (location.line(), location.column());
                sink.unknown.insert(
                    at,
                    Unknown {
                        path,
                        key,
                        location,
                        known,
                    },
                );
            } else {
                sink.path.0.push(Step::Key(key.clone()));
                if !sink.skips() {
                    drop(sink);
                    return seed.deserialize(StringDeserializer::new(key)).map(Some);
                }
                sink.path.0.pop();
            }
            drop(sink);
            self.inner.next_value::<IgnoredAny>()?;
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(Value {
            seed,
            sink: self.sink,
        });
        self.sink.borrow_mut().path.0.pop();
        value
    }
}
