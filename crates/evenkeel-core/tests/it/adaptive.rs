//! Adaptive: one rule at a time, then what it promises of a whole fleet.

use evenkeel_core::testing::{add_load, candidates, lease};
use evenkeel_core::{
    Candidates, Nanos, Outcome, PickContext, PickRequest, Picker, Share, Slot, StrategyName,
};

use crate::conformance::{build, pick};
use crate::fleet::scenarios::{NAMES, fleet};
use crate::fleet::{Fault, Fleet, Service, seconds};

const MS: Nanos = Nanos::from_millis(1);
const TYPICAL: Nanos = Nanos::from_millis(10);

struct Few {
    candidates: Candidates,
    picker: Box<dyn Picker>,
    cx: PickContext,
}

impl Few {
    fn unmeasured(weights: &[u32]) -> Self {
        let candidates = candidates(weights).unwrap();
        let picker = build(StrategyName::adaptive, &candidates, 1);
        let mut cx = PickContext::new(1);
        cx.now = seconds(100);
        Self {
            candidates,
            picker,
            cx,
        }
    }

    /// All measured, at a typical 10 ms, used just now.
    fn new(weights: &[u32]) -> Self {
        let few = Self::unmeasured(weights);
        (0..weights.len() as u32).for_each(|slot| few.ended(slot, 60, &Outcome::from_status(200, TYPICAL)));
        few.picker.refresh(few.cx.now);
        few
    }

    fn ended(&self, slot: u32, times: u32, outcome: &Outcome) {
        for _ in 0..times {
            let lease = lease(&self.candidates, Slot(slot), self.cx.now).unwrap();
            let _ = lease.finish(outcome, self.cx.now);
        }
    }

    /// So many seconds pass, in each of which these answer well.
    fn pass(&mut self, seconds_more: u64, well: &[u32]) {
        for _ in 0..seconds_more {
            self.cx.now = self.cx.now + seconds(1);
            for slot in well {
                self.ended(*slot, 1, &Outcome::from_status(200, TYPICAL));
            }
            self.picker.refresh(self.cx.now);
        }
    }

    fn took(&self, slot: u32, time: Nanos) {
        self.ended(slot, 1000, &Outcome::from_status(200, time));
    }

    /// Who is picked of a thousand picks without anything happening.
    fn counts(&mut self) -> Vec<u32> {
        let mut counts = vec![0; self.candidates.len()];
        (0..1000).for_each(|_| counts[pick(&*self.picker, &mut self.cx).0 as usize] += 1);
        counts
    }
}

#[test]
fn similar_response_times_are_equal_and_requests_in_flight_decide() {
    let mut few = Few::new(&[1, 1, 1]);
    few.took(0, Nanos(TYPICAL.0 * 119 / 100));
    few.took(1, Nanos(TYPICAL.0 * 84 / 100));
    let counts = few.counts();
    assert!(
        counts.iter().all(|count| (250..420).contains(count)),
        "{counts:?}"
    );
    add_load(&few.candidates, Slot(1), 1);
    add_load(&few.candidates, Slot(2), 1);
    assert_eq!(few.counts(), [1000, 0, 0]);
}

#[test]
fn slow_ones_wait_until_the_others_have_as_much_before_them() {
    // Twice what they are slower, and between one and two the square of it.
    for (percent, others) in [(650, 12), (330, 6), (170, 2)] {
        let mut few = Few::new(&[1, 1, 1]);
        few.took(0, Nanos(TYPICAL.0 * percent / 100));
        for slot in [1, 2] {
            add_load(&few.candidates, Slot(slot), others - 1);
        }
        assert_eq!(few.counts()[0], 0, "{percent} %");
        for slot in [1, 2] {
            add_load(&few.candidates, Slot(slot), 1);
        }
        assert_eq!(few.counts()[0], 1000, "{percent} %");
    }
}

#[test]
fn small_differences_decide_only_between_those_that_are_busy() {
    let mut few = Few::new(&[1, 1, 1]);
    few.took(0, Nanos(TYPICAL.0 * 95 / 100));
    assert!(few.counts().iter().all(|count| *count > 250));
    for slot in 0..3 {
        add_load(&few.candidates, Slot(slot), 1);
    }
    assert_eq!(few.counts(), [1000, 0, 0]);
}

