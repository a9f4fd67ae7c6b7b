//! What responses of HTTP say of their instances, and what can be asked of a balance beside.

use super::*;

type Web = Mock<Request<()>, Response<Channel<Bytes, std::io::Error>>>;

/// A response, and the way to write its body.
type Answer = (
    Response<TrackedBody<Channel<Bytes, std::io::Error>>>,
    http_body_util::channel::Sender<Bytes, std::io::Error>,
);

/// One instance behind HTTP, its requests in flight and how they ended.
struct Site {
    balance: Balance<Changes<Web>, Request<()>, Http>,
    handle: Handle<Request<()>, Response<Channel<Bytes, std::io::Error>>>,
    _found: mpsc::UnboundedSender<Found<Web>>,
}

impl Site {
    async fn new() -> Self {
        let (found, changes) = mpsc::unbounded_channel();
        let (service, mut handle) = mock::pair();
        handle.allow(1000);
        found.send(Ok(Change::Insert(address(9001), service))).unwrap();
        let mut balance = Balance::http(Changes(changes), settings(StrategyName::round_robin));
        ready(&mut balance).await;
        let _found = found;
        Self {
            balance,
            handle,
            _found,
        }
    }

    /// A response with `status`, and the way to write its body.
    async fn get(&mut self, status: u16) -> Answer {
        self.answer(Response::builder().status(status)).await
    }

    /// The same, with the rest of a head.
    async fn answer(&mut self, head: http::response::Builder) -> Answer {
        ready(&mut self.balance).await;
        let response = tokio::spawn(self.balance.call(Request::new(())));
        let (_, reply) = self.handle.next_request().await.unwrap();
        let (sender, body) = Channel::new(4);
        reply.send_response(head.body(body).unwrap());
        (response.await.unwrap().unwrap(), sender)
    }

