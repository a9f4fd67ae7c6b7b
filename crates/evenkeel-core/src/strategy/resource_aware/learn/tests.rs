use super::*;
use crate::{LoadReport, Outcome, Rng};

const PRIORS: [f64; RESOURCES] = [0.4, 0.3, 0.3];

/// A fleet whose response times follow some resources.
struct Fleet {
    instances: Vec<(Witness, Stats)>,
    learner: Learner,
    rng: Rng,
    second: u64,
}

impl Fleet {
    fn new() -> Self {
        Self {
            instances: (0..20).map(|_| (Witness::default(), Stats::default())).collect(),
            learner: Learner::new(PRIORS),
            rng: Rng::new(7),
            second: 1000,
        }
    }

    /// Runs for some seconds: `slow` says how many times slower than usual an instance is by its use of processors and
    /// memory and its requests in flight, and `reports` what it says of the former two.
    fn run(
        &mut self,
        seconds: u64,
        slow: impl Fn([f64; RESOURCES]) -> f64,
        reports: impl Fn(usize, [f64; RESOURCES]) -> Option<[f64; 2]>,
    ) -> [f64; RESOURCES] {
        for _ in 0..seconds {
            self.second += 1;
            let now = Nanos::from_secs(self.second);
            let mut connections = Vec::new();
            for (number, (_, stats)) in self.instances.iter().enumerate() {
                let used: [f64; RESOURCES] = std::array::from_fn(|_| 0.2 + 0.6 * self.rng.unit());
                // The machines are unlike, by a factor of ten.
                let usual = 1e6 * (1.0 + number as f64 / 2.0) * (0.9 + 0.2 * self.rng.unit());
                let time = Nanos((usual * slow(used)) as u64);
                // As many as make up the average.
                for _ in 0..40 {
                    stats.on_start(now);
                    stats.on_end(&Outcome::from_status(200, time), now);
                }
                if let Some([cpu, memory]) = reports(number, used) {
                    let report = LoadReport::default()
                        .with_cpu(cpu)
                        .and_then(|r| r.with_memory(memory));
                    stats.reported().observe(&report.unwrap(), now, now);
                }
                connections.push(used[2] as f32);
            }
            let witnesses = self.instances.iter().zip(&connections);
            let witnesses = witnesses.map(|((witness, stats), connections)| (witness, stats, *connections));
            self.learner.hear(witnesses, now);
        }
        self.learner.weights()
    }
}

fn honest(_: usize, used: [f64; RESOURCES]) -> Option<[f64; 2]> {
    Some([used[0], used[1]])
}

fn assert_sum(weights: [f64; RESOURCES]) {
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{weights:?}");
}

#[test]
fn the_resource_that_tells_the_time_gets_the_weight_within_its_bounds() {
    for scarce in 0..RESOURCES {
        let mut fleet = Fleet::new();
        let weights = fleet.run(120, |used| 1.0 + 4.0 * used[scarce], honest);
        assert_sum(weights);
        assert!(weights[scarce] > 0.65, "{scarce}: {weights:?}");
        assert!(
            weights.iter().all(|weight| (0.0999..0.7001).contains(weight)),
            "{weights:?}"
        );
        assert!(fleet.learner.trust() > 0.8, "{}", fleet.learner.trust());
    }
    // Two at once share.
    let both = Fleet::new().run(120, |used| 1.0 + 2.0 * (used[0] + used[1]), honest);
    assert!(both[0] > 0.35 && both[1] > 0.35 && both[2] < 0.15, "{both:?}");
}

#[test]
fn where_nothing_tells_the_weights_stay() {
    let mut fleet = Fleet::new();
    let weights = fleet.run(600, |_| 1.0, honest);
    assert_sum(weights);
    // Chance alone moves a weight by a tenth of the way.
    for (weight, prior) in weights.into_iter().zip(PRIORS) {
        assert!((weight - prior).abs() < 0.07, "{weights:?}");
    }
    assert!(fleet.learner.trust() < 0.15, "{}", fleet.learner.trust());
}

#[test]
fn a_resource_that_nobody_reports_keeps_its_weight() {
    let mut fleet = Fleet::new();
    for (witness, stats) in &fleet.instances {
        let _ = (witness, stats.reported());
    }
    let mut second = 1000;
    for _ in 0..120 {
        second += 1;
        let now = Nanos::from_secs(second);
        for (_, stats) in &fleet.instances {
            let cpu = fleet.rng.unit();
            let time = Nanos((1e6 * (1.0 + 4.0 * cpu)) as u64);
            for _ in 0..40 {
                stats.on_start(now);
                stats.on_end(&Outcome::from_status(200, time), now);
            }
            stats
                .reported()
                .observe(&LoadReport::default().with_cpu(cpu).unwrap(), now, now);
        }
        let witnesses = fleet
            .instances
            .iter()
            .map(|(witness, stats)| (witness, stats, 0.25));
        fleet.learner.hear(witnesses, now);
    }
    let weights = fleet.learner.weights();
    assert_eq!(weights[1..], PRIORS[1..], "{weights:?}");
    assert_sum(weights);
}

