//! What workers share, in every order that the memory model allows: `RUSTFLAGS="--cfg loom" cargo test -p
//! evenkeel-core --test loom --release`; `cargo xtask test` runs it.
//!
//! The last two run a whole [`ServiceState`] beside a worker. Its views and members are counted by the `Arc` of the standard
//! library, and runtime publishes views through arc-swap, neither of which loom can look into. Both are what they are
//! everywhere, with tests of their own; what is ours is the order in which we use them, and that is what is modelled:
//!
//! * In the place of the `ArcSwap` is a lock, which promises a reader the same: some view that was published, whole.
//! * What a lease's end orders before the slot is given away, by the count of `Stats`, loom sees by an `Arc` of its own, which
//!   ends right after the lease does.
//! * Whether somebody holds an instance is told by plain flags: between two steps that loom knows, nothing comes in between.
#![cfg(loom)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use evenkeel_core::strategy::StrategyName;
use evenkeel_core::testing::{arm, candidates, lease};
use evenkeel_core::{
    Instance, LoadReport, Loads, Member, Nanos, NoPick, Operation, Outcome, PickContext, PickRequest,
    ReportedLoad, ServiceSettings, ServiceState, Slot, Stats, View,
};
use loom::thread;

const NOW: Nanos = Nanos::from_secs(1);

/// Runs `scene` in every order with up to three switches of threads where they need not be: the end of a request is dozens
/// of atomic steps, one of the writer hundreds, and all orders of those take minutes.
fn check(scene: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 100_000;
    model.preemption_bound = Some(3);
    model.check(scene);
}

/// How often each of two things came to pass: a model in which one never does shows nothing.
#[derive(Clone, Default)]
struct Seen(Arc<[AtomicU32; 2]>);

impl Seen {
    fn note(&self, which: bool) {
        self.0[usize::from(which)].fetch_add(1, SeqCst);
    }

    fn both(&self) -> bool {
        self.0.iter().all(|count| count.load(SeqCst) > 0)
    }
}

#[test]
fn neighbours_in_one_word_count_exactly() {
    loom::model(|| {
        let loads = Loads::default().with_room_for(2);
        let (even, odd) = (loads.slot(0).unwrap(), loads.slot(1).unwrap());
        let other = thread::spawn(move || {
            odd.start();
            odd.start();
            odd.end();
        });
        even.start();
        even.end();
        other.join().unwrap();
        assert_eq!((loads.get(0), loads.get(1)), (0, 1));
    });
}

#[test]
fn exactly_one_worker_sees_the_run_complete() {
    check(|| {
        let stats = Arc::new(Stats::default());
        stats.set_alarm_at(2);
        let fail = |stats: &Stats| u32::from(stats.on_end(&Outcome::failed(NOW), NOW));
        let shared = Arc::clone(&stats);
        let other = thread::spawn(move || fail(&shared));
        let alarms = fail(&stats) + other.join().unwrap();
        assert_eq!(
            (alarms, stats.failures(), stats.consecutive_failures()),
            (1, 2, 2)
        );
    });
}

#[test]
fn a_success_at_the_same_time_hides_no_alarm() {
    check(|| {
        let stats = Arc::new(Stats::default());
        // Two failures are an alarm, the first of them was before.
        let is_over = arm(&stats, 4.0);
        stats.on_end(&Outcome::failed(NOW), NOW);
        let shared = Arc::clone(&stats);
        let other = thread::spawn(move || {
            shared.on_end(&Outcome::from_status(200, NOW), NOW);
        });
        let alarm = stats.on_end(&Outcome::failed(NOW), NOW);
        other.join().unwrap();
        // The writer that is told finds what it was told of.
        assert_eq!(alarm, is_over());
    });
}

#[test]
fn two_failures_at_the_same_time_raise_one_alarm() {
    check(|| {
        let stats = Arc::new(Stats::default());
        let is_over = arm(&stats, 4.0);
        let fail = |stats: &Stats| u32::from(stats.on_end(&Outcome::failed(NOW), NOW));
        let shared = Arc::clone(&stats);
        let other = thread::spawn(move || fail(&shared));
        let alarms = fail(&stats) + other.join().unwrap();
        assert_eq!((alarms, is_over()), (1, true));
    });
}

#[test]
fn leases_of_two_workers_end_once_each() {
    loom::model(|| {
        let service = candidates(&[1]).unwrap();
        let (kept, dropped) = (
            lease(&service, Slot(0), NOW).unwrap(),
            lease(&service, Slot(0), NOW).unwrap(),
        );
        let other = thread::spawn(move || drop(dropped));
        let _ = kept.finish(&Outcome::from_status(200, NOW), NOW);
        other.join().unwrap();
        let member = service.member(Slot(0)).unwrap();
        let stats = member.stats();
        assert_eq!(member.load().get(), 0);
        assert_eq!((stats.picks(), stats.successes(), stats.cancelled()), (2, 1, 1));
    });
}

