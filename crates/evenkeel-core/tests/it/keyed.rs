//! The strategies that hash: a key stays where it is, and who must move is spread.

use evenkeel_core::strategy::{ConsistentHash, Geographical, Maglev, TableSize};
use evenkeel_core::testing::{Place, add_load, candidates, candidates_at};
use evenkeel_core::{
    Candidates, Effect, HashKeys, HashSecret, HashSettings, Instance, LoadFactor, Nanos, Operation,
    PickContext, PickRequest, Picker, Rng, ServiceSettings, ServiceState, Slot, Strategy, StrategyName,
    StrategySettings,
};

use crate::conformance::build;
use crate::statistics::assert_by_weight;

const ROWS: [StrategyName; 3] = [
    StrategyName::consistent_hash,
    StrategyName::maglev,
    StrategyName::rendezvous,
];
const KEYS: u64 = 20_000;

/// A row with bounded load.
fn bounded(name: StrategyName, factor: u32) -> StrategySettings {
    let mut settings = StrategySettings::from(name);
    match &mut settings {
        StrategySettings::consistent_hash(s) => s.hash.bounded_load = LoadFactor::from_percent(factor),
        StrategySettings::maglev(s) => s.hash.bounded_load = LoadFactor::from_percent(factor),
        StrategySettings::rendezvous(s) => s.hash.bounded_load = LoadFactor::from_percent(factor),
        other => panic!("{other:?} does not hash"),
    }
    settings
}

fn keys() -> impl Iterator<Item = u64> {
    let mut rng = Rng::new(77);
    (0..KEYS).map(move |_| rng.next_u64())
}

fn owner(picker: &dyn Picker, key: u64, tried: &[Slot]) -> Slot {
    let request = PickRequest {
        tried,
        key: Some(key.into()),
        region: None,
    };
    // Another context each time: nothing but the key may decide.
    picker.pick(&request, &mut PickContext::new(key)).unwrap()
}

fn owners(picker: &dyn Picker) -> Vec<Slot> {
    keys().map(|key| owner(picker, key, &[])).collect()
}

/// Members by weight, those in `out` no candidates.
fn fleet(weights: &[u32], out: &[u32]) -> Candidates {
    let places: Vec<Place> = (0..)
        .zip(weights)
        .map(|(slot, weight)| match *weight {
            0 => Place::Hole,
            weight if out.contains(&slot) => Place::Excluded(weight),
            weight => Place::Candidate(weight),
        })
        .collect();
    candidates_at(&places).unwrap()
}

fn counts(owners: &[Slot], n: usize) -> Vec<u32> {
    let mut counts = vec![0; n];
    owners.iter().for_each(|slot| counts[slot.0 as usize] += 1);
    counts
}

#[test]
fn an_ejection_moves_no_other_key_and_spreads_its_own() {
    let weights = [vec![1; 20], (0..20).map(|i| 1 + i % 4).collect::<Vec<u32>>()];
    for (name, weights) in ROWS
        .into_iter()
        .flat_map(|name| weights.clone().map(|w| (name, w)))
    {
        let all = owners(&*build(name, &fleet(&weights, &[]), 1));
        let (one, two) = (fleet(&weights, &[7]), fleet(&weights, &[7, 12]));
        let picker = build(name, &fleet(&weights, &[]), 1);
        let without = owners(&*name.strategy().rebuild(&*picker, &one, 2));
        let fewer = owners(&*build(name, &two, 3));
        let mut heirs = vec![0; 20];
        for ((before, after), then) in all.iter().zip(&without).zip(&fewer) {
            if *before == Slot(7) {
                assert_ne!(after, before, "{name}");
                heirs[after.0 as usize] += 1;
            } else {
                assert_eq!(after, before, "{name}");
            }
            if *after != Slot(12) {
                assert_eq!(then, after, "{name}: the second ejection moved a key of another");
            }
        }
        // By weight over the others, not onto a neighbour: each gets its share to within what chance and the
        // ring's own shares leave.
        let total: u32 = weights.iter().sum::<u32>() - weights[7];
        let moved: u32 = heirs.iter().sum();
        for (slot, weight) in weights.iter().enumerate().filter(|(slot, _)| *slot != 7) {
            let share = f64::from(*weight) / f64::from(total) * f64::from(moved);
            let bound = share + 6.0 * (share + share * share / 160.0).sqrt();
            assert!(f64::from(heirs[slot]) <= bound, "{name}: {heirs:?}");
        }
        // All return: everything is as before.
        let picker = build(name, &two, 4);
        let back = name.strategy().rebuild(&*picker, &fleet(&weights, &[]), 5);
        assert_eq!(owners(&*back), all, "{name}");
    }
}

