//! The service that balances.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use evenkeel_core::{HashedKey, Instance, InstanceId, PickContext, PickRequest, ServiceSettings, Slot, View};
use evenkeel_runtime::{SettingsError, check_settings};
use tokio::time::{Sleep, sleep};
use tower::discover::{Change, Discover};
use tower::ready_cache::ReadyCache;
use tower::{BoxError, Service};

use super::control::Control;
use super::endpoint::Endpoint;
use super::error::Error;
use super::exchange::{Exchange, Http, Plain};
use super::fleet::Fleet;
use super::future::ResponseFuture;
use crate::{Lease, context};

/// Choices of the strategy that are asked whether they are ready before any instance that is ready is taken. Each
/// costs a pick, and knows the others.
const CHOICES: usize = 8;

/// Balances over the services of `D`. See the [module](super) for what it promises.
pub struct Balance<D, Req, X = Http>
where
    D: Discover,
    D::Service: Service<Req>,
{
    discover: D,
    /// Discovery will say nothing more.
    ended: bool,
    services: ReadyCache<Slot, D::Service, Req>,
    fleet: Fleet,
    exchange: X,
    pick: PickContext,
    /// Of who polled last; services that are asked in `call` wake it.
    waker: Waker,
    /// What is wrong with the settings: nothing is done then but to say so.
    wrong: Option<SettingsError>,
    /// Until the fleet has something to do, while nobody is ready.
    rest: Option<Pin<Box<Sleep>>>,
}

impl<D, Req> Balance<D, Req, Http>
where
    D: Discover,
    D::Service: Service<Req>,
{
    /// For requests and responses of the `http` crate.
    #[must_use]
    pub fn http(discover: D, settings: ServiceSettings) -> Self {
        Self::new(discover, settings, Http)
    }
}

impl<D, Req> Balance<D, Req, Plain>
where
    D: Discover,
    D::Service: Service<Req>,
{
    /// For any protocol: responses are successes, errors failures.
    #[must_use]
    pub fn plain(discover: D, settings: ServiceSettings) -> Self {
        Self::new(discover, settings, Plain)
    }
}

impl<D, Req, X> Balance<D, Req, X>
where
    D: Discover,
    D::Service: Service<Req>,
{
    /// For the protocol that `exchange` understands. Checks are not made: `settings.checks` has no effect. A setting
    /// that is not acceptable is what every `poll_ready` fails with ([`Error::Settings`]).
    #[must_use]
    pub fn new(discover: D, settings: ServiceSettings, exchange: X) -> Self {
        let settings = ServiceSettings {
            checks: None,
            ..settings
        };
        let wrong = check_settings(&settings).err();
        let settings = match wrong {
            None => settings,
            Some(_) => ServiceSettings::new(settings.name),
        };
        Self {
            discover,
            ended: false,
            services: ReadyCache::default(),
            fleet: Fleet::new(settings),
            wrong,
            exchange,
            pick: PickContext::new(context::seed()),
            waker: Waker::noop().clone(),
            rest: None,
        }
    }

    /// The instances with their health, and who is a candidate, as of the last poll.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        self.fleet.view()
    }

    /// A handle for those who have something to say or to ask beside requests: operators, checks, instances.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(self.fleet.shared())
    }

    /// Inner services that were ready when they were last asked.
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.services.ready_len()
    }
}

