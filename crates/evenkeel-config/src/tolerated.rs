//! Parts of the model that may fail on their own, so that the rest is read and all errors of a file are found at once.
//!
//! A key that may be left out is left out when it fails, as is an element of a list. Works with the crate's own reader
//! alone, which is the only one the model is read with.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// Asks the reader for the same value until it is read or has failed for good.
pub(crate) const AGAIN: &str = "evenkeel again";

/// A value, or nothing when it failed, which the reader has noted.
struct Tolerated<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tolerated<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Tries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Tries<T> {
            type Value = Tolerated<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut tries: A) -> Result<Tolerated<T>, A::Error> {
                loop {
                    if let Ok(value) = tries.next_element() {
                        return Ok(Tolerated(value));
                    }
                }
            }
        }
        reader.deserialize_tuple_struct(AGAIN, 0, Tries(PhantomData))
    }
}

/// A key that may be left out.
pub(crate) fn key<'de, T, D>(reader: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<Tolerated<T>>::deserialize(reader)?.and_then(|value| value.0))
}

/// A list, which is empty when it is left out.
pub(crate) fn list<'de, T, D>(reader: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(optional_list(reader)?.unwrap_or_default())
}

/// A list that may be left out.
pub(crate) fn optional_list<'de, T, D>(reader: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list: Option<Vec<Tolerated<T>>> = key(reader)?;
    Ok(list.and_then(|list| {
        let written = list.len();
        let read: Vec<T> = list.into_iter().filter_map(|value| value.0).collect();
        // A list that nothing is left of is not one that was written empty.
        (written == 0 || !read.is_empty()).then_some(read)
    }))
}

/// A mapping of text to text that may be left out.
pub(crate) fn labels<'de, D>(reader: D) -> Result<Option<BTreeMap<String, String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let map: Option<BTreeMap<String, Tolerated<String>>> = key(reader)?;
    Ok(map.map(|map| {
        map.into_iter()
            .filter_map(|(key, value)| Some((key, value.0?)))
            .collect()
    }))
}
