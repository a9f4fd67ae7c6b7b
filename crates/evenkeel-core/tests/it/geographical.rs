//! Near first, and what happens when near is full, sick, lost or back.

use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_core::math::Factor;
use evenkeel_core::strategy::{Geographical, Level};
use evenkeel_core::testing::{add_load, lease};
use evenkeel_core::{
    Candidates, Instance, LoadReport, Loads, Member, Nanos, Outcome, PickContext, PickRequest, Picker, Rng,
    Share, Slot, Strategy, StrategyName, Weight,
};

mod abroad;
mod crowded;
mod full;
mod lost;
mod order;

/// Instances `(region, zone, priority)` of weight 1, and a clock.
struct World {
    members: Arc<[Option<Arc<Member>>]>,
    loads: Loads,
    strategy: Geographical,
    candidates: Candidates,
    picker: Box<dyn Picker>,
    cx: PickContext,
}

fn from(levels: &[&str]) -> Geographical {
    Geographical {
        from: levels.iter().map(|level| Arc::from(*level)).collect(),
        probe: false,
        // Splits an idle service by weight, whatever the default does.
        within: Box::new(StrategyName::power_of_two.into()),
        ..Geographical::default()
    }
}

impl World {
    fn new(strategy: Geographical, places: &[(&str, &str, u8)]) -> Self {
        Self::weighing(strategy, places, Weight::ONE)
    }

    fn weighing(strategy: Geographical, places: &[(&str, &str, u8)], weight: Weight) -> Self {
        let loads = Loads::default().with_room_for(places.len());
        let member = |(slot, (region, zone, priority)): (u32, &(&str, &str, u8))| {
            let address = SocketAddr::from(([127, 0, (slot >> 16) as u8, 1], 1 + (slot as u16 >> 1)));
            let mut instance = Instance::new(&format!("i{slot}"), address)
                .unwrap()
                .with_weight(weight)
                .with_priority(*priority);
            instance.region = (!region.is_empty()).then(|| Arc::from(*region));
            instance.zone = (!zone.is_empty()).then(|| Arc::from(*zone));
            let load = loads.slot(slot).unwrap();
            Some(Arc::new(Member::new(instance, Arc::default(), load)))
        };
        let members: Arc<[_]> = (0..).zip(places).map(member).collect();
        let slots: Arc<[Slot]> = (0..places.len() as u32).map(Slot).collect();
        let candidates = Candidates::new(Arc::clone(&members), slots, loads.clone());
        let picker = strategy.build(&candidates, 1);
        let mut cx = PickContext::new(1);
        cx.now = Nanos::from_secs(100);
        picker.refresh(cx.now);
        Self {
            members,
            loads,
            strategy,
            candidates,
            picker,
            cx,
        }
    }

