//! A service of a hundred thousand instances: its memory, and what a change of it costs the writer and disturbs
//! picks. `cargo bench -p evenkeel-core --bench scale [-- STRATEGY]`.
//!
//! Bytes are counted by the allocator. Times of the writer are the least and the middle of several changes, of fewer where
//! they are dear. While it
//! works, another thread picks from the view that is published, as workers do, and times every pick; it takes a tenth
//! of the instances that drain for proof that nobody picks them, and all leases are accounted for at the end.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use arc_swap::{ArcSwap, Cache};
use evenkeel_core::strategy::StrategyName;
use evenkeel_core::testing::candidates;
use evenkeel_core::{
    Candidates, Effect, Instance, Lease, Nanos, Operation, Outcome, PickContext, PickRequest,
    ServiceSettings, ServiceState, Slot, Stats, View,
};

const N: u32 = 100_000;
/// Changes of each kind, whose least and middle are told…
const CHANGES: u32 = 9;
/// …or as many as take this long, but no fewer than [`LEAST`].
const LONG: Duration = Duration::from_millis(400);
const LEAST: usize = 3;
/// Who drains.
const DRAINED: u32 = 10;
/// How long picks are timed with nothing changing.
const QUIET: Duration = Duration::from_millis(200);
/// Picks of a worker between two looks at the view; what a busy worker does in a millisecond or less.
const BATCH: usize = 20;

fn instance(index: u32) -> Instance {
    Instance::new(&format!("i{index}"), (index.to_be_bytes(), 80).into()).unwrap()
}

fn settings(name: StrategyName) -> ServiceSettings {
    ServiceSettings {
        strategy: name.into(),
        ..ServiceSettings::new("bench")
    }
}

fn state(name: StrategyName) -> ServiceState {
    let instances = (0..N).map(instance).collect();
    ServiceState::new(settings(name), instances, 1, Nanos::from_secs(1)).unwrap()
}

/// Bytes that are held after `make`, and the most that were on the way there, per instance.
fn bytes<T>(make: impl FnOnce() -> T) -> (f64, f64) {
    let mut made = None;
    let used = measure(|| made = Some(make()));
    let per_instance = |bytes: i64| bytes as f64 / f64::from(N);
    let held = per_instance(used.bytes_current);
    drop(black_box(made));
    (held, used.bytes_max as f64 / f64::from(N))
}

/// Bytes of this process in memory; Linux only, 0 elsewhere.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// Bytes per instance, of parts and as a whole.
fn memory(names: &[StrategyName]) {
    println!("Bytes per instance, {N} instances");
    println!("{:<62}{:>8}{:>10}", "", "held", "at most");
    let tell = |what: &str, (held, most): (f64, f64)| println!("{what:<62}{held:>8.1}{most:>10.1}");
    // First of all: later on the allocator has memory left that nobody uses.
    let before = resident();
    let service = state(StrategyName::default());
    let grown = (resident() - before) / f64::from(N);
    drop(service);
    tell(
        "all in all with the default strategy, as the system sees it",
        (grown, grown),
    );
    tell(
        "as given: id, address, labels",
        bytes(|| (0..N).map(instance).collect::<Vec<_>>()),
    );
    tell(
        "counters alone",
        bytes(|| (0..N).map(|_| Arc::new(Stats::default())).collect::<Vec<_>>()),
    );
    let weights = vec![1; N as usize];
    tell(
        "what picks read: instances, counters, loads, slots",
        bytes(|| candidates(&weights).unwrap()),
    );
    let candidates: Candidates = candidates(&weights).unwrap();
    for name in names {
        tell(
            &format!("picker of {name}"),
            bytes(|| name.strategy().build(&candidates, 1)),
        );
    }
    drop(candidates);
    for name in names {
        tell(
            &format!("a service with {name}, all in all"),
            bytes(|| state(*name)),
        );
    }
    let mut state = state(StrategyName::default());
    let mut views = Vec::new();
    let next = measure(|| {
        let switch = Operation::SetStrategy(StrategyName::round_robin.into());
        views.push(Arc::clone(state.view()));
        state.operate(switch, Nanos::from_secs(1)).unwrap();
    });
    let next = next.bytes_current as f64 / f64::from(N);
    tell("each view more that somebody holds", (next, next));
}

