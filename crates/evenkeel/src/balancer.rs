//! The balancer that a program holds.

use std::sync::Arc;

use evenkeel_core::{
    AutoSnapshot, Effect, Event, Explanation, HashedKey, Instance, InstanceId, InstanceSnapshot, LoadReport,
    Nanos, PickRequest, ServiceSettings, ShadowCounts, StrategyName, StrategySettings, Weight,
};
use evenkeel_runtime::{Balancer, Clock, Service};
use tokio::sync::{Mutex, broadcast};

use crate::checks::{Checks, RunningChecks};
use crate::context;
use crate::counts::ServiceCounts;
use crate::error::{Error, GetError};
use crate::lease::{Home, Lease};
use crate::selection::Selection;
use crate::specs::{self, Known, Specs};

/// Services, their instances, and who gets the next request. Clones are handles of the same balancer; when the last
/// one is gone, its tasks end.
///
/// Operations that change something are `async`: each goes to the one writer of its service and returns when the change
/// is in force. [`get_instance`](Self::get_instance) and [`select_instance`](Self::select_instance) are not: they take
/// no lock, wait for nobody and may be called from anywhere, any number of threads at a time.
///
/// ```
/// use evenkeel::{Instance, LoadBalancer, StrategyName};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let balancer = LoadBalancer::new();
/// balancer.register_instance("web", Instance::new("web-1", "127.0.0.1:9001".parse()?)?).await?;
/// balancer.register_instance("web", Instance::new("web-2", "127.0.0.1:9002".parse()?)?).await?;
/// balancer.set_strategy("web", StrategyName::round_robin).await?;
///
/// let lease = balancer.get_instance("web")?;
/// println!("send it to {}", lease.address());
/// lease.succeeded();
///
/// balancer.drain("web", "web-1", "a new release").await?;
/// assert_eq!(balancer.get_instance("web")?.instance().id.as_str(), "web-2");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LoadBalancer {
    pub(crate) balancer: Balancer,
    /// Settings of services that come into being with their first instance.
    pub(crate) defaults: Arc<ServiceSettings>,
    /// What was applied.
    pub(crate) specs: Arc<Mutex<Specs>>,
}

impl LoadBalancer {
    /// A balancer without services; the default of every setting.
    #[must_use]
    pub fn new() -> Self {
        Self::with_defaults(ServiceSettings::new(""))
    }

    /// A balancer without services. Services that come into being with their first instance get these settings, under
    /// their own name.
    #[must_use]
    pub fn with_defaults(defaults: ServiceSettings) -> Self {
        Self {
            balancer: Balancer::new(Clock::start(), context::seed()),
            defaults: Arc::new(defaults),
            specs: Arc::default(),
        }
    }

    /// Makes a service, or gives one other settings. What is known of its instances is kept.
    ///
    /// ```
    /// # use evenkeel::{LoadBalancer, ServiceSettings, StrategyName};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let balancer = LoadBalancer::new();
    /// balancer
    ///     .configure(ServiceSettings {
    ///         strategy: StrategyName::least_connections.into(),
    ///         min_healthy: 2,
    ///         ..ServiceSettings::new("web")
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is not acceptable, the strategy could not choose among the instances that there are, there is no
    /// tokio runtime, or the balancer was shut down.
    pub async fn configure(&self, settings: ServiceSettings) -> Result<(), Error> {
        specs::check_name(&settings.name)?;
        let name = Arc::clone(&settings.name);
        self.whole(async move |balancer| {
            balancer
                .change(&name, |known| {
                    let known = known.get_or_insert_with(|| Known::new(settings.clone()));
                    // Thresholds are those of the checks, where there are some.
                    let checks = known.spec.settings.checks;
                    known.spec.settings = ServiceSettings { checks, ..settings };
                    Ok(())
                })
                .await
        })
        .await
    }

    /// Removes a service with its instances. Leases on them end as they would have.
    ///
    /// # Errors
    /// When there is no such service.
    pub async fn remove_service(&self, service: &str) -> Result<(), Error> {
        let name: Arc<str> = service.into();
        self.whole(async move |balancer| {
            let removed = balancer.change(&name, |known| Ok(known.take().is_some())).await?;
            match removed {
                true => Ok(()),
                false => Err(Error::UnknownService((*name).into())),
            }
        })
        .await
    }