    /// The next view, in which `out` are no candidates.
    fn without(&mut self, out: &[u32]) {
        let out: std::collections::HashSet<&u32> = out.iter().collect();
        let slots = (0..self.members.len() as u32).filter(|slot| !out.contains(slot));
        let slots = slots.map(Slot).collect();
        self.candidates = Candidates::new(Arc::clone(&self.members), slots, self.loads.clone());
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.picker = self.strategy.rebuild(&*self.picker, &self.candidates, 1);
        self.picker.refresh(self.cx.now);
    }

    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.cx.now = self.cx.now + Nanos::from_secs(1);
            self.picker.refresh(self.cx.now);
        }
    }

    fn measured(&mut self, slots: std::ops::Range<u32>, ms: u64) {
        for slot in slots {
            let lease = lease(&self.candidates, Slot(slot), self.cx.now).unwrap();
            let time = Nanos::from_millis(ms);
            let _ = lease.finish(&Outcome::from_status(200, time), self.cx.now);
        }
        self.picker.refresh(self.cx.now);
    }

    fn score(&mut self, slots: std::ops::Range<usize>, score: f32) {
        for member in self.members[slots].iter().flatten() {
            member.stats().set_health(score);
        }
        self.picker.refresh(self.cx.now);
    }

    fn reported(&mut self, slots: std::ops::Range<usize>, cpu: f64) {
        let report = LoadReport::default().with_cpu(cpu).unwrap();
        for member in self.members[slots].iter().flatten() {
            let reported = member.stats().reported();
            assert!(reported.observe(&report, self.cx.now, self.cx.now));
        }
    }

    /// The part of 10,000 picks from `region` that each of `groups` gets.
    fn parts_from(&mut self, region: Option<&str>, groups: &[std::ops::Range<u32>]) -> Vec<f64> {
        let request = PickRequest {
            region,
            ..PickRequest::default()
        };
        let mut counts = vec![0u32; groups.len()];
        for _ in 0..10_000 {
            let slot = self.picker.pick(&request, &mut self.cx).unwrap().0;
            assert!(self.candidates.slots().contains(&Slot(slot)));
            if let Some(group) = groups.iter().position(|group| group.contains(&slot)) {
                counts[group] += 1;
            }
        }
        counts.iter().map(|count| f64::from(*count) / 10_000.0).collect()
    }

    fn parts(&mut self, groups: &[std::ops::Range<u32>]) -> Vec<f64> {
        self.parts_from(None, groups)
    }
}

/// Six standard deviations of a part of 10,000 are at most 0.03.
fn close(parts: &[f64], expected: &[f64]) -> bool {
    parts
        .iter()
        .zip(expected)
        .all(|(part, expected)| (part - expected).abs() < 0.03)
}

/// Four in each of three regions.
fn three_regions() -> Vec<(&'static str, &'static str, u8)> {
    let mut places = vec![("eu", "a", 0), ("eu", "a", 0), ("eu", "b", 0), ("eu", "b", 0)];
    places.extend([("us", "a", 0); 4]);
    places.extend([("asia", "a", 0); 4]);
    places
}

const THREE: [std::ops::Range<u32>; 3] = [0..4, 4..8, 8..12];

/// One group of slots.
fn one(slots: std::ops::Range<u32>) -> [std::ops::Range<u32>; 1] {
    [slots]
}

#[test]
fn the_nearest_ring_takes_everything_while_it_can() {
    let mut world = World::new(from(&["eu", "b"]), &three_regions());
    assert_eq!(world.parts(&one(2..4)), [1.0]);
    // A zone with one of two left keeps 1.4 halves; the next zone has the rest, no other region any.
    world.without(&[2]);
    let parts = world.parts(&[3..4, 0..2, 4..12]);
    assert!(close(&parts, &[0.7, 0.3, 0.0]), "{parts:?}");
    assert_eq!(parts[2], 0.0);
}

#[test]
fn a_client_that_says_where_it_is_goes_by_that() {
    let mut world = World::new(from(&["eu", "b"]), &three_regions());
    assert_eq!(world.parts_from(Some("asia"), &THREE), [0.0, 0.0, 1.0]);
    assert_eq!(world.parts_from(Some("eu"), &one(2..4)), [1.0]);
    assert!(world.picker.knows_region("eu") && !world.picker.knows_region("mars"));
    // Where nobody is, and nowhere, are as good as nothing said.
    assert_eq!(world.parts_from(Some("mars"), &one(2..4)), [1.0]);
    assert_eq!(world.parts_from(Some(""), &one(2..4)), [1.0]);
    let mut world = World::new(from(&[]), &three_regions());
    for unknown in [None, Some("mars")] {
        let parts = world.parts_from(unknown, &THREE);
        assert!(close(&parts, &[1.0 / 3.0; 3]), "{parts:?}");
    }
    assert_eq!(world.parts_from(Some("us"), &THREE), [0.0, 1.0, 0.0]);
    // A balancer where the service has no instance goes to the fastest.
    let mut world = World::new(from(&["mars"]), &three_regions());
    world.measured(0..4, 30);
    world.measured(4..8, 20);
    world.measured(8..12, 40);
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
}

