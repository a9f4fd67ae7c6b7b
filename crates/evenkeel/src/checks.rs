//! Active checks, as long as somebody holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use evenkeel_core::CheckThresholds;
use evenkeel_runtime::{CheckKind, CheckSettings};
use tokio::runtime::Handle;

use crate::balancer::LoadBalancer;
use crate::error::Error;
use crate::specs::Known;

/// How the instances of a service are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Checks {
    /// What a check does, and when.
    pub settings: CheckSettings,
    /// How many results in a row change an instance's state.
    pub thresholds: CheckThresholds,
}

impl Checks {
    /// Connects and closes: every 5 s, for 1 s at most; three failures in a row take an instance out, two successes
    /// bring it back.
    #[must_use]
    pub fn tcp() -> Self {
        Self {
            settings: CheckSettings {
                kind: CheckKind::Tcp,
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(1),
                jitter: 0.1,
                port: None,
            },
            thresholds: CheckThresholds::default(),
        }
    }

    /// As [`tcp`](Self::tcp), with `GET path`, which is to be answered with 200 to 399.
    #[must_use]
    pub fn http(path: impl Into<String>) -> Self {
        let mut checks = Self::tcp();
        checks.settings.kind = CheckKind::Http {
            path: path.into(),
            host: None,
            expected: vec![CheckKind::EXPECTED],
        };
        checks
    }

    /// The same with another time between two checks of an instance.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self.settings.timeout = self.settings.timeout.min(interval);
        self
    }
}

/// Checks under way. They end when this is dropped; instances that only checks had taken out then return.
///
/// ```
/// # use evenkeel::{Checks, Instance, LoadBalancer};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let balancer = LoadBalancer::new();
/// # balancer.register_instance("web", Instance::new("web-1", "127.0.0.1:9001".parse()?)?).await?;
/// let checks = balancer.start_checks("web", Checks::http("/healthz")).await?;
/// // … as long as the program runs
/// checks.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "checks end when this is dropped"]
pub struct RunningChecks {
    balancer: LoadBalancer,
    service: Arc<str>,
    /// Tells these checks from later ones of the same service.
    number: u64,
    /// Where the end is told, when this is dropped.
    runtime: Handle,
    ended: bool,
}

impl RunningChecks {
    pub(crate) async fn start(balancer: LoadBalancer, service: &str, checks: Checks) -> Result<Self, Error> {
        static STARTED: AtomicU64 = AtomicU64::new(1);
        let number = STARTED.fetch_add(1, Relaxed);
        let service: Arc<str> = service.into();
        // The handle is made where the checks are started: when nobody takes it, they end with it.
        balancer
            .whole(async move |balancer| {
                let change = |known: &mut Option<Known>| {
                    let known = known.as_mut();
                    let known = known.ok_or_else(|| Error::UnknownService((*service).into()))?;
                    known.checks = number;
                    known.spec.check = Some(checks.settings);
                    known.spec.settings.checks = Some(checks.thresholds);
                    Ok(())
                };
                balancer.change(&service, change).await?;
                Ok(Self {
                    balancer,
                    service,
                    number,
                    runtime: Handle::current(),
                    ended: false,
                })
            })
            .await
    }

    /// Ends the checks, and returns when they have.
    ///
    /// # Errors
    /// When the balancer was shut down.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.ended = true;
        let (service, number) = (Arc::clone(&self.service), self.number);
        self.balancer
            .whole(async move |balancer| end(&balancer, &service, number).await)
            .await
    }
}

impl Drop for RunningChecks {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (balancer, service, number) = (self.balancer.clone(), Arc::clone(&self.service), self.number);
        self.runtime.spawn(async move {
            // It fails only when the balancer was shut down, and the checks with it.
            let _ = end(&balancer, &service, number).await;
        });
    }
}

/// Ends the checks of this number, unless others have taken their place.
async fn end(balancer: &LoadBalancer, service: &str, number: u64) -> Result<(), Error> {
    let change = |known: &mut Option<Known>| {
        if let Some(known) = known
            && known.checks == number
        {
            known.spec.check = None;
            known.spec.settings.checks = None;
        }
        Ok(())
    };
    balancer.change(service, change).await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use evenkeel_core::Instance;

    use super::*;

    /// The number of the checks that were started last, and whether they are under way.
    async fn seen(balancer: &LoadBalancer) -> (u64, bool) {
        let specs = balancer.specs.lock().await;
        (specs["web"].checks, specs["web"].spec.check.is_some())
    }

    #[tokio::test]
    async fn who_lets_go_of_them_before_they_began_leaves_none_behind() {
        let balancer = LoadBalancer::new();
        let instance = Instance::new("a", ([127, 0, 0, 1], 9001).into()).unwrap();
        balancer.register_instance("web", instance).await.unwrap();
        {
            let starts = pin!(balancer.start_checks("web", Checks::tcp()));
            let polled = starts.poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        let ended = async {
            while !matches!(seen(&balancer).await, (1.., false)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .unwrap();

        // An end that nobody waits for is one.
        let running = balancer.start_checks("web", Checks::tcp()).await.unwrap();
        assert!(seen(&balancer).await.1);
        let _ = pin!(running.stop()).poll(&mut Context::from_waker(Waker::noop()));
        let ended = async {
            while seen(&balancer).await.1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .unwrap();
    }
}
