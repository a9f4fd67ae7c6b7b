//! The seeds' operations.

use std::collections::BTreeSet;
use std::time::Duration;

use evenkeel::strategies::{ConsistentHash, RingKind};
use evenkeel::{
    Effect, EjectionSettings, Error, EventKind, GetError, LoadBalancer, LoadReport, Nanos, NoPick,
    OperateError, OperationError, Outcome, Selection, ServiceSettings, StrategyName, StrategySettings,
    Weight,
};

use crate::support::{PATIENCE, fleet, instance, picks};

#[tokio::test]
async fn the_first_instance_makes_the_service() {
    let balancer = LoadBalancer::with_defaults(ServiceSettings {
        strategy: StrategyName::round_robin.into(),
        ..ServiceSettings::new("")
    });
    let unknown = balancer.get_instance("web").unwrap_err();
    assert_eq!(unknown, GetError::UnknownService("web".into()));
    assert!(unknown.to_string().contains("register an instance"), "{unknown}");

    let registered = balancer.register_instance("web", instance("a", 9001)).await;
    assert_eq!(registered.unwrap(), Effect::Registered);
    balancer
        .register_instance("web", instance("b", 9002))
        .await
        .unwrap();
    let services: Vec<String> = balancer.services().iter().map(ToString::to_string).collect();
    assert_eq!(services, ["web"]);
    assert_eq!(
        balancer.explain("web").unwrap().strategy,
        StrategyName::round_robin
    );
    assert_eq!(picks(&balancer, 4).iter().filter(|id| *id == "a").count(), 2);
}

#[tokio::test]
async fn who_is_deregistered_is_picked_no_more_and_its_lease_ends_well() {
    let balancer = fleet(2).await;
    let lease = loop {
        let lease = balancer.get_instance("web").unwrap();
        if lease.instance().id.as_str() == "a" {
            break lease;
        }
    };
    let effect = balancer.deregister_instance("web", "a").await.unwrap();
    assert_eq!(effect, Effect::Changed);
    assert!(picks(&balancer, 20).iter().all(|id| id == "b"));
    lease.succeeded();

    balancer.deregister_instance("web", "b").await.unwrap();
    let empty = balancer.get_instance("web").unwrap_err();
    let reason = NoPick::Empty;
    assert_eq!(
        empty,
        GetError::NoPick {
            service: "web".into(),
            reason
        }
    );

    balancer.remove_service("web").await.unwrap();
    assert!(matches!(
        balancer.get_instance("web"),
        Err(GetError::UnknownService(_))
    ));
    assert!(matches!(
        balancer.remove_service("web").await,
        Err(Error::UnknownService(_))
    ));
}

#[tokio::test]
async fn leases_end_once_whatever_happens() {
    let balancer = fleet(1).await;
    let seen = |balancer: &LoadBalancer| {
        let explained = balancer.explain("web").unwrap();
        let one = explained.instance("a").unwrap();
        (one.in_flight, (one.counts.successes, one.counts.failures))
    };
    let [first, second, third, fourth, fifth] = [(); 5].map(|()| balancer.get_instance("web").unwrap());
    assert_eq!(seen(&balancer), (5, (0, 0)));
    first.succeeded();
    second.failed();
    third.answered_with(503);
    fourth.answered_with(404);
    let task = tokio::spawn(async move {
        let _held = fifth;
        std::future::pending::<()>().await;
    });
    tokio::task::yield_now().await;
    assert_eq!(seen(&balancer), (1, (2, 2)));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(seen(&balancer), (0, (2, 2)), "what is dropped says nothing");

    let lease = balancer.get_instance("web").unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = lease;
        std::panic::resume_unwind(Box::new("a bug"));
    }));
    assert!(panicked.is_err());
    assert_eq!(seen(&balancer), (0, (2, 3)), "who makes its callers panic fails");
    balancer.get_instance("web").unwrap().cancelled();
    assert_eq!(seen(&balancer), (0, (2, 3)));
}

#[tokio::test(start_paused = true)]
async fn response_times_end_with_the_head() {
    let balancer = fleet(1).await;
    let response_time = |balancer: &LoadBalancer| {
        let explained = balancer.explain("web").unwrap();
        explained.instance("a").unwrap().response_time
    };
    let mut lease = balancer.get_instance("web").unwrap();
    tokio::time::advance(Duration::from_millis(20)).await;
    assert_eq!(lease.elapsed(), Duration::from_millis(20));
    lease.head_arrived();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(response_time(&balancer), None);
    lease.succeeded();
    assert_eq!(response_time(&balancer), Some(Duration::from_millis(20)));

    let balancer = fleet(1).await;
    let own = Outcome::from_status(200, Duration::from_millis(7).into());
    balancer.get_instance("web").unwrap().finish(&own);
    assert_eq!(response_time(&balancer), Some(Duration::from_millis(7)));
}

