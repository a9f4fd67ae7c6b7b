//! Whole configurations: all or nothing, kept counters, removal, shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use evenkeel_core::{EventKind, Nanos, NoPick, Outcome, PickContext, PickRequest, StrategyName};
use evenkeel_runtime::{ApplyError, Balancer, OperateError};
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::TryRecvError;

use crate::support::*;

fn names(balancer: &Balancer) -> Vec<String> {
    balancer.services().iter().map(|s| s.name().to_string()).collect()
}

#[tokio::test]
async fn services_are_created_replaced_and_removed() {
    let balancer = balancer();
    assert!(balancer.services().is_empty());
    balancer
        .apply(vec![spec("web", letters("ab")), spec("api", letters("c"))])
        .await
        .unwrap();
    assert_eq!(names(&balancer), ["api", "web"]);
    let web = balancer.service("web").unwrap();
    assert_eq!(web.view().candidates().len(), 2);
    web.metrics().record_response(200, Nanos::from_millis(3));

    let mut changed = spec("web", letters("abc"));
    changed.settings.strategy = StrategyName::least_connections.into();
    balancer.apply(vec![changed, spec("db", vec![])]).await.unwrap();
    assert_eq!(names(&balancer), ["db", "web"]);
    assert!(balancer.service("api").is_none());
    assert!(
        Arc::ptr_eq(&web, &balancer.service("web").unwrap()),
        "handles stay valid"
    );
    assert_eq!(web.view().candidates().len(), 3, "in force when apply returns");
    assert_eq!(web.view().strategy(), StrategyName::least_connections);
    assert_eq!(web.metrics().snapshot().responses[1], 1, "counters are kept");

    let db = balancer.service("db").unwrap();
    let pick = db.pick(&PickRequest::default(), &mut PickContext::new(1));
    assert_eq!(pick.unwrap_err(), NoPick::Empty);
}

#[tokio::test]
async fn a_bad_specification_changes_nothing() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("ab"))]).await.unwrap();
    let before = balancer.service("web").unwrap().view_full();

    let mut zero = http_check(0, 100);
    zero.interval = std::time::Duration::ZERO;
    let mut bad_check = spec("api", letters("c"));
    bad_check.check = Some(zero);
    let rows = [
        (spec("api", letters("cc")), "service api: id: c appears twice"),
        (spec("web", letters("d")), "service web: the name is used twice"),
        (bad_check, "service api: health check: interval 0ns is too short"),
    ];
    for (bad, expected) in rows {
        let good = vec![spec("aaa", letters("x")), spec("web", letters("abc")), bad];
        let error = balancer.apply(good).await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(names(&balancer), ["web"]);
        let after = balancer.service("web").unwrap().view_full();
        assert!(Arc::ptr_eq(&before, &after), "{error}");
    }
}

#[tokio::test]
async fn outside_a_runtime_it_says_so() {
    let balancer = balancer();
    let outcome = std::thread::spawn(move || {
        let mut apply = Box::pin(balancer.apply(vec![]));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match apply.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => Ok(()),
        }
    });
    assert_eq!(outcome.join().unwrap(), Err(ApplyError::NoRuntime));
}

#[tokio::test]
async fn apply_goes_on_when_its_caller_goes() {
    let balancer = balancer();
    {
        let apply = balancer.apply(vec![spec("web", letters("ab"))]);
        let mut apply = Box::pin(apply);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(apply.as_mut().poll(&mut cx).is_pending());
    }
    poll_until(|| balancer.service("web").is_some()).await;
}

