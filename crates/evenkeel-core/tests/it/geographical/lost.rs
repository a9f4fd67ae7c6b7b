//! A region that goes away: before anybody noticed, and what becomes of those that take over.

use super::*;

impl World {
    fn failed(&self, slots: std::ops::Range<u32>, times: u32) {
        for slot in slots {
            for _ in 0..times {
                let lease = lease(&self.candidates, Slot(slot), self.cx.now).unwrap();
                let _ = lease.finish(&Outcome::failed(Nanos(20_000)), self.cx.now);
            }
        }
    }

    /// Each connects in so many ms.
    fn connected(&self, slots: std::ops::Range<usize>, ms: u64) {
        for member in self.members[slots].iter().flatten() {
            (0..10).for_each(|_| member.stats().distance().observe(Nanos::from_millis(ms)));
        }
    }

    /// Of 1000 second tries after one at slot 0, how many go to each region.
    fn second_tries(&mut self) -> [u32; 3] {
        let mut counts = [0; 3];
        for _ in 0..1000 {
            let request = PickRequest {
                tried: &[Slot(0)],
                ..PickRequest::default()
            };
            let slot = self.picker.pick(&request, &mut self.cx).unwrap();
            counts[slot.0 as usize / 4] += 1;
        }
        counts
    }
}

#[test]
fn a_second_try_leaves_a_region_of_which_most_failed() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(0..12, 20);
    world.failed(0..2, 1);
    assert_eq!(world.second_tries(), [1000, 0, 0], "two of four");
    world.failed(2..3, 1);
    assert_eq!(world.second_tries()[0], 0, "three of four");
    // First tries stay until it is measured, and they say when it is over.
    assert_eq!(world.parts(&one(0..4)), [1.0]);
    world.measured(1..3, 20);
    assert_eq!(world.second_tries(), [1000, 0, 0]);
}

#[test]
fn of_many_a_few_are_looked_at() {
    let mut places = vec![("eu", "", 0); 100];
    places.push(("us", "", 0));
    let mut world = World::new(from(&["eu"]), &places);
    world.measured(0..101, 20);
    let at_home = |world: &mut World| {
        let request = PickRequest {
            tried: &[Slot(0)],
            ..PickRequest::default()
        };
        world.picker.pick(&request, &mut world.cx).unwrap().0 < 100
    };
    world.failed(0..40, 1);
    assert!(at_home(&mut world));
    world.failed(40..80, 1);
    assert!(!at_home(&mut world));
}

#[test]
fn those_that_fell_are_missing_until_they_answer_or_are_forgiven() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    (0..10).for_each(|_| world.measured(0..12, 20));
    world.failed(0..2, 3);
    world.pass(1);
    // Half of it is left.
    let parts = world.parts(&one(0..4));
    assert!(close(&parts, &[0.7]), "{parts:?}");
    world.failed(2..4, 3);
    world.pass(1);
    // All of it fell: one in twenty sees whether it is back.
    let parts = world.parts(&one(0..4));
    assert!((0.03..0.07).contains(&parts[0]), "{parts:?}");
    let mut again = world.rebuilt();
    assert!((0.03..0.07).contains(&again.parts(&one(0..4))[0]));
    // A check or an operator said that they are well.
    for member in again.members[0..4].iter().flatten() {
        member.stats().forgive();
    }
    again.pass(5);
    assert_eq!(again.parts(&one(0..4)), [1.0]);
    // Where all regions fell there is nowhere better to go.
    again.failed(0..12, 3);
    again.pass(5);
    assert_eq!(again.parts(&one(0..4)), [1.0]);
    again.measured(0..12, 20);
    again.pass(5);
    assert_eq!(again.parts(&one(0..4)), [1.0]);
}

impl World {
    fn rebuilt(mut self) -> Self {
        self.rebuild();
        self
    }

    /// A hundred requests a second, answered by the first region, for so long.
    fn serve(&mut self, seconds: u32) {
        for _ in 0..seconds {
            (0..25).for_each(|_| self.measured(0..4, 10));
            self.pass(1);
        }
    }
}

/// Three regions, of which the first had a hundred requests a second, is lost, and `us`, where they are guests now, takes so
/// many ms, 30 of which are the way, where it took 40.
fn lost(home: Geographical, ms: u64) -> World {
    let mut world = World::new(home, &three_regions());
    world.connected(0..4, 1);
    world.connected(4..8, 30);
    world.connected(8..12, 60);
    world.measured(4..8, 40);
    world.measured(8..12, 70);
    for second in 0..20u32 {
        (0..25).for_each(|_| world.measured(0..4, 10));
        // The rate is that of all regions, and of members that come and go.
        world.without(&[second % 4]);
        world.pass(1);
    }
    world.without(&[0, 1, 2, 3]);
    (0..300).for_each(|_| world.measured(4..8, ms));
    world
}

