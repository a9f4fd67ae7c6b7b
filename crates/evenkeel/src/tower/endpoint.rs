//! From the keys of discovery to instances.

use std::net::SocketAddr;

use evenkeel_core::{Instance, InstanceError};

/// A key of [`Discover`](tower::discover::Discover) that says which instance it stands for.
///
/// The instance's id identifies it: a key with the same id as another stands for the same instance, whose service,
/// weight and labels it then replaces. The address is shown, and hashed by the strategies that are compatible with
/// other proxies; nothing connects to it.
pub trait Endpoint {
    /// The instance.
    ///
    /// # Errors
    /// When the key cannot be one.
    fn instance(&self) -> Result<Instance, InstanceError>;
}

/// Weight 1, and the address as id.
impl Endpoint for SocketAddr {
    fn instance(&self) -> Result<Instance, InstanceError> {
        Instance::new(&self.to_string(), *self)
    }
}

impl Endpoint for Instance {
    fn instance(&self) -> Result<Instance, InstanceError> {
        Ok(self.clone())
    }
}
