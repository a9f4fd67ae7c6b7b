//! The rules, on figures that are made up.

use super::regime::Regime;
use super::*;

/// A service with candidates 0, 1 and 2, of which 1 gains so much; and its clock.
struct Rig {
    switcher: Switcher,
    course: Course,
    now: Nanos,
    look: Look,
    changes: Vec<(u64, Change)>,
}

const NAMES: [StrategyName; 3] = [
    StrategyName::adaptive,
    StrategyName::least_connections,
    StrategyName::peak_ewma,
];

impl Rig {
    fn new(pin: Option<usize>) -> Self {
        let (now, ten, thirty) = (Nanos::from_secs(100), Nanos::from_secs(10), Nanos::from_secs(30));
        Self {
            switcher: Switcher::new(NAMES.to_vec(), pin, ten, thirty, now),
            course: Course::new(3, pin.unwrap_or(0)),
            now,
            look: Look {
                now,
                requests: 0,
                response_time: 10e6,
                regime: Regime::Even,
                changed: 0.0,
                utilization: None,
            },
            changes: Vec::new(),
        }
    }

    /// Seconds of 1000 requests each, in which the expected times of the candidates are these parts of 10 ms, and vary.
    fn run(&mut self, seconds: u64, parts: [f64; 3]) {
        for second in 0..4 * seconds {
            self.now = self.now + STEP;
            self.look.now = self.now;
            self.look.requests += 250;
            for (place, part) in parts.iter().enumerate() {
                let noise = 1.0 + 0.02 * f64::from(second as u32 % 5) - 0.04;
                if place != self.switcher.current {
                    for _ in 0..4 {
                        let actual = 10e6 * parts[self.switcher.current];
                        self.course.rivals[place]
                            .tally
                            .count(true, Some(actual), Some(10e6 * part * noise));
                    }
                }
            }
            // Once a second, as the writer does, and more often while it changes over.
            if second % 4 == 0 || self.switcher.blends(self.now) {
                let change = self.switcher.look(&self.look, &self.course);
                self.changes
                    .extend(change.map(|change| (self.now.0 / 1_000_000_000, change)));
            }
        }
    }

    fn to(&self) -> Vec<StrategyName> {
        self.changes.iter().map(|(_, change)| change.to).collect()
    }
}

#[test]
fn it_changes_after_three_windows_in_a_row_and_over_seconds() {
    let mut rig = Rig::new(None);
    rig.run(30, [1.0, 0.8, 0.9]);
    assert_eq!(rig.to(), []);
    rig.run(1, [1.0, 0.8, 0.9]);
    assert_eq!(rig.to(), [StrategyName::least_connections]);
    let reason = rig.changes[0].1.reason.clone();
    assert!(
        reason.starts_with("expected times 20.") || reason.starts_with("expected times 19."),
        "{reason}"
    );
    // Half-way over, half of the picks go by each.
    let mut rng = Rng::new(1);
    rig.run(4, [1.0, 0.8, 0.9]);
    let drawn = (0..1000).filter(|_| rig.course.draw(&mut rng) == 0).count();
    assert!((400..600).contains(&drawn), "{drawn}");
    assert_eq!(rig.course.settled(), None);
    rig.run(10, [1.0, 0.8, 0.9]);
    assert_eq!(rig.course.settled(), Some(1));
    assert!((0..1000).all(|_| rig.course.draw(&mut rng) == 1));
}

#[test]
fn too_little_too_seldom_or_too_uncertain_is_no_reason() {
    // Four percent, though surely.
    let mut rig = Rig::new(None);
    rig.run(600, [1.0, 0.96, 1.0]);
    assert_eq!(rig.to(), []);
    // Two windows, then none, over and over.
    let mut rig = Rig::new(None);
    for _ in 0..20 {
        rig.run(20, [1.0, 0.8, 1.0]);
        rig.run(10, [1.0, 1.2, 1.0]);
    }
    assert_eq!(rig.to(), []);
    // A tenth in the mean, of which chance makes more.
    let mut rig = Rig::new(None);
    for second in 0..600 {
        rig.run(1, [1.0, if second % 2 == 0 { 0.3 } else { 1.5 }, 1.0]);
    }
    assert_eq!(rig.to(), []);
}

#[test]
fn a_pin_a_veto_and_a_regime_forbid_it() {
    let better = [1.0, 0.5, 1.0];
    let mut rig = Rig::new(Some(2));
    rig.run(300, [0.5, 0.5, 1.0]);
    assert_eq!((rig.to(), rig.course.current()), (vec![], 2));
    for forbid in [
        (|look| look.changed = 0.21) as fn(&mut Look),
        |look| look.utilization = Some(0.91),
        |look| look.regime = Regime::Uneven,
        |look| look.regime = Regime::Failing,
    ] {
        let mut rig = Rig::new(None);
        forbid(&mut rig.look);
        rig.run(300, better);
        assert_eq!(rig.to(), []);
        // It does not hold what it forbade against the candidate, nor for it.
        (rig.look.changed, rig.look.utilization, rig.look.regime) = (0.2, Some(0.9), Regime::Even);
        rig.run(20, better);
        assert_eq!(rig.to(), []);
        rig.run(15, better);
        assert_eq!(rig.to(), [StrategyName::least_connections]);
    }
    // One that looks at times is for any.
    let mut rig = Rig::new(None);
    rig.look.regime = Regime::Uneven;
    rig.run(60, [1.0, 1.0, 0.5]);
    assert_eq!(rig.to(), [StrategyName::peak_ewma]);
    // Response times that grow fourfold are a fleet that is full.
    let mut rig = Rig::new(None);
    rig.run(15, [1.0; 3]);
    rig.look.response_time = 41e6;
    rig.run(60, better);
    assert_eq!(rig.to(), []);
}

#[test]
fn at_low_traffic_nothing_changes() {
    let mut rig = Rig::new(None);
    for _ in 0..300 {
        let before = rig.look.requests;
        rig.run(1, [1.0, 0.5, 1.0]);
        rig.look.requests = before + 15;
    }
    assert_eq!(rig.to(), []);
}

#[test]
fn what_was_worse_in_truth_is_undone_and_the_pause_doubles() {
    let mut rig = Rig::new(None);
    // It always looks better from outside, whichever is in force, and times are worse with the second.
    for _ in 0..1800 {
        let current = rig.switcher.current;
        rig.look.response_time = if current == 1 { 12e6 } else { 10e6 };
        rig.run(
            1,
            if current == 0 {
                [1.0, 0.8, 1.0]
            } else {
                [1.0, 1.0, 1.0]
            },
        );
    }
    let times: Vec<u64> = rig.changes.iter().map(|(at, _)| *at).collect();
    assert!(
        rig.changes[1].1.reason.contains("longer than before"),
        "{:?}",
        rig.changes[1]
    );
    assert_eq!(
        rig.to()[..2],
        [StrategyName::least_connections, StrategyName::adaptive]
    );
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= 60), "{gaps:?}");
    // A minute at first; half an hour has room for few.
    assert!(times.len() <= 6, "{times:?}");
    assert!(gaps.last() > gaps.first(), "{gaps:?}");
}

#[test]
fn a_clock_that_steps_back_breaks_nothing() {
    let mut rig = Rig::new(None);
    rig.run(25, [1.0, 0.8, 1.0]);
    rig.now = Nanos::from_secs(50);
    rig.switcher.shift(Nanos::from_secs(75));
    rig.run(60, [1.0, 0.8, 1.0]);
    assert_eq!(rig.to(), [StrategyName::least_connections]);
}
