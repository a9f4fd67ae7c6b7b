//! What every strategy must do, run over every row of the table.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use evenkeel_core::testing::{Place, add_load, candidates, candidates_at, lease};
use evenkeel_core::{
    Candidates, Lease, LoadReport, Nanos, NoPick, Outcome, PickContext, PickRequest, Picker, Rng, Slot,
    StrategyName,
};

use crate::rows::{Split, split};
use crate::statistics::{assert_by_ring, assert_by_weight, draws_to_see_all};

mod levels;
mod shares;

pub(crate) fn build(name: StrategyName, service: &Candidates, seed: u64) -> Box<dyn Picker> {
    name.strategy().build(service, seed)
}

pub(crate) fn pick(picker: &dyn Picker, cx: &mut PickContext) -> Slot {
    picker.pick(&PickRequest::default(), cx).unwrap()
}

/// Picks by slot.
fn counts(picker: &dyn Picker, cx: &mut PickContext, slots: usize, picks: u32) -> Vec<u32> {
    let mut counts = vec![0; slots];
    for _ in 0..picks {
        counts[pick(picker, cx).0 as usize] += 1;
    }
    counts
}

/// A tenth holes, a fifth excluded, the rest candidates; never none.
fn patchy(rng: &mut Rng, slots: usize) -> Candidates {
    let mut places: Vec<Place> = (0..slots)
        .map(|_| match rng.below(10) {
            0 => Place::Hole,
            1 | 2 => Place::Excluded(1 + rng.below(9)),
            _ => Place::Candidate(1 + rng.below(9)),
        })
        .collect();
    let last = rng.below(slots as u32) as usize;
    places[last] = Place::Candidate(3);
    candidates_at(&places).unwrap()
}

/// Traffic with time passing: up to `depth` leases open, ended in random order, some badly.
struct Traffic {
    open: VecDeque<Lease>,
    depth: usize,
    rng: Rng,
}

impl Traffic {
    fn new(depth: usize, seed: u64) -> Self {
        Self {
            open: VecDeque::new(),
            depth,
            rng: Rng::new(seed),
        }
    }

    fn step(&mut self, service: &Candidates, picker: &dyn Picker, cx: &mut PickContext) -> Slot {
        cx.now = cx.now + Nanos(self.rng.below_u64(2_000_000));
        let slot = pick(picker, cx);
        self.open.push_back(lease(service, slot, cx.now).unwrap());
        while self.open.len() > self.depth {
            let index = self.rng.below(self.open.len() as u32) as usize;
            let lease = self.open.swap_remove_back(index).unwrap();
            let elapsed = cx.now.since(lease.started());
            match self.rng.below(10) {
                0 => drop(lease),
                1 => _ = lease.finish(&Outcome::failed(elapsed), cx.now),
                _ => _ = lease.finish(&Outcome::from_status(200, elapsed), cx.now),
            }
        }
        slot
    }
}

#[test]
fn only_candidates_are_picked_whatever_the_holes_and_loads() {
    let mut rng = Rng::new(11);
    for name in StrategyName::ALL {
        for slots in [1, 2, 5, 63, 64, 65, 200] {
            let service = patchy(&mut rng, slots);
            for slot in service.slots().iter() {
                add_load(&service, *slot, rng.below(5));
            }
            let picker = build(*name, &service, rng.next_u64());
            let mut cx = PickContext::new(rng.next_u64());
            let mut traffic = Traffic::new(8, rng.next_u64());
            for _ in 0..500 {
                let slot = traffic.step(&service, &*picker, &mut cx);
                assert!(service.slots().contains(&slot), "{name}: {slot:?}");
            }
        }
    }
}

#[test]
fn none_one_two_and_ten_thousand_candidates() {
    for name in StrategyName::ALL {
        let mut cx = PickContext::new(1);
        let none = build(*name, &candidates(&[]).unwrap(), 1);
        let excluded = build(
            *name,
            &candidates_at(&[Place::Excluded(1), Place::Hole]).unwrap(),
            1,
        );
        for picker in [none, excluded] {
            let answer = picker.pick(&PickRequest::default(), &mut cx);
            assert_eq!(answer, Err(NoPick::NoneEligible), "{name}");
        }

        let one = candidates_at(&[Place::Hole, Place::Excluded(4), Place::Candidate(7)]).unwrap();
        let picker = build(*name, &one, 2);
        assert!((0..100).all(|_| pick(&*picker, &mut cx) == Slot(2)), "{name}");

        let many: Vec<u32> = (0..10_000).map(|i| 1 + i % 7).collect();
        let many = candidates(&many).unwrap();
        let picker = build(*name, &many, 3);
        let mut traffic = Traffic::new(50, 3);
        for _ in 0..200 {
            assert!(traffic.step(&many, &*picker, &mut cx).0 < 10_000, "{name}");
        }
    }
}