#[test]
fn half_a_millisecond_decides_only_between_those_that_are_busy() {
    let mut few = Few::unmeasured(&[1, 1, 1]);
    for (slot, micros) in [(0, 200), (1, 250), (2, 600)] {
        few.took(slot, Nanos(micros * 1000));
    }
    few.picker.refresh(few.cx.now);
    let counts = few.counts();
    assert!(
        counts.iter().all(|count| (250..420).contains(count)),
        "{counts:?}"
    );
    for slot in 0..3 {
        add_load(&few.candidates, Slot(slot), 1);
    }
    assert_eq!(few.counts(), [1000, 0, 0]);
    few.took(2, Nanos(2_000_000));
    for slot in 0..3 {
        few.candidates.member(Slot(slot)).unwrap().load().end();
    }
    assert_eq!(few.counts()[2], 0, "two milliseconds are no noise");
}

#[test]
fn the_fewer_answers_the_more_is_taken_for_chance() {
    for (answers, slow) in [(500, true), (10, false)] {
        let mut few = Few::unmeasured(&[1, 1, 1]);
        for slot in [0, 1] {
            few.took(slot, TYPICAL);
        }
        few.ended(2, answers, &Outcome::from_status(200, Nanos(TYPICAL.0 * 3 / 2)));
        few.picker.refresh(few.cx.now);
        assert_eq!(few.counts()[2] == 0, slow, "{answers}");
    }
}

#[test]
fn failures_count_as_slowness_however_fast_they_are() {
    let mut few = Few::new(&[1, 1]);
    few.ended(0, 8, &Outcome::failed(Nanos(1000)));
    assert_eq!(few.counts(), [0, 1000]);
    few.ended(0, 60, &Outcome::from_status(200, TYPICAL));
    assert!(few.counts()[0] > 400);
}

/// Two that never failed and now fail both: by turns, and both at once when one answers.
#[test]
fn who_fell_is_asked_by_turns_and_all_are_when_one_rises() {
    let mut few = Few::new(&[1; 4]);
    let failed = Outcome::failed(Nanos(1000));
    few.ended(2, 2, &failed);
    assert!(few.counts()[2] > 150, "two failures say little");
    few.ended(2, 1, &failed);
    few.ended(3, 3, &failed);
    for slot in [0, 1] {
        add_load(&few.candidates, Slot(slot), 2);
    }
    few.picker.refresh(few.cx.now);
    for (seconds_more, asked) in [
        (4, None),
        (1, Some(2)),
        (10, None),
        (1, Some(3)),
        (10, None),
        (1, Some(2)),
    ] {
        few.pass(seconds_more, &[0, 1]);
        let counts = few.counts();
        match asked {
            None => assert_eq!(counts[2] + counts[3], 0, "{:?}", few.cx.now),
            Some(slot) => {
                assert_eq!(counts[slot], 1000, "{:?}", few.cx.now);
                few.ended(slot as u32, 1, &failed);
                assert_eq!(few.counts()[slot], 0, "once");
            }
        }
    }
    few.pass(11, &[0, 1]);
    assert_eq!(few.counts()[3], 1000);
    few.ended(3, 1, &Outcome::from_status(200, TYPICAL));
    assert_eq!(few.counts()[3], 1000, "idle, and as good as any");
    assert_eq!(few.counts()[2], 0);
    // A picker that is built anew goes on where the one before it was.
    few.picker = StrategyName::adaptive
        .strategy()
        .rebuild(&*few.picker, &few.candidates, 2);
    few.pass(1, &[0, 1, 3]);
    assert_eq!(few.counts()[2], 1000, "what fell together may rise together");
    few.ended(2, 1, &failed);
    assert_eq!(few.counts()[2], 0, "once");
}

/// Of many that fell together, too: not one after the other.
#[test]
fn all_that_fell_are_asked_when_one_rises() {
    let mut few = Few::new(&[1; 6]);
    let failed = Outcome::failed(Nanos(1000));
    (2..6).for_each(|slot| few.ended(slot, 3, &failed));
    for slot in [0, 1] {
        add_load(&few.candidates, Slot(slot), 2);
    }
    few.pass(5, &[0, 1]);
    assert_eq!(few.counts()[2], 1000);
    few.ended(2, 1, &Outcome::from_status(200, TYPICAL));
    // Busy, so that the others show.
    add_load(&few.candidates, Slot(2), 2);
    few.pass(1, &[0, 1]);
    for _ in 3..6 {
        let counts = few.counts();
        let slot = counts.iter().position(|count| *count > 0).unwrap();
        assert!((3..6).contains(&slot), "{counts:?}");
        few.ended(slot as u32, 1, &failed);
    }
    assert_eq!(few.counts()[3..], [0, 0, 0], "once each");
}

