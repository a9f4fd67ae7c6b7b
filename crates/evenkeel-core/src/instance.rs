//! A service instance as it was registered: parsed once, valid afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The name of an instance within its service; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Longest accepted id in bytes.
    pub const MAX_BYTES: usize = 255;
    /// What it may hold beside letters and digits: enough for names of hosts and pods, and for addresses with scopes.
    pub const SIGNS: &str = ".-_~:@%+=[]";

    /// Checks and wraps `id`.
    ///
    /// # Errors
    /// When it is empty, longer than [`Self::MAX_BYTES`], or holds anything but ASCII letters, digits and
    /// [`Self::SIGNS`]: an id stands in URLs, metric labels, log lines and shell commands, and looks like no other.
    pub fn new(id: &str) -> Result<Self, InstanceError> {
        if id.is_empty() {
            return Err(InstanceError::EmptyId);
        }
        if id.len() > Self::MAX_BYTES {
            return Err(InstanceError::LongId(id.len()));
        }
        if let Some(bad) = id
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !Self::SIGNS.contains(*c))
        {
            return Err(InstanceError::BadIdCharacter(bad));
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Relative capacity, `1..=65_535`. The cap bounds what one registrant can attract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// The default.
    pub const ONE: Self = Self(1);

    /// Checks and wraps `weight`.
    ///
    /// # Errors
    /// When it is 0 or above 65,535.
    pub fn new(weight: u64) -> Result<Self, InstanceError> {
        match u16::try_from(weight) {
            Ok(0) | Err(_) => Err(InstanceError::Weight(weight)),
            Ok(w) => Ok(Self(w)),
        }
    }

    /// As a number, at least 1.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

/// One backend of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Unique within the service.
    pub id: InstanceId,
    /// Where it listens; the port is never 0.
    pub address: SocketAddr,
    /// Relative capacity.
    pub weight: Weight,
    /// Priority group, 0 first.
    pub priority: u8,
    /// Region label, if any.
    pub region: Option<Arc<str>>,
    /// Zone label, if any.
    pub zone: Option<Arc<str>>,
    /// Free labels; shown, and interpreted only where a setting names one ([`crate::strategy::Level`]).
    pub metadata: BTreeMap<String, String>,
}

impl Instance {
    /// An instance of weight 1 in priority 0 without labels.
    ///
    /// # Errors
    /// When the id is not acceptable or the port is 0.
    pub fn new(id: &str, address: SocketAddr) -> Result<Self, InstanceError> {
        if address.port() == 0 {
            return Err(InstanceError::PortZero);
        }
        Ok(Self {
            id: InstanceId::new(id)?,
            address,
            weight: Weight::ONE,
            priority: 0,
            region: None,
            zone: None,
            metadata: BTreeMap::new(),
        })
    }

    /// Whether all of it is acceptable, however it was made: that somebody can connect to the address, and that labels
    /// are short and say what they seem to say.
    ///
    /// # Errors
    /// Names the first field that is not.
    pub fn validate(&self) -> Result<(), InstanceError> {
        if self.address.port() == 0 {
            return Err(InstanceError::PortZero);
        }
        let ip = self.address.ip().to_canonical();
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || broadcast {
            return Err(InstanceError::Address(ip));
        }
        for (field, label) in [("region", &self.region), ("zone", &self.zone)] {
            if let Some(label) = label {
                check_name(label).map_err(|problem| InstanceError::label(field, problem))?;
            }
        }
        if self.metadata.len() > Self::MAX_LABELS {
            return Err(InstanceError::label(
                "metadata",
                "has more than 64 labels; leave some out",
            ));
        }
        for (key, value) in &self.metadata {
            // The key is not repeated: it is what cannot be shown.
            check_name(key).map_err(|problem| InstanceError::label("metadata", problem))?;
            let field = || format!("metadata.{key}");
            check_value(value).map_err(|problem| InstanceError::label(field(), problem))?;
        }
        Ok(())
    }

    /// The most labels in [`Self::metadata`].
    pub const MAX_LABELS: usize = 64;

    /// The same with another weight.
    #[must_use]
    pub fn with_weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// The same with another priority.
    #[must_use]
    pub fn with_priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }
}

/// A region, a zone, or the key of a label.
fn check_name(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("is empty; leave it out, or write a name"),
        256.. => Err("is longer than 255 bytes; write a shorter name"),
        _ => check_text(text),
    }
}

fn check_value(text: &str) -> Result<(), &'static str> {
    match text.len() {
        1025.. => Err("is longer than 1024 bytes; write a shorter text"),
        _ => check_text(text),
    }
}

/// Labels stand in log lines and tables, where a line feed or a change of direction would make them look like
/// something else.
fn check_text(text: &str) -> Result<(), &'static str> {
    let unseen = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    match text.contains(|c: char| c.is_control() || unseen(c)) {
        true => Err("holds a control or an invisible character; write plain text on one line"),
        false => Ok(()),
    }
}

