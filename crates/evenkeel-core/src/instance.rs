//! A service instance as it was registered: parsed once, valid afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// The name of an instance within its service; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Longest accepted id in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks and wraps `id`.
    ///
    /// # Errors
    /// When it is empty, longer than [`Self::MAX_BYTES`], or holds white space, a slash or a control
    /// character (an id stands in URLs, metric labels and log lines).
    pub fn new(id: &str) -> Result<Self, InstanceError> {
        if id.is_empty() {
            return Err(InstanceError::EmptyId);
        }
        if id.len() > Self::MAX_BYTES {
            return Err(InstanceError::LongId(id.len()));
        }
        if let Some(bad) = id
            .chars()
            .find(|c| c.is_control() || c.is_whitespace() || *c == '/')
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
    #[error("id: {0:?} is not allowed; use letters, digits and any of . - _ : [ ]")]
    BadIdCharacter(char),
    /// Port 0 cannot be connected to.
    #[error("port: 0 is not a port one can connect to")]
    PortZero,
    /// The weight is out of range.
    #[error("weight: {0} is outside 1..=65535")]
    Weight(u64),
    /// Two instances of a service share an id.
    #[error("id: {0} appears twice in the service")]
    DuplicateId(InstanceId),
}
