//! What the strategies that hash have to say beyond single values: where keys stay, and what does not fit together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::KeyRegions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::strategy::StrategyFile;

/// How long keys move to another secret: caches that fill in a minute lose a tenth of their hits meanwhile.
pub(crate) const SECRET_ROTATION: Duration = Duration::from_secs(600);

/// Whether keys stay in regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegionsText {
    /// Regions do not matter.
    Ignore,
    /// Every key has a home region, the same for all balancers.
    Spread,
    /// The region of this balancer first.
    Nearest,
}

/// The region in `from`.
fn home(from: Option<&BTreeMap<String, String>>) -> Option<&str> {
    from?.get("region").map(String::as_str)
}

impl StrategyFile {
    /// How long keys take to move from the former secret to the present one.
    #[must_use]
    pub fn secret_rotation(&self) -> Duration {
        self.hash_secret_rotation.map_or(SECRET_ROTATION, |text| text.0)
    }

    /// What `regions` is when it is not given.
    pub(crate) fn default_regions(&self) -> RegionsText {
        match self.from {
            Some(_) => RegionsText::Nearest,
            None => RegionsText::Ignore,
        }
    }

    /// For the core.
    pub(crate) fn key_regions(&self) -> KeyRegions {
        match self.regions.unwrap_or_else(|| self.default_regions()) {
            RegionsText::Ignore => KeyRegions::Ignore,
            RegionsText::Spread => KeyRegions::Spread,
            RegionsText::Nearest => KeyRegions::Nearest(home(self.from.as_ref()).map(Arc::from)),
        }
    }

    /// Settings of a strategy that hashes that do not fit each other, with what to do.
    pub(crate) fn misplaced_of_hashing(&self, has: &[&str]) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if self.hash_secret_file.as_deref() == Some("") {
            let text = "this names no file\nwrite its path, or remove the key";
            wrong.push(("hash_secret_file", text.to_owned()));
        }
        if self.hash_secret_rotation.is_some() && self.hash_secret_file.is_none() {
            let text =
                "there is no secret to replace\nname its file in `hash_secret_file`, or remove the key";
            wrong.push(("hash_secret_rotation", text.to_owned()));
        }
        if self.compatibility.is_some() && has.contains(&"compatibility") {
            for (key, given) in [
                (
                    "virtual_nodes",
                    self.virtual_nodes.is_some() && has.contains(&"virtual_nodes"),
                ),
                ("hash_secret_file", self.hash_secret_file.is_some()),
                ("regions", self.regions.is_some()),
                ("from", self.from.is_some()),
            ] {
                if given {
                    let text = format!("`compatibility` leaves no choice for `{key}`\nremove one of the two");
                    wrong.push((key, text));
                }
            }
        } else {
            wrong.extend(self.misplaced_regions());
        }
        wrong
    }

    fn misplaced_regions(&self) -> Option<(&'static str, String)> {
        let Some(from) = &self.from else {
            let nearest = self.regions == Some(RegionsText::Nearest);
            let text = "there is nothing that regions are near to\nsay where this balancer is: `from: { region: NAME }`";
            return nearest.then(|| ("regions", text.to_owned()));
        };
        let other = from.keys().find(|key| *key != "region");
        let text = match (self.regions, other, home(Some(from))) {
            (Some(RegionsText::Ignore | RegionsText::Spread), ..) => {
                "only `regions: nearest` asks where this balancer is\nwrite that, or remove `from`".to_owned()
            }
            (_, Some(other), _) => {
                format!("keys stay in regions, and `{other}` is none\nwrite `from: {{ region: NAME }}` alone")
            }
            (_, None, None | Some("")) => {
                "this names no region\nwrite where this balancer is: `from: { region: NAME }`".to_owned()
            }
            _ => return None,
        };
        Some(("from", text))
    }
}
