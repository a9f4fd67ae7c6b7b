//! What a pick costs beside tower's balancer and Pingora's, and who is ahead: `cargo run --release` in this folder.
//!
//! Like is compared with like, in two rounds.
//!
//! - **A request's whole share of balancing**, beside tower's P2C with peak EWMA: one that answers at once is sent, and
//!   its load counted, measured and released. tower's is a ready check and a call; Evenkeel's a look whether there is a
//!   new view, a pick, and the end of its lease with an outcome. Both read the clock when it begins and when it ends.
//! - **A selection alone**, beside Pingora's, which counts nothing: a look at what is published, a choice, and a handle
//!   of the instance to keep. In turn, at random, and by the hash of a key; no clock.
//!
//! One thread, a hot cache, and the least of many short rounds, in which all of a comparison take turns: what the code
//! costs, without what other processes cost. Absent on purpose: what balancing is worth; see `cargo xtask bench fleet`.

use std::convert::Infallible;
use std::future::Ready;
use std::hint::black_box;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use evenkeel_core::{
    Instance, Nanos, Outcome, PickContext, PickRequest, ServiceSettings, ServiceState, StrategyName, View,
};
use futures_util::stream;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::{BackendIter, BackendSelection, Consistent, Random, RoundRobin};
use tokio::runtime::Runtime;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PeakEwma};
use tower::{Service, ServiceExt as _};

const SIZES: [usize; 4] = [10, 100, 1000, 10_000];
const ROUNDS: usize = 40;
const PICKS: u64 = 2000;

/// Does so many of what is measured.
type Work = Box<dyn FnMut(u64)>;

/// One that is compared, over any number of instances.
struct Contender {
    name: String,
    new: fn(StrategyName, usize) -> Work,
    strategy: StrategyName,
}

fn ours(what: &str, strategy: StrategyName, new: fn(StrategyName, usize) -> Work) -> Contender {
    Contender {
        name: format!("evenkeel {strategy}, {what}"),
        new,
        strategy,
    }
}

fn theirs(name: &str, new: fn(StrategyName, usize) -> Work) -> Contender {
    Contender {
        name: name.to_owned(),
        new,
        strategy: StrategyName::DEFAULT,
    }
}

