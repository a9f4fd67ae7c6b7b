//! A fleet with a balancer before it, started from a configuration text as `serve` would be.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::Config;
use evenkeel_core::StrategyName;
use evenkeel_proxy::Proxy;
use evenkeel_runtime::{Balancer, Clock, Service};

use super::backend::HEALTH_PATH;
use super::fleet::Fleet;
use super::script;
use super::stage::Stage;
use crate::exit::Failed;
use crate::wiring;

/// Name of the listener and of the service.
const SERVICE: &str = "demo";

/// What distinguishes one site from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) strategy: StrategyName,
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    /// The same for sites that are compared.
    pub(super) seed: u64,
}

/// A running balancer with its own backends.
pub(super) struct Site {
    pub(super) config: Config,
    pub(super) balancer: Balancer,
    pub(super) service: Arc<Service>,
    pub(super) proxy: Proxy,
    /// Where it takes requests.
    pub(super) address: SocketAddr,
    _fleet: Fleet,
}

impl Site {
    /// Starts backends, then the balancer.
    pub(super) async fn start(setup: Setup, stage: &Stage) -> Result<Self, Failed> {
        let fleet = Fleet::start(stage, setup.seed).map_err(Failed::start)?;
        let text = configuration(&setup, stage.duration(), fleet.addresses());
        let config = Config::from_str("demo.yaml", &text).map_err(Failed::start)?;
        let clock = Clock::start();
        let balancer = Balancer::new(clock, setup.seed);
        let workers = config
            .workers
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let mut proxy = Proxy::start(workers, clock, setup.seed).map_err(Failed::start)?;
        // With a configuration of our own, only an address can be in the way.
        wiring::put_in_force(&config, &balancer, &mut proxy)
            .await
            .map_err(|failed| Failed::start(format!("{failed}; --listen sets another address")))?;
        let missing = || Failed::start("the demo's own service is missing");
        let service = balancer.service(SERVICE).ok_or_else(missing)?;
        let address = proxy.listening().first().ok_or_else(missing)?.1;
        Ok(Self {
            config,
            balancer,
            service,
            proxy,
            address,
            _fleet: fleet,
        })
    }

    pub(super) async fn shutdown(self) {
        self.proxy.drain(Duration::from_secs(1)).await;
        self.balancer.shutdown().await;
    }
}

/// The file one would write for this. Checks and ejections are quicker than by default, in proportion
/// to a short demo; everything else is as it comes.
fn configuration(setup: &Setup, duration: Duration, backends: &[SocketAddr]) -> String {
    let check = (duration / 30).clamp(Duration::from_millis(100), Duration::from_secs(1));
    let ejection = (duration / 15).clamp(Duration::from_millis(250), Duration::from_secs(5));
    let mut text = format!(
        "admin: {{ listen: '{admin}' }}\n\
         listeners:\n\
         \x20 - {{ name: {SERVICE}, bind: '{listen}' }}\n\
         services:\n\
         \x20 - name: {SERVICE}\n\
         \x20   strategy: {strategy}\n\
         \x20   health_check: {{ http: {{ path: {HEALTH_PATH} }}, interval: {check}ms, timeout: {check}ms }}\n\
         \x20   circuit_breaker: {{ base_ejection: {ejection}ms }}\n\
         \x20   instances:\n",
        admin = setup.admin,
        listen = setup.listen,
        strategy = setup.strategy,
        check = check.as_millis(),
        ejection = ejection.as_millis(),
    );
    for (instance, address) in backends.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "      - {{ id: {}, address: '{address}' }}",
            script::name(instance)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_a_valid_configuration_for_any_duration() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let setup = Setup {
            strategy: StrategyName::DEFAULT,
            listen: any,
            admin: SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0)),
            seed: 1,
        };
        let backends: Vec<_> = (1..=6)
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect();
        for seconds in [3, 30, 86_400] {
            let text = configuration(&setup, Duration::from_secs(seconds), &backends);
            let config = Config::from_str("demo.yaml", &text).map_err(|error| error.to_string());
            let service = config.as_ref().ok().and_then(|c| c.service(SERVICE));
            assert_eq!(service.map(|s| s.instances.len()), Some(6), "{config:?}");
        }
    }
}
