//! The adapter, over mock services.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::strategies::{ConsistentHash, Maglev, TableSize};
use evenkeel::tower::{Balance, Endpoint, Error, Http, Plain, RoutingKey, TrackedBody};
use evenkeel::{
    Effect, EjectionSettings, EventKind, Exclusion, Instance, InstanceError, InstanceState, LoadReport,
    Nanos, Selection, ServiceSettings, StrategyName, StrategySettings,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Channel, Full};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tower::discover::Change;
use tower::{BoxError, Service};
use tower_test::mock::{self, Handle, Mock};

use crate::support::{PATIENCE, address};

mod http_responses;

type Found<S> = Result<Change<SocketAddr, S>, Infallible>;

/// Discovery by hand.
struct Changes<S>(mpsc::UnboundedReceiver<Found<S>>);

impl<S> Stream for Changes<S> {
    type Item = Found<S>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Found<S>>> {
        self.0.poll_recv(cx)
    }
}

fn settings(strategy: StrategyName) -> ServiceSettings {
    ServiceSettings {
        strategy: strategy.into(),
        ..ServiceSettings::new("web")
    }
}

type Text = Mock<&'static str, &'static str>;
type TextHandle = Handle<&'static str, &'static str>;
type TextBalance = Balance<Changes<Text>, &'static str, Plain>;

/// Three mocks at ports 9001 to 9003, of which none is ready, and the way to change that.
fn texts(strategy: StrategyName) -> (TextBalance, Vec<TextHandle>, mpsc::UnboundedSender<Found<Text>>) {
    let (found, changes) = mpsc::unbounded_channel();
    let mut handles = Vec::new();
    for port in 9001..=9003 {
        let (service, mut handle) = mock::pair();
        handle.allow(0);
        found.send(Ok(Change::Insert(address(port), service))).unwrap();
        handles.push(handle);
    }
    (
        Balance::plain(Changes(changes), settings(strategy)),
        handles,
        found,
    )
}

fn poll<B: Service<R>, R>(balance: &mut B) -> Poll<Result<(), B::Error>> {
    balance.poll_ready(&mut Context::from_waker(Waker::noop()))
}

async fn ready<B: Service<R, Error = BoxError>, R>(balance: &mut B) {
    let ready = poll_fn(|cx| balance.poll_ready(cx));
    tokio::time::timeout(PATIENCE, ready).await.unwrap().unwrap();
}