fn drains(slot: Slot) -> bool {
    slot.0 < N && slot.0.is_multiple_of(DRAINED)
}

/// How many picks took how many nanoseconds, to a 32nd part.
struct Times {
    counts: Vec<u64>,
    longest: u64,
    all: u64,
}

impl Times {
    /// Steps of each power of two.
    const STEPS: u64 = 32;

    fn new() -> Self {
        Self {
            counts: vec![0; 64 * Self::STEPS as usize],
            longest: 0,
            all: 0,
        }
    }

    fn add(&mut self, nanos: u64) {
        self.longest = self.longest.max(nanos);
        self.all += 1;
        self.counts[Self::place(nanos) as usize] += 1;
    }

    /// Below [`Self::STEPS`] each number has a place; above, the highest bits decide.
    fn place(nanos: u64) -> u64 {
        let halvings = (u64::BITS - (nanos / Self::STEPS).leading_zeros()).saturating_sub(1);
        u64::from(halvings) * Self::STEPS + (nanos >> halvings)
    }

    /// The least time of the place that this share of all picks is at or below.
    fn at(&self, share: f64) -> u64 {
        let rank = (self.all as f64 * share) as u64;
        let mut below = 0;
        let place = self.counts.iter().position(|count| {
            below += count;
            below > rank
        });
        let place = place.map_or(0, |place| place as u64);
        let halvings = (place / Self::STEPS).saturating_sub(1);
        (place - halvings * Self::STEPS) << halvings
    }
}

/// What a worker did.
struct Worked {
    /// Of every pick, a new view's arrival with it.
    times: Times,
    open: Vec<Lease>,
}

/// Picks until `over`, and never one that drains.
fn work(published: &ArcSwap<View>, over: &AtomicBool) -> Worked {
    let mut reader = Cache::new(published);
    let mut cx = PickContext::new(7);
    let mut worked = Worked {
        times: Times::new(),
        open: Vec::with_capacity(100),
    };
    while !over.load(Relaxed) {
        for _ in 0..BATCH {
            let request = PickRequest {
                key: Some(worked.times.all.wrapping_mul(0x9E37_79B9_7F4A_7C15).into()),
                ..PickRequest::default()
            };
            let began = Instant::now();
            let view = reader.load();
            let lease = view.pick(&request, &mut cx).unwrap();
            worked.times.add(began.elapsed().as_nanos() as u64);
            assert!(view.is_candidate(lease.slot()), "picked one that is no candidate");
            assert!(!drains(lease.slot()), "picked one that drains");
            worked.open.push(lease);
        }
        cx.now = cx.now + Nanos::from_millis(1);
        if worked.open.len() + BATCH > 100 {
            for lease in worked.open.drain(..BATCH) {
                let _ = lease.finish(&Outcome::from_status(200, Nanos::from_millis(3)), cx.now);
            }
        }
    }
    worked
}

/// A service under load, and its writer.
struct Scene<'s> {
    state: &'s mut ServiceState,
    published: &'s ArcSwap<View>,
    now: Nanos,
}

impl Scene<'_> {
    /// Milliseconds until the view with the change is published.
    fn change(&mut self, operation: Operation) -> f64 {
        self.now = self.now + Nanos::from_millis(1);
        let began = Instant::now();
        let effect = self.state.operate(operation, self.now).unwrap();
        self.published.store(Arc::clone(self.state.view()));
        let took = began.elapsed().as_secs_f64() * 1e3;
        assert_ne!(effect, Effect::Unchanged);
        took
    }
}

/// The times of several changes, in the order of `each`.
fn several(mut each: impl FnMut(u32) -> f64) -> Vec<f64> {
    let began = Instant::now();
    let mut times = Vec::new();
    for change in 0..CHANGES {
        if times.len() >= LEAST && began.elapsed() > LONG {
            break;
        }
        times.push(each(change));
    }
    times
}