/// The longer it lasts the longer the pauses, up to half a minute.
#[test]
fn one_that_stays_away_is_asked_ever_more_seldom() {
    let mut few = Few::new(&[1, 1, 1]);
    few.ended(2, 3, &Outcome::failed(Nanos(1000)));
    let mut asked = Vec::new();
    for second in 1..=600 {
        few.pass(1, &[0, 1]);
        if few.counts()[2] > 0 {
            few.ended(2, 1, &Outcome::failed(Nanos(1000)));
            asked.push(second);
        }
    }
    let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(asked[0], 5);
    assert!(pauses.iter().all(|pause| (10..=31).contains(pause)), "{pauses:?}");
    assert!(pauses[..4].iter().all(|pause| *pause <= 12), "{pauses:?}");
    assert!(*pauses.last().unwrap() >= 30, "{pauses:?}");
}

#[test]
fn silence_is_evidence_before_it_ends() {
    let mut few = Few::new(&[1, 1]);
    let _hangs = lease(&few.candidates, Slot(0), few.cx.now).unwrap();
    add_load(&few.candidates, Slot(1), 2);
    assert_eq!(few.counts(), [1000, 0], "one in flight is fewer than two");
    few.cx.now = few.cx.now + Nanos::from_millis(100);
    few.ended(1, 1, &Outcome::from_status(200, TYPICAL));
    assert_eq!(
        few.counts(),
        [0, 1000],
        "nothing came for ten times as long as it takes"
    );
}

#[test]
fn an_untried_candidate_gets_one_request_and_then_waits_for_its_answer() {
    let candidates = candidates(&[1, 1, 1]).unwrap();
    let picker = build(StrategyName::adaptive, &candidates, 1);
    let mut few = Few {
        candidates,
        picker,
        cx: PickContext::new(1),
    };
    few.cx.now = seconds(100);
    few.took(0, TYPICAL);
    few.took(1, TYPICAL);
    few.picker.refresh(few.cx.now);
    for slot in [0, 1] {
        add_load(&few.candidates, Slot(slot), 5);
    }
    assert_eq!(few.counts(), [0, 0, 1000]);
    let trial = lease(&few.candidates, Slot(2), few.cx.now).unwrap();
    assert_eq!(few.counts()[2], 0, "a second one would be a flood");
    let _ = trial.finish(&Outcome::from_status(200, TYPICAL), few.cx.now);
    assert_eq!(few.counts()[2], 1000);
}

#[test]
fn whoever_was_left_out_for_long_is_tried_and_a_good_answer_makes_it_equal() {
    let mut few = Few::new(&[1, 1, 1]);
    few.took(0, Nanos(TYPICAL.0 * 50));
    assert_eq!(few.counts()[0], 0);
    few.cx.now = few.cx.now + seconds(6);
    for slot in [1, 2] {
        few.ended(slot, 1, &Outcome::from_status(200, TYPICAL));
    }
    assert_eq!(few.counts()[0], 1000, "due");
    few.ended(0, 1, &Outcome::from_status(200, TYPICAL));
    let count = few.counts()[0];
    assert!((250..420).contains(&count), "{count}");
    let _busy = lease(&few.candidates, Slot(0), few.cx.now).unwrap();
    assert_eq!(
        few.counts()[0],
        0,
        "one request at a time until its time is a good one"
    );
}

/// After a night with hardly any requests, a new picker goes by those of now.
#[test]
fn trials_go_by_the_rate_of_now_also_in_a_picker_that_was_just_built() {
    let mut few = Few::new(&[1, 1, 1]);
    few.cx.now = seconds(36_000);
    few.took(0, Nanos(TYPICAL.0 * 50));
    few.picker.refresh(few.cx.now);
    few.cx.now = few.cx.now + seconds(1);
    for slot in [1, 2] {
        few.ended(slot, 5000, &Outcome::from_status(200, TYPICAL));
    }
    few.picker.refresh(few.cx.now);
    let adaptive = StrategyName::adaptive.strategy();
    few.picker = adaptive.rebuild(&*few.picker, &few.candidates, 2);
    few.picker.refresh(few.cx.now);
    assert_eq!(few.counts()[0], 0);
    few.cx.now = few.cx.now + seconds(6);
    for slot in [1, 2] {
        few.ended(slot, 1, &Outcome::from_status(200, TYPICAL));
    }
    assert_eq!(
        few.counts()[0],
        1000,
        "due, as 10 000 requests a second leave room for it"
    );
}

#[test]
fn a_reduced_share_is_that_part_of_the_fair_one() {
    for n in [4, 40] {
        let weights = vec![1; n];
        let mut shares = vec![Share::FULL; n];
        shares[0] = Share::of(0.25);
        let candidates = candidates(&weights).unwrap().with_shares(&shares);
        let picker = build(StrategyName::adaptive, &candidates, 1);
        let mut few = Few {
            candidates,
            picker,
            cx: PickContext::new(1),
        };
        few.cx.now = seconds(1);
        (0..n as u32).for_each(|slot| few.took(slot, TYPICAL));
        few.picker.refresh(few.cx.now);
        let part: u32 = (0..40).map(|_| few.counts()[0]).sum();
        let fair = f64::from(part) * n as f64 / 40_000.0;
        assert!((0.2..0.35).contains(&fair), "{fair} of {n}");
    }
}

