//! Keys that stay in regions: a region that is lost is spread over all others, and nothing else moves.

use std::sync::Arc;

use evenkeel_core::{
    Candidates, HashSecret, HashSettings, Instance, KeyRegions, LoadFactor, Loads, Member, Nanos,
    PickContext, PickRequest, Picker, Rng, Rotation, Slot, StrategyName, StrategySettings, Weight,
};

use crate::statistics::assert_by_weight;

const ROWS: [StrategyName; 3] = [
    StrategyName::consistent_hash,
    StrategyName::maglev,
    StrategyName::rendezvous,
];
const KEYS: usize = 20_000;
const REGIONS: [&str; 4] = ["eu", "us", "asia", ""];

fn by_region(name: StrategyName, regions: KeyRegions) -> StrategySettings {
    with(name, |hash| hash.regions = regions)
}

fn with(name: StrategyName, change: impl FnOnce(&mut HashSettings)) -> StrategySettings {
    let mut settings = StrategySettings::from(name);
    match &mut settings {
        StrategySettings::consistent_hash(s) => change(&mut s.hash),
        StrategySettings::maglev(s) => change(&mut s.hash),
        StrategySettings::rendezvous(s) => change(&mut s.hash),
        other => panic!("{other:?} does not hash"),
    }
    settings
}

/// Members in the region of this index and of this weight, kept from view to view.
struct Fleet {
    members: Arc<[Option<Arc<Member>>]>,
    loads: Loads,
}

impl Fleet {
    /// `each` instances of these weights, in turn, in every one of the first regions.
    fn new(weights: &[u32], each: usize) -> Self {
        let places: Vec<(usize, u32)> = (0..weights.len() * each)
            .map(|slot| (slot % weights.len(), weights[slot % weights.len()]))
            .collect();
        Self::of(&places)
    }

    fn of(places: &[(usize, u32)]) -> Self {
        let loads = Loads::default().with_room_for(places.len());
        let member = |(slot, (region, weight)): (u32, &(usize, u32))| {
            let name = REGIONS[*region];
            let address = ([10, 0, (slot >> 8) as u8, slot as u8], 80).into();
            let mut instance = Instance::new(&format!("i{slot}"), address)
                .unwrap()
                .with_weight(Weight::new(u64::from(*weight)).unwrap());
            instance.region = (!name.is_empty()).then(|| name.into());
            Some(Arc::new(Member::new(
                instance,
                Arc::default(),
                loads.slot(slot).unwrap(),
            )))
        };
        Self {
            members: (0..).zip(places).map(member).collect(),
            loads,
        }
    }

    fn region(&self, slot: Slot) -> usize {
        let instance = self.members[slot.0 as usize].as_ref().unwrap().instance();
        let name = instance.region.as_deref().unwrap_or_default();
        REGIONS.iter().position(|region| *region == name).unwrap()
    }

    /// Its candidates, all but those that are `out`.
    fn without(&self, out: impl Fn(Slot) -> bool) -> Candidates {
        let slots = (0..self.members.len() as u32)
            .map(Slot)
            .filter(|slot| !out(*slot));
        Candidates::new(Arc::clone(&self.members), slots.collect(), self.loads.clone())
    }

    fn all(&self) -> Candidates {
        self.without(|_| false)
    }

    fn regions(&self, owners: &[Slot]) -> Vec<u32> {
        let mut counts = vec![0; REGIONS.len()];
        owners.iter().for_each(|slot| counts[self.region(*slot)] += 1);
        counts
    }
}

fn owners_from(picker: &dyn Picker, region: Option<&str>) -> Vec<Slot> {
    let mut rng = Rng::new(78);
    let pick = |_| {
        let request = PickRequest {
            key: Some(rng.next_u64().into()),
            region,
            ..PickRequest::default()
        };
        picker.pick(&request, &mut PickContext::new(0)).unwrap()
    };
    (0..KEYS).map(pick).collect()
}

fn owners(picker: &dyn Picker) -> Vec<Slot> {
    owners_from(picker, None)
}

#[test]
fn a_lost_region_is_spread_over_all_others_by_weight_and_comes_back() {
    for name in ROWS {
        // Regions of 8 instances each, of weights 1, 2, 3 and 4.
        let fleet = Fleet::new(&[1, 2, 3, 4], 8);
        let strategy = by_region(name, KeyRegions::Spread);
        let strategy = strategy.strategy();
        let whole = strategy.build(&fleet.all(), 1);
        let before = owners(&*whole);
        assert_by_weight(&fleet.regions(&before), &[1, 2, 3, 4], name.as_str());
        // The region of a request does not matter.
        assert_eq!(owners_from(&*whole, Some("us")), before);
        for lost in 0..4 {
            let lame = strategy.rebuild(&*whole, &fleet.without(|slot| fleet.region(slot) == lost), 2);
            let after = owners(&*lame);
            let mut heirs = [0; 4];
            for (before, after) in before.iter().zip(&after) {
                if fleet.region(*before) == lost {
                    heirs[fleet.region(*after)] += 1;
                } else {
                    assert_eq!(before, after, "{name}: a key of another region moved");
                }
            }
            let others: Vec<usize> = (0..4).filter(|region| *region != lost).collect();
            let heirs: Vec<u32> = others.iter().map(|region| heirs[*region]).collect();
            let weights: Vec<u32> = others.iter().map(|region| *region as u32 + 1).collect();
            assert_by_weight(&heirs, &weights, name.as_str());
            let back = strategy.rebuild(&*lame, &fleet.all(), 3);
            assert_eq!(owners(&*back), before, "{name}");
        }
    }
}

