//! What a look at a service tells, on instances that are really there.

use super::{Regime, Seen, look};
use crate::{Instance, Nanos, Operation, Outcome, Score, ServiceSettings, ServiceState};

/// A service of `n` instances, and a time.
fn service(n: u16) -> (ServiceState, Nanos) {
    let instances = (0..n).map(instance).collect();
    let now = Nanos::from_secs(100);
    let state = ServiceState::new(ServiceSettings::new("web"), instances, 1, now).unwrap();
    (state, now)
}

fn instance(i: u16) -> Instance {
    Instance::new(&format!("i{i}"), ([127, 0, 0, 1], 9000 + i).into()).unwrap()
}

/// Requests to each that take so many ms.
fn answer(state: &ServiceState, requests: u32, ms: impl Fn(usize, u32) -> u64, now: Nanos) {
    for (place, (_, member, _)) in state.view().members().enumerate() {
        for request in 0..requests {
            let time = Nanos::from_millis(ms(place, request));
            member.stats().on_start(now);
            member.stats().on_end(&Outcome::from_status(200, time), now);
        }
    }
}

#[test]
fn a_look_counts_what_was_picked_since_the_last_one_whoever_came_and_went() {
    let (mut state, now) = service(3);
    let mut seen = Seen::default();
    let mut requests = |state: &ServiceState| look(state.view(), &mut seen, now).requests;
    answer(&state, 100, |_, _| 10, now);
    assert_eq!(requests(&state), 300);
    assert_eq!(requests(&state), 0);
    answer(&state, 20, |_, _| 10, now);
    state.operate(Operation::Deregister(instance(1).id), now).unwrap();
    assert_eq!(requests(&state), 40);
    // Another one, in the same place or not.
    state.operate(Operation::Register(instance(7)), now).unwrap();
    answer(&state, 10, |_, _| 10, now);
    assert_eq!(requests(&state), 30);
}

/// Eight instances, of which the first ones are drained and come back; what part counts as changed.
struct Flapping {
    state: ServiceState,
    seen: Seen,
    now: Nanos,
}

impl Flapping {
    fn new() -> Self {
        let (state, now) = service(8);
        let seen = Seen::default();
        let mut all = Self { state, seen, now };
        assert_eq!(all.after(1), 1.0, "all have come");
        assert_eq!(all.after(60), 0.0);
        all
    }

    fn after(&mut self, seconds: u64) -> f64 {
        self.now = self.now + Nanos::from_secs(seconds);
        look(self.state.view(), &mut self.seen, self.now).changed
    }

    fn drain(&mut self, first: u16, drained: bool) -> f64 {
        for i in 0..first {
            let id = instance(i).id;
            let operation = match drained {
                true => Operation::Drain {
                    id,
                    why: "why".into(),
                },
                false => Operation::Undrain(id),
            };
            self.state.operate(operation, self.now).unwrap();
        }
        self.after(1)
    }
}