#[test]
fn who_lies_changes_little() {
    let slow = |used: [f64; RESOURCES]| 1.0 + 4.0 * used[0];
    let honest = Fleet::new().run(120, slow, honest);
    for (name, lie) in [("idle", 0.0), ("full", 1.0)] {
        let mut fleet = Fleet::new();
        fleet.run(60, slow, |_, used| Some([used[0], used[1]]));
        // From then on every third says the same for ever.
        let weights = fleet.run(60, slow, |number, used| {
            Some(if number % 3 == 0 {
                [lie, lie]
            } else {
                [used[0], used[1]]
            })
        });
        for (weight, honest) in weights.into_iter().zip(honest) {
            assert!((weight - honest).abs() < 0.03, "{name}: {weights:?}");
        }
    }
    // The worst: every fifth says the opposite.
    let weights = Fleet::new().run(120, slow, |number, used| {
        Some(if number % 5 == 0 {
            [1.0 - used[0], used[0]]
        } else {
            [used[0], used[1]]
        })
    });
    assert!(weights[0] > 0.4, "{weights:?}");
}

#[test]
fn old_reports_are_no_evidence() {
    let fleet = Fleet::new();
    for second in 0..100 {
        let now = Nanos::from_secs(1000 + second);
        let time = Nanos::from_millis(1 + second % 7);
        for (_, stats) in &fleet.instances {
            stats.on_start(now);
            stats.on_end(&Outcome::from_status(200, time), now);
            let report = LoadReport::default().with_cpu((second % 7) as f64 / 7.0).unwrap();
            stats
                .reported()
                .observe(&report, now.since(Nanos::from_secs(4)), now);
        }
        let witnesses = fleet
            .instances
            .iter()
            .map(|(witness, stats)| (witness, stats, 0.0));
        fleet.learner.hear(witnesses, now);
    }
    assert_eq!((fleet.learner.weights(), fleet.learner.trust()), (PRIORS, 0.0));
    assert_eq!(fleet.learner.witnesses.get(), 0.0);
}

#[test]
fn a_weight_of_nothing_stays_and_so_does_one_beyond_the_bounds() {
    let mut products = [[0.0; RESOURCES + 1]; RESOURCES + 1];
    for (index, row) in products.iter_mut().enumerate() {
        row[index] = 1000.0;
    }
    for (index, with) in [(0, 900.0), (1, 100.0)] {
        products[index][RESOURCES] = with;
        products[RESOURCES][index] = with;
    }
    let (weights, trust) = weigh([0.0, 0.5, 0.5], &products, 10_000.0);
    assert_eq!(weights[0], 0.0);
    assert!(trust > 0.4 && weights[1] > 0.5, "{weights:?} {trust}");
    let (weights, _) = weigh([0.9, 0.05, 0.05], &products, 10_000.0);
    assert!(
        weights[0] >= 0.9 - 1e-9 && weights[2] >= 0.05 - 1e-9,
        "{weights:?}"
    );
    assert_sum(weights);
    // Weights need not sum up to 1.
    let (weights, _) = weigh([4.0, 3.0, 3.0], &products, 10_000.0);
    assert!(
        (weights.iter().sum::<f64>() - 10.0).abs() < 1e-9 && weights[0] > 6.0,
        "{weights:?}"
    );
    // Nor have any.
    assert_eq!(weigh([0.0; 3], &products, 10_000.0).0, [0.0; 3]);
}

/// All instances are busier and slower at the same times, for a reason that none of them has, and differ only in memory,
/// which tells nothing; then in memory, which does.
#[test]
fn a_wave_that_meets_all_is_no_evidence() {
    for (share, expected) in [(0.0, 0.0..0.15), (4.0, 0.8..1.0)] {
        let mut fleet = Fleet::new();
        let wave = std::cell::Cell::new(0.0);
        for second in 0..300u32 {
            // Thirty seconds up, thirty down.
            wave.set(if second / 30 % 2 == 0 { 0.0 } else { 1.0 });
            fleet.run(
                1,
                |used| (1.0 + 2.0 * wave.get()) * (1.0 + share * used[1]),
                |_, used| Some([0.3 + 0.4 * wave.get() + 0.01 * used[0], used[1]]),
            );
        }
        let (weights, trust) = (fleet.learner.weights(), fleet.learner.trust());
        assert!(expected.contains(&trust), "{share}: {trust}, {weights:?}");
        assert!(
            if share > 0.0 {
                weights[1] > 0.6
            } else {
                (weights[0] - PRIORS[0]).abs() < 0.07
            },
            "{share}: {weights:?}"
        );
    }
}

#[test]
fn who_has_told_enough_and_something_new_is_a_witness_and_one_of_them_is_the_mean() {
    let mut fleet = Fleet::new();
    fleet.run(8, |_| 1.0, honest);
    assert_eq!(fleet.learner.witnesses.get(), 0.0);
    fleet.run(1, |_| 1.0, honest);
    assert_eq!(fleet.learner.witnesses.get(), 19.0);
    // The same digits again and again.
    let mut fleet = Fleet::new();
    fleet.run(60, |_| 1.0, |_, _| Some([0.5, 0.5]));
    assert_eq!(fleet.learner.witnesses.get(), 0.0);
}

#[test]
fn what_is_beyond_all_measure_is_cut() {
    let mut fleet = Fleet::new();
    fleet.run(60, |_| 1.0, honest);
    let evidence = |fleet: &Fleet| fleet.learner.products[RESOURCES * (RESOURCES + 1) + RESOURCES].get();
    let before = evidence(&fleet);
    // The first of them is ten thousand times slower.
    let asked = std::cell::Cell::new(0);
    let slow = |_: [f64; RESOURCES]| {
        if asked.replace(asked.get() + 1) == 0 {
            1e4
        } else {
            1.0
        }
    };
    fleet.run(1, slow, honest);
    let more = evidence(&fleet) - before;
    assert!((2.0..5.0).contains(&more), "{more}");
}