fn main() -> ExitCode {
    println!("ns, least of {ROUNDS} rounds of {PICKS}, in turns");
    let whole: Vec<Contender> = StrategyName::ALL
        .iter()
        .map(|name| ours("request", *name, lease))
        .collect();
    let tower = theirs("tower p2c peak_ewma, request", tower);
    let strategies = [
        (
            StrategyName::round_robin,
            "round_robin",
            pingora::<RoundRobin> as fn(StrategyName, usize) -> Work,
        ),
        (StrategyName::random, "random", pingora::<Random>),
        (StrategyName::consistent_hash, "ketama", pingora::<Consistent>),
    ];
    let mut verdicts = vec![compare(&tower, &whole)];
    for (name, called, new) in strategies {
        let other = theirs(&format!("pingora {called}, selection"), new);
        verdicts.push(compare(&other, &[ours("selection", name, choice)]));
    }
    println!("\nWho is ahead, and how many times as fast");
    heading();
    for verdict in &verdicts {
        verdict.print();
    }
    let ahead = verdicts
        .iter()
        .all(|verdict| verdict.ratios.iter().all(|ratio| *ratio > 1.0));
    println!(
        "\n{}",
        if ahead {
            "Evenkeel is ahead of both at every size."
        } else {
            "Evenkeel is NOT ahead everywhere."
        }
    );
    if ahead {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn heading() {
    print!("{:<54}", "");
    SIZES.iter().for_each(|n| print!("{n:>9}"));
    println!();
}

/// What came of a comparison: their time divided by ours, by size.
struct Verdict {
    who: String,
    ratios: Vec<f64>,
}

impl Verdict {
    fn print(&self) {
        print!("{:<54}", self.who);
        for ratio in &self.ratios {
            let ahead = if *ratio > 1.0 { "ours" } else { "theirs" };
            print!("{:>9}", format!("{ahead} {:.1}", ratio.max(1.0 / ratio)));
        }
        println!();
    }
}

/// Prints the times of all. The verdict is about the strategy that does what theirs does: the first in `ours`, or
/// `peak_ewma` where there are several.
fn compare(theirs: &Contender, ours: &[Contender]) -> Verdict {
    let like = ours
        .iter()
        .position(|contender| contender.strategy == StrategyName::peak_ewma)
        .unwrap_or(0);
    let all: Vec<&Contender> = ours.iter().chain([theirs]).collect();
    let times = SIZES.map(|n| times(&all, n));
    println!();
    heading();
    for (index, contender) in all.iter().enumerate() {
        print!("{:<54}", contender.name);
        times.iter().for_each(|times| print!("{:>9.1}", times[index]));
        println!();
    }
    Verdict {
        who: format!(
            "{} : {}",
            ours[like].name,
            theirs.name.split(',').next().unwrap_or_default()
        ),
        ratios: times
            .iter()
            .map(|times| times[all.len() - 1] / times[like])
            .collect(),
    }
}

/// Nanoseconds of one step of each, over `n` instances.
fn times(contenders: &[&Contender], n: usize) -> Vec<f64> {
    let mut work: Vec<Work> = contenders.iter().map(|c| (c.new)(c.strategy, n)).collect();
    let mut least = vec![f64::INFINITY; work.len()];
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (work, least) in work.iter_mut().zip(&mut least) {
            let began = Instant::now();
            work(PICKS);
            let time = began.elapsed().as_nanos() as f64 / PICKS as f64;
            if round > 0 {
                *least = least.min(time);
            }
        }
    }
    least
}

fn address(index: usize) -> SocketAddr {
    let [_, high, middle, low] = (index as u32).to_be_bytes();
    SocketAddr::from(([127, high, middle, low], 80))
}

fn view(name: StrategyName, n: usize) -> Cache<Arc<ArcSwap<View>>, Arc<View>> {
    let instances = (0..n).map(|index| Instance::new(&format!("i{index}"), address(index)).unwrap());
    let mut settings = ServiceSettings::new("bench");
    settings.strategy = name.into();
    let state = ServiceState::new(settings, instances.collect(), 1, Nanos::ZERO).unwrap();
    Cache::new(Arc::new(ArcSwap::new(Arc::clone(state.view()))))
}

/// Another key each time.
fn request(count: u64) -> PickRequest<'static> {
    PickRequest {
        key: Some(count.wrapping_mul(0x9E37_79B9_7F4A_7C15).into()),
        ..PickRequest::default()
    }
}

fn lease(name: StrategyName, n: usize) -> Work {
    let mut reader = view(name, n);
    let mut cx = PickContext::new(1);
    let start = Instant::now();
    let now = move || Nanos(start.elapsed().as_nanos() as u64);
    let mut count = 0;
    Box::new(move |picks| {
        for _ in 0..picks {
            count += 1;
            cx.now = now();
            let lease = reader.load().pick(&request(count), &mut cx).unwrap();
            let end = now();
            let outcome = Outcome::from_status(200, end.since(cx.now));
            let _ = black_box(lease.finish(&outcome, end));
        }
    })
}

fn choice(name: StrategyName, n: usize) -> Work {
    let mut reader = view(name, n);
    let mut cx = PickContext::new(1);
    let mut count = 0;
    Box::new(move |picks| {
        for _ in 0..picks {
            count += 1;
            let view = reader.load();
            let slot = view.choose(&request(count), &mut cx).unwrap();
            black_box(view.candidates().member(slot).cloned());
        }
    })
}

/// Answers at once.
#[derive(Debug, Clone)]
struct Nothing;

impl Service<()> for Nothing {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

fn tower(_: StrategyName, n: usize) -> Work {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let services = (0..n).map(|index| {
        let rtt = Duration::from_millis(1);
        let service = PeakEwma::new(Nothing, rtt, 10e9, CompleteOnResponse::default());
        Ok::<_, Infallible>(Change::Insert(index, service))
    });
    let mut balance = tower::balance::p2c::Balance::new(stream::iter(services.collect::<Vec<_>>()));
    Box::new(move |picks| {
        runtime.block_on(async {
            for _ in 0..picks {
                let _ = black_box(balance.ready().await.unwrap().call(()).await);
            }
        });
    })
}

fn pingora<S: BackendSelection + 'static>(_: StrategyName, n: usize) -> Work
where
    S::Iter: BackendIter,
{
    let balancer = LoadBalancer::<S>::try_from_iter((0..n).map(address)).unwrap();
    let mut count = 0_u64;
    Box::new(move |picks| {
        for _ in 0..picks {
            count += 1;
            black_box(balancer.select(&count.to_le_bytes(), 8));
        }
    })
}
