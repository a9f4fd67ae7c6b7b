//! Where instances and the balancer are: the levels of `geographical`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use evenkeel_core::strategy::Level;

use crate::text::textual;

/// Most levels.
const MOST: usize = 8;

/// One level: `region`, `zone`, or a key of the instances' `metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelText(pub Level);

impl LevelText {
    const EXPECTED: &'static str = "`region`, `zone` or a key of `metadata`";

    /// `[region, zone]`.
    #[must_use]
    pub fn default_levels() -> Vec<Self> {
        vec![Self(Level::Region), Self(Level::Zone)]
    }

    fn name(&self) -> &str {
        match &self.0 {
            Level::Region => "region",
            Level::Zone => "zone",
            Level::Label(key) => key,
        }
    }
}

impl FromStr for LevelText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err(format!("the empty text is no level: write {}", Self::EXPECTED)),
            "region" => Ok(Self(Level::Region)),
            "zone" => Ok(Self(Level::Zone)),
            key => Ok(Self(Level::Label(key.into()))),
        }
    }
}

impl fmt::Display for LevelText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

textual!(LevelText, "string", "x-expects": "`region`, `zone` or key of `metadata`");

/// The values of `from` in the order of `levels`, up to the first that is not given.
pub(crate) fn place(levels: &[LevelText], from: Option<&BTreeMap<String, String>>) -> Vec<Arc<str>> {
    let values = levels.iter().map_while(|level| from?.get(level.name()));
    values.map(|value| Arc::from(value.as_str())).collect()
}

/// What of the two does not fit, with what to do.
pub(crate) fn misplaced(
    levels: &[LevelText],
    from: Option<&BTreeMap<String, String>>,
) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let names: Vec<&str> = levels.iter().map(LevelText::name).collect();
    let known = names.join(", ");
    if names.is_empty() || names.len() > MOST {
        let text = format!(
            "there are {} levels\nname 1 to {MOST}, from the widest to the finest",
            names.len()
        );
        wrong.push(("levels", text));
    }
    if let Some(twice) = (1..names.len()).find(|index| names[..*index].contains(&names[*index])) {
        let text = format!("the level `{}` stands twice\nremove one of the two", names[twice]);
        wrong.push(("levels", text));
    }
    let Some(from) = from else { return wrong };
    for (key, value) in from {
        if !names.contains(&key.as_str()) {
            let text = format!("`{key}` is not among the levels\nthe levels are {known}; see `levels`");
            wrong.push(("from", text));
        } else if value.is_empty() {
            let text = format!("`{key}` is empty\nwrite where the balancer is, or remove the key");
            wrong.push(("from", text));
        }
    }
    let given = |name: &&str| from.contains_key(*name);
    if let Some(gap) = names.iter().position(|name| !given(name))
        && let Some(finer) = names[gap..].iter().find(|name| given(name))
    {
        let text = format!(
            "`{finer}` is given without `{}`, which is wider\ngive both",
            names[gap]
        );
        wrong.push(("from", text));
    }
    wrong
}
