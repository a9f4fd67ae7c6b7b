//! A service that chooses its strategy.

use evenkeel_core::strategy::Auto;
use evenkeel_core::{
    EjectionSettings, Event, EventKind, Explanation, Instance, Lease, Mode, Nanos, Operation, Outcome,
    PickContext, PickRequest, Question, Rng, ServiceSettings, ServiceState, Slot, StrategyName,
    StrategySettings,
};

/// Ten instances under 500 requests per second, of which ten are under way.
struct Site {
    state: ServiceState,
    cx: PickContext,
    rng: Rng,
    open: Vec<(Nanos, Lease)>,
    picked: Vec<Slot>,
    events: Vec<Event>,
    /// How many times as long instance 0 takes.
    slow: u64,
}

impl Site {
    fn new(auto: Auto, seed: u64) -> Self {
        let settings = ServiceSettings {
            strategy: StrategySettings::auto(auto),
            // Nobody leaves for being slow: that is left to the strategies.
            ejection: EjectionSettings {
                on_slow: Mode::Off,
                on_score: Mode::Off,
                ..EjectionSettings::default()
            },
            ..ServiceSettings::new("web")
        };
        let instance = |i: u16| Instance::new(&format!("i{i}"), ([127, 0, 0, 1], 9000 + i).into()).unwrap();
        let instances = (0..10).map(instance).collect();
        Self {
            state: ServiceState::new(settings, instances, seed, Nanos::from_secs(1)).unwrap(),
            cx: PickContext::new(seed),
            rng: Rng::new(seed),
            open: Vec::new(),
            picked: Vec::new(),
            events: Vec::new(),
            slow: 1,
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.cx.now.max(Nanos::from_secs(1)) + Nanos::from_secs(seconds);
        self.cx.now = self.cx.now.max(Nanos::from_secs(1));
        while self.cx.now < end {
            self.cx.now = self.cx.now + Nanos(self.rng.below_u64(4_000_000));
            let now = self.cx.now;
            let (over, open) = self.open.drain(..).partition(|(until, _)| *until <= now);
            self.open = open;
            let mut over: Vec<(Nanos, Lease)> = over;
            over.sort_by_key(|(until, _)| *until);
            for (until, lease) in over {
                let took = until.since(lease.started());
                let _ = lease.finish(&Outcome::from_status(200, took), now);
            }
            if now >= self.state.next_deadline() {
                self.state.tick(now);
                self.events.extend(self.state.take_events());
            }
            let lease = self
                .state
                .view()
                .pick(&PickRequest::default(), &mut self.cx)
                .unwrap();
            self.picked.push(lease.slot());
            let times = if lease.slot() == Slot(0) { self.slow } else { 1 };
            let time = Nanos(times * (15_000_000 + self.rng.below_u64(10_000_000)));
            self.open.push((now + time, lease));
        }
    }

    fn switches(&self) -> Vec<String> {
        let switches = self
            .events
            .iter()
            .filter(|event| event.kind == EventKind::Switched);
        switches.map(ToString::to_string).collect()
    }

    fn current(&self) -> StrategyName {
        self.state.view().auto().unwrap().current
    }
}

fn among(candidates: &[StrategyName]) -> Auto {
    Auto {
        candidates: candidates.iter().map(|name| (*name).into()).collect(),
        ..Auto::default()
    }
}

#[test]
fn it_leaves_turns_when_one_of_ten_is_slow_and_tells_why() {
    let mut site = Site::new(among(&[StrategyName::round_robin, StrategyName::adaptive]), 1);
    site.run(70);
    assert_eq!(site.switches(), [""; 0], "all are alike");
    assert_eq!(site.current(), StrategyName::round_robin);
    site.slow = 10;
    site.run(60);
    let switches = site.switches();
    assert_eq!(switches.len(), 1, "{switches:?}");
    let start = "web switched: round_robin to adaptive: expected times ";
    assert!(switches[0].starts_with(start), "{switches:?}");
    let auto = site.state.view().auto().unwrap();
    assert_eq!((auto.current, auto.pinned), (StrategyName::adaptive, false));
    assert_eq!(auto.switches.len(), 1);
    assert_eq!(auto.candidates.len(), 2);
    assert!(auto.candidates[1].counts.asked > 100, "{auto:?}");
    // The slow one gets next to nothing now.
    let before = site.picked.len();
    site.run(10);
    let to_slow = site.picked[before..]
        .iter()
        .filter(|slot| **slot == Slot(0))
        .count();
    assert!(to_slow * 50 < site.picked.len() - before, "{to_slow}");
    // Who decides is told, and by its rule.
    let explained = Explanation::new(site.state.view(), &Question::default(), site.cx.now, 1);
    assert!(
        explained
            .notes
            .iter()
            .any(|note| note.starts_with("adaptive decides, for ")),
        "{explained}"
    );
    let slow = explained.instance("i0").unwrap();
    assert!(slow.odds < 0.05, "{explained}");
    // And it stays when all are alike again: the other is no better.
    site.slow = 1;
    site.run(300);
    assert_eq!(site.switches().len(), 1);
}

#[test]
fn in_a_sound_fleet_it_never_changes() {
    for seed in 1..=5 {
        let mut site = Site::new(Auto::default(), seed);
        site.run(300);
        assert_eq!(site.switches(), [""; 0], "{seed}");
    }
}

#[test]
fn a_pin_holds_and_is_told() {
    let auto = Auto {
        pin: Some(StrategyName::round_robin),
        ..among(&[StrategyName::adaptive, StrategyName::round_robin])
    };
    let mut site = Site::new(auto.clone(), 1);
    site.slow = 10;
    site.run(120);
    assert_eq!(site.switches(), [""; 0]);
    let snapshot = site.state.view().auto().unwrap();
    assert_eq!(
        (snapshot.current, snapshot.pinned),
        (StrategyName::round_robin, true)
    );
    assert!(
        snapshot.candidates[0].least_gain.unwrap() > 0.05,
        "what the other would do is told all the same"
    );
    let strategy = StrategySettings::auto(Auto { pin: None, ..auto });
    site.state
        .operate(Operation::SetStrategy(strategy), site.cx.now)
        .unwrap();
    assert_eq!(site.current(), StrategyName::adaptive);
    site.state
        .operate(Operation::SetStrategyByName(StrategyName::random), site.cx.now)
        .unwrap();
    assert_eq!(site.state.view().auto(), None);
}

#[test]
fn the_same_seed_makes_the_same_changes() {
    let run = |seed| {
        let mut site = Site::new(among(&[StrategyName::round_robin, StrategyName::adaptive]), seed);
        site.slow = 10;
        site.run(120);
        (site.events, site.picked)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3).1, run(4).1);
}

#[test]
fn what_cannot_be_a_candidate_is_named() {
    let wrong = |auto: Auto| auto.check().unwrap_err();
    let of = |names: &[StrategyName]| wrong(among(names));
    assert!(of(&[]).1.starts_with("there is nothing to choose among"));
    assert!(
        of(&[StrategyName::auto])
            .1
            .starts_with("`auto` cannot choose itself")
    );
    assert!(
        of(&[StrategyName::adaptive, StrategyName::maglev])
            .1
            .starts_with("`maglev` hashes")
    );
    assert!(
        of(&[StrategyName::random, StrategyName::random])
            .1
            .starts_with("`random` is there twice")
    );
    let pin = Some(StrategyName::random);
    assert_eq!(
        wrong(Auto {
            pin,
            ..Auto::default()
        })
        .0,
        "pin"
    );
    let short = Nanos::from_millis(9999);
    assert_eq!(
        wrong(Auto {
            window: short,
            ..Auto::default()
        })
        .0,
        "window"
    );
    assert_eq!(
        wrong(Auto {
            dwell: short,
            ..Auto::default()
        })
        .0,
        "dwell"
    );
    assert_eq!(Auto::default().check(), Ok(()));
}
