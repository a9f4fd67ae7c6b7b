//! Nanoseconds per pick, per build and per lease: `cargo bench -p evenkeel-core`, or with `-- --table [STRATEGY]`
//! the closing table alone. `-- --run STRATEGY equal|unequal N PICKS` only picks, for profilers; `on_end` in place of a
//! strategy ends requests, and `STRATEGY+SHADOW` picks by one with the other beside it, `STRATEGY+` without any: in the
//! way of a service, from a view.
//!
//! Two readings of the same loops: criterion's (mean with confidence interval, kept under `target/criterion`
//! for comparison with the last run) and, at the end, one table of minima against the targets. The
//! minimum of many short rounds is what the code costs; the rest is what other processes cost.
#![allow(clippy::unwrap_used, missing_docs, clippy::disallowed_methods)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group};
use evenkeel_core::strategy::{Geographical, StrategyName};
use evenkeel_core::testing::{Place, add_load, candidates, candidates_at, lease};
use evenkeel_core::{
    Candidates, HashSecret, Instance, KeyHash, LoadFactor, Loads, Member, Nanos, Outcome, PickContext,
    PickRequest, Picker, Rng, ServiceSettings, ServiceState, Slot, Stats, Strategy, StrategySettings,
};

const SIZES: [usize; 4] = [10, 100, 1000, 10_000];

/// A service in the middle of its day: 0 to 7 requests in flight, 2 to 50 ms, all used in the last second.
fn service(n: usize, equal: bool) -> Candidates {
    let mut rng = Rng::new(n as u64);
    let weights: Vec<u32> = (0..n)
        .map(|_| if equal { 1 } else { 1 + rng.below(100) })
        .collect();
    let service = candidates(&weights).unwrap();
    for slot in service.slots().iter() {
        let time = Nanos(2_000_000 + rng.below_u64(48_000_000));
        let started = Nanos(rng.below_u64(1_000_000_000));
        let lease = lease(&service, *slot, started).unwrap();
        let _ = lease.finish(&Outcome::from_status(200, time), started + time);
        add_load(&service, *slot, rng.below(8));
    }
    service
}

fn context() -> PickContext {
    let mut cx = PickContext::new(1);
    cx.now = Nanos::from_secs(1);
    cx
}

#[inline(never)]
fn picks(picker: &dyn Picker, cx: &mut PickContext, rounds: u32) {
    let mut request = PickRequest::default();
    for round in 0..rounds {
        // Strategies that hash see another key each time; others ignore it.
        request.key = Some(u64::from(round).wrapping_mul(0x9E37_79B9_7F4A_7C15).into());
        let _ = black_box(picker.pick(black_box(&request), cx));
    }
}

#[inline(never)]
fn ends(stats: &Stats, rounds: u32) {
    let now = Nanos::from_secs(1);
    let outcome = Outcome::from_status(200, Nanos::from_millis(3));
    for _ in 0..rounds {
        black_box(stats.on_end(black_box(&outcome), black_box(now)));
    }
}

/// Per-operation minimum over `rounds` timings of `count` operations.
fn minimum(rounds: u32, count: u32, mut run: impl FnMut(u32)) -> f64 {
    run(count);
    let timed = |_| {
        let start = Instant::now();
        run(count);
        start.elapsed().as_nanos() as f64 / f64::from(count)
    };
    (0..rounds).map(timed).fold(f64::INFINITY, f64::min)
}

/// Both threads pick `count` times from one picker; nanoseconds per pick of one thread, from the common
/// start to the later end.
fn two_threads(picker: &dyn Picker, count: u32) -> f64 {
    let gate = std::sync::Barrier::new(2);
    let work = || {
        let mut cx = context();
        picks(picker, &mut cx, count / 10);
        gate.wait();
        let start = Instant::now();
        picks(picker, &mut cx, count);
        (start, Instant::now())
    };
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        (work(), other.join().unwrap())
    });
    let elapsed = one.1.max(two.1) - one.0.min(two.0);
    elapsed.as_nanos() as f64 / f64::from(count)
}

