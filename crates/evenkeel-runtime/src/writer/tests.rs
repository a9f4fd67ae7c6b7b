//! A writer without its task: messages in, views and events out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use evenkeel_core::strategy::{Maglev, TableSize};
use evenkeel_core::{CheckFailure, EventKind, InstanceState, StrategySettings, View};

use super::*;
use crate::spec::{CheckKind, CheckSettings};

fn spec(ids: &[&str]) -> ServiceSpec {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    ServiceSpec {
        settings: ServiceSettings {
            checks: Some(Default::default()),
            ..ServiceSettings::new("web")
        },
        instances: ids.iter().map(|id| Instance::new(id, address).unwrap()).collect(),
        check: Some(CheckSettings {
            kind: CheckKind::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            jitter: 0.1,
            port: None,
        }),
    }
}

fn writer(ids: &[&str]) -> Writer {
    let spec = spec(ids);
    let shared = Arc::new(Shared {
        clock: Clock::start(),
        events: EventLog::new(),
        lanes: Lanes::new(),
    });
    let state = ServiceState::new(spec.settings.clone(), spec.instances.clone(), 1, Nanos::ZERO).unwrap();
    let (inbox, receiver) = mpsc::channel(INBOX);
    let service = Arc::new(Service::new("web".into(), Arc::clone(state.view()), inbox));
    let (alive, _) = mpsc::channel(1);
    Writer::new(service, shared, state, &spec, 1, receiver, alive)
}

fn failed(writer: &Writer, id: &str, port: u16) -> Message {
    Message::Check(CheckResult {
        id: InstanceId::new(id).unwrap(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        observed: writer.shared.clock.now(),
        outcome: CheckOutcome::Failed(CheckFailure("connection refused".into())),
        connected: None,
    })
}

fn down(view: &View) -> Vec<String> {
    let down = view.members().filter(|(_, _, s)| s.state == InstanceState::Down);
    down.map(|(_, m, _)| m.instance().id.to_string()).collect()
}

#[tokio::test]
async fn a_result_of_another_address_or_a_stranger_is_dropped() {
    let mut writer = writer(&["a", "b"]);
    let messages = vec![failed(&writer, "a", 10), failed(&writer, "x", 9)];
    writer.receive(messages.into_iter());
    assert!(down(&writer.service.view()).is_empty());
    assert_eq!(writer.service.metrics().snapshot().checks_failed, 0);
    let message = failed(&writer, "a", 9);
    writer.receive([message].into_iter());
    assert_eq!(down(&writer.service.view()), ["a"]);
}

#[tokio::test]
async fn a_backlog_of_results_makes_one_view() {
    let mut writer = writer(&["a", "b", "c", "d"]);
    let before = writer.service.view().version();
    let messages: Vec<_> = ["a", "b", "c"].map(|id| failed(&writer, id, 9)).into();
    writer.receive(messages.into_iter());
    assert_eq!(down(&writer.service.view()), ["a", "b", "c"]);
    assert_eq!(writer.service.view().version(), before + 1);
    assert_eq!(writer.shared.events.recent().len(), 3);
}

#[tokio::test]
async fn results_before_and_after_a_replacement_keep_their_order() {
    let mut writer = writer(&["a", "b"]);
    let (done, mut replaced) = oneshot::channel();
    let replace = Message::Replace {
        spec: Box::new(spec(&["b", "c"])),
        done,
    };
    let messages = vec![failed(&writer, "a", 9), replace, failed(&writer, "a", 9)];
    writer.receive(messages.into_iter());
    assert_eq!(replaced.try_recv().unwrap(), Ok(()));
    assert!(down(&writer.service.view()).is_empty());
    let kinds: Vec<_> = writer.shared.events.recent().iter().map(|e| e.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::CheckedDown,
            EventKind::Deregistered,
            EventKind::Registered
        ]
    );
}

