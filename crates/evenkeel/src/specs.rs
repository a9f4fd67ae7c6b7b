//! What a balancer was told of its services, so that a change of one leaves the others as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_core::{InstanceId, ServiceSettings};
use evenkeel_runtime::ServiceSpec;

use crate::error::Error;

/// Services by name. Instances are registered, so that none stands here.
pub(crate) type Specs = BTreeMap<Arc<str>, Known>;

/// A service as it was applied.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) spec: ServiceSpec,
    /// Which of the checks that were ever started are its own.
    pub(crate) checks: u64,
}

impl Known {
    pub(crate) fn new(settings: ServiceSettings) -> Self {
        let spec = ServiceSpec {
            settings,
            instances: Vec::new(),
            check: None,
        };
        Self { spec, checks: 0 }
    }
}

/// Names of services stand where ids of instances stand: in logs, URLs and labels.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    match InstanceId::new(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::ServiceName(name.into())),
    }
}