fn report(cpu: f64, memory: f64) -> LoadReport {
    let report = LoadReport::default().with_cpu(cpu).unwrap();
    report.with_memory(memory).unwrap()
}

const EARLIER: Nanos = Nanos::from_millis(900);

/// Runs `one` in this thread and `other` beside it, and then with the roles exchanged: what begins first is not all the same to
/// loom, which remembers of each atomic only who was there last.
fn beside<T: Send + 'static>(
    shared: &Arc<T>,
    exchanged: bool,
    one: fn(&T) -> bool,
    other: fn(&T) -> bool,
) -> [bool; 2] {
    let theirs = Arc::clone(shared);
    let (mine, there) = if exchanged { (other, one) } else { (one, other) };
    let there = thread::spawn(move || there(&theirs));
    let mine = mine(shared);
    let there = there.join().unwrap();
    if exchanged { [there, mine] } else { [mine, there] }
}

#[test]
fn numbers_of_two_reports_at_the_same_time_are_those_of_one_in_the_end() {
    let (refused, older_refused) = (Seen::default(), Seen::default());
    for exchanged in [false, true] {
        let seen = (refused.clone(), older_refused.clone());
        loom::model(move || {
            let reported = Arc::new(ReportedLoad::default());
            let [older, newer] = beside(
                &reported,
                exchanged,
                |reported| reported.observe(&report(0.1, 0.2), EARLIER, NOW),
                |reported| reported.observe(&report(0.8, 0.9), NOW, NOW),
            );
            assert!(older || newer);
            seen.0.note(newer);
            seen.1.note(older);
            let (whole, observed) = match newer {
                true => (report(0.8, 0.9), NOW),
                false => (report(0.1, 0.2), EARLIER),
            };
            assert_eq!(
                (reported.get(NOW), reported.observed()),
                (Some((whole, 1.0)), Some(observed))
            );
        });
    }
    assert!(refused.both() && older_refused.both());
}

#[test]
fn a_reader_beside_a_report_sees_only_what_was_reported() {
    loom::model(|| {
        let (old, new) = (report(0.1, 0.2), report(0.8, 0.9));
        let reported = Arc::new(ReportedLoad::default());
        assert!(reported.observe(&old, EARLIER, NOW));
        let shared = Arc::clone(&reported);
        let other = thread::spawn(move || assert!(shared.observe(&new, NOW, NOW)));
        let (seen, worth) = reported.get(NOW).unwrap();
        assert_eq!(worth, 1.0);
        assert!([old.cpu(), new.cpu()].contains(&seen.cpu()));
        assert!([old.memory(), new.memory()].contains(&seen.memory()));
        // Whatever a rank weighs them by, it is between those of the two.
        assert!((0.1..=0.8).contains(&seen.utilization().unwrap()));
        other.join().unwrap();
        assert_eq!(reported.get(NOW), Some((new, 1.0)));
    });
}

#[test]
fn a_clock_that_steps_back_beside_a_report_leaves_it_whole() {
    let moved = Seen::default();
    for exchanged in [false, true] {
        let seen = moved.clone();
        loom::model(move || {
            let reported = Arc::new(ReportedLoad::default());
            assert!(reported.observe(&report(0.1, 0.2), EARLIER, NOW));
            let shift = |reported: &ReportedLoad| {
                reported.shift(Nanos::from_millis(400));
                true
            };
            let [_, taken] = beside(&reported, exchanged, shift, |reported| {
                reported.observe(&report(0.8, 0.9), NOW, NOW)
            });
            // Moved before the other came, by the other's leave, or not at all: then the report is of after the step.
            let observed = reported.observed().unwrap();
            let whole = if taken { report(0.8, 0.9) } else { report(0.1, 0.2) };
            let known = if taken { NOW } else { EARLIER };
            let back = known.since(Nanos::from_millis(400));
            assert!(observed == back || (taken && observed == known));
            seen.note(observed == back);
            assert_eq!(reported.get(NOW), Some((whole, 1.0)));
            // Nobody is kept out by what went on meanwhile.
            assert!(reported.observe(&report(0.3, 0.4), NOW, NOW));
            assert_eq!(reported.get(NOW), Some((report(0.3, 0.4), 1.0)));
        });
    }
    assert!(moved.both());
}

fn instance(id: &str) -> Instance {
    Instance::new(id, ([127, 0, 0, 1], 80).into()).unwrap()
}

/// A service whose only instance is `a`.
fn service() -> ServiceState {
    let settings = ServiceSettings {
        strategy: StrategyName::round_robin.into(),
        ..ServiceSettings::new("model")
    };
    ServiceState::new(settings, vec![instance("a")], 1, NOW).unwrap()
}