fn pick(c: &mut Criterion) {
    for name in StrategyName::ALL {
        let mut group = c.benchmark_group(name.as_str());
        for (n, equal) in SIZES.into_iter().flat_map(|n| [(n, true), (n, false)]) {
            let picker = name.strategy().build(&service(n, equal), 1);
            let weights = if equal { "equal" } else { "unequal" };
            group.bench_function(BenchmarkId::new(weights, n), |b| {
                let mut cx = context();
                let request = PickRequest::default();
                b.iter(|| picker.pick(black_box(&request), &mut cx));
            });
        }
        let service = service(1000, false);
        group.bench_function("build/1000", |b| b.iter(|| name.strategy().build(&service, 1)));
        group.finish();
    }
}

fn accounting(c: &mut Criterion) {
    let service = service(10, true);
    let now = Nanos::from_secs(1);
    let outcome = Outcome::from_status(200, Nanos::from_millis(3));
    c.bench_function("lease/start+finish", |b| {
        b.iter(|| lease(&service, Slot(3), now).unwrap().finish(&outcome, now));
    });
    let stats = Stats::default();
    c.bench_function("stats/on_end", |b| {
        b.iter(|| stats.on_end(black_box(&outcome), black_box(now)));
    });
}

/// Targets in ns for n = 10, 100, 1000; `None` where none is set, as for 10 000.
fn targets(name: StrategyName) -> Option<[f64; 3]> {
    Some(match name.as_str() {
        "round_robin" | "random" => [3.0, 3.0, 3.0],
        "weighted_round_robin" | "health_weighted_round_robin" | "weighted_random" | "orca_weighted" => {
            [6.0, 8.0, 10.0]
        }
        "least_connections" => [8.0, 40.0, 350.0],
        "adaptive" => [35.0, 35.0, 35.0],
        "power_of_two" => [12.0, 15.0, 25.0],
        "peak_ewma" => [20.0, 25.0, 35.0],
        "hot_cold" => [25.0, 25.0, 25.0],
        "consistent_hash" => [25.0, 45.0, 80.0],
        "maglev" => [8.0, 8.0, 10.0],
        "rendezvous" => [12.0, 70.0, 650.0],
        _ => return None,
    })
}

/// See the module's text.
fn run(arguments: &[String]) -> Option<()> {
    let [name, case, n, count] = arguments else {
        return None;
    };
    let (n, count) = (n.parse().ok()?, count.parse().ok()?);
    if name == "on_end" {
        ends(&Stats::default(), count);
        return Some(());
    }
    if let Some((name, shadow)) = name.split_once('+') {
        let shadow = (!shadow.is_empty()).then_some(shadow);
        let shadow = shadow.map(str::parse).transpose().ok()?;
        picks_from_view(name.parse().ok()?, shadow, n, count);
        return Some(());
    }
    let name: StrategyName = name.parse().ok()?;
    let picker = name.strategy().build(&service(n, case == "equal"), 1);
    let mut cx = context();
    picker.refresh(cx.now);
    picks(&*picker, &mut cx, count);
    Some(())
}

/// As [`service`] and [`picks`], in the way of a service.
fn picks_from_view(strategy: StrategyName, shadow: Option<StrategyName>, n: usize, rounds: u32) {
    let settings = ServiceSettings {
        strategy: strategy.into(),
        shadow: shadow.map(Into::into),
        ..ServiceSettings::new("web")
    };
    let instance = |i: usize| Instance::new(&format!("i{i}"), ((i as u32).to_be_bytes(), 80).into());
    let instances = (0..n).map(|i| instance(i).unwrap()).collect();
    let mut state = ServiceState::new(settings, instances, 1, Nanos(1)).unwrap();
    let mut rng = Rng::new(n as u64);
    for slot in state.view().candidates().slots().iter() {
        let time = Nanos(2_000_000 + rng.below_u64(48_000_000));
        let started = Nanos(200_000_000 + rng.below_u64(800_000_000));
        let lease = state.view().lease(*slot, started).unwrap();
        let _ = lease.finish(&Outcome::from_status(200, time), started + time);
        add_load(state.view().candidates(), *slot, rng.below(8));
    }
    let mut cx = context();
    cx.now = Nanos(1_060_000_000);
    state.tick(cx.now);
    let view = state.view();
    let mut request = PickRequest::default();
    for round in 0..rounds {
        request.key = Some(u64::from(round).wrapping_mul(0x9E37_79B9_7F4A_7C15).into());
        if let Ok(slot) = view.choose(black_box(&request), &mut cx) {
            view.compare(black_box(slot), &request, &mut cx);
        }
    }
}

