//! The handle of a service: what workers and observers hold.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::{ArcSwap, Cache, Guard};
use evenkeel_core::{Lease, Nanos, NoPick, Outcome, PickContext, PickRequest, View};
use tokio::sync::{Notify, mpsc};

use crate::metrics::ServiceMetrics;
use crate::record::Recorder;
use crate::writer::Message;

/// A service. Stays the same `Arc` when a new configuration replaces its settings or instances.
///
/// After its removal the handle keeps the last view: picks still work, leases end harmlessly, and
/// nothing changes any more.
#[derive(Debug)]
pub struct Service {
    name: Arc<str>,
    view: ArcSwap<View>,
    alarm: Notify,
    inbox: mpsc::Sender<Message>,
    /// The balancer has let go of it.
    retired: AtomicBool,
    metrics: ServiceMetrics,
    recorder: Recorder,
}

impl Service {
    pub(crate) fn new(name: Arc<str>, view: Arc<View>, inbox: mpsc::Sender<Message>) -> Self {
        Self {
            name,
            view: ArcSwap::new(view),
            alarm: Notify::new(),
            inbox,
            retired: AtomicBool::new(false),
            metrics: ServiceMetrics::default(),
            recorder: Recorder::default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The current view. Wait-free; do not hold the guard across an `.await`.
    #[inline]
    #[must_use]
    pub fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// The current view, to keep.
    #[must_use]
    pub fn view_full(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// A reader for one worker: one atomic load while the view is unchanged.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> ViewReader {
        ViewReader {
            service: Arc::clone(self),
            cache: Cache::new(Published(Arc::clone(self))),
        }
    }

    /// Picks an instance from the current view. Counts picks made in fallback, and those from regions where the
    /// strategy knows no instance; whether a missing pick cost a request only the caller knows (see
    /// [`ServiceMetrics::record_no_pick`]).
    ///
    /// # Errors
    /// [`NoPick`] says why there is no lease.
    #[inline]
    pub fn pick(&self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Lease, NoPick> {
        self.pick_from(&self.view.load(), request, cx)
    }

    #[inline]
    fn pick_from(
        &self,
        view: &View,
        request: &PickRequest<'_>,
        cx: &mut PickContext,
    ) -> Result<Lease, NoPick> {
        let lease = view.pick(request, cx)?;
        self.recorder.look(view, &lease, request);
        self.metrics.record_pick(view, request.region);
        Ok(lease)
    }

    /// Ends a lease. When the outcome completes a run of failures, the writer is woken at once.
    #[inline]
    pub fn finish(&self, mut lease: Lease, outcome: &Outcome, now: Nanos) {
        self.end(&mut lease, outcome, now);
    }

    /// As [`Self::finish`], for who cannot give the lease away.
    #[inline]
    pub fn end(&self, lease: &mut Lease, outcome: &Outcome, now: Nanos) {
        if lease.end(outcome, now).is_some() {
            // Coalesces: many alarms before the writer runs are one.
            self.alarm.notify_one();
        }
    }

    /// Cumulative counters of the service's requests.
    #[must_use]
    pub fn metrics(&self) -> &ServiceMetrics {
        &self.metrics
    }

    /// Its recorder of picks.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Where its writer takes messages.
    pub(crate) fn inbox(&self) -> &mpsc::Sender<Message> {
        &self.inbox
    }

    /// Whether the balancer has let go of it; a writer that is gone otherwise went with its runtime.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    pub(crate) fn retire(&self) {
        // Relaxed: it only words an error, and who finds the inbox closed finds it later than this.
        self.retired.store(true, Relaxed);
    }

    /// Makes `view` the current one, unless it is already.
    pub(crate) fn publish(&self, view: &Arc<View>) {
        if !Arc::ptr_eq(&self.view.load(), view) {
            self.view.store(Arc::clone(view));
        }
    }

    /// Resolves when a lease has raised an alarm since the last time.
    pub(crate) async fn alarmed(&self) {
        self.alarm.notified().await;
    }
}

/// The published view of a service that is kept alive.
#[derive(Debug, Clone)]
struct Published(Arc<Service>);

impl Deref for Published {
    type Target = ArcSwap<View>;

    fn deref(&self) -> &ArcSwap<View> {
        &self.0.view
    }
}

/// One worker's reader of a service. Holds the view it saw last until the next call.
#[derive(Debug, Clone)]
pub struct ViewReader {
    service: Arc<Service>,
    cache: Cache<Published, Arc<View>>,
}

impl ViewReader {
    /// The current view. One atomic load when it is the one seen last.
    #[inline]
    pub fn view(&mut self) -> &Arc<View> {
        self.cache.load()
    }

    /// Picks an instance from the current view, counted as by [`Service::pick`].
    ///
    /// # Errors
    /// [`NoPick`] says why there is no lease.
    #[inline]
    pub fn pick(&mut self, request: &PickRequest<'_>, cx: &mut PickContext) -> Result<Lease, NoPick> {
        self.service.pick_from(self.cache.load(), request, cx)
    }

    /// The service read.
    #[inline]
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }
}
