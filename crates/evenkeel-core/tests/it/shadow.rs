//! A strategy that is asked beside the one that picks.

use evenkeel_core::strategy::{ConsistentHash, Maglev, Rendezvous, TableSize};
use evenkeel_core::{
    Effect, EjectionSettings, HashSettings, Instance, KeySource, Lease, Mode, Nanos, Operation,
    OperationError, Outcome, PickContext, PickRequest, Rng, ServiceSettings, ServiceState, ShadowCounts,
    Slot, StrategyName, StrategySettings,
};

fn instances(n: u16) -> Vec<Instance> {
    let instance = |i: u16| Instance::new(&format!("i{i}"), ([127, 0, 0, 1], 9000 + i).into());
    (0..n).map(|i| instance(i).unwrap()).collect()
}

/// A service under traffic, every ten of whose requests end in another order than they began.
struct Site {
    state: ServiceState,
    cx: PickContext,
    rng: Rng,
    open: Vec<Lease>,
    picked: Vec<Slot>,
}

impl Site {
    fn new(strategy: impl Into<StrategySettings>, shadow: Option<StrategySettings>, n: u16) -> Self {
        let settings = ServiceSettings {
            strategy: strategy.into(),
            shadow,
            // Nobody leaves for being slow: that is left to the strategies.
            ejection: EjectionSettings {
                on_slow: Mode::Off,
                on_score: Mode::Off,
                ..EjectionSettings::default()
            },
            ..ServiceSettings::new("web")
        };
        Self {
            state: ServiceState::new(settings, instances(n), 7, Nanos::from_secs(1)).unwrap(),
            cx: PickContext::new(3),
            rng: Rng::new(5),
            open: Vec::new(),
            picked: Vec::new(),
        }
    }

    /// Instance 0 takes ten times as long.
    fn requests(&mut self, n: u32) {
        for _ in 0..n {
            self.cx.now = self.cx.now.max(Nanos::from_secs(1)) + Nanos(self.rng.below_u64(2_000_000));
            let now = self.cx.now;
            if now >= self.state.next_deadline() {
                self.state.tick(now);
            }
            let request = PickRequest {
                key: Some(self.rng.next_u64().into()),
                ..PickRequest::default()
            };
            let lease = self.state.view().pick(&request, &mut self.cx).unwrap();
            self.picked.push(lease.slot());
            self.open.push(lease);
            while self.open.len() > 10 {
                let ended = self.rng.below(self.open.len() as u32) as usize;
                let lease = self.open.swap_remove(ended);
                let slow = if lease.slot() == Slot(0) { 10 } else { 1 };
                let time = Nanos(slow * (5_000_000 + self.rng.below_u64(2_000_000)));
                let _ = lease.finish(&Outcome::from_status(200, time), now);
            }
        }
    }

    /// Events since the last call.
    fn told(&mut self) -> Vec<String> {
        let events = self.state.take_events();
        events.iter().map(ToString::to_string).collect()
    }

    fn counts(&self) -> ShadowCounts {
        self.state.view().shadow().unwrap().1
    }
}

fn hashing(name: StrategyName, key: KeySource) -> StrategySettings {
    let hash = HashSettings {
        key,
        ..HashSettings::default()
    };
    match name {
        StrategyName::maglev => StrategySettings::maglev(Maglev {
            hash,
            ..Maglev::default()
        }),
        _ => StrategySettings::rendezvous(Rendezvous { hash }),
    }
}

#[test]
fn no_pick_depends_on_whether_there_is_a_shadow() {
    for name in StrategyName::ALL {
        let mut alone = Site::new(*name, None, 12);
        alone.requests(2000);
        for shadow in [
            StrategyName::adaptive,
            StrategyName::round_robin,
            StrategyName::power_of_two,
            StrategyName::maglev,
        ] {
            let mut watched = Site::new(*name, Some(shadow.into()), 12);
            watched.requests(2000);
            assert_eq!(watched.picked, alone.picked, "{name} with {shadow}");
            assert!(watched.counts().asked > 0);
            // One that comes and goes under way neither.
            let mut later = Site::new(*name, None, 12);
            for set in [Some(shadow.into()), None] {
                later.requests(500);
                let set = Operation::SetShadow(set);
                let now = later.cx.now;
                assert_eq!(later.state.operate(set, now), Ok(Effect::Changed));
            }
            later.requests(1000);
            assert_eq!(later.picked, alone.picked, "{name} with {shadow} for a while");
        }
    }
}

