//! Instructions that observing costs: `cargo bench -p evenkeel-runtime --bench observe`, with valgrind installed.
//!
//! The program runs itself under callgrind, once per case, and divides what [`measured`] took by the number of rounds.
//! Instructions, because they do not mind what else the machine does; the difference between two rows is the cost.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::process::Command;

use evenkeel_core::{Instance, Nanos, Outcome, PickContext, PickRequest, ServiceSettings, StrategyName};
use evenkeel_runtime::{Balancer, Clock, Observe, Service, ServiceSpec};

const ROUNDS: u64 = 100_000;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    observe: Observe,
    /// What is done in a round.
    round: fn(&Service, &mut PickContext),
}

fn observing(metrics: bool, record_picks: f64) -> Observe {
    Observe {
        metrics,
        record_picks,
    }
}

fn pick(service: &Service, cx: &mut PickContext) {
    let lease = service.pick(black_box(&PickRequest::default()), cx).unwrap();
    service.finish(lease, &Outcome::CANCELLED, cx.now);
}

fn respond(service: &Service, cx: &mut PickContext) {
    service
        .metrics()
        .record_response(black_box(200), black_box(cx.now));
}

fn cases() -> Vec<Case> {
    let case = |name, observe, round| Case { name, observe, round };
    vec![
        case(
            "a pick and the end of its lease, nothing recorded",
            observing(true, 0.0),
            pick,
        ),
        case(
            "the same, one pick in a hundred recorded",
            observing(true, 0.01),
            pick,
        ),
        case("the same, every pick recorded", observing(true, 1.0), pick),
        case("a response counted, metrics on", observing(true, 0.0), respond),
        case("the same, metrics off", observing(false, 0.0), respond),
    ]
}

#[inline(never)]
fn measured(service: &Service, cx: &mut PickContext, round: fn(&Service, &mut PickContext)) {
    for _ in 0..ROUNDS {
        round(service, cx);
    }
}

fn run(case: Case) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let service = runtime.block_on(async {
        let balancer = Balancer::new(Clock::start(), 1);
        let instance = |i: u8| Instance::new(&format!("web-{i}"), ([127, 0, 0, i], 80).into()).unwrap();
        let web = ServiceSpec {
            settings: ServiceSettings {
                strategy: StrategyName::round_robin.into(),
                ..ServiceSettings::new("web")
            },
            instances: (1..=10).map(instance).collect(),
            check: None,
        };
        balancer.apply(vec![web]).await.unwrap();
        balancer.service("web").unwrap()
    });
    service.observe(case.observe);
    let mut cx = PickContext::new(1);
    cx.now = Nanos::from_millis(3);
    measured(&service, &mut cx, case.round);
}

fn main() {
    let named = std::env::args().nth(1).and_then(|arg| arg.parse::<usize>().ok());
    if let Some(case) = named.and_then(|index| cases().get(index).copied()) {
        return run(case);
    }
    println!("| Case | Instructions |\n|---|---|");
    for (index, case) in cases().iter().enumerate() {
        let counted = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                "--toggle-collect=*observe*measured*",
            ])
            .arg(std::env::current_exe().unwrap())
            .arg(index.to_string())
            .output()
            .unwrap_or_else(|error| panic!("valgrind cannot be run: {error}"));
        let told = String::from_utf8_lossy(&counted.stderr);
        let collected = told.lines().find_map(|line| line.split_once("Collected : "));
        let (_, count) = collected.unwrap_or_else(|| panic!("valgrind counted nothing: {told}"));
        let count: u64 = count.trim().parse().unwrap();
        println!("| {} | {:.1} |", case.name, count as f64 / ROUNDS as f64);
    }
}
