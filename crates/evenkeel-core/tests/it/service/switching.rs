//! A service of a hundred thousand instances, whose strategy changes under load.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "time is what is tested, and the driver is several threads"
)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel_core::{
    Effect, Instance, Nanos, Operation, Outcome, PickContext, PickRequest, ServiceSettings, ServiceState,
    StrategyName, View,
};

const INSTANCES: u32 = 100_000;

fn fleet() -> Vec<Instance> {
    let instance = |i: u32| Instance::new(&format!("i{i}"), (i.to_be_bytes(), 80).into()).unwrap();
    (0..INSTANCES).map(instance).collect()
}

/// Of each kind one: in turn, by chance, by load, by what was measured.
const STRATEGIES: [StrategyName; 4] = [
    StrategyName::round_robin,
    StrategyName::weighted_random,
    StrategyName::least_connections,
    StrategyName::least_response_time,
];

#[test]
fn a_switch_at_a_hundred_thousand_instances_disturbs_nothing() {
    let settings = ServiceSettings::new("web");
    let mut state = ServiceState::new(settings, fleet(), 1, Nanos::from_secs(1)).unwrap();
    let published = Mutex::new(Arc::clone(state.view()));
    let over = AtomicBool::new(false);
    let mut slowest = Duration::ZERO;
    let picks: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|seed| {
                let (published, over) = (&published, &over);
                scope.spawn(move || work(published, over, seed))
            })
            .collect();
        for (name, seconds) in STRATEGIES.into_iter().zip(2..) {
            let began = Instant::now();
            let switch = Operation::SetStrategy(name.into());
            let switched = state.operate(switch, Nanos::from_secs(seconds));
            assert_eq!(switched, Ok(Effect::Changed));
            slowest = slowest.max(began.elapsed());
            *published.lock().unwrap() = Arc::clone(state.view());
            assert_eq!(state.view().strategy(), name);
        }
        over.store(true, Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(picks > 0);
    let (mut picked, mut ended) = (0, 0);
    for (_, member, _) in state.view().members() {
        let stats = member.stats();
        assert_eq!(member.load().get(), 0, "no lease is lost or ended twice");
        picked += stats.picks();
        ended += stats.successes() + stats.cancelled();
    }
    assert_eq!((picked, ended), (picks, picks));
    // It is O(n): milliseconds, of which a test without optimization on a busy machine makes a second.
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
}

/// Picks from whatever view is published until it is over; returns how often.
fn work(published: &Mutex<Arc<View>>, over: &AtomicBool, seed: u64) -> u64 {
    let mut cx = PickContext::new(seed);
    let mut open = Vec::new();
    let mut picks = 0;
    // At least once, however late it is let run.
    loop {
        let view = Arc::clone(&published.lock().unwrap());
        for _ in 0..20 {
            cx.now = cx.now + Nanos::from_millis(1);
            open.push(view.pick(&PickRequest::default(), &mut cx).unwrap());
            picks += 1;
        }
        if open.len() > 100 {
            for lease in open.drain(..90) {
                let _ = lease.finish(&Outcome::from_status(200, Nanos::from_millis(3)), cx.now);
            }
        }
        if over.load(Relaxed) {
            return picks;
        }
    }
}
