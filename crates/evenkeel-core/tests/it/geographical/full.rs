//! What regions with a capacity take under random load, and what they hand on.

use std::collections::BinaryHeap;

use super::*;

/// A group of instances under load.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Greatest and mean number in flight.
    most: u32,
    mean: f64,
    /// The part of the requests that it had.
    part: f64,
}

/// Requests at random times take 10 ms in the first of `groups` and 15 ms elsewhere; so many would be in flight there.
fn offered<const N: usize>(
    world: &mut World,
    in_flight: u32,
    seconds: u64,
    groups: [std::ops::Range<u32>; N],
) -> [Load; N] {
    // Ends, earliest first.
    let mut ends: BinaryHeap<(std::cmp::Reverse<u64>, u32)> = BinaryHeap::new();
    let mut open = std::collections::HashMap::new();
    let (mut loads, mut picks) = ([Load::default(); N], 0u32);
    let (start, mut rng) = (world.cx.now, Rng::new(7));
    let mut due = 0.0;
    while world.cx.now.since(start) < Nanos::from_secs(seconds) {
        due += -(1.0 - rng.unit()).ln() * 10e6 / f64::from(in_flight);
        let now = start.0 + due as u64;
        while let Some((std::cmp::Reverse(end), id)) = ends.peek().copied() {
            if end > now {
                break;
            }
            ends.pop();
            let ended: evenkeel_core::Lease = open.remove(&id).unwrap();
            let time = Nanos(end).since(ended.started());
            let _ = ended.finish(&Outcome::from_status(200, time), Nanos(end));
        }
        world.cx.now = Nanos(now);
        let slot = world.picker.pick(&PickRequest::default(), &mut world.cx).unwrap();
        open.insert(picks, lease(&world.candidates, slot, world.cx.now).unwrap());
        let takes = if groups[0].contains(&slot.0) { 10 } else { 15 };
        ends.push((std::cmp::Reverse(now + takes * 1_000_000), picks));
        picks += 1;
        for (load, group) in loads.iter_mut().zip(&groups) {
            load.part += f64::from(u32::from(group.contains(&slot.0)));
            let here: u32 = group.clone().map(|slot| world.loads.get(slot)).sum();
            load.most = load.most.max(here);
            load.mean += f64::from(here);
        }
    }
    drop(open);
    loads.map(|load| Load {
        mean: load.mean / f64::from(picks),
        part: load.part / f64::from(picks),
        ..load
    })
}

#[test]
fn load_spills_over_before_a_region_is_full() {
    // Full with 200 in flight.
    let limited = || Geographical {
        capacity_per_weight: Some(50),
        ..from(&["eu"])
    };
    // What fits stays.
    let mut world = World::new(limited(), &three_regions());
    let [home] = offered(&mut world, 120, 3, one(0..4));
    assert!(home.part > 0.999, "{home:?}");
    // Half as much again as it can do: without spill-over 300 would be in flight.
    let mut world = World::new(limited(), &three_regions());
    let [home] = offered(&mut world, 300, 3, one(0..4));
    // One look is a millisecond old, in which 30 requests come.
    assert!(home.most <= 210, "{home:?}");
    assert!((160.0..200.0).contains(&home.mean), "{home:?}");
    assert!((0.5..0.67).contains(&home.part), "{home:?}");
    let mut naive = World::new(from(&["eu"]), &three_regions());
    assert!(offered(&mut naive, 300, 1, one(0..4))[0].most > 250);
}

#[test]
fn load_spills_over_with_one_instance_in_each_region() {
    for (capacity, in_flight) in [(10, 12), (50, 60)] {
        let strategy = Geographical {
            capacity_per_weight: Some(capacity),
            ..from(&["eu"])
        };
        let four = [("eu", "", 0), ("us", "", 0), ("va", "", 0), ("za", "", 0)];
        let mut world = World::new(strategy, &four);
        world.measured(1..2, 20);
        world.measured(2..3, 40);
        let [home, next, last] = offered(&mut world, in_flight, 5, [0..1, 1..2, 2..3]);
        let full = f64::from(capacity);
        // Well used, and never more than full: few instances have no room for what comes between two looks.
        assert!((0.7 * full..full).contains(&home.mean), "{home:?}");
        assert!(
            home.most <= capacity && next.most <= capacity,
            "{home:?} {next:?}"
        );
        assert!(
            home.part > next.part && next.part > last.part,
            "{home:?} {next:?} {last:?}"
        );
    }
}

#[test]
fn regions_of_very_different_sizes_take_what_they_can() {
    // One instance, then thirty; and the other way round, with a third region behind.
    for (sizes, in_flight) in [([1, 30, 1], 100), ([30, 1, 30], 360)] {
        let strategy = Geographical {
            capacity_per_weight: Some(10),
            ..from(&["eu"])
        };
        let names = ["eu", "us", "va"];
        let places = names.iter().zip(sizes);
        let places: Vec<_> = places.flat_map(|(name, n)| vec![(*name, "", 0); n]).collect();
        let mut world = World::new(strategy, &places);
        let first = sizes[0] as u32;
        let second = first + sizes[1] as u32;
        let groups = [0..first, first..second, second..places.len() as u32];
        world.measured(groups[1].clone(), 20);
        world.measured(groups[2].clone(), 40);
        let loads = offered(&mut world, in_flight, 2, groups);
        for (load, size) in loads.iter().zip(sizes) {
            let full = 10.0 * size as f64;
            assert!(load.mean <= full, "{size}: {load:?}");
            // Between two looks at a large one a tenth of what would be in flight comes.
            let between = if size > 8 {
                f64::from(in_flight) / 10.0
            } else {
                0.0
            };
            assert!(f64::from(load.most) <= full + between, "{size}: {load:?}");
        }
        assert!(loads[0].mean > 0.75 * 10.0 * sizes[0] as f64, "{loads:?}");
        let spilt = 1.0 - loads[0].part;
        let to_the_largest = if sizes[1] > sizes[2] {
            loads[1].part
        } else {
            loads[2].part
        };
        assert!(to_the_largest > 0.9 * spilt, "{loads:?}");
    }
}