#[test]
fn one_pick_in_64_is_asked_about() {
    let mut site = Site::new(StrategyName::random, Some(StrategyName::random.into()), 10);
    site.requests(64_000);
    let counts = site.counts();
    // Gaps are uniform with a deviation of 36.4, so a thousand of them vary by 1152 in all, or 18 picks: four of these.
    assert!((928..=1072).contains(&counts.asked), "{counts:?}");
    // Two who draw one of ten alike differ in nine of ten, ± 0.95 %: four of these.
    let differing = counts.differing().unwrap();
    assert!((0.862..=0.938).contains(&differing), "{differing}");
}

#[test]
fn the_expected_times_tell_the_better_choices() {
    let mut fair = Site::new(StrategyName::round_robin, Some(StrategyName::adaptive.into()), 4);
    fair.requests(20_000);
    let [actual, shadow] = fair.counts().expected().unwrap();
    assert!(shadow < 0.5 * actual, "{shadow} instead of {actual}");
    // In turn, one of four takes 60 ms and three take 6: 19.5 in the mean, which the expected times come to.
    assert!((0.0195 * 0.8..0.0195 * 1.2).contains(&actual), "{actual}");
    let mut wise = Site::new(StrategyName::adaptive, Some(StrategyName::round_robin.into()), 4);
    wise.requests(20_000);
    let [actual, shadow] = wise.counts().expected().unwrap();
    assert!(shadow > 1.2 * actual, "{shadow} instead of {actual}");
}

#[test]
fn who_never_answered_has_no_expected_time() {
    let shadow = Some(StrategyName::round_robin.into());
    let site = Site::new(StrategyName::random, shadow, 3);
    let mut cx = PickContext::new(1);
    for _ in 0..6400 {
        drop(site.state.view().pick(&PickRequest::default(), &mut cx).unwrap());
    }
    let counts = site.counts();
    assert!(counts.asked > 50, "{counts:?}");
    assert_eq!((counts.compared, counts.expected()), (0, None));
}