#[tokio::test]
async fn after_a_panic_it_starts_anew_with_the_same_instances() {
    let mut writer = writer(&["a", "b"]);
    assert!(!writer.step(|_, _| panic!("on purpose")));
    let before = writer.service.view_full();
    let (settings, instances) = (spec(&[]).settings, spec(&["a", "b"]).instances);
    writer.rebuild(settings, instances).unwrap();
    writer.publish();
    assert!(!Arc::ptr_eq(&before, &writer.service.view()));
    let message = failed(&writer, "a", 9);
    writer.receive([message].into_iter());
    assert_eq!(down(&writer.service.view()), ["a"]);
}

#[tokio::test]
async fn what_was_asked_for_at_runtime_survives_a_panic() {
    let mut writer = writer(&["a", "b"]);
    let id = |id| InstanceId::new(id).unwrap();
    let instance = Instance::new("r", SocketAddr::from(([127, 0, 0, 1], 7))).unwrap();
    let drain = |name| Operation::Drain {
        id: id(name),
        why: "moves".into(),
    };
    for operation in [Operation::Register(instance), drain("r"), drain("b")] {
        writer.receive([operate(operation).0].into_iter());
    }
    assert!(!writer.step(|_, _| panic!("on purpose")));
    let (settings, instances) = (spec(&[]).settings, spec(&["a", "b"]).instances);
    writer.rebuild(settings, instances).unwrap();
    writer.publish();
    let view = writer.service.view();
    let seen = view.members();
    let seen: Vec<_> = seen
        .map(|(_, m, s)| format!("{} {} {}", m.instance().id, s.state.as_str(), s.source.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            "a healthy configuration",
            "b draining configuration",
            "r draining registration"
        ]
    );
}

type Answer = oneshot::Receiver<Result<Effect, OperationError>>;

fn operate(operation: Operation) -> (Message, Answer) {
    let (done, answer) = oneshot::channel();
    let operation = Box::new(operation);
    (Message::Operate { operation, done }, answer)
}

