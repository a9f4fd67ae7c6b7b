//! A service that chooses its strategy.

use evenkeel_core::strategy::{Auto, Geographical, ResourceAware};
use evenkeel_core::{
    EjectionSettings, Event, EventKind, Explanation, Input, Instance, InstanceId, Lease, LoadReport, Mode,
    Nanos, Operation, Outcome, PickContext, PickRequest, Question, Rng, ServiceSettings, ServiceState, Slot,
    StrategyName, StrategySettings,
};

fn instance(i: u16) -> Instance {
    Instance::new(&format!("i{i}"), ([127, 0, 0, 1], 9000 + i).into()).unwrap()
}

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
        Self::of(StrategySettings::auto(auto), seed)
    }

    fn of(strategy: StrategySettings, seed: u64) -> Self {
        let settings = ServiceSettings {
            strategy,
            // Nobody leaves for being slow: that is left to the strategies.
            ejection: EjectionSettings {
                on_slow: Mode::Off,
                on_score: Mode::Off,
                ..EjectionSettings::default()
            },
            ..ServiceSettings::new("web")
        };
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

    fn operate(&mut self, operation: Operation) {
        self.state.operate(operation, self.cx.now).unwrap();
    }

    fn set(&mut self, auto: Auto) {
        self.operate(Operation::SetStrategy(StrategySettings::auto(auto)));
    }

    /// Newest first.
    fn trail(&self) -> Vec<String> {
        let auto = self.state.view().auto().unwrap();
        let told = auto.switches.iter();
        told.map(|one| format!("{} to {}: {}", one.from, one.to, one.reason))
            .collect()
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

fn slow_one() -> (Site, Auto) {
    let turns = among(&[StrategyName::round_robin, StrategyName::adaptive]);
    let mut site = Site::new(turns.clone(), 1);
    site.slow = 10;
    site.run(90);
    assert_eq!(site.trail().len(), 1, "{:?}", site.trail());
    (site, turns)
}

/// What an operator does after a change: keeps to the former, and lets go again.
#[test]
fn a_pin_and_its_end_are_part_of_the_trail_and_forget_nothing() {
    let (mut site, turns) = slow_one();
    let asked = |site: &Site| {
        let auto = site.state.view().auto().unwrap();
        auto.candidates
            .iter()
            .map(|one| one.counts.asked)
            .collect::<Vec<_>>()
    };
    let before = asked(&site);
    assert!(before.iter().all(|asked| *asked > 100), "{before:?}");
    let pin = Some(StrategyName::round_robin);
    site.set(Auto { pin, ..turns.clone() });
    let told = site.trail();
    assert_eq!(
        (told.len(), &*told[0]),
        (2, "adaptive to round_robin: pinned"),
        "{told:?}"
    );
    assert_eq!(asked(&site), before);
    let auto = site.state.view().auto().unwrap();
    assert_eq!(
        (auto.current, auto.since),
        (StrategyName::round_robin, site.cx.now)
    );
    assert!(auto.changes_over, "by degrees, as always");
    assert_eq!(auto.candidates[0].gain, None, "that was beside another");
    site.run(10);
    assert!(!site.state.view().auto().unwrap().changes_over);
    // A moment later nothing has spoken for the other for long enough.
    site.set(turns.clone());
    assert_eq!(site.current(), StrategyName::round_robin);
    let told = site.trail();
    assert_eq!(
        (told.len(), &*told[0]),
        (3, "round_robin to round_robin: the pin is taken away"),
        "{told:?}"
    );
    // Then it has.
    site.run(90);
    assert_eq!(site.current(), StrategyName::adaptive);
    assert_eq!(site.trail().len(), 4);
    // By way of another strategy, too.
    site.operate(Operation::SetStrategyByName(StrategyName::random));
    site.operate(Operation::SetStrategy(StrategySettings::auto(turns)));
    assert_eq!(site.trail().len(), 4);
}

#[test]
fn other_settings_leave_what_they_do_not_concern() {
    let (mut site, turns) = slow_one();
    let state = |site: &Site| {
        let auto = site.state.view().auto().unwrap();
        (auto.current, auto.since, auto.candidates[0].clone())
    };
    let before = state(&site);
    assert!(before.2.gain.is_some(), "{before:?}");
    let dwell = Nanos::from_secs(60);
    site.set(Auto { dwell, ..turns });
    assert_eq!(state(&site), before);
    // As a reload does it, with another one more.
    let more = among(&[
        StrategyName::round_robin,
        StrategyName::peak_ewma,
        StrategyName::adaptive,
    ]);
    let settings = ServiceSettings {
        strategy: StrategySettings::auto(more),
        ..site.state.settings().clone()
    };
    let instances = (0..10).map(instance).collect();
    site.state.replace(settings, instances, site.cx.now).unwrap();
    assert_eq!(state(&site), before);
    assert_eq!(site.trail().len(), 1);
    // Without the one in force there is nothing to change over from.
    site.set(among(&[StrategyName::peak_ewma, StrategyName::round_robin]));
    let auto = site.state.view().auto().unwrap();
    assert_eq!(
        (auto.current, auto.changes_over),
        (StrategyName::peak_ewma, false)
    );
    assert_eq!(
        site.trail()[0],
        "adaptive to peak_ewma: adaptive is no candidate any more"
    );
    assert_eq!(auto.candidates[1].counts, before.2.counts);
}

/// Fifty times as long makes the mean of turns six times what it was. That is no lack of room.
#[test]
fn one_that_is_very_slow_is_no_full_fleet() {
    let mut site = Site::new(among(&[StrategyName::round_robin, StrategyName::adaptive]), 1);
    site.run(70);
    site.slow = 50;
    site.run(60);
    assert_eq!(site.switches().len(), 1, "{:?}", site.state.view().auto());
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
    // Without it, what was found meanwhile counts.
    site.set(Auto { pin: None, ..auto });
    let snapshot = site.state.view().auto().unwrap();
    assert_eq!(
        (snapshot.current, snapshot.pinned),
        (StrategyName::round_robin, false)
    );
    site.run(2);
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
    let alone = of(&[StrategyName::random]);
    assert_eq!(
        alone,
        (
            "candidates",
            "there is nothing to choose among: `random` is alone\nadd another, or write `strategy: random`"
                .to_owned()
        )
    );
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

/// What was learnt, after seconds with reports of processors that vary and matter; and whom requests went to.
fn learned(strategy: StrategySettings, asks: bool) -> (Vec<String>, Vec<Slot>) {
    let mut site = Site::of(strategy, 1);
    for second in 0..60_u32 {
        site.run(1);
        for i in 0..10_u32 {
            let used = f64::from(1 + (second * 7 + i * 3) % 9) / 10.0;
            let report = LoadReport::default().with_cpu(used).unwrap();
            let id = InstanceId::new(&format!("i{i}")).unwrap();
            let observed = site.cx.now;
            site.operate(Operation::ReportLoad { id, report, observed });
            if i == 0 {
                site.slow = (10.0 * used) as u64;
            }
        }
        if asks {
            for seed in 0..3 {
                let _ = Explanation::new(site.state.view(), &Question::default(), site.cx.now, seed);
            }
        }
    }
    let mut learned = Vec::new();
    let view = site.state.view();
    view.learned(&mut |one| learned.push(format!("{one:?}")));
    (learned, site.picked)
}

#[test]
fn what_the_one_in_force_learns_is_told_and_an_explanation_adds_nothing_to_it() {
    let learner = || {
        StrategySettings::resource_aware(ResourceAware {
            learn: true,
            predict: true,
            ..ResourceAware::default()
        })
    };
    let chosen = StrategySettings::auto(Auto {
        candidates: vec![learner(), StrategyName::round_robin.into()],
        pin: Some(StrategyName::resource_aware),
        ..Auto::default()
    });
    let near = StrategySettings::geographical(Geographical {
        within: Box::new(learner()),
        ..Geographical::default()
    });
    let (told, picked) = learned(chosen.clone(), false);
    assert!(told.len() > 10 && told[0].contains("ResourceWeight"), "{told:?}");
    assert!(!told[0].contains("trust: 0.0 "), "nothing was learnt: {told:?}");
    assert_eq!(learned(chosen, true), (told, picked));
    assert_eq!(learned(near.clone(), true), learned(near, false));
}

/// Whatever makes a picker anew: the candidate that is shown picks.
#[test]
fn what_is_shown_as_in_force_is_in_force() {
    let turns = || among(&[StrategyName::round_robin, StrategyName::adaptive]);
    let mut site = Site::new(turns(), 1);
    site.slow = 10;
    site.run(70);
    assert_eq!(site.current(), StrategyName::adaptive);
    let since = site.state.view().auto().unwrap().since;
    // All are gone for a moment, and with them the picker.
    for i in 0..10 {
        site.operate(Operation::Deregister(instance(i).id));
    }
    assert_eq!(site.state.view().auto(), None, "there is nothing to choose from");
    site.operate(Operation::Register(instance(3)));
    let auto = site.state.view().auto().unwrap();
    assert_eq!((auto.current, auto.since), (StrategyName::adaptive, since));
    // Set anew, by way of another strategy that was never published.
    let now = site.cx.now;
    let set = [StrategyName::random.into(), StrategySettings::auto(turns())];
    let set = set.map(|strategy| Input::Operation(Operation::SetStrategy(strategy)));
    site.state.take_in(set, now);
    let auto = site.state.view().auto().unwrap();
    assert_eq!((auto.current, auto.since), (StrategyName::round_robin, now));
}