    /// In flight, successes, failures, cancelled.
    fn counts(&self) -> (u32, u64, u64, u64) {
        let view = self.balance.view();
        let (_, member, _) = view.members().next().unwrap();
        let stats = member.stats();
        (
            member.load().get(),
            stats.successes(),
            stats.failures(),
            stats.cancelled(),
        )
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_flight_until_its_body_has_ended() {
    let mut site = Site::new().await;
    let (response, mut sender) = site.get(200).await;
    assert_eq!(site.counts(), (1, 0, 0, 0));
    tokio::time::advance(Duration::from_secs(9)).await;
    let mut body = response.into_body();
    sender.send_data("hello".into()).await.unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(site.counts(), (1, 0, 0, 0));
    drop(sender);
    assert!(body.frame().await.is_none());
    assert_eq!(site.counts(), (0, 1, 0, 0));
    drop(body);
    assert_eq!(site.counts(), (0, 1, 0, 0));
    let view = site.balance.view();
    let (_, member, _) = view.members().next().unwrap();
    let (time, _) = member.stats().response_time().unwrap();
    assert!(
        time < Nanos::from_secs(1),
        "the body is not the response time: {time}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_response_says_about_its_instance() {
    let mut site = Site::new().await;
    let (response, sender) = site.get(503).await;
    drop(sender);
    response.into_body().collect().await.unwrap();
    assert_eq!(site.counts(), (0, 0, 1, 0), "5xx is a failure");

    let (response, sender) = site.get(200).await;
    sender.abort(std::io::ErrorKind::ConnectionReset.into());
    response.into_body().collect().await.unwrap_err();
    assert_eq!(site.counts(), (0, 0, 2, 0), "a broken body is one");

    let (response, _sender) = site.get(404).await;
    drop(response);
    assert_eq!(
        site.counts(),
        (0, 1, 2, 0),
        "who drops the body has seen the status"
    );

    ready(&mut site.balance).await;
    drop(site.balance.call(Request::new(())));
    assert_eq!(
        site.counts(),
        (0, 1, 2, 1),
        "who drops the future has seen nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn reported_load_is_taken_in_from_heads_and_trailers() {
    let mut site = Site::new().await;
    let reported = |site: &Site| {
        let explained = site.balance.control().explain();
        let report = explained.instances[0].reported.map(|(report, _)| report);
        report.map(|report| (report.cpu(), report.memory()))
    };
    assert_eq!(reported(&site), None);
    let text = "TEXT cpu_utilization=0.25,mem_utilization=0.5";
    let head = || Response::builder().header("endpoint-load-metrics", text);
    let (response, _sender) = site.answer(head()).await;
    assert_eq!(reported(&site), Some((Some(0.25), Some(0.5))));
    assert!(
        response.headers().contains_key("endpoint-load-metrics"),
        "it is the caller's own"
    );

    let (response, mut sender) = site.answer(Response::builder()).await;
    let name = http::HeaderName::from_static("endpoint-load-metrics");
    let trailers = [(name, r#"JSON {"cpu_utilization": 0.75}"#.parse().unwrap())];
    sender
        .send_trailers(trailers.into_iter().collect())
        .await
        .unwrap();
    drop(sender);
    response.into_body().collect().await.unwrap();
    assert_eq!(reported(&site), Some((Some(0.75), None)));

    // What says nothing, is wrong or stands there twice changes nothing.
    for bad in [
        Response::builder().header("endpoint-load-metrics", "TEXT other=1"),
        Response::builder().header("endpoint-load-metrics", "TEXT cpu_utilization=nan"),
        Response::builder().header("endpoint-load-metrics-bin", "%"),
        head().header("endpoint-load-metrics", text),
        head().header("endpoint-load-metrics-bin", "CQAAAAAAANA/"),
    ] {
        drop(site.answer(bad).await);
        assert_eq!(reported(&site), Some((Some(0.75), None)));
    }
    assert_eq!(site.balance.control().counts().bad_load_reports, 4);
}

#[tokio::test(start_paused = true)]
async fn a_control_does_what_the_operations_of_the_library_do() {
    let (mut balance, mut handles, _found) = texts(StrategyName::round_robin);
    handles.iter_mut().for_each(|handle| handle.allow(1000));
    let control = balance.control();
    let id = |port: u16| address(port).to_string();
    assert!(
        control
            .drain(&id(9001), "")
            .unwrap_err()
            .to_string()
            .contains("no instance")
    );
    ready(&mut balance).await;
    let mut events = control.subscribe();

    assert_eq!(control.drain(&id(9001), "moves").unwrap(), Effect::Changed);
    assert_eq!(control.drain(&id(9001), "again").unwrap(), Effect::Unchanged);
    ready(&mut balance).await;
    assert_eq!(balance.view().candidates().len(), 2, "from the next poll on");
    let drained = events.try_recv().unwrap();
    assert_eq!((drained.kind, &*drained.reason), (EventKind::Drained, "moves"));
    assert_eq!(control.undrain(&id(9001)).unwrap(), Effect::Changed);
    assert_eq!(
        control.set_strategy(StrategyName::random).unwrap(),
        Effect::Changed
    );
    ready(&mut balance).await;
    assert_eq!(
        (balance.view().candidates().len(), balance.view().strategy()),
        (3, StrategyName::random)
    );

    let report = LoadReport::default().with_cpu(0.5).unwrap();
    assert_eq!(control.report_load(&id(9002), report).unwrap(), Effect::Changed);
    let explained = control.explain_for(&Selection::new().region("eu"));
    assert_eq!(explained.instances[1].reported, Some((report, 1.0)));

    // A bad word counts, as with a registered instance.
    let early = control.now();
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(
        control.update_instance_health(&id(9003), 0.1).unwrap(),
        Effect::Changed
    );
    let stale = control.update_instance_health_at(&id(9003), 1.0, early);
    assert_eq!(stale.unwrap(), Effect::Stale);
    tokio::time::advance(Duration::from_secs(2)).await;
    ready(&mut balance).await;
    assert_eq!(
        control.explain().instances[2].excluded,
        Some(Exclusion::BelowThreshold)
    );
    for bad in [f64::NAN, -0.1, 1.1] {
        let error = control.update_instance_health(&id(9003), bad).unwrap_err();
        assert!(error.to_string().starts_with("service web: score: "), "{error}");
    }
    let error = control.undrain("a b").unwrap_err();
    assert!(error.to_string().starts_with("service web: id: "), "{error}");
    assert_eq!(control.counts().of(EventKind::Drained), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_by_a_control_wakes_who_waits() {
    let (mut balance, mut handles, _found) = texts(StrategyName::round_robin);
    handles[0].allow(1000);
    ready(&mut balance).await;
    let control = balance.control();
    control.drain(&address(9001).to_string(), "").unwrap();
    let waiting = tokio::spawn(async move { ready(&mut balance).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "the only one that is ready drains");
    let before = tokio::time::Instant::now();
    control.undrain(&address(9001).to_string()).unwrap();
    waiting.await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "no timer was needed");
}

#[tokio::test(start_paused = true)]
async fn what_the_adapter_counts() {
    let found = tokio_stream::iter([Ok::<_, Infallible>(Change::Insert(address(9001), Port(9001)))]);
    let settings = ServiceSettings {
        strategy: StrategySettings::consistent_hash(ConsistentHash::default()),
        ..ServiceSettings::new("web")
    };
    let mut balance = Balance::http(found, settings);
    let control = balance.control();
    balance.call(Request::new(())).await.unwrap_err();
    ready(&mut balance).await;
    balance.call(Request::new(())).await.unwrap();
    ready(&mut balance).await;
    let own = Request::builder()
        .extension(RoutingKey("alice".into()))
        .body(())
        .unwrap();
    balance.call(own).await.unwrap();
    let counts = control.counts();
    assert_eq!((counts.no_picks, counts.absent_keys), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_cannot_be_is_named() {
    let ejection = EjectionSettings {
        threshold: f32::NAN,
        ..EjectionSettings::default()
    };
    let settings = ServiceSettings {
        ejection,
        ..ServiceSettings::new("web")
    };
    let found = tokio_stream::iter([Ok::<_, Infallible>(Change::Insert(address(9001), Port(9001)))]);
    let mut balance = Balance::http(found, settings);
    for _ in 0..2 {
        let Poll::Ready(Err(error)) = poll(&mut balance) else {
            panic!("it cannot work");
        };
        assert!(
            error
                .to_string()
                .starts_with("service web: ejection.threshold: NaN "),
            "{error}"
        );
    }
}

/// A key that may be none.
#[derive(PartialEq, Eq)]
struct Odd(&'static str);

impl Endpoint for Odd {
    fn instance(&self) -> Result<Instance, InstanceError> {
        Instance::new(self.0, address(9001))
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_key_and_a_failed_discovery_take_nobody_with_them() {
    let changes: [Result<_, &str>; 5] = [
        Ok(Change::Insert(Odd("a"), Port(9001))),
        Ok(Change::Insert(Odd("no id"), Port(9002))),
        Ok(Change::Remove(Odd(""))),
        Err("the connection to the registry broke"),
        Ok(Change::Insert(Odd("b"), Port(9003))),
    ];
    let mut balance = Balance::http(tokio_stream::iter(changes), settings(StrategyName::round_robin));
    let Poll::Ready(Err(error)) = poll(&mut balance) else {
        panic!("discovery failed");
    };
    assert!(matches!(own(&error), Error::Discover { .. }), "{error}");
    let control = balance.control();
    let ids = || {
        let view = control.view();
        let ids = view
            .members()
            .map(|(_, member, _)| member.instance().id.to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(), ["a"], "what came before is there");
    ready(&mut balance).await;
    assert_eq!(ids(), ["a", "b"]);
}

/// Always ready; answers with its port.
#[derive(Clone, Copy)]
struct Port(u16);

impl Service<Request<()>> for Port {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let body = Full::from(self.0.to_string());
        std::future::ready(Ok(Response::new(body)))
    }
}

fn grpc() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc+proto")
}

fn said(status: &str) -> http::HeaderMap {
    let name = http::HeaderName::from_static("grpc-status");
    http::HeaderMap::from_iter([(name, status.parse().unwrap())])
}

/// In flight, successes, failures and cancelled, by what the trailers say.
#[tokio::test(start_paused = true)]
async fn the_status_of_grpc_in_trailers_is_what_counts() {
    for (trailers, expected) in [
        (Some(said("0")), (0, 1, 0, 0)),
        (Some(said("14")), (0, 0, 1, 0)),
        (Some(said("5")), (0, 1, 0, 0)),
        (Some(said("1")), (0, 0, 0, 1)),
        (Some(http::HeaderMap::new()), (0, 0, 1, 0)),
        (None, (0, 0, 1, 0)),
    ] {
        let mut site = Site::new().await;
        let (response, mut sender) = site.answer(grpc()).await;
        let mut body = response.into_body();
        sender.send_data("message".into()).await.unwrap();
        body.frame().await.unwrap().unwrap();
        assert_eq!(site.counts(), (1, 0, 0, 0));
        if let Some(trailers) = trailers.clone() {
            sender.send_trailers(trailers).await.unwrap();
        } else {
            drop(sender);
        }
        // Most clients stop at the trailers, which are the last there is.
        assert_eq!(body.frame().await.is_some(), trailers.is_some());
        assert_eq!(site.counts(), expected, "{trailers:?}");
        drop(body);
        assert_eq!(site.counts(), expected, "{trailers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_of_grpc_may_stand_in_the_head_or_not_be_seen() {
    let mut site = Site::new().await;
    let (response, _sender) = site.answer(grpc().header("grpc-status", "13")).await;
    drop(response);
    assert_eq!(site.counts(), (0, 0, 1, 0));
    // Who goes before the status came knows nothing.
    let (response, _sender) = site.answer(grpc()).await;
    drop(response);
    assert_eq!(site.counts(), (0, 0, 1, 1));
    // A gateway before the server speaks HTTP.
    let (response, _sender) = site.answer(grpc().status(503)).await;
    drop(response);
    assert_eq!(site.counts(), (0, 0, 2, 1));
    // Other responses with trailers count by their status.
    let (response, mut sender) = site.get(200).await;
    sender.send_trailers(http::HeaderMap::new()).await.unwrap();
    drop(sender);
    response.into_body().collect().await.unwrap();
    assert_eq!(site.counts(), (0, 1, 2, 1));
    // Too busy is no failure.
    let (response, mut sender) = site.answer(grpc()).await;
    sender.send_trailers(said("8")).await.unwrap();
    drop(sender);
    response.into_body().collect().await.unwrap();
    assert_eq!(site.counts(), (0, 1, 2, 1));
    let (_, member, _) = site.balance.view().members().next().unwrap();
    assert_eq!(member.stats().throttled(), 1);
}

#[tokio::test]
async fn the_request_decides_with_strategies_that_hash() {
    let found = (9001..=9005).map(|port| Ok::<_, Infallible>(Change::Insert(address(port), Port(port))));
    let settings = ServiceSettings {
        strategy: StrategySettings::consistent_hash(ConsistentHash::default()),
        ..ServiceSettings::new("web")
    };
    let mut balance = Balance::http(tokio_stream::iter(found), settings);
    let mut ask = async |user: &str| {
        ready(&mut balance).await;
        let key = RoutingKey(user.to_owned().into());
        let request = Request::builder().extension(key).body(()).unwrap();
        let response = balance.call(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let mut owners = BTreeMap::new();
    for round in 0..3 {
        for user in 0..50 {
            let port = ask(&format!("user-{user}")).await;
            let owner = owners.entry(user).or_insert_with(|| port.clone());
            assert_eq!(*owner, port, "round {round}");
        }
    }
    let used: std::collections::BTreeSet<_> = owners.values().collect();
    assert_eq!(used.len(), 5);
}
