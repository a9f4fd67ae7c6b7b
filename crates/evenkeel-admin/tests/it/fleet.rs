//! A balancer with services and an admin side on top of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use evenkeel_admin::{
    AdminHandle, AdminSettings, MetricsSource, ProcessCounters, Readiness, Shared, Token, spawn,
};
use evenkeel_core::{
    EjectionSettings, Instance, Mode, Nanos, Outcome, PickContext, PickRequest, ServiceSettings, StrategyName,
};
use evenkeel_runtime::{Balancer, Clock, ServiceSpec};
use tokio::runtime::Runtime;

pub(crate) struct Fleet {
    pub(crate) balancer: Balancer,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) process: Arc<ProcessCounters>,
    pub(crate) admin: AdminHandle,
    /// Writers run while something is waited for.
    runtime: Runtime,
}

/// The admin token of every fleet.
pub(crate) const TOKEN: &str = "a-token-for-tests-alone";

/// An instance on loopback, on a port of its own.
pub(crate) fn instance(id: &str, port: u16) -> Instance {
    Instance::new(id, SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
}

/// A service that turns round, and ejects after two failures in a row.
pub(crate) fn service(name: &str, instances: Vec<Instance>) -> ServiceSpec {
    ServiceSpec {
        settings: ServiceSettings {
            strategy: StrategyName::round_robin.into(),
            checks: None,
            ejection: EjectionSettings {
                consecutive_failures: 2,
                base: Nanos::from_secs(600),
                max: Nanos::from_secs(600),
                ..EjectionSettings::default()
            },
            ..ServiceSettings::new(name)
        },
        instances,
        check: None,
    }
}

/// `web` with three instances and `api` with one.
pub(crate) fn usual() -> Vec<ServiceSpec> {
    let web = (1..=3).map(|i| instance(&format!("web-{i}"), 9000 + i)).collect();
    let mut web = service("web", web);
    web.settings.ejection.on_prediction = Mode::DryRun;
    vec![web, service("api", vec![instance("api-1", 9101)])]
}

impl Fleet {
    pub(crate) fn new(specs: Vec<ServiceSpec>) -> Self {
        Self::with_sources(specs, Vec::new())
    }

    pub(crate) fn with_sources(specs: Vec<ServiceSpec>, sources: Vec<Box<dyn MetricsSource>>) -> Self {
        Self::with(specs, sources, Token::new(TOKEN).ok(), true, Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn without_metrics(specs: Vec<ServiceSpec>) -> Self {
        Self::with(specs, Vec::new(), None, false, Ipv4Addr::LOCALHOST)
    }

    /// A process that has no token.
    pub(crate) fn closed(specs: Vec<ServiceSpec>) -> Self {
        Self::with(specs, Vec::new(), None, true, Ipv4Addr::LOCALHOST)
    }

    /// One whose admin side is open to other machines.
    pub(crate) fn open(specs: Vec<ServiceSpec>) -> Self {
        let token = Token::new(TOKEN).ok();
        Self::with(specs, Vec::new(), token, true, Ipv4Addr::UNSPECIFIED)
    }

    fn with(
        specs: Vec<ServiceSpec>,
        sources: Vec<Box<dyn MetricsSource>>,
        token: Option<Token>,
        metrics: bool,
        listen: Ipv4Addr,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let balancer = Balancer::new(Clock::start(), 7);
        runtime.block_on(balancer.apply(specs)).unwrap();
        let readiness = Arc::new(Readiness::default());
        let process = Arc::new(ProcessCounters::new("1.2.3"));
        let shared = Shared {
            balancer: balancer.clone(),
            readiness: Arc::clone(&readiness),
            process: Arc::clone(&process),
            token,
            max_weight: 1000,
            metrics,
            sources,
        };
        let settings = AdminSettings {
            listen: (listen, 0).into(),
        };
        let admin = spawn(settings, shared).unwrap();
        Self {
            balancer,
            readiness,
            process,
            admin,
            runtime,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let mut address = self.admin.local_addr();
        address.set_ip(Ipv4Addr::LOCALHOST.into());
        address
    }

    pub(crate) fn apply(&self, specs: Vec<ServiceSpec>) {
        self.runtime.block_on(self.balancer.apply(specs)).unwrap();
    }

    /// What `ask` returns, while writers run: a change is answered when it is in force.
    pub(crate) fn serve<R: Send>(&self, ask: impl FnOnce(SocketAddr) -> R + Send) -> R {
        let address = self.address();
        std::thread::scope(|scope| {
            let (done, end) = tokio::sync::oneshot::channel();
            let asking = scope.spawn(move || {
                let reply = ask(address);
                let _ = done.send(());
                reply
            });
            let _ = self.runtime.block_on(end);
            asking.join().unwrap()
        })
    }

    /// Sends one request to `service` that takes 20 ms and ends with the status `of` gives for the
    /// picked instance; relayed, as a proxy would count it.
    pub(crate) fn request(&self, service: &str, of: impl Fn(&str) -> u16) {
        let service = self.balancer.service(service).unwrap();
        let mut cx = PickContext::new(1);
        cx.now = self.balancer.clock().now();
        let lease = service.pick(&PickRequest::default(), &mut cx).unwrap();
        let status = of(lease.member().instance().id.as_str());
        let took = Nanos::from_millis(20);
        let outcome = Outcome::from_status(status, took);
        service.finish(lease, &outcome, cx.now + took);
        service.metrics().record_response(status, took);
    }

    /// Waits for events until the view of `service` satisfies `condition`: a view is there before its events are.
    pub(crate) fn until(&self, service: &str, condition: impl Fn(&evenkeel_core::View) -> bool) {
        let service = self.balancer.service(service).unwrap();
        let mut events = self.balancer.subscribe();
        self.runtime.block_on(async {
            let waiting = async {
                while !condition(&service.view_full()) {
                    events.recv().await.unwrap();
                }
            };
            tokio::time::timeout(crate::client::PATIENCE, waiting)
                .await
                .unwrap();
        });
    }
}