#[test]
fn every_candidate_gets_traffic() {
    for name in StrategyName::ALL {
        for weights in [
            vec![1, 1],
            vec![1, 9],
            vec![3; 10],
            (1..=10).collect(),
            vec![2; 70],
        ] {
            let service = candidates(&weights).unwrap();
            let picker = build(*name, &service, 5);
            let mut cx = PickContext::new(5);
            let mut traffic = Traffic::new(2 * weights.len(), 5);
            // The least chance any strategy gives: the lightest by its weight.
            let total: u32 = weights.iter().sum();
            let share = f64::from(total) / f64::from(weights[0]);
            let mut seen = vec![0; weights.len()];
            for _ in 0..draws_to_see_all(weights.len() as u32, share) {
                seen[traffic.step(&service, &*picker, &mut cx).0 as usize] += 1;
            }
            assert!(
                seen.iter().all(|count| *count > 0),
                "{name}: {seen:?} by {weights:?}"
            );
        }
    }
}

#[test]
fn an_idle_service_is_split_as_promised() {
    let uneven: Vec<u32> = (0..100).map(|i| 1 + i % 5).collect();
    for name in StrategyName::ALL {
        for weights in [
            vec![1, 1],
            vec![4; 70],
            vec![5, 1, 1],
            uneven.clone(),
            vec![65_535, 30_000, 2_000],
        ] {
            let service = candidates(&weights).unwrap();
            let picker = build(*name, &service, 7);
            let mut cx = PickContext::new(7);
            let n = weights.len();
            let even = vec![1; n];
            let total: u32 = weights.iter().sum();
            match split(*name) {
                Split::Exact { by_weight } => {
                    let expected = if by_weight { &weights } else { &even };
                    let round = if by_weight { total } else { n as u32 };
                    assert_eq!(&counts(&*picker, &mut cx, n, round), expected, "{name}");
                }
                Split::Chance { by_weight } => {
                    let expected = if by_weight { &weights } else { &even };
                    let counts = counts(&*picker, &mut cx, n, 30_000);
                    assert_by_weight(&counts, expected, name.as_str());
                }
                Split::Ring { points } => {
                    let counts = counts(&*picker, &mut cx, n, 30_000);
                    assert_by_ring(&counts, &weights, points, name.as_str());
                }
                Split::Measured => {}
            }
        }
    }
}

#[test]
fn scores_of_0_and_numbers_at_their_ends_leave_nobody_without_a_pick() {
    let ends = |cpu, memory| {
        let report = LoadReport::default();
        report
            .with_cpu(cpu)
            .and_then(|report| report.with_memory(memory))
            .unwrap()
    };
    for name in StrategyName::ALL {
        for weights in [vec![1], vec![65_535, 1, 1], vec![1; 20]] {
            let service = candidates(&weights).unwrap();
            for (index, slot) in service.slots().iter().enumerate() {
                let stats = service.member(*slot).unwrap().stats();
                stats.set_health([0.0, f32::NAN, -1.0][index % 3]);
                let report = [ends(0.0, 0.0), ends(100.0, 1.0)][index % 2];
                assert!(stats.reported().observe(&report, Nanos::MAX, Nanos(1)));
            }
            add_load(&service, Slot(0), 5000);
            let picker = build(*name, &service, 1);
            let mut cx = PickContext::new(1);
            for now in [Nanos::ZERO, Nanos::MAX, Nanos(1), Nanos::from_secs(100)] {
                cx.now = now;
                picker.refresh(now);
                for _ in 0..50 {
                    assert!(service.slots().contains(&pick(&*picker, &mut cx)), "{name}");
                }
            }
        }
    }
}