#[test]
fn a_change_of_members_moves_little() {
    for name in ROWS {
        for n in [10u32, 50, 200] {
            let weights = vec![1; n as usize + 1];
            let mut fewer = weights.clone();
            fewer[n as usize / 2] = 0;
            let (with, without) = (fleet(&weights, &[]), fleet(&fewer, &[]));
            let (a, b) = (build(name, &with, 1), build(name, &without, 1));
            let (before, after) = (owners(&*a), owners(&*b));
            let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count() as f64 / KEYS as f64;
            let of_others = before
                .iter()
                .zip(&after)
                .filter(|(a, b)| a != b && **a != Slot(n / 2))
                .count() as f64
                / KEYS as f64;
            let least = 1.0 / f64::from(n + 1);
            // Six deviations of the share itself: on a ring of 160 points each, and of the keys drawn.
            let chance = 6.0 * (least * (1.0 / (160.0 * f64::from(n + 1)) + 1.0 / KEYS as f64)).sqrt();
            if name == StrategyName::maglev {
                assert!(moved <= 3.0 * least + chance, "{n}: {moved}");
            } else {
                assert_eq!(of_others, 0.0, "{name}: only keys of the one that left move");
                assert!(moved <= 1.05 * least + chance, "{name} {n}: {moved}");
            }
            // The change of a table is the table made anew.
            let strategy = name.strategy();
            let (grown, shrunk) = (
                strategy.rebuild(&*b, &with, 1),
                strategy.rebuild(&*a, &without, 1),
            );
            assert_eq!(owners(&*grown), before, "{name}");
            assert_eq!(owners(&*shrunk), after, "{name}");
        }
    }
}

#[test]
fn the_seed_does_not_matter_nor_does_the_release() {
    let weights: Vec<u32> = (0..40).map(|i| 1 + i % 3).collect();
    let first = ROWS.map(|name| owners(&*build(name, &fleet(&weights, &[]), 1))[..4].to_vec());
    let expected = [[21, 38, 21, 37], [30, 37, 20, 19], [39, 34, 13, 2]];
    assert_eq!(first, expected.map(|slots| slots.map(Slot).to_vec()));
    // Once and for all: a change here moves keys with a release. Sixty keys each, without weights and with.
    let golden = include_str!("golden/own.txt").lines();
    let mut golden = golden.filter(|line| !line.starts_with('#'));
    for name in ROWS {
        for weights in [vec![1; 36], (0..36).map(|i| 1 + i % 3).collect::<Vec<u32>>()] {
            let one = owners(&*build(name, &fleet(&weights, &[]), 1));
            assert_eq!(one, owners(&*build(name, &fleet(&weights, &[]), 2)), "{name}");
            let seen: Vec<String> = one[..60].iter().map(|slot| slot.0.to_string()).collect();
            assert_eq!(Some(&*seen.join(" ")), golden.next(), "{name} {weights:?}");
        }
    }
}

/// Nobody goes without places, however small the table that was asked for.
#[test]
fn tables_grow_with_the_fleet() {
    let name = |size| Maglev {
        table_size: TableSize::new(size).unwrap(),
        ..Maglev::default()
    };
    for (size, n, grown) in [
        (1021, 102, 1021),
        (1021, 103, 2039),
        (1021, 2000, 32_749),
        (65_537, 6553, 65_537),
    ] {
        assert_eq!(name(size).table_size.for_instances(n).get(), grown);
        let service = fleet(&vec![1; n as usize], &[]);
        let picker = name(size).build(&service, 1);
        let mut reached = vec![false; n as usize];
        // Every place: what is left of a word.
        (0..u64::from(grown)).for_each(|key| reached[owner(&*picker, key, &[]).0 as usize] = true);
        assert!(reached.iter().all(|reached| *reached), "{size} {n}");
    }
    assert_eq!(TableSize::default().for_instances(100_000).get(), 1_048_573);
    assert_eq!(
        TableSize::default().for_instances(u64::MAX / 100).get(),
        5_000_011
    );
    // Envoy's has the size it has: more instances than places are refused.
    let envoy = |size| Maglev {
        envoy: true,
        ..name(size)
    };
    assert_eq!(envoy(1021).suits(1021, 1), Ok(()));
    let refused = envoy(1021).suits(1022, 1).unwrap_err();
    assert!(
        refused.contains("1022") && refused.contains("table_size"),
        "{refused}"
    );
    assert_eq!(name(1021).suits(100_000, 1), Ok(()));
}

