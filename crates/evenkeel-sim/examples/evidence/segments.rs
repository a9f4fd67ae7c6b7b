//! The scenarios of a strategy that chooses strategies, for the tables and the tests alike: S14 in any order, and a fleet
//! that turns do not suit any more.

use evenkeel_core::Rng;
use evenkeel_sim::Scenario;

/// As they come in `regimes`, with the load of each.
pub(crate) const SEGMENTS: [(&str, f64); 5] = [
    ("plain", 0.7),
    ("hot key", 0.6),
    ("slow server", 0.6),
    ("uneven", 0.7),
    ("quiet", 0.2),
];

pub(crate) type Order = [usize; SEGMENTS.len()];

/// The segments of `regimes.yaml` in this order, a minute each.
pub(crate) fn in_order(order: Order) -> Scenario {
    let from = |segment: usize| 10 + 60 * order.iter().position(|one| *one == segment).unwrap();
    let until = |segment: usize| from(segment) + 60;
    let loads = order.map(|segment| SEGMENTS[segment].1);
    let text = format!(
        "about: Five regimes of a minute each.\nduration: 310s\nwarm_up: 10s\narrivals: {{ steps: {loads:?} }}\n\
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

pub(crate) fn shuffled(rng: &mut Rng) -> Order {
    let mut order = [0, 1, 2, 3, 4];
    for place in (1..order.len()).rev() {
        order.swap(place, rng.below(place as u32 + 1) as usize);
    }
    order
}

/// Two of eight servers become slower by three fifths. What counts begins two minutes later.
pub(crate) fn turned(strategy: &str) -> Scenario {
    let text = format!(
        "about: Two of eight become slower.\nduration: 180s\nwarm_up: 120s\narrivals: {{ load: 0.6 }}\n\
         clients: {{ count: 2 }}\nservers: [{{ count: 8, cores: 2 }}]\n\
         faults: [{{ servers: 0-1, from: 40s, fault: {{ slow: 1.6 }} }}]\n\
         service: {{ strategy: {strategy}, circuit_breaker: {{ on_slow: off }} }}\n"
    );
    Scenario::from_str("turns", &text).unwrap()
}
