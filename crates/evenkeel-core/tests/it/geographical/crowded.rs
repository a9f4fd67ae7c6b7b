//! Load that spills over though nobody said how much a region can take.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// Instances with one worker and a queue, exponential times of 10 ms, and ways of so many ms to the three regions.
struct Fleet {
    world: World,
    rng: Rng,
    /// When each instance is done with what it has.
    free: Vec<u64>,
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    open: Vec<Option<evenkeel_core::Lease>>,
    due: f64,
    looked: u64,
}

const WAYS: [u64; 3] = [0, 5_000_000, 30_000_000];

impl Fleet {
    fn new(within: StrategyName) -> Self {
        let strategy = Geographical {
            within: Box::new(within.into()),
            from: vec!["eu".into()],
            ..Geographical::default()
        };
        let world = World::new(strategy, &three_regions());
        let start = world.cx.now.0;
        Self {
            world,
            rng: Rng::new(11),
            free: vec![start; 12],
            ends: BinaryHeap::new(),
            open: Vec::new(),
            due: start as f64,
            looked: start,
        }
    }

    /// The part of the requests that stay at home, and their mean time in ms, at this part of what home can do.
    fn run(&mut self, load: f64, seconds: u64) -> (f64, f64) {
        let end = self.due + seconds as f64 * 1e9;
        let (mut home, mut all, mut sum) = (0.0, 0.0, 0.0);
        while self.due < end {
            self.due += -(1.0 - self.rng.unit()).ln() * 10e6 / (4.0 * load);
            let now = self.due as u64;
            while let Some(Reverse((time, id))) = self.ends.peek().copied() {
                if time > now {
                    break;
                }
                self.ends.pop();
                let ended = self.open[id].take().unwrap();
                let took = Nanos(time).since(ended.started());
                let _ = ended.finish(&Outcome::from_status(200, took), Nanos(time));
            }
            self.world.cx.now = Nanos(now);
            if now - self.looked >= 1_000_000_000 {
                self.looked = now;
                self.world.picker.refresh(Nanos(now));
            }
            let slot = self
                .world
                .picker
                .pick(&PickRequest::default(), &mut self.world.cx)
                .unwrap();
            let (at, way) = (slot.0 as usize, WAYS[slot.0 as usize / 4]);
            let work = -(1.0 - self.rng.unit()).ln() * 10e6;
            self.free[at] = self.free[at].max(now) + work as u64;
            let back = self.free[at] + way;
            self.ends.push(Reverse((back, self.open.len())));
            self.open.push(lease(&self.world.candidates, slot, Nanos(now)));
            all += 1.0;
            sum += (back - now) as f64 / 1e6;
            home += f64::from(u32::from(way == 0));
        }
        (home / all, sum / all)
    }
}

#[test]
fn a_healthy_region_spills_nothing_whatever_chance_does() {
    for within in [
        StrategyName::adaptive,
        StrategyName::power_of_two,
        StrategyName::round_robin,
    ] {
        let mut fleet = Fleet::new(within);
        for load in [0.1, 0.7, 0.3, 0.7] {
            let (home, time) = fleet.run(load, 120);
            // Eight probes in two minutes.
            let abroad = (1.0 - home) * 400.0 * load * 120.0;
            assert!(abroad < 30.0, "{within} at {load}: {abroad}, {time} ms");
        }
    }
}

#[test]
fn load_spills_over_before_overload_though_nobody_said_where_that_is() {
    for within in [StrategyName::adaptive, StrategyName::power_of_two] {
        let mut fleet = Fleet::new(within);
        let _ = fleet.run(0.5, 60);
        // A fifth more than home can do. In a minute without spill-over the last would wait ten seconds.
        let onset = fleet.run(1.2, 30);
        let (home, time) = fleet.run(1.2, 120);
        assert!(
            (0.5..0.83).contains(&home),
            "{within}: {home}, {time} ms, {onset:?}"
        );
        assert!(time < 100.0 && onset.1 < 400.0, "{within}: {time} ms, {onset:?}");
        // Three times as much: home does what it can, and the next region the rest.
        let _ = fleet.run(1.8, 30);
        let (home, time) = fleet.run(1.8, 120);
        assert!(
            (0.3..0.56).contains(&home) && time < 150.0,
            "{within}: {home}, {time} ms"
        );
        // And back.
        let _ = fleet.run(0.5, 60);
        let (home, time) = fleet.run(0.5, 60);
        assert!(home > 0.999 && time < 20.0, "{within}: {home}, {time} ms");
    }
}

#[test]
fn who_starts_amid_a_crowd_sees_it_and_slow_regions_are_no_crowds() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(0..4, 2000);
    world.measured(4..8, 20);
    world.pass(30);
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[0.1, 0.9, 0.0]), "{parts:?}");
    // One sick instance of four is no crowd, nor is a region that takes three times as long as the next one, as ever.
    for (sick, well) in [(1, 20), (4, 60)] {
        let mut world = World::new(from(&["eu"]), &three_regions());
        world.measured(0..4, well);
        world.measured(4..8, 20);
        if sick == 1 {
            (0..20).for_each(|_| world.measured(0..1, 2000));
        }
        world.pass(100);
        assert_eq!(world.parts(&one(0..4)), [1.0], "{sick}");
    }
    // Nor is what all regions suffer alike, or one whose neighbours nobody knows.
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(0..12, 20);
    (0..100).for_each(|_| world.measured(0..12, 400));
    world.pass(30);
    assert_eq!(world.parts(&one(0..4)), [1.0]);
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(0..4, 20);
    (0..100).for_each(|_| world.measured(0..4, 400));
    world.pass(30);
    assert_eq!(world.parts(&one(0..4)), [1.0]);
}
