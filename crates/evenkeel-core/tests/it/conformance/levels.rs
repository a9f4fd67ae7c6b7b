//! What priorities promise, for every row of the table: each gets its part of the requests, whatever the strategy sees in the
//! instances, and the strategy chooses within it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use evenkeel_core::{Instance, InstanceId, Operation, PickRequest, ServiceSettings, ServiceState, View};

use super::*;

/// Ten instances of each of two priorities, the second idle and fast in comparison.
fn service(name: StrategyName) -> ServiceState {
    let instances = (0..20u8).map(|i| {
        let address = SocketAddr::from(([127, 0, 0, i + 1], 80));
        let instance = Instance::new(&format!("i{i}"), address).unwrap();
        instance.with_priority(i / 10)
    });
    let settings = ServiceSettings {
        strategy: name.into(),
        ..ServiceSettings::new("web")
    };
    ServiceState::new(settings, instances.collect(), 3, Nanos::ZERO).unwrap()
}

fn take_out(state: &mut ServiceState, gone: std::ops::Range<u32>, now: Nanos) {
    for slot in gone {
        let id = InstanceId::new(&format!("i{slot}")).unwrap();
        let why = "it goes".into();
        state.operate(Operation::Drain { id, why }, now).unwrap();
    }
}

/// Envoy's table: a priority takes 1.4 times the healthy part of its weight.
#[test]
fn each_priority_gets_its_part_whatever_its_instances_do() {
    const PICKS: u32 = 2_500;
    for name in StrategyName::ALL {
        let mut state = service(*name);
        let (mut cx, mut rng) = (PickContext::new(5), Rng::new(5));
        let mut open: BinaryHeap<Reverse<(Nanos, usize)>> = BinaryHeap::new();
        let (mut leases, mut out) = (Vec::new(), 0);
        for (gone, part) in [(2, 1.0), (3, 0.98), (5, 0.7), (8, 0.28), (10, 0.0)] {
            take_out(&mut state, out..gone, cx.now);
            out = gone;
            let mut first = 0;
            for n in 0..PICKS {
                cx.now = cx.now + Nanos(rng.below_u64(1_000_000));
                while let Some(Reverse((ends, place))) = open.peek().copied()
                    && ends <= cx.now
                {
                    open.pop();
                    let lease: &mut Option<Lease> = &mut leases[place];
                    let lease = lease.take().unwrap();
                    let took = ends.since(lease.started());
                    let _ = lease.finish(&Outcome::from_status(200, took), ends);
                }
                if n % 100 == 0 {
                    state.tick(cx.now);
                }
                let request = PickRequest {
                    key: Some(rng.next_u64().into()),
                    ..PickRequest::default()
                };
                let lease = state.view().pick(&request, &mut cx).unwrap();
                let is_first = lease.slot().0 < 10;
                first += u32::from(is_first);
                let takes = if is_first { 20_000_000 } else { 10_000_000 };
                open.push(Reverse((cx.now + Nanos(takes), leases.len())));
                leases.push(Some(lease));
            }
            let seen = f64::from(first) / f64::from(PICKS);
            // Six deviations of a draw for each request.
            let bound = 6.0 * (part * (1.0 - part) / f64::from(PICKS)).sqrt();
            assert!(
                (seen - part).abs() <= bound,
                "{name}, {gone} gone: {seen:.3} for {part}"
            );
        }
    }
}

fn key_of(i: u64) -> u64 {
    Rng::new(i).next_u64()
}

fn choose(view: &View, tried: &[Slot], key: u64, cx: &mut PickContext) -> Slot {
    let request = PickRequest {
        tried,
        key: Some(key.into()),
        region: None,
    };
    view.choose(&request, cx).unwrap()
}

#[test]
fn a_request_that_was_tried_at_all_of_a_priority_goes_to_the_next_by_the_strategy() {
    let mut state = service(StrategyName::least_connections);
    take_out(&mut state, 0..5, Nanos::ZERO);
    let view = state.view();
    let tried: Vec<Slot> = (5..10).map(Slot).collect();
    let busy: Vec<Lease> = (10..20)
        .filter(|slot| *slot != 13)
        .map(|slot| view.lease(Slot(slot), Nanos::ZERO).unwrap())
        .collect();
    let mut cx = PickContext::new(1);
    for key in 0..200 {
        assert_eq!(choose(view, &tried, key, &mut cx), Slot(13));
    }
    drop(busy);
}

#[test]
fn a_key_stays_where_it_is_when_another_priority_helps_out() {
    const KEYS: u64 = 2000;
    for name in StrategyName::ALL
        .iter()
        .filter(|name| name.strategy().request_key().is_some())
    {
        let mut state = service(*name);
        let mut cx = PickContext::new(1);
        let mut owners = |state: &ServiceState| -> Vec<u32> {
            let owner = |i| choose(state.view(), &[], key_of(i), &mut cx).0;
            (0..KEYS).map(owner).collect()
        };
        take_out(&mut state, 0..2, Nanos::ZERO);
        let before = owners(&state);
        take_out(&mut state, 2..5, Nanos::ZERO);
        let after = owners(&state);
        assert_eq!(after, owners(&state), "{name}");
        let pairs: Vec<(u32, u32)> = before.into_iter().zip(after).filter(|pair| pair.0 >= 5).collect();
        assert!(
            pairs
                .iter()
                .all(|(before, after)| before == after || *after >= 10),
            "{name}"
        );
        let moved = pairs.iter().filter(|(before, after)| before != after).count();
        let (moved, all) = (moved as f64 / pairs.len() as f64, pairs.len() as f64);
        assert!(
            (moved - 0.3).abs() < 6.0 * (0.21 / all).sqrt(),
            "{name}: {moved:.3}"
        );
    }
}
