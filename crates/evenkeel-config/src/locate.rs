//! Finds where in the text a place of the document stands. Done after an error only.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::path::{Path, Step};
use crate::read::options;

/// The location of each path, or of the deepest part of it that exists.
pub(crate) fn locate(text: &str, paths: &[&Path]) -> Vec<Option<Location>> {
    let mut found = vec![None; paths.len()];
    for (path, found) in paths.iter().zip(&mut found) {
        let walk = |yaml: serde_saphyr::Deserializer<'_, '_>| {
            Walk {
                steps: &path.0,
                found,
            }
            .deserialize(yaml)
        };
        // A document that could be read before can be read again; what was found until an error is still right.
        let _ = serde_saphyr::with_deserializer_from_str_with_options(text, options(), walk);
    }
    found
}

/// Follows `steps` and skips everything else.
struct Walk<'w> {
    steps: &'w [Step],
    found: &'w mut Option<Location>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<(), D::Error> {
        match self.steps.first() {
            None => {
                let target = <Spanned<IgnoredAny> as serde::Deserialize>::deserialize(yaml)?;
                *self.found = Some(target.referenced);
                Ok(())
            }
            Some(_) => yaml.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            match self.steps {
                [Step::Key(step), rest @ ..] if *step == key.value => {
                    *self.found = Some(key.referenced);
                    map.next_value_seed(Walk {
                        steps: rest,
                        found: self.found,
                    })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let more = match self.steps {
                [Step::Index(step), rest @ ..] if *step == index => list
                    .next_element_seed(Walk {
                        steps: rest,
                        found: self.found,
                    })?
                    .is_some(),
                _ => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }
}