#[tokio::test]
async fn operations_that_wait_together_make_one_view_and_keep_their_order_among_results() {
    let mut writer = writer(&["a", "b"]);
    let before = writer.service.view().version();
    let a = || InstanceId::new("a").unwrap();
    let at = |port| Instance::new("a", SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let (messages, answers): (Vec<_>, Vec<_>) = [
        Operation::Deregister(a()),
        Operation::Deregister(a()),
        Operation::Register(at(10)),
        Operation::Register(at(11)),
    ]
    .map(operate)
    .into_iter()
    .unzip();
    let mut messages: std::collections::VecDeque<_> = messages.into();
    // It speaks of the instance that was here; the one after it at port 10 is another.
    messages.insert(3, failed(&writer, "a", 9));
    writer.receive(messages.into_iter());
    let answers: Vec<_> = answers.into_iter().map(|mut a| a.try_recv().unwrap()).collect();
    assert_eq!(answers[0], Ok(Effect::Changed));
    assert_eq!(answers[1], Err(OperationError::UnknownInstance(a())));
    assert_eq!(answers[2], Ok(Effect::Registered));
    assert!(matches!(&answers[3], Err(OperationError::IdTaken { address, .. }) if address.port() == 10));
    assert_eq!(writer.service.view().version(), before + 1);
    assert!(down(&writer.service.view()).is_empty());
    let targets = writer.plan.borrow().clone();
    assert!(
        format!("{targets:?}").contains("127.0.0.1:10"),
        "the checker knows: {targets:?}"
    );
}

/// Counts log lines and keeps the last.
#[derive(Default)]
struct Lines {
    count: AtomicU32,
    last: Mutex<String>,
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Message<'a>(&'a mut String);
        impl tracing::field::Visit for Message<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    *self.0 = format!("{value:?}");
                }
            }
        }
        self.count.fetch_add(1, SeqCst);
        event.record(&mut Message(&mut self.last.lock().unwrap()));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_that_go_down_at_once_are_told_in_few_lines() {
    let ids: Vec<String> = (0..10_000).map(|i| format!("i{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut writer = writer(&ids);
    let lines = Arc::new(Lines::default());
    let _guard = tracing::subscriber::set_default(Arc::clone(&lines));
    for some in ids.chunks(BATCH) {
        let messages: Vec<_> = some.iter().map(|id| failed(&writer, id, 9)).collect();
        writer.receive(messages.into_iter());
    }
    assert_eq!(down(&writer.service.view()).len(), 10_000);
    let recent = writer.shared.events.recent();
    assert!(recent.iter().any(|event| event.kind == EventKind::FallbackBegan));
    let last = recent[recent.len() - 2].instance.as_ref();
    assert_eq!(last.map(InstanceId::as_str), Some("i9999"), "each is remembered");
    assert!(writer.until_deadline() <= Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    writer.learn(Vec::new(), Vec::new());
    let count = lines.count.load(SeqCst);
    assert!((2..=50).contains(&count), "{count} lines");
    let last = lines.last.lock().unwrap().clone();
    assert!(last.contains("9980 more"), "{last}");
    writer.learn(Vec::new(), Vec::new());
    assert_eq!(lines.count.load(SeqCst), count, "told once");
}

/// Whoever asked was told before that all was well: what was registered in between is kept, and the log says so.
#[tokio::test]
async fn what_is_registered_while_settings_change_is_kept_and_told() {
    let mut writer = writer(&["a", "b"]);
    let lines = Arc::new(Lines::default());
    let _guard = tracing::subscriber::set_default(Arc::clone(&lines));
    let maglev = Maglev {
        envoy: true,
        table_size: TableSize::new(1021).unwrap(),
        ..Maglev::default()
    };
    let mut after = spec(&["a"]);
    after.settings.strategy = StrategySettings::maglev(maglev);
    for n in 0..1021 {
        let instance = Instance::new(&format!("r{n}"), SocketAddr::from(([127, 0, 0, 2], 9))).unwrap();
        writer.receive([operate(Operation::Register(instance)).0].into_iter());
    }
    assert_eq!(writer.replace(after), Ok(()));
    assert_eq!(writer.service.view().members().count(), 1022);
    let last = lines.last.lock().unwrap().clone();
    assert!(last.contains("it does what it can"), "{last}");
}

/// Results that come one by one must not make a view each: building views for a large service would
/// then take all the time there is.
#[tokio::test]
async fn a_busy_writer_rests_and_takes_in_what_came_together() {
    let ids: Vec<String> = (0..5000).map(|i| format!("i{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let writer = writer(&ids);
    let (service, results) = (Arc::clone(&writer.service), writer.results.clone());
    let messages: Vec<_> = ids.iter().map(|id| failed(&writer, id, 9)).collect();
    let mut events = writer.shared.events.subscribe();
    let running = tokio::spawn(writer.run());
    let before = service.view().version();
    for message in messages {
        results.send(message).await.unwrap();
        // The writer may run whenever it wants to.
        tokio::task::yield_now().await;
    }
    let told = async {
        while down(&service.view()).len() < 5000 {
            // There are more events than a subscriber may miss; only that there was one matters.
            let _ = events.recv().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    let views = service.view().version() - before;
    assert!(views < 100, "{views} views");
    running.abort();
}

#[test]
fn a_rest_is_nine_times_the_work_within_limits() {
    for (worked, instances, rests) in [
        (0, 10_000, 0),
        (100, 10_000, 0),
        (112, 10_000, 1008),
        (5000, 10_000, 45_000),
        (1_000_000, 10_000, 100_000),
        (1_000_000, 100_000, 250_000),
        (1_000_000, 6, 0),
    ] {
        let rest = rest(Duration::from_micros(worked), instances);
        assert_eq!(rest, Duration::from_micros(rests), "{worked} {instances}");
    }
}
