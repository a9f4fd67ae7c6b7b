//! Who is next when home cannot: standby, retries, and keys that spill over.

use super::*;

/// Slots on standby with their connections, in order.
fn standby(world: &World) -> Vec<(u32, u32)> {
    let mut named = Vec::new();
    world
        .picker
        .standby(&mut |slot, connections| named.push((slot.0, connections)));
    named
}

#[test]
fn the_next_two_rings_are_on_standby_in_the_order_of_latency() {
    let each = |slots: &[u32]| slots.iter().map(|slot| (*slot, 1)).collect::<Vec<_>>();
    let mut places = three_regions();
    places.push(("mars", "a", 0));
    let mut world = World::new(from(&["eu"]), &places);
    world.measured(4..8, 40);
    world.measured(8..12, 20);
    assert_eq!(standby(&world), each(&[8, 9, 10, 11, 4, 5, 6, 7]));
    (0..60).for_each(|_| world.measured(4..8, 5));
    assert_eq!(standby(&world), each(&[4, 5, 6, 7, 8, 9, 10, 11]));
    // Who is no candidate gets no requests, so no connections; nor does a ring of nobody count.
    world.without(&[5, 8, 9, 10, 11]);
    assert_eq!(standby(&world), each(&[4, 6, 7, 12]));
    // When the home region is lost, the next is in use and stays, and the one after it waits.
    world.without(&[0, 1, 2, 3]);
    assert_eq!(standby(&world), each(&[4, 5, 6, 7, 8, 9, 10, 11]));
    // Other zones are rings, too.
    let mut world = World::new(from(&["eu", "b"]), &places);
    world.measured(4..8, 40);
    assert_eq!(standby(&world), each(&[0, 1, 4, 5, 6, 7]));
}

#[test]
fn standby_is_bounded_and_can_be_switched_off() {
    let mut places = vec![("eu", "", 0)];
    places.extend([("us", "", 0); 200]);
    let some = |warm_connections| Geographical {
        warm_connections,
        ..from(&["eu"])
    };
    let world = World::new(some(3), &places);
    let named = standby(&world);
    assert_eq!((named.len(), named[0], named[63]), (64, (1, 3), (64, 3)));
    assert_eq!(standby(&World::new(some(0), &places)), []);
    // Nobody is nearer than another, so everybody has requests.
    assert_eq!(standby(&World::new(from(&[]), &places)), []);
    // Nor does it concern other strategies.
    let mut world = World::new(some(3), &places);
    world.picker = StrategyName::adaptive.strategy().build(&world.candidates, 1);
    assert_eq!(standby(&world), []);
}

#[test]
fn a_request_that_failed_nearby_goes_further_out() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(4..8, 20);
    world.measured(8..12, 40);
    let mut region = |tried: &[u32]| {
        let tried: Vec<Slot> = tried.iter().copied().map(Slot).collect();
        let request = PickRequest {
            tried: &tried,
            ..PickRequest::default()
        };
        let mut picks = (0..200).map(|_| world.picker.pick(&request, &mut world.cx).unwrap().0 / 4);
        let first = picks.next().unwrap();
        assert!(picks.all(|region| region == first));
        first
    };
    assert_eq!(region(&[0]), 0);
    assert_eq!(region(&[0, 1]), 1);
    assert_eq!(region(&[0, 1, 4]), 1);
    assert_eq!(region(&[0, 1, 4, 5]), 2);
    // So does one that failed with all there are, to the next and nowhere else.
    let few = [("eu", "", 0), ("us", "", 0), ("va", "", 0), ("va", "", 0)];
    let mut world = World::new(from(&["eu"]), &few);
    for (tried, expected) in [
        (vec![], 0..1),
        (vec![0], 1..2),
        (vec![0, 1], 2..4),
        (vec![0, 1, 3], 2..4),
    ] {
        let tried: Vec<Slot> = tried.into_iter().map(Slot).collect();
        let request = PickRequest {
            tried: &tried,
            ..PickRequest::default()
        };
        for _ in 0..200 {
            let slot = world.picker.pick(&request, &mut world.cx).unwrap();
            assert!(expected.contains(&slot.0), "{tried:?}: {slot:?}");
        }
    }
    // Where there is no further ring, everybody is as good as another.
    let mut world = World::new(from(&["eu"]), &[("eu", "", 0); 3]);
    let tried = [Slot(0), Slot(1)];
    let request = PickRequest {
        tried: &tried,
        ..PickRequest::default()
    };
    assert!(world.picker.pick(&request, &mut world.cx).is_ok());
}