#[test]
fn a_region_that_is_lost_hands_over_to_the_fastest() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(8..12, 40);
    world.without(&[0]);
    assert_eq!(world.parts(&THREE), [1.0, 0.0, 0.0], "three quarters are enough");
    // Half is not; the region that was measured comes before the one that was not.
    world.without(&[0, 1]);
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[0.7, 0.0, 0.3]), "{parts:?}");
    world.measured(4..8, 37);
    let parts = world.parts(&THREE);
    assert!(
        close(&parts, &[0.7, 0.0, 0.3]),
        "a little faster moves nobody: {parts:?}"
    );
    (0..40).for_each(|_| world.measured(4..8, 20));
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[0.7, 0.3, 0.0]), "{parts:?}");
    world.without(&[0, 1, 2, 3]);
    assert_eq!(world.parts(&THREE), [0.0, 1.0, 0.0]);
}

#[test]
fn a_region_that_comes_back_gets_its_traffic_back_by_and_by() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(4..8, 20);
    world.without(&[0, 1, 2, 3]);
    world.pass(60);
    world.without(&[]);
    assert_eq!(world.parts(&THREE)[0], 0.0);
    for fifth in 1..=5 {
        world.pass(1);
        let parts = world.parts(&THREE);
        let back = 0.2 * f64::from(fifth);
        assert!(close(&parts, &[back, 1.0 - back, 0.0]), "{fifth}: {parts:?}");
    }
}

#[test]
fn low_scores_count_like_absence_but_not_when_all_are_low() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(4..8, 20);
    world.score(0..4, 0.5);
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[0.7, 0.3, 0.0]), "{parts:?}");
    for alike in [0.5, 0.1, 0.0] {
        world.score(0..12, alike);
        world.pass(10);
        assert_eq!(world.parts(&THREE), [1.0, 0.0, 0.0], "{alike}");
    }
}

#[test]
fn members_of_a_priority_that_is_not_needed_are_not_missed() {
    let mut places = three_regions();
    places.extend([("eu", "a", 1); 8]);
    let mut world = World::new(from(&["eu"]), &places);
    world.without(&(12..20).collect::<Vec<_>>());
    assert_eq!(world.parts(&one(0..4)), [1.0]);
}

#[test]
fn shares_count_as_capacity_that_is_not_there_yet() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    let mut shares = vec![Share::of(0.5); 4];
    shares.extend([Share::FULL; 8]);
    world.candidates = world.candidates.clone().with_shares(&shares);
    world.rebuild();
    let parts = world.parts(&one(0..4));
    assert!(close(&parts, &[0.7]), "{parts:?}");
}

#[test]
fn what_the_next_region_cannot_take_goes_on() {
    let strategy = Geographical {
        capacity_per_weight: Some(10),
        ..from(&["eu"])
    };
    let mut world = World::new(strategy, &three_regions());
    world.measured(4..8, 20);
    world.measured(8..12, 40);
    world.without(&[0, 1, 2, 3]);
    (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 9));
    // At nine tenths of its capacity it takes half.
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[0.0, 0.5, 0.5]), "{parts:?}");
    // When all are full, all share.
    world.cx.now = world.cx.now + Nanos::from_secs(1);
    (4..8).for_each(|slot| add_load(&world.candidates, Slot(slot), 3));
    (8..12).for_each(|slot| add_load(&world.candidates, Slot(slot), 12));
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[0.0, 0.5, 0.5]), "{parts:?}");
}

