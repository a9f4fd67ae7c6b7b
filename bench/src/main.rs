//! What a pick costs beside tower's balancer and Pingora's.
//!
//! Evenkeel's numbers are of a whole lease: pick, start, and end with an outcome. tower's are of a ready check and a
//! call of a service that answers at once, which is how it picks and how its load is counted and released.
//! Pingora's are of a selection alone: it counts nothing. One thread, a hot cache, minima of rounds.

use std::convert::Infallible;
use std::future::Ready;
use std::hint::black_box;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use evenkeel_core::{
    Instance, Nanos, Outcome, PickContext, PickRequest, ServiceSettings, ServiceState, StrategyName,
};
use futures_util::stream;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::{BackendIter, BackendSelection, Consistent, Random, RoundRobin};
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PeakEwma};
use tower::{Service, ServiceExt as _};

const SIZES: [usize; 4] = [10, 100, 1000, 10_000];
const ROUNDS: usize = 40;
const PICKS: u32 = 5000;

fn main() {
    println!("ns, minima of {ROUNDS} rounds of {PICKS}");
    print!("{:<46}", "");
    SIZES.iter().for_each(|n| print!("{n:>9}"));
    println!();
    for name in StrategyName::ALL {
        row(&format!("evenkeel {name}, whole lease"), |n| evenkeel(*name, n));
    }
    row("tower p2c peak_ewma, ready and call", tower);
    row("pingora round_robin, selection", pingora::<RoundRobin>);
    row("pingora random, selection", pingora::<Random>);
    row("pingora ketama, selection", pingora::<Consistent>);
}

fn row(what: &str, measure: impl Fn(usize) -> f64) {
    print!("{what:<46}");
    for n in SIZES {
        print!("{:>9.1}", measure(n));
    }
    println!();
}

/// Nanoseconds of one `step`.
fn time(mut step: impl FnMut(u64)) -> f64 {
    let mut least = f64::INFINITY;
    let mut count = 0;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..PICKS {
            count += 1;
            step(count);
        }
        least = least.min(begin.elapsed().as_nanos() as f64 / f64::from(PICKS));
    }
    least
}

fn address(index: usize) -> SocketAddr {
    let [_, high, middle, low] = (index as u32).to_be_bytes();
    SocketAddr::from(([127, high, middle, low], 80))
}

fn evenkeel(name: StrategyName, n: usize) -> f64 {
    let instances = (0..n).map(|index| Instance::new(&format!("i{index}"), address(index)).unwrap());
    let mut settings = ServiceSettings::new("bench");
    settings.strategy = name.into();
    let state = ServiceState::new(settings, instances.collect(), 1, Nanos::ZERO).unwrap();
    let view = state.view();
    let mut cx = PickContext::new(1);
    time(|count| {
        cx.now = Nanos(count * 1000);
        let request = PickRequest {
            key: Some(count.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            ..PickRequest::default()
        };
        let lease = view.pick(&request, &mut cx).unwrap();
        let outcome = Outcome::from_status(200, Nanos::from_millis(1));
        let _ = black_box(lease.finish(&outcome, cx.now));
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

fn tower(n: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let services = (0..n).map(|index| {
            let rtt = Duration::from_millis(1);
            let service = PeakEwma::new(Nothing, rtt, 10e9, CompleteOnResponse::default());
            Ok::<_, Infallible>(Change::Insert(index, service))
        });
        let mut balance = tower::balance::p2c::Balance::new(stream::iter(services.collect::<Vec<_>>()));
        // A stream that has ended would be polled no more; all members are in after the first call.
        let _ = balance.ready().await.unwrap().call(()).await;
        let mut least = f64::INFINITY;
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            for _ in 0..PICKS {
                let _ = black_box(balance.ready().await.unwrap().call(()).await);
            }
            least = least.min(begin.elapsed().as_nanos() as f64 / f64::from(PICKS));
        }
        least
    })
}

fn pingora<S: BackendSelection + 'static>(n: usize) -> f64
where
    S::Iter: BackendIter,
{
    let balancer = LoadBalancer::<S>::try_from_iter((0..n).map(address)).unwrap();
    time(|count| {
        black_box(balancer.select(&count.to_le_bytes(), 8));
    })
}