#[test]
fn a_retry_is_neither_a_probe_nor_sent_abroad_while_home_has_others() {
    // `round_robin` of two names the tried one every other time, `least_connections` nearly always.
    for within in [
        StrategyName::round_robin,
        StrategyName::least_connections,
        StrategyName::adaptive,
    ] {
        let strategy = Geographical {
            probe: true,
            within: Box::new(within.into()),
            ..from(&["eu"])
        };
        let places = [("eu", "", 0), ("eu", "", 0), ("us", "", 0), ("asia", "", 0)];
        let mut world = World::new(strategy, &places);
        add_load(&world.candidates, Slot(1), 50);
        let tried = [Slot(0)];
        let request = PickRequest {
            tried: &tried,
            ..PickRequest::default()
        };
        for _ in 0..1000 {
            // Long enough for a probe to be due each time.
            world.cx.now = world.cx.now + Nanos::from_secs(40);
            let slot = world.picker.pick(&request, &mut world.cx).unwrap();
            assert_eq!(slot, Slot(1), "{within}");
        }
    }
}

#[test]
fn a_key_that_spills_over_has_one_place() {
    use evenkeel_core::strategy::Maglev;
    for within in [
        StrategyName::consistent_hash,
        StrategyName::rendezvous,
        StrategyName::maglev,
    ] {
        let strategy = Geographical {
            probe: true,
            within: Box::new(within.into()),
            ..from(&["eu"])
        };
        let mut world = World::new(strategy, &three_regions());
        let key = |n: u64| {
            evenkeel_core::HashSecret::new(None, "web")
                .hash(&n.to_le_bytes())
                .into()
        };
        let owners = |world: &mut World| {
            let mut owner = |n| {
                let request = PickRequest {
                    key: Some(key(n)),
                    ..PickRequest::default()
                };
                let mut pick = || {
                    // Probes are due, and looked for in vain.
                    world.cx.now = world.cx.now + Nanos::from_millis(1100);
                    world.picker.pick(&request, &mut world.cx).unwrap().0
                };
                let owner = pick();
                assert!((0..5).all(|_| pick() == owner), "{within}: {n}");
                owner
            };
            (0..2000).map(&mut owner).collect::<Vec<u32>>()
        };
        let whole = owners(&mut world);
        assert!(whole.iter().all(|owner| *owner < 4));
        // Half of home is out: seven tenths of the keys stay, and who was at home with a survivor and stays, stays there.
        world.without(&[0, 1]);
        let half = owners(&mut world);
        let kept = half.iter().filter(|owner| **owner < 4).count();
        assert!((1300..1500).contains(&kept), "{within}: {kept}");
        let moved = |before: &u32, now: &u32| *before >= 2 && *now < 4 && before != now;
        let restless = whole
            .iter()
            .zip(&half)
            .filter(|(before, now)| moved(before, now))
            .count();
        assert!(restless <= 20, "{within}: {restless}");
        // A key that spilled comes back to where it was, and keys that stayed never leave on the way.
        world.without(&[]);
        for _ in 0..5 {
            world.pass(1);
            let now = owners(&mut world);
            for (key, (half, now)) in half.iter().zip(&now).enumerate() {
                assert!(*half >= 4 || *now < 4, "{within}: {key}");
            }
        }
        assert_eq!(owners(&mut world), whole, "{within}");
    }
    // Settings of the strategy within are its own.
    let keyed_by_path = |source| Geographical {
        within: Box::new(evenkeel_core::StrategySettings::maglev(Maglev {
            hash: evenkeel_core::HashSettings {
                key: source,
                ..Default::default()
            },
            ..Maglev::default()
        })),
        ..from(&["eu"])
    };
    let path = keyed_by_path(evenkeel_core::KeySource::Path);
    assert_eq!(path.request_key().unwrap().source, evenkeel_core::KeySource::Path);
}
