//! The checker alone, with few permits and without a writer.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use evenkeel_core::{CheckThresholds, Instance, ServiceSettings, ServiceState};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::events::EventLog;
use crate::spec::{CheckKind, ServiceSpec};

/// A checker of `n` instances at `address`, and what it hears from and reports to.
fn checker(
    address: SocketAddr,
    n: usize,
    lanes: Lanes,
) -> (Checker, watch::Sender<CheckPlan>, mpsc::Receiver<Message>) {
    let spec = ServiceSpec {
        settings: ServiceSettings {
            checks: Some(CheckThresholds::default()),
            ..ServiceSettings::new("web")
        },
        instances: (0..n)
            .map(|i| Instance::new(&format!("i{i}"), address).unwrap())
            .collect(),
        check: Some(CheckSettings {
            kind: CheckKind::Http {
                path: "/".into(),
                host: None,
                expected: vec![CheckKind::EXPECTED],
            },
            interval: Duration::from_secs(3600),
            timeout: Duration::from_secs(60),
            jitter: 0.1,
            port: None,
        }),
    };
    let clock = Clock::start();
    let shared = Arc::new(Shared {
        clock,
        events: EventLog::new(),
        lanes,
    });
    let state = ServiceState::new(spec.settings.clone(), vec![], 1, clock.now()).unwrap();
    let targets = spec.instances.iter().map(|i| (i.id.clone(), i.address));
    let settings = spec.check.clone().map(Arc::new);
    let (plan, plans) = watch::channel(CheckPlan::new(settings, targets.collect()));
    // Room for one result: the checker waits, and loses nothing.
    let (results, inbox) = mpsc::channel(1);
    let service = Service::new("web".into(), Arc::clone(state.view()), results.clone());
    let service = Arc::new(service);
    let (alive, _) = mpsc::channel(1);
    let checker = Checker::new(service, shared, plans, results, alive, 1);
    (checker, plan, inbox)
}

/// Everything a test waits for happens within this time, or the test fails.
async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future)
        .await
        .expect("it did not happen in time")
}

async fn next(inbox: &mut mpsc::Receiver<Message>) -> CheckResult {
    match within(inbox.recv()).await {
        Some(Message::Check(result)) => result,
        other => panic!("no result: {other:?}"),
    }
}

#[tokio::test]
async fn checks_under_way_are_capped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let release = Arc::new(Semaphore::new(0));
    // Takes every connection at once, and closes one per permit.
    let (opened, seen, closing) = (Arc::clone(&open), Arc::clone(&most), Arc::clone(&release));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            seen.fetch_max(opened.fetch_add(1, SeqCst) + 1, SeqCst);
            let (opened, closing) = (Arc::clone(&opened), Arc::clone(&closing));
            tokio::spawn(async move {
                closing.acquire().await.unwrap().forget();
                opened.fetch_sub(1, SeqCst);
                drop(stream);
            });
        }
    });
    let (checker, _plan, mut inbox) = checker(address, 20, Lanes::with(3, 1, 0));
    let running = tokio::spawn(checker.run());
    let mut ids = std::collections::BTreeSet::new();
    for left in (1..=20).rev() {
        within(async {
            while open.load(SeqCst) < left.min(3) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        release.add_permits(1);
        ids.insert(next(&mut inbox).await.id);
    }
    assert_eq!(ids.len(), 20);
    assert_eq!(most.load(SeqCst), 3);
    running.abort();
    server.abort();
}

#[tokio::test]
async fn a_check_that_panics_fails_its_instance_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut checker, _plan, mut inbox) = checker(address, 3, Lanes::new());
    checker.take_plan();
    let later = Instant::now() + Duration::from_secs(1);
    let (key, ..) = checker.schedule.take_due(later).unwrap();
    let task = checker.running.spawn(async { panic!("on purpose") });
    checker.keys.insert(task.id(), key);
    checker.schedule.started(key, task);
    let running = tokio::spawn(async move {
        checker.run().await;
    });
    let server = tokio::spawn(async move {
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
    });
    let mut panicked = 0;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let result = next(&mut inbox).await;
        let CheckOutcome::Failed(CheckFailure(reason)) = result.outcome else {
            panic!("nobody answers");
        };
        panicked += usize::from(reason.contains("panicked"));
        ids.insert(result.id);
    }
    assert_eq!((panicked, ids.len()), (1, 3));
    within(server).await.unwrap();
    running.abort();
}

/// Instances whose last check timed out wait for their own lane alone, those that answered for theirs: in
/// the permits of the process as in those of the service.
#[tokio::test(start_paused = true)]
async fn each_lane_is_free_while_the_other_is_full() {
    for (timed_out, common) in [(true, true), (true, false), (false, true), (false, false)] {
        let lanes = if common {
            Lanes::with(1, 1, 0)
        } else {
            Lanes::with(0, 0, 1)
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (mut checker, _plan, mut inbox) = checker(address, 1, lanes);
        checker.take_plan();
        tokio::time::advance(Duration::from_secs(1)).await;
        let (key, ..) = checker.schedule.take_due(Instant::now()).unwrap();
        let (sent, began) = (checker.shared.clock.now(), Instant::now());
        let answer = if timed_out {
            Answer::TimedOut("no answer".into())
        } else {
            Answer::Failed("status 500".into())
        };
        let task = checker.running.spawn(async move {
            Ended {
                sent,
                began,
                answer,
                connected: None,
            }
        });
        checker.keys.insert(task.id(), key);
        checker.schedule.started(key, task);
        let ended = checker.running.join_next_with_id().await.unwrap();
        checker.end(ended).await;
        next(&mut inbox).await;

        let lanes = if common {
            &checker.shared.lanes
        } else {
            &checker.own
        };
        let (its, other) = if timed_out {
            (lanes.slow.clone(), lanes.quick.clone())
        } else {
            (lanes.quick.clone(), lanes.slow.clone())
        };
        let _full = other.try_acquire().unwrap();
        tokio::time::advance(Duration::from_secs(3600)).await;
        checker.start_due();
        // The task takes its permit when it first runs, and then waits for the network.
        tokio::task::yield_now().await;
        assert_eq!(
            its.available_permits(),
            0,
            "timed out: {timed_out}, common: {common}"
        );
    }
}

/// One service's instances hang and hold every permit of the process; another's are checked all the same.
#[tokio::test]
async fn services_do_not_wait_for_each_other() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lanes = Lanes::with(5, 1, 1);
    let (first, _plan, _inbox) = checker(hanging.local_addr().unwrap(), 20, lanes.clone());
    let first = tokio::spawn(first.run());
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(within(hanging.accept()).await.unwrap());
    }
    let (second, _plan, mut inbox) = checker(closing.local_addr().unwrap(), 3, lanes);
    let second = tokio::spawn(second.run());
    for _ in 0..3 {
        drop(within(closing.accept()).await.unwrap());
        next(&mut inbox).await;
    }
    first.abort();
    second.abort();
}

#[tokio::test]
async fn it_ends_with_its_writer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (checker, plan, _inbox) = checker(listener.local_addr().unwrap(), 5, Lanes::new());
    let running = tokio::spawn(checker.run());
    let (_stream, _) = within(listener.accept()).await.unwrap();
    drop(plan);
    within(running).await.unwrap();
}