#[test]
fn holes_do_not_change_the_split() {
    let mut rng = Rng::new(21);
    for name in StrategyName::ALL {
        let service = patchy(&mut rng, 150);
        let picker = build(*name, &service, 7);
        let mut cx = PickContext::new(7);
        let weights: Vec<u32> = service.weights().collect();
        let total: u32 = weights.iter().sum();
        let counts = counts(&*picker, &mut cx, 150, 100 * total);
        let counts: Vec<u32> = service
            .slots()
            .iter()
            .map(|slot| counts[slot.0 as usize])
            .collect();
        let even = vec![1; weights.len()];
        match split(*name) {
            Split::Exact { by_weight: true } => {
                assert!(
                    counts
                        .iter()
                        .zip(&weights)
                        .all(|(count, weight)| *count == 100 * weight)
                );
            }
            Split::Exact { by_weight: false } => {
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(most - least <= 1, "{name}");
            }
            Split::Chance { by_weight: true } => assert_by_weight(&counts, &weights, name.as_str()),
            Split::Chance { by_weight: false } => assert_by_weight(&counts, &even, name.as_str()),
            Split::Ring { points } => assert_by_ring(&counts, &weights, points, name.as_str()),
            Split::Measured => {}
        }
    }
}

#[test]
fn the_same_seed_and_events_give_the_same_picks() {
    let run = |name: StrategyName, seed: u64| -> Vec<Slot> {
        let service = patchy(&mut Rng::new(4), 90);
        let picker = build(name, &service, seed);
        let mut cx = PickContext::new(seed);
        let mut traffic = Traffic::new(30, 9);
        (0..1000)
            .map(|_| traffic.step(&service, &*picker, &mut cx))
            .collect()
    };
    for name in StrategyName::ALL {
        assert_eq!(run(*name, 1), run(*name, 1), "{name}");
        assert_ne!(run(*name, 1), run(*name, 2), "{name}: the seed does nothing");
    }
}

#[test]
fn time_may_go_backwards() {
    for name in StrategyName::ALL {
        let service = candidates(&[1, 2, 3, 4]).unwrap();
        let picker = build(*name, &service, 1);
        let mut cx = PickContext::new(1);
        let mut rng = Rng::new(1);
        let mut seen = [0; 4];
        for step in 0..2000 {
            cx.now = match step % 3 {
                0 => Nanos(rng.next_u64()),
                1 => Nanos::MAX,
                _ => Nanos::ZERO,
            };
            let slot = pick(&*picker, &mut cx);
            seen[slot.0 as usize] += 1;
            let lease = lease(&service, slot, cx.now).unwrap();
            let ended = Nanos(rng.below_u64(cx.now.0));
            let _ = lease.finish(&Outcome::from_status(200, ended), ended);
        }
        assert!(seen.iter().all(|count| *count > 0), "{name}: {seen:?}");
    }
}

#[test]
fn leases_are_conserved_under_threads_drops_and_panics() {
    const THREADS: u64 = 4;
    const PICKS: u64 = 4_000;
    for name in StrategyName::ALL {
        let service = candidates(&[1, 2, 3, 4, 5, 6, 7]).unwrap();
        let picker = build(*name, &service, 1);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (service, picker) = (&service, &picker);
                scope.spawn(move || {
                    let mut cx = PickContext::new(thread);
                    let mut traffic = Traffic::new(16, thread);
                    for _ in 0..PICKS - 1 {
                        traffic.step(service, &**picker, &mut cx);
                    }
                    let slot = pick(&**picker, &mut cx);
                    let last = lease(service, slot, cx.now).unwrap();
                    let panicked = catch_unwind(AssertUnwindSafe(move || {
                        let _held = last;
                        std::panic::resume_unwind(Box::new(()));
                    }));
                    assert!(panicked.is_err());
                });
            }
        });
        let mut ended = 0;
        for slot in service.slots().iter() {
            let member = service.member(*slot).unwrap();
            let stats = member.stats();
            assert_eq!(member.load().get(), 0, "{name}: {slot:?}");
            assert_eq!(service.loads().get(slot.0), 0, "{name}: {slot:?}");
            let sum = stats.successes() + stats.failures() + stats.cancelled();
            assert_eq!(sum, stats.picks(), "{name}: {slot:?}");
            ended += sum;
        }
        assert_eq!(ended, THREADS * PICKS, "{name}");
    }
}
