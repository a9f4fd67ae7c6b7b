//! The checker alone, with few permits and without a writer.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use evenkeel_core::{
    CheckThresholds, EjectionSettings, Instance, ServiceSettings, ServiceState, StrategyName,
};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::events::EventLog;
use crate::spec::CheckKind;

/// A checker of `n` instances at `address`, and what it hears from and reports to.
fn checker(
    address: SocketAddr,
    n: usize,
    lanes: Lanes,
) -> (Checker, watch::Sender<CheckPlan>, mpsc::Receiver<Message>) {
    let spec = ServiceSpec {
        settings: ServiceSettings {
            name: "web".into(),
            strategy: StrategyName::DEFAULT.into(),
            checks: Some(CheckThresholds::default()),
            ejection: EjectionSettings::default(),
            min_healthy: 1,
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
    let service = Arc::new(Service::new("web".into(), Arc::clone(state.view())));
    let (plan, plans) = watch::channel(CheckPlan::new(&spec));
    // Room for one result: the checker waits, and loses nothing.
    let (results, inbox) = mpsc::channel(1);
    let (alive, _) = mpsc::channel(1);
    let checker = Checker::new(service, shared, plans, results, alive, 1);
    (checker, plan, inbox)
}

async fn next(inbox: &mut mpsc::Receiver<Message>) -> CheckResult {
    match timeout(Duration::from_secs(30), inbox.recv()).await {
        Ok(Some(Message::Check(result))) => result,
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
    let (checker, _plan, mut inbox) = checker(address, 20, Lanes::with(3, 1));
    let running = tokio::spawn(checker.run());
    let mut ids = std::collections::BTreeSet::new();
    for left in (1..=20).rev() {
        timeout(Duration::from_secs(30), async {
            while open.load(SeqCst) < left.min(3) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
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
    server.await.unwrap();
    running.abort();
}

#[tokio::test]
async fn it_ends_with_its_writer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (checker, plan, _inbox) = checker(listener.local_addr().unwrap(), 5, Lanes::new());
    let running = tokio::spawn(checker.run());
    let (_stream, _) = listener.accept().await.unwrap();
    drop(plan);
    timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
}