#[test]
fn who_goes_and_comes_back_over_and_over_has_not_changed() {
    let mut few = Flapping::new();
    assert_eq!((few.drain(2, true), few.after(30)), (0.25, 0.0));
    assert_eq!((few.drain(2, false), few.after(28)), (0.25, 0.25));
    for _ in 0..5 {
        assert_eq!((few.drain(2, true), few.after(5)), (0.0, 0.0));
        assert_eq!((few.drain(2, false), few.after(5)), (0.0, 0.0));
    }
    // A third one has.
    assert_eq!(few.drain(3, true), 0.125);
    assert_eq!(few.drain(3, false), 0.125);
    // After so long everybody has, and whoever comes.
    assert_eq!(few.after(600), 0.0);
    assert_eq!((few.drain(2, true), few.drain(2, false)), (0.25, 0.25));
    let (old, now) = (instance(0).id, few.now);
    few.state.operate(Operation::Deregister(old), now).unwrap();
    few.after(40);
    few.state
        .operate(Operation::Register(instance(9)), few.now)
        .unwrap();
    assert_eq!(few.after(1), 0.125);
    // Whoever has the last place after another does nothing over and over, either.
    let mut last = Flapping::new();
    let set = |all: &mut Flapping, operation| {
        all.state.operate(operation, all.now).unwrap();
        all.after(1)
    };
    let away = |i: u16| Operation::Drain {
        id: instance(i).id,
        why: "why".into(),
    };
    for _ in 0..2 {
        set(&mut last, away(7));
        set(&mut last, Operation::Undrain(instance(7).id));
    }
    set(&mut last, Operation::Deregister(instance(7).id));
    last.state.tick(last.now);
    set(&mut last, Operation::Register(instance(9)));
    last.after(40);
    assert_eq!(set(&mut last, away(9)), 0.125);
    // When most do, that is no habit of some.
    let mut most = Flapping::new();
    for _ in 0..4 {
        assert_eq!((most.drain(5, true), most.drain(5, false)), (0.625, 0.625));
    }
    let mut half = Flapping::new();
    let changed: Vec<f64> = (0..6).map(|turn| half.drain(4, turn % 2 == 0)).collect();
    assert_eq!(changed, [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
    // Out for one reason after the other, and back for the first time.
    let mut weak = Flapping::new();
    let say = |all: &mut Flapping, score: f64| {
        for i in 0..2 {
            let (id, observed) = (instance(i).id, all.now);
            let score = Score::new(score).unwrap();
            let operation = Operation::ReportHealth { id, score, observed };
            all.state.operate(operation, observed).unwrap();
        }
        all.after(1)
    };
    assert_eq!(say(&mut weak, 0.0), 0.25);
    assert_eq!((weak.drain(2, true), weak.after(40)), (0.25, 0.0));
    assert_eq!((say(&mut weak, 1.0), weak.drain(2, false)), (0.0, 0.25));
    // A clock that stepped back changes nobody.
    let back = Nanos::from_secs(50);
    half.seen.shift(back);
    half.now = half.now.since(back);
    half.state.apply_all([], half.now);
    assert_eq!(half.after(1), 0.0);
}

#[test]
fn the_quicker_quarter_is_that_of_instances_whoever_gets_the_requests() {
    for (n, slow, quick) in [
        (8, 2, 10.0),
        (8, 6, 10.0),
        (8, 7, 100.0),
        (2, 1, 10.0),
        (1, 1, 100.0),
    ] {
        let (state, now) = service(n);
        answer(&state, 20, |place, _| if place < slow { 100 } else { 10 }, now);
        let seen = look(state.view(), &mut Seen::default(), now).quick.unwrap() / 1e6;
        assert!((seen / quick - 1.0).abs() < 0.01, "{n} {slow}: {seen}");
    }
    let (state, now) = service(3);
    assert_eq!(look(state.view(), &mut Seen::default(), now).quick, None);
}

#[test]
fn the_regime_is_told_from_what_is_no_chance_at_any_rate() {
    let regime = |requests: u32, ms: fn(usize, u32) -> u64| {
        let (state, now) = service(10);
        answer(&state, requests, ms, now);
        look(state.view(), &mut Seen::default(), now + Nanos::from_secs(1)).regime
    };
    let unlike: fn(usize, u32) -> u64 = |place, _| if place < 3 { 20 } else { 10 };
    // Of those that had two requests, some had two long ones.
    let chance: fn(usize, u32) -> u64 = |place, request| {
        let seed = (place * 1000 + request as usize) as u64;
        let unit = (crate::hash::mix(seed) >> 11) as f64 / (1u64 << 53) as f64;
        (10.0 * crate::math::minus_ln(1.0 - unit)) as u64
    };
    assert_eq!(regime(200, |_, _| 10), Regime::Even);
    assert_eq!(regime(200, unlike), Regime::Uneven);
    for requests in [2, 8, 200] {
        assert_eq!(regime(requests, chance), Regime::Even, "{requests}");
    }
    // One that fails counts, also when hardly anything goes there any more.
    let (state, now) = service(10);
    answer(&state, 20, |_, _| 10, now);
    let failed = Outcome::from_status(500, Nanos::from_millis(1));
    let (_, member, _) = state.view().members().next().unwrap();
    for _ in 0..8 {
        member.stats().on_start(now);
        member.stats().on_end(&failed, now);
    }
    let (_, other, _) = state.view().members().nth(1).unwrap();
    for _ in 0..5000 {
        other.stats().on_start(now);
        other
            .stats()
            .on_end(&Outcome::from_status(200, Nanos::from_millis(10)), now);
    }
    let after = now + Nanos::from_secs(30);
    assert_eq!(
        look(state.view(), &mut Seen::default(), after).regime,
        Regime::Failing
    );
    let later = now + Nanos::from_secs(61);
    assert_eq!(
        look(state.view(), &mut Seen::default(), later).regime,
        Regime::Even
    );
}