#[tokio::test]
async fn one_service_changes_and_the_others_are_left_alone() {
    let balancer = balancer();
    balancer.put(spec("web", letters("ab"))).await.unwrap();
    let web = balancer.service("web").unwrap();
    let random = StrategyName::random.into();
    web.set_strategy(random).await.unwrap();
    let view = web.view_full();

    balancer.put(spec("api", letters("c"))).await.unwrap();
    assert_eq!(names(&balancer), ["api", "web"]);
    let api = balancer.service("api").unwrap();
    balancer.put(spec("api", letters("cd"))).await.unwrap();
    assert_eq!(api.view().candidates().len(), 2, "in force when it returns");
    assert_eq!(balancer.remove("api").await, Ok(true));
    assert_eq!(balancer.remove("api").await, Ok(false));
    assert_eq!(names(&balancer), ["web"]);
    assert!(
        Arc::ptr_eq(&view, &web.view()),
        "what was changed since it was applied holds"
    );

    let error = balancer.put(spec("api", letters("cc"))).await.unwrap_err();
    assert!(
        error.to_string().starts_with("service api: id: c appears twice"),
        "{error}"
    );
    assert_eq!(names(&balancer), ["web"]);
    balancer.shutdown().await;
    assert_eq!(balancer.put(spec("api", vec![])).await, Err(ApplyError::ShutDown));
    assert_eq!(balancer.remove("web").await, Err(ApplyError::ShutDown));
}

#[test]
fn the_end_of_its_runtime_has_an_error_of_its_own() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let balancer = balancer();
    first
        .block_on(balancer.apply(vec![spec("web", letters("ab"))]))
        .unwrap();
    let web = balancer.service("web").unwrap();
    drop(first);
    second.block_on(async {
        assert_eq!(balancer.apply(vec![]).await, Err(ApplyError::RuntimeEnded));
        assert_eq!(
            balancer.put(spec("api", vec![])).await,
            Err(ApplyError::RuntimeEnded)
        );
        let error = web.set_strategy(StrategyName::random.into()).await.unwrap_err();
        assert_eq!(error, OperateError::RuntimeEnded("web".into()));
        assert!(error.to_string().contains("tokio runtime"), "{error}");
        // Picks go on.
        assert!(
            web.pick(&PickRequest::default(), &mut PickContext::new(1))
                .is_ok()
        );
        within(balancer.shutdown()).await;
    });
}

/// Workers pick and finish while membership changes under them all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_under_load_loses_no_lease() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("abc"))]).await.unwrap();
    let service = balancer.service("web").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let picks = Arc::new(AtomicU64::new(0));

    let workers: Vec<_> = (0..2)
        .map(|seed| {
            let (service, stop, picks) = (Arc::clone(&service), Arc::clone(&stop), Arc::clone(&picks));
            std::thread::spawn(move || {
                let mut reader = service.reader();
                let mut cx = PickContext::new(seed);
                let mut open = std::collections::VecDeque::new();
                while !stop.load(SeqCst) {
                    // "a" is in every configuration: there is always somebody to pick.
                    open.push_back(reader.pick(&PickRequest::default(), &mut cx).unwrap());
                    picks.fetch_add(1, SeqCst);
                    if open.len() == 64 {
                        let oldest = open.pop_front().unwrap();
                        let outcome = Outcome::from_status(200, Nanos::from_millis(1));
                        service.finish(oldest, &outcome, Nanos::ZERO);
                    }
                }
                // The rest is dropped: cancelled.
            })
        })
        .collect();

    for round in 0..300 {
        let instances = ["a", "abcd", "ca", "abxyz"][round % 4];
        balancer
            .apply(vec![spec("web", letters(instances))])
            .await
            .unwrap();
    }
    poll_until(|| picks.load(SeqCst) > 1000).await;
    stop.store(true, SeqCst);
    for worker in workers {
        worker.join().unwrap();
    }
    balancer
        .apply(vec![spec("web", letters("abcdxyz"))])
        .await
        .unwrap();
    let view = service.view_full();
    assert_eq!(view.members().count(), 7);
    for (_, member, _) in view.members() {
        assert_eq!(member.load().get(), 0, "{}", member.instance().id);
        let stats = member.stats();
        assert_eq!(stats.picks(), stats.successes() + stats.cancelled());
    }
}