#[tokio::test]
async fn failures_eject_and_the_event_says_why() {
    let balancer = fleet(3).await;
    let mut events = balancer.subscribe();
    let ejected = tokio::time::timeout(PATIENCE, async {
        loop {
            let lease = balancer.get_instance("web").unwrap();
            match lease.instance().id.as_str() {
                "a" => lease.failed(),
                _ => lease.succeeded(),
            }
            tokio::task::yield_now().await;
            while let Ok(event) = events.try_recv() {
                if event.kind == EventKind::Ejected {
                    return event;
                }
            }
        }
    });
    let ejected = ejected.await.unwrap();
    assert_eq!(
        ejected.instance.as_ref().map(evenkeel::InstanceId::as_str),
        Some("a")
    );
    assert!(picks(&balancer, 20).iter().all(|id| id != "a"));
    assert!(balancer.recent_events().contains(&ejected));
}

#[tokio::test]
async fn draining_and_back() {
    let balancer = fleet(2).await;
    assert_eq!(
        balancer.drain("web", "a", "a new release").await.unwrap(),
        Effect::Changed
    );
    assert_eq!(
        balancer.drain("web", "a", "again").await.unwrap(),
        Effect::Unchanged
    );
    assert!(picks(&balancer, 20).iter().all(|id| id == "b"));
    balancer.undrain("web", "a").await.unwrap();
    let all: BTreeSet<String> = picks(&balancer, 50).into_iter().collect();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn keys_decide_for_strategies_that_hash() {
    let balancer = fleet(5).await;
    let strategy = StrategySettings::consistent_hash(ConsistentHash::default());
    assert_eq!(
        balancer.set_strategy("web", strategy).await.unwrap(),
        Effect::Changed
    );
    let of = |user: &str| {
        let lease = balancer
            .select_instance("web", &Selection::new().key(user))
            .unwrap();
        (lease.slot(), lease.instance().id.to_string())
    };
    let users: Vec<String> = (0..100).map(|i| format!("user-{i}")).collect();
    let first: Vec<_> = users.iter().map(|user| of(user)).collect();
    let second: Vec<_> = users.iter().map(|user| of(user)).collect();
    assert_eq!(first, second);
    let used: BTreeSet<_> = first.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(used.len(), 5);

    let (tried, _) = of("alice");
    let again = Selection::new().key("alice").region("eu-west");
    let again = again.avoiding(std::slice::from_ref(&tried));
    assert_ne!(balancer.select_instance("web", &again).unwrap().slot(), tried);
    // Without a key, and with an empty one, requests are spread.
    let spread: BTreeSet<_> = (0..200)
        .map(|_| {
            balancer
                .select_instance("web", &Selection::new().key(""))
                .unwrap()
                .slot()
        })
        .collect();
    assert_eq!(spread.len(), 5);
}

#[tokio::test]
async fn what_a_service_counts_can_be_read() {
    let balancer = fleet(1).await;
    let counts = || balancer.counts("web").unwrap();
    assert_eq!((counts().no_picks, counts().absent_keys), (0, 0));
    let strategy = StrategySettings::consistent_hash(ConsistentHash::default());
    balancer.set_strategy("web", strategy).await.unwrap();
    balancer.get_instance("web").unwrap().succeeded();
    let empty = Selection::new().key("");
    balancer.select_instance("web", &empty).unwrap().succeeded();
    let alice = Selection::new().key("alice");
    balancer.select_instance("web", &alice).unwrap().succeeded();
    assert_eq!(
        (counts().absent_keys, counts().of(EventKind::StrategyChanged)),
        (2, 1)
    );
    balancer.drain("web", "a", "").await.unwrap();
    balancer.get_instance("web").unwrap_err();
    assert_eq!((counts().no_picks, counts().of(EventKind::Drained)), (1, 1));
    let unknown = balancer.counts("wbe").unwrap_err();
    assert_eq!(unknown, Error::UnknownService("wbe".into()));
}

#[tokio::test]
async fn a_response_may_report_load() {
    let balancer = fleet(1).await;
    let reported = || balancer.explain("web").unwrap().instance("a").unwrap().reported;
    let lease = balancer.get_instance("web").unwrap();
    let report = LoadReport::from_orca(b"TEXT cpu_utilization=0.5").unwrap();
    lease.reported(report);
    lease.reported(LoadReport::default());
    lease.succeeded();
    assert_eq!(reported(), Some((report, 1.0)));
}

#[tokio::test]
async fn settings_outlast_registrations_and_strategies_outlast_settings_of_others() {
    let balancer = fleet(2).await;
    balancer
        .set_strategy("web", StrategyName::round_robin)
        .await
        .unwrap();
    balancer
        .set_weight("web", "a", Weight::new(7).unwrap())
        .await
        .unwrap();
    balancer.configure(ServiceSettings::new("api")).await.unwrap();
    let web = balancer.explain("web").unwrap();
    assert_eq!(web.strategy, StrategyName::round_robin);
    assert_eq!(web.instances.len(), 2);
    assert_eq!(web.instance("a").unwrap().instance.weight.get(), 7);
    assert!(matches!(
        balancer.get_instance("api"),
        Err(GetError::NoPick {
            reason: NoPick::Empty,
            ..
        })
    ));
    balancer
        .configure(ServiceSettings {
            strategy: StrategyName::random.into(),
            ..ServiceSettings::new("web")
        })
        .await
        .unwrap();
    let web = balancer.explain("web").unwrap();
    assert_eq!((web.strategy, web.instances.len()), (StrategyName::random, 2));
}

#[tokio::test]
async fn bad_input_is_named() {
    let balancer = fleet(1).await;
    for name in ["", "a b", "a/b", "a\n"] {
        let wrong = Error::ServiceName(name.into());
        assert_eq!(
            balancer.register_instance(name, instance("a", 9001)).await,
            Err(wrong.clone())
        );
        assert_eq!(balancer.configure(ServiceSettings::new(name)).await, Err(wrong));
    }
    assert_eq!(balancer.services().len(), 1);
    for score in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
        let error = balancer
            .update_instance_health("web", "a", score)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("web: score: "), "{error}");
    }
    let error = balancer
        .register_instance("web", instance("a", 9999))
        .await
        .unwrap_err();
    let Error::Refused(OperateError::Refused {
        source: OperationError::IdTaken { .. },
        ..
    }) = &error
    else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains("127.0.0.1:9001"), "{error}");
    for (service, id, part) in [
        ("wbe", "a", "no service \"wbe\""),
        ("web", "b", "no instance b"),
        ("web", "", "id: must not be empty"),
        ("web", "a b", "id: ' ' is not allowed"),
    ] {
        let report = LoadReport::default().with_cpu(0.5).unwrap();
        for error in [
            balancer.deregister_instance(service, id).await.unwrap_err(),
            balancer
                .update_instance_health(service, id, 0.5)
                .await
                .unwrap_err(),
            balancer.report_load(service, id, report).await.unwrap_err(),
            balancer.drain(service, id, "").await.unwrap_err(),
            balancer.undrain(service, id).await.unwrap_err(),
            balancer.set_weight(service, id, Weight::ONE).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(part), "{service}/{id}: {error}");
        }
    }
}

