//! A secret that takes over from another: keys move by and by, each once, and to where the new one puts them.

use evenkeel_core::strategy::{ConsistentHash, Maglev, RingKind};
use evenkeel_core::testing::candidates;
use evenkeel_core::{
    HashKeys, HashSecret, Instance, KeyHash, KeyRegions, Nanos, Operation, PickContext, PickRequest, Picker,
    Rotation, ServiceSettings, ServiceState, Slot, Strategy, StrategyName, StrategySettings,
};

use crate::statistics::assert_by_weight;

const ROWS: [StrategyName; 3] = [
    StrategyName::consistent_hash,
    StrategyName::maglev,
    StrategyName::rendezvous,
];
const KEYS: u32 = 10_000;

fn old() -> HashSecret {
    HashSecret::new(Some(b"the secret that got known"), "web")
}

fn new() -> HashSecret {
    HashSecret::new(Some(b"the one that nobody knows"), "web")
}

fn under(secret: HashSecret) -> HashKeys {
    HashKeys {
        secret,
        rotation: None,
    }
}

/// From 100 s to 700 s.
fn rotating() -> HashKeys {
    HashKeys {
        secret: new(),
        rotation: Some(Rotation {
            from: old(),
            ends: Nanos::from_secs(700),
            lasts: Nanos::from_secs(600),
        }),
    }
}

/// Where the keys are, as a request would find it.
fn owners(strategy: &dyn Strategy, picker: &dyn Picker) -> Vec<Slot> {
    let wanted = strategy.request_key().unwrap();
    let pick = |key: u32| {
        let request = PickRequest {
            key: Some(wanted.hash.hash(&key.to_le_bytes())),
            ..PickRequest::default()
        };
        picker.pick(&request, &mut PickContext::new(1)).unwrap()
    };
    (0..KEYS).map(pick).collect()
}

#[test]
fn keys_move_evenly_each_once_and_arrive() {
    for name in ROWS {
        let service = candidates(&[1; 50]).unwrap();
        let [was, moves, is] =
            [under(old()), rotating(), under(new())].map(|keys| StrategySettings::from(name).keyed_by(keys));
        let before = was.strategy().build(&service, 1);
        let (from, to) = (
            owners(was.strategy(), &*before),
            owners(is.strategy(), &*is.strategy().build(&service, 1)),
        );
        let both = moves.strategy().rebuild(&*before, &service, 2);
        assert_eq!(moves.strategy().refresh_every(), Some(Nanos::from_secs(1)));
        let mut last = from.clone();
        for (now, moved) in [
            (0, 0),
            (100, 0),
            (250, 1),
            (400, 2),
            (550, 3),
            (700, 4),
            (1000, 4),
        ] {
            both.refresh(Nanos::from_secs(now));
            let place = owners(moves.strategy(), &*both);
            // 1 of 50 is at the same instance under both.
            let differ = from.iter().zip(&to).filter(|(from, to)| from != to).count() as u32;
            let arrived = (0..place.len())
                .filter(|key| from[*key] != to[*key] && place[*key] == to[*key])
                .count() as u32;
            for key in 0..place.len() {
                assert!(place[key] == from[key] || place[key] == to[key], "{name}");
                assert!(
                    last[key] != to[key] || place[key] == to[key],
                    "{name}: a key moved back"
                );
            }
            match moved {
                0 => assert_eq!(place, from, "{name} at {now}"),
                4 => assert_eq!(place, to, "{name} at {now}"),
                moved => assert_by_weight(&[arrived, differ - arrived], &[moved, 4 - moved], name.as_str()),
            }
            last = place;
        }
        // A view in the middle of it begins where the last one was, also before it is told the time.
        both.refresh(Nanos::from_secs(400));
        let again = moves.strategy().rebuild(&*both, &service, 3);
        assert_eq!(
            owners(moves.strategy(), &*again),
            owners(moves.strategy(), &*both),
            "{name}"
        );
        let over = is.strategy().rebuild(&*both, &service, 4);
        assert_eq!(owners(is.strategy(), &*over), to, "{name}");
        assert_eq!(is.strategy().refresh_every(), None);
    }
}

#[test]
fn compatible_modes_have_no_secret_to_replace() {
    let service = candidates(&[1; 20]).unwrap();
    for settings in [
        StrategySettings::consistent_hash(ConsistentHash {
            ring: RingKind::Ketama,
            ..Default::default()
        }),
        StrategySettings::maglev(Maglev {
            envoy: true,
            ..Default::default()
        }),
    ] {
        let mut moves = settings.clone().keyed_by(rotating());
        if let StrategySettings::maglev(maglev) = &mut moves {
            maglev.hash.regions = KeyRegions::Spread;
        }
        let picker = moves.strategy().build(&service, 1);
        picker.refresh(Nanos::from_secs(400));
        let plain = settings.strategy().build(&service, 1);
        assert_eq!(
            owners(moves.strategy(), &*picker),
            owners(settings.strategy(), &*plain)
        );
    }
}

#[test]
fn a_service_moves_keys_as_time_passes_and_keeps_its_secret_when_its_strategy_changes() {
    let settings = ServiceSettings {
        strategy: StrategySettings::from(StrategyName::maglev).keyed_by(rotating()),
        hash_keys: Some(rotating()),
        ..ServiceSettings::new("web")
    };
    let instances =
        (0..50u16).map(|n| Instance::new(&format!("i{n}"), ([127, 0, 0, 1], 1 + n).into()).unwrap());
    let mut state = ServiceState::new(settings, instances.collect::<Vec<_>>(), 1, Nanos::ZERO).unwrap();
    let place = |state: &ServiceState| -> Vec<Slot> {
        let view = state.view();
        let wanted = view.request_key().unwrap().hash;
        let pick = |key: u32| {
            let request = PickRequest {
                key: Some(wanted.hash(&key.to_le_bytes())),
                ..PickRequest::default()
            };
            view.choose(&request, &mut PickContext::new(1)).unwrap()
        };
        (0..KEYS).map(pick).collect()
    };
    let start = place(&state);
    let mut now = Nanos::ZERO;
    let mut moved = Vec::new();
    for until in [100, 400, 701] {
        while state.next_deadline() <= Nanos::from_secs(until) {
            now = now.max(state.next_deadline());
            state.tick(now);
        }
        moved.push(start.iter().zip(place(&state)).filter(|(a, b)| *a != b).count() as u32);
    }
    assert_eq!(moved[0], 0);
    // Of those that move at all; 1 in 50 does not.
    assert!(moved[2] > KEYS * 9 / 10, "{moved:?}");
    assert_by_weight(&[moved[1], moved[2] - moved[1]], &[1, 1], "half of the time");

    // Who switches the strategy knows no secret.
    let effect = state.operate(
        Operation::SetStrategy(StrategyName::rendezvous.into()),
        Nanos::from_secs(800),
    );
    assert!(effect.is_ok());
    let hash = state.view().request_key().unwrap().hash;
    assert_eq!(hash, KeyHash::Rotating(new(), old()));
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!(
        "{:?}",
        StrategySettings::from(StrategyName::maglev).keyed_by(rotating())
    );
    assert!(shown.contains("Rotation { from: HashSecret(..)"), "{shown}");
    assert!(shown.contains("secret: HashSecret(..)"), "{shown}");
}