/// Whoever builds the service, and whether the strategy is its first: the name makes the key, unless there is a secret.
#[test]
fn services_are_keyed_by_their_names() {
    let instances =
        || (0..40u16).map(|n| Instance::new(&format!("i{n}"), ([127, 0, 0, 1], 1 + n).into()).unwrap());
    let instances = || instances().collect::<Vec<_>>();
    let state = |settings: ServiceSettings| ServiceState::new(settings, instances(), 1, Nanos::ZERO).unwrap();
    let with = |name: &str, strategy: StrategySettings| ServiceSettings {
        strategy,
        ..ServiceSettings::new(name)
    };
    let places = |state: &ServiceState| -> Vec<Slot> {
        let view = state.view();
        let hash = view.request_key().unwrap().hash;
        let key = |key: u64| Some(hash.hash(&key.to_le_bytes()));
        let mut request = PickRequest::default();
        let pick = |n| {
            request.key = key(n);
            view.choose(&request, &mut PickContext::new(1)).unwrap()
        };
        (0..2000).map(pick).collect()
    };
    let keys = |secret| HashKeys {
        secret,
        rotation: None,
    };
    let within = |name: StrategyName| {
        StrategySettings::geographical(Geographical {
            within: Box::new(name.into()),
            ..Geographical::default()
        })
    };
    for (name, plain) in ROWS
        .into_iter()
        .flat_map(|name| [(name, name.into()), (name, within(name))])
    {
        let by_name = keys(HashSecret::new(None, "web"));
        let expected = places(&state(with("web", plain.clone().keyed_by(by_name))));
        let mut bare = state(with("web", plain.clone()));
        assert_eq!(places(&bare), expected, "{name}: as the file would have it");

        let different = |other: &[Slot], what: &str| {
            let same = other.iter().zip(&expected).filter(|(a, b)| a == b).count();
            assert!(same < 200, "{name}: {what}: {same} of 2000");
        };
        different(&places(&state(with("api", plain.clone()))), "another name");
        let own = keys(HashSecret::new(Some(b"a secret of its own"), "web"));
        let of_secret = places(&state(with("web", plain.clone().keyed_by(own))));
        different(&of_secret, "a secret");
        let above = ServiceSettings {
            hash_keys: Some(own),
            ..with("web", plain.clone())
        };
        assert_eq!(
            places(&state(above)),
            of_secret,
            "{name}: the service's own secret"
        );

        // Switched away and back, and replaced.
        for strategy in [StrategyName::random.into(), plain.clone()] {
            bare.operate(Operation::SetStrategy(strategy), Nanos::ZERO)
                .unwrap();
        }
        assert_eq!(places(&bare), expected, "{name}: switched");
        let again = bare.operate(Operation::SetStrategy(plain.clone()), Nanos::ZERO);
        assert_eq!(again, Ok(Effect::Unchanged), "{name}");
        bare.replace(with("web", plain.clone()), instances(), Nanos::ZERO)
            .unwrap();
        assert_eq!(places(&bare), expected, "{name}: replaced");
    }
}

#[test]
fn secrets_make_other_tables() {
    let service = fleet(&[1; 40], &[]);
    let with = |secret: &[u8]| {
        let hash = HashSettings {
            secret: HashSecret::new(Some(secret), "web"),
            ..Default::default()
        };
        let settings = [
            StrategySettings::consistent_hash(ConsistentHash {
                hash: hash.clone(),
                ..Default::default()
            }),
            StrategySettings::rendezvous(evenkeel_core::strategy::Rendezvous { hash: hash.clone() }),
            StrategySettings::maglev(evenkeel_core::strategy::Maglev {
                hash,
                ..Default::default()
            }),
        ];
        settings.map(|settings| owners(&*settings.strategy().build(&service, 1)))
    };
    let (one, two) = (with(b"one"), with(b"two"));
    for (a, b) in one.iter().zip(&two) {
        let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
        assert!(
            same < KEYS as usize / 20,
            "{same} of {KEYS} keys at the same instance"
        );
    }
}