fn find(view: &View, id: &str) -> Option<(Slot, Arc<Member>)> {
    let mut members = view.members();
    let found = members.find(|(_, member, _)| member.instance().id.as_str() == id);
    found.map(|(slot, member, _)| (slot, Arc::clone(member)))
}

#[test]
fn a_late_end_is_never_counted_to_who_has_the_slot_next() {
    let reused = Seen::default();
    let seen = reused.clone();
    check(move || {
        let mut state = service();
        let mut cx = PickContext::new(7);
        let lease = state.view().pick(&PickRequest::default(), &mut cx).unwrap();
        let load = lease.member().load().clone();
        let ended = Arc::new(AtomicBool::new(false));
        let mut holds = loom::sync::Arc::new(());
        let theirs = (Arc::clone(&ended), loom::sync::Arc::clone(&holds));
        let worker = thread::spawn(move || {
            let _ = lease.finish(&Outcome::from_status(200, NOW), NOW);
            theirs.0.store(true, SeqCst);
            drop(theirs.1);
        });
        state
            .operate(Operation::Deregister(instance("a").id), NOW)
            .unwrap();
        // Makes loom try what follows before the end of the lease, amid it, and after it.
        let _ = (load.get(), loom::sync::Arc::get_mut(&mut holds).is_some());
        let before = ended.load(SeqCst);
        state.operate(Operation::Register(instance("b")), NOW).unwrap();
        let (slot, next) = find(state.view(), "b").unwrap();
        seen.note(slot == Slot(0));
        assert_eq!(
            slot == Slot(0),
            before,
            "a place is given away when its lease has ended"
        );
        if slot == Slot(0) && loom::sync::Arc::get_mut(&mut holds).is_some() {
            assert_eq!(next.load().get(), 0, "begins with the load of another");
        }
        let own = state.view().pick(&PickRequest::default(), &mut cx).unwrap();
        worker.join().unwrap();
        let stats = next.stats();
        assert_eq!((next.load().get(), stats.picks(), stats.successes()), (1, 1, 0));
        drop(own);
        assert_eq!((next.load().get(), stats.cancelled()), (0, 1));
    });
    assert!(reused.both());
}

#[test]
fn who_reads_a_view_beside_its_replacement_holds_whom_it_picks() {
    let (reused, picked_a) = (Seen::default(), Seen::default());
    let seen = (reused.clone(), picked_a.clone());
    check(move || {
        let mut state = service();
        let published = Arc::new(loom::sync::Mutex::new(Arc::clone(state.view())));
        let load = find(state.view(), "a").unwrap().1.load().clone();
        let holds_a = Arc::new(AtomicBool::new(false));
        let theirs = (Arc::clone(&published), Arc::clone(&holds_a));
        let worker = thread::spawn(move || {
            let (published, holds_a) = theirs;
            let view = {
                let published = published.lock().unwrap();
                holds_a.store(find(&published, "a").is_some(), SeqCst);
                Arc::clone(&*published)
            };
            let picked = view.pick(&PickRequest::default(), &mut PickContext::new(7));
            drop(view);
            let whom = match &picked {
                Ok(lease) => Some(lease.member().instance().id.clone()),
                Err(none) => {
                    assert_eq!(*none, NoPick::Empty);
                    None
                }
            };
            let is_a = whom.as_ref().is_some_and(|id| id.as_str() == "a");
            assert_eq!(is_a, holds_a.load(SeqCst), "not of the view it read");
            drop(picked);
            holds_a.store(false, SeqCst);
            whom
        });
        let publish = |state: &ServiceState| *published.lock().unwrap() = Arc::clone(state.view());
        state
            .operate(Operation::Deregister(instance("a").id), NOW)
            .unwrap();
        publish(&state);
        state.tick(NOW);
        // Makes loom try what follows before the lease, while it is open, and after it.
        let _ = load.get();
        let held = holds_a.load(SeqCst);
        state.operate(Operation::Register(instance("b")), NOW).unwrap();
        let (slot, next) = find(state.view(), "b").unwrap();
        seen.0.note(slot == Slot(0));
        assert!(slot != Slot(0) || !held, "given away while it is held");
        publish(&state);
        let whom = worker.join().unwrap();
        let is = |id: &str| whom.as_ref().is_some_and(|whom| whom.as_str() == id);
        seen.1.note(is("a"));
        let picks = u64::from(is("b"));
        assert_eq!((next.stats().picks(), next.stats().cancelled()), (picks, picks));
        assert_eq!(next.load().get(), 0);
        // Once nobody holds it any more, the place is free.
        state.tick(NOW);
        state.operate(Operation::Register(instance("c")), NOW).unwrap();
        let (third, _) = find(state.view(), "c").unwrap();
        assert_eq!(slot.0 + third.0, 1, "a place that nobody holds stays empty");
    });
    assert!(reused.both() && picked_a.both());
}