#[tokio::test]
async fn a_removed_service_ends_its_leases_harmlessly() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("ab"))]).await.unwrap();
    let service = balancer.service("web").unwrap();
    let mut cx = PickContext::new(1);
    let lease = service.pick(&PickRequest::default(), &mut cx).unwrap();
    let member = Arc::clone(lease.member());
    balancer.apply(vec![]).await.unwrap();
    assert!(balancer.service("web").is_none());

    let late = service.pick(&PickRequest::default(), &mut cx).unwrap();
    for lease in [lease, late] {
        service.finish(lease, &Outcome::failed(Nanos::from_millis(1)), Nanos::ZERO);
    }
    fail_at(&service, "a", 10, Nanos::ZERO);
    assert_eq!(member.load().get(), 0);

    balancer.apply(vec![spec("web", letters("ab"))]).await.unwrap();
    let again = balancer.service("web").unwrap();
    assert!(
        !Arc::ptr_eq(&service, &again),
        "a service of the same name is another one"
    );
}

#[tokio::test]
async fn shutdown_ends_every_task_and_handles_go_on() {
    let hanging = Backend::start(Manner::Hang).await;
    let before = Handle::current().metrics().num_alive_tasks();
    let balancer = balancer();
    let mut checked = spec("web", vec![instance("a", hanging.address)]);
    checked.check = Some(http_check(1000, 60_000));
    balancer
        .apply(vec![checked, spec("api", letters("b"))])
        .await
        .unwrap();
    poll_until(|| hanging.connections() == 1).await;
    let service = balancer.service("web").unwrap();

    within(balancer.shutdown()).await;
    // The backend's connection ends with the check.
    poll_until(|| Handle::current().metrics().num_alive_tasks() <= before).await;
    assert!(
        service
            .pick(&PickRequest::default(), &mut PickContext::new(1))
            .is_ok()
    );
    assert_eq!(balancer.apply(vec![]).await, Err(ApplyError::ShutDown));
    within(balancer.shutdown()).await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_every_task() {
    let before = Handle::current().metrics().num_alive_tasks();
    let balancer = balancer();
    balancer
        .apply(vec![spec("web", letters("ab")), spec("api", letters("c"))])
        .await
        .unwrap();
    assert!(Handle::current().metrics().num_alive_tasks() > before);
    drop(balancer);
    poll_until(|| Handle::current().metrics().num_alive_tasks() == before).await;
}

#[tokio::test]
async fn subscribers_hear_of_changes_and_of_what_they_missed() {
    let balancer = balancer();
    balancer.apply(vec![spec("web", letters("a"))]).await.unwrap();
    let mut events = balancer.subscribe();
    balancer.apply(vec![spec("web", letters("ab"))]).await.unwrap();
    let registered = event(&mut events, EventKind::Registered, "b").await;
    assert_eq!(&*registered.service, "web");

    let mut slow = balancer.subscribe();
    for round in 0..1100 {
        let instances = if round % 2 == 0 { "a" } else { "ac" };
        balancer
            .apply(vec![spec("web", letters(instances))])
            .await
            .unwrap();
    }
    let recent = balancer.recent_events();
    assert_eq!(recent.len(), 1024);
    assert_eq!(recent[1023].kind, EventKind::Registered);
    assert_eq!(recent[1023].instance.as_ref().unwrap().as_str(), "c");
    assert_eq!(recent[1022].kind, EventKind::Deregistered);
    let lagged = slow.try_recv().unwrap_err();
    assert!(matches!(lagged, TryRecvError::Lagged(76..)), "{lagged}");
    let mut heard = Vec::new();
    while let Ok(event) = slow.try_recv() {
        heard.push(event);
    }
    assert_eq!(heard.len(), 1024);
    assert!(
        Arc::ptr_eq(&heard[1023], &recent[1023]),
        "the oldest are lost, not the newest"
    );
}