#[test]
fn reports_of_overload_move_traffic_slowly_and_lose_their_say() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(4..8, 20);
    world.reported(0..4, 1.0);
    world.pass(10);
    let spilt = world.parts(&THREE);
    assert!(close(&spilt, &[0.8, 0.2, 0.0]), "{spilt:?}");
    // The worse it is the faster.
    world.reported(0..4, 1.5);
    world.pass(5);
    let spilt = world.parts(&THREE)[0];
    assert!((0.40..0.50).contains(&spilt), "{spilt}");
    // A little below the mark nothing changes, well below it returns.
    world.reported(0..4, 0.78);
    world.pass(10);
    assert!((world.parts(&THREE)[0] - spilt).abs() < 0.03);
    world.reported(0..4, 0.2);
    world.pass(15);
    assert_eq!(world.parts(&THREE), [1.0, 0.0, 0.0]);
    // Who reports no more is believed no more.
    world.reported(0..4, 1.0);
    world.pass(90);
    assert!(world.parts(&THREE)[0] < 0.1);
    world.pass(110);
    assert_eq!(world.parts(&THREE), [1.0, 0.0, 0.0]);
}

/// Reports of five seconds ago say what the traffic was then; the region can do two thirds of it.
#[test]
fn traffic_settles_though_reports_are_late() {
    let mut world = World::new(from(&["eu"]), &three_regions());
    world.measured(4..8, 20);
    let mut used = std::collections::VecDeque::from([1.2; 5]);
    let mut parts = Vec::new();
    for _ in 0..300 {
        world.reported(0..4, used.pop_front().unwrap());
        world.pass(1);
        let part = world.parts(&THREE)[0];
        used.push_back(1.2 * part);
        parts.push(part);
    }
    let late = &parts[150..];
    let (least, most) = late.iter().fold((1.0f64, 0.0f64), |(least, most), part| {
        (least.min(*part), most.max(*part))
    });
    assert!(most - least < 0.06, "{least} to {most}");
    assert!((0.60..0.70).contains(&most), "{most}");
}

#[test]
fn other_regions_get_a_request_now_and_then_and_no_more() {
    let probing = Geographical {
        probe: true,
        ..from(&["eu"])
    };
    let mut world = World::new(probing, &three_regions());
    let mut astray = [0; 2];
    for step in 0..60_000u64 {
        world.cx.now = Nanos::from_secs(100) + Nanos::from_millis(step);
        if step % 1000 == 0 {
            world.picker.refresh(world.cx.now);
        }
        let slot = world.picker.pick(&PickRequest::default(), &mut world.cx).unwrap();
        if slot.0 >= 4 {
            // Requests to one region are answered, those to the other are not.
            let answered = slot.0 < 8;
            astray[usize::from(!answered)] += 1;
            if answered {
                let lease = lease(&world.candidates, slot, world.cx.now).unwrap();
                let _ = lease.finish(&Outcome::from_status(200, Nanos(1_000_000)), world.cx.now);
            }
        }
    }
    // Twice in a minute once it is measured, six times while it is not.
    assert!(
        (2..=3).contains(&astray[0]) && (5..=7).contains(&astray[1]),
        "{astray:?}"
    );
}

#[test]
fn labels_may_be_levels_and_be_missing() {
    let mut strategy = from(&["r1"]);
    strategy.levels = vec![Level::Label("rack".into())];
    // Nobody has that label: all are one place, and nobody is at home.
    let mut world = World::new(strategy, &three_regions());
    let parts = world.parts(&THREE);
    assert!(close(&parts, &[1.0 / 3.0; 3]), "{parts:?}");
    // Without a region an instance is somewhere else.
    let mut world = World::new(from(&["eu"]), &[("", "", 0), ("eu", "", 0)]);
    assert_eq!(world.parts(&one(1..2)), [1.0]);
    world.without(&[1]);
    assert_eq!(world.parts(&one(0..1)), [1.0]);
    // No levels at all are one ring.
    let mut strategy = from(&["eu"]);
    strategy.levels.clear();
    let mut world = World::new(strategy, &three_regions());
    assert!(close(&world.parts(&THREE), &[1.0 / 3.0; 3]));
}