/// Runs `writer` while another thread picks; the times of its picks.
fn under_load(state: &mut ServiceState, writer: impl FnOnce(&mut Scene<'_>)) -> Times {
    let published = ArcSwap::new(Arc::clone(state.view()));
    let (over, ready) = (AtomicBool::new(false), AtomicU32::new(0));
    let now = Nanos::from_secs(2);
    let before = picks(state.view());
    let worked = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            ready.store(1, Relaxed);
            work(&published, &over)
        });
        while ready.load(Relaxed) == 0 {
            std::thread::yield_now();
        }
        writer(&mut Scene {
            state,
            published: &published,
            now,
        });
        over.store(true, Relaxed);
        worker.join().unwrap()
    });
    let Worked { times, open } = worked;
    let open_now = open.len() as u64;
    let in_flight: u64 = loads(state.view());
    assert_eq!(in_flight, open_now, "a lease was lost or ended twice");
    drop(open);
    assert_eq!(loads(state.view()), 0, "a lease was lost or ended twice");
    assert_eq!(picks(state.view()) - before, times.all, "a pick was not counted");
    times
}

fn picks(view: &View) -> u64 {
    view.members().map(|(_, member, _)| member.stats().picks()).sum()
}

fn loads(view: &View) -> u64 {
    view.members()
        .map(|(_, member, _)| u64::from(member.load().get()))
        .sum()
}

/// Least and middle of the times, in ms.
fn least_and_middle(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:>8.2}{:>8.2}", times[0], times[times.len() / 2])
}

fn picked(times: &Times) -> String {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    format!(
        "{:>9.2}{:>9.2}{:>10.1}{:>10}",
        micros(times.at(0.5)),
        micros(times.at(0.999)),
        micros(times.longest),
        times.all
    )
}

/// A service whose first of every [`DRAINED`] instances drains.
fn draining(name: StrategyName) -> ServiceState {
    let mut state = state(name);
    let drain = |index| Operation::Drain {
        id: instance(index).id,
        why: "moves".into(),
    };
    let drains = (0..N).step_by(DRAINED as usize).map(|index| drain(index).into());
    for outcome in state.take_in(drains, Nanos::from_secs(1)) {
        assert_eq!(outcome, Ok(Effect::Changed));
    }
    state
}

fn changes(names: &[StrategyName]) {
    println!("\nChanges of a service of {N} instances, a tenth of which drain, while another thread picks.");
    println!(
        "Writer in ms: least and middle of {LEAST} to {CHANGES}. Picks in µs: middle, p99.9, longest, and how many."
    );
    println!(
        "{:<30} {:<14}{:>8}{:>8}{:>9}{:>9}{:>10}{:>10}",
        "strategy", "change", "least", "middle", "p50", "p99.9", "longest", "picks"
    );
    for name in names {
        let tell = |what: &str, writer: &str, picks: &Times| {
            println!("{:<30} {what:<14}{writer:>16}{}", name.as_str(), picked(picks));
        };
        let other = match *name {
            StrategyName::random => StrategyName::round_robin,
            _ => StrategyName::random,
        };
        let switch = |name: StrategyName| Operation::SetStrategy(name.into());
        let mut state = draining(*name);
        let none = under_load(&mut state, |_| std::thread::sleep(QUIET));
        tell("none", "", &none);
        let mut times = Vec::new();
        let there_and_back = under_load(&mut state, |scene| {
            times = several(|_| {
                scene.change(switch(other));
                scene.change(switch(*name))
            });
        });
        tell("switch to it", &least_and_middle(times), &there_and_back);
        let mut times = Vec::new();
        let registered = under_load(&mut state, |scene| {
            times = several(|change| scene.change(Operation::Register(instance(N + change))));
        });
        tell("one more", &least_and_middle(times), &registered);
    }
}

fn main() {
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let names: Vec<StrategyName> = StrategyName::ALL
        .iter()
        .copied()
        .filter(|name| only.as_ref().is_none_or(|only| only == name.as_str()))
        .collect();
    memory(&names);
    changes(&names);
}