#[test]
fn a_region_that_takes_long_has_room_for_guests_by_how_many_they_are() {
    for home in [false, true] {
        let mut world = lost(from(&["eu"]), 55);
        world.pass(1);
        // Some 600 a second, 46 ms each, and what chance makes of that.
        let region = home.then_some("us");
        let here = world.parts_from(region, &THREE)[1];
        assert!(here > 0.8, "{here}");
        (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 7));
        let here = world.parts_from(region, &THREE)[1];
        assert!(here > 0.8, "{here}");
        (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 10));
        let expected = if home { [0.0, 1.0, 0.0] } else { [0.0, 0.0, 1.0] };
        assert_eq!(world.parts_from(region, &THREE), expected);
        // Also in the next view before anybody measured.
        world.picker = world.strategy.rebuild(&*world.picker, &world.candidates, 1);
        assert_eq!(world.parts_from(region, &THREE), expected);
    }
    // Nobody needs to guess where it is said.
    let strategy = Geographical {
        capacity_per_weight: Some(100),
        ..from(&["eu"])
    };
    let mut world = lost(strategy, 55);
    world.pass(1);
    (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 70));
    assert!(world.parts(&THREE)[1] > 0.8);
}

#[test]
fn what_is_in_flight_counts_only_while_work_takes_long() {
    // Bodies that take their time, or a burst after a pause: work is what it was.
    for idle in [0, 300] {
        let mut world = lost(from(&["eu"]), 40);
        world.pass(idle);
        (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 500));
        assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
    }
}

#[test]
fn what_takes_longer_everywhere_is_no_reason_to_go() {
    let mut world = lost(from(&["eu"]), 100);
    world.pass(10);
    let few = world.parts(&THREE)[1];
    assert!(few < 0.8, "{few}");
    (0..300).for_each(|_| world.measured(8..12, 130));
    for _ in 0..40 {
        (0..25).for_each(|_| world.measured(4..8, 100));
        world.pass(1);
    }
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
    // A hundred a second, 30 ms of way and 70 of work: 10 in flight, 20 by chance. By the work of calm hours they were 12.
    (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 4));
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
    (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 2));
    assert_eq!(world.parts(&THREE), [0.0, 0.0, 1.0]);
}

#[test]
fn guests_give_way_while_work_takes_longer_than_in_calm_hours() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.connected(0..4, 1);
    world.connected(4..8, 30);
    world.measured(4..8, 40);
    world.serve(20);
    world.without(&[0, 1, 2, 3]);
    world.pass(10);
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
    // A little longer than it may, but no more than the way may be off: at rest. Two and a half times as long: by and by less.
    (0..300).for_each(|_| world.measured(4..8, 47));
    world.pass(10);
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
    (0..300).for_each(|_| world.measured(4..8, 55));
    world.pass(3);
    let few = world.parts(&THREE)[1];
    assert!((0.5..0.95).contains(&few), "{few}");
    world.pass(3);
    let fewer = world.parts(&THREE)[1];
    assert!(fewer < few - 0.05, "{few} {fewer}");
    // Those at home have nowhere better to go.
    assert_eq!(world.parts_from(Some("us"), &THREE), [0.0, 1.0, 0.0]);
    // It is known in the next view, and does not fall to nothing, or nobody would see the end.
    world.rebuild();
    assert!((world.parts(&THREE)[1] - fewer).abs() < 0.03);
    world.pass(60);
    assert!((0.07..0.13).contains(&world.parts(&THREE)[1]));
    (0..300).for_each(|_| world.measured(4..8, 40));
    world.pass(20);
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
}

#[test]
fn calm_work_of_a_region_that_few_asked_is_that_of_the_one_that_answered_most() {
    // One answer each of 40 ms, of which 30 are the way; at home it is 19 ms of work.
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.connected(0..4, 1);
    world.connected(4..8, 30);
    world.measured(4..8, 40);
    for _ in 0..400 {
        world.measured(0..4, 20);
        world.pass(1);
    }
    world.without(&[0, 1, 2, 3]);
    (0..300).for_each(|_| world.measured(4..8, 55));
    world.pass(10);
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
    (0..300).for_each(|_| world.measured(4..8, 75));
    world.pass(10);
    assert!(world.parts(&THREE)[1] < 0.9);
}