#[test]
fn one_key_serves_a_strategy_and_its_shadow() {
    let path = |name| hashing(name, KeySource::Path);
    // The shadow alone hashes: requests bring the key for it.
    let site = Site::new(StrategyName::random, Some(path(StrategyName::maglev)), 5);
    assert_eq!(site.state.view().request_key().unwrap().source, KeySource::Path);
    // The same rule on the same keys makes the same choices.
    let mut same = Site::new(
        path(StrategyName::rendezvous),
        Some(path(StrategyName::rendezvous)),
        5,
    );
    same.requests(6400);
    assert_eq!(same.counts().differed, 0);
    assert!(same.counts().asked > 50);
    // Another key is refused.
    let other = hashing(StrategyName::rendezvous, KeySource::SourceAddress);
    let now = same.cx.now;
    let refused = same.state.operate(Operation::SetShadow(Some(other.clone())), now);
    let Err(OperationError::UnsuitableShadow { why, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("give both the same `key`"), "{why}");
    // A strategy is not, for the sake of its shadow: that is idle until they go together again.
    same.state.take_events();
    let before = same.counts().asked;
    let effect = same.state.operate(Operation::SetStrategy(other), now);
    assert_eq!((effect, same.told()), (Ok(Effect::Changed), vec![
        "web strategy_changed: rendezvous with other settings".to_owned(),
        "web shadow_idle: rendezvous does not suit: rendezvous hashes the client's address of a request, and rendezvous hashes \
         the path; give both the same `key`".to_owned(),
    ]));
    same.requests(6400);
    assert_eq!(same.counts().asked, before);
    let back = Operation::SetStrategy(path(StrategyName::rendezvous));
    assert_eq!(same.state.operate(back, same.cx.now), Ok(Effect::Changed));
    assert!(same.told()[1].ends_with("shadow_changed: rendezvous suits again"));
    assert_eq!(same.state.view().shadow_idle(), None);
    same.requests(6400);
    assert!(same.counts().asked > before + 50);
}

#[test]
fn a_shadow_that_does_not_suit_is_refused_and_refuses_nobody() {
    let small = StrategySettings::maglev(Maglev {
        table_size: TableSize::new(1021).unwrap(),
        envoy: true,
        ..Maglev::default()
    });
    let mut crowded = Site::new(StrategyName::random, None, 1022);
    let now = Nanos::from_secs(2);
    let refused = crowded
        .state
        .operate(Operation::SetShadow(Some(small.clone())), now);
    let words = refused.unwrap_err().to_string();
    assert!(
        words.starts_with("shadow: maglev does not suit") && words.contains("`table_size`"),
        "{words}"
    );
    // Who registers later is not refused for the sake of a shadow, nor is a configuration: it is idle, and told so once.
    let mut full = Site::new(StrategyName::random, Some(small.clone()), 1021);
    full.requests(10_000);
    let asked = full.counts().asked;
    assert!(asked > 0);
    full.told();
    let one_more = instances(1022).pop().unwrap();
    let (id, now) = (one_more.id.clone(), full.cx.now);
    let effect = full.state.operate(Operation::Register(one_more), now);
    let told = full.told();
    assert_eq!((effect, told.len()), (Ok(Effect::Registered), 2), "{told:?}");
    assert!(
        told[1].starts_with("web shadow_idle: maglev does not suit: 1022 instances share a table"),
        "{told:?}"
    );
    full.requests(10_000);
    let settings = full.state.settings().clone();
    full.state
        .replace(settings, instances(1021), full.cx.now)
        .unwrap();
    assert_eq!(full.state.suits(), Ok(()));
    assert!(full.state.view().shadow_idle().unwrap().contains("`table_size`"));
    assert_eq!((full.counts().asked, full.told()), (asked, vec![]));
    // What came of it before is kept, and goes on.
    let effect = full.state.operate(Operation::Deregister(id), full.cx.now);
    assert_eq!(effect, Ok(Effect::Changed));
    assert!(full.told()[1].ends_with("shadow_changed: maglev suits again"));
    full.requests(10_000);
    assert!(full.counts().asked > asked);
    // Also from the start.
    let mut late = Site::new(StrategyName::random, Some(small), 1022);
    assert!(late.told()[0].starts_with("web shadow_idle: maglev does not suit"));
}

#[test]
fn another_shadow_starts_anew_and_is_an_event() {
    let mut site = Site::new(StrategyName::random, Some(StrategyName::adaptive.into()), 5);
    site.requests(6400);
    assert!(site.counts().asked > 0);
    site.state.take_events();
    let now = site.cx.now;
    let mut set = |operation| {
        let effect = site.state.operate(operation, now).unwrap();
        let told: Vec<String> = site.state.take_events().iter().map(ToString::to_string).collect();
        (effect, told, site.state.view().shadow())
    };
    // A name alone has the settings that are declared: here those in force.
    let by_name = Operation::SetShadowByName;
    assert_eq!(set(by_name(StrategyName::adaptive)).0, Effect::Unchanged);
    let (effect, told, shadow) = set(by_name(StrategyName::consistent_hash));
    assert_eq!(effect, Effect::Changed);
    assert_eq!(told, ["web shadow_changed: adaptive to consistent_hash"]);
    assert_eq!(
        shadow,
        Some((StrategyName::consistent_hash, ShadowCounts::default()))
    );
    let other = StrategySettings::consistent_hash(ConsistentHash {
        hash: HashSettings {
            key: KeySource::Path,
            ..HashSettings::default()
        },
        ..ConsistentHash::default()
    });
    let (_, told, _) = set(Operation::SetShadow(Some(other)));
    assert_eq!(told, ["web shadow_changed: consistent_hash with other settings"]);
    let (_, told, shadow) = set(Operation::SetShadow(None));
    assert_eq!(told, ["web shadow_changed: consistent_hash to none"]);
    assert_eq!(shadow, None);
    assert_eq!(set(Operation::SetShadow(None)).0, Effect::Unchanged);
    // What is declared comes back with the configuration.
    let settings = ServiceSettings {
        shadow: Some(StrategyName::least_connections.into()),
        ..site.state.settings().clone()
    };
    site.state.replace(settings, instances(5), now).unwrap();
    let (strategy, _) = site.state.view().shadow().unwrap();
    assert_eq!(strategy, StrategyName::least_connections);
}

#[test]
fn picks_beside_a_shadow_allocate_nothing() {
    for shadow in StrategyName::ALL {
        if *shadow == StrategyName::auto {
            continue;
        }
        let site = Site::new(StrategyName::adaptive, Some((*shadow).into()), 40);
        let mut cx = PickContext::new(1);
        let used = allocation_counter::measure(|| {
            for step in 0..1000 {
                cx.now = Nanos::from_millis(1000 + step);
                let request = PickRequest {
                    key: Some((step << 40).into()),
                    ..PickRequest::default()
                };
                let lease = site.state.view().pick(&request, &mut cx).unwrap();
                let _ = lease.finish(&Outcome::from_status(200, Nanos::from_millis(3)), cx.now);
            }
        });
        assert!(site.counts().asked > 0);
        assert_eq!(used.count_total, 0, "{shadow}");
    }
}