impl<D, Req, X> Balance<D, Req, X>
where
    D: Discover + Unpin,
    D::Key: Endpoint,
    D::Error: Into<BoxError>,
    D::Service: Service<Req>,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
{
    /// Takes in what was discovered since the last time, all of it together.
    fn discover(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let (mut came, mut went) = (HashMap::new(), Vec::new());
        let mut failed = Ok(());
        while !self.ended {
            let change = match Pin::new(&mut self.discover).poll_discover(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.ended = true;
                    break;
                }
                Poll::Ready(Some(Err(source))) => {
                    let (service, source) = (self.fleet.name(), source.into());
                    failed = Err(Error::Discover { service, source });
                    break;
                }
                Poll::Ready(Some(Ok(change))) => change,
            };
            let (key, inner) = match change {
                Change::Insert(key, inner) => (key, Some(inner)),
                Change::Remove(key) => (key, None),
            };
            let valid = key.instance().and_then(|found| found.validate().map(|()| found));
            match (valid, inner) {
                (Ok(instance), Some(inner)) => {
                    came.insert(instance.id.clone(), (instance, inner));
                }
                (Ok(instance), None) => {
                    came.remove(&instance.id);
                    went.push(instance.id);
                }
                (Err(error), _) => {
                    let service = &*self.fleet.name();
                    tracing::warn!(
                        service,
                        "passed over what was discovered, as it can be no instance: {error}"
                    );
                }
            }
        }
        if !came.is_empty() || !went.is_empty() {
            self.change(came, went);
        }
        failed
    }

    fn change(&mut self, mut came: HashMap<InstanceId, (Instance, D::Service)>, went: Vec<InstanceId>) {
        let before = Arc::clone(self.fleet.view());
        let instances: Vec<Instance> = came.values().map(|(instance, _)| instance.clone()).collect();
        self.fleet.change(instances, went);
        let view = Arc::clone(self.fleet.view());
        // A slot that is empty now, or another instance's (a new address under the same id), has no use for its service.
        for (slot, member, _) in before.members() {
            let now = view.candidates().member(slot);
            if now.is_none_or(|now| !Arc::ptr_eq(now.stats(), member.stats())) {
                self.services.evict(&slot);
            }
        }
        for (slot, member, _) in view.members() {
            if let Some((_, inner)) = came.remove(&member.instance().id) {
                self.services.push(slot, inner);
            }
        }
    }

    /// Drives services to readiness; those that fail are dropped.
    fn promote(&mut self, cx: &mut Context<'_>) {
        let mut lost = Vec::new();
        while let Poll::Ready(Err(failed)) = self.services.poll_pending(cx) {
            lost.push((failed.0, failed.1));
        }
        self.lose(lost);
    }

    /// Takes out instances whose services failed.
    fn lose(&mut self, lost: Vec<(Slot, BoxError)>) {
        if lost.is_empty() {
            return;
        }
        let service = self.fleet.name();
        let mut went = Vec::new();
        for (slot, error) in lost {
            let Some(id) = self.fleet.id_at(slot) else {
                continue;
            };
            tracing::warn!(
                service = &*service,
                instance = %id,
                "dropped until it is discovered anew, because its service failed: {error}"
            );
            went.push(id);
        }
        self.change(HashMap::new(), went);
    }

    /// Chooses among those that are ready, and takes a lease.
    fn choose(&mut self, key: Option<HashedKey>, region: Option<&str>) -> Result<(Slot, Lease), Error> {
        let view = Arc::clone(self.fleet.view());
        self.pick.now = self.fleet.now();
        let (mut tried, mut lost) = (Vec::new(), Vec::new());
        let mut found = None;
        for _ in 0..CHOICES {
            let request = PickRequest {
                tried: &tried,
                key,
                region,
            };
            let slot = match view.choose(&request, &mut self.pick) {
                Ok(slot) if tried.contains(&slot) => break,
                Ok(slot) => slot,
                Err(reason) => {
                    self.fleet.metrics().record_no_pick();
                    let service = self.fleet.name();
                    return Err(Error::NoPick { service, reason });
                }
            };
            if self.is_ready(slot, &mut lost) {
                view.compare(slot, &request, &mut self.pick);
                found = Some(slot);
                break;
            }
            tried.push(slot);
        }
        let found = found.or_else(|| self.any_ready(&view, &mut lost));
        let leased = found.and_then(|slot| Some((slot, self.fleet.lease(slot, self.pick.now)?)));
        self.lose(lost);
        let Some(leased) = leased else {
            self.fleet.metrics().record_no_pick();
            let service = self.fleet.name();
            return Err(Error::NoneReady { service });
        };
        self.fleet.metrics().record_pick(&view, region);
        Ok(leased)
    }

    /// A candidate that is ready, searched for from a random one on. O(n).
    fn any_ready(&mut self, view: &View, lost: &mut Vec<(Slot, BoxError)>) -> Option<Slot> {
        let slots = view.candidates().slots();
        let start = self.pick.rng.below(slots.len() as u32) as usize;
        let from_start = slots[start..].iter().chain(&slots[..start]);
        from_start.copied().find(|slot| self.is_ready(*slot, lost))
    }

    /// Whether the service at `slot` is ready, asked anew.
    fn is_ready(&mut self, slot: Slot, lost: &mut Vec<(Slot, BoxError)>) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        match self.services.check_ready(&mut cx, &slot) {
            Ok(ready) => ready,
            Err(failed) => {
                lost.push((failed.0, failed.1));
                false
            }
        }
    }

    /// Whether a candidate is ready, asked anew: readiness may have gone since, and the first that still has it
    /// is enough.
    fn has_ready(&mut self) -> bool {
        let view = Arc::clone(self.fleet.view());
        let mut slots = view.candidates().slots().iter();
        let mut lost = Vec::new();
        let ready = slots.any(|slot| self.is_ready(*slot, &mut lost));
        self.lose(lost);
        ready
    }

    /// Wakes the task when the fleet has something to do.
    fn sleep(&mut self, cx: &mut Context<'_>) {
        if self.fleet.is_empty() {
            return;
        }
        let mut rest = Box::pin(sleep(self.fleet.rest()));
        let waits = self.fleet.wait(cx.waker());
        if rest.as_mut().poll(cx).is_ready() || !waits {
            cx.waker().wake_by_ref();
        }
        self.rest = Some(rest);
    }
}

impl<D, Req, X> Service<Req> for Balance<D, Req, X>
where
    D: Discover + Unpin,
    D::Key: Endpoint,
    D::Error: Into<BoxError>,
    D::Service: Service<Req>,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
    X: Exchange<Req, <D::Service as Service<Req>>::Response>,
{
    type Response = X::Response;
    type Error = BoxError;
    type Future = ResponseFuture<<D::Service as Service<Req>>::Future, X, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Some(source) = self.wrong.clone() {
            let service = self.fleet.name();
            return Poll::Ready(Err(Error::Settings { service, source }.into()));
        }
        self.rest = None;
        if !self.waker.will_wake(cx.waker()) {
            self.waker = cx.waker().clone();
        }
        self.discover(cx)?;
        self.promote(cx);
        self.fleet.keep_up();
        if self.has_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.ended && self.fleet.is_empty() {
            let service = self.fleet.name();
            return Poll::Ready(Err(Error::NobodyLeft { service }.into()));
        }
        self.sleep(cx);
        Poll::Pending
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let wanted = self.fleet.view().request_key();
        let key = wanted.and_then(|wanted| {
            let key = self.exchange.key(&request, wanted);
            if key.is_none() {
                self.fleet.metrics().record_absent_key();
            }
            key
        });
        let exchange = self.exchange.clone();
        match self.choose(key, exchange.region(&request)) {
            Ok((slot, lease)) => {
                let inner = self.services.call_ready(&slot, request);
                ResponseFuture::running(inner, lease, exchange)
            }
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

impl<D, Req, X> fmt::Debug for Balance<D, Req, X>
where
    D: Discover,
    D::Service: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("fleet", &self.fleet)
            .field("ready", &self.services.ready_len())
            .field("pending", &self.services.pending_len())
            .finish_non_exhaustive()
    }
}