#[test]
fn an_instance_that_is_out_moves_its_own_keys_within_its_region() {
    for name in ROWS {
        let fleet = Fleet::new(&[1, 1, 1], 8);
        let strategy = by_region(name, KeyRegions::Spread);
        let strategy = strategy.strategy();
        let whole = strategy.build(&fleet.all(), 1);
        // Two of eight in one region: seven tenths of its share of the keys are within 1.4 times what is left.
        let flap = strategy.rebuild(&*whole, &fleet.without(|slot| [1, 7].contains(&slot.0)), 2);
        let mut heirs = [0; 24];
        for (before, after) in owners(&*whole).iter().zip(&owners(&*flap)) {
            if [1, 7].contains(&before.0) {
                assert_eq!(fleet.region(*after), fleet.region(*before), "{name}");
                heirs[after.0 as usize] += 1;
            } else {
                assert_eq!(before, after, "{name}");
            }
        }
        let heirs: Vec<u32> = (0..24)
            .filter(|slot| slot % 3 == 1 && ![1, 7].contains(slot))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|slot: usize| heirs[slot])
            .collect();
        assert!(heirs.iter().all(|heir| *heir > 0), "{name}: {heirs:?}");
    }
}

#[test]
fn a_region_that_lost_half_keeps_what_it_can_bear() {
    for name in ROWS {
        let fleet = Fleet::new(&[1, 1, 1], 8);
        let strategy = by_region(name, KeyRegions::Spread);
        let whole = strategy.strategy().build(&fleet.all(), 1);
        let out = |slot: Slot| slot.0 < 12 && slot.0.is_multiple_of(3);
        let half = strategy.strategy().rebuild(&*whole, &fleet.without(out), 2);
        let (mut stay, mut leave) = (0u32, 0u32);
        for (before, after) in owners(&*whole).iter().zip(&owners(&*half)) {
            match (out(*before), fleet.region(*after)) {
                (false, _) => assert_eq!(before, after, "{name}"),
                (true, 0) => stay += 1,
                (true, _) => leave += 1,
            }
        }
        // (1.4 × ½ − ½) / (1 − ½)
        assert_by_weight(&[stay, leave], &[4, 6], name.as_str());

        // When all are sick alike, nobody travels.
        let out = |slot: Slot| slot.0 < 12;
        let sick = strategy.strategy().rebuild(&*whole, &fleet.without(out), 3);
        for (before, after) in owners(&*whole).iter().zip(&owners(&*sick)) {
            assert_eq!(fleet.region(*before), fleet.region(*after), "{name}");
        }
    }
}

#[test]
fn the_own_region_comes_first_and_is_spread_when_it_is_lost() {
    for name in ROWS {
        let fleet = Fleet::new(&[1, 2, 3, 4], 8);
        let strategy = by_region(name, KeyRegions::Nearest(Some("us".into())));
        let strategy = strategy.strategy();
        let whole = strategy.build(&fleet.all(), 1);
        let before = owners(&*whole);
        assert!(before.iter().all(|slot| fleet.region(*slot) == 1), "{name}");
        // A request knows better; but not where the service has nobody.
        let from_eu = owners_from(&*whole, Some("eu"));
        assert!(from_eu.iter().all(|slot| fleet.region(*slot) == 0), "{name}");
        for nowhere in ["mars", ""] {
            assert_eq!(owners_from(&*whole, Some(nowhere)), before, "{name}");
        }
        let lame = strategy.rebuild(&*whole, &fleet.without(|slot| fleet.region(slot) == 1), 2);
        let after = owners(&*lame);
        let heirs = fleet.regions(&after);
        assert_by_weight(&[heirs[0], heirs[2], heirs[3]], &[1, 3, 4], name.as_str());
        // Where they go is where they would be for one who is nowhere.
        let nowhere = by_region(name, KeyRegions::Nearest(None));
        let nowhere = nowhere
            .strategy()
            .build(&fleet.without(|slot| fleet.region(slot) == 1), 3);
        assert_eq!(owners(&*nowhere), after, "{name}");
    }
}