#[tokio::test]
async fn an_older_word_never_overwrites_a_newer_one() {
    let balancer = fleet(1).await;
    let at = balancer.now();
    balancer.update_instance_health("web", "a", 0.5).await.unwrap();
    let stale = balancer.update_instance_health_at("web", "a", 1.0, at).await;
    assert_eq!(stale.unwrap(), Effect::Stale);
    let future = balancer.now() + evenkeel::Nanos::from_secs(3600);
    let ahead = balancer.update_instance_health_at("web", "a", 0.7, future).await;
    assert_eq!(ahead.unwrap(), Effect::Changed, "the future counts as now");
    let now = balancer.update_instance_health("web", "a", 0.9).await;
    assert_eq!(now.unwrap(), Effect::Changed, "and blocks nothing that comes");
}

#[test]
fn outside_a_runtime_the_error_says_so() {
    // Polled by hand: no runtime anywhere.
    let balancer = LoadBalancer::new();
    let registered = std::pin::pin!(balancer.register_instance("web", instance("a", 9001)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = registered.poll(&mut cx) else {
        panic!("it must not wait");
    };
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
}

#[test]
fn picks_need_no_runtime_and_any_runtime_will_do() {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let balancer = threads.block_on(fleet(3));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| balancer.get_instance("web").unwrap().succeeded()));
        }
    });
    // Another runtime than that of the writers.
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(balancer.drain("web", "a", "")).unwrap();
    let explained = balancer.explain("web").unwrap();
    let (ended, failed) = explained.instances.iter().fold((0, 0), |(ended, failed), one| {
        (ended + one.counts.successes, failed + one.counts.failures)
    });
    assert_eq!((ended, failed), (2000, 0));
    assert!(explained.instances.iter().all(|one| one.in_flight == 0));

    threads.block_on(balancer.shutdown());
    balancer.get_instance("web").unwrap().succeeded();
    let error = other.block_on(balancer.undrain("web", "a")).unwrap_err();
    assert!(error.to_string().contains("takes no changes"), "{error}");
}