    /// The names of all services, in order.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<str>> {
        let services = self.balancer.services();
        services
            .iter()
            .map(|service| Arc::clone(service.name()))
            .collect()
    }

    /// Adds an instance to a service; the first one makes the service. One that is there already under its id and
    /// address gets the weight, priority and labels, and keeps what is known of it.
    ///
    /// # Errors
    /// When the id is registered at another address, the strategy could not choose among so many, a new service's name is
    /// not acceptable, there is no tokio runtime, or the balancer was shut down.
    pub async fn register_instance(&self, service: &str, instance: Instance) -> Result<Effect, Error> {
        if let Some(service) = self.balancer.service(service) {
            return Ok(service.register(instance).await?);
        }
        specs::check_name(service)?;
        let name: Arc<str> = service.into();
        self.whole(async move |balancer| {
            let service = balancer.create(&name).await?;
            Ok(service.register(instance).await?)
        })
        .await
    }

    /// Removes an instance. Its requests in flight end as they would have; to let them end first,
    /// [`drain`](Self::drain) it and wait until [`explain`](Self::explain) shows none.
    ///
    /// # Errors
    /// When there is no such service or instance.
    pub async fn deregister_instance(&self, service: &str, id: &str) -> Result<Effect, Error> {
        let (service, id) = self.find(service, id)?;
        Ok(service.deregister(&id).await?)
    }

    /// A lease on an instance that may get a request now, chosen by the service's strategy.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn get_instance(&self, service: &str) -> Result<Lease, GetError> {
        self.select_instance(service, &Selection::new())
    }

    /// As [`get_instance`](Self::get_instance), for a request of which something is known.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn select_instance(&self, service: &str, selection: &Selection<'_>) -> Result<Lease, GetError> {
        let found = self.balancer.service(service);
        let service = found.ok_or_else(|| GetError::UnknownService(service.into()))?;
        let clock = self.balancer.clock();
        let key = hash(&service, selection);
        let request = PickRequest {
            tried: selection.tried,
            key,
            region: selection.region,
        };
        match context::with(clock.now(), |cx| service.pick(&request, cx)) {
            Ok(lease) => Ok(Lease::new(lease, Home::Service(service), clock)),
            Err(reason) => {
                service.metrics().record_no_pick();
                let service = Arc::clone(service.name());
                Err(GetError::NoPick { service, reason })
            }
        }
    }

    /// Says how well an instance is, from 0 (out of order) to 1 (well), as of now. The word fades from 10 s on and is
    /// nothing after 180 s, or when there is a newer one: who knows says it again and again.
    ///
    /// # Errors
    /// When the score is not a number from 0 to 1, or there is no such service or instance.
    pub async fn update_instance_health(&self, service: &str, id: &str, score: f64) -> Result<Effect, Error> {
        self.update_instance_health_at(service, id, score, self.now())
            .await
    }

    /// As [`update_instance_health`](Self::update_instance_health), for a score that speaks of another time than now (by
    /// the balancer's [`now`](Self::now)). An older word than the newest is dropped; one from the future counts as of now.
    ///
    /// # Errors
    /// As there.
    pub async fn update_instance_health_at(
        &self,
        service: &str,
        id: &str,
        score: f64,
        observed: Nanos,
    ) -> Result<Effect, Error> {
        let (service, id) = self.find(service, id)?;
        Ok(service.report_health(&id, score, observed).await?)
    }

    /// Passes on what an instance says of its load, as of now; strategies that go by load use it until it is stale.
    ///
    /// # Errors
    /// When there is no such service or instance.
    pub async fn report_load(&self, service: &str, id: &str, report: LoadReport) -> Result<Effect, Error> {
        let (service, id) = self.find(service, id)?;
        Ok(service.report_load(&id, report, self.now()).await?)
    }

    /// Picks by another strategy from now on: a [`StrategyName`](crate::StrategyName), or settings. Picks under way are
    /// not disturbed, and what is known of the instances is kept.
    ///
    /// # Errors
    /// When there is no such service, or the strategy could not choose among the instances that there are.
    pub async fn set_strategy(
        &self,
        service: &str,
        strategy: impl Into<StrategySettings>,
    ) -> Result<Effect, Error> {
        let (name, strategy) = (Arc::<str>::from(service), strategy.into());
        self.whole(async move |balancer| {
            // Held, so that it is this strategy that the next change of settings starts from.
            let mut specs = balancer.specs.lock().await;
            let effect = balancer.service(&name)?.set_strategy(strategy.clone()).await?;
            if let Some(known) = specs.get_mut(&name) {
                known.spec.settings.strategy = strategy;
            }
            Ok(effect)
        })
        .await
    }

    /// Asks another strategy beside the one that picks from now on, or none: for one pick in 64, whom it would have chosen
    /// and what that would have cost. No pick changes for it. [`shadow`](Self::shadow) says what came of it.
    ///
    /// # Errors
    /// When there is no such service, the strategy could not choose among the instances that there are, or hashes something
    /// else of a request than the one that picks.
    pub async fn set_shadow(&self, service: &str, shadow: Option<StrategySettings>) -> Result<Effect, Error> {
        let name = Arc::<str>::from(service);
        self.whole(async move |balancer| {
            // Held, so that it is this shadow that the next change of settings starts from.
            let mut specs = balancer.specs.lock().await;
            let effect = balancer.service(&name)?.set_shadow(shadow.clone()).await?;
            if let Some(known) = specs.get_mut(&name) {
                known.spec.settings.shadow = shadow;
            }
            Ok(effect)
        })
        .await
    }

    /// The shadow strategy of a service with what came of asking it since it was set; `None` without one.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn shadow(&self, service: &str) -> Result<Option<(StrategyName, ShadowCounts)>, Error> {
        Ok(self.service(service)?.view().shadow())
    }

    /// What the strategy `auto` of a service does, and has done; `None` with another strategy.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn auto(&self, service: &str) -> Result<Option<AutoSnapshot>, Error> {
        Ok(self.service(service)?.view().auto())
    }

    /// Changes the weight of an instance.
    ///
    /// # Errors
    /// When there is no such service or instance, or the weights are too much for the strategy.
    pub async fn set_weight(&self, service: &str, id: &str, weight: Weight) -> Result<Effect, Error> {
        let (service, id) = self.find(service, id)?;
        Ok(service.set_weight(&id, weight).await?)
    }

    /// Gives an instance no new requests. `why` is shown by [`explain`](Self::explain) and in the event.
    ///
    /// # Errors
    /// When there is no such service or instance.
    pub async fn drain(&self, service: &str, id: &str, why: &str) -> Result<Effect, Error> {
        let (service, id) = self.find(service, id)?;
        Ok(service.drain(&id, why).await?)
    }

    /// Ends a drain.
    ///
    /// # Errors
    /// When there is no such service or instance.
    pub async fn undrain(&self, service: &str, id: &str) -> Result<Effect, Error> {
        let (service, id) = self.find(service, id)?;
        Ok(service.undrain(&id).await?)
    }

    /// Everything that happens from now on to any service. A subscriber that is 1024 events behind loses the oldest, and
    /// is told.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.balancer.subscribe()
    }

    /// The last 1024 events, oldest first.
    #[must_use]
    pub fn recent_events(&self) -> Vec<Arc<Event>> {
        self.balancer.recent_events()
    }

    /// What is going on in a service: each instance with its state, what each stage made of it and why, whom a pick would
    /// choose now and why not the others. Asking changes nothing.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn explain(&self, service: &str) -> Result<Explanation, Error> {
        self.explain_for(service, &Selection::new())
    }

    /// As [`explain`](Self::explain), for a request of which something is known.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn explain_for(&self, service: &str, selection: &Selection<'_>) -> Result<Explanation, Error> {
        let service = self.service(service)?;
        let view = service.view_full();
        Ok(Explanation::new(
            &view,
            &selection.question(),
            self.now(),
            context::seed(),
        ))
    }

    /// What is known of the instances of a service, in the order of their slots: for metrics and tables. Cheaper than
    /// [`explain`](Self::explain), as the strategy is not asked.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn instances(&self, service: &str) -> Result<Vec<InstanceSnapshot>, Error> {
        let service = self.service(service)?;
        Ok(InstanceSnapshot::all(&service.view(), self.now()).collect())
    }

    /// What was counted of a service so far.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn counts(&self, service: &str) -> Result<ServiceCounts, Error> {
        let service = self.service(service)?;
        Ok(ServiceCounts::new(service.metrics(), &service.view()))
    }

    /// Starts to check the instances of a service, until the handle is dropped. Other checks of the service end with it.
    ///
    /// # Errors
    /// When the settings are not acceptable, or there is no such service.
    pub async fn start_checks(&self, service: &str, checks: Checks) -> Result<RunningChecks, Error> {
        RunningChecks::start(self.clone(), service, checks).await
    }

    /// The clock that events and observations are dated with; it knows the time of day of each.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.balancer.clock()
    }

    /// The time now, by the clock that events and observations are dated with.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.balancer.clock().now()
    }

    /// Ends every task and waits for them. Picks go on working with what was last known; changes are refused from now on.
    pub async fn shutdown(&self) {
        self.balancer.shutdown().await;
    }

    pub(crate) fn service(&self, name: &str) -> Result<Arc<Service>, Error> {
        let service = self.balancer.service(name);
        service.ok_or_else(|| Error::UnknownService(name.into()))
    }

    fn find(&self, service: &str, id: &str) -> Result<(Arc<Service>, InstanceId), Error> {
        let found = self.service(service)?;
        let id = InstanceId::new(id).map_err(|source| Error::Instance {
            service: service.into(),
            source,
        })?;
        Ok((found, id))
    }
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self::new()
    }
}

/// The key as the strategy in force hashes it. A strategy that hashes and gets none has that counted.
fn hash(service: &Service, selection: &Selection<'_>) -> Option<HashedKey> {
    let view = service.view();
    let wanted = view.request_key()?;
    let Some(key) = selection.key else {
        service.metrics().record_absent_key();
        return None;
    };
    Some(wanted.hash.hash(key))
}