#[test]
fn a_region_is_known_where_it_makes_a_difference() {
    for name in ROWS {
        let candidates = Fleet::new(&[1, 2], 4).all();
        let knows = |regions: KeyRegions, rotation: Option<Rotation>| {
            let strategy = with(name, |hash| {
                hash.regions = regions;
                hash.rotation = rotation;
            });
            let picker = strategy.strategy().build(&candidates, 1);
            ["eu", "us", "mars"].map(|region| picker.knows_region(region))
        };
        let rotation = Rotation {
            from: HashSecret::new(Some(b"before"), "web"),
            ends: Nanos::from_secs(700),
            lasts: Nanos::from_secs(600),
        };
        for rotation in [None, Some(rotation)] {
            let nearest = KeyRegions::Nearest(Some("eu".into()));
            assert_eq!(knows(nearest, rotation), [true, true, false], "{name}");
            for regions in [KeyRegions::Ignore, KeyRegions::Spread] {
                assert_eq!(knows(regions, rotation), [true; 3], "{name}");
            }
        }
    }
}

#[test]
fn an_instance_that_comes_takes_keys_and_nobody_else_does() {
    for name in [StrategyName::consistent_hash, StrategyName::rendezvous] {
        let places: Vec<(usize, u32)> = (0..24).map(|slot| (slot % 3, 1)).collect();
        let (few, more) = (Fleet::of(&places), Fleet::of(&[&places[..], &[(1, 1)]].concat()));
        let strategy = by_region(name, KeyRegions::Spread);
        let picker = strategy.strategy().build(&few.all(), 1);
        let grown = strategy.strategy().rebuild(&*picker, &more.all(), 2);
        let (before, after) = (owners(&*picker), owners(&*grown));
        let mut moved = 0.0;
        for (before, after) in before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
        {
            // Its region gets more of the keys, and within that it takes its own.
            assert_eq!(more.region(*after), 1, "{name}: {before:?} to {after:?}");
            moved += 1.0 / KEYS as f64;
        }
        // 1/25 to it, and what its region grows by: 9/25 − 8/24. Six deviations of a share of 1/9 on a ring of 160
        // points each, and of the keys drawn.
        let share: f64 = 1.0 / 25.0 + 9.0 / 25.0 - 8.0 / 24.0;
        let chance = 6.0 * (share * (1.0 / (160.0 * 9.0) + 1.0 / KEYS as f64)).sqrt();
        assert!(moved <= share + chance, "{name}: {moved}");
        assert_eq!(
            owners(&*strategy.strategy().build(&more.all(), 3)),
            after,
            "{name}"
        );
    }
}

#[test]
fn one_region_is_as_none() {
    for name in ROWS {
        let fleet = Fleet::new(&[2], 20);
        let plain = owners(&*StrategySettings::from(name).strategy().build(&fleet.all(), 1));
        for regions in [KeyRegions::Spread, KeyRegions::Nearest(Some("eu".into()))] {
            let strategy = by_region(name, regions);
            assert_eq!(
                owners(&*strategy.strategy().build(&fleet.all(), 1)),
                plain,
                "{name}"
            );
        }
    }
}

#[test]
fn tried_instances_are_passed_over_in_all_regions_and_nothing_is_allocated() {
    for name in ROWS {
        let fleet = Fleet::new(&[1, 1, 1, 1], 2);
        let picker = by_region(name, KeyRegions::Nearest(Some("asia".into())));
        let picker = picker.strategy().build(&fleet.all(), 1);
        let mut cx = PickContext::new(1);
        for key in 0..200u64 {
            let mut tried = Vec::with_capacity(9);
            for attempt in 0..9 {
                let request = PickRequest {
                    tried: &tried,
                    key: Some((key << 40 | key).into()),
                    ..PickRequest::default()
                };
                let mut slot = Err(evenkeel_core::NoPick::Empty);
                let used = allocation_counter::measure(|| slot = picker.pick(&request, &mut cx));
                assert_eq!(used.count_total, 0, "{name}");
                let slot = slot.unwrap();
                // The home region first, and all of them before anybody again.
                assert!(attempt >= 2 || fleet.region(slot) == 2, "{name}");
                assert_eq!(tried.contains(&slot), attempt == 8, "{name}: {attempt}");
                tried.push(slot);
            }
        }
    }
}

#[test]
fn bounded_load_counts_within_a_region() {
    for name in ROWS {
        let fleet = Fleet::new(&[1, 1, 1], 10);
        let strategy = with(name, |hash| {
            hash.regions = KeyRegions::Nearest(Some("eu".into()));
            hash.bounded_load = LoadFactor::from_percent(125);
        });
        let all = fleet.all();
        let picker = strategy.strategy().build(&all, 1);
        let mut cx = PickContext::new(1);
        for m in 0..500u64 {
            let request = PickRequest {
                key: Some(42.into()),
                ..PickRequest::default()
            };
            let slot = picker.pick(&request, &mut cx).unwrap();
            assert_eq!(
                fleet.region(slot),
                0,
                "{name}: load does not push a key out of its region"
            );
            all.member(slot).unwrap().load().start();
            assert!(
                u64::from(all.loads().get(slot.0)) <= (125 * (m + 1)).div_ceil(1000),
                "{name}"
            );
        }
    }
}