#[test]
fn when_its_runtime_has_ended_the_error_says_so() {
    let runtime = |timers: bool| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if timers {
            builder.enable_time();
        }
        builder.build().unwrap()
    };
    let first = runtime(true);
    let balancer = first.block_on(fleet(2));
    drop(first);
    balancer.get_instance("web").unwrap().succeeded();
    let second = runtime(false);
    second.block_on(async {
        let errors = [
            balancer.drain("web", "a", "").await.unwrap_err(),
            balancer
                .register_instance("web", instance("c", 9003))
                .await
                .unwrap_err(),
            balancer
                .register_instance("api", instance("c", 9003))
                .await
                .unwrap_err(),
            balancer
                .set_strategy("web", StrategyName::random)
                .await
                .unwrap_err(),
            balancer.configure(ServiceSettings::new("web")).await.unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(
                text.contains("tokio runtime") && text.contains("has ended"),
                "{text}"
            );
        }
    });
}

#[tokio::test]
async fn settings_and_instances_that_cannot_be_are_named_and_change_nothing() {
    let balancer = fleet(1).await;
    let with = |ejection| ServiceSettings {
        ejection,
        ..ServiceSettings::new("web")
    };
    let default = EjectionSettings::default;
    for (ejection, field) in [
        (
            EjectionSettings {
                error_rate: f32::NAN,
                ..default()
            },
            "error_rate",
        ),
        (
            EjectionSettings {
                slow_factor: f32::INFINITY,
                ..default()
            },
            "slow_factor",
        ),
        (
            EjectionSettings {
                threshold: 5.0,
                ..default()
            },
            "threshold",
        ),
        (
            EjectionSettings {
                recovery_threshold: -1.0,
                ..default()
            },
            "recovery_threshold",
        ),
        (
            EjectionSettings {
                refresh: Nanos::ZERO,
                ..default()
            },
            "refresh",
        ),
    ] {
        let error = balancer.configure(with(ejection)).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("service web: ejection.{field}: ")),
            "{error}"
        );
        let defaults = LoadBalancer::with_defaults(with(ejection));
        let error = defaults
            .register_instance("web", instance("a", 9001))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
        assert!(defaults.services().is_empty());
    }
    let ring = ConsistentHash {
        ring: RingKind::Keyed { virtual_nodes: 0 },
        ..ConsistentHash::default()
    };
    let error = balancer
        .set_strategy("web", StrategySettings::consistent_hash(ring))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("service web: strategy: ring.virtual_nodes: "),
        "{error}"
    );
    assert_eq!(balancer.explain("web").unwrap().strategy, StrategyName::default());

    let mut nowhere = instance("b", 9002);
    nowhere.address.set_port(0);
    let mut everywhere = instance("b", 9002);
    everywhere.address.set_ip([0, 0, 0, 0].into());
    let mut spoofed = instance("b", 9002);
    spoofed.zone = Some("a\u{202e}b".into());
    for (bad, field) in [(nowhere, "port"), (everywhere, "address"), (spoofed, "zone")] {
        let error = balancer.register_instance("web", bad).await.unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("service web: {field}: ")),
            "{error}"
        );
    }
    assert_eq!(balancer.explain("web").unwrap().instances.len(), 1);
}

#[tokio::test]
async fn what_the_strategy_could_not_choose_among_is_refused() {
    let balancer = fleet(1).await;
    let weight = Weight::new(60_000).unwrap();
    let ketama = StrategySettings::consistent_hash(ConsistentHash {
        ring: RingKind::Ketama,
        ..ConsistentHash::default()
    });
    let refused = |outcome: Result<(), evenkeel::Error>| {
        let text = outcome.unwrap_err().to_string();
        let part = "service web: strategy: consistent_hash does not suit";
        assert!(text.contains(part) && text.contains("add up to 60001"), "{text}");
    };
    balancer
        .register_instance("web", instance("b", 9002).with_weight(weight))
        .await
        .unwrap();
    refused(balancer.set_strategy("web", ketama.clone()).await.map(drop));
    let settings = ServiceSettings {
        strategy: ketama.clone(),
        ..ServiceSettings::new("web")
    };
    refused(balancer.configure(settings).await);
    assert_eq!(balancer.explain("web").unwrap().strategy, StrategyName::default());

    balancer.set_weight("web", "b", Weight::ONE).await.unwrap();
    balancer.set_strategy("web", ketama).await.unwrap();
    refused(balancer.set_weight("web", "b", weight).await.map(drop));
    let heavier = instance("b", 9002).with_weight(weight);
    refused(balancer.register_instance("web", heavier).await.map(drop));
}
