//! S14: a quiet fleet, a hot key, a slow server, tenants, and hardly any load, a minute each, in any order; how far `auto`
//! is from the best of its candidates in each.

use evenkeel_core::Rng;
use evenkeel_sim::{Run, Scenario};

use crate::runs::ran;

const SEGMENTS: usize = 5;
/// The candidates of `auto` but round robin, which loses most of the requests of the uneven segment.
const CANDIDATES: [&str; 3] = ["adaptive", "least_connections", "peak_ewma"];
/// How many permutations.
const ORDERS: u64 = 20;

/// The segments of `regimes.yaml` in this order.
fn scenario(order: &[usize; SEGMENTS]) -> Scenario {
    let from = |segment: usize| 10 + 60 * order.iter().position(|one| *one == segment).unwrap();
    let until = |segment: usize| from(segment) + 60;
    let loads = order.map(|segment| [0.7, 0.6, 0.6, 0.7, 0.2][segment]);
    let text = format!(
        "about: x\nduration: 310s\nwarm_up: 10s\narrivals: {{ steps: {loads:?} }}\n\
         clients: {{ count: 4, keys: {{ count: 100000, zipf: 1.1, hot: {{ share: 0.3, from: {}s, until: {}s }} }} }}\n\
         servers: [{{ count: 12, cores: 2, cache: {{ entries: 20000, miss: 2 }} }}]\n\
         faults:\n  - {{ servers: 3, from: {}s, until: {}s, fault: {{ slow: 10 }} }}\n  \
         - {{ servers: 0-5, from: {}s, until: {}s, fault: {{ slow: 1.5 }} }}\n",
        from(1),
        until(1),
        from(2),
        until(2),
        from(3),
        until(3),
    );
    Scenario::from_str("regimes", &text).unwrap()
}

fn shuffled(rng: &mut Rng) -> [usize; SEGMENTS] {
    let mut order = [0, 1, 2, 3, 4];
    for place in (1..SEGMENTS).rev() {
        order.swap(place, rng.below(place as u32 + 1) as usize);
    }
    order
}

/// Changes, by client, in seconds.
fn changes(run: &Run) -> Vec<Vec<f64>> {
    let mut changes = vec![Vec::new(); 4];
    for told in &run.told {
        if told.text.contains(" switched: ") {
            changes[told.balancer].push(told.at.as_secs_f64());
        }
    }
    changes
}

/// In ms; requests without an answer are slower than any.
fn quantile(run: &Run, place: usize, part: f64) -> f64 {
    run.steps[place].quantile(part).unwrap_or(f64::INFINITY)
}

fn check_changes(run: &Run) {
    for of_client in changes(run) {
        let apart = of_client.windows(2).all(|pair| pair[1] - pair[0] >= 60.0);
        assert!(apart && of_client.len() <= 3, "{of_client:?}");
    }
}

/// Two orders of the twenty below. Nothing in them is a reason to change: then it is its first candidate, request for request.
#[test]
fn auto_stays_with_its_first_candidate_without_a_reason_to_change() {
    for (seed, order) in orders().take(2) {
        let scenario = scenario(&order);
        let [auto, adaptive] = ["auto", "adaptive"].map(|name| ran(&scenario, &name.parse().unwrap(), seed));
        assert_eq!(changes(&auto), vec![Vec::<f64>::new(); 4], "{order:?}");
        assert_eq!(auto.trace, adaptive.trace, "{order:?}");
    }
}

/// From turns it goes over to a strategy that looks, once, and is far better for it.
#[test]
fn auto_leaves_turns_once() {
    let text = |strategy: &str| {
        format!(
            "about: x\nduration: 180s\nwarm_up: 120s\narrivals: {{ load: 0.6 }}\nclients: {{ count: 2 }}\n\
             servers: [{{ count: 8, cores: 2 }}]\nfaults: [{{ servers: 0-1, from: 40s, fault: {{ slow: 1.6 }} }}]\n\
             service: {{ strategy: {strategy}, circuit_breaker: {{ on_slow: off }} }}\n"
        )
    };
    let run = |strategy: &str, name: &str| {
        let scenario = Scenario::from_str("turns", &text(strategy)).unwrap();
        ran(&scenario, &name.parse().unwrap(), 1)
    };
    let auto = run("{ name: auto, candidates: [round_robin, adaptive] }", "auto");
    let of_clients = changes(&auto);
    assert!(of_clients[..2].iter().all(|one| one.len() == 1), "{of_clients:?}");
    let p99 = |run: &Run| run.all.quantile(0.99).unwrap_or(f64::INFINITY);
    let (turns, adaptive) = (run("round_robin", "round_robin"), run("adaptive", "adaptive"));
    assert!(
        p99(&auto) <= 1.05 * p99(&adaptive),
        "{} and {}",
        p99(&auto),
        p99(&adaptive)
    );
    assert!(
        p99(&auto) < 0.8 * p99(&turns),
        "{} and {}",
        p99(&auto),
        p99(&turns)
    );
}