fn row(name: &str, case: &str, n: usize, measured: f64, unit: &str, target: Option<f64>) {
    let (target, verdict) = match target {
        None => ("-".to_owned(), "-".to_owned()),
        Some(t) if measured <= t => (format!("{t}"), "ok".to_owned()),
        Some(t) => (format!("{t}"), format!("missed by {:.1}", measured - t)),
    };
    println!("{name:<22} {case:<12} {n:>5} {measured:>9.1} {unit:<8} {target:>6}  {verdict}");
}

/// What strategies that hash have besides: the hash of a key, and rebuilds after a flap and after a change.
fn hashing(only: Option<&str>) {
    let secret = HashSecret::new(Some(b"a secret of a bench"), "web");
    for (what, hash) in [
        ("siphash-1-3", KeyHash::Keyed(secret)),
        ("xxh64", KeyHash::Xxh64),
        ("crc32", KeyHash::Crc32),
    ] {
        let ns = minimum(60, 1000, |count| {
            for _ in 0..count {
                black_box(hash.hash(black_box(b"a key of 16 byte")));
            }
        });
        row(what, "16 bytes", 1, ns, "ns", None);
    }
    for name in [
        StrategyName::consistent_hash,
        StrategyName::maglev,
        StrategyName::rendezvous,
    ] {
        if only.is_some_and(|only| only != name.as_str()) {
            continue;
        }
        let strategy = name.strategy();
        let places: Vec<Place> = (0..1000).map(|_| Place::Candidate(1)).collect();
        let with = |place| {
            let mut places = places.clone();
            places[500] = place;
            candidates_at(&places).unwrap()
        };
        let (all, fewer) = (with(Place::Candidate(1)), with(Place::Hole));
        let build = match name {
            StrategyName::consistent_hash => Some(5000.0),
            StrategyName::maglev => Some(1000.0),
            _ => None,
        };
        let before = strategy.build(&all, 1);
        let ns = minimum(20, 1, |_| drop(black_box(strategy.build(&all, 1))));
        row(name.as_str(), "build", 1000, ns / 1000.0, "us", build);
        // The same members: what an ejection costs.
        let ns = minimum(20, 1, |_| drop(black_box(strategy.rebuild(&*before, &all, 1))));
        row(name.as_str(), "flap", 1000, ns / 1000.0, "us", None);
        let before = strategy.build(&fewer, 1);
        let ns = minimum(20, 1, |_| drop(black_box(strategy.rebuild(&*before, &all, 1))));
        let target = (name == StrategyName::consistent_hash).then_some(500.0);
        row(name.as_str(), "one more", 1000, ns / 1000.0, "us", target);
        for n in SIZES {
            let mut settings = StrategySettings::from(name);
            match &mut settings {
                StrategySettings::consistent_hash(s) => s.hash.bounded_load = LoadFactor::from_percent(125),
                StrategySettings::maglev(s) => s.hash.bounded_load = LoadFactor::from_percent(125),
                StrategySettings::rendezvous(s) => s.hash.bounded_load = LoadFactor::from_percent(125),
                _ => {}
            }
            let service = service(n, true);
            let picker = settings.strategy().build(&service, 1);
            let mut cx = context();
            let ns = minimum(60, 100, |count| picks(&*picker, &mut cx, count));
            row(name.as_str(), "bounded", n, ns, "ns/pick", None);
        }
    }
}

/// `geographical` where it has something to do: three regions, the home region in use by an eighth or so and, with a
/// limit of what it takes, at its end.
fn places(only: Option<&str>) {
    if only.is_some_and(|only| only != StrategyName::geographical.as_str()) {
        return;
    }
    for n in SIZES {
        let loads = Loads::default().with_room_for(n);
        let member = |slot: u32| {
            let [_, high, middle, low] = slot.to_be_bytes();
            let mut instance =
                Instance::new(&format!("i{slot}"), ([127, high, middle, low], 80).into()).unwrap();
            instance.region = Some(["eu", "us", "asia"][slot as usize % 3].into());
            let load = loads.slot(slot).unwrap();
            load.start();
            Some(Arc::new(Member::new(instance, Arc::default(), load)))
        };
        let members: Arc<[_]> = (0..n as u32).map(member).collect();
        let slots: Arc<[Slot]> = (0..n as u32).map(Slot).collect();
        let service = Candidates::new(members, slots, loads.clone());
        for (case, capacity) in [("by region", None), ("region full", Some(1))] {
            let strategy = Geographical {
                from: vec!["eu".into()],
                capacity_per_weight: capacity,
                ..Geographical::default()
            };
            let picker = strategy.build(&service, 1);
            let mut cx = context();
            picker.refresh(cx.now);
            let ns = minimum(60, 2000, |count| picks(&*picker, &mut cx, count));
            row("geographical", case, n, ns, "ns/pick", None);
        }
    }
}

