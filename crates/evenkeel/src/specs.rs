//! What a balancer was told of its services, so that a change of one leaves the others as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_core::{InstanceId, ServiceSettings};
use evenkeel_runtime::{Service, ServiceSpec};

use crate::balancer::LoadBalancer;
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

impl LoadBalancer {
    /// Does `work` to its end, also when whoever asked for it is gone before.
    pub(crate) async fn whole<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.balancer.run(work(self.clone())).await?
    }

    /// Changes what is known of one service (`None` for nothing) and puts it in force; all stays as it was when that
    /// fails. To be part of [`Self::whole`].
    pub(crate) async fn change<R>(
        &self,
        service: &str,
        change: impl FnOnce(&mut Option<Known>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut specs = self.specs.lock().await;
        let mut known = specs.get(service).cloned();
        let result = change(&mut known)?;
        match known {
            Some(known) => {
                self.balancer.put(known.spec.clone()).await?;
                specs.insert(service.into(), known);
            }
            None => {
                self.balancer.remove(service).await?;
                specs.remove(service);
            }
        }
        Ok(result)
    }

    /// A service with the settings for new ones, unless there is one already. To be part of [`Self::whole`].
    pub(crate) async fn create(&self, name: &Arc<str>) -> Result<Arc<Service>, Error> {
        self.change(name, |known| {
            // Somebody else may have made it meanwhile, with settings of its own.
            known.get_or_insert_with(|| {
                let (name, defaults) = (Arc::clone(name), (*self.defaults).clone());
                Known::new(ServiceSettings { name, ..defaults })
            });
            Ok(())
        })
        .await?;
        self.service(name)
    }
}

/// Names of services stand where ids of instances stand: in logs, URLs and labels.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    match InstanceId::new(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::ServiceName(name.into())),
    }
}