#[test]
fn any_strategy_works_within_and_itself_is_the_default() {
    for within in StrategyName::ALL {
        let strategy = Geographical {
            within: Box::new((*within).into()),
            ..from(&["eu", "a"])
        };
        let mut world = World::new(strategy, &three_regions());
        assert_eq!(world.parts(&one(0..2)), [1.0], "{within}");
        let settings = evenkeel_core::StrategySettings::from(*within);
        if *within != StrategyName::geographical {
            assert_eq!(
                world.strategy.request_key().is_some(),
                settings.strategy().request_key().is_some(),
                "{within}"
            );
        }
    }
}

#[test]
fn picks_allocate_nothing_and_settings_at_their_ends_are_safe() {
    for (spill_at, capacity) in [(0.0, 0), (1.0, 1), (1e6, u32::MAX), (f64::NAN, 3)] {
        let strategy = Geographical {
            spill_at: Factor::clamped(spill_at),
            capacity_per_weight: Some(capacity),
            probe: true,
            ..from(&["eu", "b"])
        };
        let mut world = World::new(strategy, &three_regions());
        let request = PickRequest {
            region: Some("us"),
            ..PickRequest::default()
        };
        let used = allocation_counter::measure(|| {
            for step in 0..2000 {
                world.cx.now = Nanos(if step % 7 == 0 { u64::MAX } else { step * 700_000 });
                let request = if step % 2 == 0 {
                    request
                } else {
                    PickRequest::default()
                };
                let slot = world.picker.pick(&request, &mut world.cx).unwrap();
                assert!(slot.0 < 12);
            }
        });
        assert_eq!(used.count_total, 0);
    }
}

#[test]
fn whatever_the_places_only_candidates_are_picked_and_replays_are_alike() {
    let names = ["", "eu", "us", "asia"];
    for seed in 0..60 {
        let run = || {
            let mut rng = Rng::new(seed);
            let mut name = || names[rng.below(4) as usize];
            let places: Vec<_> = (0..1 + seed % 23).map(|_| (name(), name(), 0)).collect();
            let strategy = Geographical {
                capacity_per_weight: (seed % 2 == 0).then_some(2),
                probe: seed % 3 == 0,
                ..from(&[name(), name()])
            };
            let mut world = World::new(strategy, &places);
            let mut picks = Vec::new();
            for _ in 0..5 {
                let n = places.len() as u32;
                let out: Vec<u32> = (0..n).filter(|_| rng.below(3) == 0).collect();
                world.without(&out);
                for step in 0..200 {
                    world.cx.now = world.cx.now + Nanos(rng.below_u64(3_000_000_000));
                    world.picker.refresh(world.cx.now);
                    let request = PickRequest {
                        region: names.get(step % 6).copied(),
                        ..PickRequest::default()
                    };
                    let pick = world.picker.pick(&request, &mut world.cx);
                    let Ok(slot) = pick else {
                        assert!(world.candidates.is_empty());
                        continue;
                    };
                    assert!(world.candidates.slots().contains(&slot));
                    add_load(&world.candidates, slot, rng.below(2));
                    picks.push(slot);
                }
            }
            picks
        };
        assert_eq!(run(), run(), "{seed}");
    }
}

#[test]
fn weights_may_add_up_to_more_than_32_bits() {
    let places: Vec<_> = (0..99_000)
        .map(|slot| (if slot < 66_000 { "eu" } else { "us" }, "", 0))
        .collect();
    let strategy = Geographical {
        within: Box::new(StrategyName::random.into()),
        ..from(&["eu"])
    };
    let mut world = World::weighing(strategy, &places, Weight::new(65_535).unwrap());
    assert_eq!(world.parts(&one(0..66_000)), [1.0]);
    // Half of 4.3 billion is 1.4 halves of what it was.
    world.without(&(0..33_000).collect::<Vec<_>>());
    let parts = world.parts(&[33_000..66_000, 66_000..99_000]);
    assert!(close(&parts, &[0.7, 0.3]), "{parts:?}");
}