#[test]
fn what_was_tried_comes_last() {
    let mut few = Few::new(&[1, 1, 1]);
    let tried = [Slot(0), Slot(2)];
    let request = PickRequest {
        tried: &tried,
        ..PickRequest::default()
    };
    add_load(&few.candidates, Slot(1), 90);
    assert!((0..100).all(|_| few.picker.pick(&request, &mut few.cx) == Ok(Slot(1))));
}

#[test]
fn draws_widen_with_the_slow_part() {
    // With 40 of 100 slow, four draws see nobody else in 2.6 % of picks, six in 0.4 %.
    let mut few = Few::new(&[1; 100]);
    (0..40).for_each(|slot| few.took(slot, Nanos(TYPICAL.0 * 9)));
    few.picker.refresh(few.cx.now);
    let slow: u32 = (0..10).map(|_| few.counts()[..40].iter().sum::<u32>()).sum();
    assert!(slow < 75, "{slow} of 10000");
}

#[test]
fn odd_times_do_no_harm() {
    let mut few = Few::new(&[1, 65_535, 1]);
    for time in [Nanos(0), Nanos(1), Nanos::MAX, Nanos(u64::MAX / 2)] {
        few.took(0, time);
        for now in [Nanos::ZERO, Nanos::MAX, seconds(3)] {
            few.cx.now = now;
            few.picker.refresh(now);
            assert_eq!(few.counts().iter().sum::<u32>(), 1000);
        }
    }
    few.picker.refresh(MS);
}

/// As many seeds as keep a p99 within a few percent.
const SEEDS: std::ops::Range<u64> = 0..6;

#[test]
fn a_sick_fleet_is_nearly_as_fast_as_a_sound_one() {
    let healthy = fleet(NAMES[0], StrategyName::adaptive, 10, 0.5).run_all(SEEDS);
    for name in NAMES {
        let mut fleet = fleet(name, StrategyName::adaptive, 10, 0.5);
        // What is left of the fleet must be able to do the work: that is the strategy's test, not the detectors'.
        fleet.detectors = false;
        let report = fleet.run_all(SEEDS);
        let ratio = report.quantile(0.99) / healthy.quantile(0.99);
        assert!(ratio < 1.15, "{name}: p99 {ratio:.2} of the healthy fleet's");
        assert!(
            report.error_share() < 0.0005,
            "{name}: {} errors",
            report.error_share()
        );
    }
}

#[test]
fn a_sound_fleet_is_as_good_as_with_least_connections() {
    for n in [2, 3, 5, 10] {
        let p99 = |name| fleet(NAMES[0], name, n, 0.7).run_all(SEEDS).quantile(0.99);
        let ratio = p99(StrategyName::adaptive) / p99(StrategyName::least_connections);
        assert!(ratio < 1.05, "{ratio:.2} of {n}");
    }
}

#[test]
fn a_slow_instance_loses_its_share_in_two_seconds_and_has_it_back_in_ten() {
    let mut fleet = Fleet::new(StrategyName::adaptive, 11, 0.0).with(0..1, 15, 45, Fault::Slow(12.0));
    fleet
        .backends
        .iter_mut()
        .for_each(|backend| backend.workers = 100);
    fleet.service = Service::Normal(Nanos::from_millis(167), Nanos::from_millis(5));
    (fleet.rate, fleet.length) = (1000.0, seconds(60));
    fleet.detectors = false;
    let report = fleet.run(1);
    let share = |seconds| report.fair_share(0, seconds);
    assert!(share(10..15) > 0.9, "{}", share(10..15));
    assert!(share(17..45) < 0.2, "{}", share(17..45));
    assert!(share(54..59) > 0.8, "{}", share(54..59));
    assert!(report.within(seconds(1)) > 0.999, "{}", report.within(seconds(1)));
}

#[test]
fn balancers_that_know_nothing_of_each_other_do_not_herd() {
    for name in ["healthy", "1 slow x20", "1 hangs"] {
        let p99 = |strategy| {
            let mut fleet = fleet(name, strategy, 10, 0.7);
            (fleet.balancers, fleet.detectors) = (8, false);
            fleet.run_all(SEEDS).quantile(0.99)
        };
        let (adaptive, other) = (p99(StrategyName::adaptive), p99(StrategyName::least_connections));
        assert!(
            adaptive < 1.02 * other,
            "{name}: {adaptive} ms, least connections {other}"
        );
    }
}