#[test]
fn bounded_load_bounds_exactly() {
    let weights: Vec<u32> = (0..30).map(|i| 1 + i % 3).collect();
    let total: u32 = weights.iter().sum();
    for name in ROWS {
        for factor in [110, 125, 200] {
            let service = fleet(&weights, &[4, 5]);
            let picker = bounded(name, factor).strategy().build(&service, 1);
            let total = total - weights[4] - weights[5];
            let mut rng = Rng::new(3);
            for m in 0..3000u64 {
                // One key in three is the same: a hot one.
                let key = if rng.below(3) == 0 { 42 } else { rng.next_u64() };
                let slot = owner(&*picker, key, &[]);
                add_load(&service, slot, 1);
                let weight = weights[slot.0 as usize];
                let limit =
                    (u64::from(factor) * (m + 1) * u64::from(weight)).div_ceil(100 * u64::from(total));
                let load = service.loads().get(slot.0);
                assert!(u64::from(load) <= limit, "{name}: {load} of {limit} at {m}");
            }
        }
    }
}

/// Sums are made now and then; what ended since is known after 64 of `m` picks, or a millisecond.
#[test]
fn limits_follow_what_ends() {
    for name in ROWS {
        for waits in [true, false] {
            let service = fleet(&[1; 10], &[]);
            let picker = bounded(name, 125).strategy().build(&service, 1);
            let mut cx = PickContext::new(1);
            let mut pick = |now: Nanos| {
                cx.now = now;
                let request = PickRequest {
                    key: Some(42.into()),
                    ..PickRequest::default()
                };
                picker.pick(&request, &mut cx).unwrap()
            };
            let home = pick(Nanos::ZERO);
            for slot in 0..10 {
                add_load(&service, Slot(slot), if Slot(slot) == home { 70 } else { 64 });
            }
            let now = Nanos::from_secs(1);
            assert_eq!(pick(now), home, "{name}: ⌈1.25 × 647 / 10⌉ = 81");
            for slot in (0..10).map(Slot).filter(|slot| *slot != home) {
                let member = service.member(slot).unwrap();
                (0..64).for_each(|_| member.load().end());
            }
            if waits {
                assert_ne!(
                    pick(now + Nanos::from_millis(1)),
                    home,
                    "{name}: ⌈1.25 × 71 / 10⌉ = 9"
                );
            } else {
                let late = (0..).take_while(|_| pick(now) == home).count();
                assert!(late <= 646 / 64, "{name}: {late}");
            }
            assert_ne!(pick(now), home, "{name}");
        }
    }
}

#[test]
fn a_full_instance_floods_no_neighbour_and_a_free_one_keeps_its_keys() {
    for name in ROWS {
        let service = fleet(&[1; 20], &[]);
        let picker = bounded(name, 125).strategy().build(&service, 1);
        let idle = owners(&*picker);
        for slot in 0..20 {
            add_load(&service, Slot(slot), if slot == 3 { 100 } else { 50 });
        }
        let after = owners(&*picker);
        let mut heirs = vec![0; 20];
        for (before, after) in idle.iter().zip(&after) {
            match *before {
                Slot(3) => heirs[after.0 as usize] += 1,
                _ => assert_eq!(before, after, "{name}"),
            }
        }
        assert_eq!(heirs[3], 0);
        let most = heirs.iter().max().unwrap();
        let mean = f64::from(heirs.iter().sum::<u32>()) / 19.0;
        assert!(f64::from(*most) < mean * 2.0, "{name}: {heirs:?}");
    }
}

#[test]
fn tried_instances_are_passed_over_and_the_rest_in_a_fixed_order() {
    for name in ROWS {
        let service = fleet(&[2; 6], &[]);
        let picker = build(name, &service, 1);
        for key in keys().take(200) {
            let mut tried = Vec::new();
            for _ in 0..6 {
                let slot = owner(&*picker, key, &tried);
                assert!(!tried.contains(&slot), "{name}");
                assert_eq!(slot, owner(&*picker, key, &tried), "{name}");
                tried.push(slot);
            }
            assert!(
                tried.contains(&owner(&*picker, key, &tried)),
                "{name}: all were tried"
            );
        }
    }
}

#[test]
fn most_of_the_fleet_may_be_out() {
    let out: Vec<u32> = (0..500).filter(|slot| slot % 250 != 7).collect();
    for name in ROWS {
        let service = fleet(&[1; 500], &out);
        let counts = counts(&owners(&*build(name, &service, 1)), 500);
        assert_by_weight(&[counts[7], counts[257]], &[1, 1], name.as_str());
    }
}

#[test]
fn keys_are_spread_by_weight() {
    for name in [StrategyName::maglev, StrategyName::rendezvous] {
        for weights in [vec![1; 50], (1..=20).collect(), vec![65_535, 1000, 1000, 500]] {
            let counts = counts(
                &owners(&*build(name, &candidates(&weights).unwrap(), 1)),
                weights.len(),
            );
            assert_by_weight(&counts, &weights, name.as_str());
        }
    }
}
