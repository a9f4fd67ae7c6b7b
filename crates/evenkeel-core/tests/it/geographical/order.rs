//! Which region comes next: by what was measured, and by what connections tell.

use evenkeel_core::{Learned, Nanos, StrategyName};

use super::{World, close, from, three_regions};

/// What the picker says of each region, from the first: name, expected time and error in ms, whether it was measured.
fn outlook(world: &World) -> Vec<(String, f64, f64, bool)> {
    let mut regions = Vec::new();
    world.picker.learned(&mut |learned| {
        if let Learned::RegionTime {
            region,
            seconds,
            error,
            measured,
            ..
        } = learned
        {
            regions.push((region.to_owned(), 1e3 * seconds, 1e3 * error, measured));
        }
    });
    regions
}

#[test]
fn connections_tell_who_is_next_before_a_request_went_there() {
    // By name, the farthest comes first.
    let places: Vec<_> = ["asia", "eu", "us"]
        .into_iter()
        .flat_map(|region| [(region, "", 0); 4])
        .collect();
    let mut world = World::new(from(&["eu"]), &places);
    let connected = |world: &mut World, slots: std::ops::Range<usize>, ms: u64, times: u32| {
        for member in world.members[slots].iter().flatten() {
            (0..times).for_each(|_| member.stats().distance().observe(Nanos::from_millis(ms)));
        }
        world.picker.refresh(world.cx.now);
    };
    assert!(outlook(&world).is_empty());
    connected(&mut world, 0..4, 160, 3);
    connected(&mut world, 4..8, 1, 3);
    connected(&mut world, 8..12, 35, 3);
    let next = |world: &mut World| {
        world.without(&[4, 5, 6, 7]);
        let counts = world.parts(&[0..4, 4..8, 8..12]);
        world.without(&[]);
        counts
    };
    assert!(close(&next(&mut world), &[0.0, 0.0, 1.0]));
    let order: Vec<_> = outlook(&world).into_iter().map(|region| region.0).collect();
    assert_eq!(order, ["eu", "us", "asia"]);
    // The work that is seen at home is expected elsewhere too.
    world.measured(4..8, 11);
    let regions = outlook(&world);
    let close_to = |place: usize, ms: f64| (regions[place].1 - ms).abs() < 0.5;
    assert!(
        close_to(0, 11.0) && close_to(1, 45.0) && close_to(2, 170.0),
        "{regions:?}"
    );
    assert_eq!(
        regions.iter().map(|region| region.3).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(
        regions.iter().all(|region| region.2 < 0.8 * region.1),
        "{regions:?}"
    );
    // What is measured counts before what was inferred.
    world.measured(0..4, 20);
    world.measured(8..12, 60);
    assert!(close(&next(&mut world), &[1.0, 0.0, 0.0]));
}

#[test]
fn what_is_not_sure_to_be_nearer_stays_where_it_was() {
    let places: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .flat_map(|region| [(region, "", 0); 2])
        .collect();
    let mut world = World::new(from(&["a"]), &places);
    let connect = |world: &World, slot: usize, micros: u64| {
        let member = world.members[slot].as_ref().unwrap();
        member.stats().distance().observe(Nanos(micros * 1000));
    };
    // Less than two milliseconds apart, and too few connections to tell.
    for (slot, micros) in [(2, 1900), (3, 1900), (2, 1900), (4, 100), (4, 100), (5, 100)] {
        connect(&world, slot, micros);
    }
    world.pass(1);
    assert_eq!(outlook(&world)[0].0, "b");
    let mut world = World::new(from(&["a"]), &places);
    for (slot, micros) in [(2, 90_000), (3, 90_000), (2, 90_000), (4, 100), (5, 100)] {
        connect(&world, slot, micros);
    }
    world.pass(1);
    let names: Vec<_> = outlook(&world).into_iter().map(|region| region.0).collect();
    assert_eq!(names, ["b"]);
    connect(&world, 4, 100);
    world.pass(1);
    assert_eq!(outlook(&world)[0].0, "c");
}

/// Three regions of two instances; `a` is home.
fn alike() -> World {
    let places: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .flat_map(|region| [(region, "", 0); 2])
        .collect();
    World::new(from(&["a"]), &places)
}

fn connected(world: &mut World, slots: std::ops::Range<usize>, micros: u64) {
    for member in world.members[slots].iter().flatten() {
        (0..60).for_each(|_| member.stats().distance().observe(Nanos(micros * 1000)));
    }
    world.picker.refresh(world.cx.now);
}

fn names(world: &World) -> Vec<String> {
    outlook(world).into_iter().map(|region| region.0).collect()
}

#[test]
fn a_new_view_puts_nobody_before_another_who_would_not_come_there_by_himself() {
    // By 5 %, which is not worth it.
    let mut world = alike();
    world.measured(0..2, 1);
    world.measured(2..4, 100);
    world.measured(4..6, 95);
    assert_eq!(names(&world), ["a", "b", "c"]);
    world.without(&[0]);
    assert_eq!(names(&world), ["a", "b", "c"]);
    // By 30 %, but within what may be wrong of the way.
    let mut world = alike();
    for (slot, micros) in [
        (2, 30_000),
        (3, 30_000),
        (2, 30_000),
        (4, 20_000),
        (5, 20_000),
        (4, 20_000),
    ] {
        let member = world.members[slot].as_ref().unwrap();
        member.stats().distance().observe(Nanos(micros * 1000));
    }
    world.pass(1);
    assert_eq!(names(&world), ["b", "c"]);
    world.without(&[0]);
    assert_eq!(names(&world), ["b", "c"]);
    // Whoever moved stays there.
    let mut world = alike();
    world.measured(2..4, 100);
    world.measured(4..6, 50);
    assert_eq!(names(&world), ["c", "b"]);
    world.without(&[0]);
    assert_eq!(names(&world), ["c", "b"]);
}

#[test]
fn what_was_measured_long_ago_gives_way_to_what_connections_tell_now() {
    let mut world = alike();
    connected(&mut world, 0..2, 1_000);
    connected(&mut world, 2..4, 30_000);
    connected(&mut world, 4..6, 60_000);
    world.measured(0..2, 11);
    world.measured(2..4, 65);
    world.measured(4..6, 75);
    assert_eq!(names(&world), ["a", "b", "c"]);
    // The way to b becomes longer. While its answers are of late they count…
    connected(&mut world, 2..4, 160_000);
    world.pass(50);
    assert_eq!(names(&world), ["a", "b", "c"]);
    assert_eq!(outlook(&world)[1].1, 65.0);
    // …and then the way as it is, with the work that it had.
    world.measured(4..6, 75);
    world.pass(20);
    let regions = outlook(&world);
    assert_eq!(names(&world), ["a", "c", "b"]);
    assert!(
        (regions[2].1 - 195.0).abs() < 1.0 && !regions[2].3 && regions[1].3,
        "{regions:?}"
    );
    // An answer is better than that.
    world.measured(2..4, 66);
    assert!(outlook(&world)[2].3, "{:?}", outlook(&world));
    // Where nobody connects, what was measured once is all there is.
    let mut world = alike();
    world.measured(2..4, 45);
    world.pass(100);
    assert_eq!(names(&world), ["b"]);
    assert_eq!(outlook(&world)[0].1, 45.0);
}

#[test]
fn what_is_expected_of_a_region_may_be_off_by_as_much_as_others_are_unlike() {
    // The work elsewhere is 10, 20 and 40 ms, by medians of regions: of another one that is 20, give or take 2 × 1.4826 times what
    // the others are off it: 10 and 20, or 10, 10, 10, 0, 0, 20, 20 and 20.
    for (regions, error) in [(3usize, 59.3), (9, 29.65)] {
        let names: Vec<String> = (0..=regions).map(|n| format!("r{n}")).collect();
        let places: Vec<_> = names.iter().map(|name| (&**name, "", 0)).collect();
        let mut world = World::new(from(&["r0"]), &places);
        connected(&mut world, 0..regions + 1, 1_000);
        for n in 0..regions {
            world.measured(n as u32..n as u32 + 1, 1 + (10 << (n % 3)));
        }
        let all = outlook(&world);
        let last = all.iter().find(|region| !region.3).unwrap();
        assert!((last.1 - 21.0).abs() < 0.5, "{regions}: {last:?}");
        assert!((last.2 - error).abs() < 0.5, "{regions}: {last:?}");
    }
}

#[test]
fn what_the_strategy_within_learns_is_told_by_place() {
    let places = three_regions();
    let mut settings = from(&["eu", "a"]);
    settings.within = Box::new(StrategyName::resource_aware.into());
    let mut world = World::new(settings, &places);
    world.reported(0..places.len(), 0.4);
    world.pass(1);
    let (mut weights, mut forecasts) = (Vec::new(), 0);
    world.picker.learned(&mut |learned| match learned {
        Learned::ResourceWeight {
            resource: "cpu",
            weight,
            place,
            ..
        } => weights.push((place.unwrap_or("all").to_owned(), weight)),
        Learned::ResourceForecast { resource: "cpu", .. } => forecasts += 1,
        _ => {}
    });
    // Of the home region its two rings; each instance once.
    let named: Vec<_> = weights.iter().map(|(place, _)| &**place).collect();
    let mut others: Vec<_> = places
        .iter()
        .map(|place| place.0)
        .filter(|place| *place != "eu")
        .collect();
    others.sort_unstable();
    others.dedup();
    assert_eq!(named, [&["all", "eu", "eu/a"], &*others].concat());
    assert!(weights.iter().all(|(_, weight)| *weight == 0.4), "{weights:?}");
    assert_eq!(forecasts, places.len());
}

#[test]
fn what_is_wrong_about_a_way_does_not_even_out_over_those_who_share_it() {
    let places: Vec<_> = ["a"]
        .into_iter()
        .chain(["b"; 9])
        .map(|region| (region, "", 0))
        .collect();
    let world = World::new(from(&["a"]), &places);
    for member in world.members[1..].iter().flatten() {
        (0..20).for_each(|n| member.stats().distance().observe(Nanos::from_millis(20 + n % 3)));
    }
    world.picker.refresh(world.cx.now);
    let (_, error) = world.members[1]
        .as_ref()
        .unwrap()
        .stats()
        .distance()
        .get()
        .unwrap();
    assert!(
        (outlook(&world)[0].2 - f64::from(error) / 1e6).abs() < 0.01,
        "{:?}",
        outlook(&world)
    );
}