fn table(only: Option<&str>) {
    println!("\nMinima of 60 rounds. Targets are for picks by one thread.");
    println!(
        "{:<22} {:<12} {:>5} {:>9} {:<8} {:>6}",
        "what", "case", "n", "measured", "unit", "target"
    );
    for name in StrategyName::ALL {
        if only.is_some_and(|only| only != name.as_str()) {
            continue;
        }
        for (index, n) in SIZES.into_iter().enumerate() {
            for equal in [true, false] {
                let picker = name.strategy().build(&service(n, equal), 1);
                let mut cx = context();
                picker.refresh(cx.now);
                // Some look at all: rounds stay short.
                let count = [2000, 2000, 500, 100][index];
                let ns = minimum(60, count, |count| picks(&*picker, &mut cx, count));
                let case = if equal { "equal" } else { "unequal" };
                row(
                    name.as_str(),
                    case,
                    n,
                    ns,
                    "ns/pick",
                    targets(*name).and_then(|targets| targets.get(index).copied()),
                );
            }
        }
        if name.as_str() == "weighted_round_robin" {
            // Weights too large for a schedule.
            let wide: Vec<u32> = (1..=1000).map(|i| i * 65).chain([1]).collect();
            let picker = name.strategy().build(&candidates(&wide).unwrap(), 1);
            let mut cx = context();
            let ns = minimum(60, 2000, |count| picks(&*picker, &mut cx, count));
            row(name.as_str(), "wide weights", 1001, ns, "ns/pick", None);
        }
        for (n, count) in [(100, 100_000), (10_000, 2000)] {
            let picker = name.strategy().build(&service(n, false), 1);
            picker.refresh(context().now);
            let rounds = (0..15).map(|_| two_threads(&*picker, count));
            let ns = rounds.fold(f64::INFINITY, f64::min);
            row(name.as_str(), "two threads", n, ns, "ns/pick", None);
        }
        for n in [1000, 10_000] {
            let (service, strategy) = (service(n, false), name.strategy());
            let ns = minimum(10, 1, |_| drop(black_box(strategy.build(&service, 1))));
            row(name.as_str(), "build", n, ns / 1000.0, "us", None);
            if strategy.refresh_every().is_some() {
                let picker = strategy.build(&service, 1);
                let ns = minimum(20, 1, |_| picker.refresh(context().now));
                row(name.as_str(), "refresh", n, ns / 1000.0, "us", None);
            }
        }
    }
    places(only);
    hashing(only);
    let service = service(10, true);
    let now = Nanos::from_secs(1);
    let outcome = Outcome::from_status(200, Nanos::from_millis(3));
    let ns = minimum(60, 1000, |count| {
        for _ in 0..count {
            let _ = black_box(lease(&service, Slot(3), now).unwrap().finish(&outcome, now));
        }
    });
    row("lease", "start+finish", 1, ns, "ns", None);
    let stats = Stats::default();
    let ns = minimum(60, 1000, |count| ends(&stats, count));
    row("stats", "on_end", 1, ns, "ns", Some(25.0));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = pick, accounting
}

fn main() {
    // `-- --table [STRATEGY]` prints the table alone.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--run") {
        let end = arguments.len().min(place + 5);
        assert!(
            run(&arguments[place + 1..end]).is_some(),
            "--run STRATEGY equal|unequal N PICKS"
        );
        return;
    }
    if !arguments.iter().any(|argument| argument == "--table") {
        benches();
    }
    let only = arguments.iter().find(|argument| !argument.starts_with('-'));
    table(only.map(String::as_str));
}
