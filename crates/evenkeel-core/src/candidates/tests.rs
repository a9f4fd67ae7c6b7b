//! Each stage by itself and all together, over instances made up for the purpose.

use super::*;

const NOW: Nanos = Nanos::from_secs(100);

/// Healthy, of weight 1 in priority 0, and old.
fn prospect(slot: u32) -> Prospect<'static> {
    Prospect {
        slot: Slot(slot),
        weight: 1,
        priority: 0,
        region: None,
        drains: false,
        down: false,
        ejected: false,
        answers: true,
        below_threshold: false,
        score: 1.0,
        told: 1.0,
        recovery: Share::FULL,
        predicted: 1.0,
        began: Some(Nanos::ZERO),
        excluded: None,
    }
}

fn fleet<const N: usize>(change: impl Fn(usize, &mut Prospect<'static>)) -> Vec<Prospect<'static>> {
    (0..N)
        .map(|slot| {
            let mut prospect = prospect(slot as u32);
            change(slot, &mut prospect);
            prospect
        })
        .collect()
}

fn settings() -> ServiceSettings {
    ServiceSettings::new("web")
}

/// The slots of the candidates as digits, and their shares in units.
fn staged(all: Vec<Prospect<'_>>, settings: &ServiceSettings) -> (String, Vec<u32>) {
    let staged = stage(all, settings, NOW);
    let slots = staged.slots.iter().map(|slot| slot.0.to_string()).collect();
    (slots, staged.shares.iter().map(|share| share.units()).collect())
}

#[test]
fn each_stage_says_whom_it_leaves_out() {
    let mut settings = settings();
    settings.regions.deny = ["us".into()].into();
    let all = fleet::<8>(|slot, prospect| match slot {
        0 => (prospect.drains, prospect.down) = (true, true),
        1 => (prospect.region, prospect.ejected) = (Some("us"), true),
        2 => (prospect.down, prospect.ejected) = (true, true),
        3 => (prospect.ejected, prospect.below_threshold) = (true, true),
        4 => prospect.below_threshold = true,
        5 => prospect.priority = 1,
        _ => {}
    });
    let mut all = all;
    // Weight enough that the first priority carries all without the others.
    all[6].weight = 90;
    let staged = stage(all, &settings, NOW);
    assert_eq!(*staged.slots, [Slot(6), Slot(7)]);
    let why: Vec<_> = staged
        .excluded
        .iter()
        .map(|(slot, why)| (slot.0, why.as_str()))
        .collect();
    assert_eq!(
        why,
        [
            (0, "draining"),
            (1, "region"),
            (2, "down"),
            (3, "ejected"),
            (4, "below_threshold"),
            (5, "priority")
        ]
    );
    assert!(!staged.findings.minimum.fallback && !staged.ramps);
}

#[test]
fn borders_are_drawn_by_both_lists() {
    let regions = |allow: &[&str], deny: &[&str]| Regions {
        allow: allow.iter().map(|region| (*region).into()).collect(),
        deny: deny.iter().map(|region| (*region).into()).collect(),
    };
    for (allow, deny, region, permitted) in [
        (&[][..], &[][..], None, true),
        (&[], &[], Some("eu"), true),
        (&["eu"], &[], Some("eu"), true),
        (&["eu"], &[], Some("us"), false),
        (&["eu"], &[], None, false),
        (&[], &["us"], None, true),
        (&[], &["us"], Some("us"), false),
        (&["eu"], &["eu"], Some("eu"), false),
    ] {
        assert_eq!(
            regions(allow, deny).permit(region),
            permitted,
            "{allow:?} {deny:?} {region:?}"
        );
    }
}

#[test]
fn no_shortage_crosses_a_border_or_ends_a_drain() {
    for panic in [Panic::All, Panic::Fail, Panic::NextPriority] {
        let mut settings = settings();
        settings.regions.allow = ["eu".into()].into();
        settings.panic = panic;
        let all = fleet::<4>(|slot, prospect| {
            prospect.region = Some(if slot < 2 { "eu" } else { "us" });
            prospect.drains = slot == 1;
            prospect.down = slot == 0;
        });
        let expected = if panic == Panic::Fail { "" } else { "0" };
        assert_eq!(staged(all, &settings).0, expected, "{panic:?}");
        let nobody = fleet::<3>(|_, prospect| prospect.region = Some("us"));
        let staged = stage(nobody, &settings, NOW);
        assert!(
            staged.slots.is_empty() && !staged.findings.minimum.fallback,
            "{panic:?}"
        );
    }
}

#[test]
fn the_threshold_counts_while_it_speaks_against_few() {
    for (below, expected) in [(1, "1234"), (2, "234"), (3, "01234"), (5, "01234")] {
        let all = fleet::<5>(|slot, prospect| {
            prospect.below_threshold = slot < below;
            prospect.score = if slot < below { 0.3 } else { 1.0 };
        });
        let (slots, shares) = staged(all, &settings());
        assert_eq!(slots, expected, "{below}");
        if below == 3 {
            assert_eq!(shares, [128, 128, 128, 256, 256], "their scores cost shares");
        }
    }
}

#[test]
fn a_word_that_they_are_out_of_order_counts_however_many_it_is_said_of() {
    let told = |n: usize| {
        fleet::<5>(move |slot, prospect| {
            prospect.below_threshold = slot < n;
            (prospect.score, prospect.told) = if slot < n { (0.0, 0.0) } else { (1.0, 1.0) };
        })
    };
    assert_eq!(staged(told(4), &settings()).0, "4");
    // With nobody left the minimum decides, and that is no secret.
    let all = stage(told(5), &settings(), NOW);
    assert_eq!((all.slots.len(), all.findings.minimum.fallback), (5, true));
    let mut strict = settings();
    strict.panic = Panic::Fail;
    assert_eq!(staged(told(5), &strict).0, "");
    // And until the word is good again, not only as long as it is bad.
    let mut better = told(4);
    for prospect in &mut better[..4] {
        (prospect.score, prospect.told) = (0.55, 0.55);
    }
    assert_eq!(staged(better, &settings()).0, "4");
    // A word that is no worse than what they did says nothing more.
    let mut failing = told(4);
    for prospect in &mut failing[..4] {
        (prospect.score, prospect.told) = (0.3, 0.7);
    }
    assert_eq!(staged(failing, &settings()).0, "01234");
    // Unless it says that they are out of order: who does worse than that is not let in for it.
    let mut both = told(4);
    for prospect in &mut both[..4] {
        (prospect.score, prospect.told) = (0.1, 0.4);
    }
    assert_eq!(staged(both, &settings()).0, "4");
    // Beside those that requests speak against.
    let mut mixed = told(2);
    for prospect in &mut mixed[2..4] {
        (prospect.below_threshold, prospect.score) = (true, 0.3);
    }
    assert_eq!(staged(mixed, &settings()).0, "234");
}

#[test]
fn with_too_few_healthy_the_settings_decide() {
    // Priority 0: one of three is healthy, one ejected. Priority 1: both are.
    let all = || {
        fleet::<5>(|slot, prospect| {
            prospect.priority = u8::from(slot > 2);
            prospect.down = slot == 0;
            (prospect.ejected, prospect.answers) = (slot == 1, slot != 1);
        })
    };
    for (panic, least, expected, fallback) in [
        (Panic::All, 3, "234", false),
        (Panic::All, 4, "0234", true),
        (Panic::Fail, 3, "234", false),
        (Panic::Fail, 4, "", true),
        (Panic::NextPriority, 1, "234", false),
        (Panic::NextPriority, 2, "34", false),
        // More than there are in the second means both.
        (Panic::NextPriority, 9, "34", false),
    ] {
        let mut settings = settings();
        (settings.panic, settings.min_healthy) = (panic, least);
        let staged = stage(all(), &settings, NOW);
        let slots: String = staged.slots.iter().map(|slot| slot.0.to_string()).collect();
        assert_eq!(slots, expected, "{panic:?} {least}");
        assert_eq!(staged.findings.minimum.fallback, fallback, "{panic:?} {least}");
        if panic == Panic::NextPriority && least == 2 {
            assert_eq!(staged.excluded[2], (Slot(2), Exclusion::Minimum));
        }
    }
    let mut settings = settings();
    (settings.panic, settings.min_healthy) = (Panic::NextPriority, 2);
    let mut none = all();
    none[3].down = true;
    assert_eq!(staged(none, &settings).0, "0234", "no priority has enough");
    let nobody_answers = fleet::<2>(|_, prospect| {
        (prospect.ejected, prospect.answers) = (true, false);
    });
    assert_eq!(staged(nobody_answers, &settings).0, "01", "the last resort");
}

/// What part of the requests a strategy by weight gives to each priority, in percent.
fn percent(all: &[Prospect<'_>], staged: &Staged) -> Vec<u32> {
    let weight = |slot: &Slot| f64::from(all[slot.0 as usize].weight);
    let part = |priority: Option<u8>| {
        let slots = staged.slots.iter().zip(&staged.shares);
        let mine = slots.filter(|(slot, _)| priority.is_none_or(|p| all[slot.0 as usize].priority == p));
        mine.map(|(slot, share)| weight(slot) * share.as_f64())
            .sum::<f64>()
    };
    (0..3)
        .map(|priority| (100.0 * part(Some(priority)) / part(None)).round() as u32)
        .collect()
}

#[test]
fn shares_split_requests_between_priorities() {
    for (down, expected) in [
        ([0, 0, 0], [100, 0, 0]),
        ([28, 0, 0], [100, 0, 0]),
        ([29, 0, 0], [99, 1, 0]),
        ([50, 0, 0], [70, 30, 0]),
        ([75, 75, 0], [35, 35, 30]),
        ([100, 0, 0], [0, 100, 0]),
        ([80, 70, 100], [40, 60, 0]),
    ] {
        let all = fleet::<300>(|slot, prospect| {
            prospect.priority = (slot / 100) as u8;
            prospect.down = slot % 100 < down[slot / 100];
        });
        let staged = stage(all.clone(), &settings(), NOW);
        // Shares are whole 256ths, of which a hundred instances may each be half a one off.
        for (got, wanted) in percent(&all, &staged).iter().zip(expected) {
            assert!(got.abs_diff(wanted) <= 1, "{down:?}: {got} for {wanted}");
        }
    }
    // By weight, and with fewer in the second: half of the first is a weight of 3 of 6.
    let mut all = fleet::<4>(|slot, prospect| prospect.priority = u8::from(slot == 3));
    (all[0].weight, all[1].weight, all[2].weight) = (3, 1, 2);
    all[0].down = true;
    let staged = stage(all.clone(), &settings(), NOW);
    assert_eq!(percent(&all, &staged), [70, 30, 0]);
}

#[test]
fn what_starts_or_comes_back_has_a_part_of_the_greatest() {
    let ramp = |ages: [Option<u64>; 3]| {
        let all = fleet::<3>(|slot, prospect| {
            prospect.began = ages[slot].map(|age| NOW.since(Nanos::from_secs(age)));
        });
        let staged = stage(all, &settings(), NOW);
        let shares: Vec<_> = staged.shares.iter().map(|share| share.units()).collect();
        (shares, staged.ramps)
    };
    assert_eq!(ramp([Some(60), Some(60), Some(0)]), (vec![256, 256, 26], true));
    assert_eq!(ramp([Some(60), Some(5), Some(10)]), (vec![256, 128, 256], true));
    assert_eq!(ramp([Some(60), Some(60), None]), (vec![256, 256, 26], false));
    assert_eq!(
        ramp([Some(0); 3]),
        (vec![256; 3], true),
        "at first boot nobody is spared"
    );
    assert_eq!(ramp([Some(2), Some(4), Some(4)]), (vec![128, 256, 256], true));
    // From the future, after a clock that stepped back: as if it began now.
    let mut all = fleet::<2>(|_, _| ());
    all[1].began = Some(NOW + NOW);
    assert_eq!(staged(all, &settings()).1, [256, 26]);

    let mut off = settings();
    off.slow_start = SlowStart::OFF;
    let all = fleet::<2>(|slot, prospect| prospect.began = (slot == 0).then_some(NOW));
    assert_eq!(staged(all, &off).1, [256, 256]);

    let all = fleet::<3>(|slot, prospect| {
        prospect.recovery = Share::of([1.0, 0.5, 0.5][slot]);
        prospect.score = [1.0, 1.0, 0.65][slot];
    });
    assert_eq!(staged(all, &settings()).1, [256, 128, 96], "parts multiply");
}

#[test]
fn a_ramp_within_a_priority_moves_nothing_to_another() {
    let all = fleet::<6>(|slot, prospect| {
        prospect.priority = u8::from(slot > 3);
        prospect.down = slot < 2;
        prospect.began = Some(if slot == 2 { NOW } else { Nanos::ZERO });
    });
    let staged = stage(all.clone(), &settings(), NOW);
    assert_eq!(percent(&all, &staged), [70, 30, 0]);
}

#[test]
fn nobody_has_less_than_the_least_share() {
    let mut all = fleet::<3>(|_, _| ());
    all[1].recovery = Share::LEAST;
    all[1].score = 0.0;
    all[1].began = Some(NOW);
    assert_eq!(staged(all, &settings()).1, [256, 1, 256]);
}