fn own(error: &BoxError) -> &Error {
    error.downcast_ref().unwrap_or_else(|| panic!("{error}"))
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_a_candidate_is_and_calls_that_one() {
    let (mut balance, mut handles, _found) = texts(StrategyName::round_robin);
    assert!(poll(&mut balance).is_pending(), "nobody is ready");
    handles[1].allow(2);
    for _ in 0..2 {
        ready(&mut balance).await;
        let response = tokio::spawn(balance.call("ping"));
        let (request, reply) = handles[1].next_request().await.unwrap();
        assert_eq!(request, "ping");
        reply.send_response("pong");
        assert_eq!(response.await.unwrap().unwrap(), "pong");
    }
    assert!(poll(&mut balance).is_pending(), "it has taken what it allowed");
}

/// Keeps warnings.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields<'a>(&'a mut String);
        impl tracing::field::Visit for Fields<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut line = String::new();
        event.record(&mut Fields(&mut line));
        self.0.lock().unwrap().push(line);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Discovery says what there is, and is not refused; whoever sets a strategy is.
#[tokio::test(start_paused = true)]
async fn more_than_the_strategy_can_choose_among_is_told_once() {
    let warnings = Arc::new(Warnings::default());
    let _guard = tracing::subscriber::set_default(Arc::clone(&warnings));
    let maglev = StrategySettings::maglev(Maglev {
        envoy: true,
        table_size: TableSize::new(1021).unwrap(),
        ..Maglev::default()
    });
    let settings = ServiceSettings {
        strategy: maglev.clone(),
        ..ServiceSettings::new("web")
    };
    let (found, changes) = mpsc::unbounded_channel();
    let mut balance: TextBalance = Balance::plain(Changes(changes), settings);
    let mut handles = Vec::new();
    let mut find = |ports: std::ops::Range<u16>| {
        for port in ports {
            let (service, handle) = mock::pair();
            found.send(Ok(Change::Insert(address(port), service))).unwrap();
            handles.push(handle);
        }
    };
    for (ports, all) in [
        (9001..10_022, 1021),
        (10_022..10_023, 1022),
        (10_023..10_024, 1023),
    ] {
        assert!(warnings.0.lock().unwrap().is_empty() || all == 1023);
        find(ports);
        while balance.view().members().count() < all {
            let _ = poll(&mut balance);
            // A task may take so many from a channel at a time.
            tokio::task::yield_now().await;
        }
    }
    let told = warnings.0.lock().unwrap().clone();
    assert!(
        told.len() == 1 && told[0].contains("1022 instances share a table"),
        "{told:?}"
    );
    let control = balance.control();
    control.set_strategy(StrategyName::random).unwrap();
    let refused = control.set_strategy(maglev).unwrap_err().to_string();
    assert!(
        refused.starts_with("service web: strategy: maglev does not suit"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_when_one_gets_ready() {
    let (mut balance, mut handles, _found) = texts(StrategyName::round_robin);
    assert!(poll(&mut balance).is_pending());
    let waiting = tokio::spawn(async move {
        ready(&mut balance).await;
        balance
    });
    tokio::task::yield_now().await;
    handles[2].allow(1);
    let balance = waiting.await.unwrap();
    assert_eq!(balance.ready_len(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_that_went_is_noticed_in_the_call() {
    let (mut balance, mut handles, _found) = texts(StrategyName::round_robin);
    handles.iter_mut().for_each(|handle| handle.allow(1));
    ready(&mut balance).await;
    assert_eq!(balance.ready_len(), 3);
    // Two fail after they were ready: the third is used.
    handles[0].send_error("connection closed");
    drop(handles.remove(1));
    let response = tokio::spawn(balance.call("ping"));
    let (_, reply) = handles[1].next_request().await.unwrap();
    reply.send_response("pong");
    assert_eq!(response.await.unwrap().unwrap(), "pong");
    // Those that failed are gone until they are discovered anew.
    assert!(poll(&mut balance).is_pending());
    assert_eq!(balance.view().members().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_anybody_ready_is_an_error_and_no_panic() {
    let (mut balance, _handles, _found) = texts(StrategyName::round_robin);
    let error = balance.call("ping").await.unwrap_err();
    assert!(
        matches!(own(&error), Error::NoPick { .. }),
        "nobody is known before the first poll: {error}"
    );
    assert!(poll(&mut balance).is_pending());
    let error = balance.call("ping").await.unwrap_err();
    assert!(matches!(own(&error), Error::NoneReady { .. }), "{error}");
    assert!(error.to_string().contains("web"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn discovery_adds_replaces_and_removes() {
    let (mut balance, mut handles, found) = texts(StrategyName::round_robin);
    handles.iter_mut().for_each(|handle| handle.allow(1));
    ready(&mut balance).await;
    for port in 9001..=9002 {
        found.send(Ok(Change::Remove(address(port)))).unwrap();
    }
    // The last one is replaced by another service for the same instance.
    let (service, mut handle) = mock::pair();
    handle.allow(1);
    found.send(Ok(Change::Insert(address(9003), service))).unwrap();
    ready(&mut balance).await;
    assert_eq!((balance.view().members().count(), balance.ready_len()), (1, 1));
    let response = tokio::spawn(balance.call("ping"));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response("pong");
    response.await.unwrap().unwrap();

    found.send(Ok(Change::Remove(address(9003)))).unwrap();
    assert!(poll(&mut balance).is_pending(), "somebody may come");
    drop(found);
    let Poll::Ready(Err(error)) = poll(&mut balance) else {
        panic!("nobody will ever come");
    };
    assert!(matches!(own(&error), Error::NobodyLeft { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn errors_eject_and_the_others_do_the_work() {
    let (mut balance, mut handles, _found) = texts(StrategyName::round_robin);
    handles.iter_mut().for_each(|handle| handle.allow(1000));
    let mut sick = handles.remove(0);
    tokio::spawn(async move {
        while let Some((_, reply)) = sick.next_request().await {
            reply.send_error("refused");
        }
    });
    for mut well in handles {
        tokio::spawn(async move {
            while let Some((_, reply)) = well.next_request().await {
                reply.send_response("pong");
            }
        });
    }
    let mut failed = 0;
    for _ in 0..100 {
        ready(&mut balance).await;
        failed += u32::from(balance.call("ping").await.is_err());
    }
    assert_eq!(failed, 5, "as many as eject, and no more");
    let states = balance.view().members().map(|(_, member, status)| {
        (
            member.instance().address.port(),
            matches!(status.state, InstanceState::Ejected { .. }),
        )
    });
    assert_eq!(
        states.collect::<Vec<_>>(),
        [(9001, true), (9002, false), (9003, false)]
    );
    // Time brings it back, with nobody but the one who polls.
    tokio::time::advance(Duration::from_secs(6)).await;
    ready(&mut balance).await;
    assert_eq!(balance.view().candidates().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_ejection_wakes_who_waits() {
    let (found, changes) = mpsc::unbounded_channel();
    let (sick, mut sick_handle) = mock::pair::<&'static str, &'static str>();
    let (busy, mut busy_handle) = mock::pair();
    busy_handle.allow(0);
    sick_handle.allow(1000);
    for (port, service) in [(9001, sick), (9002, busy)] {
        found.send(Ok(Change::Insert(address(port), service))).unwrap();
    }
    let once = EjectionSettings {
        consecutive_failures: 1,
        ..EjectionSettings::default()
    };
    let settings = ServiceSettings {
        ejection: once,
        ..settings(StrategyName::round_robin)
    };
    let mut balance = Balance::plain(Changes(changes), settings);
    ready(&mut balance).await;
    let response = tokio::spawn(balance.call("ping"));
    sick_handle.next_request().await.unwrap().1.send_error("broken");
    response.await.unwrap().unwrap_err();
    assert!(poll(&mut balance).is_pending(), "one is ejected, the other busy");
    let began = tokio::time::Instant::now();
    ready(&mut balance).await;
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_secs(4) && waited <= Duration::from_secs(6),
        "{waited:?}"
    );
}

// HTTP: the lease ends with the body.

/// Futures can go to other threads.
#[test]
fn it_can_be_sent() {
    fn sent<T: Send>(_: T) {}
    let (balance, ..) = texts(StrategyName::round_robin);
    sent(balance);
    fn future<B: Service<R, Future: Future + Send>, R>(_: fn(B, R)) {}
    future(|_: TextBalance, _: &'static str| ());
}