/// The orders with their seeds.
fn orders() -> impl Iterator<Item = (u64, [usize; SEGMENTS])> {
    let mut rng = Rng::new(14);
    (1..=ORDERS).map(move |seed| (seed, shuffled(&mut rng)))
}

/// Of one order: what changed, and p50, p90 and p99 of `auto` and the candidates, by segment.
struct Outcome {
    switches: usize,
    quantiles: [[[f64; 3]; CANDIDATES.len() + 1]; SEGMENTS],
}

fn outcome(seed: u64, order: [usize; SEGMENTS]) -> Outcome {
    let scenario = scenario(&order);
    let mut runs = vec![ran(&scenario, &"auto".parse().unwrap(), seed)];
    check_changes(&runs[0]);
    for told in runs[0]
        .told
        .iter()
        .filter(|told| told.text.contains(" switched: "))
    {
        println!(
            "{order:?} {:.0} s, client {}: {}",
            told.at.as_secs_f64(),
            told.balancer,
            told.text
        );
    }
    runs.extend(CANDIDATES.map(|name| ran(&scenario, &name.parse().unwrap(), seed)));
    let mut quantiles = [[[0.0; 3]; CANDIDATES.len() + 1]; SEGMENTS];
    for (place, segment) in order.into_iter().enumerate() {
        for (of, run) in quantiles[segment].iter_mut().zip(&runs) {
            *of = [0.5, 0.9, 0.99].map(|part| quantile(run, place, part));
        }
    }
    println!(
        "order {order:?}, seed {seed}: p99 by segment {:.1?}",
        quantiles.map(|one| one.map(|of| of[2]))
    );
    Outcome {
        switches: changes(&runs[0]).iter().map(Vec::len).sum(),
        quantiles,
    }
}

/// `cargo nextest run -p evenkeel-sim --run-ignored only twenty_orders --no-capture` prints the figures.
#[test]
#[ignore = "takes minutes; prints a table"]
fn twenty_orders() {
    let all: Vec<_> = orders().collect();
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let parts = all.chunks(all.len() / 4);
        let workers: Vec<_> = parts
            .map(|part| {
                scope.spawn(|| {
                    part.iter()
                        .map(|(seed, order)| outcome(*seed, *order))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let switches: usize = outcomes.iter().map(|one| one.switches).sum();
    println!("{switches} changes of {} clients in 310 s each", 4 * ORDERS);
    println!("auto beside the best of {CANDIDATES:?}, of the same order and seed, in %");
    println!("segment           p50            p90            p99     worst p99   best at p99");
    for (segment, name) in ["plain", "hot key", "slow", "uneven", "quiet"]
        .into_iter()
        .enumerate()
    {
        let regret = |part: usize| -> Vec<f64> {
            let of = |one: &Outcome| {
                let [auto, fixed @ ..] = one.quantiles[segment].map(|of| of[part]);
                let best = fixed.into_iter().fold(f64::INFINITY, f64::min);
                // Where too many requests failed with each, there is no quantile, and nothing to compare.
                best.is_finite().then(|| auto / best - 1.0)
            };
            outcomes.iter().filter_map(of).collect()
        };
        let cells = [0, 1, 2].map(|part| {
            let values = regret(part);
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            // Student's 2.093 for nineteen degrees of freedom; a little too narrow for fewer.
            let half = 2.093 * (squares / (n - 1.0) / n).sqrt();
            format!("{:6.1} ± {:4.1}", 100.0 * mean, 100.0 * half)
        });
        let worst = regret(2).into_iter().fold(0.0, f64::max);
        let mut bests = [0; CANDIDATES.len()];
        for one in outcomes
            .iter()
            .filter(|one| one.quantiles[segment][0][2].is_finite())
        {
            let fixed = [1, 2, 3].map(|place: usize| one.quantiles[segment][place][2]);
            let best = fixed.iter().copied().fold(f64::INFINITY, f64::min);
            bests[fixed.iter().position(|one| *one == best).unwrap()] += 1;
        }
        println!(
            "{name:12} {} {:10.1}   {bests:?}",
            cells.join("  "),
            100.0 * worst
        );
    }
}