impl InstanceError {
    fn label(field: impl Into<Box<str>>, problem: &'static str) -> Self {
        let field = field.into();
        Self::Label { field, problem }
    }
}

/// Why an instance is not acceptable. The text names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// The id is the empty string.
    #[error("id: must not be empty")]
    EmptyId,
    /// The id is too long.
    #[error("id: {0} bytes long, at most {max} are allowed", max = InstanceId::MAX_BYTES)]
    LongId(usize),
    /// The id holds a character that does not fit URLs, labels and logs.
    #[error("id: {0:?} is not allowed; use ASCII letters, digits and any of {signs}", signs = InstanceId::SIGNS)]
    BadIdCharacter(char),
    /// Port 0 cannot be connected to.
    #[error("port: 0 is not a port one can connect to")]
    PortZero,
    /// The address is not that of one machine.
    #[error("address: {0} is not the address of one machine; write the one that the instance listens on")]
    Address(IpAddr),
    /// A label is not acceptable.
    #[error("{field}: {problem}")]
    Label {
        /// Which: `region`, `zone`, `metadata`, or `metadata.` and the key.
        field: Box<str>,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// The weight is out of range.
    #[error("weight: {0} is outside 1..=65535")]
    Weight(u64),
    /// Two instances of a service share an id.
    #[error("id: {0} appears twice in the service")]
    DuplicateId(InstanceId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_what_their_error_says() {
        for good in ["web-1", "10.0.0.7:80", "[fe80::1%2]:80", "a_b~c@d+e=f.G"] {
            assert!(InstanceId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "a b",
            "a/b",
            "a\"b",
            "a\\b",
            "\u{fc}",
            "a\u{202e}b",
            "a\n",
            "a\0",
            "a,b",
            "{a}",
        ] {
            let error = InstanceId::new(bad).unwrap_err();
            assert!(matches!(error, InstanceError::BadIdCharacter(_)), "{bad:?}");
            assert!(
                error
                    .to_string()
                    .contains("letters, digits and any of .-_~:@%+=[]"),
                "{error}"
            );
        }
        assert_eq!(InstanceId::new(""), Err(InstanceError::EmptyId));
        assert_eq!(InstanceId::new(&"a".repeat(256)), Err(InstanceError::LongId(256)));
    }

    #[test]
    fn addresses_are_those_of_one_machine() {
        let at = |address: &str| Instance::new("a", address.parse().unwrap()).and_then(|it| it.validate());
        for good in ["10.0.0.7:80", "127.0.0.1:1", "[::1]:65535", "[fd00::7]:80"] {
            assert_eq!(at(good), Ok(()), "{good}");
        }
        for bad in [
            "0.0.0.0:80",
            "255.255.255.255:80",
            "224.0.0.1:80",
            "[::]:80",
            "[ff02::1]:80",
            "[::ffff:0.0.0.0]:80",
        ] {
            let error = at(bad).unwrap_err();
            assert!(matches!(error, InstanceError::Address(_)), "{bad}: {error}");
        }
        assert_eq!(at("10.0.0.7:0"), Err(InstanceError::PortZero));
        let mut later = Instance::new("a", "10.0.0.7:80".parse().unwrap()).unwrap();
        later.address.set_port(0);
        assert_eq!(later.validate(), Err(InstanceError::PortZero));
    }

    #[test]
    fn labels_are_short_and_say_what_they_seem_to() {
        let plain = || Instance::new("a", "10.0.0.7:80".parse().unwrap()).unwrap();
        let field = |instance: Instance| match instance.validate() {
            Err(InstanceError::Label { field, .. }) => field.into_string(),
            other => format!("{other:?}"),
        };
        let long = "z".repeat(60_000);
        for bad in ["", &long, "a\nb", "a\0", "a\u{202e}b", "\u{200b}"] {
            let (region, zone) = (Some(bad.into()), Some(bad.into()));
            assert_eq!(field(Instance { region, ..plain() }), "region", "{bad:?}");
            assert_eq!(field(Instance { zone, ..plain() }), "zone", "{bad:?}");
            let metadata = BTreeMap::from([(bad.to_owned(), String::new())]);
            assert_eq!(field(Instance { metadata, ..plain() }), "metadata", "{bad:?}");
            let metadata = BTreeMap::from([("rack".to_owned(), bad.to_owned())]);
            let found = field(Instance { metadata, ..plain() });
            let expected = if bad.is_empty() { "Ok(())" } else { "metadata.rack" };
            assert_eq!(found, expected, "{bad:?}");
        }
        let metadata = (0..65).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(field(Instance { metadata, ..plain() }), "metadata");
        let instance = Instance {
            region: Some("EU West (Zürich)".into()),
            metadata: BTreeMap::from([("version".into(), "7".into())]),
            ..plain()
        };
        assert_eq!(instance.validate(), Ok(()));
    }
}
