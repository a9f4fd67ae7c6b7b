//! What shares promise, for every row of the table: who has less than the full share gets that much less, but
//! never nothing, and who is new is not flooded.

use evenkeel_core::Share;

use super::*;

/// Candidates of these weights and shares.
fn shared(weights: &[u32], shares: &[u32]) -> Candidates {
    let units = f64::from(Share::UNITS);
    let shares: Vec<Share> = shares.iter().map(|s| Share::of(f64::from(*s) / units)).collect();
    candidates(weights).unwrap().with_shares(&shares)
}

/// What a key decides: its first owner among those that take it, each by its own share. Over all sets of those;
/// somebody has the full share and is in each. With many instances that is weight times share.
fn parts_by_key(weights: &[u32], shares: &[u32]) -> Vec<f64> {
    let mut parts = vec![0.0; weights.len()];
    for set in 0u32..1 << weights.len() {
        let within = |i: usize| set >> i & 1 == 1;
        let chance = |i: usize| {
            let share = f64::from(shares[i]) / f64::from(Share::UNITS);
            if within(i) { share } else { 1.0 - share }
        };
        let chance: f64 = (0..weights.len()).map(chance).product();
        if chance > 0.0 {
            let members: Vec<usize> = (0..weights.len()).filter(|i| within(*i)).collect();
            let total: u32 = members.iter().map(|i| weights[*i]).sum();
            for i in members {
                parts[i] += chance * f64::from(weights[i]) / f64::from(total);
            }
        }
    }
    parts
}

#[test]
fn an_idle_service_is_split_by_shares() {
    const PICKS: u32 = 60_000;
    for name in StrategyName::ALL {
        for (weights, shares) in [
            (vec![1, 1], vec![256, 128]),
            (vec![1; 10], vec![256, 256, 26, 77, 128, 256, 256, 200, 256, 13]),
            (vec![5, 1, 3, 7], vec![64, 256, 256, 128]),
        ] {
            let service = shared(&weights, &shares);
            let picker = build(*name, &service, 7);
            let mut cx = PickContext::new(7);
            let n = weights.len();
            let effective: Vec<u32> = weights.iter().zip(&shares).map(|(w, s)| w * s).collect();
            let keyed = parts_by_key(&weights, &shares);
            match split(*name) {
                Split::Exact { by_weight } => {
                    let expected = if by_weight { &effective } else { &shares };
                    let counts = counts(&*picker, &mut cx, n, expected.iter().sum());
                    assert_eq!(&counts, expected, "{name}");
                }
                Split::Chance { .. } if name.strategy().request_key().is_some() => {
                    let expected: Vec<u32> = keyed.iter().map(|part| (part * 1e6) as u32).collect();
                    let counts = counts(&*picker, &mut cx, n, PICKS);
                    assert_by_weight(&counts, &expected, name.as_str());
                }
                Split::Chance { by_weight } => {
                    let expected = if by_weight { &effective } else { &shares };
                    let counts = counts(&*picker, &mut cx, n, PICKS);
                    assert_by_weight(&counts, expected, name.as_str());
                }
                Split::Ring { points } => {
                    let points = f64::from(weights.iter().sum::<u32>() * points);
                    let counts = counts(&*picker, &mut cx, n, PICKS);
                    for (count, part) in counts.iter().zip(&keyed) {
                        let spread = 1.0 / points + 1.0 / f64::from(PICKS);
                        let deviation = (part * (1.0 - part) * spread).sqrt();
                        let seen = f64::from(*count) / f64::from(PICKS);
                        assert!(
                            (seen - part).abs() <= 6.0 * deviation,
                            "{name}: {seen} for {part}"
                        );
                    }
                }
                Split::Measured => {}
            }
        }
    }
}

/// Half of the first priority is out, so 30 % go to the second, as large as the first was.
#[test]
fn a_priority_that_helps_out_gets_its_part() {
    const PICKS: u32 = 20_000;
    let shares: Vec<u32> = (0..150).map(|i| if i < 50 { 256 } else { 55 }).collect();
    let expected = 100.0 * 55.0 / (50.0 * 256.0 + 100.0 * 55.0);
    for name in StrategyName::ALL
        .iter()
        .filter(|name| split(**name) != Split::Measured)
    {
        let service = shared(&[1; 150], &shares);
        let picker = build(*name, &service, 9);
        let counts = counts(&*picker, &mut PickContext::new(9), 150, PICKS);
        let second: u32 = counts[50..].iter().sum();
        let seen = f64::from(second) / f64::from(PICKS);
        // Six deviations of the draws, and of the shares of a ring with 160 points each.
        let spread = 1.0 / f64::from(PICKS) + 1.0 / (150.0 * 160.0);
        let bound = 6.0 * (expected * (1.0 - expected) * spread).sqrt();
        assert!(
            (seen - expected).abs() < bound,
            "{name}: {seen:.3} for {expected:.3}"
        );
    }
}

/// The floor: 1/256 of a full share is still a share.
#[test]
fn the_least_share_does_not_starve() {
    for name in StrategyName::ALL {
        let service = shared(&[1; 4], &[256, 256, 256, 1]);
        let picker = build(*name, &service, 5);
        let mut cx = PickContext::new(5);
        let mut traffic = Traffic::new(6, 5);
        let mut seen = 0;
        for _ in 0..draws_to_see_all(1, 3.0 * 256.0 + 1.0) {
            // Some minutes in all, in which what was measured long ago fades.
            cx.now = cx.now + Nanos::from_millis(10);
            seen += u32::from(traffic.step(&service, &*picker, &mut cx) == Slot(3));
        }
        assert!(seen > 0, "{name}");
    }
}

/// The cap: an instance that nothing is known of is picked while it has no more in flight than its ramped share of what
/// the busiest has; beyond that it gets at most its ramped share of the picks.
#[test]
fn who_is_new_gets_no_more_than_its_ramped_share() {
    const NEW: Slot = Slot(7);
    const PICKS: u32 = 20_000;
    let share = 26.0 / 256.0;
    for name in StrategyName::ALL {
        for depth in [1, 8, 64] {
            let service = shared(&[1; 8], &[256, 256, 256, 256, 256, 256, 256, 26]);
            let mut cx = PickContext::new(3);
            for (slot, _) in (0..7).zip(0..) {
                for _ in 0..20 {
                    cx.now = cx.now + Nanos::from_millis(1);
                    let lease = lease(&service, Slot(slot), cx.now).unwrap();
                    let _ = lease.finish(&Outcome::from_status(200, Nanos::from_millis(5)), cx.now);
                }
            }
            let picker = build(*name, &service, 3);
            picker.refresh(cx.now);
            let mut traffic = Traffic::new(depth, 3);
            let mut above = 0;
            for _ in 0..PICKS {
                let load = |slot: u32| f64::from(service.loads().get(slot));
                let busiest = (0..7).map(load).fold(0.0, f64::max);
                let before = load(NEW.0);
                let picked = traffic.step(&service, &*picker, &mut cx) == NEW;
                above += u32::from(picked && before > share * busiest);
            }
            let part = share / (7.0 + share);
            let deviation = (part * (1.0 - part) * f64::from(PICKS)).sqrt();
            let most = part * f64::from(PICKS) + 6.0 * deviation;
            assert!(
                f64::from(above) <= most,
                "{name} at {depth}: {above} picks beyond its load, where {most:.0} are its share"
            );
        }
    }
}
